"""``send`` sends what was kept or saved."""

from __future__ import annotations

import io
import json
import os
from typing import Any

import pytest
from commanding import FILE, GITHUB, Command
from standin import COVERALLS_TOKEN


def test_an_accepted_job_is_removed(command: Command) -> None:
    job = {"service_name": "test-ci", "service_number": "77", "run_at": "2026-02-18T00:52:48Z"}
    path = command.job(**job)

    status, said = command("send", "-v", str(path))

    assert status == 0
    assert (
        said[0] == f"coveralls: sent 1 file, 66.67% covered -> {command.server.url}/jobs/105971882"
    )
    assert said[-1].endswith(" s, 1 attempt")
    assert not path.exists()
    assert command.server.jobs == [{"repo_token": COVERALLS_TOKEN, **job, "source_files": [FILE]}]


def test_a_refused_job_stays_with_its_command(command: Command) -> None:
    path = command.job(service_number="77")
    command.server.respond(503)

    status, said = command("send", "job.json", "--coveralls-deadline=20")

    assert status == 1
    assert said[0].startswith("coveralls: failed: 503 ")
    options = f"--coveralls-host={command.server.url} --coveralls-deadline=20"
    again = f"python -m pytest_coveralls_submit send {options} job.json"
    assert f"coveralls: kept in job.json; send it with: {again}" in said
    assert path.exists()


@pytest.mark.parametrize(
    ("env", "status", "said"),
    [
        ({"COVERALLS_REPO_TOKEN": ""}, 0, "not sent: no token: "),
        ({"COVERALLS_REPO_TOKEN": "", "COVERALLS_STRICT": "1"}, 1, "not sent: no token: "),
        ({"COVERALLS_DRY_RUN": "1"}, 0, "built 1 file, 66.67% covered; not sent (dry run)"),
    ],
)
def test_a_job_that_is_not_sent_stays(
    command: Command, env: dict[str, str], status: int, said: str
) -> None:
    command.env(**env)
    path = command.job()

    ended, (line,) = command("send", str(path))

    assert ended == status
    assert line.startswith(f"coveralls: {said}")
    assert path.exists()
    assert command.server.requests == []


def test_source_files_alone_get_the_identity_of_the_checkout(command: Command) -> None:
    """The official reporter's format has no commit and no service."""
    command.env(CI_NAME="test-ci", CI_BUILD_NUMBER="77", CI_COMMIT_ID="a" * 40)

    status, _ = command("send", str(command.job()), "--coveralls-flag-name=go")

    (job,) = command.server.jobs
    assert status == 0
    assert (job["service_name"], job["service_number"]) == ("test-ci", "77")
    assert job["flag_name"] == "go"
    assert job["git"] == {"head": {"id": "a" * 40}}


@pytest.mark.parametrize(
    ("kept", "token", "sent"),
    [
        ("github-actions", "ghs_x1234567", ("github", "octo/sample")),
        ("github", COVERALLS_TOKEN, ("github-actions", None)),
        ("my-ci", COVERALLS_TOKEN, ("my-ci", None)),
    ],
)
def test_the_service_name_follows_the_token(
    command: Command, kept: str, token: str, sent: tuple[str, str | None]
) -> None:
    """The job may have been built where there was another token."""
    command.env(**GITHUB, COVERALLS_REPO_TOKEN=token)

    status, said = command("send", str(command.job(service_name=kept, service_number="9001")))

    assert status == 0, said
    (job,) = command.server.jobs
    assert (job["service_name"], job.get("repo_name")) == sent


def test_a_flag_beats_the_file_and_a_variable_does_not(command: Command) -> None:
    """A variable may be of another job."""
    command.env(COVERALLS_SERVICE_JOB_ID="here")
    path = command.job(service_name="test-ci", service_number="1", service_job_id="there")

    _, said = command("send", str(path), "--coveralls-service-number=2", "--coveralls-parallel")

    (job,) = command.server.jobs
    assert (job["service_number"], job["service_job_id"]) == ("2", "there")
    assert any(line.endswith("--coveralls-service-number=2") for line in said)


