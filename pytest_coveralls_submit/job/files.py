"""coverage's analysis of a file -> the source file of a job: name, digest, hits, branches."""

from __future__ import annotations

import hashlib
import tokenize
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..measurement.records import FileCoverage


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One entry of a job's ``source_files``: https://docs.coveralls.io/api-jobs-endpoint."""

    name: str
    digest: str
    """MD5 of the file's bytes, hexadecimal."""
    coverage: list[int | None]
    """One entry a line: None not relevant, 0 missed, 1 executed."""
    branches: list[int]
    """Flat ``line, block, branch, hits``; empty where branches were not measured."""
    source: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the entry as it is sent; nothing empty but ``coverage``."""
        entry: dict[str, Any] = {
            "name": self.name,
            "source_digest": self.digest,
            "coverage": self.coverage,
        }
        if self.branches:
            entry["branches"] = self.branches
        if self.source is not None:
            entry["source"] = self.source
        return entry


@dataclass(slots=True)
class Reading:
    """The source files of a job, and what had to be left out and why."""

    files: list[SourceFile] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    """Path -> reason."""
    notices: list[str] = field(default_factory=list)


def read(
    measured: Iterable[FileCoverage],
    name_of: Callable[[str], str | None],
    *,
    include_source: bool,
) -> Reading:
    """Read each measured file and make its entry; one that cannot be read stops no other.

    Args:
        measured: with absolute paths.
        name_of: path -> name in the repository, None outside of it.
        include_source: whether to send the text too.
    """
    reading = Reading()
    entries: dict[str, SourceFile] = {}
    for file in measured:
        name = name_of(file.path)
        if name is None:
            reading.outside.append(file.path)
            continue
        try:
            content = Path(file.path).read_bytes()
            entry = _entry(name, file, content, include_source=include_source)
        except (OSError, ValueError, SyntaxError) as error:
            reading.unreadable[file.path] = str(error)
            continue
        reading.notices += _line_notices(name, file, content, entry)
        entries[name] = _merged(entries[name], entry, reading) if name in entries else entry
    reading.files = [entries[name] for name in sorted(entries)]
    return reading


def _entry(name: str, file: FileCoverage, content: bytes, *, include_source: bool) -> SourceFile:
    lines = count_lines(content)
    hits: list[int | None] = [None] * lines
    for number in file.missing:
        if number <= lines:
            hits[number - 1] = 0
    for number in file.executed:
        if number <= lines:
            hits[number - 1] = 1
    return SourceFile(
        name=name,
        digest=hashlib.md5(content, usedforsecurity=False).hexdigest(),
        coverage=hits,
        branches=list(_branches(file, lines)),
        source=_text(file.path) if include_source else None,
    )


def count_lines(content: bytes) -> int:
    r"""Count lines as coverage.py does: ended by ``\n``, ``\r\n`` or ``\r`` and nothing else.

    ``str.splitlines`` would also count form feeds and U+2028.
    """
    ends = content.count(b"\n") + content.count(b"\r") - content.count(b"\r\n")
    return ends + (not content.endswith((b"\n", b"\r")) and bool(content))


def _branches(file: FileCoverage, lines: int) -> Iterator[int]:
    last = index = -1
    for line, hit in zip(*[iter(file.branches or ())] * 2, strict=True):
        index = index + 1 if line == last else 0
        last = line
        if line <= lines:
            yield from (line, 0, index, hit)


def _text(path: str) -> str:
    """Decode by the encoding that the source declares (PEP 263); templates are UTF-8."""
    if path.endswith((".py", ".pyw")):
        with tokenize.open(path) as file:
            return file.read()
    return Path(path).read_text("utf-8", "replace")


def _line_notices(
    name: str, file: FileCoverage, content: bytes, entry: SourceFile
) -> Iterator[str]:
    last = max(*file.executed[-1:], *file.missing[-1:], 0, 0)
    if last > len(entry.coverage):
        yield f"{name} was changed after it was measured: it has no line {last} any more"
    if b"\r" in content.replace(b"\r\n", b""):
        yield f"{name} has line ends that git and Coveralls do not count (a lone CR)"


def _merged(one: SourceFile, other: SourceFile, reading: Reading) -> SourceFile:
    same_branches = one.branches[0::4] == other.branches[0::4]
    if len(one.coverage) != len(other.coverage) or not same_branches:
        reading.notices.append(f"{one.name} was measured twice in different forms; one is sent")
        return one
    return merge(one, other)


def merge(one: SourceFile, other: SourceFile) -> SourceFile:
    """Return the entry of a file that was measured twice, with the larger hits of each line."""
    hits = [larger(a, b) for a, b in zip(one.coverage, other.coverage, strict=True)]
    branches = [max(a, b) for a, b in zip(one.branches, other.branches, strict=True)]
    return SourceFile(one.name, one.digest, hits, branches, one.source)


def larger(one: int | None, other: int | None) -> int | None:
    """Return the larger number of hits; a line that is relevant to either is relevant."""
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)
