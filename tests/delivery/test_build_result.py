"""The result of a build: asked for without a token until it is known or the time is up."""

from __future__ import annotations

import json
import os
import time

import pytest
from faulty import Faulty, Scripted, http

from pytest_coveralls_submit.delivery.build_result import wait_for_build
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
    *answers: bytes, url: str | None = BUILD, seconds: float = 5, commit: str | None = None
) -> tuple[BuildResult, list[str]]:
    """Wait for a build; the result, and what was asked for."""
    with Scripted(lambda number: answers[min(number, len(answers)) - 1]) as server:
        host, policy = f"{server.url}/prefix", Policy(connect_timeout=5, read_timeout=5)
        result = wait_for_build(url, host, seconds, os.environ, policy, commit=commit)
        return result, [text.split(b" ")[1].decode() for text in server.received]


def test_it_asks_until_there_is_a_percentage() -> None:
    result, asked = wait(build(None), http(503), build(93.214, 0.14))

    assert result == BuildResult(url=BUILD, percent=93.214, change=0.14)
    assert asked == ["/prefix/builds/42.json"] * 3


@pytest.mark.parametrize("odd", [True, "93", -101, 101, float("nan"), 10**400])
def test_odd_percentages_do_not_count(odd: object) -> None:
    assert wait(build(odd), seconds=0)[0].problem == "still processing"
    assert wait(build(0, odd), seconds=0)[0] == BuildResult(url=BUILD, percent=0)


@pytest.mark.parametrize(
    ("answer", "shown"), [(http(404, PAGE), "404"), (http(200, PAGE), "a page")]
)
def test_a_private_build_is_asked_for_once(answer: bytes, shown: str) -> None:
    result, asked = wait(answer)

    problem = f"{PRIVATE} (the server sent {shown})"
    assert result == BuildResult(url=BUILD, percent=None, problem=problem)
    assert len(asked) == 1


def test_pauses_grow_until_the_time_is_up() -> None:
    """The last question comes at its end."""
    started = time.monotonic()
    result, asked = wait(build(None), seconds=4)

    assert result == BuildResult(url=BUILD, percent=None, problem="still processing")
    assert 4 <= time.monotonic() - started < 8
    assert len(asked) in {3, 4}


@pytest.mark.parametrize("url", [None, "https://coveralls.io/", "https://coveralls.io/builds/x/y"])
def test_without_a_build_nothing_is_asked(url: str | None) -> None:
    result, asked = wait(build(1), url=url)

    assert (result.percent, result.problem, asked) == (None, "the server named no build", [])


def test_the_commit_knows_the_change_of_a_single_job() -> None:
    url = "https://coveralls.io/jobs/7"
    result, asked = wait(build(90), build(90, -1.5), url=url, commit=COMMIT)

    assert result == BuildResult(url=url, percent=90, change=-1.5)
    assert asked == ["/prefix/jobs/7.json", f"/prefix/builds/{COMMIT}.json"]


@pytest.mark.parametrize("other", [build(80, 3), http(404, PAGE)])
def test_another_build_of_the_commit_is_ignored(other: bytes) -> None:
    result, _ = wait(build(90), other, url="https://coveralls.io/jobs/7", commit=COMMIT)

    assert (result.percent, result.change) == (90, None)


def test_a_silent_server_does_not_hold_it_up() -> None:
    with Faulty("hang") as faulty:
        result = wait_for_build(BUILD, faulty.url, 1, os.environ, Policy(read_timeout=0.5))

    assert (result.percent, result.problem) == (None, "still processing")
