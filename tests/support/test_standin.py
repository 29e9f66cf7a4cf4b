"""The stand-in accepts and refuses as Coveralls does, and its checker finds every fault."""

from __future__ import annotations

import copy
import gc
import gzip
import json
import socket
import ssl
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest
import requests
import trustme
from standin import (
    CF_RAY,
    COVERALLS_TOKEN,
    NO_REPOSITORY,
    NOT_PARSED,
    Job,
    Kind,
    StandIn,
    check,
    check_webhook,
    describe,
    draw,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

GITHUB_TOKEN = "ghs_" + "a" * 36
CLOSED = (
    "Can't add a job to a build that is already closed. Build 9001 is closed. "
    "See docs.coveralls.io/parallel-builds"
)
GZIP = "application/gzip"

SOURCE_FILE: Job = {
    "name": "pkg/a.py",
    "source_digest": "0123456789abcdef" * 2,
    "coverage": [None, 1, 0, 7],
    "branches": [2, 0, 0, 1, 2, 0, 1, 0],
}
EVERY_FIELD: Job = {
    "repo_token": COVERALLS_TOKEN,
    "service_name": "demo-ci",
    "service_number": "9001",
    "service_job_id": "77",
    "service_job_number": "9001.1",
    "service_pull_request": "12",
    "service_branch": "topic/y",
    "service_build_url": "https://ci.example.org/builds/9001",
    "service_job_url": "https://ci.example.org/builds/9001/jobs/77",
    "service_attempt": "1",
    "service_event_type": "manual",
    "commit_sha": "5e837cc" + "0" * 33,
    "repo_name": "octo/sample",
    "compare_ref": "main",
    "compare_sha": "ab" * 20,
    "flag_name": "py312",
    "parallel": True,
    "git": {
        "head": {
            "id": "5e837cc" + "0" * 33,
            "author_name": "Ada Gardener",
            "author_email": "ada@example.org",
            "committer_name": "Bert Söderberg",
            "committer_email": "bert@example.org",
            "message": "Water the garden\n\nLitres a day.\n",
        },
        "branch": "topic/y",
        "remotes": [
            {"name": "origin", "url": "https://github.com/octo/sample.git"},
            {"name": "fork", "url": "git@github.com:ada/sample.git"},
        ],
    },
    "run_at": "2024-03-02T10:30:00+01:00",
    "source_files": [SOURCE_FILE, {**SOURCE_FILE, "name": "pkg/b.py", "source": ""}],
}


def a_job(**fields: object) -> Job:
    """A job with few fields, changed by some."""
    few = {"repo_token": COVERALLS_TOKEN, "service_name": "demo-ci", "source_files": [SOURCE_FILE]}
    return {name: value for name, value in {**few, **fields}.items() if value is not None}


def post_file(server: StandIn, content: bytes, kind: str = GZIP, **more: Any) -> requests.Response:
    """Post something as the job's file."""
    return requests.post(
        f"{server.url}/api/v1/jobs",
        files={"json_file": ("json_file", content, kind)},
        timeout=10,
        **more,
    )


def post(server: StandIn, job: object) -> requests.Response:
    """Post a job as the plugin should."""
    return post_file(server, gzip.compress(json.dumps(job).encode()))


def finish(server: StandIn, number: str = "9001", **fields: object) -> requests.Response:
    """Close a build."""
    document = {
        "repo_token": COVERALLS_TOKEN,
        "payload": {"build_num": number, "status": "done"},
        **fields,
    }
    return requests.post(f"{server.url}/webhook", json=document, timeout=10)


@pytest.fixture
def server() -> Iterator[StandIn]:
    """A stand-in for coveralls.io."""
    with StandIn() as server:
        yield server


# --- accepting -------------------------------------------------------------------------------


def test_a_gzip_job_is_accepted(server: StandIn) -> None:
    """Rule: the answer is 200 with a message, the job's page and a trace id."""
    answer = post(server, EVERY_FIELD)

    assert answer.status_code == 200
    assert answer.json() == {"message": "Job #9001.1", "url": f"{server.url}/jobs/105971882"}
    assert answer.headers["cf-ray"] == CF_RAY
    assert server.jobs == [EVERY_FIELD]
    assert server.findings == []


def test_a_plain_job_is_accepted(server: StandIn) -> None:
    """Rule: the documented form is a JSON file without compression."""
    answer = post_file(server, json.dumps(EVERY_FIELD).encode(), "application/json")

    assert answer.status_code == 200
    assert server.jobs == [EVERY_FIELD]


def test_a_request_is_kept_as_it_arrived(server: StandIn) -> None:
    """Rule: tests see method, path, headers, body and the form's parts."""
    content = gzip.compress(json.dumps(a_job()).encode())
    post_file(server, content, headers={"User-Agent": "x/1"})

    (received,) = server.requests
    assert (received.method, received.path) == ("POST", "/api/v1/jobs")
    assert received.headers["user-agent"] == "x/1"
    assert content in received.body
    (part,) = received.parts
    assert (part.name, part.filename, part.body) == ("json_file", "json_file", content)
    assert part.headers["Content-Type"] == GZIP


def test_a_job_without_a_token_is_accepted_from_travis(server: StandIn) -> None:
    """Rule: travis-ci alone needs no token, but a job id."""
    job = a_job(repo_token=None, service_name="travis-ci", service_job_id="1")

    assert post(server, job).status_code == 200
    assert server.findings == []


def test_a_github_token_is_accepted_with_the_service_github(server: StandIn) -> None:
    """Rule: service "github" needs a GitHub token and the repository's name."""
    job = a_job(repo_token=GITHUB_TOKEN, service_name="github", repo_name="octo/sample")

    assert post(server, job).status_code == 200


def test_tokens_can_be_chosen() -> None:
    """Rule: a test may make other tokens known."""
    with StandIn(tokens=["mine"], github_tokens=["hub"]) as server:
        assert post(server, a_job(repo_token="mine")).status_code == 200
        job = a_job(repo_token="hub", service_name="github", repo_name="octo/sample")
        assert post(server, job).status_code == 200
        assert post(server, a_job()).status_code == 422


# --- refusing --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        pytest.param(b"{", "application/json", id="broken JSON"),
        pytest.param(b"[]", "application/json", id="JSON that is no object"),
        pytest.param(b"\xff\xfe{", "application/json", id="not UTF-8"),
        pytest.param(zlib.compress(b"{}"), GZIP, id="zlib instead of gzip"),
        pytest.param(b"{}", GZIP, id="plain, called gzip"),
        pytest.param(gzip.compress(b"{}"), "text/plain", id="gzip, not called so"),
        pytest.param(gzip.compress(b"{}")[:-9], GZIP, id="gzip cut short"),
        pytest.param(json.dumps(a_job(source_files=None)).encode(), "", id="no source_files"),
    ],
)
def test_a_file_that_cannot_be_parsed_is_refused(
    server: StandIn, content: bytes, kind: str
) -> None:
    """Rule: 422 with Coveralls' words for anything but JSON or real gzip of JSON."""
    answer = post_file(server, content, kind)

    assert answer.status_code == 422
    assert answer.json() == {"message": NOT_PARSED, "error": True}
    assert server.jobs == []


