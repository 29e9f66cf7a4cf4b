"""Start child processes that tests cannot disturb.

Tests replace clocks, threads and functions, and gevent half of ``os`` and ``subprocess``. So
everything is bound by name before the first test, and time is counted in pauses, not by a clock.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from os import pipe
from pathlib import Path
from threading import Timer
from types import ModuleType
from typing import Any, NamedTuple

from .errors import ProcessError

BLOCK = 64 * 1024
FIRST_PAUSE, LONGEST_PAUSE = 0.001, 0.02
COLLECT_TIMEOUT = 1.0  # seconds; on a dead network disk even a killed child stays


def _original(module: ModuleType, name: str) -> Any:
    """Return a function as it was before ``python -m gevent.monkey``."""
    # gevent's event loop misses a child of its posix_spawn that ends too soon.
    monkey = sys.modules.get("gevent.monkey")
    return monkey.get_original(module.__name__, name) if monkey else getattr(module, name)


sleep = _original(time, "sleep")


class Completed(NamedTuple):
    """Hold the result of a child that ended by itself."""

    status: int
    stdout: bytes


if sys.platform == "win32":
    from subprocess import CREATE_NO_WINDOW, DEVNULL, Popen

    Process = Popen[bytes]
    _POPEN_OPTIONS: dict[str, Any] = {"stderr": DEVNULL, "creationflags": CREATE_NO_WINDOW}
else:
    from os import WNOHANG, kill, waitstatus_to_exitcode

    posix_spawn, waitpid = _original(os, "posix_spawn"), _original(os, "waitpid")

    class Process:
        """Run a child by ``posix_spawn``."""

        # A late patch_all() of gevent breaks Popen: it may wait for ever (gevent 25.8).
        def __init__(
            self, arguments: list[str], env: dict[str, str], stdin: FileIO, stdout: FileIO
        ) -> None:
            self.returncode: int | None = None
            files = [
                (os.POSIX_SPAWN_DUP2, stdin.fileno(), 0),
                (os.POSIX_SPAWN_DUP2, stdout.fileno(), 1),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ]
            options: dict[str, Any] = {"file_actions": files, "setsigdef": [signal.SIGPIPE]}
            self.pid = posix_spawn(arguments[0], arguments, env, **options)

        def poll(self) -> int | None:
            """Return the exit status; None while the child runs."""
            if self.returncode is None:
                try:
                    pid, status = waitpid(self.pid, WNOHANG)
                except ChildProcessError:  # collected by others, for example as SIGCHLD is ignored
                    pid, status = self.pid, 0
                self.returncode = waitstatus_to_exitcode(status) if pid else None
            return self.returncode

        def kill(self) -> None:
            """Kill the child unless it has ended."""
            if self.poll() is None:
                kill(self.pid, signal.SIGKILL)

    _POPEN_OPTIONS: dict[str, Any] = {}


class ChildTimeoutError(ProcessError):
    """A child did not end in time."""


def find_program(name: str, env: Mapping[str, str], *, not_below: Path | None = None) -> str:
    """Return the absolute path of a program on ``PATH``.

    Args:
        not_below: the repository, which may hold a program of that name (CVE-2023-40590).

    Raises:
        ProcessError: it is not installed.
    """
    file = f"{name}.exe" if sys.platform == "win32" else name
    for folder in map(Path, env.get("PATH", os.defpath).split(os.pathsep)):
        is_own = not_below is not None and Path(os.path.realpath(folder)).is_relative_to(not_below)
        if folder.is_absolute() and not is_own and (found := shutil.which(str(folder / file))):
            return found
    raise ProcessError(f"{name} is not installed")


def run(
    arguments: Sequence[str], *, env: Mapping[str, str], seconds: float, limit: int
) -> Completed:
    """Run a program, given by its absolute path, to its end.

    Args:
        limit: of the output, in bytes.

    Raises:
        ProcessError: it did not start, took too long or printed too much.
    """
    printed = bytearray()
    with start(arguments, env=env) as child:
        for block in child.exchange((), seconds):
            printed += block
            if len(printed) > limit:
                raise ProcessError(f"{child.name} printed more than {limit} bytes")
    return Completed(child.status, bytes(printed))


@contextmanager
def start(arguments: Sequence[str], *, env: Mapping[str, str]) -> Iterator[Child]:
    """Start a child, or raise ProcessError; kill it after the block."""
    name = Path(arguments[0]).name.removesuffix(".exe")
    with ExitStack() as pipes:
        try:
            stdin, to_child = _open_pipe(pipes)
            from_child, stdout = _open_pipe(pipes)
            options: dict[str, Any] = {"env": dict(env), "stdin": stdin, "stdout": stdout}
            process = Process(list(arguments), **options, **_POPEN_OPTIONS)
        except (OSError, ValueError) as error:
            raise ProcessError(f"{name} could not be started: {error}") from error
        try:
            stdin.close()
            stdout.close()
            yield Child(name, process, to_child, from_child)
        finally:
            with suppress(OSError):
                process.kill()
            waited = 0.0
            while process.poll() is None and waited < COLLECT_TIMEOUT:
                sleep(FIRST_PAUSE)
                waited += FIRST_PAUSE


def _open_pipe(pipes: ExitStack) -> tuple[FileIO, FileIO]:
    read, write = pipe()
    return pipes.enter_context(FileIO(read, "rb")), pipes.enter_context(FileIO(write, "wb"))


@dataclass(frozen=True)
class Child:
    """Talk to a child process through two pipes."""

    name: str
    process: Process
    to_child: FileIO
    from_child: FileIO

    @property
    def status(self) -> int:
        """Return the exit status; on Unix a signal's is negative."""
        return self.process.returncode or 0

    def exchange(self, body: Iterable[bytes], seconds: float) -> Iterator[bytes]:
        """Write ``body`` to the child and yield its output.

        Raises:
            ChildTimeoutError: it took longer.
        """
        is_late = False

        def kill_late() -> None:
            nonlocal is_late
            is_late = True
            self.process.kill()

        timer = Timer(seconds, kill_late)
        if hasattr(os, "set_blocking"):
            for pipe in (self.to_child, self.from_child):
                os.set_blocking(pipe.fileno(), False)
        else:  # Windows before Python 3.12
            timer.start()
        feed, waited, pause = self._feed(body), 0.0, FIRST_PAUSE
        try:
            while True:
                if next(feed, 0):
                    pause = FIRST_PAUSE  # a pipe holds 64 KiB, and empties soon
                    continue
                has_ended = self.process.poll() is not None  # asked before its last words are read
                block = self.from_child.read(BLOCK)
                if block:
                    yield block
                    pause = FIRST_PAUSE
                elif has_ended and not is_late:
                    return
                elif has_ended or waited >= seconds:
                    raise ChildTimeoutError(f"{self.name} did not answer within {seconds:g} s")
                else:
                    sleep(pause)
                    waited += pause
                    pause = min(pause * 1.5, LONGEST_PAUSE)
        finally:
            timer.cancel()

    def _feed(self, body: Iterable[bytes]) -> Iterator[int]:
        """Write to the child; yield how many bytes it took."""
        for piece in body:
            rest = memoryview(piece)
            while rest:
                try:
                    written = self.to_child.write(rest[:BLOCK]) or 0
                except OSError:  # it has ended, or reads no more
                    return
                rest = rest[written:]
                yield written
        self.to_child.close()
