"""Whose job it is: service, build, commit, branch, flag and names, in whole runs."""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from running import CI, NAMES, Runner, add_to_ini, only_job, percent, told
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


def test_a_push_on_github_with_a_coveralls_token(github: Runner) -> None:
    """The service is ``github-actions``, the number the run's, and the header says all of it."""
    head = github.env["GITHUB_SHA"]

    result = github("--coveralls", "--coveralls-flag-name=unit")

    assert result.returncode == 0, result.stdout
    assert told(result.stdout)[0] == (
        f"coveralls: {github.server.url} as github-actions #9001 "
        f"(branch topic/y, commit {head[:7]}, flag unit, token from COVERALLS_REPO_TOKEN)"
    )
    job = only_job(github)
    assert job["repo_token"] == COVERALLS_TOKEN
    assert job["service_name"] == "github-actions"
    assert job["service_number"] == "9001"
    assert job["service_attempt"] == "2"
    assert job["service_build_url"] == "https://github.com/octo/sample/actions/runs/9001"
    assert job["service_branch"] == job["git"]["branch"] == "topic/y"
    assert job["commit_sha"] == job["git"]["head"]["id"] == head
    assert job["git"]["head"]["author_name"] == "Bert Söderberg"
    assert job["flag_name"] == "unit"
    assert "repo_name" not in job
    assert "service_pull_request" not in job


def test_a_push_on_github_with_githubs_own_token(github: Runner) -> None:
    """The service is ``github`` and the repository is named, for the token does not name it."""
    tokens = {"COVERALLS_REPO_TOKEN": "", "GITHUB_TOKEN": GITHUB_TOKEN}

    result = github("--coveralls", env=tokens)

    assert result.returncode == 0, result.stdout
    job = only_job(github)
    assert job["repo_token"] == GITHUB_TOKEN
    assert (job["service_name"], job["repo_name"]) == ("github", "octo/sample")
    assert told(result.stdout)[0].endswith(", token from GITHUB_TOKEN)")
    assert GITHUB_TOKEN not in result.stdout


