"""Submit a pytest run's coverage to Coveralls with ``pytest --coveralls``."""

import os
import sys

__version__ = "0.1.0"

# Where docs/ can be read, like https://github.com/OWNER/NAME/blob/main/docs, without a slash at
# the end; empty while there is no such place. The build takes all links from it: .ci/metadata.py.
DOCUMENTATION = ""


def import_path() -> tuple[str, ...]:
    """Return ``sys.path`` as absolute paths, the current directory last."""
    try:
        entries = [os.path.abspath(entry) for entry in sys.path]  # noqa: PTH100
        # `python -m pytest` has it first: a `requests.py` there is not the library.
        return tuple(sorted(entries, key=os.getcwd().__eq__))  # noqa: PTH109
    except OSError:  # the current directory is gone
        return tuple(entry for entry in sys.path if os.path.isabs(entry))  # noqa: PTH117


SYS_PATH = import_path()
"""The import path before a ``conftest.py`` or a test could add to it."""