@pytest.mark.parametrize(
    "form",
    [
        pytest.param({"files": {"other": ("json_file", b"{}")}}, id="another field"),
        pytest.param({"files": {"json_file": (None, json.dumps(a_job()))}}, id="no file name"),
        pytest.param({"data": {"json_file": json.dumps(a_job())}}, id="urlencoded"),
        pytest.param({"data": b"{}"}, id="no form"),
        pytest.param(
            {"data": b"--b\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=b"}},
            id="a form cut short",
        ),
    ],
)
def test_a_form_without_the_file_is_refused(server: StandIn, form: Mapping[str, Any]) -> None:
    """Rule: the job is a file, with a file name, in the field json_file."""
    answer = requests.post(f"{server.url}/api/v1/jobs", timeout=10, **form)

    assert (answer.status_code, answer.json()["message"]) == (422, NOT_PARSED)


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(a_job(repo_token="x"), id="an unknown token"),
        pytest.param(a_job(repo_token=None), id="no token"),
        pytest.param(a_job(repo_token=["x"]), id="a token that is no text"),
        pytest.param(a_job(repo_token=GITHUB_TOKEN), id="a GitHub token for another service"),
        pytest.param(
            a_job(service_name="github", repo_name="octo/sample"),
            id="a Coveralls token for the service github",
        ),
        pytest.param(
            a_job(service_name="github", repo_token=GITHUB_TOKEN),
            id="a GitHub token without the repository's name",
        ),
        pytest.param(a_job(service_name="travis-ci", repo_token=None), id="no Travis job id"),
    ],
)
def test_a_token_that_does_not_fit_is_refused(server: StandIn, job: Job) -> None:
    """Rule: 422 when token, kind of token and service name do not lead to a repository."""
    answer = post(server, job)

    assert answer.status_code == 422
    assert answer.json() == {"message": NO_REPOSITORY, "error": True}


