"""Send the jobs of whole runs: service, build, commit, branch, flag and names."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

import pytest
from git_repository import Repository, needs_git
from inner import Inner
from running import CI, NAMES, NO_TOKEN, Runner, only_job, told, write
from standin import COVERALLS_TOKEN

pytestmark = [pytest.mark.slow, needs_git]

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
SYSTEM = {"linux": "linux", "darwin": "macos", "win32": "windows"}[sys.platform]
NOWHERE = dict.fromkeys(CI, "")
GITHUB = {
    **NOWHERE,
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


def test_a_push_on_github_with_a_coveralls_token(run: Runner, tmp_path: Path) -> None:
    """The service is ``github-actions``, the number the run's; header, summary, output say so."""
    head = Repository(run.folder, init=False).git("rev-parse", "HEAD")
    output, summary = tmp_path / "output", tmp_path / "summary.md"
    for path in (output, summary):
        path.write_text("before\n")
    files = {"GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(summary)}
    legs = {"TOX_ENV_NAME": "py-cov", "CI_NODE_INDEX": "2"}
    template = "{python}/{os}/{arch}/{toxenv}/{job}/{node_index}"

    words = ("--coveralls", f"--coveralls-flag-name={template}")
    result = run(*words, env={**GITHUB, "GITHUB_SHA": head, **files, **legs})

    assert result.returncode == 0, result.stdout
    assert "::warning" not in result.stdout
    flag = f"{PYTHON}/{SYSTEM}/{platform.machine().lower()}/py-cov/tests/2"
    assert told(result.stdout)[0] == (
        f"coveralls: {run.server.url} as github-actions #9001 "
        f"(branch topic/y, commit {head[:7]}, flag {flag}, token from COVERALLS_REPO_TOKEN)"
    )
    job = only_job(run)
    assert job["git"]["head"]["id"] == head
    assert job["git"]["branch"] == "topic/y"
    del job["git"], job["source_files"], job["run_at"], job["service_job_id"]
    build = "https://github.com/octo/sample/actions/runs/9001"
    assert job == {
        "repo_token": COVERALLS_TOKEN,
        "service_name": "github-actions",
        "service_number": "9001",
        "service_attempt": "2",
        "service_build_url": build,
        "service_job_url": build,
        "service_branch": "topic/y",
        "commit_sha": head,
        "flag_name": flag,
    }
    url = f"{run.server.url}/jobs/105971882"
    assert output.read_text().startswith(f"before\ncoveralls-url={url}\ncovered-percent=")
    page = summary.read_text()
    assert page.startswith("before\n")
    assert url in page
    rows = [line.split("|")[1].strip() for line in page.splitlines() if ".py" in line]
    assert rows[:2] == ["sample/report.py", "sample/water.py"]


PLANT = "def plant(name):\n    if name:\n        return name\n    return 'fallow'\n"
TEST = "from sample.plants import plant\n\n\ndef test_plant():\n    assert plant('bean')\n"


def test_a_pull_request_is_its_head_compared_with_what_it_goes_into(
    run: Runner, tmp_path: Path
) -> None:
    """At ``fetch-depth: 2``; what came into the target meanwhile is nobody's change here."""
    origin = Repository(run.folder, init=False)
    origin.git("branch", "main")
    write(run, "sample/plants.py", PLANT)
    write(run, "tests/test_plants.py", TEST)
    head = origin.commit_all("A plant has a name")
    origin.git("checkout", "--quiet", "main")
    older = origin.git("rev-parse", "HEAD")
    write(run, "sample/tools.py", "def dig():\n    return 1\n")
    origin.commit_all("Tools")
    origin.git("merge", "--quiet", "--no-ff", "--message", "synthetic", "topic/y")
    merge = origin.git("rev-parse", "HEAD")
    origin.git("update-ref", "refs/pull/7/merge", merge)
    run.folder = origin.checkout_merge(tmp_path / "checkout", 2).path
    # The base of the event is that of when the pull request was opened.
    request = {"number": 7, "head": {"sha": head, "ref": "topic/y"}, "base": {"sha": older}}
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"number": 7, "pull_request": request}))
    variables = {
        "GITHUB_BASE_REF": "main",
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_HEAD_REF": "topic/y",
        "GITHUB_REF": "refs/pull/7/merge",
        "GITHUB_SHA": merge,
    }

    words = ("--cov", "--cov-branch", "--cov-report=", "--coveralls", "-v")
    result = run(*words, env=GITHUB | variables)

    assert result.returncode == 0, result.stdout
    notice = "the tests ran on a merge; Coveralls shows the lines of the head commit, which differs"
    assert told(result.stdout)[2:5] == [
        "coveralls: changed lines: 3 of 4 covered (75.00%); missed: sample/plants.py:4",
        "coveralls: partly covered: sample/plants.py:2",
        f"coveralls: {notice} in: sample/tools.py",
    ]
    job = only_job(run)
    assert (job["service_branch"], job["service_pull_request"]) == ("topic/y", "7")
    assert job["commit_sha"] == job["git"]["head"]["id"] == head
    assert "synthetic" not in json.dumps(job)


