"""Coverage data files -> one measurement, as ``coverage combine`` and ``coverage json`` give it.

Nothing on disk is changed: coverage opens copies, and combines them in memory. What a file of
another machine is called in this checkout is left to ``job.checkout``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..errors import MeasurementError
from . import measure
from .recorder import warnings_unheard
from .records import Measurement

if TYPE_CHECKING:
    from coverage import Coverage, CoverageData

SQLITE = b"SQLite format 3\0"
"""What a data file of coverage 5 or newer starts with: https://www.sqlite.org/fileformat.html."""
BESIDE = ("-journal", "-wal", "-shm")
"""Ends of files that SQLite keeps beside a data file."""
NAMED = 5
"""How many files a message names."""
FIX = (
    "name both places in [paths] of coverage's configuration, or measure with "
    "`[run] relative_files = true`"
)


@dataclass(frozen=True)
class Counterparts:
    """Which files of this checkout were measured elsewhere."""

    paths: Mapping[str, str] = field(default_factory=dict)
    """Measured path -> absolute path here."""
    ambiguous: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Measured path -> the names between which nothing decides."""


class Measured(NamedTuple):
    """What one data file says of where its files lie."""

    last_lines: Mapping[str, int]
    """Path that is none here -> its last line that ran."""
    here: Collection[str]
    """The other paths."""


class Checkout(Protocol):
    """What is known of the files that lie here."""

    def holds(self, path: str) -> bool:
        """Tell whether a file of that path lies here."""

    def counterparts(self, runs: Sequence[Measured]) -> list[Counterparts]:
        """Find the files that were measured elsewhere, for each data file."""

    def changed_since(self, moment: float, paths: Iterable[str]) -> list[str]:
        """Return those of ``paths`` that were written later; none where all the checkout was."""


def measure_files(
    arguments: Sequence[Path],
    *,
    rcfile: Path | None,
    start: Path,
    env: Mapping[str, str],
    checkout: Checkout,
    allows_nothing: bool = False,
    begin: Callable[[int], None] = lambda _: None,
) -> Measurement:
    """Return what coverage would report of data files once they are combined.

    Args:
        arguments: data files, and folders that are searched for them; none: what coverage's
            configuration names.
        rcfile: coverage's configuration; None: the one that coverage finds itself.
        start: the current directory.
        env: the environment, for processes that share the work.
        checkout: knows the files that lie here.
        allows_nothing: whether data of no file is a measurement too.
        begin: called with the number of measured files before they are analysed.

    Raises:
        MeasurementError: there is no data, or it cannot be used; names the file and the fix.
    """
    with warnings_unheard():
        cov, name = _configured(rcfile, start)
        files = _data_files(arguments, start / name)
        written = max(file.stat().st_mtime for file in files)
        with _scratch() as folder:
            copies = list(_copies(files, folder))
            _combine(cov, copies)
            cov, ambiguous = _moved(cov, copies, rcfile, start, checkout)
    measured = cov.get_data().measured_files()
    if not measured and not allows_nothing:
        raise MeasurementError(f"nothing was measured: {_some(map(str, files))}")
    begin(len(measured))
    measurement = measure.of(cov, start=start, env=env)
    changed = checkout.changed_since(written, [file.path for file in measurement.files])
    return _with_notices(measurement, start, ambiguous, changed)


def _configured(rcfile: Path | None, start: Path) -> tuple[Coverage, str]:
    """Return an object that is configured as coverage would be, and its data file's name.

    It keeps its data in memory. A plugin may lie in the current directory, as for coverage.
    """
    import coverage

    try:
        cov = coverage.Coverage(data_file=None, config_file=True if rcfile is None else str(rcfile))
        name = str(cov.get_option("run:data_file"))
        # It would make the file's directory, though it writes nothing there.
        cov.set_option("run:data_file", ".coverage")
        if cov.get_option("run:plugins") and str(start) not in sys.path:
            sys.path.append(str(start))  # at the end, where it takes no other module's place
        cov.get_data()  # it loads plugins now
    except Exception as error:  # noqa: BLE001  plugins may raise anything
        raise MeasurementError(f"coverage cannot be configured: {_text(error)}") from None
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
    for place in [folder, *(path for path in _listed(folder) if path.is_dir())]:
        single = [path for path in _listed(place) if path.name == name and path.is_file()]
        files += _parallel(place, name) or single
    return files


def _parallel(folder: Path, name: str) -> list[Path]:
    return [
        path
        for path in _listed(folder)
        if path.name.startswith(f"{name}.") and not path.name.endswith(BESIDE) and path.is_file()
    ]


def _listed(folder: Path) -> list[Path]:
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


def _combine(cov: Coverage, copies: Sequence[Path]) -> None:
    """Let ``cov`` combine data files by its own rules: [paths], relative files, duplicates."""
    try:
        if copies:
            cov.combine(map(str, copies), keep=True)
    except Exception as error:  # noqa: BLE001  the disk's, or one of coverage's many kinds
        raise MeasurementError(f"the data cannot be combined: {_text(error)}") from None


def _copies(files: Iterable[Path], folder: Path) -> Iterator[Path]:
    """Copy each file, for opening one may change it; yield the copies that hold something."""
    kinds: dict[bool, Path] = {}
    for number, file in enumerate(files):
        copy = folder / str(number)
        if not os.path.isfile(file):  # noqa: PTH113  a device may have no end
            raise MeasurementError(f"{file} is no coverage data file")
        try:
            shutil.copyfile(file, copy)
        except OSError as error:
            raise MeasurementError(f"{file} cannot be read: {error.strerror or error}") from None
        with _opened(file, copy) as stored:
            if not stored.measured_files():
                continue
            kinds.setdefault(stored.has_arcs(), file)
        if len(kinds) > 1:
            raise MeasurementError(
                f"{kinds[True]} measured branches and {kinds[False]} did not, so that they cannot "
                "be combined: set `[run] branch` alike for all runs"
            )
        yield copy


@contextlib.contextmanager
def _opened(file: Path, copy: Path) -> Iterator[CoverageData]:
    import coverage

    with copy.open("rb") as opened:
        if opened.read(len(SQLITE)) != SQLITE:
            raise MeasurementError(f"{file} is no coverage data file")
    stored = coverage.CoverageData(str(copy))
    try:
        stored.read()
        yield stored
    except coverage.CoverageException as error:
        version = coverage.__version__
        text = _text(error).replace(str(copy), str(file))
        advice = f"; coverage {version} reads it here: measure and report with the same version"
        raise MeasurementError(text + advice * ("schema:" in text)) from None
    finally:
        if hasattr(stored, "close"):  # it came after coverage 7.7
            stored.close()


def _moved(
    cov: Coverage, copies: Sequence[Path], rcfile: Path | None, start: Path, checkout: Checkout
) -> tuple[Coverage, Mapping[str, Sequence[str]]]:
    """Give files that were measured elsewhere their paths here; return what stays ambiguous.

    Each data file may come from a place of its own: one path can mean several files.
    """
    if not _elsewhere(cov, start, checkout):
        return cov, {}
    runs = [cov]
    if len(copies) > 1:
        runs = [_configured(rcfile, start)[0] for _ in copies]
        for run, copy in zip(runs, copies, strict=True):
            _combine(run, [copy])
    found = checkout.counterparts([_measured(run, start, checkout) for run in runs])
    moved, _ = _configured(rcfile, start)
    is_relative = bool(cov.get_option("run:relative_files"))
    for run, counterparts in zip(runs, found, strict=True):
        paths = dict(counterparts.paths)
        if is_relative:
            paths = {path: _relative(other, start) for path, other in paths.items()}
        moved.get_data().update(run.get_data(), map_path=partial(_mapped, paths))
    return moved, {path: names for one in found for path, names in one.ambiguous.items()}


def _mapped(paths: Mapping[str, str], path: str) -> str:
    return paths.get(path, path)


def _elsewhere(cov: Coverage, start: Path, checkout: Checkout) -> set[str]:
    """Return the measured paths that are none of a file here."""
    measured = cov.get_data().measured_files()
    return {path for path in measured if not checkout.holds(str(start / path))}


def _measured(cov: Coverage, start: Path, checkout: Checkout) -> Measured:
    stored, elsewhere = cov.get_data(), _elsewhere(cov, start, checkout)
    last_lines = {path: max(stored.lines(path) or [0]) for path in sorted(elsewhere)}
    return Measured(last_lines, {str(start / path) for path in stored.measured_files() - elsewhere})


def _relative(path: str, start: Path) -> str:
    """Return ``path`` as coverage writes it with ``relative_files``."""
    return path.removeprefix(os.path.join(os.path.realpath(start), ""))  # noqa: PTH118


# -- what is said ------------------------------------------------------------------------------


def _with_notices(
    measurement: Measurement,
    start: Path,
    ambiguous: Mapping[str, Sequence[str]],
    changed: Sequence[str],
) -> Measurement:
    """Say which files have no source here, or were changed; an error where no source is here."""
    gone = [
        path
        for path in measurement.failed
        if not os.path.exists(start / path)  # noqa: PTH110  Path's raises where nobody may look
    ]
    removed = [path for path in gone if Path(path).is_relative_to(start)]
    unknown = [path for path in gone if path not in {*ambiguous, *removed}]
    notices = []
    if removed:
        names = _some(_relative(path, start) for path in removed)
        notices.append(f"left out {_count(removed)} no more here: {names}")
    if unknown:
        text = f"left out {_count(unknown)} whose sources are not here: {_some(unknown)}"
        notices.append(f"{text}; {FIX}")
    for path in [path for path in gone if path in ambiguous][:NAMED]:
        names = " or ".join(ambiguous[path][:NAMED])
        notices.append(f"left out {path}, which may be {names}; {FIX}")
    if gone and len(gone) == len(measurement.failed) and not measurement.files:
        raise MeasurementError("; ".join(notices))
    if changed:
        names = _some(_relative(path, start) for path in changed)
        notices.append(f"the data is older than {_count(changed)} that it measured: {names}")
    failed = {path: text for path, text in measurement.failed.items() if path not in gone}
    return replace(measurement, failed=failed, notices=tuple(notices))


def _count(things: Sequence[object]) -> str:
    return f"{len(things)} file" + "s" * (len(things) != 1)


def _some(paths: Iterable[str]) -> str:
    listed = sorted(paths)
    return ", ".join(listed[:NAMED]) + ", ..." * (len(listed) > NAMED)


def _text(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
