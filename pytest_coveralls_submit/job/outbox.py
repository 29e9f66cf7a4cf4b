"""Jobs on disk, from before the first attempt until they are accepted; no token is in them."""

from __future__ import annotations

import errno
import getpass
import hashlib
import os
import re
import stat
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

KEPT = 20
"""Jobs that stay in a folder."""
OWN = "pytest-coveralls-submit-of-"
"""Start of the name of a folder in a directory that others may write to."""
DAY = 24 * 60 * 60
"""Seconds after which nobody is writing a half-written job any more."""
PART = ".job-", ".part"
"""Start and end of a half-written job's name; ``pytest --looponfail`` passes over dot files."""
_WITHOUT_WAITING = os.O_WRONLY | getattr(os, "O_NONBLOCK", 0)  # for somebody to read a pipe


def own_folder(temporary: Path, top: Path) -> Path:
    """Return where the user's jobs are kept in a directory that others may write to, too.

    Those of one repository alone: what sends them all has one token.
    """
    try:
        user = getpass.getuser()
    except (ImportError, KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid()) if sys.platform != "win32" else "unknown"
    place = hashlib.sha256(os.fsencode(top)).hexdigest()[:8]
    return temporary / f"{OWN}{_plain(user)}-{_plain(top.name)}-{place}"


def stem_of(identity: Mapping[str, Any]) -> str:
    """Return the file name, without its ending, of a job: by its number, else by its commit."""
    number = identity.get("service_number") or identity.get("commit_sha", "")[:7] or "local"
    return f"job-{_plain(number)}"


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", text)[:80]


def keep(pieces: Sequence[bytes], folders: Iterable[Path], stem: str) -> Path | None:
    """Write a job to the first of ``folders`` that takes it and return its path, else None.

    The file appears whole or not at all, belongs to the user alone, and never replaces another.
    The newest 20 of the folder stay.

    Args:
        pieces: the JSON text.
        folders: in order of preference; made where they are missing.
        stem: file name without ending; letters are added where it is taken.
    """
    for folder in folders:
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _refuse_foreign(folder)
            path = _publish(_written(pieces, folder), folder, stem)
            _tidy(folder, but=path)
            return path
    return None


def _refuse_foreign(folder: Path) -> None:
    """Raise OSError for a link, and for what others have put into a directory all may write to.

    As pytest does for ``pytest-of-USER``: https://github.com/pytest-dev/pytest/issues/7469
    """
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(f"{folder} is a link")
    if sys.platform == "win32":
        return
    if folder.name.startswith(OWN) or folder.parent.stat().st_mode & stat.S_IWOTH:
        if status.st_uid != os.getuid():
            raise PermissionError(f"{folder} belongs to another user")
        if status.st_mode & 0o077:
            folder.chmod(0o700)


def _written(pieces: Iterable[bytes], folder: Path) -> Path:
    # mkstemp makes the file with mode 0600, and follows no link.
    handle, name = tempfile.mkstemp(prefix=PART[0], suffix=PART[1], dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def _publish(part: Path, folder: Path, stem: str) -> Path:
    """Give a whole file its name: the plain one, or where that is taken one with letters.

    Also where the file system has no hard links, for nothing else leaves a taken name alone.
    """
    path = folder / f"{stem}.json"
    try:
        path.hardlink_to(part)
    except OSError:
        letters = part.name.removeprefix(PART[0]).removesuffix(PART[1])
        return part.replace(folder / f"{stem}-{letters}.json")
    with suppress(OSError):
        part.unlink()
    return path


def _tidy(folder: Path, but: Path) -> None:
    """Remove all jobs but the newest, and what killed runs left half-written."""
    surplus = [path for path in waiting(folder) if path != but][KEPT - 1 :]
    with suppress(OSError):
        old = time.time() - DAY
        surplus += [path for written, path in _files(folder, *PART) if written / 1e9 < old]
    for path in surplus:
        with suppress(OSError):
            path.unlink()


def _files(folder: Path, start: str, end: str) -> Iterator[tuple[int, Path]]:
    """Yield time of writing in nanoseconds and path of regular files, links left out.

    Raises:
        OSError: the folder cannot be read.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(start) and entry.name.endswith(end):
                with suppress(OSError):  # gone meanwhile
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        yield status.st_mtime_ns, Path(entry.path)


def waiting(folder: Path, before: float = float("inf")) -> tuple[Path, ...]:
    """Return the jobs that are kept in a folder, the newest first; none where others made it.

    Args:
        folder: may be missing.
        before: when they were written at the latest, in seconds since the epoch.
    """
    with suppress(OSError):
        _refuse_foreign(folder)
        jobs = sorted(_files(folder, "job", ".json"), reverse=True)
        return tuple(path for written, path in jobs if written / 1e9 < before)
    return ()


def jobs_in(path: Path) -> tuple[Path, ...]:
    """Return the jobs in a folder that the user names, the oldest first; all else is one itself.

    Also those one level down, as downloads of artifacts leave them.
    """
    try:
        jobs = list(_files(path, "job", ".json"))
    except OSError:
        return (path,)
    for folder in sorted(path.iterdir()):
        with suppress(OSError):  # no folder, or not to be read
            jobs += [] if folder.is_symlink() else _files(folder, "job", ".json")
    return tuple(job for _, job in sorted(jobs))


def remove(path: Path) -> str | None:
    """Remove an accepted job, if it is a regular file; return a notice where that fails."""
    try:
        if stat.S_ISREG(path.lstat().st_mode):
            path.unlink()
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"{path} was accepted and cannot be removed: {error.strerror or error}"
    return None


def write(pieces: Iterable[bytes], path: Path) -> None:
    """Write a job to the file that the user names.

    A regular file, or none, is replaced, whole or not at all, mode 0600; of a link it is the
    target. Into all else (a device, a pipe, the standard output) it is written.

    Raises:
        OSError: it cannot be written there; a pipe also where nobody reads it.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        status = None
    if status is not None and (stream := _standard_stream(status)):
        with os.fdopen(os.dup(stream), "wb") as file:
            file.writelines(pieces)
    elif status is None or stat.S_ISREG(status.st_mode):
        target = Path(os.path.realpath(path))
        part = _written(pieces, target.parent)
        try:
            part.replace(target)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            with target.open("wb") as file:  # it is mounted there by itself
                file.writelines(pieces)
        finally:
            part.unlink(missing_ok=True)
    else:
        reader = os.open(path, _WITHOUT_WAITING)
        try:
            with path.open("wb") as file:
                file.writelines(pieces)
        finally:
            os.close(reader)


def _standard_stream(status: os.stat_result) -> int | None:
    """Return 1 or 2 where the file is what this process prints to, like ``/dev/stdout``."""
    for stream in (1, 2):
        with suppress(OSError):
            # Windows gives devices no number.
            if status.st_ino and os.path.samestat(status, os.fstat(stream)):
                return stream
    return None
