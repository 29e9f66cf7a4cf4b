"""``finish`` closes a parallel build."""

from __future__ import annotations

import json

import pytest
from commanding import Command
from git_repository import Repository, needs_git, posix
from standin import COVERALLS_TOKEN, Build

NUMBER = "--coveralls-service-number=77"


def test_a_build_is_closed(command: Command, build: Build) -> None:
    status, said = command("finish", NUMBER)

    url = command.server.url
    closed = f"coveralls: closed build 77 on {url}, 2 jobs -> {url}/builds/77"
    assert (status, said) == (0, [closed])
    assert (build.closed, build.carryforward) == (True, None)


@needs_git
def test_commit_branch_and_ci_fields_are_sent(command: Command, build: Build) -> None:
    """So that Coveralls can make a build of carried-forward flags alone."""
    commit = Repository(command.folder).commit_all()
    command.env(CI_NAME="test-ci", CI_BUILD_NUMBER="77", CI_BRANCH="topic/y", CI_PULL_REQUEST="5")
    command.env(COVERALLS_CARRYFORWARD_FLAGS="unit,web", COVERALLS_FLAG_NAME="unit")

    assert command("finish", "--coveralls-parallel")[0] == 0

    (request,) = command.server.requests
    assert (request.path, request.query) == ("/webhook", "")
    body = json.loads(request.body)
    head = body.pop("git")["head"]
    assert head["id"] == commit
    assert head["author_name"]
    assert body == {
        "repo_token": COVERALLS_TOKEN,
        "carryforward": "unit,web",
        "payload": {"build_num": "77", "status": "done"},
        "service_name": "test-ci",
        "service_number": "77",
        "service_branch": "topic/y",
        "service_pull_request": "5",
        "commit_sha": commit,
    }


@pytest.mark.parametrize("strict", [False, True])
def test_without_a_token_nothing_is_closed(command: Command, build: Build, strict: bool) -> None:
    """A fork must not turn red for it, unless you ask for that."""
    command.env(COVERALLS_REPO_TOKEN="", COVERALLS_STRICT=str(strict))

    status, (line,) = command("finish", NUMBER)

    assert status == strict
    assert line.startswith("coveralls: not closed: no token: set COVERALLS_REPO_TOKEN ")
    assert command.server.requests == []


@posix
def test_a_process_that_cannot_start_closes_no_build(command: Command) -> None:
    command.env(GITHUB_ACTIONS="true", TOO_LONG="x" * 2_000_000)

    status, (line, annotation) = command("finish", NUMBER)

    assert status == 1
    assert line.startswith("coveralls: failed: build 77 was not closed: ")
    assert annotation.startswith("::warning title=Coveralls::build 77 was not closed: ")


@pytest.mark.parametrize("refusal", [200, 404])
def test_an_unknown_build_is_explained(command: Command, refusal: int) -> None:
    command.server.webhook_refusal_status = refusal

    status, said = command("finish", "--coveralls-service-number=78")

    assert status == 1
    reason = f"build 78 was not closed: {refusal} No build matching CI build number 78 found"
    assert said[0].startswith(f"coveralls: failed: {reason}")
    assert said[1].startswith("coveralls: no job was sent under the number 78: ")


def test_a_second_attempt_may_find_the_build_closed(command: Command, build: Build) -> None:
    command.server.respond(504, stored=True)

    status, said = command("finish", NUMBER, "--coveralls-retries=1")

    assert (status, build.closed) == (0, True)
    assert said[0].startswith("coveralls: attempt 1 of 2: 504 ")


def test_without_a_number_it_says_where_to_find_it(command: Command) -> None:
    said = "there is no build number: set --coveralls-service-number to the number in the header "

    assert command("finish") == (2, [f"coveralls: {said}of the test runs"])


def test_a_dry_run_sends_nothing(command: Command, build: Build) -> None:
    command.env(COVERALLS_PARALEL="1")
    status, (warning, line) = command("finish", NUMBER, "--coveralls-dry-run")

    assert status == 0
    assert "unknown setting COVERALLS_PARALEL" in warning
    assert line == f"coveralls: would close build 77 on {command.server.url}; this is a dry run"
    assert command.server.requests == []


def test_a_build_without_jobs_is_a_warning(command: Command, build: Build) -> None:
    build.jobs.clear()

    status, said = command("finish", NUMBER)

    assert (status, len(said)) == (0, 2)
    assert ", 0 jobs -> " in said[0]
    assert said[1].startswith("coveralls: the build has no jobs: ")


def test_the_result_of_the_build_is_waited_for(command: Command, build: Build) -> None:
    command.server.pages["/builds/77.json"] = [
        {"covered_percent": None},
        {"covered_percent": 93.214, "coverage_change": 0.14},
    ]

    status, said = command("finish", NUMBER, "--coveralls-wait=60")

    assert (status, len(said)) == (0, 2)
    assert said[1].startswith("coveralls: build: 93.21% covered, +0.14% -> ")
