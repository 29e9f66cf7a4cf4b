"""GitLab's Commits API in both forms, over real HTTP against servers on loopback."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from faulty import Faulty
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

from pytest_coveralls_submit.delivery.messages import BODY_LIMIT, Answer, Call, Policy
from pytest_coveralls_submit.delivery.transport import deliver
from pytest_coveralls_submit.errors import GitLabError
from pytest_coveralls_submit.identity import gitlab
from pytest_coveralls_submit.identity.git import Commit
from pytest_coveralls_submit.identity.gitlab import CommitsV1, CommitsV4
from pytest_coveralls_submit.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORT = 0.3  # seconds that a silent server is waited for
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
# The older API knows no committer.
OLDER_COMMIT = Commit(
    id=SHA, author_name="Ada Gardener", author_email="ada@example.com", message="Water the garden"
)
PAGE = "<html><title>Sign in</title></html>"


def ask(call: Call, body: bytes) -> Answer:
    """Make a request, once."""
    return deliver(call, body, Policy(deadline=10), lambda _: None)


def ask_briefly(call: Call, body: bytes) -> Answer:
    """Make a request with next to no patience."""
    policy = Policy(deadline=SHORT, connect_timeout=SHORT, read_timeout=SHORT)
    return deliver(call, body, policy, lambda _: None)


def never_asked(call: Call, body: bytes) -> Answer:
    """Fail: what is tested must not make a request."""
    raise AssertionError(f"{call.method} was made")


def v4(
    server: GitLab,
    *,
    project: str = PROJECT_PATH,
    token: str = PRIVATE_TOKEN,
    ask: gitlab.Ask = ask,
) -> CommitsV4:
    """A client of API v4 with a private token."""
    return CommitsV4(
        base=server.api, project=project, header="PRIVATE-TOKEN", token=Secret(token), ask=ask
    )


def v1(server: GitLab, *, project: int = PROJECT_ID, token: str = PROJECT_TOKEN) -> CommitsV1:
    """A client of the older CI API."""
    return CommitsV1(base=server.url, project_id=str(project), token=Secret(token), ask=ask)


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
    return {
        "CI_SERVER_URL": server.url,
        "CI_PROJECT_ID": str(PROJECT_ID),
        "CI_BUILD_REF": SHA,
        "CI_BUILD_REF_NAME": BRANCH,
        **variables,
    }


def a_push(sha: str = SHA, **fields: object) -> dict[str, Any]:
    """What a push hook says of one commit."""
    author = {"name": "Ada Gardener", "email": "ada@example.com"}
    return {
        "before": a_sha(1),
        "after": sha,
        "ref": f"refs/heads/{BRANCH}",
        "commits": [{"id": sha, "message": "Water the garden\n", "author": author}],
        **fields,
    }


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


# --- v4: one commit --------------------------------------------------------------------------


@pytest.mark.parametrize("project", [str(PROJECT_ID), PROJECT_PATH])
def test_a_commit_has_author_committer_and_message(server: GitLab, project: str) -> None:
    """Rule: a project is its number or its path, whose slash is escaped."""
    assert v4(server, project=project).commit(SHA) == COMMIT
    (asked,) = server.requests
    assert "octo/sample" not in asked.path


def test_the_token_is_sent_in_its_header_only(server: GitLab) -> None:
    """Rule: neither the URL nor what Python shows of the client has the token."""
    client = v4(server)
    client.commit(SHA)
    (asked,) = server.requests

    assert asked.headers["PRIVATE-TOKEN"] == PRIVATE_TOKEN
    assert PRIVATE_TOKEN not in asked.target
    assert PRIVATE_TOKEN not in repr(client)


def test_a_commit_that_gitlab_does_not_know_is_none(server: GitLab) -> None:
    """Rule: 404 is an answer, not a failure."""
    assert v4(server).commit(a_sha(5)) is None
    assert v4(server, project="octo/other").commit(SHA) is None


def test_another_commit_than_the_one_asked_for_is_an_error(server: GitLab) -> None:
    """Rule: an author is not put on a commit that is not theirs."""
    server.respond(200, a_commit(5))

    with pytest.raises(GitLabError, match=r"asked for commit 0+c0ffee and answered 0+5"):
        v4(server).commit(SHA)


def test_fields_that_are_no_text_are_left_out(server: GitLab) -> None:
    """Rule: a commit may miss all but its id; half a character does no harm."""
    odd: dict[str, object] = {
        "author_name": 1,
        "author_email": None,
        "committer_name": " ",
        "committer_email": [],
    }
    server.respond(200, a_commit(0xC0FFEE, **odd, message="\ud83c"))

    assert v4(server).commit(SHA) == Commit(id=SHA, message="?")


def test_a_long_name_is_cut(server: GitLab) -> None:
    """Rule: what a server says has bounds."""
    server.respond(200, a_commit(0xC0FFEE, author_name="a" * 5000))

    found = v4(server).commit(SHA)

    assert found is not None
    assert found.author_name == "a" * 1024


# --- v4: the list ----------------------------------------------------------------------------


@pytest.fixture
def garden() -> Iterator[GitLab]:
    """GitLab, with seven commits: three pages of three."""
    with GitLab(*(a_commit(number) for number in range(7, 0, -1))) as server:
        yield server


@pytest.mark.parametrize("links", [True, False])
def test_a_list_is_followed_over_all_pages(garden: GitLab, links: bool) -> None:
    """Rule: the Link header leads to the next page, else x-next-page does; the newest is first."""
    garden.links = links

    listed = list(v4(garden).commits(BRANCH, per_page=3))

    assert [commit.id for commit in listed] == [a_sha(number) for number in range(7, 0, -1)]
    assert [asked.query.get("page", "1") for asked in garden.requests] == ["1", "2", "3"]
    assert {asked.query["ref_name"] for asked in garden.requests} == {BRANCH}
    assert {asked.headers["PRIVATE-TOKEN"] for asked in garden.requests} == {PRIVATE_TOKEN}


def test_no_more_pages_are_asked_for_than_are_needed(garden: GitLab) -> None:
    """Rule: the list is made while it is read, and ends at the limit."""
    client = v4(garden)

    assert next(client.commits(per_page=3)).id == a_sha(7)
    assert len(garden.requests) == 1
    assert len(list(client.commits(per_page=3, limit=3))) == 3
    assert len(garden.requests) == 2


def test_a_link_to_its_own_page_ends_at_the_limit(server: GitLab) -> None:
    """Rule: a server cannot keep the client busy for ever."""
    place = f"{server.api}/projects/octo%2Fsample/repository/commits"
    for _ in range(3):
        server.respond(200, [a_commit(1)], {"Link": f'<{place}>; rel="next"'})

    assert len(list(v4(server).commits(limit=3))) == 3


def test_an_empty_page_is_the_last(server: GitLab) -> None:
    """Rule: a Link on an empty page leads nowhere."""
    server.respond(200, [], {"Link": f'<{server.api}/more>; rel="next"', "X-Next-Page": "2"})

    assert list(v4(server).commits()) == []
    assert len(server.requests) == 1


def test_a_link_to_another_server_is_not_followed(garden: GitLab) -> None:
    """Rule: the token goes to the server of CI_API_V4_URL only."""
    with GitLab() as other:
        garden.link_server = other.url
        listed = v4(garden).commits(per_page=3)

        assert [next(listed).id for _ in range(3)] == [a_sha(7), a_sha(6), a_sha(5)]
        with pytest.raises(GitLabError, match="another server than CI_API_V4_URL"):
            next(listed)
        assert other.requests == []


@pytest.mark.parametrize(
    "link",
    [
        "https://127.0.0.1:{port}/",  # another scheme
        "http://localhost:{port}/",
        "http://127.0.0.1:{port}@example.com/",
        "//example.com/",
        "http://[",
        "http://127.0.0.1:x/",
        "file:///etc/passwd",
    ],
)
def test_a_link_that_is_not_on_the_same_server_is_refused(garden: GitLab, link: str) -> None:
    """Rule: scheme, host and port are those of CI_API_V4_URL."""
    place = link.format(port=garden.port)
    garden.respond(200, [a_commit(1)], {"Link": f'<{place}>; rel="next"'})

    with pytest.raises(GitLabError, match=r"another server"):
        list(v4(garden).commits())


def test_a_job_token_may_not_list(garden: GitLab) -> None:
    """Rule: the error says which token it was and what is needed."""
    client = gitlab.from_environment(job_environment(garden), ask)

    assert client is not None
    with pytest.raises(GitLabError, match="did not list the commits: 401") as error:
        next(client.commits())
    assert "CI_JOB_TOKEN is not accepted" in refusal(error)


# --- v4: a status ----------------------------------------------------------------------------


def test_a_status_has_coverage_and_link(server: GitLab) -> None:
    """Rule: what was given arrives, as JSON; what was not is left out."""
    v4(server).set_status(SHA, coverage=96.31, target_url="https://coveralls.io/jobs/1", ref=BRANCH)

    (asked,) = server.requests
    assert asked.parameters == {
        "state": "success",
        "name": "coveralls",
        "coverage": 96.31,
        "target_url": "https://coveralls.io/jobs/1",
        "ref": BRANCH,
    }
    assert [status["sha"] for status in server.statuses] == [SHA]


def test_what_is_too_long_for_a_status_is_left_out(server: GitLab) -> None:
    """Rule: a status without link is better than none; GitLab takes 255 characters."""
    v4(server).set_status(SHA, target_url="https://coveralls.io/" + "x" * 255, name="n" * 300)

    (status,) = server.statuses
    assert status["target_url"] is None
    assert status["name"] == "n" * 255


def test_a_state_that_gitlab_does_not_know_is_refused(server: GitLab) -> None:
    """Rule: GitLab's own words are shown."""
    with pytest.raises(GitLabError, match="state does not have a valid value"):
        v4(server).set_status(SHA, state="done")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "body", "texts"),
    [
        (
            401,
            {"message": "401 Unauthorized"},
            ("COVERALLS_GITLAB_TOKEN", "api scope", "job token"),
        ),
        (403, {"message": "403 Forbidden"}, ("COVERALLS_GITLAB_TOKEN", "Developer", "protected")),
        (404, {"message": "404 Project Not Found"}, ("404 Project Not Found", "CI_PROJECT_ID")),
        (404, {"error": "404 Not Found"}, ("CI_PROJECT_ID",)),
        (400, {"message": {"ref": ["is\ntoo long"]}}, ('{"ref": ["is\\ntoo long"]}',)),
        (500, PAGE, ("500",)),
        (302, PAGE, ("302",)),
    ],
)
def test_a_refusal_says_what_to_do(
    server: GitLab, status: int, body: object, texts: tuple[str, ...]
) -> None:
    """Rule: the status, GitLab's message, where the token is from and what it needs."""
    server.respond(status, body)

    with pytest.raises(GitLabError, match="did not set the commit's status") as error:
        v4(server).set_status(SHA)
    text = refusal(error)
    assert all(wanted in text for wanted in (str(status), *texts))
    assert "html" not in text


