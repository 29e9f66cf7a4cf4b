"""A server's answer -> was it accepted, and if not, what it means and what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..text import json_object
from .case import Case, Facts, Row
from .messages import PROBLEM_LIMIT, Answer
from .refusals import COMMON_ROWS, DOUBT, STATUS_PAGE

TRACE_LIMIT = 80
URL_LIMIT = 2000
# Letters of RFC 3986, but for brackets outside of an IPv6 address.
URL = re.compile(
    r"https?://(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:\d+)?([/?#][\w.~:/?#@!$&'()*+,;=%-]*)?", re.ASCII
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


def judge(answer: Answer, rows: tuple[Row, ...], facts: Facts, *, doubt: str = DOUBT) -> Verdict:
    """Say whether ``answer`` accepts the request, and if not, why and what to do.

    Accepted is a 2xx with a JSON object that has no true ``error``; a 200 may carry a refusal
    (cpub#16).

    Args:
        answer: of the server.
        rows: ``JOB_ROWS`` or ``WEBHOOK_ROWS``; the common ones are added.
        facts: of the run.
        doubt: what to say where the server may have taken the request all the same.
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
    advice = (*_advice(case, rows), *([doubt.format(it=case)] if answer.ambiguous else ()))
    return Verdict(False, reason, advice, message=message)


def address(url: object) -> str | None:
    """Return an address that a server named; None where it is not plainly one of the web."""
    if isinstance(url, str) and len(url) <= URL_LIMIT and URL.fullmatch(url):
        return url
    return None


def _message(said: Mapping[str, Any] | None) -> str:
    """Return what the server says; HTML is never among it, Ruby's `#<Class ...>` may be."""
    for key in ("message", "error"):
        text = (said or {}).get(key)
        if isinstance(text, str) and text.strip() and not re.search("(?<!#)<[a-zA-Z!/]", text):
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
