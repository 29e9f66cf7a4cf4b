"""Run a command, unless the tox environment ``newest`` has this very Python and runs all tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

UNLESS = "--unless="
"""Start of the word that names that environment; without it the command is run."""

words = [word for word in sys.argv[1:] if not word.startswith(UNLESS)]
version = f"version_info = {'.'.join(map(str, sys.version_info[:3]))}."
for word in set(sys.argv[1:]).difference(words):
    home = Path(word.removeprefix(UNLESS)) / "pyvenv.cfg"
    if home.is_file() and version in home.read_text("utf-8"):
        print("`tox -e newest` runs all tests with this Python: nothing is run twice.")
        print("To run some with this environment, name them behind two dashes.")
        sys.exit()
sys.exit(subprocess.call(words))