def test_a_repeated_travis_job_without_a_token_is_refused(server: StandIn) -> None:
    """Rule: without a token the job id stands for the repository, once."""
    job = a_job(repo_token=None, service_name="travis-ci", service_job_id="1")
    post(server, job)
    answer = post(server, job)

    assert answer.status_code == 422
    assert answer.json()["message"] == (
        "service_job_id (1) must be unique for Travis Jobs not supplying a Coveralls Repo Token"
    )


def test_a_job_for_a_closed_build_is_refused(server: StandIn) -> None:
    """Rule: a build that the webhook has closed takes no more jobs."""
    post(server, EVERY_FIELD)
    finish(server)
    answer = post(server, EVERY_FIELD)

    assert answer.status_code == 422
    assert answer.json() == {"message": CLOSED, "error": True}
    assert len(server.jobs) == 1


def test_a_quoted_boundary_is_refused(server: StandIn) -> None:
    """Rule: the web server in front answers 400 with a page."""
    answer = requests.post(
        f"{server.url}/api/v1/jobs",
        data=b"--b--\r\n",
        headers={"Content-Type": 'multipart/form-data; boundary="b"'},
        timeout=10,
    )

    assert answer.status_code == 400
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "<center>nginx</center>" in answer.text


def test_a_body_that_is_too_large_is_refused() -> None:
    """Rule: the web server in front answers 413 with a page."""
    with StandIn(size_limit=1000) as server:
        answer = post_file(server, b" " * 1000)

        assert answer.status_code == 413
        assert answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/v1/jobs"), ("POST", "/api/v2/jobs")])
def test_there_is_nothing_elsewhere(server: StandIn, method: str, path: str) -> None:
    """Rule: any other method or path is 404."""
    assert requests.request(method, server.url + path, timeout=10).status_code == 404


# --- builds and the webhook ------------------------------------------------------------------


def test_jobs_with_one_number_are_one_build(server: StandIn) -> None:
    """Rule: service_number ties the jobs of a build together."""
    messages = [
        post(server, a_job(service_number="5", service_job_id=job_id)).json()["message"]
        for job_id in ("a", "b")
    ]

    assert messages == ["Job #5.1", "Job #5.2"]
    assert [job["service_job_id"] for job in server.builds["5"].jobs] == ["a", "b"]


def test_jobs_without_a_number_are_a_build_each(server: StandIn) -> None:
    """Rule: without a number every submission is a new build."""
    post(server, a_job(service_number="2"))
    for _ in range(2):
        post(server, a_job())

    assert list(server.builds) == ["2", "1", "3"]


