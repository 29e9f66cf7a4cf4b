"""Speak to both forms of GitLab's Commits API, over real HTTP on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from gitlab_standin import (
    BRANCH,
    JOB_TOKEN,
    OLDER_PATHS,
    PRIVATE_TOKEN,
    PROJECT_ID,
    PROJECT_PATH,
    PROJECT_TOKEN,
    ZEROS,
    GitLab,
    a_commit,
    a_sha,
)

from pytest_coveralls_submit.ci import gitlab
from pytest_coveralls_submit.delivery.sender import Answer, Call, Policy
from pytest_coveralls_submit.delivery.transport import deliver
from pytest_coveralls_submit.errors import GitLabError, ProcessError
from pytest_coveralls_submit.secret import Secret

COMMIT = a_commit(0xC0FFEE)
SHA = a_sha(0xC0FFEE)
PAGE = "<html><title>Sign in</title></html>"
STATUS: dict[str, Any] = {
    "state": "success",
    "name": "coveralls",
    "coverage": 96.31,
    "target_url": "https://coveralls.io/jobs/1",
}


def ask(call: Call, body: bytes) -> Answer:
    return deliver(call, body, Policy(deadline=10), lambda _: None)


def job(server: GitLab, **variables: str) -> dict[str, str]:
    """Return the variables of a job that runs on `SHA`."""
    address = {"CI_API_V4_URL": server.api, "CI_PROJECT_ID": str(PROJECT_ID)}
    known = {"CI_JOB_TOKEN": JOB_TOKEN, "CI_COMMIT_SHA": SHA, "CI_PIPELINE_ID": "1001"}
    return address | known | variables


def older_job(server: GitLab, **variables: str) -> dict[str, str]:
    """Return the variables of a job of GitLab 8, and the server's address."""
    return {"CI_SERVER_URL": server.url, "CI_PROJECT_ID": str(PROJECT_ID), **variables}


def announce(env: dict[str, str], token: str = PRIVATE_TOKEN, **options: Any) -> str:
    """Announce `SHA` with 96.3125%."""
    status = gitlab.Status(COMMIT, 96.3125, STATUS["target_url"], BRANCH, "coveralls")
    asked = options.pop("ask", ask)
    return gitlab.announce(env, Secret(token), asked, status._replace(**options))


def refusal(env: dict[str, str], token: str = PRIVATE_TOKEN, **options: Any) -> str:
    """Return why `SHA` is not announced, a text without any token."""
    with pytest.raises(GitLabError) as error:
        announce(env, token, **options)
    text = str(error.value)
    assert not any(token in text for token in (PRIVATE_TOKEN, JOB_TOKEN, PROJECT_TOKEN))
    return text


@pytest.fixture
def server() -> Iterator[GitLab]:
    """GitLab, with one commit and its pipeline."""
    with GitLab(COMMIT) as server:
        server.pipelines[1001] = SHA
        yield server


@pytest.mark.parametrize("project", [str(PROJECT_ID), PROJECT_PATH])
def test_the_job_token_reads_the_commit(server: GitLab, project: str) -> None:
    """A project is a number or an escaped path."""
    details = gitlab.commit_details(SHA, job(server, CI_PROJECT_ID=project), ask)

    assert {"id": SHA, **details} == COMMIT | {"message": COMMIT["message"].strip()}
    (asked,) = server.requests
    assert asked.headers["JOB-TOKEN"] == JOB_TOKEN
    assert JOB_TOKEN not in asked.target
    assert PROJECT_PATH not in asked.path


@pytest.mark.parametrize(
    "wrong",
    [
        {"CI_JOB_TOKEN": "wrong"},
        {"CI_API_V4_URL": "http://127.0.0.1:1/api/v4"},
        *({name: " "} for name in ("CI_API_V4_URL", "CI_PROJECT_ID", "CI_JOB_TOKEN")),
    ],
)
def test_a_refusal_leaves_the_author_unknown(server: GitLab, wrong: dict[str, str]) -> None:
    assert gitlab.commit_details(SHA, job(server, **wrong), ask) == {}


