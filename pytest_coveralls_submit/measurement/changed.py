"""Which of the changed lines are covered: git's diff and a job's source files, as plain values.

Only what ``git diff-tree -p`` and ``diff-index -p`` print is read. How git is asked is left to
others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO

from ..outcome import ChangedFile, ChangedLines

# https://git-scm.com/docs/diff-format
_HUNK = re.compile(rb"@@ -[0-9]+(?:,([0-9]+))? \+([0-9]+)(?:,([0-9]+))? @@")
_ESCAPE = re.compile(rb"\\([0-3][0-7]{2}|.)", re.DOTALL)
_LETTERS = dict(zip(b"abtnvfr", b"\a\b\t\n\v\f\r", strict=True))


def changed_lines(
    changed: Mapping[str, Sequence[range]],
    files: Iterable[tuple[str, Sequence[int | None], Sequence[int]]],
) -> ChangedLines:
    """Return how many of the changed lines are covered.

    Args:
        changed: name -> changed lines, see `parse`; named as the files are.
        files: of each source file of a job its name, the hits of each line (None where coverage
            counts none) and its branches: flat ``line, block, branch, hits``, or empty.
    """
    compared = [
        _changed_file(name, changed[name], coverage, branches)
        for name, coverage, branches in files
        if name in changed
    ]
    return ChangedLines(tuple(sorted(file for file in compared if file.total)))


def parse(diff: bytes) -> dict[str, list[range]]:
    """Return the lines that are new or other than before, by the file's name after the change.

    Lines count from 1; ranges are in ascending order. A name that is not UTF-8 is as `os.fsdecode`
    gives it. Files without such lines (deleted, moved, another mode) are left out.
    """
    changed: dict[str, list[range]] = {}
    name: str | None = None
    lines = BytesIO(diff)
    for line in lines:
        if line.startswith(b"+++ "):
            name = _name(line[len(b"+++ ") :])
        elif line.startswith(b"@@ ") and (hunk := _HUNK.match(line)):
            old, start, new = (int(number or 1) for number in hunk.group(1, 2, 3))
            if name is not None and new:
                changed.setdefault(name, []).append(range(start, start + new))
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


def _changed_file(
    name: str, changed: Sequence[range], coverage: Sequence[int | None], branches: Sequence[int]
) -> ChangedFile:
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
        name=name,
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