def test_what_a_server_says_is_cut_and_has_no_secret(server: GitLab) -> None:
    """Rule: a server may echo the token, at the cut as well, and may send control characters."""
    said = "x" * 195 + PRIVATE_TOKEN + "\x1b[31m" + "y" * 1000
    server.respond(401, {"message": said, "trace": "deep inside"})

    with pytest.raises(GitLabError) as error:
        v4(server).set_status(SHA)
    text = refusal(error)
    assert PRIVATE_TOKEN[:5] not in text
    assert "\x1b" not in text
    assert "deep" not in text
    assert len(text) < 600


# --- what no form of the API may answer ------------------------------------------------------


@pytest.mark.parametrize(
    "body", [PAGE, [], "7", [a_commit(1)], "null", "[" * 60_000, {"id": "main"}, {"id": 7}, {}]
)
def test_what_is_no_commit_is_an_error(server: GitLab, body: object) -> None:
    """Rule: a page, a list, a number, nothing, or an object without the id of a commit."""
    server.respond(200, body)

    with pytest.raises(GitLabError, match=r"not the documented JSON|else than a commit") as error:
        v4(server).commit(SHA)
    assert "html" not in refusal(error)


@pytest.mark.parametrize("body", [PAGE, {}, [7], [[]], [{"id": None}], [None]])
@pytest.mark.parametrize("form", ["v4", "older"])
def test_what_is_no_list_of_commits_is_an_error(server: GitLab, form: str, body: object) -> None:
    """Rule: an array, and a commit in each place."""
    server.respond(200, body)

    with pytest.raises(GitLabError, match=r"not the documented JSON|else than a commit"):
        list(v4(server).commits() if form == "v4" else v1(server).commits())


