"""From measured files to the outcome: built, kept, sent, judged."""

from __future__ import annotations

import json
import os
import stat
from array import array
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from git_repository import Repository, needs_git, posix
from gitlab_standin import JOB_TOKEN, PRIVATE_TOKEN, PROJECT_ID, GitLab, a_commit, a_sha
from running import CI
from standin import COVERALLS_TOKEN, StandIn

from pytest_coveralls_submit.context import (
    RunContext,
    make_context,
    startup_problems,
    why_no_job,
)
from pytest_coveralls_submit.job.builder import build_job, names_in, read_files, sum_up
from pytest_coveralls_submit.measurement.measure import FileCoverage, Measurement
from pytest_coveralls_submit.outcome import (
    BuildResult,
    Built,
    Failed,
    Findings,
    NotSent,
    Outcome,
    Sent,
)
from pytest_coveralls_submit.secret import Environment
from pytest_coveralls_submit.settings.sources import Origin, RawValue, resolve
from pytest_coveralls_submit.submit import submit


class Project:
    """A folder with two measured files, and places to keep jobs."""

    def __init__(self, folder: Path) -> None:
        self.top, self.cache = folder / "project", folder / "cache"
        self.top.mkdir()
        self.env: dict[str, str] = dict(CI)
        self.files = [self.file("a.py", [1, 2], [3]), self.file("b.py", [1], [])]
        self.failed: dict[str, str] = {}

    def file(self, name: str, executed: list[int], missing: list[int]) -> FileCoverage:
        """Write a file of three lines, and return what was measured of it."""
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a = 1\nb = 2\nc = 3\n")
        branches = array("i", [1, 1, 1, 0])
        return FileCoverage(str(path), array("i", executed), array("i", missing), branches)

    def context(self, server: StandIn | None = None, **texts: str) -> RunContext:
        """Return the context of a run; with a server there is a token."""
        if server is not None:
            texts = {"host": server.url, "repo_token": COVERALLS_TOKEN, "retries": "0", **texts}
        values = {
            name: RawValue(text, Origin("variable", f"COVERALLS_{name.upper()}"), self.top)
            for name, text in texts.items()
        }
        return make_context(resolve(values), Environment(self.env), self.top, self.top)

    def submit(self, context: RunContext, edit: Callable[..., str] | None = None) -> Outcome:
        """Take the steps of a session, after measuring."""
        measured = Measurement(tuple(self.files), self.failed)
        files = read_files(measured, names_in(context), context)
        findings = sum_up(measured, files, Findings())
        job, notices = build_job(context, files, edit)
        findings = findings.plus(*notices)
        return submit(job, findings, context, say=print, keep_in=[self.cache])


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path.resolve())


def _take_number(job: dict[str, Any]) -> str:
    del job["service_number"]
    return ""


@pytest.mark.parametrize(("edit", "requests"), [(None, 2), (_take_number, 1)])
def test_a_job_that_may_have_arrived_is_sent_again_only_with_a_number(
    project: Project, server: StandIn, edit: Callable[..., str] | None, requests: int
) -> None:
    """Without one each job that arrives is a build of its own."""
    server.respond(504, times=2)

    outcome = project.submit(project.context(server, retries="1"), edit)

    assert isinstance(outcome, Failed)
    assert len(server.requests) == requests
    assert any("it may have been accepted" in line for line in outcome.advice)


def test_the_finish_command_has_the_number_of_the_job(project: Project, server: StandIn) -> None:
    def edit(job: dict[str, Any]) -> str:
        job["service_number"] = "my job-9"
        return ""

    outcome = project.submit(project.context(server, parallel="1"), edit)

    assert isinstance(outcome, Sent)
    assert outcome.finish == (
        f"python -m pytest_coveralls_submit finish --coveralls-host={server.url} "
        "'--coveralls-service-number=my job-9'"
    )


@pytest.mark.parametrize("parallel", [False, True])
def test_the_result_of_a_build_that_is_not_open_is_waited_for(
    project: Project, server: StandIn, parallel: bool
) -> None:
    server.pages["/jobs/105971882.json"] = [{"covered_percent": 62.5}]

    outcome = project.submit(project.context(server, wait="60", parallel=str(parallel)))

    result = BuildResult(url=f"{server.url}/jobs/105971882", percent=62.5)
    assert isinstance(outcome, Sent)
    assert outcome.build == (None if parallel else result)


@posix
@pytest.mark.parametrize("has_token", [True, False])
def test_a_saved_job_has_no_token_and_is_for_the_user_alone(
    project: Project, server: StandIn, has_token: bool
) -> None:
    outcome = project.submit(project.context(server if has_token else None, save="job.json"))

    path = project.top / "job.json"
    assert isinstance(outcome, Sent if has_token else NotSent)
    assert outcome.saved == path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    saved = json.loads(path.read_text())
    assert "repo_token" not in saved
    assert saved["service_number"] == "77"
    assert len(server.jobs) == has_token