def test_a_child_that_fails_leaves_the_author_unknown(server: GitLab) -> None:
    def failing(call: Call, body: bytes) -> Answer:
        raise ProcessError("killed")

    assert gitlab.commit_details(SHA, job(server), failing) == {}


@pytest.mark.parametrize("body", [PAGE, {}, [a_commit(1)], {"id": 1}, a_commit(5)])
def test_nonsense_leaves_the_author_unknown(server: GitLab, body: object) -> None:
    server.respond(200, body)

    assert gitlab.commit_details(SHA, job(server), ask) == {}


def test_an_accepted_job_gives_the_commit_a_status(server: GitLab) -> None:
    """Coverage and link, in the pipeline that ran; its ref is left to GitLab."""
    line = announce(job(server))

    assert line == "GitLab: commit 00000000 has the status coveralls, 96.31% covered"
    (asked,) = server.requests
    assert asked.headers["PRIVATE-TOKEN"] == PRIVATE_TOKEN
    assert asked.target == f"/api/v4/projects/{PROJECT_ID}/statuses/{SHA}"
    assert asked.parameters == {**STATUS, "pipeline_id": 1001}


def test_a_status_of_another_commit_than_the_pipelines_names_the_branch(server: GitLab) -> None:
    """A pipeline of merged results has another commit, and would not be found."""
    announce(job(server, CI_COMMIT_SHA=a_sha(9)))

    (asked,) = server.requests
    assert asked.parameters == {**STATUS, "ref": BRANCH}


@pytest.mark.parametrize(
    ("status", "body", "texts"),
    [
        (401, {"message": "401 Unauthorized"}, ("COVERALLS_GITLAB_TOKEN", "api scope")),
        (403, {"message": "403 Forbidden"}, ("COVERALLS_GITLAB_TOKEN", "Developer", "protected")),
        (404, {"message": "404 Project Not Found"}, ("404 Project Not Found", "CI_PROJECT_ID")),
        (400, {"message": {"ref": ["is\ntoo long"]}}, ('{"ref": ["is\\ntoo long"]}',)),
        (500, PAGE, ("500",)),
        (200, PAGE, ("not the documented JSON",)),
        (200, [], ("not the documented JSON",)),
        (200, "[" * 60_000, ("not the documented JSON",)),
    ],
)
def test_a_refusal_says_what_to_do(
    server: GitLab, status: int, body: object, texts: tuple[str, ...]
) -> None:
    """The status, GitLab's message, the token's source and its needs."""
    server.respond(status, body)

    text = refusal(job(server))

    assert text.startswith("GitLab did not set the commit's status: ")
    assert all(wanted in text for wanted in texts)
    assert "html" not in text


def test_a_servers_message_is_cut_and_has_no_secret(server: GitLab) -> None:
    """It may repeat the token, at the cut as well, and hold control characters."""
    message = "x" * 195 + PRIVATE_TOKEN + "\x1b[31m" + "y" * 1000
    server.respond(401, {"message": message, "trace": "deep inside"})

    text = refusal(job(server))

    assert not any(part in text for part in (PRIVATE_TOKEN[:5], "\x1b", "deep"))
    assert len(text) < 600


@pytest.mark.parametrize("variable", ["CI_API_V4_URL", "CI_SERVER_URL"])
@pytest.mark.parametrize(
    "address",
    [
        "http://gitlab.example.com/api/v4",
        "https://ada:secret@gitlab.example.com/api/v4",
        "https://gitlab.example.com/api/v4?x=1",
        "https://gitlab.example.com/api/v4#x",
        "https://gitlab.example.com:x/api/v4",
        "gitlab.example.com/api/v4",
    ],
)
def test_a_token_is_not_sent_where_others_can_read_it(variable: str, address: str) -> None:
    """Https to the host that is named, or this machine."""

    def unasked(call: Call, body: bytes) -> Answer:
        pytest.fail("the token was sent")

    env = {variable: address, "CI_PROJECT_ID": "7", "CI_JOB_TOKEN": JOB_TOKEN}
    text = refusal(env, ask=unasked)

    assert text.startswith(f"{variable} cannot be used: ")
    assert "secret" not in text
    assert gitlab.commit_details(SHA, env, unasked) == {}