def test_a_page_that_is_too_long_to_be_read_is_named_as_such(server: GitLab) -> None:
    """Rule: an answer that was cut is not called broken; the user can ask for less."""
    server.respond(200, [a_commit(1, message="x" * BODY_LIMIT)])

    with pytest.raises(GitLabError, match="longer than 64 KiB; ask for fewer commits a page"):
        list(v4(server).commits())


@pytest.mark.parametrize(
    "address",
    [
        "http://gitlab.example.com/api/v4",
        "https://ada:secret@gitlab.example.com/api/v4",
        "https://gitlab.example.com/api/v4?x=1",
        "https://gitlab.example.com/api/v4#x",
        "https://gitlab.example.com/api /v4",
        "https://gitlab.example.com:x/api/v4",
        "https:///api/v4",
        "gitlab.example.com/api/v4",
        "file:///api/v4",
    ],
)
def test_a_token_is_not_sent_where_others_can_read_it(address: str) -> None:
    """Rule: https to the host that is named, or this machine; the address is not repeated."""
    secret = Secret(PRIVATE_TOKEN)
    with pytest.raises(GitLabError, match="CI_API_V4_URL cannot be used") as error:
        CommitsV4(base=address, project="7", header="PRIVATE-TOKEN", token=secret, ask=never_asked)
    assert "secret" not in str(error.value)
    with pytest.raises(GitLabError, match="CI_SERVER_URL cannot be used"):
        CommitsV1(base=address, project_id="7", token=secret, ask=never_asked)