def test_a_job_replaces_the_one_with_the_same_id_and_flag(server: StandIn) -> None:
    """Rule: of jobs with the same job id and flag the last one stays."""
    for flag in ("x", "y", "x"):
        post(server, a_job(service_number="5", service_job_id="a", flag_name=flag))

    assert [job["flag_name"] for job in server.builds["5"].jobs] == ["y", "x"]
    assert server.replaced == [server.jobs[0]]


def test_jobs_without_a_job_id_pile_up(server: StandIn) -> None:
    """Rule: what has no job id replaces nothing."""
    for _ in range(2):
        post(server, a_job(service_number="5"))

    assert len(server.builds["5"].jobs) == 2
    assert server.replaced == []


def test_the_webhook_closes_a_build(server: StandIn) -> None:
    """Rule: payload.build_num is the service_number of the jobs."""
    post(server, EVERY_FIELD)
    answer = finish(server, carryforward="a,b")

    assert (answer.status_code, answer.json()) == (200, {"done": True})
    assert server.builds["9001"].closed
    assert server.builds["9001"].carryforward == "a,b"
    assert server.findings == []


@pytest.mark.parametrize("status", [200, 404])
def test_the_webhook_refuses_an_unknown_build(status: int) -> None:
    """Rule: both statuses were seen, always with an error."""
    with StandIn(webhook_refusal_status=status) as server:
        answer = finish(server)

        assert answer.status_code == status
        assert answer.json() == {"error": "No build matching CI build number 9001 found"}


def test_the_webhook_refuses_a_closed_build(server: StandIn) -> None:
    """Rule: a build is closed once."""
    post(server, EVERY_FIELD)
    finish(server)

    assert finish(server).json() == {"error": "Build 9001 is closed"}


def test_the_webhook_needs_the_repository_name_with_a_github_token(server: StandIn) -> None:
    """Rule: a GitHub token alone names no repository."""
    post(server, EVERY_FIELD)

    assert finish(server, repo_token=GITHUB_TOKEN).status_code == 422
    assert finish(server, repo_token=GITHUB_TOKEN, repo_name="octo/sample").json()["done"]


def test_the_webhook_refuses_an_unknown_token(server: StandIn) -> None:
    """Rule: the token decides whose build is closed."""
    post(server, EVERY_FIELD)

    assert finish(server, repo_token="x").json() == {"error": NO_REPOSITORY}
    assert not server.builds["9001"].closed


def test_the_webhook_refuses_what_has_no_payload(server: StandIn) -> None:
    """Rule: the build's number stands in the payload."""
    assert finish(server, payload=None).status_code == 400


def test_a_token_in_the_url_is_a_finding(server: StandIn) -> None:
    """Rule: it is documented, it works, and it ends up in access logs."""
    post(server, EVERY_FIELD)
    answer = requests.post(
        f"{server.url}/webhook?repo_token={COVERALLS_TOKEN}",
        json={"payload": {"build_num": "9001", "status": "done"}},
        timeout=10,
    )

    assert answer.json() == {"done": True}
    assert server.findings == ["/webhook: the token stands in the URL"]


def test_an_authorization_header_is_a_finding(server: StandIn) -> None:
    """Rule: Coveralls asks for none, so it can only be somebody else's secret."""
    requests.get(server.url, auth=("user", "secret"), timeout=10)

    assert server.findings == ["/: an Authorization header was sent"]


# --- answers by hand, addresses, stopping ----------------------------------------------------


def test_answers_can_be_given_by_hand(server: StandIn) -> None:
    """Rule: the next answers are as told, then the usual behaviour goes on."""
    server.respond(503, headers={"Retry-After": "1"}, times=2)
    server.respond(200, {"error": True, "message": "no"})
    server.respond(200, "<html>")
    answers = [post(server, EVERY_FIELD) for _ in range(5)]

    assert [answer.status_code for answer in answers] == [503, 503, 200, 200, 200]
    assert answers[0].headers["Retry-After"] == "1"
    assert "503 Service Unavailable" in answers[1].text
    assert answers[2].json() == {"error": True, "message": "no"}
    assert answers[3].text == "<html>"
    assert answers[4].json()["message"] == "Job #9001.1"
    assert len(server.requests) == 5