def test_on_a_desk_the_job_is_what_git_says(run: Runner) -> None:
    """Without a CI service there is neither service nor number, and all that git knows."""
    repository = Repository(run.folder, init=False)
    token = "https://x-access-token:hush@github.com/octo/other.git?a=hush#hush"
    repository.git("remote", "add", "other", token)

    result = run("--coveralls", "-v", env=NOWHERE)

    assert result.returncode == 0, result.stdout
    job = only_job(run)
    assert {name for name in job if name.startswith("service_")} == {"service_branch"}
    people = {
        **{f"{role}_name": "Bert Söderberg" for role in ("author", "committer")},
        **{f"{role}_email": "bert@example.org" for role in ("author", "committer")},
    }
    message = "Water the garden\n\nLitres a day, by plant and temperature."
    assert job["git"] == {
        "head": {"id": repository.git("rev-parse", "HEAD"), "message": message, **people},
        "branch": "topic/y",
        "remotes": [
            {"name": "origin", "url": "https://github.com/octo/sample.git"},
            {"name": "other", "url": "https://github.com/octo/other.git"},
        ],
    }
    assert "hush" not in json.dumps(job) + result.stdout
    assert [file["name"] for file in job["source_files"]] == NAMES


def test_another_commit_than_the_services_is_filed_as_it_is(inner: Inner) -> None:
    """As of a submodule, whose names mean nothing in the commit of the superproject."""
    head = Repository(inner.folder).commit_all()
    inner.env(**GITHUB, GITHUB_SHA="f" * 40)

    run = inner("--coveralls")

    (job,) = inner.server.jobs
    assert job["commit_sha"] == job["git"]["head"]["id"] == head
    assert job["service_branch"] == "main"
    assert sum("the checkout is at commit" in line for line in run.lines) == 1


def test_the_repository_is_that_of_the_directory_where_pytest_starts(inner: Inner) -> None:
    """Pytest takes the folder of `-c` for its root directory."""
    head = Repository(inner.folder).commit_all("the project")
    other = Repository(inner.folder / "ci")
    (other.path / "pytest.ini").write_text("[pytest]\n")
    other.commit_all("its tools")

    inner("--coveralls", "-c", "ci/pytest.ini")

    (job,) = inner.server.jobs
    assert job["git"]["head"]["id"] == head
    assert [file["name"] for file in job["source_files"]] == ["garden.py"]


def test_a_pull_request_from_a_fork_gets_one_neutral_line(inner: Inner) -> None:
    """A fork has no secrets: that is nobody's fault, and the run is not affected."""
    inner.env(**NO_TOKEN, CI_PULL_REQUEST="5")

    run = inner("--coveralls")

    assert run.status == 0
    assert run.header.endswith(", no token)")
    remedy = "pull requests from forks and Dependabot get no secrets"
    assert run.lines == [f"not sent: no token: {remedy}"]
