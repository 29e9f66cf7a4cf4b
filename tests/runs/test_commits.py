"""Send the jobs of whole runs: service, build, commit, branch, flag and names."""

from __future__ import annotations

import json
import platform
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from git_repository import Repository
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


def git(folder: Path, *arguments: str) -> str:
    """Run git and return what it printed."""
    return Repository(folder, init=False).git(*arguments)


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
    commit(origin, "On main")
    git(origin, "merge", "--quiet", "--no-ff", "--message=Merge topic/y into main", "topic/y")
    merge = git(origin, "rev-parse", "HEAD")
    git(origin, "update-ref", "refs/pull/7/merge", merge)
    github.folder = tmp_path / "checkout"
    Repository(origin, init=False).checkout_merge(github.folder, depth=1)
    event = tmp_path / "event.json"
    pull = {"number": 7, "head": {"sha": head, "ref": "topic/y"}, "base": {"ref": "main"}}
    event.write_text(json.dumps({"number": 7, "pull_request": pull}))
    variables = {
        "GITHUB_BASE_REF": "main",
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_HEAD_REF": "topic/y",
        "GITHUB_REF": "refs/pull/7/merge",
        "GITHUB_SHA": merge,
    }

    result = github("--coveralls", env=variables)

    assert result.returncode == 0, result.stdout
    job = only_job(github)
    assert job["commit_sha"] == job["git"]["head"]["id"] == head != merge
    assert job["service_branch"] == job["git"]["branch"] == "topic/y"
    assert job["service_pull_request"] == "7"
    assert "Merge topic/y" not in json.dumps(job)
    assert f"(branch topic/y, commit {head[:7]}, " in told(result.stdout)[0]


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


# --- which commit was tested -----------------------------------------------------------------


def dry(run: Runner, *arguments: str, **env: str) -> tuple[dict[str, Any], list[str]]:
    """Run the tests without sending; return the job and what was printed."""
    file = run.folder.parent / "job.json"
    file.unlink(missing_ok=True)
    result = run(
        "--coveralls", "--coveralls-dry-run", f"--coveralls-save={file}", *arguments, env=env
    )
    assert result.returncode == 0, result.stdout
    return json.loads(file.read_text()), told(result.stdout)


def commit(folder: Path, message: str, file: str = "notes.txt") -> str:
    """Commit a change of a file; return the commit's id."""
    with (folder / file).open("a") as opened:
        opened.write(f"# {message}\n")
    git(folder, "add", file)
    git(folder, "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "HEAD")


def of_another_commit(lines: list[str]) -> list[str]:
    """Return the notices that another commit was tested than the CI service names."""
    return [line for line in lines if "the checkout is at commit" in line]


def test_a_run_that_checks_out_another_commit_is_filed_under_it(github: Runner) -> None:
    """A schedule names the default branch, whatever it checks out."""
    head = github.env["GITHUB_SHA"]
    git(github.folder, "checkout", "--quiet", "-b", "release", "HEAD~1")
    other = commit(github.folder, "a fix")

    job, lines = dry(github, GITHUB_EVENT_NAME="schedule", GITHUB_EVENT_PATH="")

    assert job["commit_sha"] == job["git"]["head"]["id"] == other
    assert job["service_branch"] == "release"
    (notice,) = of_another_commit(lines)
    assert other[:7] in notice
    assert head[:7] in notice


def with_submodule(run: Runner, name: str) -> str:
    """Add a submodule that holds `notes.txt` and `pytest.ini`; return the id of its commit."""
    inner = run.folder.parent / "inner"
    inner.mkdir()
    git(inner, "init", "--quiet", "-b", "main")
    (inner / "pytest.ini").write_text("[pytest]\n")
    (inner / "thing.py").write_text("x = 1\n")
    (inner / "test_thing.py").write_text("import thing\ndef test(): assert thing.x\n")
    git(inner, "add", ".")
    commit(inner, "inner")
    add = ("submodule", "--quiet", "add", inner.as_uri(), name)
    git(run.folder, "-c", "protocol.file.allow=always", *add)
    return git(run.folder / name, "rev-parse", "HEAD")


def test_a_submodules_tests_are_filed_under_its_commit(github: Runner) -> None:
    """Its names mean nothing in the commit of the superproject."""
    inner = with_submodule(github, "libs")
    outer = commit(github.folder, "add a submodule", ".gitmodules")
    github.folder /= "libs"
    git(github.folder, "checkout", "--quiet", "--detach")

    job, lines = dry(github, "--cov=thing", GITHUB_SHA=outer)

    assert job["commit_sha"] == job["git"]["head"]["id"] == inner
    assert [file["name"] for file in job["source_files"]] == ["thing.py"]
    assert len(of_another_commit(lines)) == 1


def test_the_repository_is_that_of_the_directory_where_pytest_starts(github: Runner) -> None:
    """Pytest takes the folder of `-c` for its root directory."""
    with_submodule(github, "ci")
    outer = commit(github.folder, "add a submodule", ".gitmodules")

    job, _ = dry(github, "--cov=sample", "-c", "ci/pytest.ini", "tests", GITHUB_SHA=outer)

    assert job["commit_sha"] == outer
    assert [file["name"] for file in job["source_files"]] == NAMES


def test_a_pull_request_names_measured_files_that_its_merge_changed(
    github: Runner, tmp_path: Path
) -> None:
    """Coveralls shows the lines of the head commit."""
    head = github.env["GITHUB_SHA"]
    git(github.folder, "checkout", "--quiet", "-b", "main", "HEAD~1")
    commit(github.folder, "on main", "sample/beds.py")
    commit(github.folder, "on main, too", "notes.txt")
    git(github.folder, "merge", "--quiet", "--no-ff", "--no-edit", "topic/y")
    merge = git(github.folder, "rev-parse", "HEAD")
    git(github.folder, "checkout", "--quiet", "--detach")

    variables = {"GITHUB_REF": "refs/pull/5/merge", "GITHUB_HEAD_REF": "topic/y"}
    job, lines = dry(github, **variables, GITHUB_EVENT_NAME="pull_request", GITHUB_SHA=merge)

    assert job["commit_sha"] == head
    (notice,) = [line for line in lines if "differ" in line]
    assert notice.endswith(": sample/beds.py")


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
