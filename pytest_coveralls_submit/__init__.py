"""Submit a pytest run's coverage to Coveralls with ``pytest --coveralls``."""

import sys

__version__ = "0.1.0"

SYS_PATH = tuple(sys.path)
"""Where imports came from before a ``conftest.py`` or a test could add to it."""
