"""What GitHub's event file adds to a build, and what odd files do: nothing but a notice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ci_environments import BASE, CASES, HEAD, MERGE

from pytest_coveralls_submit.ci.detect import detect

GITHUB, GITHUB_BUILD = CASES["github push"]
GITHUB_PULL_REQUEST, WITHOUT_EVENT = CASES["github pull request"]
GITHUB_PULL_REQUEST_BUILD = replace(WITHOUT_EVENT, commit_sha=HEAD, merge_sha=None)
OF_FORK = {"ref": "topic/y", "sha": HEAD, "repo": None}  # the fork is deleted
PULL_REQUEST_EVENT = {"pull_request": {"number": 12, "head": OF_FORK, "base": {"ref": "main"}}}


def with_event(env: dict[str, str], path: Path, event: object) -> dict[str, str]:
    """The environment with an event file that holds this document."""
    path = path / "event.json"
    path.write_text(json.dumps(event), encoding="utf-8")
    return {**env, "GITHUB_EVENT_PATH": str(path)}


def test_a_pull_request_is_its_head(tmp_path: Path) -> None:
    """GITHUB_SHA is a synthetic merge; the event names the head."""
    env = with_event(GITHUB_PULL_REQUEST, tmp_path, PULL_REQUEST_EVENT)

    assert detect(env) == GITHUB_PULL_REQUEST_BUILD


def test_pull_request_target_takes_nothing_from_the_base(tmp_path: Path) -> None:
    """There GITHUB_SHA and GITHUB_REF are the base's: neither head nor merge nor branch."""
    name = {"GITHUB_EVENT_NAME": "pull_request_target"}
    env = GITHUB_PULL_REQUEST | name | {"GITHUB_REF": "refs/heads/main"}
    expected = replace(GITHUB_PULL_REQUEST_BUILD, event_name="pull_request_target")

    assert detect(with_event(env, tmp_path, PULL_REQUEST_EVENT)) == expected
    unknown: dict[str, Any] = dict.fromkeys(("service_pull_request", "target_branch", "commit_sha"))
    assert detect(env) == replace(expected, **unknown)
    env["GITHUB_EVENT_NAME"] = ""
    assert detect(env) == replace(expected, **unknown, event_name=None)


RUN: dict[str, Any] = {
    "id": 4242,
    "run_attempt": 2,
    "html_url": "https://github.com/o/r/actions/runs/4242",
    "head_sha": HEAD,
    "head_branch": "topic/y",
    "head_commit": {"message": "Subject", "author": {"name": "Jane", "email": "j@e.org"}},
    "head_repository": {"full_name": "fork/r"},
    "pull_requests": [{"number": 12, "base": {"ref": "main", "sha": BASE}}],
}
WORKFLOW_RUN = {"workflow_run": RUN, "repository": {"full_name": "o/r"}}


def test_a_workflow_run_is_the_run_that_it_follows(tmp_path: Path) -> None:
    """GITHUB_SHA is the default branch's, GITHUB_RUN_ID that of the run which only sends."""
    env = GITHUB | {"GITHUB_EVENT_NAME": "workflow_run", "GITHUB_SHA": MERGE}
    expected = replace(
        GITHUB_BUILD,
        service_number="4242",
        service_pull_request="12",
        service_branch="topic/y",
        target_branch="main",
        service_build_url=RUN["html_url"],
        service_job_url=RUN["html_url"],
        service_attempt="2",
        event_name="workflow_run",
        author_name="Jane",
        author_email="j@e.org",
        message="Subject",
    )

    assert detect(with_event(env, tmp_path, WORKFLOW_RUN)) == expected
    assert expected.is_workflow_run
    of_fork = {**WORKFLOW_RUN, "workflow_run": {**RUN, "pull_requests": []}}
    expected = replace(expected, service_pull_request=None, target_branch=None)
    assert detect(with_event(env, tmp_path, of_fork)) == expected


