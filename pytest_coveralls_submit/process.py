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
import tempfile
from _thread import TIMEOUT_MAX, LockType, allocate_lock, start_new_thread
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

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

PIPE, DEVNULL = subprocess.PIPE, subprocess.DEVNULL
_SLICE = 0.05  # seconds between two looks at a child that takes its time

# Tests that change tempfile.tempdir come later.
_TEMPORARY: str | None = None
with suppress(OSError):
    _TEMPORARY = tempfile.gettempdir()


@dataclass(frozen=True, kw_only=True, slots=True)
class Completed:
    """A child that ended by itself: exit status, what it printed, seconds waited for it.

    `seconds` is counted by pauses, without a clock.
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
        seconds: how long to wait. What the child leaves behind is killed, and not waited for.
        limit: the greatest number of bytes that it may print.

    Raises:
        ProcessError: it could not be started, took too long or printed more than `limit` bytes.
            Its whole group is dead by then.
    """
    with scratch() as printed:

        def is_too_much() -> bool:
            return os.fstat(printed.fileno()).st_size > limit

        child = start(arguments, env=env, cwd=cwd, stdout=printed)
        try:
            waited = _wait(child, seconds, is_too_much)
        finally:
            kill(child)
        if is_too_much():
            raise ProcessError(f"{_name(arguments)} printed more than {limit} bytes")
        if waited is None:
            raise ProcessError(f"{_name(arguments)} did not answer within {seconds:g} s")
        printed.seek(0)
        return Completed(status=child.returncode, stdout=printed.read(), seconds=waited)


def scratch() -> IO[bytes]:
    """Return a file without a name, for what a child prints.

    Raises:
        ProcessError: no folder takes it.
    """
    try:
        return tempfile.TemporaryFile(dir=_TEMPORARY, buffering=0)
    except OSError as error:
        if hasattr(os, "memfd_create"):  # Linux; a container may be read-only as a whole
            with suppress(OSError):
                return os.fdopen(os.memfd_create("scratch"), "w+b", buffering=0)
        raise ProcessError(f"no temporary file could be made: {error}") from error


def start(
    arguments: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: int | IO[bytes] = DEVNULL,
    stdout: int | IO[bytes] = PIPE,
    stderr: int | IO[bytes] = DEVNULL,
) -> Popen[bytes]:
    """Start a child that leads a new process group, out of reach of the terminal's Ctrl-C.

    The caller must end it with `watched` or `kill`. `stdin`, `stdout` and `stderr` are those of
    `subprocess.Popen`.

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
        try:
            start_new_thread(guard, ())  # the interpreter does not wait for it
        except RuntimeError as error:  # "can't start new thread"
            raise ProcessError(f"no thread could be started: {error}") from error
        try:
            yield watch
        finally:
            left.release()
            unwatched.acquire()  # no signal of the guard's comes after the child is reaped
    finally:
        kill(child)


def status(child: Popen[bytes], seconds: float = 1.0) -> int | None:
    """Return the exit status of a child that is about to end: on Unix the negative of a signal.

    None where it does not end within ``seconds``, or was killed as its time was up.
    """
    _wait(child, seconds)
    return child.returncode


def kill(child: Popen[bytes]) -> None:
    """Kill the child's whole group, reap the child, close its pipes; never raises an Exception.

    May be called on a child that has ended, to end what it left behind, and more than once.
    """
    pipes = [pipe for pipe in (child.stdin, child.stdout, child.stderr) if pipe is not None]
    if child.returncode is not None and pipes and all(pipe.closed for pipe in pipes):
        return  # done before; its number may be another's by now
    _kill_group(child)
    _wait(child, 1)  # the kernel may be unable to end it now, on a dead network disk
    for pipe in pipes:
        with suppress(OSError, ValueError):  # e.g. what could not be flushed to a dead child
            pipe.close()


def pause(seconds: float) -> None:
    """Wait, whatever tests have made of clocks and `time.sleep`."""
    _held_lock().acquire(timeout=_waitable(seconds))


def _kill_group(child: Popen[bytes]) -> None:
    """End the child and what it started; on Windows the child alone."""
    if sys.platform != "win32":
        # macOS answers EPERM for a group of zombies
        with suppress(OSError):
            os.killpg(child.pid, signal.SIGKILL)
    with suppress(OSError):
        child.kill()


def _wait(
    child: Popen[bytes], seconds: float, is_enough: Callable[[], bool] = lambda: False
) -> float | None:
    """Collect a child that ends; the seconds waited, None where they ran out or it is enough."""
    waited = 0.0
    while child.poll() is None:
        if waited >= seconds or is_enough():
            return None
        step = min(max(0.001, waited / 8), _SLICE, seconds - waited)
        pause(step)
        waited += step
    return waited


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
