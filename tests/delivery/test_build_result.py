"""What the build came to: asked without a token until there is a number, or the time is up."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from faulty import Faulty
from scripted import Scripted, http

from pytest_coveralls_submit.delivery.build_result import PAUSES, wait_for_build
from pytest_coveralls_submit.delivery.sender import Policy
from pytest_coveralls_submit.outcome import BuildResult

PAGE = b"<html><form action='/login'></form></html>"
BUILD = "https://coveralls.io/builds/42"
COMMIT = "5e837cc" + "0" * 33
PRIVATE = "private builds can only be viewed when logged in"


def build(percent: object, change: object = None) -> bytes:
    """What the page of a build says."""
    return http(200, json.dumps({"covered_percent": percent, "coverage_change": change}).encode())


def wait(
    *answers: bytes, url: str | None = BUILD, seconds: float = 60, commit: str | None = None
) -> tuple[BuildResult, list[str], list[float]]:
    """Wait for a build; the result, what was asked for, and the pauses, which are not waited."""
    pauses: list[float] = []
    with Scripted(lambda number: answers[min(number, len(answers)) - 1]) as server:
        result = wait_for_build(
            url,
            f"{server.url}/prefix",
            seconds,
            os.environ,
            Policy(connect_timeout=5, read_timeout=5),
            commit=commit,
            pause=pauses.append,
        )
        return result, [text.split(b" ")[1].decode() for text in server.received], pauses


def test_it_is_asked_until_the_percentage_is_a_number() -> None:
    """The page of the build that the server's answer named, on the host that is set."""
    result, asked, pauses = wait(build(None), http(503), build(93.214, 0.14))

    assert result == BuildResult(url=BUILD, percent=93.214, change=0.14)
    assert asked == ["/prefix/builds/42.json"] * 3
    assert pauses == [1, 2]


@pytest.mark.parametrize("percent", [0, 0.0, 100])
def test_nothing_covered_is_a_number_too(percent: float) -> None:
    """Null is not ready, 0 is."""
    assert wait(build(percent))[0] == BuildResult(url=BUILD, percent=percent)


def test_pauses_grow_and_end_with_the_time() -> None:
    """When the time is up there is no failure: it is still being processed."""
    result, asked, pauses = wait(build(None), seconds=40)

    assert result == BuildResult(url=BUILD, percent=None, problem="still processing")
    assert pauses[: len(PAUSES)] == list(PAUSES)
    assert len(pauses) == len(PAUSES) + 1  # the last is what was left
    assert sum(pauses) == pytest.approx(40, abs=3)
    assert len(asked) == len(pauses) + 1


ODD: tuple[Any, ...] = (True, "93", [], {}, -101, 101, float("nan"), float("inf"), 10**400)


def test_an_odd_percentage_is_none() -> None:
    """The answer is distrusted like any other: it is no number, and asked again."""
    result, asked, _ = wait(*map(build, ODD), build(50, 0.5), seconds=600)

    assert (result.percent, result.change, len(asked)) == (50, 0.5, len(ODD) + 1)


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_change_is_none(odd: Any) -> None:
    """The percentage stands without it."""
    result, _, _ = wait(build(50, odd))

    assert (result.percent, result.change) == (50, None)


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        *((http(status, PAGE), str(status)) for status in (302, 401, 403, 404)),
        (http(200, PAGE), "a page"),
    ],
)
def test_a_private_repository_is_one_line(answer: bytes, shown: str) -> None:
    """No token goes into an address: it is not asked again, and the line says why."""
    result, asked, _ = wait(answer)

    assert result == BuildResult(
        url=BUILD, percent=None, problem=f"{PRIVATE} (the server sent {shown})"
    )
    assert len(asked) == 1


def test_the_last_question_comes_when_the_time_is_up() -> None:
    """A build may be done in the last moment; of a short time nothing is given away."""
    result, asked, pauses = wait(*[build(None)] * 4, build(80), seconds=10)

    assert (result.percent, len(asked)) == (80, 5)
    assert pauses[:3] == [1, 2, 4]
    assert 0 < pauses[3] < 3 + 0.01


@pytest.mark.parametrize("url", [None, "https://coveralls.io/", "https://coveralls.io/builds/x/y"])
def test_an_answer_that_names_no_build_is_one_line(url: str | None) -> None:
    """There is nothing to ask for."""
    result, asked, _ = wait(build(1), url=url)

    assert (result.percent, result.problem, asked) == (None, "the server named no build", [])


def test_of_a_single_job_the_commit_tells_the_change() -> None:
    """A job's page has no change; the commit's latest build has, where it is the same one."""
    url = "https://coveralls.io/jobs/7"
    result, asked, _ = wait(build(90), build(90, -1.5), url=url, commit=COMMIT)

    assert result == BuildResult(url=url, percent=90, change=-1.5)
    assert asked == ["/prefix/jobs/7.json", f"/prefix/builds/{COMMIT}.json"]


@pytest.mark.parametrize("other", [build(80, 3), http(404, PAGE), http(200, PAGE)])
def test_another_build_of_the_commit_tells_nothing(other: bytes) -> None:
    """One commit may have several builds."""
    result, _, _ = wait(build(90), other, url="https://coveralls.io/jobs/7", commit=COMMIT)

    assert (result.percent, result.change) == (90, None)


def test_a_server_that_does_not_answer_is_not_waited_for_longer_than_told() -> None:
    """Green when the time is up."""
    with Faulty("hang") as faulty:
        result = wait_for_build(BUILD, faulty.url, 1, os.environ, Policy(read_timeout=0.5))

    assert (result.percent, result.problem) == (None, "still processing")
