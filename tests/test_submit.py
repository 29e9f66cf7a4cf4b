"""The story: a plan before the tests, then built, kept, sent, and told what became of it."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gitlab_standin import JOB_TOKEN, PRIVATE_TOKEN, PROJECT_ID, GitLab, a_commit, a_sha
from standin import COVERALLS_TOKEN, StandIn
from story import Ran, Story

from pytest_coveralls_submit.context import make_plan
from pytest_coveralls_submit.errors import MeasurementError, SettingsError
from pytest_coveralls_submit.hints import finish_command
from pytest_coveralls_submit.job import outbox
from pytest_coveralls_submit.measurement.measure import Measurement
from pytest_coveralls_submit.outcome import (
    BuildResult,
    Built,
    Failed,
    Interrupted,
    NotSent,
    Sent,
)
from pytest_coveralls_submit.output.terminal import Progress
from pytest_coveralls_submit.secret import Environment
from pytest_coveralls_submit.settings.sources import Origin, RawValue, resolve
from pytest_coveralls_submit.submit import Edit, submit

# -- sent --------------------------------------------------------------------------------------


def test_a_job_is_built_and_sent(story: Story, server: StandIn) -> None:
    """What was measured arrives, the outcome has totals and link, nothing stays on disk."""
    outcome = story.submit(story.plan(server))

    assert isinstance(outcome, Sent), outcome
    (job,) = server.jobs
    assert [(file["name"], file["coverage"]) for file in job["source_files"]] == [
        ("a.py", [1, 1, 0]),
        ("b.py", [1, None, None]),
    ]
    assert job["source_files"][0]["branches"] == [1, 0, 0, 1, 1, 0, 1, 0]
    assert (job["service_name"], job["service_number"]) == ("test-ci", "77")
    assert outcome.url == f"{server.url}/jobs/105971882"
    assert [file[:3] for file in outcome.files] == [("a.py", 3, 5), ("b.py", 2, 3)]
    assert outcome.percent == 100.0 * 5 / 8
    assert outcome.details[0].endswith(" s, 1 attempt")
    assert story.kept() == []
    assert story.said == []


def test_failed_attempts_are_told_while_they_happen(story: Story, server: StandIn) -> None:
    """And the next one may succeed."""
    server.respond(503)

    outcome = story.submit(story.plan(server, retries="1"))

    assert isinstance(outcome, Sent)
    (line,) = story.said
    assert line.startswith("attempt 1 of 2: 503 ")
    assert line.endswith(" s")
    assert "; retrying in " in line
    assert outcome.details[0].endswith("2 attempts")


@pytest.mark.parametrize(("number", "requests"), [("77", 2), ("", 1)])
def test_what_may_have_arrived_is_sent_again_only_with_a_number(
    story: Story, server: StandIn, number: str, requests: int
) -> None:
    """Without one each job that arrives is a build of its own."""
    story.env["CI_BUILD_NUMBER"] = number
    server.respond(504, times=2)

    outcome = story.submit(story.plan(server, retries="1"))

    assert isinstance(outcome, Failed)
    assert len(server.requests) == requests
    assert any("it may have been accepted anyway" in line for line in outcome.advice)


def test_a_hook_that_takes_the_number_away_takes_the_second_attempt_too(
    story: Story, server: StandIn
) -> None:
    """The job that is sent counts, not the one that was planned."""
    server.respond(504, times=2)

    def edit(job: dict[str, Any]) -> None:
        del job["service_number"]

    story.submit(story.plan(server, retries="1"), edit=edit)

    assert len(server.requests) == 1


@pytest.mark.parametrize("compress", ["true", "false"])
def test_the_job_is_compressed_unless_asked_otherwise(
    story: Story, server: StandIn, compress: str
) -> None:
    """Either arrives."""
    story.submit(story.plan(server, compress=compress))

    part = server.requests[0].part("json_file")
    assert part is not None
    assert part.body.startswith(b"\x1f\x8b") is (compress == "true")
    assert len(server.jobs) == 1


def test_source_text_is_sent_where_it_is_asked_for(story: Story, server: StandIn) -> None:
    """For repositories that the server cannot read."""
    story.submit(story.plan(server, include_source="1"))

    assert {file["source"] for file in server.jobs[0]["source_files"]} == {"a = 1\nb = 2\nc = 3\n"}


def test_names_are_given_another_start(story: Story, server: StandIn) -> None:
    """``base_dir`` goes, ``src_dir`` comes."""
    story.files = [story.file("backend/a.py", [1], [])]

    story.submit(story.plan(server, base_dir="backend", src_dir="services/api"))

    assert [file["name"] for file in server.jobs[0]["source_files"]] == ["services/api/a.py"]


def test_a_parallel_job_tells_the_command_that_closes_its_build(
    story: Story, server: StandIn
) -> None:
    """Exactly, host included; and it has a flag of its own."""
    outcome = story.submit(story.plan(server, parallel="1"))

    assert isinstance(outcome, Sent)
    assert outcome.finish == (
        "python -m pytest_coveralls_submit finish --coveralls-service-number=77 "
        f"--coveralls-host={server.url}"
    )
    assert server.jobs[0]["parallel"] is True
    assert server.jobs[0]["flag_name"]


def test_a_hook_that_gives_the_number_gives_it_to_the_closing_command(
    story: Story, server: StandIn
) -> None:
    """The command closes the build that the job is in."""
    outcome = story.submit(
        story.plan(server, parallel="1"), edit=lambda job: job.update(service_number="99")
    )

    assert isinstance(outcome, Sent)
    assert outcome.finish is not None
    assert "--coveralls-service-number=99" in outcome.finish


@pytest.mark.parametrize("number", ["7", "my job-7"])
def test_the_closing_command_can_be_typed(number: str) -> None:
    """Jenkins' job names may hold spaces; another server than Coveralls' own is named."""
    words = shlex.split(finish_command(number, "https://coveralls.example.com"))

    assert words == [
        *("python", "-m", "pytest_coveralls_submit", "finish"),
        f"--coveralls-service-number={number}",
        "--coveralls-host=https://coveralls.example.com",
    ]


# -- built, saved ------------------------------------------------------------------------------


def test_a_dry_run_builds_and_sends_nothing(story: Story, server: StandIn) -> None:
    """It needs no token either."""
    outcome = story.submit(story.plan(dry_run="1", host=server.url))

    assert type(outcome) is Built
    assert len(outcome.files) == 2
    assert server.requests == []
    assert story.kept() == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other modes")
def test_a_saved_job_has_no_token_and_is_the_users_alone(story: Story, server: StandIn) -> None:
    """It is sent all the same."""
    path = story.top / "job.json"

    outcome = story.submit(story.plan(server, save="job.json"))

    assert isinstance(outcome, Sent)
    assert outcome.saved == path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert COVERALLS_TOKEN not in path.read_text()
    sent = {name: value for name, value in server.jobs[0].items() if name != "repo_token"}
    assert json.loads(path.read_text()) == sent


def test_a_job_is_saved_without_a_token_too(story: Story) -> None:
    """Another step of the build may send it."""
    outcome = story.submit(story.plan(save="job.json"))

    assert isinstance(outcome, NotSent)
    assert outcome.saved == story.top / "job.json"
    assert outcome.reason == "no token"
    assert outcome.remedy.startswith("set COVERALLS_REPO_TOKEN")
    assert json.loads((story.top / "job.json").read_text())["service_number"] == "77"


def test_a_job_that_cannot_be_saved_is_sent_all_the_same(story: Story, server: StandIn) -> None:
    """A full disk costs the file and a line, not the submission."""
    made = story.plan(server, save="job.json")
    (story.top / "job.json").mkdir()

    outcome = story.submit(made)

    assert len(server.jobs) == 1
    assert isinstance(outcome, Sent)
    assert any("job.json cannot be written" in notice for notice in outcome.notices)


# -- not sent ----------------------------------------------------------------------------------


NO_TOKEN = "set COVERALLS_REPO_TOKEN (from the repository's page on Coveralls)"
NO_SECRETS = "pull requests from forks and Dependabot get no secrets"
HIDDEN = (
    "tox hides the variables of a CI service; let them through in tox.ini: "
    "pass_env = CI, CI_*, GITHUB_*, GITLAB_*, COVERALLS_*"
)


@pytest.mark.parametrize(
    ("env", "remedy"),
    [
        ({}, NO_TOKEN),
        ({"GITHUB_ACTIONS": "true"}, f"{NO_TOKEN} or GITHUB_TOKEN: ${{{{ github.token }}}}"),
        (
            {"GITHUB_ACTIONS": "true", "GITHUB_REF": "refs/pull/5/merge"},
            f"{NO_SECRETS}; GITHUB_TOKEN: ${{{{ github.token }}}} would do",
        ),
        ({"CI_NAME": "x", "CI_PULL_REQUEST": "5"}, NO_SECRETS),
        ({"TOX_ENV_NAME": "py312"}, HIDDEN),
        ({"TOX_ENV_NAME": "py312", "CI_NAME": "x"}, NO_TOKEN),
    ],
)
def test_a_missing_token_is_explained(story: Story, env: dict[str, str], remedy: str) -> None:
    """In one line that says what to do, where the run takes place."""
    story.env = env

    assert story.submit(story.plan()) == NotSent(reason="no token", remedy=remedy)


def test_githubs_token_is_not_sent_where_a_file_says(story: Story, tmp_path: Path) -> None:
    """And that is explained."""
    env = Environment({"GITHUB_ACTIONS": "true", "GITHUB_TOKEN": "ghs_x1234567"})
    in_ini = Origin("ini", "coveralls_host", tmp_path / "tox.ini")
    host = RawValue("https://cov.example.com", in_ini, tmp_path)
    made = make_plan(resolve({"host": host}), env, root=story.top, start=story.top)

    assert story.submit(made) == NotSent(
        reason="no token",
        remedy="GITHUB_TOKEN is not sent to https://cov.example.com, which a file names; "
        "set COVERALLS_HOST, or COVERALLS_REPO_TOKEN",
    )


def test_without_a_token_nothing_is_measured(story: Story) -> None:
    """The analysis would be for nothing."""

    def measure() -> Measurement:
        raise AssertionError("measured")

    outcome = submit(story.plan(), Ran(measure, story.said.append))

    assert isinstance(outcome, NotSent)


def test_without_a_measurement_its_reason_is_given(story: Story, server: StandIn) -> None:
    """And nothing is sent."""

    def measure() -> Measurement:
        raise MeasurementError("a worker crashed")

    outcome = submit(story.plan(server), Ran(measure, story.said.append))

    assert outcome == NotSent(reason="a worker crashed")
    assert server.requests == []


def test_a_job_without_files_is_not_sent(story: Story, server: StandIn) -> None:
    """It would read as a drop to nothing."""
    story.files = [replace(story.files[0], path="/elsewhere/a.py")]

    outcome = story.submit(story.plan(server))

    assert outcome == NotSent(
        reason="no files of the repository were measured",
        percent=100 * 3 / 5,
        notices=("left out 1 file outside the repository",),
    )
    assert server.requests == []


def test_a_job_without_files_is_sent_where_it_is_asked_for(story: Story, server: StandIn) -> None:
    """``allow_empty``."""
    story.files = []

    outcome = story.submit(story.plan(server, allow_empty="1"))

    assert isinstance(outcome, Sent)
    assert server.jobs[0]["source_files"] == []


# -- notices -----------------------------------------------------------------------------------


def test_files_that_are_left_out_are_counted_and_five_of_them_named(
    story: Story, server: StandIn
) -> None:
    """Those that coverage could not analyse, and those that vanished since."""
    story.failed = {f"/x/{number}.py": "NoSource" for number in range(5)}
    gone = story.file("gone.py", [1], [])
    (story.top / "gone.py").unlink()
    story.files.append(gone)
    story.files += [replace(gone, path=f"/elsewhere/{number}.py") for number in range(2)]

    outcome = story.submit(story.plan(server))

    assert isinstance(outcome, Sent)
    assert len(outcome.files) == 2
    named = ", ".join(sorted([str(story.top / "gone.py"), *story.failed])[:5])
    assert outcome.notices == (
        "left out 2 files outside the repository",
        f"left out 6 files that cannot be read or parsed: {named}, ...",
    )
    explained = [*(f"/x/{number}.py: NoSource" for number in range(5)), f"{story.top}/gone.py: "]
    assert [line.partition("[Errno")[0] for line in outcome.details[:6]] == sorted(explained)


def test_files_that_git_does_not_track_are_sent_and_named(story: Story, server: StandIn) -> None:
    """Coveralls cannot show them."""
    story.commit("a.py")
    story.env["PATH"] = os.environ["PATH"]

    outcome = story.submit(story.plan(server))

    assert isinstance(outcome, Sent)
    assert len(server.jobs[0]["source_files"]) == 2
    assert outcome.notices == ("1 file not in git, so that Coveralls cannot show it: b.py",)


def test_a_narrowed_run_is_warned_of(story: Story, server: StandIn) -> None:
    """Coverage of a part looks like a drop."""
    outcome = story.submit(story.plan(server), narrowed="-k beds")

    assert outcome.notices == ("not all tests ran, because of -k beds: coverage may look lower",)


# -- merged ------------------------------------------------------------------------------------


def test_files_of_other_tools_are_added(story: Story, server: StandIn) -> None:
    """The job has both."""
    other = {"source_files": [{"name": "web/a.js", "source_digest": "0" * 32, "coverage": [3]}]}
    (story.top / "js.json").write_text(json.dumps(other))

    outcome = story.submit(story.plan(server, merge="js.json"))

    assert isinstance(outcome, Sent)
    assert [file.name for file in outcome.files] == ["a.py", "b.py", "web/a.js"]


def test_files_of_other_tools_that_do_not_fit_fail_the_job(story: Story, server: StandIn) -> None:
    """Half of the coverage would look like a drop."""
    (story.top / "js.json").write_text(json.dumps({"source_files": [{"name": "a.py"}]}))

    outcome = story.submit(story.plan(server, merge="js.json"))

    assert isinstance(outcome, Failed)
    expected = f'{story.top / "js.json"}: source file 1 (a.py) has no "coverage"'
    assert outcome.reason == expected
    assert server.requests == []


# -- hooks -------------------------------------------------------------------------------------


def test_what_a_hook_changes_is_sent(story: Story, server: StandIn) -> None:
    """In the job and in its files."""

    def edit(job: dict[str, Any]) -> None:
        job["service_event_type"] = "nightly"
        job["source_files"] = job["source_files"][:1]

    outcome = story.submit(story.plan(server), edit=edit)

    assert outcome.notices == ()
    assert server.jobs[0]["service_event_type"] == "nightly"
    assert len(server.jobs[0]["source_files"]) == 1


def _raise(job: dict[str, Any]) -> None:
    job["service_name"] = "changed before"
    raise LookupError("no\nluck")


def _add_unknown(job: dict[str, Any]) -> None:
    job["colour"] = "red"


def _delete_files(job: dict[str, Any]) -> None:
    del job["source_files"]


def _empty(job: dict[str, Any]) -> None:
    job.clear()


def _recurse(job: dict[str, Any]) -> None:
    _recurse(job)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (_raise, "LookupError: no luck"),
        (_add_unknown, 'the job has a field "colour" that Coveralls does not document'),
        (_delete_files, 'the job has no "source_files"'),
        (_empty, 'the job has no "source_files"'),
        (_recurse, "RecursionError: maximum recursion depth exceeded"),
    ],
)
def test_a_hook_that_damages_the_job_is_not_heeded(
    story: Story, server: StandIn, edit: Edit, said: str
) -> None:
    """It costs a line; the job goes as it was before."""
    outcome = story.submit(story.plan(server), edit=edit)

    assert isinstance(outcome, Sent)
    assert server.jobs[0]["service_name"] == "test-ci"
    (notice,) = outcome.notices
    assert notice.startswith(f"the hook pytest_coveralls_job is not heeded: {said}")


def test_the_files_are_counted_as_they_are_sent(story: Story, server: StandIn) -> None:
    """After a hook has taken some away."""

    def edit(job: dict[str, Any]) -> None:
        job["source_files"] = [file for file in job["source_files"] if file["name"] == "a.py"]

    outcome = story.submit(story.plan(server), edit=edit)

    assert isinstance(outcome, Sent)
    assert len(outcome.files) == 1


# -- failed ------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other modes")
def test_a_job_that_is_not_accepted_is_kept(story: Story, server: StandIn) -> None:
    """Whole, without the token, for the user alone."""
    server.respond(503)

    outcome = story.submit(story.plan(server))

    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith("503 ")
    assert outcome.kept == story.cache / "job-77.json"
    text = outcome.kept.read_text()
    assert len(json.loads(text)["source_files"]) == 2
    assert COVERALLS_TOKEN not in text
    assert stat.S_IMODE(outcome.kept.stat().st_mode) == 0o600


def test_a_wrong_token_is_explained(story: Story, server: StandIn) -> None:
    """With the server's word and what to do."""
    outcome = story.submit(story.plan(server, repo_token="wrong-token"))

    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith("422 Couldn't find a repository matching this job. (trace ")
    assert outcome.advice[0].startswith("the token from COVERALLS_REPO_TOKEN does not belong to")
    assert "wrong" not in "".join([outcome.reason, *outcome.advice, *outcome.details])