def test_a_job_that_cannot_be_saved_is_sent(project: Project, server: StandIn) -> None:
    context = project.context(server, save="job.json")
    (project.top / "job.json").mkdir()

    outcome = project.submit(context)

    assert isinstance(outcome, Sent)
    (notice,) = outcome.notices
    assert "cannot be written: " in notice
    assert outcome.saved is None


NO_TOKEN = "set COVERALLS_REPO_TOKEN (from the repository's page on Coveralls)"
NO_SECRETS = "pull requests from forks and Dependabot get no secrets"
GITHUB = {"GITHUB_ACTIONS": "true"}


@pytest.mark.parametrize(
    ("env", "remedy"),
    [
        ({}, NO_TOKEN),
        (GITHUB, f"{NO_TOKEN} or GITHUB_TOKEN: ${{{{ github.token }}}}"),
        (
            {**GITHUB, "GITHUB_REF": "refs/pull/5/merge"},
            f"{NO_SECRETS}; GITHUB_TOKEN: ${{{{ github.token }}}} works there",
        ),
        ({"CI_NAME": "x", "CI_PULL_REQUEST": "5"}, NO_SECRETS),
        (
            {"TOX_ENV_NAME": "py312"},
            (
                "tox hides the variables of a CI service; let them through in tox.ini: "
                "pass_env = CI, CI_*, GITHUB_*, GITLAB_*, COVERALLS_*"
            ),
        ),
        ({"TOX_ENV_NAME": "py312", "CI_NAME": "x"}, NO_TOKEN),
    ],
)
def test_a_missing_token_is_explained(project: Project, env: dict[str, str], remedy: str) -> None:
    project.env = env

    assert why_no_job(project.context()) == NotSent(reason="no token", remedy=remedy)


def test_files_that_are_left_out_are_counted_and_five_are_named(
    project: Project, server: StandIn
) -> None:
    project.failed = {f"/x/{number}.py": "NoSource" for number in range(5)}
    gone = project.file("gone.py", [1], [])
    (project.top / "gone.py").unlink()
    project.files += [gone, *(replace(gone, path=f"/elsewhere/{n}.py") for n in range(2))]

    outcome = project.submit(project.context(server))

    named = ", ".join(sorted([str(project.top / "gone.py"), *project.failed])[:5])
    assert outcome.notices == (
        "left out 2 files outside the repository",
        f"left out 6 files that cannot be read or parsed: {named} and 1 more",
    )
    assert "/x/0.py: NoSource" in outcome.details


@needs_git
def test_files_that_git_does_not_track_are_sent_and_named(
    project: Project, server: StandIn
) -> None:
    project.env["PATH"] = os.environ["PATH"]
    (project.top / ".gitignore").write_text("b.py\n")
    Repository(project.top).commit_all()

    outcome = project.submit(project.context(server))

    assert len(server.jobs[0]["source_files"]) == 2
    assert outcome.notices == ("1 file not in git, so Coveralls cannot show it: b.py",)


@needs_git
def test_a_token_in_a_tracked_file_is_told(project: Project) -> None:
    project.env["PATH"] = os.environ["PATH"]
    repository = Repository(project.top)
    for name in ("tracked.txt", "untracked.txt"):
        (project.top / name).write_text("c0fee-c0fee\n")
    (project.top / ".gitignore").write_text("untracked.txt\n")
    repository.commit_all()

    told = "the token is in tracked.txt, which git tracks: keep it elsewhere"
    assert project.context(repo_token_file="tracked.txt").notices == (told,)
    assert project.context(repo_token_file="untracked.txt").notices == ()
    assert project.context(repo_token="c0fee-c0fee").notices == ()


def test_a_job_that_cannot_be_kept_is_sent(project: Project, server: StandIn) -> None:
    project.cache.touch()

    outcome = project.submit(project.context(server))

    assert isinstance(outcome, Sent)
    assert outcome.notices == ("the job could not be kept: no writable directory",)


@pytest.mark.parametrize(("earlier", "said"), [(1, "1 job is"), (2, "2 jobs are")])
def test_jobs_kept_before_are_counted_with_the_command_that_sends_them(
    project: Project, server: StandIn, earlier: int, said: str
) -> None:
    """A job that a run beside this one is sending does not count."""
    project.cache = project.top / "my cache"
    project.cache.mkdir()
    for number in range(earlier):
        (project.cache / f"job-{number}.json").write_text("{}")
        os.utime(project.cache / f"job-{number}.json", (1.7e9, 1.7e9))
    (project.cache / "job-beside.json").write_text("{}")

    outcome = project.submit(replace(project.context(server), started=1.7e9 + 1))

    command = f"python -m pytest_coveralls_submit send --coveralls-host={server.url} 'my cache'"
    (notice,) = outcome.notices
    assert notice.startswith(f"{said} still waiting in my cache; send ")
    assert notice.endswith(f" with: {command}")


