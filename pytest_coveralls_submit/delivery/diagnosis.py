"""A server's answer -> was it accepted, and if not, what it means and what to do.

Sources of the rows: public threads of lemurheavy/coveralls-public (#16, #1264, #1314, #1477,
#1716, #1582, #473, #1496) and the official client's hints.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from json import loads
from typing import Any, NamedTuple

from .messages import Answer

MESSAGE_LIMIT = 300
UNAFFECTED = "your tests are not affected"
DOWN = f"{{server}} is overloaded or down; {UNAFFECTED}"


class Row(NamedTuple):
    """What an answer looks like, and what to say about it."""

    statuses: range | tuple[int, ...]
    pattern: str
    """Regular expression that is searched in message or problem."""
    advice: tuple[str, ...]
    """Templates; a line each."""


JOB_ROWS = (
    Row(
        (422,),
        r"Couldn't find a repository.*\bGITHUB$",
        (
            "the GitHub token does not open {repo_name} on {server}: add the repository there, or",
            "set COVERALLS_REPO_TOKEN to the token from the repository's page",
        ),
    ),
    Row(
        (422,),
        r"Couldn't find a repository",
        (
            (
                "the token does not belong to a repository on {server}: copy it again from the "
                "repository's page, or"
            ),
            'use GITHUB_TOKEN with service name "github"',
        ),
    ),
    Row(
        (422,),
        r"already closed",
        (
            "build {number} takes no more jobs: give each job of a matrix parallel = true,",
            "run `finish` after the last of them, and give a build that is run again a new number",
        ),
    ),
    Row(
        (422,),
        r"must be unique",
        ("this Travis job was sent before; set COVERALLS_REPO_TOKEN to send it again",),
    ),
    Row(
        range(400, 500),
        r"failed to parse",
        (
            (
                "the server could not read the job, compressed or plain: {server} may be no "
                "Coveralls server,"
            ),
            "or one that needs include_source = true",
        ),
    ),
    Row(
        (413,),
        "",
        (
            (
                "the job is too large for {server} ({size} bytes): keep compress on and "
                "include_source off, or measure fewer files"
            ),
        ),
    ),
)
COMMON_ROWS = (
    Row(
        range(300, 400),
        "",
        (
            "redirects are not followed, the token would go along; this one points to {location}:",
            "set host to where Coveralls is",
        ),
    ),
    Row((401, 403), "", ("{server} or something in front of it refused the request",)),
    Row((404,), "", ("{server} has no Coveralls interface at {path}: check host",)),
    Row((405,), "", (f"{{server}} is down for maintenance; {UNAFFECTED}",)),
    Row((429,), "", (f"{{server}} takes no more for now; {UNAFFECTED}",)),
    Row(
        range(500, 600),
        r"processing error",
        (
            f"{{server}} had trouble with this job; {UNAFFECTED}",
            "if it stays so, send support the job and the trace id",
        ),
    ),
    Row(range(500, 600), "", (DOWN,)),
    Row(
        range(200, 300),
        r"no JSON",
        ("{server} may be no Coveralls server, or a log-in page stands in front of it",),
    ),
    Row(
        (),
        r"certificate",
        ("set ca_bundle to the PEM file of the authority that signed it",),
    ),
    Row(
        (),
        r"host name|refused|proxy|no connection|no secure",
        ("check host, network and proxy variables",),
    ),
    Row(range(100, 600), r"broke off", (DOWN,)),
    Row((), r"no HTTP", ("{server} is no web server: check host",)),
    Row((), r"no answer|no result|reset|closed|failed|handed over", (DOWN,)),
)
WEBHOOK_ROWS = (
    Row(
        range(200, 500),
        r"No build matching",
        (
            "no job was sent under the number {number}: it must be the service number of the jobs,",
            "which the header of each test run shows",
        ),
    ),
    Row(range(200, 500), r"closed|done", ("the build was closed before",)),
    JOB_ROWS[1],
)


@dataclass(frozen=True)
class Verdict:
    """What an answer comes to."""

    accepted: bool
    reason: str = ""
    advice: tuple[str, ...] = ()
    url: str | None = None
    message: str = ""


def judge(answer: Answer, rows: tuple[Row, ...], facts: Mapping[str, str]) -> Verdict:
    """Say whether ``answer`` accepts the request, and if not, why and what to do.

    Accepted is a 2xx with a JSON object that has no true ``error``; a 200 may carry a refusal
    (lemurheavy/coveralls-public#16).

    Args:
        answer: of the server.
        rows: :data:`JOB_ROWS` or :data:`WEBHOOK_ROWS`; the common ones are added.
        facts: values for the advice: server, number, repo_name, path.
    """
    said = _object(answer.text)
    message = _message(said)
    ok = answer.status is not None and 200 <= answer.status < 300  # noqa: PLR2004
    if ok and said is not None and not said.get("error"):
        url = said.get("url")
        return Verdict(True, url=url if isinstance(url, str) and url else None, message=message)
    if ok and said is None and not answer.ambiguous:
        message = "with no JSON in the answer"
    reason = _reason(answer, message) + _trace(answer)
    return Verdict(False, reason, _advice(answer, message, rows, facts), message=message)


def _object(text: str) -> dict[str, Any] | None:
    try:
        said = loads(text)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _message(said: Mapping[str, Any] | None) -> str:
    """Return what the server says; HTML is never among it."""
    for key in ("message", "error"):
        text = (said or {}).get(key)
        if isinstance(text, str) and text.strip() and not re.search("<[a-zA-Z!/]", text):
            return " ".join(text.split())[:MESSAGE_LIMIT]
    return ""


def _reason(answer: Answer, message: str) -> str:
    last = f"{answer.status} {message}" if message else answer.problem[:MESSAGE_LIMIT]
    if answer.attempts == 1:
        return last
    return f"{answer.attempts} attempts in {answer.seconds:.0f} s, the last: {last}"


def _trace(answer: Answer) -> str:
    """Return what the server's support asks for."""
    for name in ("cf-ray", "x-request-id"):
        if answer.headers.get(name):
            return f" (trace {name} {answer.headers[name][:80]})"
    return ""


def _advice(
    answer: Answer, message: str, rows: tuple[Row, ...], facts: Mapping[str, str]
) -> tuple[str, ...]:
    searched = f"{message or answer.problem} {facts.get('token_kind', '')}".strip()
    values = {
        "size": f"{answer.size:,}",
        "location": answer.headers.get("location", "where it points"),
        **facts,
    }
    for row in (*rows, *COMMON_ROWS):
        fits = answer.status in row.statuses if answer.status else not row.statuses
        if fits and re.search(row.pattern, searched):
            advice = tuple(line.format_map(values) for line in row.advice)
            return (*advice, *_doubt(answer, values))
    return _doubt(answer, values)


def _doubt(answer: Answer, facts: Mapping[str, str]) -> tuple[str, ...]:
    if not answer.ambiguous:
        return ()
    return (
        f"it may have been accepted all the same: look at {facts['server']} before you repeat it",
    )