def test_without_a_cache_a_job_is_kept_in_the_temporary_directory(
    story: Story, server: StandIn
) -> None:
    """``-p no:cacheprovider``."""
    server.respond(503)
    files = Measurement(tuple(story.files), {})

    outcome = submit(story.plan(server), Ran(lambda: files, story.said.append))

    assert isinstance(outcome, Failed)
    assert outcome.kept == outbox.own_folder(story.temporary, story.top) / "job-77.json"


def test_what_the_measurement_has_to_say_is_told(story: Story, server: StandIn) -> None:
    """Its notices always, with ``-v`` also how it was made."""
    files = tuple(story.files)
    measured = Measurement(files, {}, slow_reason="it is gone", notices=("the data is older",))

    outcome = submit(story.plan(server), Ran(lambda: measured, story.said.append))

    assert outcome.notices[0] == "the data is older"
    assert outcome.details[0] == (
        "coverage's analyses could not be recorded (it is gone): it took longer"
    )


def test_a_job_that_cannot_be_kept_is_sent_all_the_same(story: Story, server: StandIn) -> None:
    """And that is said."""
    story.cache.rmdir()
    story.cache.touch()
    story.temporary.rmdir()
    story.temporary.touch()

    outcome = story.submit(story.plan(server))

    assert isinstance(outcome, Sent)
    assert outcome.notices == ("the job could not be kept on disk: no directory takes it",)


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ({"CI_BUILD_NUMBER": "7/../x y"}, "job-7-..-x-y.json"),
        ({"CI_BUILD_NUMBER": "9" * 200}, f"job-{'9' * 80}.json"),
        ({"CI_COMMIT_ID": "5e837cc" + "0" * 33}, "job-5e837cc.json"),
        ({}, "job-local.json"),
    ],
)
def test_a_kept_job_is_named_after_its_build(
    story: Story, server: StandIn, env: dict[str, str], name: str
) -> None:
    """Else after its commit; nothing in it is a path."""
    story.env = env
    server.respond(503)

    outcome = story.submit(story.plan(server))

    assert isinstance(outcome, Failed)
    assert outcome.kept == story.cache / name