def test_the_oldest_job_of_a_folder_is_sent_first(command: Command) -> None:
    (command.folder / "kept").mkdir()
    for age, name in enumerate(("kept/job-new.json", "kept/job-old.json", "one.json")):
        path = command.job(name, service_job_id=name)
        os.utime(path, (1e9 - age, 1e9 - age))
    (command.folder / "kept" / "notes.json").write_text("{}")
    command.env(COVERALLS_PARALEL="1")

    status, said = command("send", "one.json", "kept")

    assert (status, len(said)) == (0, 4)
    assert ["COVERALLS_PARALEL" in line for line in said] == [True, False, False, False]
    ids = [job["service_job_id"] for job in command.server.jobs]
    assert ids == ["one.json", "kept/job-old.json", "kept/job-new.json"]
    assert [path.name for path in command.folder.rglob("*.json")] == ["notes.json"]


def test_an_empty_folder_is_no_failure(command: Command) -> None:
    folder = command.folder / "a\x1b"
    folder.mkdir()

    place = f"{command.folder}/a\\x1b or one level down"
    said = f"coveralls: there is no job to send: no job*.json in {place}"
    assert command("send", str(folder)) == (0, [said])


def test_the_worst_file_decides_on_the_exit_status(command: Command) -> None:
    """And does not stop the others."""
    command.job("a.json")
    (command.folder / "b.json").write_text("{")
    command.job("c.json")
    command.server.respond(503)

    ended, said = command("send", "a.json", "b.json", "c.json")

    assert (ended, len(command.server.requests)) == (2, 2)
    assert [line for line in said if "b.json is not a JSON file: " in line] == said[-1:]
    assert sorted(path.name for path in command.folder.glob("*.json")) == ["a.json", "b.json"]


def test_ctrl_c_ends_the_whole_command(command: Command) -> None:
    command.server.respond(503)
    command.env(COVERALLS_RETRIES="1")
    paths = [command.job(name) for name in ("a.json", "b.json")]

    class Terminal(io.StringIO):
        def write(self, text: str) -> int:
            if "attempt 1" in text:
                raise KeyboardInterrupt
            return super().write(text)

    terminal = Terminal()
    command.monkeypatch.setattr("sys.stdout", terminal)

    assert command("send", *map(str, paths))[0] == 130
    assert "failed: interrupted while sending" in terminal.getvalue()
    assert len(command.server.requests) == 1
    assert all(path.exists() for path in paths)


HEAD, OTHER = "5e837cc" + "0" * 33, "ab" * 20
EVENT = {
    "workflow_run": {
        "id": 4242,
        "run_attempt": 2,
        "html_url": "https://github.com/octo/sample/actions/runs/4242",
        "head_sha": HEAD,
        "head_branch": "topic/y",
        "head_repository": {"full_name": "fork/sample"},
        "pull_requests": [{"number": 12, "base": {"ref": "main"}}],
    },
    "repository": {"full_name": "octo/sample", "default_branch": "main"},
}
OF_THE_FILE: dict[str, Any] = {
    "flag_name": "py312",
    "parallel": True,
    "run_at": "2026-02-18T00:52:48Z",
    "service_job_id": "test-3.12",
    "service_job_number": "7",
}
FORGED: dict[str, Any] = {
    **dict.fromkeys(("service_name", "service_branch", "repo_name"), "forged"),
    **dict.fromkeys(("service_number", "service_pull_request", "service_attempt"), "1"),
    **dict.fromkeys(("service_build_url", "service_job_url"), "https://example.org/"),
    "git": {"head": {"id": HEAD, "message": "Trust me"}, "branch": "main"},
}


@pytest.fixture
def follows(command: Command) -> Command:
    """A workflow that follows another one, with a token of GitHub's."""
    command.env(**GITHUB, COVERALLS_REPO_TOKEN="ghs_x1234567", GITHUB_EVENT_NAME="workflow_run")
    path = command.folder / "event.json"
    path.write_text(json.dumps(EVENT))
    command.env(GITHUB_EVENT_PATH=str(path))
    return command