def test_a_job_can_be_stored_behind_a_failing_answer(server: StandIn) -> None:
    """Rule: after a gateway's time-out the job may be there all the same."""
    server.respond(504, stored=True)

    assert post(server, EVERY_FIELD).status_code == 504
    assert server.jobs == [EVERY_FIELD]


def test_a_prefix_stands_before_every_address() -> None:
    """Rule: an Enterprise server may live under a path."""
    with StandIn(prefix="/cover/all") as server:
        assert server.url.endswith(f":{server.port}/cover/all")
        assert post(server, EVERY_FIELD).json()["url"].startswith(f"{server.url}/jobs/")
        without = server.url.removesuffix("/cover/all")
        assert requests.post(f"{without}/api/v1/jobs", timeout=10).status_code == 404


def secured(name: str) -> tuple[ssl.SSLContext, trustme.CA]:
    """A server's side of TLS for a name, and the authority to trust."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context, authority


def test_it_speaks_tls(tmp_path: Path) -> None:
    """Rule: with a certificate the address is https."""
    context, authority = secured("127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with StandIn(ssl_context=context) as server:
        assert server.url.startswith("https://")
        answer = post_file(server, b"", verify=str(tmp_path / "ca.pem"))
        assert answer.status_code == 422
        with pytest.raises(requests.exceptions.SSLError):
            post_file(server, b"")


def test_many_clients_at_once_lose_no_job(server: StandIn) -> None:
    """Rule: jobs of one build may arrive at the same time."""
    jobs = [a_job(service_number="5", service_job_id=str(number)) for number in range(40)]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda job: post(server, job), jobs))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["url"] for answer in answers}) == 40
    assert len(server.builds["5"].jobs) == 40


def test_a_request_can_be_waited_for(server: StandIn) -> None:
    """Rule: no test needs to sleep until something has arrived."""
    assert not server.wait_for(requests=1, timeout=0)
    post(server, EVERY_FIELD)
    assert server.wait_for(requests=1, timeout=0)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_it_stops_at_once_and_leaves_nothing(tls: bool) -> None:
    """Rule: whatever a client is doing, no thread and no socket outlives `stop`."""
    threads = set(threading.enumerate())
    server = StandIn(ssl_context=secured("127.0.0.1")[0] if tls else None)
    server.start()
    with ExitStack() as clients:
        for sent in (b"", b"POST /api", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n"):
            address = ("127.0.0.1", server.port)
            client = clients.enter_context(closing(socket.create_connection(address, timeout=5)))
            client.sendall(sent)
        began = time.monotonic()

        server.stop()

        assert time.monotonic() - began < 1
        assert not server.is_running()
        assert set(threading.enumerate()) == threads
    gc.collect()  # a socket left open would warn here, and a warning fails the test


# --- the checker -----------------------------------------------------------------------------


def test_a_job_with_every_field_has_no_findings() -> None:
    """Rule: all that is documented is right."""
    assert check(EVERY_FIELD) == []


def test_a_job_with_few_fields_has_no_findings() -> None:
    """Rule: a token and the files are enough; a file may be empty, and so may be the list."""
    empty = {"name": "a.py", "source_digest": "0" * 32, "coverage": []}

    assert check({"repo_token": "x", "source_files": [empty]}) == []
    assert check({"repo_token": "x", "source_files": []}) == []


NOT_ONE_LINE = "is not text of one line without space around it"
NOT_DOCUMENTED = "is not a documented field"
NO_COMMIT = "is not the hexadecimal id of a commit"
NO_BRANCH = "is HEAD, which is no branch"


@pytest.mark.parametrize(
    ("path", "value", "finding"),
    [
        ("job_id", "1", NOT_DOCUMENTED),
        ("config_file", "x", NOT_DOCUMENTED),
        ("git.sha", "x", NOT_DOCUMENTED),
        ("git.head.date", "x", NOT_DOCUMENTED),
        ("git.remotes.0.push", "x", NOT_DOCUMENTED),
        ("service_number", None, "is null"),
        ("git.head.message", None, "is null"),
        ("service_number", 9001, NOT_ONE_LINE),
        ("service_job_id", 77, NOT_ONE_LINE),
        ("service_number", "", NOT_ONE_LINE),
        ("service_job_number", " 1", NOT_ONE_LINE),
        ("flag_name", "a\nb", NOT_ONE_LINE),
        ("repo_token", "", NOT_ONE_LINE),
        ("service_pull_request", "refs/pull/12", "is not the number of a pull request, as text"),
        ("service_pull_request", 12, "is not the number of a pull request, as text"),
        ("service_build_url", "ci.example.org", "is not an http(s) address"),
        ("service_job_url", "", "is not an http(s) address"),
        ("commit_sha", "5e837cc\n", NO_COMMIT),
        ("compare_sha", "main", NO_COMMIT),
        ("repo_name", "sample", "is not owner/name"),
        ("parallel", "true", "is not true or false"),
        ("parallel", 1, "is not true or false"),
        ("run_at", 1709371800, "is not RFC 3339"),
        ("run_at", "yesterday", "is not RFC 3339"),
        ("run_at", "2024-13-02T10:30:00Z", "is no point in time"),
        ("run_at", "2024-03-02T10:30:00", "has no time zone"),
        ("service_branch", "HEAD", NO_BRANCH),
        ("git", {}, "is not an object with fields"),
        ("git.branch", "HEAD", NO_BRANCH),
        ("git.head", [], "is not an object with fields"),
        ("git.head.id", "HEAD", NO_COMMIT),
        ("git.head.author_name", "", "is not text, or empty"),
        ("git.head.message", " \n", "is not text, or empty"),
        ("git.remotes", [], "is not an array with entries"),
        ("git.remotes.0.url", "https://user:secret@h/x", "holds credentials"),
        ("git.remotes.0.url", "https://token@h/x", "holds credentials"),
        ("git.remotes.0.url", "ssh://git:secret@h/x", "holds credentials"),
        ("git.remotes.0.url", "https://h/x?token=1", "has a query or a fragment"),
        ("git.remotes.0.url", "https://h/x#1", "has a query or a fragment"),
        ("source_files", {}, "is not an array"),
        ("source_files", [1], "0: is not an object with fields"),
        ("source_files", [SOURCE_FILE, SOURCE_FILE], "pkg/a.py: is there 2 times"),
    ],
)
def test_each_fault_is_found(path: str, value: object, finding: str) -> None:
    """Rule: one fault, one finding, with the path to it."""
    job = copy.deepcopy(EVERY_FIELD)
    *way, last = path.split(".")
    place: Any = job
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    place[last] = value

    assert check(job) == [f"{path.replace('.', ': ')}: {finding}"]


NO_COUNT = "has an entry that is no number of at least 0"
ODD_PART = "has a part that is empty, '.' or '..'"


@pytest.mark.parametrize(
    ("field", "value", "finding"),
    [
        ("lines", [1], NOT_DOCUMENTED),
        ("branches", None, "is null"),
        ("name", "", "is not text, or empty"),
        ("name", 1, "is not text, or empty"),
        ("name", "/pkg/a.py", "is absolute"),
        ("name", "C:/a.py", "is absolute"),
        ("name", "pkg\\a.py", "has a backslash"),
        ("name", "../a.py", ODD_PART),
        ("name", "./a.py", ODD_PART),
        ("name", "pkg//a.py", ODD_PART),
        ("source_digest", "x", "is not an MD5 in hexadecimal"),
        ("source", 1, "is not text"),
        ("coverage", "1", "is not an array"),
        ("coverage", [1, -1], "line 2: -1 is neither null nor a number of hits"),
        ("coverage", [1, True], "line 2: True is neither null nor a number of hits"),
        ("coverage", [1, 0.5], "line 2: 0.5 is neither null nor a number of hits"),
        ("branches", [], "is not an array with entries"),
        ("branches", [2, 0, 0], "is no multiple of four long"),
        ("branches", [2, 0, -1, 1], NO_COUNT),
        ("branches", [[2, 0, 0, 1]], NO_COUNT),
        ("branches", [2, 0, 1, 1, 2, 0, 1, 0], "line 2, block 0, branch 1 is there 2 times"),
        ("branches", [5, 0, 0, 1], "line 5 is none of the 4 lines"),
        ("branches", [0, 0, 0, 1], "line 0 is none of the 4 lines"),
    ],
)
def test_each_fault_of_a_source_file_is_found(field: str, value: object, finding: str) -> None:
    """Rule: the path holds the file's name."""
    file = {**SOURCE_FILE, field: value}
    if field == "coverage":
        del file["branches"]

    assert check(a_job(source_files=[file])) == [
        f"source_files: {file['name']}: {field}: {finding}"
    ]


