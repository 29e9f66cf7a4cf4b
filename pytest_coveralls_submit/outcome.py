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

    @property
    def percent(self) -> float:
        """Share of what is covered, 0 to 100; 100 for a file with nothing to cover."""
        return 100.0 * self.covered / self.relevant if self.relevant else 100.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Base of the four outcomes."""

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
    saved: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Sent(Built):
    """The server accepted the job."""

    url: str | None
    """The job's page, where the server named one."""
    message: str = ""
    finish: str | None = None
    """For a parallel build: the command that closes it."""


@dataclass(frozen=True, kw_only=True)
class NotSent(Outcome):
    """There was nothing to send, or no way to; the exit status is not touched."""

    reason: str
    saved: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Failed(Outcome):
    """The job could not be built, or was not accepted."""

    reason: str
    advice: tuple[str, ...] = ()
    kept: Path | None = None
    """Where the job waits to be sent again."""
    saved: Path | None = None
    traceback: str = ""
    """Of an internal fault; for ``-v``."""


@dataclass(frozen=True, kw_only=True)
class Interrupted(Failed):
    """The user interrupted it."""
