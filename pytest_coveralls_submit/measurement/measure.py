"""Get the reported lines and branches from a Coverage object.

An earlier report has analysed the files, and was recorded. Where recording is not possible, the
public JSON report gives the same, slower.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import warnings
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from json import loads
from pathlib import Path
from typing import Any

from coverage import Coverage

from ..text import one_line


@dataclass(frozen=True, slots=True)
class FileCoverage:
    """Hold the part of coverage's analysis that a job needs."""

    path: str  # absolute, or relative to the directory where the session started
    executed: array[int]  # line numbers from 1, ascending
    missing: array[int]  # likewise
    branches: array[int] | None  # flat line, hit; None where not measured


@dataclass(frozen=True, slots=True)
class Measurement:
    """Hold the files that coverage reports and those it cannot."""

    files: tuple[FileCoverage, ...]  # sorted by path, which is absolute
    failed: Mapping[str, str]  # path -> why coverage could not analyse the file
    notices: tuple[str, ...] = ()
    details: tuple[str, ...] = field(default=(), compare=False)  # lines for -v

    @property
    def percent(self) -> float:
        """Return coverage.py's own total: covered lines and branches in percent."""
        covered = total = 0
        for file in self.files:
            taken = sum(file.branches[1::2]) if file.branches else 0
            covered += len(file.executed) + taken
            total += len(file.executed) + len(file.missing) + len(file.branches or ()) // 2
        return 100.0 * covered / total if total else 100.0


class Recorder(contextlib.AbstractContextManager["Recorder"]):
    """Record the analyses of a Coverage object until the exit.

    Wraps ``Coverage._analyze``, the one private call used here. Where it is missing or returns
    something unexpected, ``trouble`` says so, and the public JSON report is used.
    """

    def __init__(self, cov: Coverage) -> None:
        self.cov = cov
        self.files: dict[str, FileCoverage] = {}
        self.failed: dict[str, str] = {}
        self.trouble: str | None = None
        try:
            self._analyze = cov._analyze  # noqa: SLF001
            cov._analyze = self._record  # type: ignore[method-assign]  # noqa: SLF001
        except AttributeError as error:
            self.trouble = one_line(error)

    def __exit__(self, *_: object) -> None:
        # A compiled class has no __dict__, and was not wrapped.
        getattr(self.cov, "__dict__", {}).pop("_analyze", None)

    def _record(self, morf: Any, *args: Any, **kwargs: Any) -> Any:
        with _noting_failure(str(morf), self.failed):
            analysis = self._analyze(morf, *args, **kwargs)
        try:
            # pytest-cov 7.1 makes a report for the total before those that were asked for.
            if analysis.filename not in self.files:
                self.files[analysis.filename] = _from_analysis(analysis)
        except Exception as error:  # noqa: BLE001  coverage's own report must not notice
            self.trouble = one_line(error)
        return analysis


@contextlib.contextmanager
def _noting_failure(path: str, failed: dict[str, str]) -> Iterator[None]:
    """Note an error that coverage would mention, and raise it."""
    try:
        yield
    except Exception as error:  # plugins may raise anything
        # coverage is silent if neither the name nor the content of a file is Python's.
        extension = os.path.splitext(path)[1]  # noqa: PTH122  a name, perhaps of no file
        is_python = not extension or extension.startswith(".py")
        if is_python or type(error).__name__ != "NotPython":
            failed[path] = one_line(error)
        raise


def _from_analysis(analysis: Any) -> FileCoverage:
    branches = None
    if analysis.has_arcs:
        branches = number_branches(
            analysis.branch_stats(),
            analysis.executed_branch_arcs(),
            analysis.missing_branch_arcs(),
            analysis.excluded,
        )
    executed = array("i", sorted(analysis.executed & analysis.statements))
    missing = array("i", sorted(analysis.missing))
    return FileCoverage(analysis.filename, executed, missing, branches)


