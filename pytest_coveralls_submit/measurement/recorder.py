"""Records what a Coverage object analyses while it makes any report."""

from __future__ import annotations

import contextlib
import os
import warnings
from array import array
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..text import one_line

if TYPE_CHECKING:
    from coverage import Coverage


@dataclass(frozen=True, slots=True)
class FileCoverage:
    """The part of coverage's analysis of a file that a job needs.

    Args:
        path: as coverage names it: absolute, or relative to the directory of session start.
        executed: line numbers, from 1, in their order.
        missing: the same of lines that did not run.
        branches: flat ``line, hit``, ordered by line and branch; None where not measured.
    """

    path: str
    executed: array[int]
    missing: array[int]
    branches: array[int] | None


class Recorder(contextlib.AbstractContextManager["Recorder"]):
    """Record what a Coverage object analyses, until released.

    Wraps ``Coverage._analyze``, the one private call used here. Where it is missing, or returns
    something else than expected, ``trouble`` says so: then the public JSON report is used.

    Args:
        cov: the object whose analyses are recorded.
    """

    def __init__(self, cov: Coverage) -> None:
        self.cov = cov
        self.files: dict[str, FileCoverage] = {}
        self.failed: dict[str, str] = {}
        self.trouble: str | None = None
        self._analyze: Callable[..., Any]
        try:
            self._analyze = cov._analyze  # noqa: SLF001  see above
            cov._analyze = self._record  # type: ignore[method-assign]  # noqa: SLF001
        except (AttributeError, TypeError) as error:
            self.trouble = one_line(error)

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Give the Coverage object its own method back."""
        with contextlib.suppress(TypeError):  # an object without attributes was never wrapped
            vars(self.cov).pop("_analyze", None)

    def _record(self, morf: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            analysis = self._analyze(morf, *args, **kwargs)
        except Exception as error:
            if is_reported(str(morf), error):
                self.failed[str(morf)] = one_line(error)
            raise
        try:
            # pytest-cov 7.1 makes a report for the total before those that were asked for.
            if analysis.filename not in self.files:
                self.files[analysis.filename] = _from_analysis(analysis)
        except Exception as error:  # noqa: BLE001  coverage's own report must not notice
            self.trouble = one_line(error)
        return analysis


def is_reported(path: str, error: Exception) -> bool:
    """Tell whether coverage would mention an error.

    It is silent about files that hold no Python and do not look like it.
    """
    extension = os.path.splitext(path)[1]  # noqa: PTH122  a name, perhaps of no file
    is_python = not extension or extension.startswith(".py")
    return is_python or type(error).__name__ != "NotPython"


def _from_analysis(analysis: Any) -> FileCoverage:
    has_arcs = analysis.has_arcs
    branches = None
    if has_arcs() if callable(has_arcs) else has_arcs:
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
    """Return ``line, hit`` of each branch, ordered by the source alone.

    The branches of a line are ordered by destination, so that two jobs that took different ones
    number them alike. coverage.py counts no branches to excluded lines, and on lines marked "no
    branch" none as missing: there its statistics decide.

    Args:
        stats: line -> (branches, taken ones), as ``Coverage.branch_stats`` gives them.
        executed, missing: line -> destinations.
        excluded: lines that coverage leaves out.
    """
    branches = array("i")
    for line in sorted(stats):
        total, taken = stats[line]
        untaken = set(missing.get(line, ()))
        destinations = sorted((set(executed.get(line, ())) | untaken).difference(excluded))
        hits = [int(destination not in untaken) for destination in destinations]
        if len(hits) != total or sum(hits) != taken:
            hits = [1] * taken + [0] * (total - taken)
        for hit in hits:
            branches.extend((line, hit))
    return branches


@contextlib.contextmanager
def suppressed_warnings() -> Iterator[None]:
    """Silence coverage's warnings: it gave them before, or we print our own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
