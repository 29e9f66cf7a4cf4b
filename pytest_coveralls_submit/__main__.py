"""Run the commands: ``python -m pytest_coveralls_submit``."""

import os
import sys

import pytest_coveralls_submit

if __name__ == "__main__":
    # `python -m` looks for modules in the current directory first: an `argparse.py` there, perhaps
    # of a pull request, would run with the token in reach. The modules above are already loaded.
    try:
        home = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120
        if os.path.realpath(sys.path[0]) == os.path.realpath("") != home:
            del sys.path[0]
    except OSError:  # the current directory is gone
        pass
    pytest_coveralls_submit.SYS_PATH = pytest_coveralls_submit.import_path()

    from .cli import main

    sys.exit(main())
