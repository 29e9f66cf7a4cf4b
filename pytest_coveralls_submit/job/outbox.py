"""Jobs on disk until they are accepted; the token is not in them."""

import hashlib
import os
import re
import stat
import sys
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

MAX_JOBS = 20  # in a folder
MAX_AGE = 14 * 24 * 60 * 60  # seconds
OWN = "pytest-coveralls-submit-of-"  # start of a folder's name in the temporary directory
CACHE = "d/coveralls"  # end of the path of the folder in pytest's cache


def own_folder(temporary: Path, top: Path) -> Path:
    """Return the user's folder for a repository's jobs."""
    # Each user of Windows has a temporary directory of his own.
    user = getattr(os, "getuid", lambda: "you")()
    # The jobs of one repository only: "send FOLDER" sends all with one token.
    digest = hashlib.sha256(os.fsencode(top)).hexdigest()[:8]
    return temporary / f"{OWN}{user}-{_file_name(top.name)}-{digest}"


def job_stem(job: Mapping[str, Any]) -> str:
    """Return a file name by build number or commit."""
    number = job.get("service_number") or job.get("commit_sha", "")[:7] or "local"
    return f"job-{_file_name(number)}"


def _file_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", text)[:80]


def keep(job_bytes: bytes, folders: Iterable[Path], stem: str) -> Path | None:
    """Write a job to the first usable folder.

    The file appears whole, mode 0600, and replaces no other: letters are added to a stem that is
    taken. Old files are removed.
    """
    for folder in folders:
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_owner(folder)
            path = _take_name(folder, stem)
            try:
                write(job_bytes, path)
            except OSError:
                path.unlink()
                raise
            _remove_old(folder, path)
            return path
    return None


def _take_name(folder: Path, stem: str) -> Path:
    path = folder / f"{stem}.json"
    with suppress(FileExistsError):
        path.touch(mode=0o600, exist_ok=False)
        return path
    handle, name = tempfile.mkstemp(prefix=f"{stem}-", suffix=".json", dir=folder)
    os.close(handle)
    return Path(name)


def _check_owner(folder: Path) -> None:
    """Raise OSError for a folder made by another user."""
    # As pytest: https://github.com/pytest-dev/pytest/issues/7469
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(f"{folder} is a link")
    if sys.platform != "win32" and folder.name.startswith(OWN):
        if status.st_uid != os.getuid():
            raise PermissionError(f"{folder} belongs to another user")
        folder.chmod(0o700)


def _remove_old(folder: Path, newest: Path) -> None:
    jobs = [job for job in _by_time(folder.glob("job*.json")) if job[1] != newest]
    # By the disk's clock: a test may have frozen ours.
    limit = newest.stat().st_mtime - MAX_AGE
    newer = jobs[1 - MAX_JOBS :]
    for _, path in [*jobs[: 1 - MAX_JOBS], *(job for job in newer if job[0] < limit)]:
        with suppress(OSError):
            path.unlink()


def _by_time(paths: Iterable[Path]) -> list[tuple[float, Path]]:
    found = []
    for path in paths:
        with suppress(OSError):  # removed meanwhile
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                found.append((status.st_mtime, path))
    return sorted(found)


def kept_jobs(folder: Path, before: float) -> tuple[Path, ...]:
    """Return the jobs of the 14 days before."""
    with suppress(OSError):
        _check_owner(folder)
        jobs = _by_time(folder.glob("job*.json"))
        return tuple(path for time, path in jobs if before - MAX_AGE <= time < before)
    return ()


def jobs_in(path: Path) -> tuple[Path, ...]:
    """Return a folder's jobs, oldest first, or the file."""
    if not path.is_dir():
        return (path,)
    found = [*path.glob("job*.json"), *path.glob("*/job*.json")]  # as artifacts are downloaded
    return tuple(job for _, job in _by_time(found))


def remove(path: Path) -> str | None:
    """Remove an accepted job; return a notice on failure."""
    try:
        if path.is_file() and not path.is_symlink():
            path.unlink(missing_ok=True)
    except OSError as error:
        return f"{path} was accepted but cannot be removed: {error.strerror or error}"
    with suppress(OSError):
        folder = path.parent
        if folder.name.startswith(OWN) or folder.match(CACHE):
            folder.rmdir()
        if folder.match(CACHE):
            folder.parent.rmdir()
    return None


def write(job_bytes: bytes, path: Path) -> None:
    """Write a whole job to a file, or raise."""
    if path.exists() and not path.is_file():  # a pipe or device
        path.write_bytes(job_bytes)
        return
    target = Path(os.path.realpath(path))
    # The dot, because "pytest --looponfail" runs again for new files without one.
    handle, name = tempfile.mkstemp(prefix=".job-", dir=target.parent)  # mode 0600
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(job_bytes)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