@pytest.mark.parametrize("address", ["https://gitlab.example.com/git/api/v4", "http://[::1]:80/"])
def test_https_and_this_machine_are_accepted(address: str) -> None:
    """Rule: a path before the API and a port are nothing special."""
    token = Secret(PRIVATE_TOKEN)
    CommitsV4(base=address, project="7", header="JOB-TOKEN", token=token, ask=never_asked)


@pytest.mark.parametrize("token", ["two words", "line\nend", "tökén", ""])
def test_a_token_that_no_header_can_hold_is_refused(server: GitLab, token: str) -> None:
    """Rule: it is said before a request is made, without the token."""
    with pytest.raises(GitLabError, match="COVERALLS_GITLAB_TOKEN cannot be used") as error:
        v4(server, token=token, ask=never_asked)
    assert not token or token not in str(error.value)


# --- (a): who wrote the commit ---------------------------------------------------------------


def test_the_job_token_finds_out_who_wrote_the_commit(server: GitLab) -> None:
    """Rule: one request, with the job's token, to the server of CI_API_V4_URL."""
    assert gitlab.fill(SHA, job_environment(server), ask) == COMMIT
    (asked,) = server.requests
    assert asked.headers["JOB-TOKEN"] == JOB_TOKEN
    assert JOB_TOKEN not in asked.target


@pytest.mark.parametrize(
    "variables",
    [
        {"CI_JOB_TOKEN": "wrong"},
        {"CI_PROJECT_ID": "8"},
        {"CI_API_V4_URL": "http://127.0.0.1:1/api/v4"},
    ],
)
def test_a_refused_question_leaves_the_author_unknown(
    server: GitLab, variables: dict[str, str]
) -> None:
    """Rule: 401, 404 and a closed port are no failures."""
    assert gitlab.fill(SHA, {**job_environment(server), **variables}, ask) is None


@pytest.mark.parametrize("body", [PAGE, {}, [1], a_commit(5)])
def test_nonsense_leaves_the_author_unknown(server: GitLab, body: object) -> None:
    """Rule: nor are a log-in page, wrong shapes and another commit."""
    server.respond(200, body)

    assert gitlab.fill(SHA, job_environment(server), ask) is None


def test_silence_leaves_the_author_unknown() -> None:
    """Rule: the deadline of the request is the end of it."""
    with Faulty("hang") as silent:
        env = {
            "CI_API_V4_URL": f"http://127.0.0.1:{silent.port}/api/v4",
            "CI_PROJECT_ID": "7",
            "CI_JOB_TOKEN": JOB_TOKEN,
        }
        started = time.monotonic()
        assert gitlab.fill(SHA, env, ask_briefly) is None
        assert time.monotonic() - started < 5


