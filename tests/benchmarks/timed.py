"""Runs one command after the other and says what each has cost: a JSON object a line, in and out.

A process of its own, and a small one: to Linux the memory of who starts a program is the program's
own until it has more (`exec_mmap` in fs/exec.c), and a benchmark that holds jobs has much.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

if sys.platform == "win32":
    raise SystemExit("not on Windows, where nobody tells the peak memory")
for line in sys.stdin:
    asked = json.loads(line)
    started = time.perf_counter()
    child = subprocess.Popen(
        asked["command"],
        cwd=asked["cwd"],
        env=asked["env"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    scale = 1024**2 if sys.platform == "darwin" else 1024
    told = {
        "status": child.returncode,
        "cost": [seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / scale],
    }
    print(json.dumps(told), flush=True)
