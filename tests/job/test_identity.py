"""Who built what: the fields of a job beside its source files, and its flag."""

from __future__ import annotations

import platform
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from standin import check as check_as_server

from pytest_coveralls_submit.ci.detect import Build, detect
from pytest_coveralls_submit.errors import SettingsError
from pytest_coveralls_submit.git import COMMIT_DETAILS, Commit, Git
from pytest_coveralls_submit.job.identity import build_identity, flag_name
from pytest_coveralls_submit.job.tested_commit import find_tested_commit
from pytest_coveralls_submit.secret import Secret
from pytest_coveralls_submit.settings.sources import Origin, RawValue, resolve
from pytest_coveralls_submit.settings.table import Settings
from pytest_coveralls_submit.settings.token import Token

SHA, OTHER = "a" * 40, "b" * 40
NOW = "2026-02-18T00:52:48Z"
NO_GIT = Git()
HEAD = Commit(id=SHA, **{name: f"the {name}" for name in COMMIT_DETAILS})
GIT = Git(head=HEAD, branch="topic/y", remotes={"origin": "https://host/o/r.git"})
GITHUB = Build(service_name="github-actions", repo_name="octo/sample")
COVERALLS_TOKEN = Token(Secret("c0ffee"), "COVERALLS_REPO_TOKEN", is_github=False)
GITHUB_TOKEN = Token(Secret("ghs_x"), "GITHUB_TOKEN", is_github=True)


def settings(**texts: str) -> Settings:
    """Settings as if variables had given them."""
    return resolve(
        {
            name: RawValue(text, Origin("variable", f"COVERALLS_{name.upper()}"), Path.cwd())
            for name, text in texts.items()
        }
    )


def composed(
    chosen: Settings | None = None,
    build: Build | None = None,
    git: Git = NO_GIT,
    token: Token | None = COVERALLS_TOKEN,
    flag: str | None = None,
) -> dict[str, Any]:
    """Compose a job from what is given, nothing else being known."""
    chosen, build = chosen or Settings(), build or Build()
    if git.head is None:
        git = find_tested_commit(git, build, chosen.commit_sha)
    return build_identity(chosen, build, git, token, flag=flag, run_at=NOW)


def test_a_job_of_nothing_known_has_a_time_alone() -> None:
    assert composed() == {"run_at": NOW}


def test_a_job_of_git_alone_has_commit_and_branch() -> None:
    remote = {"name": "origin", "url": "https://host/o/r.git"}
    assert composed(git=GIT) == {
        "service_branch": "topic/y",
        "commit_sha": SHA,
        "run_at": NOW,
        "git": {"head": asdict(HEAD), "branch": "topic/y", "remotes": [remote]},
    }


def test_a_job_without_git_has_the_fields_of_the_ci_service() -> None:
    """An image without git still names commit, author and repository's address."""
    sent: dict[str, Any] = {
        "service_name": "gitlab-ci",
        "service_number": "12",
        "service_job_id": "34",
        "service_job_number": "unit 1/2",
        "service_pull_request": "5",
        "service_branch": "topic/x",
        "service_build_url": "https://ci/12",
        "service_job_url": "https://ci/34",
        "service_attempt": "2",
        "commit_sha": SHA,
    }
    author: dict[str, Any] = {"author_name": "Ada", "author_email": "a@b", "message": "Sow"}
    build = Build(**sent, **author, repo_name="octo/sample", remote_url="https://host/o/r.git")

    assert composed(build=build, flag="unit") == {
        **sent,
        "flag_name": "unit",
        "run_at": NOW,
        "git": {
            "head": {"id": SHA, **author},
            "branch": "topic/x",
            "remotes": [{"name": "origin", "url": "https://host/o/r.git"}],
        },
    }


def test_a_job_of_settings_alone_has_them_all() -> None:
    names = ["name", "number", "job_id", "job_number", "branch", "attempt", "event_type"]
    texts = {f"service_{name}": f"my {name}" for name in names}
    texts |= {"service_build_url": "https://ci/1", "service_job_url": "https://ci/2"}
    texts |= {"service_pull_request": "4", "repo_name": "octo/sample", "run_at": NOW}
    texts |= {"commit_sha": SHA, "compare_ref": "main", "compare_sha": OTHER}

    made = composed(settings(**texts, parallel="1"), flag="unit")

    git = {"head": {"id": SHA}, "branch": "my branch"}
    assert made == {**texts, "parallel": True, "flag_name": "unit", "git": git}
    assert check_as_server({**made, "repo_token": "t", "source_files": []}) == []


def test_git_knows_its_own_commit_best_and_the_ci_fills_gaps() -> None:
    """Each field by itself: mailmap and whole message are git's."""
    git = Git(head=Commit(id=SHA, author_name="Ada"))
    build = Build(author_name="ada", author_email="a@b", message="short")

    head = composed(build=build, git=git)["git"]["head"]

    assert head == {"id": SHA, "author_name": "Ada", "author_email": "a@b", "message": "short"}


