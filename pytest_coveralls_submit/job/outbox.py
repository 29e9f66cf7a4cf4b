"""Jobs on disk, from before the first attempt until they are accepted; no token is in them."""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path


def keep(pieces: Callable[[], Iterable[bytes]], folders: Iterable[Path], stem: str) -> Path | None:
    """Write a job to the first of ``folders`` that takes it and return its path, else None.

    The file appears whole or not at all, belongs to the user alone, and never replaces another.

    Args:
        pieces: gives the JSON text anew for each folder that is tried.
        folders: in order of preference; made where they are missing.
        stem: file name without ending; a number is added where it is taken.
    """
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            return _keep(pieces(), folder, stem)
    return None


def _keep(pieces: Iterable[bytes], folder: Path, stem: str) -> Path:
    temporary = _written(pieces, folder)
    try:
        for number in itertools.count(1):
            path = folder / (f"{stem}.json" if number == 1 else f"{stem}-{number}.json")
            with contextlib.suppress(FileExistsError):
                _publish(temporary, path)
                return path
        raise AssertionError("counting does not end")
    finally:
        temporary.unlink(missing_ok=True)


def _written(pieces: Iterable[bytes], folder: Path) -> Path:
    # mkstemp makes the file with mode 0600.
    handle, name = tempfile.mkstemp(prefix=".job-", suffix=".part", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def _publish(temporary: Path, path: Path) -> None:
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: take the name, then fill it
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        temporary.replace(path)


def write(pieces: Iterable[bytes], path: Path) -> None:
    """Write a job to ``path``, in place of what is there, whole or not at all, mode 0600.

    Raises:
        OSError: it cannot be written there.
    """
    temporary = _written(pieces, path.parent)
    try:
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
