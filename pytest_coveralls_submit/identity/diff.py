"""One comparison of commits by git, which runs beside the tests.

Which commit to compare with is found in ``base``; what the answer means, ``measurement/changed``
reads.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from .. import process
from ..errors import ProcessError
from ..git import SECONDS, Repository

if TYPE_CHECKING:
    from subprocess import Popen

LIMIT = 64 * 1024 * 1024
"""Bytes that are read of a diff."""

# Options and not the user's settings say what a diff looks like.
_OPTIONS = (
    *("-r", "-p", "-U0", "-M", "-l400", "-D", "--full-index", "--no-ext-diff", "--no-textconv"),
    *("--no-color", "--src-prefix=a/", "--dst-prefix=b/", "--inter-hunk-context=0"),
    *("--diff-algorithm=myers", "--indent-heuristic", "--ignore-submodules=all"),
)


def start_diff(top: Path, env: Mapping[str, str], base: str, *, includes_uncommitted: bool) -> Diff:
    """Start to compare a commit with HEAD, or with the work tree; `Diff` has what comes of it.

    Args:
        top: the top level, from `Git.top`.
        env: as for `read`.
        base: id of a commit that is there.
        includes_uncommitted: whether changed tracked files count, and not HEAD alone.

    Raises:
        ProcessError: git could not be started.
    """
    repository = Repository.at(top, env)
    arguments = ["diff-tree", *_OPTIONS]
    commits = [base, "HEAD", "--"]
    if includes_uncommitted:
        repository = _without_filters(repository)
        arguments, commits = ["diff-index", *_OPTIONS], [base, "--"]

    def start(*more: str) -> tuple[Popen[bytes], IO[bytes]]:
        printed = process.scratch()
        try:
            words = [*arguments, *more, *commits]
            return repository.start(*words, stdout=printed.fileno()), printed
        except ProcessError:
            printed.close()
            raise

    return Diff(start)


class Diff:
    """A comparison that git makes beside the tests, into a file without a name.

    What is no text, or is marked as none, is shown as text: a file may only be marked so. Where
    that is too much, it is made again without.
    """

    def __init__(self, start: Callable[..., tuple[Popen[bytes], IO[bytes]]]) -> None:
        self._start = start
        self._begin("--text")

    def _begin(self, *more: str) -> None:
        self._child, self._printed = self._start(*more)
        if sys.platform == "linux":  # elsewhere the limit holds when it is read
            import resource

            with suppress(OSError, ValueError):  # it has ended already
                resource.prlimit(self._child.pid, resource.RLIMIT_FSIZE, (LIMIT, LIMIT))

    def has_ended(self) -> bool:
        """Tell whether git is done, without waiting.

        If so it is no child of ours any more: a test that waits for any child does not get it.
        """
        return self._child.poll() is not None

    def read(self, seconds: float = SECONDS) -> bytes:
        """Wait for the end; return what git printed. It is closed afterwards.

        Raises:
            ProcessError: git took too long, failed, or printed more than 64 MiB.
        """
        try:
            if self._size(seconds) >= LIMIT:
                self.close()
                self._begin()
                if self._size(seconds) >= LIMIT:
                    raise ProcessError(f"they are more than {LIMIT // 1024**2} MiB")
            if self._child.returncode != 0:
                raise ProcessError(
                    "git could not compare the commits; a partial clone (`filter`) lacks what "
                    "they hold"
                )
            self._printed.seek(0)
            return self._printed.read()
        finally:
            self.close()

    def _size(self, seconds: float) -> int:
        """Wait for the end; return how many bytes were printed."""
        if not self.has_ended():
            with process.watched(self._child, seconds) as watch:
                self._child.wait()
            if watch.expired:
                raise ProcessError(f"git did not compare the commits within {seconds:g} s")
        return os.fstat(self._printed.fileno()).st_size

    def close(self) -> None:
        """End git if it still runs, and give up the file; may be called more than once."""
        if not self.has_ended():
            process.kill(self._child)
        self._printed.close()


def _without_filters(repository: Repository) -> Repository:
    """The repository with no program of the configuration between git and the work tree.

    https://git-scm.com/docs/gitattributes#_filter: they are started for a changed file.
    """
    names = r"^filter\..*\.(clean|process|required)$"
    said = repository.run("config", "-z", "--name-only", "--get-regexp", names)
    drivers = {
        key.rpartition(".")[0]
        for key in said.stdout.decode("utf-8", "surrogateescape").split("\0")
        if key
    }
    off = [
        (f"{driver}.{key}", value)
        for driver in sorted(drivers)
        for key, value in (("clean", ""), ("process", ""), ("required", "false"))
    ]
    settings = {"GIT_CONFIG_COUNT": str(len(off))}
    for number, (key, value) in enumerate(off):
        settings[f"GIT_CONFIG_KEY_{number}"] = key
        settings[f"GIT_CONFIG_VALUE_{number}"] = value
    return replace(repository, env={**repository.env, **settings})