def test_gits_remotes_come_before_the_ci_services() -> None:
    build = Build(remote_url="https://ci/r.git", remote_name="upstream")

    assert composed(build=build, git=GIT)["git"]["remotes"][0]["url"] == "https://host/o/r.git"
    remote = {"name": "upstream", "url": "https://ci/r.git"}
    assert composed(build=build)["git"] == {"remotes": [remote]}


@pytest.mark.parametrize(
    ("set_branch", "build", "branch"),
    [
        ("s", Build(service_branch="b"), "s"),
        ("", Build(service_branch="b"), "b"),
        ("", Build(), "topic/y"),
        ("", Build(tag="v1.0"), "v1.0"),
        ("HEAD", Build(service_branch="b"), "b"),
        ("", Build(service_pull_request="7", target_branch="topic/y"), None),
        ("", Build(service_pull_request="7", target_branch="main"), "topic/y"),
        ("", Build(event_name="workflow_run"), None),
    ],
)
def test_the_branch_is_that_of_a_setting_or_the_ci_service_or_git(
    set_branch: str, build: Build, branch: str | None
) -> None:
    """Drone checks out the target of a pull request, and merges what it may have no name of."""
    made = composed(settings(service_branch=set_branch), build, GIT)

    assert (made.get("service_branch"), made["git"].get("branch")) == (branch, branch)


@pytest.mark.parametrize(
    ("texts", "build", "token", "service", "repo_name"),
    [
        ({}, GITHUB, COVERALLS_TOKEN, "github-actions", None),
        ({}, GITHUB, GITHUB_TOKEN, "github", "octo/sample"),
        ({}, GITHUB, None, "github-actions", None),
        ({"service_name": "my-ci"}, GITHUB, GITHUB_TOKEN, "my-ci", None),
        ({"service_name": "github"}, GITHUB, COVERALLS_TOKEN, "github", "octo/sample"),
        ({"repo_name": "a/b"}, Build(service_name="drone"), COVERALLS_TOKEN, "drone", "a/b"),
    ],
)
def test_setting_or_kind_of_token_decides_the_service_name(
    texts: dict[str, str], build: Build, token: Token | None, service: str, repo_name: str | None
) -> None:
    """Coveralls reads the token as GitHub's under the name ``github``, with the repository."""
    made = composed(settings(**texts), build, token=token)

    assert (made["service_name"], made.get("repo_name")) == (service, repo_name)


PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
SYSTEM = {"linux": "linux", "darwin": "macos", "win32": "windows"}.get(sys.platform, sys.platform)


@pytest.mark.parametrize(
    ("texts", "build", "env", "flag"),
    [
        ({}, Build(), {"TOX_ENV_NAME": "py312"}, None),
        ({"flag_name": "unit {python}"}, Build(), {}, f"unit {PYTHON}"),
        ({"flag_name": "{os}/{arch}"}, Build(), {}, f"{SYSTEM}/{platform.machine().lower()}"),
        ({"flag_name": "{job}-{node_index}"}, Build(job_name="t", node_index="3"), {}, "t-3"),
        ({"flag_name": "unit-{toxenv}"}, Build(), {}, "unit"),
        ({"flag_name": "{toxenv}"}, Build(), {}, None),
        ({"parallel": "1"}, Build(), {"TOX_ENV_NAME": "py312-dj5"}, "py312-dj5"),
        ({"parallel": "1"}, Build(job_name="test"), {}, f"test-{PYTHON}-{SYSTEM}"),
        ({"parallel": "1", "flag_name": "x"}, Build(job_name="test"), {}, "x"),
    ],
)
def test_a_flag_is_a_template_or_for_parallel_builds_one_of_its_own(
    texts: dict[str, str], build: Build, env: dict[str, str], flag: str | None
) -> None:
    """Placeholders are filled in; what is unknown leaves no separator behind."""
    assert flag_name(settings(**texts), build, env) == flag


@pytest.mark.parametrize(
    ("template", "unknown"),
    [("a-{python}-{matrix.os}", "matrix.os"), ("{}", ""), ("{s3cret-t0ken}", "[secret]")],
)
def test_an_unknown_placeholder_is_an_error_that_lists_the_known(
    template: str, unknown: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        flag_name(settings(flag_name=template, repo_token="s3cret-t0ken"), Build(), {})

    shown = template.replace("s3cret-t0ken", "[secret]")
    assert str(caught.value) == (
        f'COVERALLS_FLAG_NAME is "{shown}": {{{unknown}}} is unknown; '
        "expected {python} {os} {arch} {toxenv} {job} {node_index}"
    )


def test_job_ids_differ_between_the_legs_of_a_matrix() -> None:
    """All legs have one job key, on one runner of their own perhaps; the flag tells them apart."""
    key = {"GITHUB_ACTIONS": "true", "GITHUB_RUN_ID": "9001", "GITHUB_JOB": "test"}
    builds = [detect({**key, "RUNNER_NAME": f"runner {n}"}) for n in (1, 2)]
    made = [composed(build=builds[n], flag=flag) for n in (0, 1) for flag in ("a", "b", None)]

    ids = [one["service_job_id"] for one in made]

    assert len(set(ids)) == len(ids)
    assert {one["service_number"] for one in made} == {"9001"}
    assert all(platform.python_version() in job_id for job_id in ids)
