"""Analyses many files in several processes, where pytest-cov made no report.

Gives what one process would, or None where it cannot or where it would not pay; 500 files of
150 lines took 60 % of the time on two cores.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from .. import process
from ..errors import ProcessError
from .measure import quiet, report
from .recorder import Keeper
from .records import Found

if TYPE_CHECKING:
    from coverage import Coverage

FEWEST = 300
"""Files from which on it is worth starting processes."""
PATIENCE = 600.0
"""Seconds after which the work is done here instead."""
BOOT = """
import pickle, sys
path, request = pickle.load(sys.stdin.buffer)
sys.path += [entry for entry in path if entry not in sys.path]
from pytest_coveralls_submit.measurement.processes import work
work(request, sys.stdout.buffer)
"""


def analyse(cov: Coverage, folder: Path, env: Mapping[str, str]) -> Found | None:
    """Analyse all that ``cov`` has measured.

    Args:
        cov: with its data complete.
        folder: the directory of session start.
        env: the environment of session start.

    Returns:
        what was found, or None: too few files or cores, plugins of coverage that may depend on
        this process, or something went wrong.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if (cores or 1) < 2 or len(cov.get_data().measured_files()) < FEWEST:  # noqa: PLR2004
        return None
    try:
        if cov.config.plugins:
            return None
        return _gather(cov, folder, env, min(cores or 1, 8))
    except Exception:  # noqa: BLE001  it is only faster: the caller does without
        return None


def _gather(cov: Coverage, folder: Path, env: Mapping[str, str], count: int) -> Found:
    config, data = pickle.dumps(vars(cov.config)), cov.get_data().dumps()
    files: dict[str, Any] = {}
    failed: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        children = [_start(stack, folder, env) for _ in range(count)]
        for index, child in enumerate(children):
            assert child.stdin is not None
            request = (_version(), config, data, index, count)
            pickle.dump((sys.path, request), child.stdin)
            child.stdin.close()
        for child in children:
            assert child.stdout is not None
            some_files, some_failed = pickle.load(child.stdout)  # noqa: S301  of our own child
            files.update(some_files)
            failed.update(some_failed)
    return files, failed


def _start(
    stack: contextlib.ExitStack, folder: Path, env: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-c", BOOT]
    clean = {name: env[name] for name in env if not name.startswith(("COV", "PYTEST", "PYTHON"))}
    child = process.start(command, env=clean, cwd=folder, stdin=subprocess.PIPE)
    stack.enter_context(process.watched(child, PATIENCE))
    return child


def _version() -> str:
    import coverage

    return coverage.__version__


def work(request: tuple[str, bytes, bytes, int, int], stdout: IO[bytes]) -> None:
    """Analyse one share of the files, in a process of its own, and write what was found."""
    import coverage

    version, config, data, index, count = request
    if version != coverage.__version__:
        raise ProcessError("another version of coverage was found")
    cov = coverage.Coverage(data_file=None, config_file=False)
    vars(cov.config).update(pickle.loads(config))  # noqa: S301  from our own parent
    cov.get_data().loads(data)
    with quiet():
        report(cov, ["a report maps paths, even one of nothing"])
        share = set(sorted(cov.get_data().measured_files())[index::count])
        keeper = Keeper(cov)
        report(cov, share)
        for path in share - keeper.files.keys() - keeper.failed.keys():
            report(cov, [path])
    pickle.dump((keeper.files, keeper.failed), stdout)
