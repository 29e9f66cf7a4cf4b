"""Ask the server for the result of a build.

No token is in the requests, so the result of a private build is not shown. The pages are
documented in lemurheavy/coveralls-public#425, #1472, #1529.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from time import sleep
from typing import Any
from urllib.parse import urlsplit

from ..outcome import BuildResult
from ..text import commit_id, json_object
from .sender import Answer, Call, Policy, send

LONGEST_PAUSE = 15.0  # seconds
QUESTION_TIMEOUT = 10.0
REFUSALS = {*range(300, 500)} - {408, 429}
PAGE = re.compile(r"/(builds|jobs)/([0-9]{1,20})/?$")


def wait_for_build(
    url: str | None,
    host: str,
    seconds: float,
    env: Mapping[str, str],
    policy: Policy,
    *,
    commit: str | None = None,
) -> BuildResult:
    """Ask for a build's coverage for at most ``seconds``.

    Args:
        url: the page of the build, or of its only job; only its number is used.
        commit: of the job; a single job's page does not tell the change, the commit's does.

    Raises:
        ProcessError: the sending process failed.
    """
    page = PAGE.search(urlsplit(url or "").path)
    if url is None or page is None:
        return BuildResult(url=url or host, percent=None, problem="the server named no build")

    def ask(path: str, left: float) -> Answer:
        call = Call(method="GET", url=f"{host}/{path}.json", form="none")
        # The last question may take a second longer than the time.
        patience = replace(policy, retries=0, deadline=max(1.0, min(QUESTION_TIMEOUT, left)))
        return send(call, [], patience, env=env, say=lambda _: None)

    build, problem = _poll(partial(ask, f"{page[1]}/{page[2]}"), seconds)
    percent = _percent(build)
    if percent is not None and page[1] == "jobs" and commit_id(commit):
        build = json_object(ask(f"builds/{commit_id(commit)}", QUESTION_TIMEOUT).text) or {}
        if _percent(build) != percent:  # the commit may have other builds
            build = {}
    change = _in_range(build.get("coverage_change"), -100, 100)
    return BuildResult(url=url, percent=percent, change=change, problem=problem)


def _poll(ask: Callable[[float], Answer], seconds: float) -> tuple[dict[str, Any], str]:
    """Return a build with a percentage, or the problem."""
    waited, pause = 0.0, 1.0
    while True:
        answer = ask(seconds - waited)
        build = json_object(answer.text)
        if build and _percent(build) is not None:
            return build, ""
        is_whole = answer.status == 200 and not answer.ambiguous  # noqa: PLR2004
        is_page = is_whole and build is None
        if is_page or answer.status in REFUSALS:
            shown = "a page" if is_page else answer.status
            return {}, f"private builds can only be viewed when logged in (the server sent {shown})"
        waited += answer.seconds
        if waited >= seconds:
            return {}, "still processing"
        pause = min(pause, LONGEST_PAUSE, seconds - waited)
        sleep(pause)
        waited += pause
        pause *= 2


def _percent(build: dict[str, Any]) -> float | None:
    return _in_range(build.get("covered_percent"), 0, 100)


def _in_range(value: Any, low: float, high: float) -> float | None:
    return float(value) if type(value) in {int, float} and low <= value <= high else None
