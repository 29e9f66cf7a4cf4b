"""The outcome of a job: sent, built only, not sent, or failed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple


class FileTotal(NamedTuple):
    """Count the covered lines and branches of a file."""

    name: str
    covered: int  # lines and branches
    relevant: int  # lines and branches
    covered_lines: int = 0
    lines: int = 0  # relevant lines, without branches

    @property
    def percent(self) -> float:
        """Return the covered share, 0 to 100; 100 without relevant lines."""
        return 100.0 * self.covered / self.relevant if self.relevant else 100.0


class ChangedFile(NamedTuple):
    """Count the covered changed lines of a file."""

    name: str
    covered: int
    total: int  # changed lines that coverage counts
    missed: tuple[tuple[int, int], ...] = ()
    """First and last line of each run; uncounted lines in between do not end one."""
    partial: tuple[int, ...] = ()  # covered lines with a branch not taken
    repository_name: str = ""  # its name in the repository, where that differs


@dataclass(frozen=True)
class ChangedLines:
    """Count the covered changed lines of all files."""

    files: tuple[ChangedFile, ...] = ()  # files with changed lines, sorted by name

    @property
    def covered(self) -> int:
        """Return the number of covered changed lines."""
        return sum(file.covered for file in self.files)

    @property
    def total(self) -> int:
        """Return the number of changed lines counted by coverage."""
        return sum(file.total for file in self.files)

    @property
    def percent(self) -> float:
        """Return the covered share, 0 to 100; 100 without changed lines."""
        return 100.0 * self.covered / self.total if self.total else 100.0


@dataclass(frozen=True, kw_only=True)
class BuildResult:
    """Report the server's own result of the whole build."""

    url: str
    percent: float | None  # None while unknown; ``problem`` says why
    change: float | None = None  # percentage points against the build before
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Sum up a measured run, whatever becomes of its job."""

    percent: float | None = None  # coverage.py's own total; None where nothing was measured
    changed: ChangedLines | None = None  # None where no base is known, or nobody asked
    shortfall: str = ""  # the reason why ``changed_fail_under`` fails the run
    notices: tuple[str, ...] = ()
    details: tuple[str, ...] = ()  # printed with ``-v``

    def plus(self, *notices: str, details: Iterable[str] = ()) -> Findings:
        """Return a copy with further lines."""
        return replace(self, notices=(*self.notices, *notices), details=(*self.details, *details))


@dataclass(frozen=True, kw_only=True)
class Outcome(Findings):
    """Base of the four outcomes."""

    saved: Path | None = None  # where the user had the job written


@dataclass(frozen=True, kw_only=True)
class Built(Outcome):
    """Report a job built but, on purpose, not sent (``dry_run``)."""

    files: tuple[FileTotal, ...]
    percent: float


@dataclass(frozen=True, kw_only=True)
class Sent(Built):
    """Report a job accepted by the server."""

    url: str | None  # the job's page, if the server named one
    message: str = ""
    build: BuildResult | None = None
    finish: str | None = None  # the command that closes a parallel build


@dataclass(frozen=True, kw_only=True)
class NotSent(Outcome):
    """Report a reason for sending nothing."""

    reason: str
    remedy: str = ""  # left out where the header has printed it
    is_expected: bool = False  # whether ``strict`` accepts it: nothing was meant to be sent

    @property
    def full_reason(self) -> str:
        """Return reason and remedy in one line."""
        return f"{self.reason}: {self.remedy}" if self.remedy else self.reason


@dataclass(frozen=True, kw_only=True)
class Failed(Outcome):
    """Report a job that could not be built, or was not accepted."""

    reason: str
    advice: tuple[str, ...] = ()
    kept: Path | None = None  # the job on disk
    command: str = ""  # sends the kept job
    traceback: str = ""  # of an internal error; printed with ``-v``


@dataclass(frozen=True, kw_only=True)
class Interrupted(Failed):
    """Report an interruption by the user."""
