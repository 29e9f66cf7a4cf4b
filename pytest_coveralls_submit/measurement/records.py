"""What coverage says of files, as plain values."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class FileCoverage:
    """What a job needs of coverage's analysis of one file; lines count from 1."""

    path: str
    """As coverage names it: absolute, or relative to the directory of session start."""
    executed: array[int]
    missing: array[int]
    branches: array[int] | None
    """``line, hit`` for each branch, in the order of lines and branches; None: not measured."""


class PackedFiles(MutableMapping[str, FileCoverage]):
    """Path -> what coverage says of a file, the numbers of all files in one array.

    Thousands of small objects among those that coverage makes and drops while it reports would keep
    three times their size from being used again.
    """

    def __init__(self) -> None:
        self._numbers = array("i")
        self._starts: dict[str, int] = {}

    def __setitem__(self, path: str, file: FileCoverage) -> None:
        branches = file.branches
        self._starts[path] = len(self._numbers)
        sizes = len(file.executed), len(file.missing), -1 if branches is None else len(branches)
        self._numbers.extend(sizes)
        for numbers in (file.executed, file.missing, branches or ()):
            self._numbers.extend(numbers)

    def __getitem__(self, path: str) -> FileCoverage:
        start = self._starts[path]
        executed, missing, branches = self._numbers[start : start + 3]
        first = start + 3
        second, third = first + executed, first + executed + missing
        return FileCoverage(
            path,
            self._numbers[first:second],
            self._numbers[second:third],
            None if branches < 0 else self._numbers[third : third + branches],
        )

    def __delitem__(self, path: str) -> None:
        del self._starts[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._starts)

    def __len__(self) -> int:
        return len(self._starts)


Analyses = tuple[Mapping[str, FileCoverage], Mapping[str, str]]
"""Path -> what coverage says of the file, and path -> why it could not be analysed."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """All that coverage reports, and what it could not."""

    files: tuple[FileCoverage, ...]
    failed: Mapping[str, str]
    """Path -> why coverage could not analyse the file."""
    slow_reason: str | None = field(default=None, compare=False)
    """Why coverage had to analyse all files again; None where it did not."""
    alone_reason: str | None = field(default=None, compare=False)
    """Why no other process could share the analysis of many files; None where none was to."""
    notices: tuple[str, ...] = ()
    """What the user should know of the measured data, a line each."""

    @property
    def details(self) -> tuple[str, ...]:
        """For ``-v``: how the measurement was made, where that is worth a line."""
        reasons = {
            "coverage's analyses could not be kept: the slow way was taken": self.slow_reason,
            "no other process could share the analysis": self.alone_reason,
        }
        return tuple(f"{text} ({why})" for text, why in reasons.items() if why is not None)

    @property
    def percent(self) -> float:
        """coverage.py's own total: lines and branches covered, in percent."""
        covered = total = 0
        for file in self.files:
            taken = sum(file.branches[1::2]) if file.branches else 0
            covered += len(file.executed) + taken
            total += len(file.executed) + len(file.missing) + len(file.branches or ()) // 2
        return 100.0 * covered / total if total else 100.0
