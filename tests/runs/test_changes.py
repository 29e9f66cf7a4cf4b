"""Changed lines in whole runs: of a pull request as GitHub checks it out, and on a laptop."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sample_project
from git_repository import Repository, needs_git
from running import CI, Runner, told
from standin import StandIn

pytestmark = [pytest.mark.slow, needs_git]

PLANT = "def plant(name):\n    if name:\n        return name\n    return 'fallow'\n"
TEST = "from sample.plants import plant\n\n\ndef test_plant():\n    assert plant('bean')\n"


def write(repository: Repository, name: str, text: str) -> None:
    """Write a file of the project, whatever ended its lines."""
    (repository.path / name).write_text(text)


def test_a_pull_request_is_compared_with_what_it_goes_into(tmp_path: Path, server: StandIn) -> None:
    """At ``fetch-depth: 2``; what came into the target meanwhile is nobody's change here."""
    origin = Repository(sample_project.make(tmp_path / "origin"), init=False)
    origin.git("branch", "main")
    write(origin, "sample/plants.py", PLANT)
    write(origin, "tests/test_plants.py", TEST)
    head = origin.commit_all("A plant has a name")
    origin.git("checkout", "--quiet", "main")
    write(origin, "sample/tools.py", "def dig():\n    return 1\n")
    older = origin.git("rev-parse", "HEAD")
    target = origin.commit_all("Tools")
    origin.git("merge", "--quiet", "--no-ff", "--message", "synthetic", sample_project.BRANCH)
    merge = origin.git("rev-parse", "HEAD")
    origin.git("update-ref", "refs/pull/7/merge", merge)
    origin.git("reset", "--quiet", "--hard", target)
    checkout = origin.checkout_merge(tmp_path / "checkout", 2)
    # The base of the event is that of when the pull request was opened.
    request = {"number": 7, "head": {"sha": head, "ref": "topic/y"}, "base": {"sha": older}}
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"number": 7, "pull_request": request}))
    run = Runner(checkout.path, server)

    result = run(
        *("--cov", "--cov-branch", "--cov-report=", "--coveralls", "-v"),
        env={
            **dict.fromkeys(CI, ""),
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_REPOSITORY": "octo/sample",
            "GITHUB_REF": "refs/pull/7/merge",
            "GITHUB_SHA": merge,
            "GITHUB_HEAD_REF": "topic/y",
            "GITHUB_BASE_REF": "main",
            "GITHUB_RUN_ID": "9001",
            "GITHUB_JOB": "test",
        },
    )

    assert result.returncode == 0, result.stdout
    lines = told(result.stdout)
    line = "coveralls: changed lines: 3 of 4 covered (75.00%); missed: sample/plants.py:4"
    assert line in lines, result.stdout
    assert "coveralls: partly covered: sample/plants.py:2" in lines
    (job,) = server.jobs
    assert (job["commit_sha"], job["service_pull_request"]) == (head, "7")


def test_on_a_laptop_uncommitted_changes_count(run: Runner) -> None:
    """Since the branch left the remote's default one; no token, no job, and nothing is written."""
    repository = Repository(run.folder, init=False)
    repository.git("update-ref", "refs/remotes/origin/main", "HEAD~1")
    path = run.folder / "sample" / "seasons.py"
    path.write_text(path.read_text().replace("3 <= month <= 9", "4 <= month <= 9"))
    path = run.folder / "sample" / "report.py"
    path.write_text(path.read_text().replace("no beds", "none"))
    index = (run.folder / ".git" / "index").read_bytes()

    result = run(
        *("--cov", "--cov-report=", "--coveralls"),
        env={**dict.fromkeys(CI, ""), "COVERALLS_REPO_TOKEN": ""},
    )

    assert result.returncode == 0, result.stdout
    # Committed was water.py, with three lines that do not run; the rest lies in the work tree.
    assert told(result.stdout)[-1] == (
        "coveralls: changed lines: 13 of 17 covered (76.47%); missed: sample/report.py:8, "
        "sample/water.py:13, sample/water.py:19, sample/water.py:21"
    )
    assert run.server.requests == []
    assert (run.folder / ".git" / "index").read_bytes() == index
