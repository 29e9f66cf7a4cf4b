"""The stand-in's checker finds every fault, and the server stops at once."""

from __future__ import annotations

import copy
import gc
import gzip
import json
import socket
import ssl
import threading
import time
from contextlib import ExitStack, closing
from typing import Any

import pytest
import requests
import trustme
from standin import COVERALLS_TOKEN, Job, StandIn, check, check_webhook

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


INTERNAL = "Server internal error"
WITH_SOURCE = {**SOURCE_FILE, "source": "a\nb\nc\nd\n"}
BLANK = {**SOURCE_FILE, "name": "b.py", "source": " \n"}
UNCOVERED = {**WITH_SOURCE, "coverage": [0, 0], "branches": []}


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({}, 200, {"build_id": 70, "coverage": pytest.approx(66.67, abs=0.01), "id": 117}),
        ({"repo_token": "unknown"}, 404, {"error": "could not find model"}),
        ({"repo_token": None}, 400, {"error": "missing 'repo_token' parameter"}),
        ({"source_files": [SOURCE_FILE]}, 422, INTERNAL),
        ({"source_files": [WITH_SOURCE, BLANK]}, 422, INTERNAL),
        ({"run_at": "2013-02-18 00:52:48 -0800"}, 422, INTERNAL),
        ({"source_files": []}, 500, INTERNAL),
        ({"source_files": [UNCOVERED]}, 500, INTERNAL),
    ],
)
def test_opencov_answers_as_a_real_one_did(fields: Job, status: int, said: object) -> None:
    """Each answer carries the id of its request."""
    body = json.dumps(a_job(**{"source_files": [WITH_SOURCE], **fields})).encode()
    with StandIn(kind="opencov") as server:
        answer = requests.post(f"{server.url}/api/v1/jobs", files={"json_file": body}, timeout=5)

    assert (answer.status_code, answer.json()) == (status, said)
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/api/v1/jobs", gzip.compress(json.dumps(a_job()).encode()), 500, INTERNAL),
        ("/api/v1/jobs", b"no JSON", 500, INTERNAL),
        ("/webhook", b"{}", 404, {"error": "no such path"}),
        ("/elsewhere", b"{}", 404, {"error": "no such path"}),
    ],
)
def test_opencov_knows_no_gzip_and_one_path(
    path: str, body: bytes, status: int, said: object
) -> None:
    """There is no webhook."""
    with StandIn(kind="opencov") as server:
        answer = requests.post(server.url + path, files={"json_file": body}, timeout=5)

    assert (answer.status_code, answer.json()) == (status, said)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_it_stops_at_once_and_leaves_nothing(tls: bool) -> None:
    """Rule: whatever a client is doing, no thread and no socket outlives `stop`."""
    threads = set(threading.enumerate())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    server = StandIn(ssl_context=context if tls else None)
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