def test_a_request_that_cannot_be_made_leaves_the_author_unknown(server: GitLab) -> None:
    """Rule: whatever happens, `fill` does not raise."""

    def broken(call: Call, body: bytes) -> Answer:
        raise OSError("no more processes")

    assert gitlab.fill(SHA, job_environment(server), broken) is None


@pytest.mark.parametrize(
    "variables",
    [
        {"CI_API_V4_URL": ""},
        {"CI_PROJECT_ID": " "},
        {"CI_JOB_TOKEN": ""},
        {"CI_API_V4_URL": "http://gitlab.example.com/api/v4"},
    ],
)
def test_nobody_is_asked_where_something_is_missing(
    server: GitLab, variables: dict[str, str]
) -> None:
    """Rule: the token goes to an https address in CI_API_V4_URL, or nowhere."""
    assert gitlab.fill(SHA, {**job_environment(server), **variables}, never_asked) is None


@pytest.mark.parametrize("sha", ["", "main", "HEAD", ZEROS, "../../../user"])
def test_nobody_is_asked_for_what_is_no_commit(server: GitLab, sha: str) -> None:
    """Rule: a branch moves, so only an id is asked for."""
    assert gitlab.fill(sha, job_environment(server), never_asked) is None


# --- (b): the commit gets a status -----------------------------------------------------------


def announce(env: dict[str, str], token: str = PRIVATE_TOKEN, **options: Any) -> str:
    """Announce `COMMIT` with 96.3125%."""
    wanted = {"coverage": 96.3125, "url": "https://coveralls.io/jobs/1", "ref": BRANCH}
    return gitlab.announce(env, Secret(token), ask, COMMIT, **{**wanted, **options})


def test_an_accepted_job_gives_the_commit_a_status(server: GitLab) -> None:
    """Rule: coverage and link, in the pipeline that ran; its ref is left to GitLab."""
    said = announce(job_environment(server))

    assert said == "GitLab: commit 00000000 has the status coveralls, 96.31% covered"
    (asked,) = server.requests
    assert asked.path == f"/api/v4/projects/{PROJECT_ID}/statuses/{SHA}"
    assert asked.parameters == {
        "state": "success",
        "name": "coveralls",
        "coverage": 96.31,
        "target_url": "https://coveralls.io/jobs/1",
        "pipeline_id": 1001,
    }


def test_a_status_of_another_commit_than_the_pipelines_names_the_branch(server: GitLab) -> None:
    """Rule: a pipeline of merged results has another commit, and would not be found."""
    announce(job_environment(server, CI_COMMIT_SHA=a_sha(9)), name="coveralls/py312", url=None)

    (asked,) = server.requests
    assert asked.parameters == {
        "state": "success",
        "name": "coveralls/py312",
        "coverage": 96.31,
        "ref": BRANCH,
    }


def test_a_job_token_cannot_set_a_status(server: GitLab) -> None:
    """Rule: the error explains which token is needed."""
    with pytest.raises(GitLabError) as error:
        announce(job_environment(server), JOB_TOKEN)
    assert "401" in refusal(error)
    assert "a job token may neither list commits nor set a status" in str(error.value)


@pytest.mark.parametrize("variable", ["CI_PROJECT_ID", "CI_API_V4_URL"])
def test_outside_of_gitlab_nothing_can_be_announced(server: GitLab, variable: str) -> None:
    """Rule: the error names the variables that are missing."""
    with pytest.raises(GitLabError, match="gitlab_status needs CI_PROJECT_ID and CI_API_V4_URL"):
        announce({**job_environment(server), variable: ""})
    assert server.requests == []


def test_silence_is_an_error_when_something_was_to_be_announced() -> None:
    """Rule: the user asked for it, so they are told."""
    with Faulty("hang") as silent:
        env = {"CI_API_V4_URL": f"http://127.0.0.1:{silent.port}/api/v4", "CI_PROJECT_ID": "7"}
        with pytest.raises(GitLabError, match=r"no answer within .* can be reached"):
            gitlab.announce(env, Secret(PRIVATE_TOKEN), ask_briefly, COMMIT, coverage=1)


# --- the older CI API ------------------------------------------------------------------------


