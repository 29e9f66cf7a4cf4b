"""What became of a job: sent, built only, not sent, or failed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class FileTotal(NamedTuple):
    """How much of a source file is covered."""

    name: str
    covered: int
    """Lines and branches that are covered."""
    relevant: int
    """Lines and branches that could be."""
    covered_lines: int = 0
    lines: int = 0
    """Lines that could be covered, without branches."""

    @property
    def percent(self) -> float:
        """Share of what is covered, 0 to 100; 100 for a file with nothing to cover."""
        return 100.0 * self.covered / self.relevant if self.relevant else 100.0


class ChangedFile(NamedTuple):
    """What a change left untested in one file."""

    name: str
    covered: int
    """Changed lines that coverage counts and that ran."""
    total: int
    """Changed lines that coverage counts."""
    missed: tuple[tuple[int, int], ...] = ()
    """First and last line of each run of missed lines; what coverage does not count between two
    missed changed lines joins them."""
    partial: tuple[int, ...] = ()
    """Covered lines of which a branch was not taken."""
    repository_name: str = ""
    """What the file is called in the repository; empty where that is the name."""


@dataclass(frozen=True)
class ChangedLines:
    """How many of the changed lines are covered; files that have any, sorted by name."""

    files: tuple[ChangedFile, ...] = ()

    @property
    def covered(self) -> int:
        """Changed lines that ran."""
        return sum(file.covered for file in self.files)

    @property
    def total(self) -> int:
        """Changed lines that coverage counts."""
        return sum(file.total for file in self.files)

    @property
    def percent(self) -> float:
        """Share of the changed lines that ran, 0 to 100; 100 where none is counted."""
        return 100.0 * self.covered / self.total if self.total else 100.0


@dataclass(frozen=True, kw_only=True)
class BuildResult:
    """What the server made of the whole build."""

    url: str
    percent: float | None
    """None while it is still being processed, or where it may not be asked."""
    change: float | None = None
    """Percentage points against the build before."""
    problem: str = ""
    """Why there is no percentage, in one line."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Base of the four outcomes."""

    percent: float | None = None
    """coverage.py's own total; None where nothing was measured, or is not known."""
    changed: ChangedLines | None = None
    """None where no base is known, or it was not asked for."""
    shortfall: str = ""
    """Why too few of the changed lines are covered for exit status 0."""
    saved: Path | None = None
    """Where the user has the job now."""

    notices: tuple[str, ...] = ()
    """Worth knowing in any case, a line each."""
    details: tuple[str, ...] = ()
    """For ``-v``: sizes, times, files that were left out."""


@dataclass(frozen=True, kw_only=True)
class Built(Outcome):
    """The job was built and checked, and on purpose not sent (``dry_run``)."""

    files: tuple[FileTotal, ...]
    percent: float
    """coverage.py's own total."""


@dataclass(frozen=True, kw_only=True)
class Sent(Built):
    """The server accepted the job."""

    url: str | None
    """The job's page, where the server named one."""
    message: str = ""
    build: BuildResult | None = None
    """What the build came to, where the user waits for it."""
    finish: str | None = None
    """For a parallel build: the command that closes it."""


@dataclass(frozen=True, kw_only=True)
class NotSent(Outcome):
    """There was nothing to send, or no way to; the exit status is not touched."""

    reason: str
    remedy: str = ""
    """What to do about it; not said again where the header has said it."""

    @property
    def full_reason(self) -> str:
        """The reason, and what to do about it."""
        return f"{self.reason}: {self.remedy}" if self.remedy else self.reason


@dataclass(frozen=True, kw_only=True)
class Failed(Outcome):
    """The job could not be built, or was not accepted."""

    reason: str
    advice: tuple[str, ...] = ()
    kept: Path | None = None
    """Where the job waits to be sent again."""
    traceback: str = ""
    """Of an internal fault; for ``-v``."""


@dataclass(frozen=True, kw_only=True)
class Interrupted(Failed):
    """The user interrupted it."""
