"""A server's answer and its circumstances, and the form of the rows that explain it.

The rows stand in ``refusals``; what an answer comes to is left to ``diagnosis``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from .messages import Answer

GITHUB_ACTIONS, GITHUB_SERVICE, TRAVIS = "github-actions", "github", "travis-ci"
TokenKind = Literal["coveralls", "github"]
GITHUB_TOKEN: TokenKind = "github"  # noqa: S105
COVERALLS_TOKEN: TokenKind = "coveralls"  # noqa: S105


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of a run that an answer may have to be explained with."""

    host: str
    """Base URL of the server."""
    number: str | None = None
    """``service_number``."""
    repo_name: str | None = None
    ci: str | None = None
    """The CI service that was detected."""
    service_name: str | None = None
    """What the job says."""
    service_origin: str | None = None
    """Where the user set it; None where it was detected."""
    token_kind: TokenKind | None = None
    token_origin: str | None = None
    """Where the token stands."""
    token_prefix: str = ""
    """How GitHub's tokens start, where this one does."""
    may_use_github_token: bool = False
    """Whether the token of a run of GitHub Actions would be sent to the host."""
    ca_bundle: str | None = None
    """The file of trusted certificates that the user has set, and where."""
    parallel: bool = False


def kind_of(*, is_github: bool) -> TokenKind:
    """Return the kind of a token, as :class:`Facts` has it."""
    return GITHUB_TOKEN if is_github else COVERALLS_TOKEN


def misfit(facts: Facts) -> str | None:
    """Return why service name, token and CI service do not fit, in one line; None where they do.

    With the name ``github`` Coveralls takes the token for GitHub's, with any other for its own
    (cpub#1515); with Travis' names it asks Travis for the job (cpub#1291).
    """
    where = f" (from {facts.service_origin})" if facts.service_origin else ""
    token = f" (from {facts.token_origin})" if facts.token_origin else ""
    name = f'service name "{facts.service_name}"{where}'
    if facts.service_name == GITHUB_SERVICE and facts.token_kind == COVERALLS_TOKEN:
        other = f'set "{GITHUB_ACTIONS}"' if facts.ci == GITHUB_ACTIONS else "set another"
        return (
            f"{name} is for GitHub's token, and the token{token} is Coveralls' own: take the name "
            f"away, or {other}"
        )
    if facts.service_name not in {None, GITHUB_SERVICE} and facts.token_kind == GITHUB_TOKEN:
        other = f'set "{GITHUB_SERVICE}", or ' if facts.ci == GITHUB_ACTIONS else ""
        return (
            f"{name} is for Coveralls' own token, and the token{token} is GitHub's: "
            f"{other}use the token from the repository's page"
        )
    if facts.token_kind == GITHUB_TOKEN and not facts.token_prefix:
        return (
            f"the token{token} does not look like GitHub's, perhaps it is Coveralls' own: set "
            "GITHUB_TOKEN: ${{ github.token }}, or put it into COVERALLS_REPO_TOKEN"
        )
    if (facts.service_name or "").startswith("travis-") and facts.ci != TRAVIS:
        return (
            f"{name} lets Coveralls ask Travis for the job, and this run is none of Travis': take "
            "the name away"
        )
    return None


@dataclass(frozen=True, kw_only=True)
class Case:
    """An answer and its circumstances, as rows see them."""

    answer: Answer
    facts: Facts
    message: str = ""
    """The server's own words."""
    is_page: bool = False
    """Whether the answer has a body that is no JSON object."""

    @property
    def status(self) -> int | None:
        """The status; a refusal that was sent as a success counts as 422 (cpub#16)."""
        status = self.answer.status
        is_success = status is not None and 200 <= status < 300  # noqa: PLR2004
        return 422 if is_success and not self.is_page else status

    @property
    def server(self) -> str:
        """The host for people."""
        parts = urlsplit(self.facts.host)
        return parts.netloc + parts.path

    @property
    def is_public(self) -> bool:
        """Whether the host is the public Coveralls."""
        return urlsplit(self.facts.host).hostname == "coveralls.io"

    @property
    def on_github(self) -> bool:
        """Whether the run is one of GitHub Actions."""
        return self.facts.ci == GITHUB_ACTIONS

    @property
    def number(self) -> str:
        """The build's number."""
        return self.facts.number or "without a number"

    @property
    def repo_name(self) -> str:
        """The repository."""
        return self.facts.repo_name or "this repository"

    @property
    def closing(self) -> str:
        """What closed a build too early, or what keeps it open."""
        if self.facts.parallel:
            return "`finish` or a job without parallel = true came before this one"
        return "give each job of a matrix parallel = true"

    @property
    def misfit(self) -> str:
        """See :func:`misfit`; empty for none."""
        return misfit(self.facts) or ""

    @property
    def token(self) -> str:
        """The token, by where it stands."""
        return (
            f"the token from {self.facts.token_origin}" if self.facts.token_origin else "the token"
        )

    @property
    def size(self) -> str:
        """Bytes of the request."""
        return f"{self.answer.size:,}"

    @property
    def location(self) -> str:
        """Where a redirect points."""
        return self.answer.headers.get("location", "where it points")

    @property
    def proxy(self) -> str:
        """The proxy that stood between."""
        return self.answer.proxy or "the proxy"

    @property
    def is_challenge(self) -> bool:
        """Whether Cloudflare itself refused: the application answers in JSON."""
        headers = self.answer.headers
        return "cf-mitigated" in headers or ("cf-ray" in headers and self.is_page)


_SAMPLE = Case(answer=Answer(), facts=Facts(host="https://coveralls.io"))


@dataclass(frozen=True, kw_only=True)
class Row:
    """What an answer looks like, and what to say about it.

    Raises:
        AttributeError: when it is written, where its advice names what a case does not have.
    """

    statuses: range | tuple[int, ...] = ()
    """Empty for no answer at all."""
    pattern: str = ""
    """Regular expression that is searched in the server's message, or the problem."""
    when: Callable[[Case], bool] = lambda _: True
    advice: tuple[str, ...]
    """Templates, a line each; ``it`` is the :class:`Case`."""
    is_outage: bool = False
    """Whether the server's own state explains it."""
    seen: str
    """Where."""

    def __post_init__(self) -> None:
        self.lines(_SAMPLE)

    def fits(self, case: Case) -> bool:
        """Tell whether this row explains the case."""
        same = case.status in self.statuses if case.status else not self.statuses
        text = case.message or case.answer.problem
        return same and bool(re.search(self.pattern, text)) and self.when(case)

    def lines(self, case: Case) -> tuple[str, ...]:
        """Return the advice, filled in."""
        return tuple(line.format(it=case) for line in self.advice)
