"""A server's answer -> was it accepted, and if not, what it means and what to do.

A refusal is a row; each cites the public thread that it was seen in (cpub is
lemurheavy/coveralls-public) or the documentation it follows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from ..values import json_object
from .messages import PROBLEM_LIMIT, Answer

UNAFFECTED = "your tests are not affected"
DOWN = f"{{it.server}} is overloaded or down; {UNAFFECTED}"
STATUS_PAGE = "whether it is down for everybody: https://status.coveralls.io"
TRACE_LIMIT = 80
URL_LIMIT = 2000
# Letters of RFC 3986, but for brackets outside of an IPv6 address.
URL = re.compile(
    r"https?://(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:\d+)?([/?#][\w.~:/?#@!$&'()*+,;=%-]*)?", re.ASCII
)
REFUSED = range(400, 500)
GITHUB_ACTIONS, GITHUB_SERVICE = "github-actions", "github"
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
    parallel: bool = False


def kind_of(*, is_github: bool) -> TokenKind:
    """Return the kind of a token, as :class:`Facts` has it."""
    return GITHUB_TOKEN if is_github else COVERALLS_TOKEN


def misfit(facts: Facts) -> str | None:
    """Return why the service name does not fit the token, in one line; None where it does.

    With the name ``github`` Coveralls takes the token for GitHub's, with any other for its own
    (cpub#1515).
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
        return (
            f"{name} is for Coveralls' own token, and the token{token} is GitHub's: "
            f'set "{GITHUB_SERVICE}", or use the token from the repository\'s page'
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
        return 422 if is_success and not self.is_page and not self.answer.ambiguous else status

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


_NO_REPOSITORY = "Couldn't find a repository"
_MOVED = (
    "where it worked before (repository renamed, moved or with a new owner): press Sync in its "
    "settings on {it.server}"
)
PAUSED = Row(
    statuses=REFUSED,
    pattern=r"(?i)repo was paused|^402\b",
    advice=(
        "the repository is paused on {it.server}: its owner has to look at the subscription there,",
        "or to ask support@coveralls.io; the token and the job are not the cause",
    ),
    seen="cpub#1802",
)
MISFIT = Row(
    statuses=REFUSED,
    pattern=_NO_REPOSITORY,
    when=lambda case: bool(case.misfit),
    advice=("{it.misfit}",),
    seen="cpub#1515, #1710, coveralls-python#252",
)
GITHUB_TOKEN_OPENS_NOTHING = Row(
    statuses=REFUSED,
    pattern=_NO_REPOSITORY,
    when=lambda case: case.facts.token_kind == GITHUB_TOKEN,
    advice=(
        (
            "the GitHub token does not open {it.repo_name} on {it.server}: add the repository "
            "there, or"
        ),
        "set COVERALLS_REPO_TOKEN to the token from the repository's page",
        _MOVED,
    ),
    seen="cpub#1710, #1721",
)
TOKEN_OPENS_NOTHING_ON_GITHUB = Row(
    statuses=REFUSED,
    pattern=_NO_REPOSITORY,
    when=lambda case: case.on_github,
    advice=(
        (
            "the token does not belong to a repository on {it.server}: copy it again from the "
            "repository's page, or"
        ),
        'use GITHUB_TOKEN with service name "github"',
        _MOVED,
    ),
    seen="cpub#465, #1264, #835",
)
TOKEN_OPENS_NOTHING = Row(
    statuses=REFUSED,
    pattern=_NO_REPOSITORY,
    advice=(
        (
            "{it.token} does not belong to a repository on {it.server}: it must be the "
            "repository's own, from its page"
        ),
        "(not a personal API token), and the repository switched on there",
        _MOVED,
    ),
    seen="cpub#1264, #614, #835, #899",
)
_REPOSITORY = (
    PAUSED,
    GITHUB_TOKEN_OPENS_NOTHING,
    TOKEN_OPENS_NOTHING_ON_GITHUB,
    TOKEN_OPENS_NOTHING,
)
_NEW_NUMBER = (
    "a run that is started again needs a new number, the same for the jobs and `finish`:",
    "COVERALLS_SERVICE_NUMBER: ${{{{ github.run_id }}}}-${{{{ github.run_attempt }}}}",
)
JOB_ROWS = (
    MISFIT,  # the webhook is told no service name
    *_REPOSITORY,
    Row(
        statuses=REFUSED,
        pattern=r"already closed",
        when=lambda case: case.on_github,
        advice=(
            "build {it.number} takes no more jobs: {it.closing},",
            "run `finish` after the last of them",
            *_NEW_NUMBER,
        ),
        seen="cpub#1716, stacks-network/stacks-core#7157",
    ),
    Row(
        statuses=REFUSED,
        pattern=r"already closed",
        advice=(
            "build {it.number} takes no more jobs: {it.closing},",
            "run `finish` after the last of them, and give a build that is run again a new number",
        ),
        seen="cpub#1716",
    ),
    Row(
        statuses=REFUSED,
        pattern=r"must be unique",
        advice=(
            "this Travis job was sent before, and {it.token} was not taken for the repository's:",
            "copy it again from the repository's page, or start a new build in place of a restart",
        ),
        seen="cpub#1477, opengovsg/FormSG#228",
    ),
    Row(
        statuses=REFUSED,
        pattern=r"(?i)failed to parse",
        when=lambda case: case.is_public,
        advice=(
            "{it.server} could not read the job, compressed or plain: send it again later;",
            "if it stays so, send support the job and the trace id",
        ),
        is_outage=True,
        seen="cpub#16, #1314",
    ),
    Row(
        statuses=REFUSED,
        pattern=r"(?i)failed to parse",
        advice=(
            (
                "the server could not read the job, compressed or plain: {it.server} may be no "
                "Coveralls server,"
            ),
            "or one that needs include_source = true",
        ),
        seen="https://docs.coveralls.io/api-jobs-endpoint",
    ),
    Row(
        statuses=(413,),
        advice=(
            (
                "the job is too large for {it.server} ({it.size} bytes): keep compress on and "
                "include_source off, or measure fewer files"
            ),
        ),
        seen="cpub#473, #1071",
    ),
)
WEBHOOK_ROWS = (
    *_REPOSITORY,
    Row(
        statuses=REFUSED,
        pattern=r"No build matching",
        advice=(
            (
                "no job was sent under the number {it.number}: it must be the service number of "
                "the jobs,"
            ),
            "which the header of each test run shows",
        ),
        seen="coveralls-python#234, #383, coverallsapp/github-action#49",
    ),
    Row(
        statuses=REFUSED,
        pattern=r"closed|done",
        when=lambda case: case.on_github,
        advice=("the build was closed before", *_NEW_NUMBER),
        seen="cpub#1716",
    ),
    Row(
        statuses=REFUSED,
        pattern=r"closed|done",
        advice=("the build was closed before",),
        seen="cpub#1716",
    ),
)
COMMON_ROWS = (
    Row(
        statuses=range(300, 400),
        advice=(
            (
                "redirects are not followed, the token would go along; this one points to "
                "{it.location}:"
            ),
            "set host to where Coveralls is",
        ),
        seen="coverage-reporter, api/jobs.cr, which follows them",
    ),
    Row(
        statuses=(403, 429, 503),
        when=lambda case: (
            (case.answer.status == 403 and case.is_challenge)  # noqa: PLR2004
            or "cf-mitigated" in case.answer.headers
        ),
        advice=(
            (
                "Cloudflare, in front of {it.server}, did not let the request through: the token "
                "is not the cause;"
            ),
            "send it again later, or send support the trace id",
        ),
        is_outage=True,
        seen="https://developers.cloudflare.com/cloudflare-challenges/ (detect a challenge)",
    ),
    Row(
        statuses=(401, 403),
        advice=("{it.server} or something in front of it refused the request",),
        seen="cpub#1681",
    ),
    Row(
        statuses=(404,),
        advice=("{it.server} has no Coveralls interface at {it.facts.host}: check host",),
        seen="https://docs.coveralls.io/api-jobs-endpoint",
    ),
    Row(
        statuses=(405,),
        advice=(f"{{it.server}} is down for maintenance; {UNAFFECTED}",),
        is_outage=True,
        seen="mattn/goveralls#204",
    ),
    Row(
        statuses=(407,),
        advice=("put user and password into the variable of {it.proxy}: http://USER:PASSWORD@...",),
        seen="kivy/kivy#6873",
    ),
    Row(
        statuses=(429,),
        advice=(f"{{it.server}} takes no more for now; {UNAFFECTED}",),
        is_outage=True,
        seen="cpub#1583",
    ),
    Row(
        statuses=range(500, 600),
        pattern=r"processing error",
        advice=(
            f"{{it.server}} had trouble with this job; {UNAFFECTED}",
            "if it stays so, send support the job and the trace id",
        ),
        is_outage=True,
        seen="cpub#1496, #487",
    ),
    Row(
        statuses=range(520, 531),
        advice=(f"Cloudflare does not reach {{it.server}} behind it; {UNAFFECTED}",),
        is_outage=True,
        seen="rgerum/saenopy#87, cpub#1821",
    ),
    Row(statuses=range(500, 600), advice=(DOWN,), is_outage=True, seen="cpub#1582, #1583"),
    Row(
        statuses=range(200, 300),
        pattern=r"no JSON",
        advice=("{it.server} may be no Coveralls server, or a log-in page stands in front of it",),
        seen="cpub#1681",
    ),
    Row(
        pattern=r"^the proxy asks",
        advice=("put user and password into the variable of {it.proxy}: http://USER:PASSWORD@...",),
        seen="kivy/kivy#6873",
    ),
    Row(
        pattern=r"^the proxy does not let",
        advice=(
            (
                "{it.proxy} forbids {it.server}: have it allowed there, or put the host into "
                "NO_PROXY where it is reached directly"
            ),
        ),
        seen="mozilla/bugbot#2002",
    ),
    Row(
        pattern=r"^the proxy did not reach",
        advice=("{it.proxy} answered, but does not reach {it.server}: ask who runs it",),
        seen="psf/requests#6585",
    ),
    Row(
        pattern=r"^the (answer of the )?proxy (cannot be reached|is no HTTP)",
        advice=("{it.proxy} does not answer as a proxy: check the variable, or unset it",),
        seen="mozilla/bugbot#1909",
    ),
    Row(
        pattern=r"^the connection through the proxy",
        advice=(
            "{it.proxy} was connected, and the way from there to {it.server} was cut:",
            "a firewall may stand there; ask who runs the proxy",
        ),
        seen="psf/requests#6585",
    ),
    Row(
        pattern=r"certificate",
        when=lambda case: bool(case.answer.proxy),
        advice=(
            (
                "set ca_bundle to the PEM file of the authority that signed it; {it.proxy} may "
                "open TLS with its own"
            ),
        ),
        seen="https://requests.readthedocs.io/en/latest/user/advanced/#ca-certificates",
    ),
    Row(
        pattern=r"certificate",
        advice=("set ca_bundle to the PEM file of the authority that signed it",),
        seen="https://requests.readthedocs.io/en/latest/user/advanced/#ca-certificates",
    ),
    Row(
        pattern=r"host name|refused|no connection|no secure",
        advice=("check host, network and proxy variables",),
        seen="cpub#1582",
    ),
    Row(
        statuses=range(100, 600),
        pattern=r"broke off",
        advice=(DOWN,),
        is_outage=True,
        seen="cpub#1583",
    ),
    Row(pattern=r"no HTTP", advice=("{it.server} is no web server: check host",), seen="RFC 9112"),
    Row(
        pattern=r"no answer|no result|reset|closed|failed|handed over",
        advice=(DOWN,),
        is_outage=True,
        seen="cpub#1583, mattn/goveralls#42",
    ),
)


@dataclass(frozen=True)
class Verdict:
    """What an answer comes to."""

    accepted: bool
    reason: str = ""
    advice: tuple[str, ...] = ()
    url: str | None = None
    """The page of the job or the build."""
    message: str = ""
    jobs: int | None = None
    """How many jobs the closed build has, where the server says so."""


def judge(answer: Answer, rows: tuple[Row, ...], facts: Facts) -> Verdict:
    """Say whether ``answer`` accepts the request, and if not, why and what to do.

    Accepted is a 2xx with a JSON object that has no true ``error``; a 200 may carry a refusal
    (cpub#16).

    Args:
        answer: of the server.
        rows: :data:`JOB_ROWS` or :data:`WEBHOOK_ROWS`; the common ones are added.
        facts: of the run.
    """
    said = json_object(answer.text)
    message = _message(said)
    ok = answer.status is not None and 200 <= answer.status < 300  # noqa: PLR2004
    if ok and said is not None and not said.get("error"):
        jobs = said.get("jobs")
        is_count = isinstance(jobs, int) and not isinstance(jobs, bool) and jobs >= 0
        return Verdict(
            True, url=address(said.get("url")), message=message, jobs=jobs if is_count else None
        )
    if ok and said is None and not answer.ambiguous:
        message = "with no JSON in the answer"
    case = Case(answer=answer, facts=facts, message=message, is_page=said is None)
    reason = _reason(answer, message) + _trace(answer)
    return Verdict(False, reason, (*_advice(case, rows), *_doubt(case)), message=message)


def address(url: object) -> str | None:
    """Return an address that a server named; None where it is not plainly one of the web."""
    if isinstance(url, str) and len(url) <= URL_LIMIT and URL.fullmatch(url):
        return url
    return None


def _message(said: Mapping[str, Any] | None) -> str:
    """Return what the server says; HTML is never among it."""
    for key in ("message", "error"):
        text = (said or {}).get(key)
        if isinstance(text, str) and text.strip() and not re.search("<[a-zA-Z!/]", text):
            return " ".join(text.split())[:PROBLEM_LIMIT]
    return ""


def _reason(answer: Answer, message: str) -> str:
    last = f"{answer.status} {message}" if message else answer.problem[:PROBLEM_LIMIT]
    if answer.attempts == 1:
        return last
    return f"{answer.attempts} attempts in {answer.seconds:.0f} s, the last: {last}"


def _trace(answer: Answer) -> str:
    """Return what the server's support asks for."""
    for name in ("cf-ray", "x-request-id"):
        if answer.headers.get(name):
            return f" (trace {name} {answer.headers[name][:TRACE_LIMIT]})"
    return ""


def _advice(case: Case, rows: tuple[Row, ...]) -> tuple[str, ...]:
    for row in (*rows, *COMMON_ROWS):
        if row.fits(case):
            status_page = (STATUS_PAGE,) if row.is_outage and case.is_public else ()
            return (*row.lines(case), *status_page)
    return ()


def _doubt(case: Case) -> tuple[str, ...]:
    if not case.answer.ambiguous:
        return ()
    return (f"it may have been accepted all the same: look at {case.server} before you repeat it",)