def number_branches(
    stats: Mapping[int, tuple[int, int]],
    executed: Mapping[int, Collection[int]],
    missing: Mapping[int, Collection[int]],
    excluded: Collection[int],
) -> array[int]:
    """Return ``line, hit`` of each branch, ordered by source.

    Ordered by destination, so that jobs that took different branches number them alike.

    Args:
        stats: line -> (branches, taken branches), from ``Coverage.branch_stats``.
        executed, missing: line -> destinations.
        excluded: lines excluded from coverage.
    """
    branches = array("i")
    for line in sorted(stats):
        total, taken = stats[line]
        untaken = set(missing.get(line, ()))
        destinations = sorted((set(executed.get(line, ())) | untaken).difference(excluded))
        hits = [int(destination not in untaken) for destination in destinations]
        # coverage.py counts no branch as missing on lines marked "no branch".
        if len(hits) != total or sum(hits) != taken:
            hits = [1] * taken + [0] * (total - taken)
        for hit in hits:
            branches.extend((line, hit))
    return branches


def measure(cov: Coverage, *, start: Path, recorder: Recorder | None = None) -> Measurement:
    """Return the reported lines and branches; release the recorder.

    Args:
        cov: with complete data.
        start: the directory that relative paths start from.
    """
    if recorder is None or recorder.cov is not cov:
        recorder = Recorder(cov)
    files, failed = recorder.files, recorder.failed
    details: tuple[str, ...] = ()
    with recorder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they came before, or are printed otherwise
        _analyse_rest(recorder)
        if recorder.trouble or not files:
            files, failed = _from_json(cov)
            if files:
                reason = recorder.trouble or "its reports work differently"
                details = (f"coverage's analyses could not be recorded ({reason}): it took longer",)
    absolute = [
        # os.path, because a Path for each of thousands costs ten times as much
        replace(file, path=os.path.join(start, file.path))  # noqa: PTH118
        for file in files.values()
    ]
    absolute.sort(key=lambda file: file.path)
    return Measurement(tuple(absolute), failed, details=details)


def _analyse_rest(recorder: Recorder) -> None:
    """Let coverage report the files without an analysis."""
    if _not_analysed(recorder):
        # Only a report maps paths ([paths] of the configuration); this one has no files.
        _report(recorder.cov, None, include="/")
    rest = sorted(_not_analysed(recorder))
    # In four parts, because a report keeps its large analyses until it ends.
    for part in filter(None, (rest[start::4] for start in range(4))):
        if recorder.trouble is None:
            _report(recorder.cov, part)


def _not_analysed(recorder: Recorder) -> set[str]:
    measured = recorder.cov.get_data().measured_files()
    return measured - recorder.files.keys() - recorder.failed.keys()


def _report(cov: Coverage, morfs: list[str] | None, include: str | None = None) -> None:
    """Make coverage's cheapest report, for the analyses that it makes."""
    # It may find nothing to report, or fail at a file that the recorder has noted.
    with contextlib.suppress(Exception):
        cov.report(
            morfs, file=io.StringIO(), include=include, output_format="total", ignore_errors=True
        )


def _from_json(cov: Coverage) -> tuple[dict[str, FileCoverage], dict[str, str]]:
    """Build files and failures from the public JSON report."""
    failed: dict[str, str] = {}
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        outfile = Path(folder, "report.json")
        with contextlib.suppress(Exception):  # it raises where no file is left to report
            cov.json_report(outfile=str(outfile), ignore_errors=True)
            report = loads(outfile.read_text("utf-8"))["files"]
    reported = {os.path.realpath(name) for name in report}
    for path in sorted(cov.get_data().measured_files()):
        if os.path.realpath(path) not in reported:
            with contextlib.suppress(Exception), _noting_failure(path, failed):
                cov.analysis2(path)  # an omitted file raises nothing
    return {name: _from_report(cov, name, file) for name, file in report.items()}, failed


def _from_report(cov: Coverage, name: str, file: Mapping[str, Any]) -> FileCoverage:
    branches = None
    if "executed_branches" in file:
        branches = number_branches(
            cov.branch_stats(name),
            _destinations(file["executed_branches"]),
            _destinations(file["missing_branches"]),
            file["excluded_lines"],
        )
    # Older releases list lines among the executed that are no statements.
    executed = set(file["executed_lines"]).intersection(cov.analysis2(name)[1])
    missing = array("i", file["missing_lines"])
    return FileCoverage(name, array("i", sorted(executed)), missing, branches)


def _destinations(arcs: Iterable[tuple[int, int]]) -> dict[int, set[int]]:
    of_line: dict[int, set[int]] = {}
    for line, destination in arcs:
        of_line.setdefault(line, set()).add(destination)
    return of_line


def current() -> Coverage | None:
    """Return the Coverage object that measures this process, if any."""
    return Coverage.current()
