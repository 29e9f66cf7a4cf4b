"""Combine and measure coverage data files like coverage itself.

Nothing on disk is changed: coverage opens copies and combines them in memory.
"""

from __future__ import annotations

import glob
import ntpath
import os
import shutil
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from ..errors import MeasurementError
from ..text import (
    common_end,
    count_of,
    ending,
    group_by_end,
    installed_name,
    message_of,
    shorten_list,
)
from .measure import Measurement, measure, scratch_folder, suppressed_warnings

if TYPE_CHECKING:
    from coverage import Coverage, CoverageData

_SQLITE = b"SQLite format 3\0"  # https://www.sqlite.org/fileformat.html
_SQLITE_OWN = ("-journal", "-wal", "-shm")  # ends of the files beside a database
_FIX = (
    "name both places in [paths] of coverage's configuration, or measure with "
    "`[run] relative_files = true`"
)
_FIX_RELATIVE = "move the data file back to where the tests ran: its paths are relative"


def measure_data_files(
    arguments: Sequence[Path],
    *,
    config_file: Path | bool,
    start: Path,
    top: Path,
    names: Iterable[str],
) -> Measurement:
    """Measure combined data files as coverage would report them.

    Args:
        arguments: data files, and folders to search for them; without any, those that coverage's
            configuration names.
        config_file: coverage's configuration; True for the one that coverage finds itself; False
            to read none and to run no plugin.
        start: the current directory.
        top: the directory that names are relative to.
        names: of the repository's files.

    Raises:
        MeasurementError: there is no data, or it cannot be used; names the file and the fix.
    """
    top = Path(os.path.realpath(top))
    with suppressed_warnings(), scratch_folder() as folder:
        cov, data_file = _configured(config_file, start)
        files = _data_files(arguments, start / data_file)
        runs = _combine(cov, files, folder, start)
        elsewhere = _find_elsewhere(cov.get_data().measured_files(), runs, start, top, names)
        found = {path: top / alike[0] for path, alike in elsewhere.items() if len(alike) == 1}
        if found:
            combined = cov.get_data()
            cov, _ = _configured(config_file, start)
            paths = {path: _as_measured(str(here), cov, start) for path, here in found.items()}
            _add(cov.get_data(), combined, paths)
        return _with_notices(measure(cov, start=start), start, elsewhere)


def _configured(config_file: Path | bool, start: Path) -> tuple[Coverage, str]:
    """Return an object with data in memory, and its data file's name."""
    import coverage

    config = config_file if isinstance(config_file, bool) else str(config_file)
    try:
        cov = coverage.Coverage(data_file=None, config_file=config)
        name = str(cov.get_option("run:data_file"))
        # It would make the file's directory, though it writes nothing there.
        cov.set_option("run:data_file", ".coverage")
        # As for coverage, a plugin may be in the current directory; it shadows no other module.
        if cov.get_option("run:plugins") and str(start) not in sys.path:
            sys.path.append(str(start))
        cov.get_data()  # it loads plugins now
    except Exception as error:  # noqa: BLE001  plugins may raise anything
        raise MeasurementError(f"coverage cannot be configured: {message_of(error)}") from None
    return cov, name


# -- which files -------------------------------------------------------------------------------


def _data_files(arguments: Sequence[Path], configured: Path) -> list[Path]:
    """List the data files of the arguments, else the configured ones."""
    if not arguments:
        single = [configured] if os.path.isfile(configured) else []  # noqa: PTH113  see below
        files = single or _parallel(configured.parent, configured.name)
        if not files:
            raise MeasurementError(
                f"no coverage data: neither {configured} nor {configured.name}.* beside it "
                "exists; measure first, or name data files or their folder"
            )
        return files
    files = []
    for path in arguments:
        if not os.path.exists(path):  # noqa: PTH110  Path's raises where access is denied
            raise MeasurementError(f"no coverage data: {path} does not exist or is not accessible")
        some = _in_folder(path, configured.name) if path.is_dir() else [path]
        if not some:
            raise MeasurementError(
                f"no coverage data in {path}: no {configured.name} or {configured.name}.* there "
                "or one level down; actions/upload-artifact leaves them out unless it is told "
                "`include-hidden-files: true`"
            )
        files += some
    return list(dict.fromkeys(files))


