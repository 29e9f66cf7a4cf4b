"""Child processes in a group of their own, killed whole when their time is up.

Nothing that tests leave behind reaches them: no clock is read (a deadline is a lock's timeout,
which the operating system keeps), `subprocess` is a copy of our own, and threads are `_thread`'s.
What is run, and what its output means, is left to others.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from _thread import TIMEOUT_MAX, LockType, allocate_lock, start_new_thread
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import ProcessError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from subprocess import Popen
else:
    # Others change the module in place: gevent's patch_all() takes away what Popen needs to work,
    # freezegun and mocks replace its parts. What is not in sys.modules is out of their reach.
    _spec = importlib.util.find_spec("subprocess")
    subprocess = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(subprocess)

_CHUNK = 65536  # bytes asked for at a time: what a pipe holds on Linux
_SLICE = 0.05  # seconds; elapsed time is counted in these, see `output`


@dataclass(frozen=True, kw_only=True, slots=True)
class Completed:
    """A child that ended by itself: exit status, what it printed, seconds waited for it.

    `seconds` is counted in steps of 0.05 s without a clock; a quick child counts as 0.
    """

    status: int
    stdout: bytes
    seconds: float = 0.0


@dataclass(slots=True)
class Watch:
    """Whether the time of a watched child ran out."""

    expired: bool = False


def program(name: str, env: Mapping[str, str], *, without: Collection[Path]) -> Path:
    """Return the absolute path of a program on `PATH`.

    A repository may hold a program of that name, so neither relative entries of `PATH` nor the
    directories `without`, resolved, count (CVE-2023-40590).

    Raises:
        ProcessError: there is none.
    """
    file = f"{name}.exe" if sys.platform == "win32" else name
    for entry in env.get("PATH", os.defpath).split(os.pathsep):
        directory = Path(entry)
        path = directory / file
        if not directory.is_absolute() or Path(os.path.realpath(directory)) in without:
            continue
        # Path.is_file() raises PermissionError where a directory may not be searched.
        if os.path.isfile(path) and os.access(path, os.X_OK):  # noqa: PTH113
            return path
    raise ProcessError(f"{name} is not installed")


def output(
    arguments: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    seconds: float,
    limit: int,
) -> Completed:
    """Run a child to its end; return its status and what it printed.

    Args:
        arguments: the program and its arguments; no shell is involved.
        env: the child's whole environment.
        cwd: its working directory; ours by default.
        seconds: how long to wait. A process that the child leaves behind with the pipe open
            counts as the child.
        limit: the greatest number of bytes read from it.

    Raises:
        ProcessError: it could not be started, took too long or printed more than `limit` bytes.
            Its whole group is dead by then.
    """
    child = start(arguments, env=env, cwd=cwd, bufsize=0)
    try:
        reading = _Reading(child, limit)
        waited = reading.wait(seconds)
    finally:
        kill(child)
    if waited is None:
        raise ProcessError(f"{_name(arguments)} did not answer within {seconds:g} s")
    if reading.too_much:
        raise ProcessError(f"{_name(arguments)} printed more than {limit} bytes")
    return Completed(status=child.returncode, stdout=bytes(reading.printed), seconds=waited)


def start(
    arguments: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.DEVNULL,
    bufsize: int = -1,
) -> Popen[bytes]:
    """Start a child that leads a new process group, out of reach of the terminal's Ctrl-C.

    The caller must end it with `watched` or `kill`. `stdin`, `stdout`, `stderr` and `bufsize` are
    those of `subprocess.Popen`.

    Raises:
        ProcessError: the program could not be started; says which and why.
    """
    try:
        return subprocess.Popen(
            list(arguments),
            env=dict(env),
            cwd=cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            bufsize=bufsize,
            start_new_session=True,  # ignored on Windows
            creationflags=_creation_flags(),
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise ProcessError(f"{_name(arguments)} could not be started: {error}") from error


@contextmanager
def watched(child: Popen[bytes], seconds: float) -> Iterator[Watch]:
    """Kill the child's group after `seconds` unless the block ends before.

    However the block is left, also by KeyboardInterrupt, the group is dead, the child reaped and
    its pipes closed afterwards. A read that is blocked in the child's output sees its end when
    the time is up; `Watch.expired` then tells why.

    Raises:
        ProcessError: no thread could be started to watch it; the child is dead.
    """
    watch = Watch()
    left, unwatched = _held_lock(), _held_lock()

    def guard() -> None:  # pragma: no cover - no tracer sees this thread
        if not left.acquire(timeout=_waitable(seconds)):
            watch.expired = True
            _kill_group(child)
        unwatched.release()

    try:
        _in_thread(guard)
        try:
            yield watch
        finally:
            left.release()
            unwatched.acquire()  # no signal of the guard's comes after the child is reaped
    finally:
        kill(child)


def kill(child: Popen[bytes]) -> None:
    """Kill the child's whole group, reap the child, close its pipes; never raises an Exception.

    May be called on a child that has ended, to end what it left behind, and more than once.
    """
    pipes = [pipe for pipe in (child.stdin, child.stdout, child.stderr) if pipe is not None]
    if child.returncode is not None and pipes and all(pipe.closed for pipe in pipes):
        return  # done before; its number may be another's by now
    _kill_group(child)
    _reap(child, 1)  # the kernel may be unable to end it now, on a dead network disk
    for pipe in pipes:
        with suppress(OSError, ValueError):  # e.g. what could not be flushed to a dead child
            pipe.close()


class _Reading:
    """Reads what a child prints in a thread, so that nothing that holds the pipe can hold us."""

    def __init__(self, child: Popen[bytes], limit: int) -> None:
        self.printed = bytearray()
        self.too_much = False
        self._child = child
        self._limit = limit
        self._ended = _held_lock()
        _in_thread(self._run)

    def wait(self, seconds: float) -> float | None:
        """Seconds until the child ended or said too much; None if they ran out before."""
        waited = 0.0
        while not self._ended.acquire(timeout=_waitable(min(_SLICE, seconds - waited))):
            waited += _SLICE
            if waited >= seconds:
                return None
        # The end of the output is not yet that of the child.
        while not self.too_much and not _reap(self._child, _SLICE):
            waited += _SLICE
            if waited >= seconds:
                return None
        return waited

    def _run(self) -> None:  # pragma: no cover - no tracer sees this thread
        # The pipe may be closed under us once nobody waits for the answer any more.
        with suppress(OSError, ValueError):
            pipe = self._child.stdout
            while pipe is not None and not self.too_much and (chunk := pipe.read(_CHUNK)):
                self.too_much = len(self.printed) + len(chunk) > self._limit
                self.printed += chunk
        self._ended.release()


def _kill_group(child: Popen[bytes]) -> None:
    """End the child and what it started; on Windows the child alone."""
    if sys.platform != "win32":
        # macOS answers EPERM for a group of zombies
        with suppress(OSError):
            os.killpg(child.pid, signal.SIGKILL)
    with suppress(OSError):
        child.kill()


def _reap(child: Popen[bytes], seconds: float) -> bool:
    """Collect a child that is about to end; whether it did within that time."""
    never = _held_lock()
    pause = 0.001
    while child.poll() is None:
        if pause > seconds:
            return False
        never.acquire(timeout=pause)
        seconds -= pause
        pause *= 2
    return True


def _in_thread(work: Callable[[], None]) -> None:
    """Run `work` in a thread that outlives nothing: the interpreter does not wait for it."""
    try:
        start_new_thread(work, ())
    except RuntimeError as error:  # "can't start new thread"
        raise ProcessError(f"no thread could be started: {error}") from error


def _held_lock() -> LockType:
    lock = allocate_lock()
    lock.acquire()
    return lock


def _waitable(seconds: float) -> float:
    """Seconds as a lock's timeout: a negative one would mean to wait for ever."""
    return min(max(seconds, 0.0), TIMEOUT_MAX)


def _creation_flags() -> int:
    if sys.platform == "win32":
        return subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    return 0


def _name(arguments: Sequence[str]) -> str:
    return Path(arguments[0]).name.removesuffix(".exe")