@pytest.mark.parametrize(
    ("job", "finding"),
    [
        ([], "is not an object with fields"),
        ({"repo_token": "x"}, "source_files: is missing"),
        (
            {"service_name": "x", "source_files": []},
            "repo_token: is missing, and so is service_name with service_job_id in its place",
        ),
        (a_job(git={"head": {"message": "x"}}), "git: head: id: is missing"),
        (a_job(git={"remotes": [{"name": "x"}]}), "git: remotes: 0: url: is missing"),
        (
            a_job(source_files=[{"source_digest": "0" * 32, "coverage": []}]),
            "source_files: 0: name: is missing",
        ),
        (
            a_job(source_files=[{"name": "a", "source_digest": "0" * 32}]),
            "source_files: a: coverage: is missing",
        ),
        (
            a_job(source_files=[{"name": "a", "coverage": []}]),
            "source_files: a: source_digest: is missing, and so is source in its place",
        ),
    ],
)
def test_each_missing_field_is_found(job: object, finding: str) -> None:
    """Rule: what is required is missed."""
    assert check(job) == [finding]


@pytest.mark.parametrize(
    ("fields", "finding"),
    [
        ({"token": "x"}, "token: is not a documented field"),
        ({"payload": {"build_num": 1, "status": "done"}}, "payload: build_num: is not text"),
        ({"payload": {"build_num": "1", "status": "end"}}, 'payload: status: is not "done"'),
        ({"payload": {"build_num": "1"}}, "payload: status: is missing"),
        ({"carryforward": ""}, "carryforward: is not text"),
    ],
)
def test_each_fault_of_the_webhook_is_found(fields: Job, finding: str) -> None:
    """Rule: what closes a build is compared with the documentation too."""
    right = {"repo_token": "x", "payload": {"build_num": "1", "status": "done"}}

    assert check_webhook(right) == []
    (found,) = check_webhook({**right, **fields})
    assert found.startswith(finding)


