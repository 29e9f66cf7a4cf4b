"""Which of the changed lines are covered: git's diff and a job's source files, as plain values.

Only what ``git diff-tree -p`` and ``diff-index -p`` print is read. How git is asked is left to
others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from typing import NamedTuple

from ..outcome import ChangedFile, ChangedLines

# https://git-scm.com/docs/diff-format
_INDEX = re.compile(rb"index [0-9a-f]+\.\.([0-9a-f]*[1-9a-f][0-9a-f]*)\b")
_HUNK = re.compile(rb"@@ -[0-9]+(?:,([0-9]+))? \+([0-9]+)(?:,([0-9]+))? @@")
_ESCAPE = re.compile(rb"\\([0-3][0-7]{2}|.)", re.DOTALL)
_LETTERS = dict(zip(b"abtnvfr", b"\a\b\t\n\v\f\r", strict=True))


class Change(NamedTuple):
    """What has changed in one file."""

    lines: list[range]
    """In ascending order; they count from 1."""
    blob: str | None = None
    """Git's id of the content that they are lines of; None for what lies in the work tree."""


class Counted(NamedTuple):
    """What is counted of a source file."""

    name: str
    """In the job."""
    repository_name: str
    coverage: Sequence[int | None]
    """Hits of each line; None where coverage counts none."""
    branches: Sequence[int]
    """Flat ``line, block, branch, hits``, or empty."""


def changed_lines(changed: Mapping[str, Change], files: Iterable[Counted]) -> ChangedLines:
    """Return how many of the changed lines are covered.

    Args:
        changed: name in the repository -> what has changed, see `parse`.
        files: the source files of a job.
    """
    compared = [
        _changed_file(file, changed[file.repository_name].lines)
        for file in files
        if file.repository_name in changed
    ]
    return ChangedLines(tuple(sorted(file for file in compared if file.total)))


def parse(diff: bytes) -> dict[str, Change]:
    """Return the lines that are new or other than before, by the file's name after the change.

    A name that is not UTF-8 is as `os.fsdecode` gives it. Files without such lines (deleted,
    moved, another mode) are left out.
    """
    changed: dict[str, Change] = {}
    name: str | None = None
    blob: str | None = None
    lines = BytesIO(diff)
    for line in lines:
        if line.startswith(b"index "):
            index = _INDEX.match(line)
            blob = index[1].decode() if index else None
        elif line.startswith(b"+++ "):
            name = _name(line[len(b"+++ ") :])
        elif line.startswith(b"@@ ") and (hunk := _HUNK.match(line)):
            old, start, new = (int(number or 1) for number in hunk.group(1, 2, 3))
            if name is not None and new:
                changed.setdefault(name, Change([], blob)).lines.append(range(start, start + new))
            _skip(lines, old + new)
    return changed


def _skip(lines: Iterator[bytes], count: int) -> None:
    """Go on behind the content of a hunk, which may look like anything, headers included."""
    while count:
        # "\ No newline at end of file" may stand between; content begins with "-" or "+"
        count -= not next(lines, b"-").startswith(b"\\")


def _name(printed: bytes) -> str | None:
    """The name in a header; None for the other side of a deleted file."""
    # A tab ends a name with spaces in it; a tab in the name would be quoted.
    name = printed.rstrip(b"\n").removesuffix(b"\t")
    if name.startswith(b'"'):
        name = _ESCAPE.sub(_unescaped, name[1:-1])
    if not name.startswith(b"b/"):
        return None
    return name[len(b"b/") :].decode("utf-8", "surrogateescape")


def _unescaped(escape: re.Match[bytes]) -> bytes:
    text = escape[1]
    if len(text) > 1:
        return bytes([int(text, 8)])
    return bytes([_LETTERS.get(text[0], text[0])])


def _changed_file(file: Counted, changed: Iterable[range]) -> ChangedFile:
    coverage, branches = file.coverage, file.branches
    last = len(coverage)
    counted = [
        line
        for lines in changed
        for line in lines
        if line <= last and coverage[line - 1] is not None
    ]
    missed = [line for line in counted if not coverage[line - 1]]
    covered = set(counted).difference(missed)
    untaken = {line for line, hits in zip(branches[0::4], branches[3::4], strict=True) if not hits}
    return ChangedFile(
        name=file.name,
        repository_name="" if file.repository_name == file.name else file.repository_name,
        covered=len(covered),
        total=len(counted),
        missed=tuple(_joined(missed, coverage)),
        partial=tuple(sorted(covered & untaken)),
    )


def _joined(missed: list[int], coverage: Sequence[int | None]) -> Iterator[tuple[int, int]]:
    """Yield first and last line of each run; what coverage does not count does not end one."""
    for index, line in enumerate(missed):
        if not index:
            first = last = line
        elif any(hits is not None for hits in coverage[last : line - 1]):
            yield first, last
            first = line
        last = line
    if missed:
        yield first, last