def _in_folder(folder: Path, name: str) -> list[Path]:
    """List the data files of a folder and one level down."""
    files = []
    for place in [folder, *sorted(path for path in folder.glob("*") if path.is_dir())]:
        single = place / name
        # Like `coverage combine`, prefer parallel data files to a combined one.
        files += _parallel(place, name) or ([single] if single.is_file() else [])
    return files


def _parallel(folder: Path, name: str) -> list[Path]:
    paths = sorted(folder.glob(f"{glob.escape(name)}.*"))
    return [path for path in paths if path.is_file() and not path.name.endswith(_SQLITE_OWN)]


# -- combined in memory ------------------------------------------------------------------------


def _combine(cov: Coverage, files: Sequence[Path], folder: Path, start: Path) -> list[set[str]]:
    """Combine data files; return the measured paths of each."""
    import coverage

    copies: list[str] = []
    runs: list[set[str]] = []
    kinds: dict[bool, Path] = {}
    for number, file in enumerate(files):
        copy = folder / f"{number}.db"
        stored = _opened(file, copy)
        measured = stored.measured_files()
        if not measured:
            continue
        kinds.setdefault(stored.has_arcs(), file)
        paths = _resolve(measured, cov, start / file.parent, start)
        if paths:
            copy = folder / f"{number}-renamed.db"
            _add(coverage.CoverageData(str(copy)), stored, paths)
        copies.append(str(copy))
        runs.append({paths.get(path, path) for path in measured})
    if len(kinds) > 1:
        raise MeasurementError(
            f"{kinds[True]} measured branches and {kinds[False]} did not, so that they cannot "
            "be combined: set `[run] branch` alike for all runs"
        )
    try:
        if copies:
            cov.combine(copies, keep=True)
    except (coverage.CoverageException, OSError) as error:
        raise MeasurementError(f"the data cannot be combined: {message_of(error)}") from None
    return runs


def _opened(file: Path, copy: Path) -> CoverageData:
    """Copy a data file, because opening may change it, and open it."""
    import coverage

    try:
        with file.open("rb") as opened:
            if opened.read(len(_SQLITE)) != _SQLITE:
                raise MeasurementError(f"{file} is not a coverage data file")
        shutil.copyfile(file, copy)
        stored = coverage.CoverageData(str(copy))
        stored.read()
    except OSError as error:
        raise MeasurementError(f"{file} cannot be read: {error.strerror or error}") from None
    except coverage.CoverageException as error:
        text = message_of(error).replace(str(copy), str(file))
        if "schema:" in text:
            version = coverage.__version__
            text += f"; coverage {version} reads it here: measure and report with the same version"
        raise MeasurementError(text) from None
    return stored


def _add(data: CoverageData, added: CoverageData, paths: Mapping[str, str]) -> None:
    """Add data, with other paths for some of its files."""
    data.update(added, map_path=lambda path: paths.get(path, path))


def _resolve(measured: Iterable[str], cov: Coverage, folder: Path, start: Path) -> dict[str, str]:
    """Look for relative paths beside their data file, else in ``start``."""
    # Two services may each have a file of the same name beside their data file.
    # Without `relative_files`, coverage finds no data by a relative path.
    places = [folder] if cov.get_option("run:relative_files") else [folder, start]
    found = {}
    for path in measured:
        for place in places if not os.path.isabs(path) else ():  # noqa: PTH117
            if os.path.isfile(place / path):  # noqa: PTH113  Path's raises where access is denied
                found[path] = _as_measured(os.path.realpath(place / path), cov, start)
                break
    return {path: here for path, here in found.items() if path != here}