def test_the_event_says_who_built_what(follows: Command) -> None:
    """The file says what tells the jobs of a build apart; an ini file there says nothing."""
    ini = f"[pytest]\ncoveralls_commit_sha = {OTHER}\ncoveralls_service_branch = main2\n"
    (follows.folder / "pytest.ini").write_text(ini)
    path = follows.job(**OF_THE_FILE, **FORGED, commit_sha=HEAD)

    status, said = follows("send", str(path))

    assert status == 0, said
    (job,) = follows.server.jobs
    run = "https://github.com/octo/sample/actions/runs/4242"
    assert job == {
        **OF_THE_FILE,
        "repo_token": "ghs_x1234567",
        "service_name": "github",
        "service_number": "4242",
        "service_attempt": "2",
        "service_build_url": run,
        "service_job_url": run,
        "service_pull_request": "12",
        "service_branch": "topic/y",
        "repo_name": "octo/sample",
        "commit_sha": HEAD,
        "git": {
            "head": {"id": HEAD},
            "branch": "topic/y",
            "remotes": [{"name": "origin", "url": "https://github.com/octo/sample.git"}],
        },
        "source_files": [FILE],
    }


@pytest.mark.parametrize(
    ("event", "fields", "said"),
    [
        (EVENT, {"commit_sha": OTHER}, f"it is of commit {OTHER}, but the run that"),
        (EVENT, {"git": {"head": {"id": OTHER}}}, f"it is of commit {OTHER}, but the run that"),
        (EVENT, {"service_number": "4242"}, "it is of commit unknown, but the run that"),
        ({}, {"commit_sha": HEAD}, f"it is of commit {HEAD}, but the run that"),
        ([], {}, "it is of commit unknown, but the run that"),
    ],
)
def test_a_file_of_another_commit_is_refused(
    follows: Command, event: object, fields: dict[str, Any], said: str
) -> None:
    (follows.folder / "event.json").write_text(json.dumps(event))
    path = follows.job(**fields)

    status, lines = follows("send", str(path))

    assert status == 1
    assert lines[-1].startswith(f"coveralls: {path} is not sent: {said}")
    assert follows.server.requests == []
    assert path.exists()


@pytest.mark.parametrize("fields", [{}, {**OF_THE_FILE, "commit_sha": HEAD}])
def test_a_flag_beats_the_file_of_a_fork(follows: Command, fields: dict[str, Any]) -> None:
    """A variable counts only for a file that claims nothing."""
    follows.env(COVERALLS_SERVICE_JOB_ID="here")

    follows("send", str(follows.job(**fields)), "--coveralls-flag-name=web")

    (job,) = follows.server.jobs
    assert (job["commit_sha"], job["service_number"]) == (HEAD, "4242")
    assert (job["flag_name"], job["service_job_id"]) == ("web", "test-3.12" if fields else "here")


HOSTILE = "::set-output name=a::b ##vso[task.setvariable variable=a]b\x1b[31m\u202e.py"


@pytest.mark.parametrize("answer", [200, 503])
def test_nothing_of_a_file_commands_the_runner(follows: Command, answer: int) -> None:
    """Later steps get only the server's link."""
    places = {name: follows.folder / name for name in ("OUTPUT", "ENV", "STEP_SUMMARY")}
    follows.env(**{f"GITHUB_{name}": str(path) for name, path in places.items()})
    if answer != 200:
        follows.server.respond(answer)
    fields = {**OF_THE_FILE, "flag_name": HOSTILE, "commit_sha": HEAD}
    path = follows.job(f"{HOSTILE}.json", **fields, source_files=[{**FILE, "name": HOSTILE}])
    damaged = follows.job("b.json", **{HOSTILE: 1})

    _, said = follows("send", "-v", path.name, damaged.name)
    follows.server.findings.clear()

    outputs = places["OUTPUT"].read_text() if places["OUTPUT"].exists() else ""
    link = f"coveralls-url={follows.server.url}/jobs/105971882\n"
    assert outputs == link * (answer == 200)
    assert not places["ENV"].exists()
    shown = "\n".join([*said, places["STEP_SUMMARY"].read_text()])
    assert not {"\x1b", "\u202e"} & set(shown)
    for line in shown.splitlines():
        assert "##vso[" not in line
        assert not line.lstrip().startswith("::") or "::warning title=Coveralls::503" in line
