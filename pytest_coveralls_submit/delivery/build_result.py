"""Asks the server what it made of a build, until it says so or the time is up.

No token is in any of the requests: a private repository's result is not shown to us.
What is documented of the pages: lemurheavy/coveralls-public#425, #1472, #1529.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from .. import process
from ..outcome import BuildResult
from ..text import commit_id, json_object
from .messages import Answer, Call, Policy, Progress
from .sender import send

PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds between two questions; the last one is repeated."""
LONGEST = 10.0
"""Seconds that one question may take."""
PENDING = "still processing"
STATUS_OK, STATUS_REFUSED = 200, range(300, 500)

Ask = Callable[[Call, float], Answer]
"""Makes a call within so many seconds."""


def wait_for_build(
    url: str | None,
    host: str,
    seconds: float,
    env: Mapping[str, str],
    policy: Policy,
    *,
    commit: str | None = None,
    progress: Callable[[str], None] = lambda _: None,
    pause: Callable[[float], None] = process.pause,
) -> BuildResult:
    """Ask for the coverage of a build until it is a number, for at most ``seconds``.

    Args:
        url: the page of the build, or of its only job, as the server's answer named it.
        host: base URL of the server; of ``url`` only the number is used.
        seconds: how long to wait.
        env: the environment of session start.
        policy: certificates and time-outs.
        commit: of the job; the change against the build before is known by it alone.
        progress: told in a line what is waited for.
        pause: waits for so many seconds.
    """

    def ask(call: Call, left: float) -> Answer:
        limits = replace(policy, retries=0, deadline=max(1.0, min(LONGEST, left)))
        return send(call, [], limits, env, _unheard)

    page = re.search(r"/(builds|jobs)/([0-9]{1,20})/?$", urlsplit(url or "").path)
    if url is None or page is None:
        return BuildResult(url=url or host, percent=None, problem="the server named no build")
    inquiry = Inquiry(ask, pause, seconds, progress)
    result = _result(url, f"{host}/{page[1]}/{page[2]}.json", inquiry)
    if page[1] == "jobs" and result.percent is not None and commit_id(commit):
        build = json_object(inquiry.answer(f"{host}/builds/{commit_id(commit)}.json").text)
        # The commit may have other builds.
        if build is not None and _number(build.get("covered_percent"), 0, 100) == result.percent:
            result = replace(result, change=_number(build.get("coverage_change"), -100, 100))
    return result


@dataclass
class Inquiry:
    """Questions and the pauses between them, until the time is up."""

    ask: Ask
    pause: Callable[[float], None]
    seconds: float
    progress: Callable[[str], None]
    waited: float = 0.0
    pauses: int = 0

    def answer(self, url: str) -> Answer:
        """Ask for a page; the last question may take a second longer than the time."""
        call = Call(method="GET", url=url, form="none")
        answer = self.ask(call, self.seconds - self.waited)
        self.waited += answer.seconds
        return answer

    def goes_on(self) -> bool:
        """Wait before the next question; tell whether there is time for one."""
        step = min(PAUSES[min(self.pauses, len(PAUSES) - 1)], self.seconds - self.waited)
        if step <= 0:
            return False
        self.waited += step
        self.pauses += 1
        waited = f"{self.waited:.0f} of {self.seconds:.0f} s"
        self.progress(f"waiting for the result of the build, {waited}")
        self.pause(step)
        return True


def _unheard(_: Progress) -> None:
    """Take note of no attempt: each question is one."""


def _result(url: str, page: str, inquiry: Inquiry) -> BuildResult:
    while True:
        problem, build = _judged(inquiry.answer(page))
        if build is None and problem:
            return BuildResult(url=url, percent=None, problem=problem)
        percent = _number((build or {}).get("covered_percent"), 0, 100)
        if percent is not None:
            change = _number((build or {}).get("coverage_change"), -100, 100)
            return BuildResult(url=url, percent=percent, change=change)
        if not inquiry.goes_on():
            return BuildResult(url=url, percent=None, problem=PENDING)


def _judged(answer: Answer) -> tuple[str, dict[str, Any] | None]:
    """Return why it is of no use to ask again, and the build; both may be missing for now."""
    build = json_object(answer.text) if answer.status == STATUS_OK else None
    is_page = answer.status == STATUS_OK and build is None and not answer.ambiguous
    if is_page or (answer.status in STATUS_REFUSED and answer.status not in {408, 429}):
        shown = "a page" if is_page else str(answer.status)
        return (
            "its result is shown to those alone who are logged in, as of private repositories "
            f"(the server answered {shown})"
        ), None
    return "", build


def _number(value: object, low: float, high: float) -> float | None:
    """Return a number of the server's that can be one of percent; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if low <= value <= high and math.isfinite(value) else None
