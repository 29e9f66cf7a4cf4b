"""A Coverage object whose data is complete -> what it reports of every file.

Each file is analysed once: what a report has analysed is recorded in passing. Where that cannot
be done the public JSON report gives the same, slower.
"""

from __future__ import annotations

import os
import tempfile
from array import array
from collections.abc import Iterable, Mapping
from json import loads
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MeasurementError
from ..text import one_line
from .processes import share
from .recorder import (
    Recorder,
    analyse_by_reporting,
    is_reported,
    number_branches,
    warnings_unheard,
)
from .records import Analyses, FileCoverage, Measurement

if TYPE_CHECKING:
    from coverage import Coverage


def of(
    cov: Coverage, *, start: Path, env: Mapping[str, str], recorder: Recorder | None = None
) -> Measurement:
    """Return what ``cov`` reports of every file, and release its recorder.

    Args:
        cov: with its data complete.
        start: the directory of session start, which relative paths are relative to.
        env: the environment of session start, for processes that share the work.
        recorder: of what ``cov`` has analysed so far, if anybody made one.

    Raises:
        MeasurementError: coverage's report cannot be written.
    """
    if recorder is None or recorder.cov is not cov:
        recorder = Recorder(cov, is_kept=False)
    with recorder, warnings_unheard():
        measured = cov.get_data().measured_files()
        if not measured:
            return Measurement((), {})
        alone_reason = analyse_rest(recorder, start, env)
        trouble = recorder.trouble
        if trouble is None and not recorder.files:
            trouble = "its reports do not use what is recorded"
        if trouble is None:
            analyses: Analyses = recorder.files, recorder.failed
        else:
            analyses = _from_json(cov, measured)
    folder = str(start)
    files = [  # os.path, because a Path for each of thousands costs ten times as much
        FileCoverage(
            os.path.join(folder, file.path),  # noqa: PTH118
            file.executed,
            file.missing,
            file.branches,
        )
        for file in analyses[0].values()
    ]
    files.sort(key=lambda file: file.path)
    slow_reason = trouble if files else None
    return Measurement(tuple(files), dict(analyses[1]), slow_reason, alone_reason)


def analyse_rest(recorder: Recorder, start: Path, env: Mapping[str, str]) -> str | None:
    """Let coverage report what no report has analysed yet; a file that fails is left out once.

    Returns:
        why no other process could share that, see `processes.share`.
    """
    cov = recorder.cov
    recorder.is_kept = False  # no other report comes after these
    alone_reason = None
    if recorder.trouble is None and not recorder.files:
        alone_reason = share(cov, recorder, start, env)
        if not recorder.files:
            analyse_by_reporting(cov, None)
    before: set[str] = set()
    while recorder.trouble is None:
        # Only a report maps paths ([paths] of the configuration): files have their names after it.
        rest = cov.get_data().measured_files() - recorder.files.keys() - recorder.failed.keys()
        if not rest or rest == before:
            break
        before = rest
        analyse_by_reporting(cov, rest)
    return alone_reason


def _from_json(cov: Coverage, measured: Iterable[str]) -> Analyses:
    """Build the same from the public JSON report; slower, and equal."""
    report = _json_report(cov, None)
    failed: dict[str, str] = {}
    if isinstance(report, Exception):
        report = {}
    reported = {os.path.realpath(name) for name in report}
    for path in sorted(cov.get_data().measured_files() or measured):
        if os.path.realpath(path) in reported:
            continue
        one = _json_report(cov, [path])
        if not isinstance(one, Exception):
            report.update(one)
        elif type(one).__name__ != "NoDataError" and is_reported(path, one):  # else omitted
            failed[path] = one_line(one)
    return {name: _from_report(cov, name, file) for name, file in report.items()}, failed


def _json_report(cov: Coverage, morfs: list[str] | None) -> dict[str, Any] | Exception:
    try:
        handle, name = tempfile.mkstemp(suffix=".json")
    except OSError as error:
        raise MeasurementError(f"coverage's report cannot be written: {error}") from None
    os.close(handle)
    try:
        cov.json_report(morfs, outfile=name, ignore_errors=morfs is None)
        report = loads(Path(name).read_text("utf-8"))
    except Exception as error:  # noqa: BLE001  told apart by the caller
        return error
    finally:
        Path(name).unlink(missing_ok=True)
    files: dict[str, Any] = report["files"]
    return files


def _from_report(cov: Coverage, name: str, file: Mapping[str, Any]) -> FileCoverage:
    branches = None
    if "executed_branches" in file:
        branches = number_branches(
            cov.branch_stats(name),
            _destinations(file["executed_branches"]),
            _destinations(file["missing_branches"]),
            file["excluded_lines"],
        )
    executed = set(file["executed_lines"])
    if len(executed) + len(file["missing_lines"]) != file["summary"]["num_statements"]:
        # Older releases list lines among the executed that are no statements.
        executed &= set(cov.analysis2(name)[1])
    missing = array("i", file["missing_lines"])
    return FileCoverage(name, array("i", sorted(executed)), missing, branches)


def _destinations(arcs: Iterable[tuple[int, int]]) -> dict[int, set[int]]:
    of_line: dict[int, set[int]] = {}
    for line, destination in arcs:
        of_line.setdefault(line, set()).add(destination)
    return of_line


def current() -> Coverage | None:
    """Return the Coverage object that measures this process from outside pytest, if any."""
    import coverage

    return coverage.Coverage.current()