def test_findings_of_accepted_jobs_are_kept(server: StandIn) -> None:
    """Rule: Coveralls tolerates some faults; the job counts, and so does the fault."""
    answer = post(server, a_job(environment="x"))

    assert answer.status_code == 200
    assert server.findings == ["job 1: environment: is not a documented field"]


# --- the description -------------------------------------------------------------------------


def test_a_job_is_described_for_people() -> None:
    """Rule: origin first, then each file with its percentage and its lines drawn."""
    assert describe(EVERY_FIELD) == (
        "service: demo-ci #9001\n"
        "commit:  5e837cc000\n"
        "branch:  topic/y\n"
        "author:  Ada Gardener\n"
        "message: Water the garden\n"
        "flag:    py312\n"
        "remotes: https://github.com/octo/sample.git, git@github.com:ada/sample.git\n"
        "files:   2, 60.00% of their lines and branches covered\n"
        "  pkg/a.py   60.00%  ·█░█  branches 1/2\n"
        "  pkg/b.py   60.00%  ·█░█  branches 1/2\n"
        "  (█ covered, ░ missed, · not relevant)"
    )


def test_a_description_shows_no_control_characters() -> None:
    """Rule: a commit's message cannot steer the terminal."""
    head = {"id": "5e837cc", "message": "\x1b[31mred"}

    assert "message: ?[31mred" in describe(a_job(git={"head": head}))