def test_two_jobs_of_a_build_are_both_kept(story: Story, server: StandIn) -> None:
    """The second does not take the place of the first."""
    server.respond(503, times=2)

    kept = [story.submit(story.plan(server)) for _ in range(2)]

    names = [outcome.kept.name for outcome in kept if isinstance(outcome, Failed) and outcome.kept]
    assert names[0] == "job-77.json"
    assert re.fullmatch(r"job-77-\w+\.json", names[1])


def test_a_sender_that_does_not_start_leaves_the_job_kept(story: Story, server: StandIn) -> None:
    """An environment that no process can be given."""
    made = replace(story.plan(server), env=Environment({"A=B": "x"}))

    outcome = story.submit(made)

    assert isinstance(outcome, Failed)
    assert "could not be started" in outcome.reason
    assert outcome.kept is not None
    assert outcome.kept.exists()


def test_an_interrupted_sending_leaves_the_job_kept(story: Story, server: StandIn) -> None:
    """Ctrl-C while the next attempt is waited for."""
    server.respond(503, times=3)

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    files = Measurement(tuple(story.files), {})
    made = story.plan(server, retries="2")
    outcome = submit(made, Ran(lambda: files, interrupt, lambda: story.cache))

    assert isinstance(outcome, Interrupted)
    assert outcome.reason == "interrupted while sending"
    assert outcome.kept == story.cache / "job-77.json"
    assert len(server.requests) == 1


