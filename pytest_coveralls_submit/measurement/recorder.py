"""Record the analyses of coverage's reports."""

from __future__ import annotations

import contextlib
import os
from array import array
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..text import one_line

if TYPE_CHECKING:
    from coverage import Coverage


@dataclass(frozen=True, slots=True)
class FileCoverage:
    """Hold the part of coverage's analysis that a job needs."""

    path: str  # absolute, or relative to the directory where the session started
    executed: array[int]  # line numbers from 1, ascending
    missing: array[int]  # likewise
    branches: array[int] | None  # flat line, hit; None where not measured


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
        with noting_failure(str(morf), self.failed):
            analysis = self._analyze(morf, *args, **kwargs)
        try:
            # pytest-cov 7.1 makes a report for the total before those that were asked for.
            if analysis.filename not in self.files:
                self.files[analysis.filename] = _from_analysis(analysis)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            self.trouble = one_line(error)  # coverage's own report must not notice
        return analysis


@contextlib.contextmanager
def noting_failure(path: str, failed: dict[str, str]) -> Iterator[None]:
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
    return FileCoverage(
        analysis.filename,
        array("i", sorted(analysis.executed & analysis.statements)),
        array("i", sorted(analysis.missing)),
        branches,
    )


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
