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
lowest.append("urllib3<2")  # requests of that age takes it as well as the next
pip = [sys.executable, "-m", "pip"]
# What they need is there; looking for it again, pip goes through all releases of coverage.
subprocess.run([*pip, "install", "--no-deps", *lowest], check=True)
sys.exit(subprocess.call([*pip, "check"]))
