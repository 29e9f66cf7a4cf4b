"""Combine and measure coverage data files like coverage itself.

Nothing on disk is changed: coverage opens copies and combines them in memory.
"""

import glob
import ntpath
import os
import sys
import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import coverage
from coverage import Coverage, CoverageData

from ..errors import MeasurementError
from ..text import common_end, count_of, group_by_end, installed_name, shorten_list
from .measure import Measurement, measure

_SQLITE_OWN = ("-journal", "-wal", "-shm")  # ends of the files beside a database


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
        config_file: coverage's configuration; True to search for it; False for none and no plugin.
        top: the directory that ``names``, those of the repository's files, are relative to.

    Raises:
        MeasurementError: there is no data, or it cannot be used; names the file and the fix.
    """
    top = Path(os.path.realpath(top))
    # Windows keeps files that are still open.
    scratch = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    with warnings.catch_warnings(), scratch as folder:
        warnings.simplefilter("ignore")
        cov, data_file = _configured(config_file, start)
        _combine(cov, _data_files(arguments, start / data_file), Path(folder), start)
        combined = cov.get_data()
        elsewhere = _find_elsewhere(cov, start, top, frozenset(names))
        found = {path: here for path, here in elsewhere.items() if here}
        if found:
            cov, _ = _configured(config_file, start)
            _add(cov.get_data(), combined, found)
        return _without_unknown(measure(cov, start=start), start, elsewhere)


def _configured(config_file: Path | bool, start: Path) -> tuple[Coverage, str]:
    """Return an object with data in memory, and its data file's name."""
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
        raise MeasurementError(f"coverage cannot be configured: {error}") from None
    return cov, name


def _data_files(arguments: Sequence[Path], configured: Path) -> Iterable[Path]:
    """List the data files of the arguments, else the configured ones."""
    name = configured.name
    if not arguments:
        files = [configured] if configured.is_file() else _parallel(configured.parent, name)
        if not files:
            raise MeasurementError(
                f"no coverage data: neither {configured} nor {name}.* beside it exists; "
                "measure first, or name data files or their folder"
            )
        return files
    found: dict[Path, None] = {}
    for path in arguments:
        # os.path, because Path's may raise where access is denied
        files = _in_folder(path, name) if os.path.isdir(path) else [path]  # noqa: PTH112
        if not files:
            raise MeasurementError(
                f"no coverage data in {path}: no {name} or {name}.* there or one level down; "
                "actions/upload-artifact needs `include-hidden-files: true`"
            )
        found.update(dict.fromkeys(files))
    return found


def _in_folder(folder: Path, name: str) -> list[Path]:
    """List the data files of a folder and one level down."""
    files = []
    for place in [folder, *sorted(path for path in folder.glob("*") if path.is_dir())]:
        # Like `coverage combine`, prefer parallel data files to a combined one.
        files += _parallel(place, name) or list(filter(Path.is_file, [place / name]))
    return files


def _parallel(folder: Path, name: str) -> list[Path]:
    paths = sorted(folder.glob(f"{glob.escape(name)}.*"))
    return [path for path in paths if path.is_file() and not path.name.endswith(_SQLITE_OWN)]


def _combine(cov: Coverage, files: Iterable[Path], folder: Path, start: Path) -> None:
    copies: list[str] = []
    kinds: dict[bool, Path] = {}
    for number, file in enumerate(files):
        copy = folder / f"{number}.db"
        stored = _opened(file, copy)
        measured = stored.measured_files()
        if measured:
            kinds.setdefault(stored.has_arcs(), file)
        if paths := _resolve(measured, cov, start / file.parent, start):
            copy = folder / f"{number}-renamed.db"
            _add(coverage.CoverageData(str(copy)), stored, paths)
        copies.append(str(copy))
    if len(kinds) > 1:  # coverage's own message names the copies
        raise MeasurementError(
            f"{kinds[True]} measured branches and {kinds[False]} did not, so that they cannot "
            "be combined: set `[run] branch` alike for all runs"
        )
    try:
        cov.combine(copies, keep=True)
    except (coverage.CoverageException, OSError) as error:
        raise MeasurementError(f"the data cannot be combined: {error}") from None


def _opened(file: Path, copy: Path) -> CoverageData:
    """Copy a data file, because opening may change it, and open it."""
    try:
        content = file.read_bytes()
        if not content.startswith(b"SQLite format 3\0"):  # https://www.sqlite.org/fileformat.html
            raise MeasurementError(f"{file} is not a coverage data file")
        copy.write_bytes(content)
        stored = coverage.CoverageData(str(copy))
        stored.read()
    except OSError as error:
        raise MeasurementError(f"{file} cannot be read: {error.strerror or error}") from None
    except coverage.CoverageException as error:
        raise MeasurementError(str(error).replace(str(copy), str(file))) from None
    return stored


def _add(data: CoverageData, added: CoverageData, paths: Mapping[str, str]) -> None:
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


def _find_elsewhere(cov: Coverage, start: Path, top: Path, names: frozenset[str]) -> dict[str, str]:
    """Find the file of each path of another machine; empty if not exactly one may be it."""
    gone = [
        path
        for path in sorted(cov.get_data().measured_files())
        if not os.path.exists(start / path)  # noqa: PTH110
        # Not removed from this checkout, but perhaps from an environment in it.
        and (installed_name(Path(path).as_posix()) or not Path(path).is_relative_to(top))
    ]
    packages = {ntpath.dirname(path) for path in gone if ntpath.basename(path) == "__init__.py"}
    by_end = group_by_end(names if gone else ())
    found = {}
    for path in gone:
        folder, file = ntpath.split(path)
        parts = path.replace("\\", "/").split("/")
        similar = by_end.get("/".join(parts[-2:]), ())
        lengths = {name: common_end("/".join(parts), name) for name in similar}
        longest = max(lengths.values(), default=0)
        alike = [name for name, length in lengths.items() if length == longest > 1]
        if not alike and folder not in packages:
            alike = [
                name
                for name in by_end.get(file, ())
                if f"{name.removesuffix(file)}__init__.py" not in names
            ]
        found[path] = _as_measured(str(top / alike[0]), cov, start) if len(alike) == 1 else ""
    return found


def _without_unknown(
    measurement: Measurement, start: Path, elsewhere: Mapping[str, str]
) -> Measurement:
    """Name the files left out; raise if no file remains."""
    failed = {str(start / path): reason for path, reason in measurement.failed.items()}
    left_out = [path for path in elsewhere if failed.pop(str(start / path), None)]
    if not left_out:
        return measurement
    fix = "move the data file back to where the tests ran: its paths are relative"
    if left_out[0].startswith("/") or ntpath.isabs(left_out[0]):
        places = "name both places in [paths] of coverage's configuration"
        fix = f"{places}, or measure with `[run] relative_files = true`"
    notice = (
        f"left out {count_of(len(left_out), 'file')} whose sources are missing or ambiguous here: "
        f"{shorten_list(left_out)}; {fix}"
    )
    if not failed and not measurement.files:
        raise MeasurementError(notice)
    return replace(measurement, failed=failed, notices=(notice,))