@pytest.mark.parametrize("path", OLDER_PATHS)
def test_the_older_api_is_found_at_either_path(server: GitLab, path: str) -> None:
    """Rule: where one path is a page that does not exist, the other one is asked."""
    server.older_paths = {path}
    server.announce(a_push())

    assert v1(server).commit(SHA) == OLDER_COMMIT
    assert v1(server).commit(a_sha(5)) is None


def test_the_older_list_is_read_over_all_pages(server: GitLab) -> None:
    """Rule: there are no headers; the first page without a commit ends the list."""
    for number in range(1, 8):
        server.announce(a_push(a_sha(number)))

    listed = list(v1(server).commits(per_page=3))

    assert [commit.id for commit in listed] == [a_sha(number) for number in range(1, 8)]
    assert [asked.query["page"] for asked in server.requests] == ["1", "2", "3", "4"]
    assert {asked.query["per_page"] for asked in server.requests} == {"3"}
    assert len(list(v1(server).commits(per_page=3, limit=3))) == 3
    assert len(server.requests) == 5


def test_a_commit_that_its_push_did_not_list_has_no_author(server: GitLab) -> None:
    """Rule: the older API then answers null for all that git says."""
    server.announce(a_push(commits=[]))

    assert v1(server).commit(SHA) == Commit(id=SHA)


def test_a_commit_is_created_once(server: GitLab) -> None:
    """Rule: one that GitLab knows is not announced: its builds would start again."""
    client = v1(server)

    assert client.create(a_push()) == OLDER_COMMIT
    assert client.create(a_push()) is None
    (commit,) = server.announced
    assert commit["ref"] == BRANCH
    assert len(commit["builds"]) == 1


def test_the_token_of_a_new_commit_is_not_in_the_url(server: GitLab) -> None:
    """Rule: what is posted is in the body."""
    v1(server).create(a_push())

    posted = server.requests[-1]
    assert posted.method == "POST"
    assert posted.query == {}
    assert posted.parameters["project_token"] == PROJECT_TOKEN


def test_a_deleted_branch_creates_nothing(server: GitLab) -> None:
    """Rule: `after` is 40 zeros then; GitLab would answer 500, so it is not even asked."""
    assert v1(server).create(a_push(ZEROS)) is None
    assert server.requests == []


def test_the_server_itself_neither_creates_twice_nor_for_zeros(server: GitLab) -> None:
    """Rule: the stand-in does as GitLab's service does."""
    url = server.url + OLDER_PATHS[0]
    call = Call(method="POST", url=url, form="json")
    project = {"project_id": PROJECT_ID, "project_token": PROJECT_TOKEN}
    bodies = [{**project, "data": a_push(sha, commits=[])} for sha in (SHA, SHA, ZEROS)]

    assert [ask(call, json.dumps(body).encode()).status for body in bodies] == [201, 201, 500]
    (commit,) = server.announced
    assert commit["git_author_name"] is None
    assert len(commit["builds"]) == 2


def test_too_long_a_list_announces_nothing(server: GitLab) -> None:
    """Rule: where it cannot be told whether GitLab knows the commit, it is left alone."""
    for number in range(1, gitlab.LIMIT + 2):
        server.announce(a_push(a_sha(number)))

    with pytest.raises(GitLabError, match="lists more than 1000 commits"):
        v1(server).create(a_push())
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
    """Rule: 404 in JSON is about the project, so no other path is tried."""
    with pytest.raises(GitLabError) as error:
        list(v1(server, project=project, token=token).commits())
    assert all(text in refusal(error) for text in texts)
    assert len(server.requests) == 1


@pytest.mark.parametrize("query", ["", "?project_id=7", f"?project_token={PROJECT_TOKEN}"])
def test_the_older_api_wants_project_and_token(server: GitLab, query: str) -> None:
    """Rule: 400 says which parameter is missing."""
    answer = ask(Call(method="GET", url=server.url + OLDER_PATHS[1] + query, form="none"), b"")

    assert answer.status == 400
    assert "not given" in answer.text


