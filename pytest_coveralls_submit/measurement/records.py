"""What coverage says of files, as plain values."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
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


Analyses = tuple[dict[str, FileCoverage], dict[str, str]]
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