# -- jobs of earlier runs ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("earlier", "is_refused", "said"),
    [
        (0, False, ()),
        (0, True, ()),
        (1, False, ("1 job of an earlier run waits",)),
        (1, True, ("1 job of an earlier run waits",)),
        (2, False, ("2 jobs wait",)),
    ],
)
def test_jobs_of_earlier_runs_are_counted(
    story: Story, server: StandIn, earlier: int, is_refused: bool, said: tuple[str, ...]
) -> None:
    """With the command that sends them, as one would type it.

    This run's own is no earlier one, nor is what a run beside it, of another leg, is sending.
    """
    story.cache = story.top / "my cache"
    story.cache.mkdir()
    for number in range(earlier):
        (story.cache / f"job-{number}.json").write_text("{}")
    if is_refused:
        server.respond(503)

    made = story.plan(server)
    beside = story.cache / "job-beside.json"
    beside.write_text("{}")
    os.utime(beside, (made.started + 1, made.started + 1))

    notices = story.submit(made).notices

    again = "python -m pytest_coveralls_submit send 'my cache'"
    assert notices == tuple(f"{jobs} in 'my cache'; send with: {again}" for jobs in said)


# -- the plan ----------------------------------------------------------------------------------


def test_names_are_relative_to_the_root_directory_without_git(story: Story) -> None:
    """Where there is no repository, pytest's root directory stands in."""
    assert story.plan().top == story.top