@pytest.mark.parametrize("has_event_file", [True, False], ids=["event file", "no event file"])
def test_a_pull_request_on_github_is_its_head_and_not_the_merge(
    github: Runner, tmp_path: Path, has_event_file: bool
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
        "GITHUB_EVENT_PATH": str(event) if has_event_file else "",
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


def test_a_service_of_the_generic_variables(run: Runner) -> None:
    """``CI_NAME`` and its like are for every service that has no row of its own."""
    more = {
        "CI_PULL_REQUEST": "https://ci.example/pull/31",
        "CI_BUILD_URL": "https://ci.example/77",
    }

    result = run("--coveralls", env=more)

    assert result.returncode == 0, result.stdout
    job = only_job(run)
    said = {name: job[name] for name in job if name.startswith("service_")}
    assert said == {
        "service_name": "test-ci",
        "service_number": "77",
        "service_job_id": "77.1",
        "service_pull_request": "31",
        "service_branch": "topic/y",
        "service_build_url": "https://ci.example/77",
    }


def test_on_a_desk_the_job_is_what_git_says(nowhere: Runner) -> None:
    """Without a CI service there is neither service nor number, and all that git knows."""
    result = nowhere("--coveralls")

    assert result.returncode == 0, result.stdout
    job = only_job(nowhere)
    names = {name for name in job if name.startswith("service_")}
    assert names == {"service_branch"}
    head = git(nowhere.folder, "rev-parse", "HEAD")
    assert job["git"] == {
        "head": {
            "id": head,
            "author_name": "Bert Söderberg",
            "author_email": "bert@example.org",
            "committer_name": "Bert Söderberg",
            "committer_email": "bert@example.org",
            "message": "Water the garden\n\nLitres a day, by plant and temperature.",
        },
        "branch": "topic/y",
        "remotes": [{"name": "origin", "url": "https://github.com/octo/sample.git"}],
    }


# --- no token --------------------------------------------------------------------------------


def only_remedy(output: str, opening: str) -> str:
    """Return the header's line with what to do, which is the only one; the last line is short."""
    lines = told(output)
    found = [line for line in lines if opening in line]
    assert found == [lines[1]], output
    assert found[0].startswith(f"coveralls: no token: {opening}")
    assert lines[-1] == "coveralls: not sent: no token"
    return found[0]


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


def test_tox_that_hides_the_variables_gets_the_line_to_add(nowhere: Runner) -> None:
    """Under tox with neither token nor CI variables: the ``pass_env`` line for tox.ini."""
    variables = {"COVERALLS_REPO_TOKEN": "", "TOX_ENV_NAME": "py311"}

    result = nowhere("--coveralls", env=variables)

    assert result.returncode == 0, result.stdout
    remedy = only_remedy(result.stdout, "tox hides the variables")
    names = remedy.partition("pass_env = ")[2].replace(",", " ").split()
    assert {"CI", "CI_*", "GITHUB_*", "GITLAB_*", "COVERALLS_*"} <= set(names)
    assert nowhere.server.requests == []


@pytest.mark.parametrize("place", ["pyproject.toml", ".coveralls.yml"])
def test_githubs_token_does_not_go_to_a_host_that_a_file_names(github: Runner, place: str) -> None:
    """A pull request could change the file: such a host gets GitHub's token never."""
    if place == "pyproject.toml":
        add_to_ini(github, f'coveralls_host = "{github.server.url}"')
    else:
        pytest.importorskip("yaml")
        (github.folder / place).write_text(f"endpoint: {github.server.url}\n")
    variables = {"COVERALLS_HOST": "", "COVERALLS_REPO_TOKEN": "", "GITHUB_TOKEN": GITHUB_TOKEN}

    result = github("--coveralls", env=variables)

    assert result.returncode == 0, result.stdout
    assert github.server.requests == []
    refused = f"GITHUB_TOKEN is not sent to {github.server.url}, which a file names"
    only_remedy(result.stdout, refused)
    assert GITHUB_TOKEN not in result.stdout


# --- what the service is told ----------------------------------------------------------------


@pytest.fixture
def commands(github: Runner, tmp_path: Path) -> dict[str, Path]:
    """The files that GitHub's runner reads when a step is over."""
    files = {name: tmp_path / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    for name, path in files.items():
        path.write_text("before\n")
        github.env[name] = str(path)
    return files


@pytest.mark.parametrize("arguments", [(), ("-p", "no:terminalreporter")], ids=["usual", "silent"])
def test_github_gets_a_summary_and_the_address(
    github: Runner, commands: dict[str, Path], arguments: tuple[str, ...]
) -> None:
    """Link, totals and least covered files in the summary, ``coveralls-url`` as output."""
    result = github("--coveralls", *arguments)

    assert result.returncode == 0, result.stdout
    assert len(github.server.jobs) == 1
    url = f"{github.server.url}/jobs/105971882"
    outputs = f"before\ncoveralls-url={url}\ncovered-percent={percent(github)}\n"
    assert commands["GITHUB_OUTPUT"].read_text() == outputs
    summary = commands["GITHUB_STEP_SUMMARY"].read_text()
    assert summary.startswith("before\n")
    assert url in summary
    assert f"{percent(github)}% covered" in summary
    rows = [line.split("|")[1].strip() for line in summary.splitlines() if ".py" in line]
    assert rows[:2] == ["sample/report.py", "sample/water.py"]
    assert len(rows) == 5
    assert "::warning" not in result.stdout


@pytest.mark.parametrize("arguments", [(), ("-q",)], ids=["usual", "quiet"])
def test_github_gets_a_warning_of_a_failure(
    github: Runner, commands: dict[str, Path], arguments: tuple[str, ...]
) -> None:
    """The annotation stands at the start of a line; no address is given out."""
    github.server.respond(422, {"message": "100% no\n::error::x", "error": True})

    result = github("--coveralls", *arguments)

    assert result.returncode == 0, result.stdout
    (warning,) = [line for line in result.stdout.splitlines() if line.startswith("::")]
    assert re.fullmatch(r"::warning( [^:]*)?::.*422 100%25 no ::error::x.*", warning)
    assert commands["GITHUB_OUTPUT"].read_text() == "before\n"
    assert "422 100% no" in commands["GITHUB_STEP_SUMMARY"].read_text()


def test_elsewhere_no_workflow_command_is_printed(run: Runner, tmp_path: Path) -> None:
    """What GitHub's runner reads means nothing to others."""
    run.server.respond(503)
    summary = tmp_path / "summary"

    result = run("--coveralls", env={"GITHUB_STEP_SUMMARY": str(summary)})

    assert "coveralls: failed: " in result.stdout
    assert "::warning" not in result.stdout
    assert not summary.exists()


def test_gitlab_finds_the_percentage_in_a_coloured_log(run: Runner) -> None:
    """The documented regular expression finds one number, in colours too."""
    result = run("--coveralls", "--color=yes")

    assert "\x1b[" in result.stdout
    found = re.findall(r"coveralls: sent .*? (\d+(?:\.\d+)?)% covered", result.stdout)
    assert found == [percent(run)]


# --- files and git ---------------------------------------------------------------------------


def test_files_that_git_does_not_track_are_sent_and_listed(run: Runner) -> None:
    """Coveralls cannot show them, so that they are named."""
    (run.folder / "sample/new.py").write_text("x = 1\n")

    result = run("--coveralls")

    assert result.returncode == 0, result.stdout
    sent = [file["name"] for file in only_job(run)["source_files"]]
    assert sent == sorted([*NAMES, "sample/new.py"])
    (notice,) = [line for line in told(result.stdout) if "not in git" in line]
    assert notice.startswith("coveralls: 1 file not in git")
    assert notice.endswith(": sample/new.py")


def test_files_outside_the_repository_are_left_out_and_counted(run: Runner, tmp_path: Path) -> None:
    """What has no name in the repository is not sent, and does not stop the rest."""
    for name in ("far", "away"):
        (tmp_path / "outside").mkdir(exist_ok=True)
        (tmp_path / f"outside/{name}.py").write_text("x = 1\n")

    result = run("--cov=sample", f"--cov={tmp_path / 'outside'}", "--coveralls")

    assert result.returncode == 0, result.stdout
    assert [file["name"] for file in only_job(run)["source_files"]] == NAMES
    assert "coveralls: left out 2 files outside the repository" in told(result.stdout)
    assert "sent 5 files, " in result.stdout


def test_remotes_are_sent_without_credentials(run: Runner) -> None:
    """User, password, query and fragment stay here."""
    token = "https://x-access-token:hush@github.com/octo/other.git?a=hush#hush"
    git(run.folder, "remote", "add", "other", token)
    git(run.folder, "remote", "add", "ssh", "git@github.com:octo/third.git")

    result = run("--coveralls", "-v")

    assert only_job(run)["git"]["remotes"] == [
        {"name": "origin", "url": "https://github.com/octo/sample.git"},
        {"name": "other", "url": "https://github.com/octo/other.git"},
        {"name": "ssh", "url": "git@github.com:octo/third.git"},
    ]
    assert "hush" not in json.dumps(run.server.jobs) + result.stdout
    assert "secret@" not in json.dumps(run.server.jobs) + result.stdout


def test_the_mailmap_is_honoured(run: Runner) -> None:
    """People are called what the repository calls them."""
    line = "Roberta Söderberg <roberta@example.org> <bert@example.org>\n"
    (run.folder / ".mailmap").write_text(line, "utf-8")

    run("--coveralls")

    head = only_job(run)["git"]["head"]
    people = [(head[f"{role}_name"], head[f"{role}_email"]) for role in ("author", "committer")]
    assert people == [("Roberta Söderberg", "roberta@example.org")] * 2


# --- flags and parallel builds ---------------------------------------------------------------


def test_a_flag_is_filled_in(github: Runner) -> None:
    """Every placeholder has its value, in the job and in the header."""
    template = "{python}/{os}/{arch}/{toxenv}/{job}/{node_index}"
    variables = {"TOX_ENV_NAME": "py-cov", "CI_NODE_INDEX": "2"}

    result = github("--coveralls", f"--coveralls-flag-name={template}", env=variables)

    assert result.returncode == 0, result.stdout
    flag = f"{PYTHON}/{SYSTEM}/{platform.machine().lower()}/py-cov/tests/2"
    assert only_job(github)["flag_name"] == flag
    assert f", flag {flag}, " in told(result.stdout)[0]


@pytest.mark.parametrize("source", ["flag", "variable", "ini"])
def test_a_placeholder_that_is_not_known_is_a_usage_error(run: Runner, source: str) -> None:
    """The message names the source and lists what is known, before any test runs."""
    flags, variables = [], {}
    if source == "flag":
        flags = ["--coveralls-flag-name={pyhton}"]
    elif source == "variable":
        variables = {"COVERALLS_FLAG_NAME": "{pyhton}"}
    else:
        add_to_ini(run, 'coveralls_flag_name = "{pyhton}"')

    result = run("--coveralls", *flags, env=variables)

    assert result.returncode == 4, result.stdout
    (error,) = [line for line in result.stdout.splitlines() if line.startswith("ERROR: ")]
    named = {"flag": "--coveralls-flag-name", "variable": "COVERALLS_FLAG_NAME"}
    assert named.get(source, "coveralls_flag_name in pyproject.toml") in error
    assert '"{pyhton}"' in error
    assert "{python} {os} {arch} {toxenv} {job} {node_index}" in error
    assert "passed" not in result.stdout
    assert run.server.requests == []


@pytest.mark.parametrize(
    ("tox", "flag"), [("", f"tests-{PYTHON}-{SYSTEM}"), ("py-lowest", "py-lowest")]
)
def test_the_jobs_of_a_parallel_build_have_flags_and_a_command_that_closes_it(
    github: Runner, tox: str, flag: str
) -> None:
    """The default flag tells jobs apart; the printed command, as it stands, ends the build."""
    result = github("--coveralls", "--coveralls-parallel", env={"TOX_ENV_NAME": tox})

    assert result.returncode == 0, result.stdout
    job = only_job(github)
    assert job["parallel"] is True
    assert job["flag_name"] == flag
    lines = told(result.stdout)
    assert f", flag {flag}, " in lines[0]
    assert not github.server.builds["9001"].closed
    (command,) = [line.partition(": python -m ")[2] for line in lines if " finish " in line]
    module, *arguments = shlex.split(command)
    closed = github(*arguments, module=module)
    assert closed.returncode == 0, closed.stdout
    assert github.server.builds["9001"].closed


def test_no_flag_is_sent_where_nobody_asked(github: Runner) -> None:
    """A build of one job needs no name for it."""
    github("--coveralls")

    job = only_job(github)
    assert "flag_name" not in job
    assert "parallel" not in job
