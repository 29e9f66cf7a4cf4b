"""Runs a command and prints what it has cost: seconds, CPU seconds, MiB.

A process of its own, and a small one: to Linux the memory of who starts a program is the program's
own until it has more (`exec_mmap` in fs/exec.c), and a benchmark that holds jobs has much.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

if sys.platform == "win32":
    raise SystemExit("not on Windows, where nobody tells the peak memory")
started = time.perf_counter()
child = subprocess.Popen(
    sys.argv[1:],
    stdin=subprocess.DEVNULL,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
)
_, status, usage = os.wait4(child.pid, 0)
seconds = time.perf_counter() - started
scale = 1024**2 if sys.platform == "darwin" else 1024
print(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / scale)
child.returncode = os.waitstatus_to_exitcode(status)
sys.exit(child.returncode)
