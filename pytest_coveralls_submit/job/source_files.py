"""coverage's analysis of a file -> the source file of a job: name, digest, hits, branches.

What a file is called is left to ``names``, how a job is written to ``document``.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import tokenize
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypedDict

from ..errors import JobError
from ..measurement.records import FileCoverage
from ..outcome import FileTotal

# A test may have put a pipe in the file's place: not waited for. Windows knows text files.
_READING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_NO_NAME = re.compile(r"[A-Za-z]:|.*[\\\0]|\s*\Z", re.DOTALL)
NAME_LIMIT = 4096
"""Letters of the longest name; no path on Linux is longer."""


class _SourceFileJson(TypedDict):
    name: str
    coverage: list[int | None]


class SourceFileJson(_SourceFileJson, total=False):
    """A source file as it stands in a job."""

    source_digest: str
    branches: list[int]
    source: str


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One entry of a job's ``source_files``: https://docs.coveralls.io/api-jobs-endpoint."""

    name: str
    digest: str | None
    """MD5 of the file's bytes, hexadecimal; None where another tool gave none."""
    coverage: list[int | None]
    """One entry a line: None not relevant, 0 missed, else executed. Not to be changed."""
    branches: list[int]
    """Flat ``line, block, branch, hits``; empty where branches were not measured."""
    source: str | None = None
    repository_name: str = field(default="", compare=False)
    """What it is called in the repository; empty where that is the name."""

    @property
    def total(self) -> FileTotal:
        """How many of the lines and branches are covered."""
        branches = self.branches[3::4]
        lines = len(self.coverage) - self.coverage.count(None)
        covered = lines - self.coverage.count(0)
        taken = len(branches) - branches.count(0)
        return FileTotal(self.name, covered + taken, lines + len(branches), covered, lines)

    def as_json(self) -> SourceFileJson:
        """Return the entry as it is sent, with the same lists; nothing empty but ``coverage``."""
        entry: SourceFileJson = {"name": self.name, "coverage": self.coverage}
        if self.digest is not None:
            entry["source_digest"] = self.digest
        if self.branches:
            entry["branches"] = self.branches
        if self.source is not None:
            entry["source"] = self.source
        return entry


@dataclass(frozen=True, slots=True)
class Reading:
    """The source files of a job, and what had to be left out and why."""

    files: tuple[SourceFile, ...]
    """Sorted by name."""
    outside: tuple[str, ...]
    unreadable: dict[str, str]
    """Path -> reason."""
    notices: tuple[str, ...]


def read(
    measured: Iterable[FileCoverage],
    name_of: Callable[[str], str | None],
    as_sent: Callable[[str], str] = str,
    *,
    include_source: bool,
) -> Reading:
    """Read each measured file and make its entry; one that cannot be read stops no other.

    Args:
        measured: with absolute paths.
        name_of: path -> name in the repository, None outside of it.
        as_sent: that name -> the name in the job.
        include_source: whether to send the text too.
    """
    entries: dict[str, SourceFile] = {}
    outside: list[str] = []
    unreadable: dict[str, str] = {}
    notices: list[str] = []
    for file in measured:
        in_repository = name_of(file.path)
        if in_repository is None:
            outside.append(file.path)
            continue
        name = as_sent(in_repository)
        try:
            content = _content(file.path)
            entry = _entry(name, file, content, include_source=include_source)
            if name != in_repository:
                entry = replace(entry, repository_name=in_repository)
        except (OSError, ValueError, SyntaxError) as error:
            unreadable[file.path] = str(error)
            continue
        notices += _line_notices(file, content, entry)
        try:
            entries[name] = merge(entries[name], entry) if name in entries else entry
        except JobError:
            notices.append(f"{name} was measured twice in different forms; one is sent")
    files = tuple(entries[name] for name in sorted(entries))
    return Reading(files, tuple(outside), unreadable, tuple(notices))


def _content(path: str) -> bytes:
    handle = os.open(path, _READING)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"no regular file: {path!r}")
        return b"".join(iter(lambda: os.read(handle, status.st_size + 1), b""))
    finally:
        os.close(handle)