def _as_measured(path: str, cov: Coverage, start: Path) -> str:
    """Return an absolute path as coverage would write it."""
    if not cov.get_option("run:relative_files"):
        return path
    return path.removeprefix(os.path.join(os.path.realpath(start), ""))  # noqa: PTH118


# -- files that were measured elsewhere --------------------------------------------------------


def _find_elsewhere(
    measured: Iterable[str],
    runs: Sequence[set[str]],
    start: Path,
    top: Path,
    names: Iterable[str],
) -> dict[str, list[str]]:
    """Find the possible names of each path from another machine.

    Args:
        measured: the paths of all data files, mapped by [paths].
        runs: the paths of each data file.
        start, top, names: as for `measure_data_files`.
    """
    gone = [path for path in measured if not os.path.exists(start / path)]  # noqa: PTH110
    gone = [path for path in gone if not was_removed(path, top)]
    by_end = group_by_end(names if gone else ())
    found = {path: _sharing_package(path, by_end) for path in sorted(gone)}
    for run in runs:
        modules = [path for path in run if found.get(path) == []]
        if not modules:
            continue
        # A test may copy a file: its run knows the module itself by another path.
        known = {str(start / path) for path in run}
        known |= {str(top / name) for path in run for name in found.get(path, ())[:1]}
        for path in modules:
            alike = _modules_named(path, by_end, run)
            found[path] = [name for name in alike if str(top / name) not in known]
    return found


def was_removed(path: str, top: PurePath) -> bool:
    """Tell whether a file that is not here was removed from this checkout, not moved."""
    place = type(top)(path)
    return place.is_relative_to(top) and not installed_name(place.as_posix())


def _sharing_package(path: str, by_end: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the names with the longest common end, two components or more."""
    path = path.replace("\\", "/")
    # An installed file has its whole name below site-packages in common.
    least = (installed_name(path) or "").count("/") + 1
    lengths = {name: common_end(path, name) for name in by_end.get(ending(path, 2), ())}
    longest = max(lengths.values(), default=0)
    return [name for name, length in lengths.items() if length == longest >= max(least, 2)]


def _modules_named(
    path: str, by_end: Mapping[str, Sequence[str]], run: Collection[str]
) -> list[str]:
    """Return modules without a package and with the same file name."""
    file = ntpath.basename(path)  # it splits at both separators
    in_package = f"{path.removesuffix(file)}__init__.py" in run
    if in_package or "/" in (installed_name(path.replace("\\", "/")) or ""):
        return []
    names = []
    for name in by_end.get(file, ()):
        marker = f"{name.removesuffix(file)}__init__.py"
        if marker not in by_end.get(ending(marker, 2), ()):
            names.append(name)
    return names


def _fix(path: str) -> str:
    """Return what to do about a path that is not here, measured on any system."""
    return _FIX if path.startswith("/") or ntpath.isabs(path) else _FIX_RELATIVE


def _with_notices(
    measurement: Measurement, start: Path, elsewhere: Mapping[str, Sequence[str]]
) -> Measurement:
    """Name the files left out; raise if no file remains."""
    failed = {str(start / path): reason for path, reason in measurement.failed.items()}
    left_out = [path for path in elsewhere if failed.pop(str(start / path), None)]
    ambiguous = [path for path in left_out if elsewhere[path]]
    unknown = [path for path in left_out if not elsewhere[path]]
    notices = []
    if unknown:
        text = f"left out {count_of(len(unknown), 'file')} whose sources are not here"
        notices.append(f"{text}: {shorten_list(unknown)}; {_fix(unknown[0])}")
    for path in ambiguous[:5]:
        names = " or ".join(elsewhere[path][:5])
        notices.append(f"left out {path}, which may be {names}; {_fix(path)}")
    if left_out and not failed and not measurement.files:
        raise MeasurementError("; ".join(notices))
    return replace(measurement, failed=failed, notices=tuple(notices))
