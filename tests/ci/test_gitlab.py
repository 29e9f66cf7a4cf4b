"""GitLab's Commits API in both forms, over real HTTP against servers on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
from pytest_coveralls_submit.errors import GitLabError
from pytest_coveralls_submit.git import Commit
from pytest_coveralls_submit.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

SHA = a_sha(0xC0FFEE)
TOKENS = (PRIVATE_TOKEN, JOB_TOKEN, PROJECT_TOKEN)
COMMIT = Commit(
    id=SHA,
    author_name="Ada Gardener",
    author_email="ada@example.com",
    committer_name="Carl Keeper",
    committer_email="carl@example.com",
    message=f"Water bed {0xC0FFEE}\n\nIt was dry.",
)
PAGE = "<html><title>Sign in</title></html>"


def ask(call: Call, body: bytes) -> Answer:
    """Make a request, once."""
    return deliver(call, body, Policy(deadline=10), lambda _: None)


def never_asked(call: Call, body: bytes) -> Answer:
    """Fail: what is tested must not make a request."""
    raise AssertionError(f"{call.method} was made")


def job_environment(server: GitLab, **variables: str) -> dict[str, str]:
    """The variables of a job that runs on `SHA`."""
    return {
        "CI_API_V4_URL": server.api,
        "CI_PROJECT_ID": str(PROJECT_ID),
        "CI_JOB_TOKEN": JOB_TOKEN,
        "CI_COMMIT_SHA": SHA,
        "CI_PIPELINE_ID": "1001",
        **variables,
    }


def older_environment(server: GitLab, **variables: str) -> dict[str, str]:
    """The variables of a job of GitLab 8, and the server's address."""
    return {"CI_SERVER_URL": server.url, "CI_PROJECT_ID": str(PROJECT_ID), **variables}


def announce(env: dict[str, str], token: str = PRIVATE_TOKEN, **options: Any) -> str:
    """Announce `COMMIT` with 96.3125%."""
    wanted = {
        "ask": ask,
        "coverage": 96.3125,
        "url": "https://coveralls.io/jobs/1",
        "ref": BRANCH,
        "name": "coveralls",
    }
    return gitlab.announce(env, Secret(token), head=COMMIT, **{**wanted, **options})


@pytest.fixture
def server() -> Iterator[GitLab]:
    """GitLab, with one commit and its pipeline."""
    with GitLab(a_commit(0xC0FFEE)) as server:
        server.pipelines[1001] = SHA
        yield server


def refusal(error: pytest.ExceptionInfo[GitLabError]) -> str:
    """The error's text, in which no token is."""
    text = str(error.value)
    assert not any(token in text for token in TOKENS)
    return text


# --- who wrote the commit --------------------------------------------------------------------


@pytest.mark.parametrize("project", [str(PROJECT_ID), PROJECT_PATH])
def test_the_job_token_finds_out_who_wrote_the_commit(server: GitLab, project: str) -> None:
    """One request; the token is in its header; a project is a number or an escaped path."""
    assert gitlab.fill(SHA.upper(), job_environment(server, CI_PROJECT_ID=project), ask) == COMMIT
    (asked,) = server.requests
    assert asked.headers["JOB-TOKEN"] == JOB_TOKEN
    assert JOB_TOKEN not in asked.target
    assert PROJECT_PATH not in asked.path


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CI_JOB_TOKEN", "wrong"),
        ("CI_PROJECT_ID", "8"),
        ("CI_API_V4_URL", "http://127.0.0.1:1/api/v4"),
    ],
)
def test_a_refused_question_leaves_the_author_unknown(
    server: GitLab, name: str, value: str
) -> None:
    """401, 404 and a closed port are no failures."""
    assert gitlab.fill(SHA, job_environment(server, **{name: value}), ask) is None


@pytest.mark.parametrize(
    "body", [PAGE, {}, [1], [a_commit(1)], "null", "[" * 60_000, {"id": "main"}, a_commit(5)]
)
def test_nonsense_leaves_the_author_unknown(server: GitLab, body: object) -> None:
    """Nor are a log-in page, wrong shapes and another commit."""
    server.respond(200, body)

    assert gitlab.fill(SHA, job_environment(server), ask) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CI_API_V4_URL", ""),
        ("CI_PROJECT_ID", " "),
        ("CI_JOB_TOKEN", ""),
        ("CI_API_V4_URL", "http://gitlab.example.com/api/v4"),
    ],
)
def test_nobody_is_asked_where_something_is_missing(server: GitLab, name: str, value: str) -> None:
    """The token goes to an https address in CI_API_V4_URL, or nowhere."""
    assert gitlab.fill(SHA, job_environment(server, **{name: value}), never_asked) is None


