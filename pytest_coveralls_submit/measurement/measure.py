"""pytest-cov's and coverage's live objects: is the data whole, and what was analysed.

Each file is analysed once: what pytest-cov's report analyses is kept in passing. What lines and
branches become in a job is left to ``source_files``.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import warnings
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from json import loads
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MeasurementError

if TYPE_CHECKING:
    from coverage import Coverage
from .recorder import Keeper, describe, is_reported, number_branches
from .records import FileCoverage, Found, Measurement

Together = Callable[["Coverage"], "Found | None"]


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


def current() -> Coverage | None:
    """Return the Coverage object that measures this process from outside pytest, if any."""
    import coverage

    return coverage.Coverage.current()
