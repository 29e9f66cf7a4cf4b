"""Submit a pytest run's coverage to Coveralls with ``pytest --coveralls``."""

import sys

__version__ = "0.1.0"

# Where docs/ can be read, like https://github.com/OWNER/NAME/blob/main/docs, without a slash at
# the end; empty while there is no such place. The build takes all links from it: .ci/metadata.py.
DOCUMENTATION = ""

SYS_PATH = tuple(sys.path)
"""Where imports came from before a ``conftest.py`` or a test could add to it."""
