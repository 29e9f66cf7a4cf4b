"""Coverage data files -> one measurement, as ``coverage combine`` and ``coverage json`` give it.

Nothing on disk is changed: coverage opens copies, and combines them in memory.
"""

from __future__ import annotations

import contextlib
import ntpath
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
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
from .measure import Measurement, measure
from .recorder import suppressed_warnings

if TYPE_CHECKING:
    from coverage import Coverage, CoverageData

SQLITE = b"SQLite format 3\0"
"""What a data file of coverage 5 or newer starts with: https://www.sqlite.org/fileformat.html."""
BESIDE = ("-journal", "-wal", "-shm")
"""Ends of files that SQLite keeps beside a data file."""
FIX = (
    "name both places in [paths] of coverage's configuration, or measure with "
    "`[run] relative_files = true`"
)


def measure_data_files(
    arguments: Sequence[Path],
    *,
    config_file: Path | bool,
    start: Path,
    top: Path,
    list_names: Callable[[], Iterable[str]],
    allow_empty: bool = False,
) -> Measurement:
    """Return what coverage would report of combined data files.

    Args:
        arguments: data files, and folders that are searched for them; without any, those that
            coverage's configuration names.
        config_file: coverage's configuration; True: the one that coverage finds itself; False:
            none is read, and no plugin that it names runs.
        start: the current directory.
        top: what names are relative to.
        list_names: returns the names of the repository's files.
        allow_empty: whether data of no file is a measurement too.

    Raises:
        MeasurementError: there is no data, or it cannot be used; names the file and the fix.
    """
    top = Path(os.path.realpath(top))
    with suppressed_warnings():
        cov, name = _configured(config_file, start)
        files = _data_files(arguments, start / name)
        with _scratch() as folder:
            runs = _combine(cov, files, folder, start)
        measured = cov.get_data().measured_files()
        elsewhere = _find_elsewhere(measured, runs, start, top, list_names)
        cov = _moved(cov, elsewhere, config_file, start, top)
    measured = cov.get_data().measured_files()
    if not measured and not allow_empty:
        raise MeasurementError(f"nothing was measured: {shorten_list(map(str, files))}")
    return _with_notices(measure(cov, start=start), start, top, elsewhere)


def _configured(config_file: Path | bool, start: Path) -> tuple[Coverage, str]:
    """Return a configured object that keeps its data in memory, and its data file's name."""
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
    """Return the data files that ``arguments`` mean, or else those of the configuration."""
    if not arguments:
        if os.path.isfile(configured):  # noqa: PTH113  Path's raises where nobody may look
            return [configured]
        files = _parallel(configured.parent, configured.name)
        if not files:
            raise MeasurementError(
                f"no coverage data: neither {configured} nor {configured.name}.* beside it "
                "exists; measure first, or name data files or their folder"
            )
        return files
    files = []
    for path in arguments:
        if not os.path.exists(path):  # noqa: PTH110
            raise MeasurementError(f"no coverage data: {path} does not exist, or nobody may look")
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
    """Return the data files of a folder and of those in it, as downloads of artifacts leave them.

    Like ``coverage combine`` it prefers parallel data files to what they were combined to.
    """
    files = []
    for place in [folder, *(path for path in _list_folder(folder) if path.is_dir())]:
        single = [path for path in _list_folder(place) if path.name == name and path.is_file()]
        files += _parallel(place, name) or single
    return files


def _parallel(folder: Path, name: str) -> list[Path]:
    return [
        path
        for path in _list_folder(folder)
        if path.name.startswith(f"{name}.") and not path.name.endswith(BESIDE) and path.is_file()
    ]


