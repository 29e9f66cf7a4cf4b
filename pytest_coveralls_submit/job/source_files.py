"""The source files of a job: digest, hits, branches, text."""

from __future__ import annotations

import hashlib
import io
import tokenize
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import JobError
from ..measurement.recorder import FileCoverage
from ..outcome import FileTotal


@dataclass(frozen=True, slots=True)
class SourceFile:
    """Hold a source file: https://docs.coveralls.io/api-jobs-endpoint."""

    name: str
    digest: str | None  # MD5 of the file's bytes; another tool may give none
    coverage: list[int | None]  # hits of each line; None: not relevant
    branches: list[int]  # flat: line, block, branch, hits
    source: str | None = None
    repository_name: str = field(default="", compare=False)  # before ``base_dir``, ``src_dir``

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> SourceFile:
        """Return the source file of a checked entry."""
        digest, branches = entry.get("source_digest"), entry.get("branches", [])
        return cls(entry["name"], digest, entry["coverage"], branches, entry.get("source"))

    @property
    def is_blank(self) -> bool:
        """Tell whether the text is blank, which OpenCov refuses."""
        return self.source is not None and not self.source.strip()

    @property
    def total(self) -> FileTotal:
        """Count the covered lines and branches."""
        branches = self.branches[3::4]
        lines = len(self.coverage) - self.coverage.count(None)
        covered = lines - self.coverage.count(0)
        taken = len(branches) - branches.count(0)
        return FileTotal(self.name, covered + taken, lines + len(branches), covered, lines)

    def as_json(self) -> dict[str, Any]:
        """Return the entry to send, without empty fields."""
        entry = {
            "name": self.name,
            "source_digest": self.digest,
            "coverage": self.coverage,
            "branches": self.branches or None,
            "source": self.source,
        }
        return {name: value for name, value in entry.items() if value is not None}


@dataclass(frozen=True, slots=True)
class SourceFiles:
    """Hold a job's source files, and the files left out."""

    files: tuple[SourceFile, ...]
    outside: tuple[str, ...]
    unreadable: dict[str, str]  # path -> reason
    notices: tuple[str, ...]


def read_source_files(
    measured: Iterable[FileCoverage],
    name_of: Callable[[str], str | None],
    as_sent: Callable[[str], str] = str,
    *,
    include_source: bool,
) -> SourceFiles:
    """Return the source files of the measured files.

    Args:
        measured: with absolute paths.
        name_of: path -> name in the repository, None outside of it.
        as_sent: that name -> the name in the job.
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
            content = Path(file.path).read_bytes()
            source = _decode(file.path, content) if include_source else None
            entry = _source_file(name, file, content)
            entry = replace(entry, source=source, repository_name=in_repository)
        except (OSError, ValueError, SyntaxError) as error:
            unreadable[file.path] = str(error)
            continue
        if entry.is_blank:
            continue
        last = max(*file.executed[-1:], *file.missing[-1:], 0, 0)
        if last > len(entry.coverage):
            notices.append(
                f"{name} was changed after it was measured: it has no line {last} any more"
            )
        try:
            entries[name] = merge(entries[name], entry) if name in entries else entry
        except JobError:
            notices.append(f"{name} was measured twice with different contents; one is sent")
    files = tuple(entries[name] for name in sorted(entries))
    return SourceFiles(files, tuple(outside), unreadable, tuple(notices))


def _source_file(name: str, file: FileCoverage, content: bytes) -> SourceFile:
    # Of bytes: ended by LF, CR LF or CR only, as coverage.py counts lines.
    lines = len(content.splitlines())
    hits: list[int | None] = [None] * lines
    for hit, numbers in enumerate((file.missing, file.executed)):
        for number in numbers:
            if number <= lines:
                hits[number - 1] = hit
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return SourceFile(name, digest, hits, _branches(file, lines))


def _branches(file: FileCoverage, lines: int) -> list[int]:
    branches: list[int] = []
    last = index = -1
    for line, hit in zip(*[iter(file.branches or ())] * 2, strict=True):
        index = index + 1 if line == last else 0
        last = line
        if line <= lines:
            branches += (line, 0, index, hit)
    return branches


def add_text(file: SourceFile, checkout: Path) -> SourceFile:
    """Return another tool's file with its text from the checkout."""
    with suppress(OSError, ValueError, SyntaxError):
        path = (checkout / file.name).resolve()
        # The name may come from a fork: it must not lead to another file of this machine.
        if file.source is None and path.is_relative_to(checkout.resolve()):
            return replace(file, source=_decode(file.name, path.read_bytes()))
    return file


def _decode(path: str, content: bytes) -> str:
    # Python source may declare another encoding (PEP 263).
    encoding, errors = "utf-8", "replace"
    if path.endswith((".py", ".pyw")):
        encoding, errors = tokenize.detect_encoding(io.BytesIO(content).readline)[0], "strict"
    return io.TextIOWrapper(io.BytesIO(content), encoding, errors).read()


def merge(one: SourceFile, other: SourceFile) -> SourceFile:
    """Return a file with the larger hits of two measurements.

    Raises:
        JobError: the two differ in their number of lines.
    """
    if len(one.coverage) != len(other.coverage):
        raise JobError(
            f"{one.name} has {len(other.coverage)} lines there and {len(one.coverage)} here: "
            "they were measured on different versions of the file"
        )
    pairs = zip(one.coverage, other.coverage, strict=True)
    return replace(
        one,
        digest=one.digest or other.digest,
        coverage=[max((n for n in pair if n is not None), default=None) for pair in pairs],
        branches=_merged_branches(one.branches, other.branches),
        source=other.source if one.source is None else one.source,
    )


def _merged_branches(one: list[int], other: list[int]) -> list[int]:
    hits: dict[tuple[int, int, int], int] = {}
    for branches in (one, other):
        for line, block, branch, count in zip(*[iter(branches)] * 4, strict=False):
            identity = line, block, branch
            hits[identity] = max(count, hits.get(identity, 0))
    return [number for identity in sorted(hits) for number in (*identity, hits[identity])]
