"""A Coverage object with complete data -> what it reports of every file.

A report that was already made has analysed the files, and was recorded. Where recording is not
possible, the public JSON report gives the same, slower.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from json import loads
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import MeasurementError
from ..text import one_line
from .recorder import FileCoverage, Recorder, is_reported, number_branches, suppressed_warnings

if TYPE_CHECKING:
    from coverage import Coverage

_Analyses: TypeAlias = tuple[Mapping[str, FileCoverage], dict[str, str]]


@dataclass(frozen=True, slots=True)
class Measurement:
    """All that coverage reports, and what it could not.

    Args:
        files: sorted by path, which is absolute.
        failed: path -> why coverage could not analyse the file.
        slow_reason: why coverage had to analyse all files again; None where it did not.
        notices: what the user should know of the measured data, a line each.
    """

    files: tuple[FileCoverage, ...]
    failed: Mapping[str, str]
    slow_reason: str | None = field(default=None, compare=False)
    notices: tuple[str, ...] = ()

    @property
    def details(self) -> tuple[str, ...]:
        """Return lines for ``-v`` on how the files were measured."""
        if self.slow_reason is None:
            return ()
        return (f"coverage's analyses could not be recorded ({self.slow_reason}): it took longer",)

    @property
    def percent(self) -> float:
        """Return coverage.py's own total: covered lines and branches in percent."""
        covered = total = 0
        for file in self.files:
            taken = sum(file.branches[1::2]) if file.branches else 0
            covered += len(file.executed) + taken
            total += len(file.executed) + len(file.missing) + len(file.branches or ()) // 2
        return 100.0 * covered / total if total else 100.0


def measure(cov: Coverage, *, start: Path, recorder: Recorder | None = None) -> Measurement:
    """Return what ``cov`` reports of every file; release its recorder.

    Args:
        cov: with complete data.
        start: the directory of session start, which relative paths are relative to.
        recorder: of what ``cov`` has analysed so far.

    Raises:
        MeasurementError: coverage's report cannot be written.
    """
    if recorder is None or recorder.cov is not cov:
        recorder = Recorder(cov)
    with recorder, suppressed_warnings():
        measured = cov.get_data().measured_files()
        if not measured:
            return Measurement((), {})
        _analyse_rest(recorder)
        trouble = recorder.trouble
        if trouble is None and not recorder.files:
            trouble = "its reports do not use what is recorded"
        analyses: _Analyses = recorder.files, recorder.failed
        if trouble is not None:
            analyses = _from_json(cov, measured)
    files, failed = analyses
    folder = str(start)
    absolute = [
        # os.path, because a Path for each of thousands costs ten times as much
        replace(file, path=os.path.join(folder, file.path))  # noqa: PTH118
        for file in files.values()
    ]
    absolute.sort(key=lambda file: file.path)
    return Measurement(tuple(absolute), dict(failed), trouble if files else None)


def _analyse_rest(recorder: Recorder) -> None:
    """Let coverage report what no report has analysed yet."""
    cov = recorder.cov
    if recorder.trouble is None and not recorder.files:
        _analyse_by_reporting(cov, None)
    before: set[str] = set()
    while recorder.trouble is None:
        # Only a report maps paths ([paths] of the configuration): files have their names after it.
        rest = cov.get_data().measured_files() - recorder.files.keys() - recorder.failed.keys()
        if not rest or rest == before:
            break
        before = rest
        _analyse_by_reporting(cov, rest)


def _analyse_by_reporting(cov: Coverage, morfs: Iterable[str] | None) -> None:
    """Make coverage's cheapest report, for the analyses that it makes."""
    # It may find nothing to report, or fail at a file that the recorder has noted.
    with contextlib.suppress(Exception):
        cov.report(morfs, file=io.StringIO(), output_format="total", ignore_errors=True)


def _from_json(cov: Coverage, measured: Iterable[str]) -> _Analyses:
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
    except Exception as error:  # noqa: BLE001  the caller tells them apart
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
    """Return the Coverage object that measures this process, if any."""
    import coverage

    return coverage.Coverage.current()