def _entry(name: str, file: FileCoverage, content: bytes, *, include_source: bool) -> SourceFile:
    if not is_name(name):
        raise ValueError(f"Coveralls takes no name like {name!r}")
    lines = count_lines(content)
    hits: list[int | None] = [None] * lines
    for hit, numbers in enumerate((file.missing, file.executed)):
        for number in numbers:
            if number <= lines:
                hits[number - 1] = hit
    return SourceFile(
        name=name,
        digest=hashlib.md5(content, usedforsecurity=False).hexdigest(),
        coverage=hits,
        branches=_branches(file, lines),
        source=_text(file.path, content) if include_source else None,
    )


def is_name(name: str) -> bool:
    r"""Tell whether a file of a job can be called so: relative, plain, separated by ``/``.

    No drive, no backslash, no NUL, no empty component, no ``.`` or ``..``. Control characters
    are allowed, because git allows them; who prints a name escapes it.
    """
    is_plain = len(name) <= NAME_LIMIT and _NO_NAME.match(name) is None
    return is_plain and {"", ".", ".."}.isdisjoint(name.split("/"))


def count_lines(content: bytes) -> int:
    r"""Count lines as coverage.py does: ended by ``\n``, ``\r\n`` or ``\r`` and nothing else.

    ``str.splitlines`` would also count form feeds and U+2028.
    """
    ends = content.count(b"\n")
    if b"\r" in content:
        ends += content.count(b"\r") - content.count(b"\r\n")
    return ends + (not content.endswith((b"\n", b"\r")) and bool(content))


def _branches(file: FileCoverage, lines: int) -> list[int]:
    branches: list[int] = []
    last = index = -1
    for line, hit in zip(*[iter(file.branches or ())] * 2, strict=True):
        index = index + 1 if line == last else 0
        last = line
        if line <= lines:
            branches += (line, 0, index, hit)
    return branches


def _text(path: str, content: bytes) -> str:
    """Decode by the encoding that the source declares (PEP 263); templates are UTF-8."""
    encoding, errors = "utf-8", "replace"
    if path.endswith((".py", ".pyw")):
        encoding, errors = tokenize.detect_encoding(io.BytesIO(content).readline)[0], "strict"
    return io.TextIOWrapper(io.BytesIO(content), encoding, errors).read()


def _line_notices(file: FileCoverage, content: bytes, entry: SourceFile) -> Iterator[str]:
    last = max(*file.executed[-1:], *file.missing[-1:], 0, 0)
    if last > len(entry.coverage):
        yield f"{entry.name} was changed after it was measured: it has no line {last} any more"
    if b"\r" in content and b"\r" in content.replace(b"\r\n", b""):
        yield f"{entry.name} has line ends that git and Coveralls do not count (a lone CR)"


def merge(one: SourceFile, other: SourceFile) -> SourceFile:
    """Return the entry of a file that was measured twice.

    It has the larger hits of each line and of each branch; a line or branch that is relevant to
    either is relevant. Digest and text are those of ``one``, where it has them.

    Raises:
        JobError: the two have not the same number of lines.
    """
    lengths = len(one.coverage), len(other.coverage)
    if lengths[0] != lengths[1]:
        raise JobError(
            f"{one.name} has {lengths[1]} lines there and {lengths[0]} here: "
            "they were measured on different versions of the file"
        )
    return replace(
        one,
        digest=one.digest or other.digest,
        coverage=[_larger(a, b) for a, b in zip(one.coverage, other.coverage, strict=True)],
        branches=_merged_branches(one.branches, other.branches),
        source=other.source if one.source is None else one.source,
    )


def _larger(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)


def _merged_branches(one: list[int], other: list[int]) -> list[int]:
    hits: dict[tuple[int, int, int], int] = {}
    for branches in (one, other):
        for line, block, branch, count in zip(*[iter(branches)] * 4, strict=True):
            identity = line, block, branch
            hits[identity] = max(count, hits.get(identity, 0))
    return [number for identity in sorted(hits) for number in (*identity, hits[identity])]
