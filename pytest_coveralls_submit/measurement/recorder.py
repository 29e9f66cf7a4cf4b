"""Records what a Coverage object analyses, while it does so for any report."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import warnings
import weakref
import zlib
from array import array
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..text import one_line
from .records import FileCoverage, PackedFiles

if TYPE_CHECKING:
    from coverage import Coverage


class Recorder(contextlib.AbstractContextManager["Recorder"]):
    """Records what a Coverage object analyses, until it is released.

    Wraps ``Coverage._analyze``, the one private call used here; where it is missing or gives
    something else, :attr:`trouble` says so and the public JSON report is used instead.

    A file is analysed once, however many reports there are: pytest-cov 7.1 makes one for the
    total before those that were asked for. What the first has found is kept packed for the others.

    Args:
        cov: whose analyses are recorded.
        is_kept: whether other reports may follow, for which analyses are kept.
    """

    def __init__(self, cov: Coverage, *, is_kept: bool = True) -> None:
        self.cov = cov
        self.is_kept = is_kept
        self.files = PackedFiles()
        self.failed: dict[str, str] = {}
        self.trouble: str | None = None
        """Why not all that was analysed could be recorded; None where it could."""
        # The precision of the report is part of an analysis, for its percentages.
        self._packed: dict[object, Store] = defaultdict(Store)
        self._analyze: Callable[..., Any]
        try:
            self._analyze = cov._analyze  # noqa: SLF001  see above
            cov._analyze = self._record  # type: ignore[method-assign]  # noqa: SLF001
        except Exception as error:  # noqa: BLE001  the name is gone, or does not let itself be set
            self.trouble = one_line(error)

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Give the Coverage object its own method back; may be called again."""
        with contextlib.suppress(TypeError):  # an object without attributes was never wrapped
            vars(self.cov).pop("_analyze", None)
        self._packed.clear()

    def _record(self, morf: Any, *args: Any, **kwargs: Any) -> Any:
        path = str(morf)
        packed = self._packed[getattr(self.cov.config, "precision", None)]
        if path in packed:
            for reporter in (*args, *kwargs.values()):  # an argument since coverage 7.15.2
                make_ready(reporter)
            return packed.get(path)
        try:
            analysis = self._analyze(morf, *args, **kwargs)
        except Exception as error:
            if is_reported(path, error):
                self.failed[path] = one_line(error)
            raise
        try:
            file = from_analysis(analysis)
            self.files[file.path] = file
        except Exception as error:  # noqa: BLE001  coverage's own report must not notice it
            self.trouble = one_line(error)
            return analysis
        if self.is_kept:
            with contextlib.suppress(Exception):  # then it is analysed again
                packed.put(path, analysis)
        return analysis


class Store:
    """Analyses, packed: 1.3 KB for a file of 150 lines, and a hundredth of the time it took.

    One buffer, because a thousand small ones among coverage's own objects kept six times their
    size from being used again. What is the same in all of them is the compressor's dictionary.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._ends = array("Q", [0])
        self._numbers: dict[str, int] = {}
        self._first = b""

    def __contains__(self, path: str) -> bool:
        return path in self._numbers

    def put(self, path: str, analysis: object) -> None:
        """Keep an analysis; raise whatever pickle raises for one of another kind."""
        pickled = pickle.dumps(analysis, pickle.HIGHEST_PROTOCOL)
        self._first = self._first or pickled
        compressor = zlib.compressobj(1, zdict=self._first)
        self._buffer += compressor.compress(pickled)
        self._buffer += compressor.flush()
        self._numbers[path] = len(self._numbers)
        self._ends.append(len(self._buffer))

    def get(self, path: str) -> Any:
        """Return an equal of what was put there; the bytes never left this process."""
        number = self._numbers[path]
        start, end = self._ends[number : number + 2]
        decompressor = zlib.decompressobj(zdict=self._first)
        pickled = decompressor.decompress(memoryview(self._buffer)[start:end])
        analysis = pickle.loads(pickled)  # noqa: S301
        for name, value in vars(analysis).items():
            if isinstance(value, set):
                # A set that grew while it was unpickled has up to four times the room it needs.
                setattr(analysis, name, set(value))
        return analysis


def make_ready(reporter: Any) -> None:
    """Let a file reporter whose file was not analysed again describe arcs all the same.

    coverage 7.17 describes none before it was asked for them, as the LCOV report does.
    """
    describe_arc = getattr(type(reporter), "arc_description", None)
    if describe_arc is not None:
        # A weak reference: coverage lets go of one reporter after the other to save memory.
        myself = weakref.ref(reporter)

        def describe_ready(*arguments: Any) -> Any:
            ready: Any = myself()
            ready.arcs()
            return describe_arc(ready, *arguments)

        reporter.arc_description = describe_ready


def is_reported(path: str, error: Exception) -> bool:
    """Tell whether coverage would speak of the error: not of code in files that are no Python."""
    extension = os.path.splitext(path)[1]  # noqa: PTH122  a name, perhaps of no file
    is_python = not extension or extension.startswith(".py")
    return is_python or type(error).__name__ != "NotPython"


def from_analysis(analysis: Any) -> FileCoverage:
    """Take from coverage's ``Analysis`` what a job needs."""
    branches = None
    if analysis.has_arcs if not callable(analysis.has_arcs) else analysis.has_arcs():
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
    """Return ``line, hit`` for each branch, in an order that depends on the source alone.

    A line's branches are ordered by destination, so that two jobs that took different ones still
    number them alike. coverage.py counts neither branches to excluded lines nor, on lines marked
    "no branch", any as missing: there the destinations say less than its statistics, which rule.

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


def analyse_by_reporting(cov: Coverage, morfs: Iterable[str] | None) -> None:
    """Make coverage's cheapest report, for the analyses that it makes.

    Args:
        cov: with its data complete, and a recorder at work.
        morfs: the files, as the data names them; None for all.
    """
    # It may find nothing to report, or fail at a file that the recorder has noted.
    with contextlib.suppress(Exception):
        cov.report(morfs, file=io.StringIO(), output_format="total", ignore_errors=True)


@contextlib.contextmanager
def warnings_unheard() -> Iterator[None]:
    """Let coverage warn of what it already warned of, or of what we say ourselves, unheard."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
