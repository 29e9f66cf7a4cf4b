"""``finish`` closes a parallel build."""

from __future__ import annotations

import json

import pytest
from commanding import GITHUB, Command
from standin import COVERALLS_TOKEN, Build, StandIn


def test_finish_closes_a_build(command: Command, build: Build) -> None:
    """And says which, where, and how many jobs it has."""
    status, said = command("finish", "--coveralls-service-number=77")

    url = command.server.url
    closed = f"coveralls: closed build 77 on {url}, 2 jobs -> {url}/builds/77"
    assert (status, said) == (0, [closed])
    assert build.closed
    assert build.carryforward is None


def test_finish_knows_the_number_from_the_ci_service(command: Command, build: Build) -> None:
    """The same variables as for the jobs."""
    command.env(CI_NAME="test-ci", CI_BUILD_NUMBER="77")

    assert command("finish")[0] == 0
    assert build.closed


def test_finish_hands_over_the_flags_to_carry_forward(command: Command, build: Build) -> None:
    """As one text."""
    command.env(COVERALLS_CARRYFORWARD_FLAGS="unit,web")

    command("finish", "--coveralls-service-number=77")

    assert build.carryforward == "unit,web"


def test_finish_sends_the_token_in_the_body_alone(command: Command, build: Build) -> None:
    """Addresses stand in logs."""
    command("finish", "--coveralls-service-number=77")

    (request,) = command.server.requests
    assert (request.path, request.query) == ("/webhook", "")
    assert json.loads(request.body) == {
        "repo_token": COVERALLS_TOKEN,
        "service_number": "77",
        "payload": {"build_num": "77", "status": "done"},
    }
    assert request.headers["Content-Type"] == "application/json"


def test_finish_with_a_github_token_names_the_repository(command: Command, server: StandIn) -> None:
    """Coveralls cannot find it otherwise."""
    server.builds["9001"] = Build("9001")
    command.env(**GITHUB, COVERALLS_REPO_TOKEN="", GITHUB_TOKEN="ghs_abcdefgh")

    status, _ = command("finish")

    assert status == 0
    assert json.loads(server.requests[0].body)["repo_name"] == "octo/sample"


@pytest.mark.parametrize("refusal", [200, 404])
def test_finish_explains_that_there_is_no_such_build(
    command: Command, server: StandIn, refusal: int
) -> None:
    """Both statuses were seen; either is a failure."""
    server.webhook_refusal_status = refusal

    status, said = command("finish", "--coveralls-service-number=78")

    assert status == 1
    assert said[0].startswith(
        f"coveralls: failed: build 78 was not closed: {refusal} "
        "No build matching CI build number 78 found"
    )
    assert said[1] == (
        "coveralls: no job was sent under the number 78: it must be the service number of the jobs,"
    )


def test_finish_explains_that_the_build_was_closed_before(command: Command, build: Build) -> None:
    """It does not pretend to have done it."""
    build.closed = True

    status, said = command("finish", "--coveralls-service-number=77")

    assert status == 1
    assert said[-1] == "coveralls: the build was closed before"


def test_finish_explains_a_wrong_token(command: Command, build: Build) -> None:
    """As for a job."""
    command.env(COVERALLS_REPO_TOKEN="wrong-token")

    status, said = command("finish", "--coveralls-service-number=77")

    assert status == 1
    assert "Couldn't find a repository matching this job." in said[0]
    assert any("the repository's own, from its page" in line for line in said)
    assert not build.closed


def test_finish_tries_again(command: Command, build: Build, server: StandIn) -> None:
    """An outage is not the end of a build."""
    server.respond(503)

    status, said = command("finish", "--coveralls-service-number=77", "--coveralls-retries=1")

    assert status == 0
    assert said[0].startswith("coveralls: attempt 1 of 2: 503 ")
    assert build.closed


def test_finish_tries_again_where_the_first_attempt_may_have_arrived(
    command: Command, build: Build, server: StandIn
) -> None:
    """Closing twice does no harm: a build that the lost answer had closed is closed."""
    server.respond(504, stored=True)

    status, _ = command("finish", "--coveralls-service-number=77", "--coveralls-retries=1")

    assert build.closed
    assert status == 0


def test_finish_without_a_number_says_where_to_find_it(command: Command) -> None:
    """A usage error."""
    assert command("finish") == (
        2,
        [
            (
                "coveralls: there is no build number: set --coveralls-service-number to the number "
                "in the header of the test runs"
            )
        ],
    )


@pytest.mark.parametrize("strict", [False, True])
def test_finish_without_a_token_closes_nothing(
    command: Command, build: Build, strict: bool
) -> None:
    """A fork's build must not turn red for it, unless that is asked for."""
    command.env(COVERALLS_REPO_TOKEN="", COVERALLS_STRICT=str(strict))

    status, said = command("finish", "--coveralls-service-number=77")

    assert status == strict
    assert said == [
        (
            "coveralls: not closed: no token: set COVERALLS_REPO_TOKEN "
            "(from the repository's page on Coveralls)"
        )
    ]
    assert command.server.requests == []


def test_finish_as_a_dry_run_sends_nothing(command: Command, build: Build) -> None:
    """It says what it would do."""
    url = command.server.url

    assert command("finish", "--coveralls-service-number=77", "--coveralls-dry-run") == (
        0,
        [f"coveralls: would close build 77 on {url}; this is a dry run"],
    )
    assert command.server.requests == []


def test_notices_are_told(command: Command, build: Build) -> None:
    """A misspelt variable for instance."""
    command.env(COVERALLS_PARALEL="1")

    _, said = command("finish", "--coveralls-service-number=77")

    expected = "coveralls: unknown setting COVERALLS_PARALEL; did you mean COVERALLS_PARALLEL?"
    assert said[0] == expected


@pytest.mark.parametrize("count", [0, 1])
def test_finish_counts_the_jobs_and_warns_of_none(
    command: Command, build: Build, count: int
) -> None:
    """A build without jobs is closed, and is hardly what was meant."""
    del build.jobs[count:]

    status, said = command("finish", "--coveralls-service-number=77")

    assert (status, len(said)) == (0, 2 - count)
    assert (", 1 job -> " if count else ", 0 jobs -> ") in said[0]
    assert count or said[1] == (
        "coveralls: the build has no jobs: they were not sent, are still on their way, or have "
        "another service number than 77"
    )


def test_finish_waits_for_the_result_where_that_is_wanted(command: Command, build: Build) -> None:
    """It is asked until it is a number."""
    ready = {"covered_percent": 93.214, "coverage_change": 0.14}
    command.server.pages["/builds/77.json"] = [{"covered_percent": None}, ready]

    status, said = command("finish", "--coveralls-service-number=77", "--coveralls-wait=60")

    assert status == 0
    link = f"{command.server.url}/builds/77"
    assert said[1:] == [f"coveralls: build: 93.21% covered, +0.14% -> {link}"]
    assert len(command.server.requests) == 3


@pytest.mark.parametrize(
    ("pages", "line"),
    [
        ({"/builds/77.json": [{"covered_percent": None}]}, "still processing"),
        ({}, "private builds can only be viewed when logged in ("),
    ],
    ids=["slow", "private"],
)
def test_finish_is_green_without_a_result(
    command: Command, build: Build, pages: dict[str, list[object]], line: str
) -> None:
    """The build was closed; what it came to is for the eye alone."""
    command.server.pages.update(pages)

    status, said = command("finish", "--coveralls-service-number=77", "--coveralls-wait=1")

    assert (status, len(said)) == (0, 2)
    assert said[1].startswith(f"coveralls: build: {line}")
