"""Install the lowest versions that the package says it supports; run by ``tox -e lowest``."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import requires

lowest = [
    f"{found[1]}=={found[2]}"
    for line in requires("pytest-coveralls-submit") or ()
    if (found := re.match(r"([\w-]+)>=([\w.]+)", line))
]
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", *lowest]))