@pytest.mark.parametrize("variable", ["CI_PROJECT_ID", "CI_API_V4_URL"])
def test_outside_of_gitlab_nothing_can_be_announced(server: GitLab, variable: str) -> None:
    text = refusal(job(server, **{variable: ""}))

    assert text.startswith("gitlab_status needs CI_PROJECT_ID and CI_API_V4_URL")
    assert server.requests == []


@pytest.mark.parametrize("path", OLDER_PATHS)
def test_a_commit_is_announced_to_an_older_gitlab_once(server: GitLab, path: str) -> None:
    """With author and message; a path that is a page is not the API's."""
    server.older_paths = {path}
    env = older_job(server, CI_BUILD_BEFORE_SHA=a_sha(1))

    assert announce(env, PROJECT_TOKEN) == "GitLab: commit 00000000 was announced"
    assert announce(env, PROJECT_TOKEN).endswith("is known already, nothing to announce")
    (commit,) = server.announced
    assert (commit["sha"], commit["ref"], commit["before_sha"]) == (SHA, BRANCH, a_sha(1))
    assert commit["git_author_email"] == "ada@example.com"
    assert commit["git_commit_message"] == COMMIT["message"]
    assert all(asked.query == {} for asked in server.requests if asked.method == "POST")


def test_the_older_list_is_searched_over_all_pages(server: GitLab) -> None:
    """There are no headers; the first page without a commit ends the list."""
    server.announced = [{"sha": a_sha(number)} for number in range(1, 42)]

    assert announce(older_job(server), PROJECT_TOKEN).endswith("was announced")
    pages = [asked.query["page"] for asked in server.requests if asked.method == "GET"]
    assert pages == ["1", "2", "3", "4"]


def test_too_long_a_list_announces_nothing(server: GitLab) -> None:
    """Whether GitLab knows the commit is then unknown."""
    server.announced = [{"sha": a_sha(number)} for number in range(1, 1002)]

    assert "lists more than 1000 commits" in refusal(older_job(server), PROJECT_TOKEN)
    assert {asked.method for asked in server.requests} == {"GET"}


@pytest.mark.parametrize(
    ("project", "token", "texts"),
    [
        (PROJECT_ID, "wrong", ("403 Forbidden", "COVERALLS_GITLAB_TOKEN")),
        (8, PROJECT_TOKEN, ("404", "CI_PROJECT_ID")),
    ],
)
def test_the_older_api_says_why_it_refuses(
    server: GitLab, project: int, token: str, texts: tuple[str, ...]
) -> None:
    """404 in JSON is about the project, so no other path is tried."""
    text = refusal(older_job(server, CI_PROJECT_ID=str(project)), token)

    assert all(wanted in text for wanted in texts)
    assert len(server.requests) == 1


def test_an_unreachable_older_api_does_not_show_the_token() -> None:
    """The URL has the token in it, and is not repeated."""

    def echo(call: Call, body: bytes) -> Answer:
        return Answer(problem=f"InvalidURL: {call.url}")

    env = {"CI_SERVER_URL": "http://127.0.0.1:1", "CI_PROJECT_ID": "7"}
    for asked in (ask, echo):
        assert "did not list the commits" in refusal(env, PROJECT_TOKEN, ask=asked)


def test_the_announced_ref_says_whether_it_is_a_tag(server: GitLab) -> None:
    """GitLab tells branches from tags by the folder before the name."""
    announce(older_job(server, CI_BUILD_TAG="v1.0"), PROJECT_TOKEN, ref="v1.0")

    push = server.requests[-1].parameters["data"]
    assert (push["ref"], push["before"]) == ("refs/tags/v1.0", ZEROS)


def test_a_commit_of_no_known_branch_is_not_announced(server: GitLab) -> None:
    assert "set CI_BUILD_REF_NAME" in refusal(older_job(server), PROJECT_TOKEN, ref=None)
    assert server.requests == []
