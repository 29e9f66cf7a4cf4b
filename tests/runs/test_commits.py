"""Whose job it is: service, build, commit, branch, flag and names, in whole runs."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest
from running import CI, NAMES, Runner, only_job, told
from standin import COVERALLS_TOKEN

pytestmark = pytest.mark.slow

GITHUB_TOKEN = "ghs_" + "made0up0" * 4
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
SYSTEM = {"linux": "linux", "darwin": "macos", "win32": "windows"}[sys.platform]

GITHUB = {
    "CI": "true",
    "GITHUB_ACTIONS": "true",
    "GITHUB_EVENT_NAME": "push",
    "GITHUB_JOB": "tests",
    "GITHUB_REF": "refs/heads/topic/y",
    "GITHUB_REF_NAME": "topic/y",
    "GITHUB_REF_TYPE": "branch",
    "GITHUB_REPOSITORY": "octo/sample",
    "GITHUB_RUN_ATTEMPT": "2",
    "GITHUB_RUN_ID": "9001",
    "GITHUB_SERVER_URL": "https://github.com",
    "RUNNER_NAME": "GitHub Actions 3",
}
GITLAB = {
    "CI": "true",
    "CI_COMMIT_REF_NAME": "topic/y",
    "CI_JOB_ID": "5005",
    "CI_JOB_NAME": "tests",
    "CI_JOB_URL": "https://gitlab.com/octo/sample/-/jobs/5005",
    "CI_MERGE_REQUEST_IID": "12",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "topic/y",
    "CI_PIPELINE_ID": "1001",
    "CI_PIPELINE_IID": "7",
    "CI_PIPELINE_URL": "https://gitlab.com/octo/sample/-/pipelines/1001",
    "CI_PROJECT_PATH": "octo/sample",
    "CI_PROJECT_URL": "https://gitlab.com/octo/sample",
    "CI_REPOSITORY_URL": "https://gitlab-ci-token:glcbt-hush@gitlab.com/octo/sample.git",
    "CI_SERVER_NAME": "GitLab",
    "GITLAB_CI": "true",
}


@pytest.fixture
def nowhere(run: Runner) -> Runner:
    """The runner on no CI service at all."""
    for name in CI:
        del run.env[name]
    return run


@pytest.fixture
def github(nowhere: Runner) -> Runner:
    """The runner on GitHub Actions, for a push."""
    nowhere.env |= {**GITHUB, "GITHUB_SHA": git(nowhere.folder, "rev-parse", "HEAD")}
    return nowhere


def git(folder: Path, *arguments: str, who: str = "") -> str:
    """Run git and return what it printed."""
    name, email = who or "Mia", f"{(who or 'Mia').lower()}@example.org"
    identity = {
        **{f"GIT_{role}_NAME": name for role in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{role}_EMAIL": email for role in ("AUTHOR", "COMMITTER")},
    }
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={**os.environ, **identity},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.strip()


# --- services --------------------------------------------------------------------------------


def test_a_push_on_github_with_a_coveralls_token(github: Runner, tmp_path: Path) -> None:
    """The service is ``github-actions``, the number the run's; header, summary, output say so."""
    head = github.env["GITHUB_SHA"]
    files = {name: tmp_path / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    for path in files.values():
        path.write_text("before\n")
    template = "{python}/{os}/{arch}/{toxenv}/{job}/{node_index}"
    variables = {"TOX_ENV_NAME": "py-cov", "CI_NODE_INDEX": "2"}
    variables |= {name: str(path) for name, path in files.items()}

    result = github("--coveralls", f"--coveralls-flag-name={template}", env=variables)

    assert result.returncode == 0, result.stdout
    flag = f"{PYTHON}/{SYSTEM}/{platform.machine().lower()}/py-cov/tests/2"
    assert told(result.stdout)[0] == (
        f"coveralls: {github.server.url} as github-actions #9001 "
        f"(branch topic/y, commit {head[:7]}, flag {flag}, token from COVERALLS_REPO_TOKEN)"
    )
    job = only_job(github)
    assert job["repo_token"] == COVERALLS_TOKEN
    assert job["service_name"] == "github-actions"
    assert job["service_number"] == "9001"
    assert job["service_attempt"] == "2"
    assert job["service_build_url"] == "https://github.com/octo/sample/actions/runs/9001"
    assert job["service_branch"] == job["git"]["branch"] == "topic/y"
    assert job["commit_sha"] == job["git"]["head"]["id"] == head
    assert job["flag_name"] == flag
    assert {"repo_name", "service_pull_request", "parallel"}.isdisjoint(job)
    url = f"{github.server.url}/jobs/105971882"
    output = files["GITHUB_OUTPUT"].read_text()
    assert output.startswith(f"before\ncoveralls-url={url}\ncovered-percent=")
    summary = files["GITHUB_STEP_SUMMARY"].read_text()
    assert summary.startswith("before\n")
    assert url in summary
    rows = [line.split("|")[1].strip() for line in summary.splitlines() if ".py" in line]
    assert rows[:2] == ["sample/report.py", "sample/water.py"]
    assert "::warning" not in result.stdout


def test_a_push_on_github_with_githubs_own_token(github: Runner) -> None:
    """The service is ``github`` and the repository is named, for the token does not name it."""
    tokens = {"COVERALLS_REPO_TOKEN": "", "GITHUB_TOKEN": GITHUB_TOKEN}

    result = github("--coveralls", env=tokens)

    assert result.returncode == 0, result.stdout
    job = only_job(github)
    assert job["repo_token"] == GITHUB_TOKEN
    assert (job["service_name"], job["repo_name"]) == ("github", "octo/sample")
    assert "flag_name" not in job
    assert told(result.stdout)[0].endswith(", token from GITHUB_TOKEN)")
    assert GITHUB_TOKEN not in result.stdout


def test_a_pull_request_on_github_is_its_head_and_not_the_merge(
    github: Runner, tmp_path: Path
) -> None:
    """A checkout of depth 1 of the merge: head commit and source branch, without its author."""
    origin, head = github.folder, github.env["GITHUB_SHA"]
    git(origin, "checkout", "--quiet", "-b", "main", "HEAD~1")
    (origin / "README").write_text("A garden\n")
    git(origin, "add", "README")
    git(origin, "commit", "--quiet", "--message=On main", who="Mia")
    message = "--message=Merge topic/y into main"
    git(origin, "merge", "--quiet", "--no-ff", message, "topic/y", who="Merger")
    merge = git(origin, "rev-parse", "HEAD")
    git(origin, "update-ref", "refs/pull/5/merge", merge)
    github.folder = tmp_path / "checkout"
    github.folder.mkdir()
    git(github.folder, "init", "--quiet")
    git(github.folder, "fetch", "--quiet", "--depth=1", origin.as_uri(), "refs/pull/5/merge")
    git(github.folder, "checkout", "--quiet", "--detach", "FETCH_HEAD")
    event = tmp_path / "event.json"
    pull = {"number": 5, "head": {"sha": head, "ref": "topic/y"}, "base": {"ref": "main"}}
    event.write_text(json.dumps({"number": 5, "pull_request": pull}))
    variables = {
        "GITHUB_BASE_REF": "main",
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_HEAD_REF": "topic/y",
        "GITHUB_REF": "refs/pull/5/merge",
        "GITHUB_REF_NAME": "5/merge",
        "GITHUB_SHA": merge,
    }

    result = github("--coveralls", env=variables)

    assert result.returncode == 0, result.stdout
    job = only_job(github)
    assert job["commit_sha"] == job["git"]["head"]["id"] == head != merge
    assert job["service_branch"] == job["git"]["branch"] == "topic/y"
    assert job["service_pull_request"] == "5"
    assert "Merger" not in json.dumps(job)
    assert "Merge topic/y" not in json.dumps(job)
    assert f"(branch topic/y, commit {head[:7]}, " in told(result.stdout)[0]


def test_a_merge_request_on_gitlab(nowhere: Runner) -> None:
    """Pipeline and job, source branch and the merge request's own number."""
    head = git(nowhere.folder, "rev-parse", "HEAD")

    result = nowhere("--coveralls", env={**GITLAB, "CI_COMMIT_SHA": head})

    assert result.returncode == 0, result.stdout
    job = only_job(nowhere)
    said = {name: job[name] for name in job if name.startswith("service_")}
    assert said == {
        "service_name": "gitlab-ci",
        "service_number": "7",
        "service_job_id": "5005",
        "service_pull_request": "12",
        "service_branch": "topic/y",
        "service_build_url": "https://gitlab.com/octo/sample/-/pipelines/1001",
        "service_job_url": "https://gitlab.com/octo/sample/-/jobs/5005",
    }
    assert job["commit_sha"] == head
    assert "glcbt-hush" not in json.dumps(job) + result.stdout


def test_on_a_desk_the_job_is_what_git_says(nowhere: Runner, tmp_path: Path) -> None:
    """Without a CI service there is neither service nor number, and all that git knows."""
    token = "https://x-access-token:hush@github.com/octo/other.git?a=hush#hush"
    git(nowhere.folder, "remote", "add", "other", token)
    line = "Roberta Söderberg <roberta@example.org> <bert@example.org>\n"
    (nowhere.folder / ".mailmap").write_text(line, "utf-8")
    (nowhere.folder / "sample/new.py").write_text("x = 1\n")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/far.py").write_text("x = 1\n")

    result = nowhere("--cov=sample", f"--cov={tmp_path / 'outside'}", "--coveralls", "-v")

    assert result.returncode == 0, result.stdout
    job = only_job(nowhere)
    assert {name for name in job if name.startswith("service_")} == {"service_branch"}
    people = {
        **{f"{role}_name": "Roberta Söderberg" for role in ("author", "committer")},
        **{f"{role}_email": "roberta@example.org" for role in ("author", "committer")},
    }
    message = "Water the garden\n\nLitres a day, by plant and temperature."
    assert job["git"] == {
        "head": {"id": git(nowhere.folder, "rev-parse", "HEAD"), "message": message, **people},
        "branch": "topic/y",
        "remotes": [
            {"name": "origin", "url": "https://github.com/octo/sample.git"},
            {"name": "other", "url": "https://github.com/octo/other.git"},
        ],
    }
    assert "hush" not in json.dumps(job) + result.stdout
    # Coveralls cannot show what git does not track, and what lies outside has no name.
    assert [file["name"] for file in job["source_files"]] == sorted([*NAMES, "sample/new.py"])
    (notice,) = [line for line in told(result.stdout) if "not in git" in line]
    assert notice.endswith(": sample/new.py")
    assert "coveralls: left out 1 file outside the repository" in result.stdout


# --- no token --------------------------------------------------------------------------------


def test_a_pull_request_from_a_fork_gets_one_neutral_line(github: Runner) -> None:
    """A fork has no secrets: that is nobody's fault, and the run is not affected."""
    variables = {
        "COVERALLS_REPO_TOKEN": "",
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_HEAD_REF": "topic/y",
        "GITHUB_REF": "refs/pull/5/merge",
    }

    result = github("--coveralls", env=variables)

    assert result.returncode == 0, result.stdout
    lines = [line for line in told(result.stdout) if "forks and Dependabot get no secrets" in line]
    assert len(lines) == 1, result.stdout
    assert lines[0].startswith("coveralls: not sent: no token: ")
    assert lines[0] == told(result.stdout)[-1]
    assert told(result.stdout)[0].endswith(", no token)")
    assert not re.search("(?i)fail|error|warn", "".join(told(result.stdout)))
    assert github.server.requests == []