def test_an_unknown_placeholder_stops_before_the_tests(story: Story) -> None:
    """A usage error, not a failure after half an hour."""
    with pytest.raises(SettingsError, match=r"\{pyton\} is not known"):
        story.plan(flag_name="{pyton}")


def test_the_time_is_that_of_the_session_start(story: Story) -> None:
    """In UTC, as RFC 3339 has it."""
    run_at = story.plan().identity.run_at or ""

    assert len(run_at) == len("2026-02-18T00:52:48Z")
    assert run_at.endswith("Z")


def test_a_token_in_a_tracked_file_is_told(story: Story) -> None:
    """Everybody who can read the repository can read the token."""
    (story.top / "conf").mkdir()
    for name in ("conf/tox.ini", "token.txt", "untracked.txt"):
        (story.top / name).write_text("c0fee-c0fee\n")
    story.commit("conf/tox.ini", "token.txt")

    def notices(**texts: RawValue) -> tuple[str, ...]:
        env = Environment({**story.env, "PATH": os.environ["PATH"]})
        return make_plan(resolve(texts), env, root=story.top, start=story.top).notices

    ini = Origin("ini", "coveralls_repo_token", story.top / "conf/tox.ini")
    in_ini = RawValue("c0fee-c0fee", ini, story.top)
    in_variable = RawValue("c0fee-c0fee", Origin("variable", "COVERALLS_REPO_TOKEN"), story.top)
    files = [
        RawValue(name, Origin("flag", "--coveralls-repo-token-file"), story.top)
        for name in ("token.txt", "untracked.txt")
    ]
    told = "the token stands in {}, which git tracks: everybody can read it there"

    assert notices(repo_token=in_ini) == (told.format("conf/tox.ini"),)
    assert notices(repo_token_file=files[0]) == (told.format("token.txt"),)
    assert notices(repo_token_file=files[1]) == ()
    assert notices(repo_token=in_variable) == ()
    assert notices() == ()