@pytest.mark.parametrize("sha", ["", "main", "HEAD", ZEROS, "../../../user"])
def test_nobody_is_asked_for_what_is_no_commit(server: GitLab, sha: str) -> None:
    """A branch moves, so only an id is asked for."""
    assert gitlab.fill(sha, job_environment(server), never_asked) is None


# --- the commit gets a status ----------------------------------------------------------------


def test_an_accepted_job_gives_the_commit_a_status(server: GitLab) -> None:
    """Coverage and link, in the pipeline that ran; its ref is left to GitLab."""
    said = announce(job_environment(server))

    assert said == "GitLab: commit 00000000 has the status coveralls, 96.31% covered"
    (asked,) = server.requests
    assert asked.headers["PRIVATE-TOKEN"] == PRIVATE_TOKEN
    assert PRIVATE_TOKEN not in asked.target
    assert asked.path == f"/api/v4/projects/{PROJECT_ID}/statuses/{SHA}"
    assert asked.parameters == {
        "state": "success",
        "name": "coveralls",
        "coverage": 96.31,
        "target_url": "https://coveralls.io/jobs/1",
        "pipeline_id": 1001,
    }


def test_a_status_of_another_commit_than_the_pipelines_names_the_branch(server: GitLab) -> None:
    """A pipeline of merged results has another commit, and would not be found."""
    announce(job_environment(server, CI_COMMIT_SHA=a_sha(9)), name="coveralls/py312", url=None)

    (asked,) = server.requests
    assert asked.parameters == {
        "state": "success",
        "name": "coveralls/py312",
        "coverage": 96.31,
        "ref": BRANCH,
    }


@pytest.mark.parametrize(
    ("status", "body", "texts"),
    [
        (401, {"message": "401 Unauthorized"}, ("COVERALLS_GITLAB_TOKEN", "api scope")),
        (403, {"message": "403 Forbidden"}, ("COVERALLS_GITLAB_TOKEN", "Developer", "protected")),
        (404, {"message": "404 Project Not Found"}, ("404 Project Not Found", "CI_PROJECT_ID")),
        (400, {"message": {"ref": ["is\ntoo long"]}}, ('{"ref": ["is\\ntoo long"]}',)),
        (500, PAGE, ("500",)),
        (302, PAGE, ("302",)),
    ],
)
def test_a_refusal_says_what_to_do(
    server: GitLab, status: int, body: object, texts: tuple[str, ...]
) -> None:
    """The status, GitLab's message, where the token is from and what it needs."""
    server.respond(status, body)

    with pytest.raises(GitLabError, match="did not set the commit's status") as error:
        announce(job_environment(server))
    text = refusal(error)
    assert all(wanted in text for wanted in (str(status), *texts))
    assert "html" not in text


def test_what_a_server_says_is_cut_and_has_no_secret(server: GitLab) -> None:
    """A server may echo the token, at the cut as well, and may send control characters."""
    said = "x" * 195 + PRIVATE_TOKEN + "\x1b[31m" + "y" * 1000
    server.respond(401, {"message": said, "trace": "deep inside"})

    with pytest.raises(GitLabError) as error:
        announce(job_environment(server))
    text = refusal(error)
    assert PRIVATE_TOKEN[:5] not in text
    assert "\x1b" not in text
    assert "deep" not in text
    assert len(text) < 600


@pytest.mark.parametrize("body", [PAGE, [], "7", "null", "[" * 60_000])
def test_what_is_no_status_is_an_error(server: GitLab, body: object) -> None:
    """A page, a list, a number or nothing came from somebody else."""
    server.respond(200, body)

    with pytest.raises(GitLabError, match="not the documented JSON") as error:
        announce(job_environment(server))
    assert "html" not in refusal(error)


