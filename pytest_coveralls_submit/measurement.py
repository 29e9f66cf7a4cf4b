"""pytest-cov's and coverage's live objects: is the data whole, and what was analysed.

Each file is analysed once: what pytest-cov's report analyses is kept in passing. What lines and
branches become in a job is left to ``source_files``.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import tempfile
import warnings
import weakref
import zlib
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from json import loads
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .errors import MeasurementError

if TYPE_CHECKING:
    from coverage import Coverage


@dataclass(frozen=True, slots=True)
class FileCoverage:
    """What a job needs of coverage's analysis of one file; lines count from 1."""

    path: str
    """As coverage names it: absolute, or relative to the directory of session start."""
    executed: array[int]
    missing: array[int]
    branches: array[int] | None
    """``line, hit`` for each branch, in the order of lines and branches; None: not measured."""


Found = tuple[dict[str, FileCoverage], dict[str, str]]
"""Path -> what was found, and path -> why it could not be analysed."""
Together = Callable[["Coverage"], "Found | None"]


@dataclass(frozen=True, slots=True)
class Measurement:
    """All that coverage reports, and what it could not."""

    files: tuple[FileCoverage, ...]
    failed: Mapping[str, str]
    """Path -> why coverage could not analyse the file."""

    @property
    def percent(self) -> float:
        """coverage.py's own total: lines and branches covered, in percent."""
        covered = total = 0
        for file in self.files:
            taken = sum(file.branches[1::2]) if file.branches else 0
            covered += len(file.executed) + taken
            total += len(file.executed) + len(file.missing) + len(file.branches or ()) // 2
        return 100.0 * covered / total if total else 100.0


class Store:
    """Analyses, packed: 1.6 KB for a file of 150 lines, and a hundredth of the time it took.

    One buffer, because a thousand small ones among coverage's own objects kept six times their
    size from being used again.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._places: dict[object, slice] = {}

    def __contains__(self, identity: object) -> bool:
        return identity in self._places

    def put(self, identity: object, analysis: object) -> None:
        """Keep an analysis; raise whatever pickle raises for one of another kind."""
        packed = zlib.compress(pickle.dumps(analysis, pickle.HIGHEST_PROTOCOL), 1)
        start = len(self._buffer)
        self._buffer += packed
        self._places[identity] = slice(start, start + len(packed))

    def get(self, identity: object) -> Any:
        """Return an equal of what was put there; the bytes never left this process."""
        analysis = pickle.loads(zlib.decompress(self._buffer[self._places[identity]]))  # noqa: S301
        for name, value in vars(analysis).items():
            if isinstance(value, set):
                # A set that grew while it was unpickled has up to four times the room it needs.
                setattr(analysis, name, set(value))
        return analysis

    def clear(self) -> None:
        """Forget everything."""
        self._buffer.clear()
        self._places.clear()


class Keeper:
    """Keeps what a Coverage object analyses, while it does so for any report.

    Wraps ``Coverage._analyze``, the one private name used here; where it is missing or gives
    something else, nothing is kept and :func:`measure` falls back on the public JSON report.

    A file is analysed once, however many reports there are: pytest-cov 7.1 makes one for the
    total before those that were asked for. What the first has found is kept packed for the others.
    """

    def __init__(self, cov: Coverage) -> None:
        self.cov = cov
        self.files: dict[str, FileCoverage] = {}
        self.failed: dict[str, str] = {}
        self.is_whole = True
        """Whether all that was analysed could be kept."""
        self._packed = Store()
        self._analyze: Callable[..., Any] = cov._analyze  # noqa: SLF001  see above
        cov._analyze = self._keep  # type: ignore[method-assign]  # noqa: SLF001

    def release(self) -> None:
        """Give the Coverage object its own method back."""
        vars(self.cov).pop("_analyze", None)
        self._packed.clear()

    def _keep(self, morf: Any, *args: Any, **kwargs: Any) -> Any:
        # The precision of the report is part of an analysis, for its percentages.
        identity = (str(morf), getattr(self.cov.config, "precision", None))
        if identity in self._packed:
            for reporter in (*args, *kwargs.values()):
                make_ready(reporter)
            return self._packed.get(identity)
        try:
            analysis = self._analyze(morf, *args, **kwargs)
        except Exception as error:
            if is_reported(str(morf), error):
                self.failed[str(morf)] = describe(error)
            raise
        try:
            file = from_analysis(analysis)
            self.files[file.path] = file
        except Exception:  # noqa: BLE001  coverage's own report must not notice a changed analysis
            self.is_whole = False
            return analysis
        with contextlib.suppress(Exception):  # then it is analysed again
            self._packed.put(identity, analysis)
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


def describe(error: BaseException) -> str:
    """Return an exception as one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


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


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Let coverage warn of what it already warned of, or of what we say ourselves, unheard."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def measure(
    cov: Coverage, keeper: Keeper | None, folder: Path, together: Together | None = None
) -> Measurement:
    """Return what coverage reports of every file, from ``keeper`` where it was kept in passing.

    Args:
        cov: with its data complete.
        keeper: of the same object, or None where there is none.
        folder: the directory of session start, which relative paths are relative to.
        together: analyses all files in several processes, where that is worth it.

    """
    with quiet():
        measured = cov.get_data().measured_files()
        if not measured:
            return Measurement((), {})
        if keeper is not None:
            complete(cov, keeper, together)
        if keeper is None or not keeper.files or not keeper.is_whole:
            files, failed = _from_json(cov, measured)
        else:
            files, failed = list(keeper.files.values()), dict(keeper.failed)
    located = (
        FileCoverage(str(folder / file.path), file.executed, file.missing, file.branches)
        for file in files
    )
    return Measurement(tuple(sorted(located, key=lambda file: file.path)), failed)