# -- GitLab ------------------------------------------------------------------------------------


@pytest.fixture
def gitlab() -> Iterator[GitLab]:
    """A GitLab that knows one commit."""
    with GitLab(a_commit(1)) as standin:
        yield standin


def pipeline(gitlab: GitLab) -> dict[str, str]:
    """The variables of a job of GitLab CI, in an image without git."""
    return {
        "GITLAB_CI": "true",
        "CI_PIPELINE_ID": "77",
        "CI_JOB_ID": "771",
        "CI_COMMIT_SHA": a_sha(1),
        "CI_COMMIT_BRANCH": "main",
        "CI_API_V4_URL": gitlab.api,
        "CI_PROJECT_ID": str(PROJECT_ID),
        "CI_JOB_TOKEN": JOB_TOKEN,
    }


def test_gitlab_is_asked_who_wrote_the_commit(story: Story, gitlab: GitLab) -> None:
    """Where neither git nor the variables say."""
    story.env = pipeline(gitlab)

    made = story.plan()

    assert made.identity.as_json()["git"]["head"] == {
        "id": a_sha(1),
        "author_name": "Ada Gardener",
        "author_email": "ada@example.com",
        "committer_name": "Carl Keeper",
        "committer_email": "carl@example.com",
        "message": "Water bed 1\n\nIt was dry.",
    }
    assert len(gitlab.requests) == 1