def test_an_unreachable_older_api_does_not_show_the_token() -> None:
    """Rule: the URL has the token in it, and is not repeated."""
    secret = Secret(PROJECT_TOKEN)
    client = CommitsV1(base="http://127.0.0.1:1", project_id="7", token=secret, ask=ask)
    echo = CommitsV1(
        base="http://127.0.0.1:1",
        project_id="7",
        token=secret,
        ask=lambda call, _: Answer(problem=f"InvalidURL: {call.url}"),
    )

    for commits in (client, echo):
        with pytest.raises(GitLabError, match="did not list the commits") as error:
            list(commits.commits())
        refusal(error)


def test_an_older_gitlab_is_told_of_the_commit(server: GitLab) -> None:
    """Rule: author and message go along; without CI_API_V4_URL the older form is used."""
    env = older_environment(server, CI_BUILD_BEFORE_SHA=a_sha(1))

    assert announce(env, PROJECT_TOKEN) == "GitLab: commit 00000000 was announced"
    assert announce(env, PROJECT_TOKEN).endswith("is known already, nothing to announce")
    (commit,) = server.announced
    assert (commit["sha"], commit["ref"], commit["before_sha"]) == (SHA, BRANCH, a_sha(1))
    assert commit["git_author_email"] == "ada@example.com"
    assert commit["git_commit_message"] == COMMIT.message


@pytest.mark.parametrize(
    ("variables", "ref"),
    [
        ({}, "refs/heads/main"),
        ({"CI_BUILD_TAG": "v1.0"}, "refs/tags/v1.0"),
    ],
)
def test_the_announced_ref_says_whether_it_is_a_tag(
    server: GitLab, variables: dict[str, str], ref: str
) -> None:
    """Rule: GitLab tells branches from tags by what stands before the name."""
    announce(older_environment(server, **variables), PROJECT_TOKEN, ref=None)

    push = server.requests[-1].parameters["data"]
    assert push["ref"] == ref
    assert push["before"] == ZEROS


def test_a_commit_of_no_known_branch_is_not_announced(server: GitLab) -> None:
    """Rule: the error names the variable."""
    with pytest.raises(GitLabError, match="set CI_BUILD_REF_NAME"):
        announce(older_environment(server, CI_BUILD_REF_NAME=""), PROJECT_TOKEN, ref=None)
    assert server.requests == []


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "state is missing"),
        ({"state": "done"}, "does not have a valid value"),
        ({"state": "success", "target_url": "x" * 256}, "is too long"),
        ({"state": "success", "pipeline_id": 1002}, "404 Pipeline"),
    ],
)
def test_gitlab_refuses_a_status(server: GitLab, fields: dict[str, object], text: str) -> None:
    """Rule: the stand-in checks what GitLab checks."""
    url = f"{server.api}/projects/{PROJECT_ID}/statuses/{SHA}"
    headers = {"PRIVATE-TOKEN": PRIVATE_TOKEN}
    call = Call(method="POST", url=url, form="json", headers=headers)
    answer = ask(call, json.dumps(fields).encode())

    assert answer.status in {400, 404}
    assert text in answer.text
    assert server.statuses == []


def test_a_branch_without_commits_has_an_empty_list(server: GitLab) -> None:
    """Rule: no commits are no error."""
    assert list(v4(server).commits("other")) == []


def test_an_address_that_is_not_gitlabs_api_is_explained(server: GitLab) -> None:
    """Rule: a web server's own 404 page is not shown; the status and what to check are."""
    client = CommitsV4(
        base=server.url, project="7", header="PRIVATE-TOKEN", token=Secret(PRIVATE_TOKEN), ask=ask
    )
    with pytest.raises(GitLabError, match="404 NOT FOUND; the project") as error:
        client.set_status(SHA)
    assert "html" not in refusal(error)


@pytest.mark.parametrize("header", ["PRIVATE-TOKEN", "Authorization"])
def test_gitlab_takes_a_private_token_in_either_header(server: GitLab, header: str) -> None:
    """Rule: the stand-in reads PRIVATE-TOKEN and Authorization: Bearer, as documented."""
    value = PRIVATE_TOKEN if header == "PRIVATE-TOKEN" else f"Bearer {PRIVATE_TOKEN}"
    url = f"{server.api}/projects/{PROJECT_ID}/repository/commits"
    answer = ask(Call(method="GET", url=url, form="none", headers={header: value}), b"")

    assert answer.status == 200
    assert "x-total" not in answer.headers