@pytest.mark.parametrize(
    "address",
    [
        "http://gitlab.example.com/api/v4",
        "https://ada:secret@gitlab.example.com/api/v4",
        "https://gitlab.example.com/api/v4?x=1",
        "https://gitlab.example.com/api/v4#x",
        "https://gitlab.example.com:x/api/v4",
        "https:///api/v4",
        "gitlab.example.com/api/v4",
    ],
)
def test_a_token_is_not_sent_where_others_can_read_it(address: str) -> None:
    """Https to the host that is named, or this machine; the address is not repeated."""
    for variable in ("CI_API_V4_URL", "CI_SERVER_URL"):
        env = {variable: address, "CI_PROJECT_ID": "7"}
        with pytest.raises(GitLabError, match=f"{variable} cannot be used") as error:
            announce(env, ask=never_asked)
        assert "secret" not in str(error.value)


@pytest.mark.parametrize("variable", ["CI_PROJECT_ID", "CI_API_V4_URL"])
def test_outside_of_gitlab_nothing_can_be_announced(server: GitLab, variable: str) -> None:
    """The error names the variables that are missing."""
    with pytest.raises(GitLabError, match="gitlab_status needs CI_PROJECT_ID and CI_API_V4_URL"):
        announce({**job_environment(server), variable: ""})
    assert server.requests == []


# --- the older CI API ------------------------------------------------------------------------


@pytest.mark.parametrize("path", OLDER_PATHS)
def test_an_older_gitlab_is_told_of_the_commit(server: GitLab, path: str) -> None:
    """once, with author and message; a path that is a page is not the API's."""
    server.older_paths = {path}
    env = older_environment(server, CI_BUILD_BEFORE_SHA=a_sha(1))

    assert announce(env, PROJECT_TOKEN) == "GitLab: commit 00000000 was announced"
    assert announce(env, PROJECT_TOKEN).endswith("is known already, nothing to announce")
    (commit,) = server.announced
    assert (commit["sha"], commit["ref"], commit["before_sha"]) == (SHA, BRANCH, a_sha(1))
    assert commit["git_author_email"] == "ada@example.com"
    assert commit["git_commit_message"] == COMMIT.message
    assert len(commit["builds"]) == 1
    for posted in (asked for asked in server.requests if asked.method == "POST"):
        assert posted.query == {}
        assert posted.parameters["project_token"] == PROJECT_TOKEN


def test_the_older_list_is_searched_over_all_pages(server: GitLab) -> None:
    """There are no headers; the first page without a commit ends the list."""
    for number in range(1, 42):
        server.announce(a_sha(number))

    assert announce(older_environment(server), PROJECT_TOKEN).endswith("was announced")
    pages = [asked.query["page"] for asked in server.requests if asked.method == "GET"]
    assert pages == ["1", "2", "3", "4"]


def test_too_long_a_list_announces_nothing(server: GitLab) -> None:
    """Where it cannot be told whether GitLab knows the commit, it is left alone."""
    for number in range(1, gitlab.LIMIT + 2):
        server.announce(a_sha(number))

    with pytest.raises(GitLabError, match="lists more than 1000 commits"):
        announce(older_environment(server), PROJECT_TOKEN)
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
    with pytest.raises(GitLabError) as error:
        announce(older_environment(server, CI_PROJECT_ID=str(project)), token)
    assert all(text in refusal(error) for text in texts)
    assert len(server.requests) == 1


def test_an_unreachable_older_api_does_not_show_the_token() -> None:
    """The URL has the token in it, and is not repeated."""
    env = {"CI_SERVER_URL": "http://127.0.0.1:1", "CI_PROJECT_ID": "7"}

    def echo(call: Call, body: bytes) -> Answer:
        return Answer(problem=f"InvalidURL: {call.url}")

    for asked in (ask, echo):
        with pytest.raises(GitLabError, match="did not list the commits") as error:
            announce(env, PROJECT_TOKEN, ask=asked)
        refusal(error)


def test_the_announced_ref_says_whether_it_is_a_tag(server: GitLab) -> None:
    """GitLab tells branches from tags by the folder before the name."""
    announce(older_environment(server, CI_BUILD_TAG="v1.0"), PROJECT_TOKEN, ref="v1.0")

    push = server.requests[-1].parameters["data"]
    assert (push["ref"], push["before"]) == ("refs/tags/v1.0", ZEROS)


def test_a_commit_of_no_known_branch_is_not_announced(server: GitLab) -> None:
    """The error names the variable."""
    with pytest.raises(GitLabError, match="set CI_BUILD_REF_NAME"):
        announce(older_environment(server), PROJECT_TOKEN, ref=None)
    assert server.requests == []