def test_gitlabs_silence_is_no_failure(story: Story, gitlab: GitLab) -> None:
    """The commit is known by its id."""
    story.env = pipeline(gitlab)
    gitlab.respond(500, "<html>")

    assert story.plan().identity.as_json()["git"]["head"] == {"id": a_sha(1)}


def test_gitlab_is_not_asked_elsewhere(story: Story, gitlab: GitLab) -> None:
    """Only in its own jobs."""
    story.env = {**pipeline(gitlab), "GITLAB_CI": "", "CI_NAME": "other"}

    story.plan()

    assert gitlab.requests == []


def test_a_commit_gets_a_status_where_that_is_wanted(
    story: Story, server: StandIn, gitlab: GitLab
) -> None:
    """With coverage and link, once the job is accepted."""
    story.env = pipeline(gitlab)
    gitlab.pipelines[77] = a_sha(1)
    made = story.plan(server, gitlab_status="1", gitlab_token=PRIVATE_TOKEN, flag_name="unit")

    outcome = story.submit(made)

    assert isinstance(outcome, Sent)
    (status,) = gitlab.statuses
    assert status["name"] == "coveralls/unit"
    assert float(status["coverage"]) == pytest.approx(62.5)
    assert status["target_url"] == outcome.url
    assert len(outcome.notices) == 1


def test_a_job_that_was_refused_gives_no_status(
    story: Story, server: StandIn, gitlab: GitLab
) -> None:
    """There is nothing to link to."""
    story.env = pipeline(gitlab)
    server.respond(503)

    story.submit(story.plan(server, gitlab_status="1", gitlab_token=PRIVATE_TOKEN))

    assert gitlab.statuses == []