@pytest.fixture
def gitlab() -> Iterator[GitLab]:
    with GitLab(a_commit(1)) as standin:
        yield standin


@pytest.fixture
def pipeline(project: Project, gitlab: GitLab) -> Project:
    """A project in a job of GitLab CI, in an image without git."""
    gitlab.pipelines[77] = a_sha(1)
    project.env = {
        "GITLAB_CI": "true",
        "CI_PIPELINE_ID": "77",
        "CI_JOB_ID": "771",
        "CI_COMMIT_SHA": a_sha(1),
        "CI_COMMIT_BRANCH": "main",
        "CI_API_V4_URL": gitlab.api,
        "CI_PROJECT_ID": str(PROJECT_ID),
        "CI_JOB_TOKEN": JOB_TOKEN,
    }
    return project


@pytest.mark.parametrize("answers", [True, False])
def test_gitlab_is_asked_for_the_author_of_the_commit(
    pipeline: Project, server: StandIn, gitlab: GitLab, answers: bool
) -> None:
    """Where a job is built in its pipeline; silence is no failure."""
    if not answers:
        gitlab.respond(500, "<html>")
    context = pipeline.context(server)
    assert gitlab.requests == []

    pipeline.submit(context)

    head = server.jobs[0]["git"]["head"]
    assert head["id"] == a_sha(1)
    assert head.get("author_name") == ("Ada Gardener" if answers else None)


@pytest.mark.parametrize("status", [200, 503])
def test_an_accepted_job_gives_its_commit_a_status(
    pipeline: Project, server: StandIn, gitlab: GitLab, status: int
) -> None:
    if status != 200:
        server.respond(status)
    settings = {"gitlab_status": "1", "gitlab_token": PRIVATE_TOKEN, "flag_name": "unit"}

    outcome = pipeline.submit(pipeline.context(server, **settings))

    assert [entry["name"] for entry in gitlab.statuses] == ["coveralls/unit"] * (status == 200)
    if isinstance(outcome, Sent):
        assert gitlab.statuses[0]["target_url"] == outcome.url
        assert float(gitlab.statuses[0]["coverage"]) == pytest.approx(62.5)


@pytest.mark.parametrize(
    ("env", "token", "said"),
    [
        ({}, "", "gitlab_status needs a token with the scope api in COVERALLS_GITLAB_TOKEN"),
        ({"CI_COMMIT_SHA": ""}, PRIVATE_TOKEN, "no status on GitLab: the commit is unknown"),
        ({}, "not-a-token", "no status on GitLab: "),
    ],
)
def test_a_status_that_cannot_be_set_costs_one_line(
    pipeline: Project, server: StandIn, env: dict[str, str], token: str, said: str
) -> None:
    pipeline.env |= env

    outcome = pipeline.submit(pipeline.context(server, gitlab_status="1", gitlab_token=token))

    assert isinstance(outcome, Sent)
    (notice,) = outcome.notices
    assert notice.startswith(said)


def test_a_service_name_that_does_not_suit_the_token_is_told_with_its_source(
    project: Project, server: StandIn
) -> None:
    (problem,) = startup_problems(project.context(server, service_name="github"))

    assert problem.startswith('service name "github" (from COVERALLS_SERVICE_NAME) needs GitHub')


def test_a_context_knows_and_hides_all_secrets(project: Project, server: StandIn) -> None:
    """It may be a local of a traceback."""
    project.env["GITHUB_TOKEN"] = "ghs_s3cret"
    context = project.context(server, gitlab_token="gl-s3cret")

    assert {secret.reveal() for secret in context.secrets} == {COVERALLS_TOKEN, "gl-s3cret"}
    assert COVERALLS_TOKEN not in repr(context)
    assert "s3cret" not in repr(context)


@pytest.mark.parametrize("include_source", ["true", "false"])
def test_a_merged_file_without_text_is_left_out_where_text_is_sent(
    project: Project, include_source: str
) -> None:
    """OpenCov refuses the whole job for one of them."""
    entry = {"name": "gone.js", "source_digest": "0" * 32, "coverage": [1]}
    (project.top / "other.json").write_text(json.dumps({"source_files": [entry]}))
    context = project.context(dry_run="true", merge="other.json", include_source=include_source)

    outcome = project.submit(context)

    assert isinstance(outcome, Built)
    is_left_out = "left out 1 file without source text: gone.js" in outcome.notices
    assert is_left_out == (include_source == "true")
    assert len(outcome.files) == (2 if is_left_out else 3)
