"""What goes over the pipe between the run and the process that talks to the server.

Plain values only: neither side needs the other's modules.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

PROBLEM_LIMIT = 300
"""Letters that are shown of a problem or of a server's message."""
BODY_LIMIT = 64 * 1024
"""Bytes of an answer that are read."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request to be made, without its body."""

    method: Literal["GET", "POST"]
    url: str = field(repr=False)
    """GitLab's older API has its token here."""
    form: Literal["json_file", "json", "none"]
    """Body as a multipart file (Coveralls' jobs), as plain JSON (webhook, GitLab), or no body."""
    compress: bool = False
    headers: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How patient and how trusting to be; times in seconds."""

    retries: int = 0
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    deadline: float = 60.0
    retry_ambiguous: bool = False
    """Whether a request that the server may have taken is made again."""
    ca_bundle: str | None = None
    verify: bool = True


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A failed attempt that will be made again."""

    attempt: int
    of: int
    problem: str
    wait: float
    """Seconds until the next attempt."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the server said, or why it said nothing."""

    status: int | None = None
    problem: str = ""
    """Status and reason phrase, or what kept an answer from coming; for people."""
    text: str = ""
    """At most 64 KiB of the body."""
    headers: dict[str, str] = field(default_factory=dict)
    """The few headers that are used, names in lower case."""
    attempts: int = 1
    seconds: float = 0.0
    size: int = 0
    """Bytes of the request's body."""
    proxy: str = ""
    """The proxy that stood between, without credentials, and the variable that names it."""
    ambiguous: bool = False
    """Whether the server may have taken the request although it did not say so."""
