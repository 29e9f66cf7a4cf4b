"""Analyses many files in several processes, where no report has analysed them yet.

Gives what one process would, or nothing where it cannot or where it would not pay; 1,000 files of
150 lines took 60 % of the time on two cores.
"""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

from .. import children, process
from ..errors import ProcessError
from ..text import one_line
from .recorder import Recorder, analyse_by_reporting, warnings_unheard

if TYPE_CHECKING:
    import subprocess

    from coverage import Coverage

FEWEST = 300
"""Files from which on it is worth starting processes."""
MOST = 8
"""Processes; more of them mostly wait for each other."""
NOTHING = "no such file"
"""A report maps paths, even one of nothing."""
PATIENCE = 600.0
"""Seconds after which the work is done here instead."""
BOOT = """
import pickle, sys
from pytest_coveralls_submit.measurement.processes import work
work(pickle.load(sys.stdin.buffer), sys.stdout.buffer)
"""


def share(cov: Coverage, recorder: Recorder, start: Path, env: Mapping[str, str]) -> str | None:
    """Let other processes analyse their share of what ``cov`` has measured, and this one its own.

    Args:
        cov: with its data complete.
        recorder: of what ``cov`` analyses; all that was analysed is in it afterwards.
        start: the directory of session start.
        env: the environment of session start.

    Returns:
        why the other shares are missing: something went wrong. None where all is there, and where
        nothing was shared: too few files or cores, or plugins of coverage, which may depend on
        this process.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if cores is None or cores == 1 or len(cov.get_data().measured_files()) < FEWEST:
        return None
    if cov.config.plugins:
        return None
    try:
        _share(cov, recorder, start, env, min(cores, MOST))
    except Exception as error:  # noqa: BLE001  it is only faster: the caller does the rest
        return one_line(error)
    return None


def _share(
    cov: Coverage, recorder: Recorder, start: Path, env: Mapping[str, str], count: int
) -> None:
    config, data = pickle.dumps(vars(cov.config)), cov.get_data().dumps()
    with contextlib.ExitStack() as stack:
        others = [_start(stack, start, env) for _ in range(1, count)]
        for index, child in enumerate(others, 1):
            assert child.stdin is not None
            request = (_version(), config, data, index, count)
            pickle.dump(request, child.stdin)
            child.stdin.close()
        _analyse(recorder, 0, count)
        for child in others:
            assert child.stdout is not None
            files, failed = pickle.load(child.stdout)  # noqa: S301  of our own child
            recorder.files.update(files)
            recorder.failed.update(failed)


def _analyse(recorder: Recorder, index: int, count: int) -> None:
    """Let coverage report one of ``count`` shares of the files; what fails stops no other."""
    cov = recorder.cov
    analyse_by_reporting(cov, [NOTHING])
    recorder.failed.pop(NOTHING, None)
    paths = set(sorted(cov.get_data().measured_files(), key=_size)[index::count])
    analyse_by_reporting(cov, paths)
    for path in paths - recorder.files.keys() - recorder.failed.keys():
        analyse_by_reporting(cov, [path])


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
    recorder = Recorder(cov, is_kept=False)
    with warnings_unheard():
        _analyse(recorder, index, count)
    if recorder.trouble is not None:
        raise ProcessError(recorder.trouble)
    pickle.dump((recorder.files, recorder.failed), stdout)


def _size(path: str) -> tuple[int, str]:
    """By this each share has its part of the large files; a name decides between equal ones."""
    try:
        return Path(path).stat().st_size, path
    except OSError:
        return 0, path
