"""The source files of a job: digest, hits, branches, text."""

import hashlib
import io
import tokenize
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import JobError
from ..measurement.measure import FileCoverage
from ..outcome import FileTotal
from .names import Names


@dataclass(frozen=True)
class SourceFile:
    """Hold a source file: https://docs.coveralls.io/api-jobs-endpoint."""

    name: str
    coverage: list[int | None]  # hits of each line; None: not relevant
    branches: list[int] = field(default_factory=list)  # flat: line, block, branch, hits
    source_digest: str | None = None  # MD5 of the file's bytes; another tool may give none
    source: str | None = None
    repository_name: str = field(default="", compare=False)  # before ``base_dir``, ``src_dir``

    @property
    def is_blank(self) -> bool:
        """Tell if the text is blank: OpenCov refuses such files."""
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
        return {
            name: value
            for name, value in vars(self).items()
            if name == "coverage" or (value and name != "repository_name")
        }


@dataclass(frozen=True, slots=True)
class SourceFiles:
    """Hold a job's source files, and those left out."""

    files: tuple[SourceFile, ...]  # sorted by name
    outside: int  # number of files that are not of the repository
    unreadable: dict[str, str]  # path -> reason
    notices: tuple[str, ...]


def read_source_files(
    measured: Iterable[FileCoverage], names: Names, *, include_source: bool
) -> SourceFiles:
    """Return the source files of files with absolute paths."""
    files: dict[str, SourceFile] = {}
    outside = 0
    unreadable: dict[str, str] = {}
    notices: list[str] = []
    for analysis in measured:
        name = names.name_for(analysis.path)
        if name is None:
            outside += analysis.path not in names.ambiguous
            continue
        sent = names.as_sent(name)
        try:
            file = _read_file(analysis, sent, name, include_source=include_source)
        except (OSError, ValueError, SyntaxError) as error:
            unreadable[analysis.path] = str(error)
            continue
        if file.is_blank:
            continue
        last = max(*analysis.executed[-1:], *analysis.missing[-1:], 0, 0)
        if last > len(file.coverage):
            notices.append(
                f"{sent} was changed after it was measured: it has no line {last} any more"
            )
        try:
            files[sent] = merge(files.get(sent), file)
        except JobError:
            notices.append(f"{sent} was measured twice with different contents; one is sent")
    in_order = tuple(files[name] for name in sorted(files))
    return SourceFiles(in_order, outside, unreadable, (*notices, *names.notices))


def _read_file(
    analysis: FileCoverage, name: str, repository_name: str, *, include_source: bool
) -> SourceFile:
    content = Path(analysis.path).read_bytes()
    # Of bytes: ended by LF, CR LF or CR only, as coverage.py counts lines.
    lines = len(content.splitlines())
    hits = dict.fromkeys(analysis.missing, 0) | dict.fromkeys(analysis.executed, 1)
    return SourceFile(
        name=name,
        coverage=list(map(hits.get, range(1, lines + 1))),
        branches=_branches(analysis, lines),
        source_digest=hashlib.md5(content, usedforsecurity=False).hexdigest(),
        source=_decode(analysis.path, content) if include_source else None,
        repository_name=repository_name,
    )


def _branches(analysis: FileCoverage, lines: int) -> list[int]:
    branches: list[int] = []
    last = index = -1
    for line, hit in zip(*[iter(analysis.branches or ())] * 2, strict=True):
        index = index + 1 if line == last else 0
        last = line
        if line <= lines:
            branches += (line, 0, index, hit)
    return branches


def add_text(file: SourceFile, checkout: Path) -> SourceFile:
    """Return another tool's file with text of the checkout."""
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


def merge(one: SourceFile | None, other: SourceFile) -> SourceFile:
    """Return a file with the larger hits of both.

    Raises:
        JobError: the two differ in their number of lines.
    """
    if one is None:
        return other
    if len(one.coverage) != len(other.coverage):
        raise JobError(
            f"{one.name} has {len(other.coverage)} lines there and {len(one.coverage)} here: "
            "they were measured on different versions of the file"
        )
    pairs = zip(one.coverage, other.coverage, strict=True)
    return replace(
        one,
        coverage=[max((n for n in pair if n is not None), default=None) for pair in pairs],
        branches=_merged_branches(one.branches, other.branches),
        source_digest=one.source_digest or other.source_digest,
        source=one.source or other.source,
    )


def _merged_branches(one: list[int], other: list[int]) -> list[int]:
    hits: dict[tuple[int, int, int], int] = {}
    for branches in (one, other):
        for line, block, branch, count in zip(*[iter(branches)] * 4, strict=False):
            identity = line, block, branch
            hits[identity] = max(count, hits.get(identity, 0))
    return [number for identity in sorted(hits) for number in (*identity, hits[identity])]