def test_a_long_file_is_drawn_in_sixty_characters_at_most() -> None:
    """Rule: one character stands for a run of lines, and shows the worst of them."""
    coverage = [None] * 600 + [1] * 300 + [1] * 299 + [0]

    assert draw([1, 0, None]) == "█░·"
    assert draw(coverage) == "·" * 30 + "█" * 29 + "░"
    assert len(draw([1] * 61)) == 31
    assert draw([]) == ""


# --- OpenCov ---------------------------------------------------------------------------------


@pytest.fixture
def opencov() -> Iterator[StandIn]:
    """A stand-in for OpenCov."""
    kind: Kind = "opencov"
    with StandIn(kind=kind) as server:
        yield server


OPENCOV_JOB = a_job(source_files=[{**SOURCE_FILE, "source": "\n1\n2\n3\n"}])


@pytest.mark.parametrize(
    "form",
    [
        pytest.param({"data": {"json": json.dumps(OPENCOV_JOB)}}, id="a field, urlencoded"),
        pytest.param({"files": {"json": (None, json.dumps(OPENCOV_JOB))}}, id="a field, multipart"),
        pytest.param({"files": {"json_file": ("x", json.dumps(OPENCOV_JOB))}}, id="a plain file"),
    ],
)
def test_opencov_accepts_plain_json(opencov: StandIn, form: Mapping[str, Any]) -> None:
    """Rule: a form field json, or a file json_file; the answer names no page of the job."""
    answer = requests.post(f"{opencov.url}/api/v1/jobs", timeout=10, **form)

    assert answer.status_code == 200
    assert answer.json() == {"id": 1, "project_id": 1, "build_id": "1", "coverage": 60.0}
    assert opencov.jobs == [OPENCOV_JOB]
    assert opencov.findings == []


def test_opencov_fails_on_gzip(opencov: StandIn) -> None:
    """Rule: it parses the file as it is, and the parser raises."""
    assert post(opencov, OPENCOV_JOB).status_code == 500


@pytest.mark.parametrize(
    ("job", "status"),
    [
        pytest.param(a_job(), 422, id="a file without its source"),
        pytest.param(a_job(repo_token=None), 400, id="no token"),
        pytest.param(a_job(repo_token="x"), 404, id="an unknown token"),
    ],
)
def test_opencov_refuses(opencov: StandIn, job: Job, status: int) -> None:
    """Rule: it needs a token it knows, and the source of each file."""
    answer = post_file(opencov, json.dumps(job).encode(), "application/json")

    assert answer.status_code == status
    assert opencov.jobs == []


def test_opencov_refuses_a_request_without_a_job(opencov: StandIn) -> None:
    """Rule: there must be json or json_file."""
    answer = requests.post(f"{opencov.url}/api/v1/jobs", timeout=10)

    assert answer.status_code == 400
    assert answer.json() == {"error": "request should have 'json' or 'json_file' parameter"}


def test_opencov_has_no_webhook(opencov: StandIn) -> None:
    """Rule: parallel builds are not known there."""
    assert finish(opencov).status_code == 404
