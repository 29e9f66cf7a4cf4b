"""Analyses many files in several processes, where no report has analysed them yet.

Gives what one process would, or None where it cannot or where it would not pay; 500 files of
150 lines took 60 % of the time on two cores.
"""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from .. import children, process
from ..errors import ProcessError
from .recorder import Recorder, analyse_by_reporting, warnings_unheard
from .records import Analyses

if TYPE_CHECKING:
    import subprocess

    from coverage import Coverage

FEWEST = 300
"""Files from which on it is worth starting processes."""
MOST = 8
"""Processes; more of them mostly wait for each other."""
PATIENCE = 600.0
"""Seconds after which the work is done here instead."""
BOOT = """
import pickle, sys
from pytest_coveralls_submit.measurement.processes import work
work(pickle.load(sys.stdin.buffer), sys.stdout.buffer)
"""


def analyse_all(cov: Coverage, start: Path, env: Mapping[str, str]) -> Analyses | None:
    """Analyse all that ``cov`` has measured.

    Args:
        cov: with its data complete.
        start: the directory of session start.
        env: the environment of session start.

    Returns:
        the analyses, or None: too few files or cores, plugins of coverage that may depend on
        this process, or something went wrong.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if cores is None or cores == 1 or len(cov.get_data().measured_files()) < FEWEST:
        return None
    try:
        return None if cov.config.plugins else _gather(cov, start, env, min(cores, MOST))
    except Exception:  # noqa: BLE001  it is only faster: the caller does without
        return None


def _gather(cov: Coverage, start: Path, env: Mapping[str, str], count: int) -> Analyses:
    config, data = pickle.dumps(vars(cov.config)), cov.get_data().dumps()
    files: dict[str, Any] = {}
    failed: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        children = [_start(stack, start, env) for _ in range(count)]
        for index, child in enumerate(children):
            assert child.stdin is not None
            request = (_version(), config, data, index, count)
            pickle.dump(request, child.stdin)
            child.stdin.close()
        for child in children:
            assert child.stdout is not None
            share = pickle.load(child.stdout)  # noqa: S301  of our own child
            files.update(share[0])
            failed.update(share[1])
    return files, failed


def _start(
    stack: contextlib.ExitStack, folder: Path, env: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    child = children.start(BOOT, env=children.environment(env), cwd=folder)
    stack.enter_context(process.watched(child, PATIENCE))
    return child


def _version() -> str:
    import coverage

    return coverage.__version__


def work(request: tuple[str, bytes, bytes, int, int], stdout: IO[bytes]) -> None:
    """Analyse one share of the files, in a process of its own, and write the analyses."""
    import coverage

    version, config, data, index, count = request
    if version != coverage.__version__:
        raise ProcessError("another version of coverage was found")
    cov = coverage.Coverage(data_file=None, config_file=False)
    vars(cov.config).update(pickle.loads(config))  # noqa: S301  from our own parent
    cov.get_data().loads(data)
    with warnings_unheard():
        analyse_by_reporting(cov, ["a report maps paths, even one of nothing"])
        share = set(sorted(cov.get_data().measured_files(), key=_size)[index::count])
        recorder = Recorder(cov)
        analyse_by_reporting(cov, share)
        for path in share - recorder.files.keys() - recorder.failed.keys():
            analyse_by_reporting(cov, [path])
    if recorder.trouble is not None:
        raise ProcessError(recorder.trouble)
    pickle.dump((recorder.files, recorder.failed), stdout)


def _size(path: str) -> tuple[int, str]:
    """By this each share has its part of the large files; a name decides between equal ones."""
    try:
        return Path(path).stat().st_size, path
    except OSError:
        return 0, path