@pytest.mark.parametrize(
    ("run", "branch"),
    [
        ({}, "fork/main"),
        ({"head_repository": None}, "fork/main"),
        ({"head_repository": {"full_name": "o/r"}}, "main"),
        ({"head_branch": "topic/y"}, "topic/y"),
        ({"pull_requests": RUN["pull_requests"]}, "main"),
        ({"pull_requests": [{"number": 1, "base": {"repo": {"id": 2}}}]}, "fork/main"),
        ({"pull_requests": [{"number": 1, "base": {"repo": {"id": 1}}}]}, "main"),
        # Names that a fork may give to a branch, so that it is taken for another one.
        ({"head_branch": "origin/main"}, "origin/main"),
        ({"head_branch": "remotes/origin/main"}, "remotes/origin/main"),
        ({"head_branch": "refs/heads/main"}, None),
        ({"head_branch": "HEAD"}, None),
        ({"head_branch": "pull/7/head"}, "pull/7/head"),
        ({"head_repository": {"full_name": "origin/x"}}, "origin/main"),
    ],
)
def test_a_forks_main_is_not_the_repositorys(
    tmp_path: Path, run: dict[str, Any], branch: str
) -> None:
    """GitHub names no pull request of a fork, and Coveralls knows a build by its branch."""
    of_fork = {**RUN, "head_branch": "main", "pull_requests": [], **run}
    repository = {"id": 1, "full_name": "o/r", "default_branch": "main"}
    event = {"workflow_run": of_fork, "repository": repository}
    env = GITHUB | {"GITHUB_EVENT_NAME": "workflow_run"}

    assert detect(with_event(env, tmp_path, event)).service_branch == branch


def test_no_other_event_is_a_workflow_run(tmp_path: Path) -> None:
    """And without its event such a run has no commit: that of the default branch is another."""
    assert not detect(with_event(GITHUB, tmp_path, {})).is_workflow_run
    alone = detect(GITHUB | {"GITHUB_EVENT_NAME": "workflow_run"})
    assert (alone.is_workflow_run, alone.commit_sha, alone.service_branch) == (True, None, None)


def test_a_push_tells_author_committer_and_message(tmp_path: Path) -> None:
    """What git cannot say without the object is in the event's head commit."""
    author = {"name": "Jane Doe", "email": "j@e.org"}
    committer = {"name": "GitHub", "email": "noreply@github.com"}
    commit = {"message": "Subject\n\nBody\n", "author": author, "committer": committer}

    assert detect(with_event(GITHUB, tmp_path, {"head_commit": commit})) == replace(
        GITHUB_BUILD,
        author_name="Jane Doe",
        author_email="j@e.org",
        committer_name="GitHub",
        committer_email="noreply@github.com",
        message="Subject\n\nBody",
    )


ODD_FILES = {
    "empty": b"",
    "list": b"[]",
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("name", [*ODD_FILES, "missing", "a\0b"])
def test_an_unusable_event_file_is_said_and_left_out(tmp_path: Path, name: str) -> None:
    """The payload can be empty or odd; the merge commit is then left to git."""
    path = f"{tmp_path}/{name}"
    if name in ODD_FILES:
        Path(path).write_bytes(ODD_FILES[name])

    detected = detect({**GITHUB_PULL_REQUEST, "GITHUB_EVENT_PATH": path})

    (problem,) = detected.problems
    assert repr(path) in problem
    assert len(problem.splitlines()) == 1
    assert replace(detected, problems=()) == WITHOUT_EVENT


@pytest.mark.parametrize("wrong", [None, True, 1, 1.5, " ", "text", [[]], {}, {"sha": []}])
def test_wrong_types_deep_in_the_event_are_skipped(tmp_path: Path, wrong: object) -> None:
    """At any depth another type than the documented one is as if it were not there."""
    for event in (
        {"pull_request": wrong},
        {"pull_request": {"head": wrong, "base": wrong}},
        {"pull_request": {"head": {"sha": wrong, "ref": [wrong]}}},
        {"workflow_run": {"pull_requests": wrong, "head_commit": {"author": wrong}}},
        {"head_commit": wrong, "repository": wrong},
    ):
        assert detect(with_event(GITHUB_PULL_REQUEST, tmp_path, event)) == WITHOUT_EVENT