def complete(cov: Coverage, keeper: Keeper, together: Together | None) -> None:
    """Let coverage report what no report has analysed yet; a file that fails is left out once."""
    if not keeper.files and together is not None and (found := together(cov)) is not None:
        keeper.files, keeper.failed = found
        return
    if not keeper.files:
        report(cov, None)
    before: set[str] = set()
    # Only a report maps paths ([paths] of the configuration): the names of files come after one.
    while rest := cov.get_data().measured_files() - keeper.files.keys() - keeper.failed.keys():
        if rest == before:
            return
        before = rest
        report(cov, rest)


def report(cov: Coverage, morfs: Iterable[str] | None) -> None:
    """Make coverage's cheapest report, for the analyses that it makes."""
    # It may find nothing to report, or fail at a file that the keeper has noted.
    with contextlib.suppress(Exception):
        cov.report(morfs, file=io.StringIO(), output_format="total", ignore_errors=True)


def _from_json(cov: Coverage, measured: Iterable[str]) -> tuple[list[FileCoverage], dict[str, str]]:
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
            failed[path] = describe(one)
    return [_from_report(cov, name, file) for name, file in report.items()], failed


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
    found: dict[int, set[int]] = {}
    for line, destination in arcs:
        found.setdefault(line, set()).add(destination)
    return found


def keep_from(cov: Any) -> Keeper | None:
    """Start keeping what ``cov`` analyses; None where it cannot be done."""
    try:
        return Keeper(cov)
    except Exception:  # noqa: BLE001  a private name is missing or does not let itself be wrapped
        return None


def controller_of(config: pytest.Config) -> Any:
    """Return pytest-cov's controller, or None where it does not measure."""
    plugin = config.pluginmanager.get_plugin("_cov")
    if plugin is None or getattr(plugin, "_disabled", False):
        return None
    return getattr(plugin, "cov_controller", None)


def reported_by(controller: Any) -> Any:
    """Return the Coverage object that pytest-cov will report with once the tests have run."""
    return getattr(controller, "combining_cov", None) or controller.cov


def current() -> Coverage | None:
    """Return the Coverage object that measures this process from outside pytest, if any."""
    import coverage

    return coverage.Coverage.current()


def finished(config: pytest.Config) -> Coverage:
    """Return the Coverage object whose data is complete.

    Raises:
        MeasurementError: nothing was measured, or the data is not whole; the message is the
            reason in one line.
    """
    controller = controller_of(config)
    if controller is None:
        cov = current()
        if cov is None:
            raise MeasurementError(_why_not_measured(config))
        if config.pluginmanager.hasplugin("dsession"):
            raise MeasurementError(
                "`coverage run` does not measure the workers of xdist: use --cov instead"
            )
        return cov
    if getattr(controller, "failed_workers", None):
        raise MeasurementError("a worker crashed, so that its coverage is missing")
    cov = reported_by(controller)
    if getattr(controller, "started", False) or controller.cov is not cov:
        raise MeasurementError("the run was cut short before pytest-cov combined its data")
    return controller.cov  # type: ignore[no-any-return]


def _why_not_measured(config: pytest.Config) -> str:
    if getattr(config.option, "no_cov", False):
        return "--no-cov switched coverage off"
    if not config.pluginmanager.hasplugin("pytest_cov"):
        return "pytest-cov is not loaded, so that nothing was measured"
    return "nothing was measured"


def cut_short(session: pytest.Session, exitstatus: int) -> str | None:
    """Return why the session did not run as a whole, in one line; None where it did.

    Facts on the state that each kind of ending leaves: pytest 8 and 9 with pytest-cov 5 to 7,
    plain and under xdist.
    """
    if getattr(session.config.option, "collectonly", False):
        return "--collect-only runs no tests"
    if session.shouldfail:
        return f"the run was stopped early: {session.shouldfail}"
    if session.shouldstop:
        return f"the run was interrupted: {session.shouldstop}"
    if exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        return None
    known: dict[int, str] = {
        pytest.ExitCode.INTERRUPTED: "the run was interrupted: not all tests could be collected",
        pytest.ExitCode.NO_TESTS_COLLECTED: "no tests ran",
    }
    return known.get(exitstatus, f"pytest ended with exit status {exitstatus}")