def _list_folder(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise MeasurementError(f"{folder} cannot be read: {error.strerror or error}") from None


# -- combined in memory ------------------------------------------------------------------------


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """Yield a folder for copies of data files."""
    try:
        # Windows keeps what is still open.
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    except OSError as error:
        raise MeasurementError(f"the data cannot be combined: {error}") from None
    with folder as name:
        yield Path(name)


def _combine(cov: Coverage, files: Sequence[Path], folder: Path, start: Path) -> list[set[str]]:
    """Let ``cov`` combine data files; return the measured paths of each.

    By its own rules: [paths], relative files, duplicates. A relative path is first looked for
    beside its data file: two services may have a file of the same name.
    """
    import coverage

    copies: list[str] = []
    runs: list[set[str]] = []
    kinds: dict[bool, Path] = {}
    for number, file in enumerate(files):
        copy = folder / str(number)
        with _opened(file, copy) as stored:
            measured = stored.measured_files()
            if not measured:
                continue
            kinds.setdefault(stored.has_arcs(), file)
            paths = _resolve(measured, cov, start / file.parent, start)
            if paths:
                copy = folder / f"{number}-renamed"
                renamed = coverage.CoverageData(str(copy))
                _add(renamed, stored, paths)
                _close(renamed)
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


@contextlib.contextmanager
def _opened(file: Path, copy: Path) -> Iterator[CoverageData]:
    """Yield the data of a copy of ``file``, because opening a data file may change it."""
    import coverage

    if not os.path.isfile(file):  # noqa: PTH113  a device may have no end
        raise MeasurementError(f"{file} is not a coverage data file")
    try:
        shutil.copyfile(file, copy)
    except OSError as error:
        raise MeasurementError(f"{file} cannot be read: {error.strerror or error}") from None
    with copy.open("rb") as opened:
        if opened.read(len(SQLITE)) != SQLITE:
            raise MeasurementError(f"{file} is not a coverage data file")
    stored = coverage.CoverageData(str(copy))
    try:
        stored.read()
        yield stored
    except coverage.CoverageException as error:
        version = coverage.__version__
        text = message_of(error).replace(str(copy), str(file))
        advice = f"; coverage {version} reads it here: measure and report with the same version"
        raise MeasurementError(text + advice * ("schema:" in text)) from None
    finally:
        _close(stored)


def _close(stored: CoverageData) -> None:
    if hasattr(stored, "close"):  # new after coverage 7.7
        stored.close()


def _add(data: CoverageData, added: CoverageData, paths: Mapping[str, str]) -> None:
    """Add data, with other paths for some of its files."""
    data.update(added, map_path=lambda path: paths.get(path, path))


def _resolve(measured: Iterable[str], cov: Coverage, folder: Path, start: Path) -> dict[str, str]:
    """Return where relative paths lead: beside their data file, else from ``start``.

    Those that need no other name are left out, and those that lead nowhere.
    """
    # Without `relative_files`, coverage finds no data by a relative path.
    places = [folder] if cov.get_option("run:relative_files") else [folder, start]
    found = {}
    for path in measured:
        for place in places if not os.path.isabs(path) else ():  # noqa: PTH117
            if os.path.isfile(place / path):  # noqa: PTH113  Path's raises where access is denied
                found[path] = _as_measured(os.path.realpath(place / path), cov, start)
                break
    return {path: other for path, other in found.items() if path != other}


def _as_measured(path: str, cov: Coverage, start: Path) -> str:
    """Return an absolute path as coverage writes it: with ``relative_files`` from ``start``."""
    if not cov.get_option("run:relative_files"):
        return path
    return path.removeprefix(os.path.join(os.path.realpath(start), ""))  # noqa: PTH118


# -- files that were measured elsewhere --------------------------------------------------------


def _find_elsewhere(
    measured: Iterable[str],
    runs: Sequence[set[str]],
    start: Path,
    top: Path,
    list_names: Callable[[], Iterable[str]],
) -> dict[str, list[str]]:
    """Return the names that each path may have that does not exist here.

    Args:
        measured: the paths of all data files, mapped by [paths].
        runs: the paths of each data file.
        start, top, list_names: as for `measure_data_files`.
    """
    gone = [path for path in sorted(measured) if not os.path.exists(start / path)]  # noqa: PTH110
    elsewhere = [path for path in gone if not _was_removed(path, top)]
    by_end = group_by_end(list_names() if elsewhere else ())
    names = {path: _sharing_package(path, by_end) for path in elsewhere}
    for run in runs:
        alone = [path for path in run if not names.get(path, [path])]
        # Known by another path, a file is not the one that is called alike: a test has copied it.
        known = {str(start / path) for path in run - names.keys() if alone}
        known |= {str(top / found[0]) for path, found in names.items() if path in run and found}
        for path in alone:
            found = _modules_named(path, by_end, run)
            names[path] = [name for name in found if str(top / name) not in known]
    return {path: names.get(path, []) for path in gone}


def _was_removed(path: str, top: Path) -> bool:
    """Tell whether a file that does not exist was measured in this checkout."""
    return Path(path).is_relative_to(top) and not installed_name(path)


def _sharing_package(path: str, by_end: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the names with the longest common end of at least two components.

    Of an installed file they end with its whole name below ``site-packages``.
    """
    path = path.replace("\\", "/")
    least = (installed_name(path) or "").count("/") + 1
    lengths = {name: common_end(path, name) for name in by_end.get(ending(path, 2), ())}
    longest = max(lengths.values(), default=0)
    return [name for name, length in lengths.items() if length == longest >= max(least, 2)]


def _modules_named(
    path: str, by_end: Mapping[str, Sequence[str]], run: Collection[str]
) -> list[str]:
    """Return the names of modules without a package whose file is called alike."""
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


def _moved(
    cov: Coverage,
    elsewhere: Mapping[str, Sequence[str]],
    config_file: Path | bool,
    start: Path,
    top: Path,
) -> Coverage:
    """Give files that were measured elsewhere their paths here."""
    found = {path: names[0] for path, names in elsewhere.items() if len(names) == 1}
    if not found:
        return cov
    paths = {path: _as_measured(str(top / name), cov, start) for path, name in found.items()}
    moved, _ = _configured(config_file, start)
    _add(moved.get_data(), cov.get_data(), paths)
    return moved


# -- what is printed ---------------------------------------------------------------------------


def _with_notices(
    measurement: Measurement, start: Path, top: Path, elsewhere: Mapping[str, Sequence[str]]
) -> Measurement:
    """Say which files were left out; raise where nothing remains."""
    failed = {str(start / path): reason for path, reason in measurement.failed.items()}
    left_out = [path for path in elsewhere if failed.pop(str(start / path), None)]
    removed = [path for path in left_out if _was_removed(path, top)]
    ambiguous = [path for path in left_out if elsewhere[path]]
    unknown = [path for path in left_out if path not in {*removed, *ambiguous}]
    notices = []
    if removed:
        names = shorten_list(os.path.relpath(path, start) for path in removed)
        notices.append(f"left out {count_of(len(removed), 'file')} no longer here: {names}")
    if unknown:
        text = f"left out {count_of(len(unknown), 'file')} whose sources are not here"
        notices.append(f"{text}: {shorten_list(unknown)}; {FIX}")
    for path in ambiguous[:5]:
        names = " or ".join(elsewhere[path][:5])
        notices.append(f"left out {path}, which may be {names}; {FIX}")
    if left_out and not failed and not measurement.files:
        raise MeasurementError("; ".join(notices))
    return replace(measurement, failed=failed, notices=tuple(notices))