def test_a_status_needs_a_token_of_its_own(story: Story, server: StandIn, gitlab: GitLab) -> None:
    """The job's token may not set one."""
    story.env = pipeline(gitlab)

    outcome = story.submit(story.plan(server, gitlab_status="1"))

    assert isinstance(outcome, Sent)
    assert outcome.notices == (
        "gitlab_status needs a token with the scope api in COVERALLS_GITLAB_TOKEN",
    )
    assert gitlab.statuses == []


def test_a_status_needs_a_commit(story: Story, server: StandIn) -> None:
    """Without git and outside of a CI service there is none."""
    outcome = story.submit(story.plan(server, gitlab_status="1", gitlab_token="t0ken-of-gitlab"))

    assert isinstance(outcome, Sent)
    assert outcome.notices == ("GitLab was not told: the commit is not known",)


def test_a_status_that_cannot_be_set_costs_one_line(story: Story, server: StandIn) -> None:
    """The job was accepted; the reason is said once."""
    story.env["CI_COMMIT_ID"] = a_sha(1)

    outcome = story.submit(story.plan(server, gitlab_status="1", gitlab_token="t0ken-of-gitlab"))

    assert isinstance(outcome, Sent)
    (notice,) = outcome.notices
    assert notice.startswith("GitLab was not told")
    assert notice.count("not told") == 1


# -- what the build came to --------------------------------------------------------------------


@pytest.mark.parametrize("parallel", ["0", "1"])
def test_the_result_of_the_build_is_waited_for(
    story: Story, server: StandIn, parallel: str
) -> None:
    """Where the user wants that; an open build has none yet."""
    server.pages["/jobs/105971882.json"] = [{"covered_percent": 62.5}]

    outcome = story.submit(story.plan(server, wait="60", parallel=parallel))

    assert isinstance(outcome, Sent)
    url = f"{server.url}/jobs/105971882"
    assert outcome.build == (None if parallel == "1" else BuildResult(url=url, percent=62.5))
    assert len(server.requests) == (1 if parallel == "1" else 2)


def test_a_job_is_sent_also_where_the_waiting_is_interrupted(story: Story, server: StandIn) -> None:
    """Ctrl-C after acceptance: there is nothing to keep."""
    measured = Measurement(tuple(story.files), {})

    class Impatient(Ran):
        def progress(self) -> Progress:
            raise KeyboardInterrupt

    run = Impatient(lambda: measured, story.said.append, lambda: story.cache)
    outcome = submit(story.plan(server, wait="60"), run)

    assert isinstance(outcome, Sent)
    assert outcome.build is not None
    assert outcome.build.problem == "not known, the waiting was interrupted"
    assert story.kept() == []


def test_a_job_is_sent_also_where_telling_gitlab_breaks(
    story: Story, server: StandIn, gitlab: GitLab
) -> None:
    """A fault of ours after acceptance costs a line; what the build came to is told too."""
    server.pages["/jobs/105971882.json"] = [{"covered_percent": 62.5}]
    story.env = {**pipeline(gitlab), "CI_PROJECT_ID": "\udcff"}
    made = story.plan(server, gitlab_status="1", gitlab_token=PRIVATE_TOKEN, wait="60")

    outcome = story.submit(made)

    assert isinstance(outcome, Sent)
    assert outcome.build is not None
    (notice,) = outcome.notices
    assert notice.startswith("GitLab was not told: internal fault: UnicodeEncodeError: ")
    assert story.kept() == []


# -- secrets -----------------------------------------------------------------------------------


def test_a_plan_shows_no_secret(story: Story, server: StandIn) -> None:
    """It may stand in a traceback with its locals."""
    story.env["GITHUB_TOKEN"] = "ghs_s3cret"

    shown = repr(story.plan(server, gitlab_token="gl-s3cret"))

    assert COVERALLS_TOKEN not in shown
    assert "s3cret" not in shown


def test_all_tokens_are_secrets(story: Story, server: StandIn) -> None:
    """Those of the settings and the one that is used."""
    made = story.plan(server, gitlab_token="gl-of-a-test")

    assert {secret.reveal() for secret in made.secrets} == {COVERALLS_TOKEN, "gl-of-a-test"}
