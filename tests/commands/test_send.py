"""``send`` sends what was kept or saved."""

from __future__ import annotations

import io
import json
import os
from typing import Any

import pytest
from commanding import FILE, GITHUB, Command
from standin import COVERALLS_TOKEN, StandIn


def test_send_sends_a_kept_job_and_removes_it(command: Command, server: StandIn) -> None:
    """Once it is accepted."""
    path = command.job(service_name="test-ci", service_number="77", run_at="2026-02-18T00:52:48Z")

    status, said = command("send", str(path))

    assert (status, said) == (
        0,
        [f"coveralls: sent 1 file, 66.67% covered -> {server.url}/jobs/105971882"],
    )
    assert not path.exists()
    assert server.jobs == [
        {
            "repo_token": COVERALLS_TOKEN,
            "service_name": "test-ci",
            "service_number": "77",
            "run_at": "2026-02-18T00:52:48Z",
            "source_files": [FILE],
        }
    ]


def test_send_says_more_where_it_is_asked_to(command: Command) -> None:
    """Sizes and times."""
    path = command.job()

    _, said = command("send", "-v", str(path))

    assert len(said) > 1
    assert said[-1].endswith(" s, 1 attempt")


def test_send_keeps_a_job_that_is_not_accepted(command: Command, server: StandIn) -> None:
    """And says how to send it again."""
    path = command.job(service_number="77")
    server.respond(503)

    status, said = command("send", "job.json")

    assert status == 1
    assert said[0].startswith("coveralls: failed: 503 ")
    again = f"python -m pytest_coveralls_submit send --coveralls-host={server.url} job.json"
    assert f"coveralls: kept in job.json; send it with: {again}" in said
    assert path.exists()


def test_send_without_a_token_sends_nothing(command: Command, server: StandIn) -> None:
    """And fails: that was the whole purpose."""
    command.env(COVERALLS_REPO_TOKEN="")
    path = command.job()

    status, said = command("send", str(path))

    assert status == 1
    assert said[0].startswith("coveralls: not sent: no token: ")
    assert path.exists()
    assert server.requests == []


def test_send_as_a_dry_run_checks_the_job(command: Command, server: StandIn) -> None:
    """And keeps it."""
    path = command.job()

    assert command("send", "--coveralls-dry-run", str(path)) == (
        0,
        ["coveralls: built 1 file, 66.67% covered; not sent, this is a dry run"],
    )
    assert path.exists()
    assert server.requests == []


def test_send_of_a_job_without_lines(command: Command) -> None:
    """Nothing to cover is covered."""
    path = command.job(source_files=[])

    assert "sent 0 files, 100.00% covered" in command("send", str(path))[1][0]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"source_files": [{}]}', '{"source_files": [], "x": 1}']
)
def test_send_names_a_damaged_file(command: Command, server: StandIn, content: str) -> None:
    """One line, nothing sent, nothing removed."""
    path = command.folder / "job.json"
    path.write_text(content)

    status, said = command("send", str(path))

    assert status == 2
    assert len(said) == 1
    assert said[0].startswith(f"coveralls: {path}")
    assert path.exists()
    assert server.requests == []


def test_send_names_a_missing_file(command: Command) -> None:
    """With the system's reason."""
    status, said = command("send", "gone.json")

    expected = "coveralls: gone.json cannot be read: No such file or directory"
    assert (status, said) == (2, [expected])


def test_send_reads_standard_input(command: Command, server: StandIn) -> None:
    """For ``-``; there is nothing to remove."""
    content = json.dumps({"source_files": [FILE], "service_number": "5"}).encode()
    command.monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))

    assert command("send", "-")[0] == 0
    assert server.jobs[0]["service_number"] == "5"


def test_send_gives_source_files_alone_the_identity_of_the_checkout(
    command: Command, server: StandIn
) -> None:
    """The official reporter's format has no commit and no service."""
    command.env(CI_NAME="test-ci", CI_BUILD_NUMBER="77", CI_COMMIT_ID="a" * 40)
    path = command.job(source_files=[{"name": "a.go", "coverage": [1, 0]}])
    server.findings.clear()

    status, _ = command("send", str(path), "--coveralls-flag-name=go")

    (job,) = server.jobs
    assert status == 0
    assert (job["service_name"], job["service_number"], job["flag_name"]) == (
        "test-ci",
        "77",
        "go",
    )
    assert job["git"] == {"head": {"id": "a" * 40}}
    # Without digest and source Coveralls shows the file all the same.
    server.findings.clear()


@pytest.mark.parametrize(
    ("kept", "env", "sent"),
    [
        ("github-actions", {"COVERALLS_REPO_TOKEN": "ghs_x1234567"}, ("github", "octo/sample")),
        ("github", {"COVERALLS_REPO_TOKEN": COVERALLS_TOKEN}, ("github-actions", None)),
        ("github", {"COVERALLS_REPO_TOKEN": "ghs_x1234567"}, ("github", "octo/sample")),
        ("my-ci", {"COVERALLS_REPO_TOKEN": COVERALLS_TOKEN}, ("my-ci", None)),
    ],
)
def test_send_fits_the_service_name_to_the_token(
    command: Command,
    server: StandIn,
    kept: str,
    env: dict[str, str],
    sent: tuple[str, str | None],
) -> None:
    """The job may have been built where there was another token or none."""
    command.env(**GITHUB, **env)
    path = command.job(service_name=kept, service_number="9001")

    status, said = command("send", str(path))

    assert status == 0, said
    (job,) = server.jobs
    assert (job["service_name"], job.get("repo_name")) == sent


def test_send_takes_the_repository_from_a_flag(command: Command, server: StandIn) -> None:
    """On a developer's machine no variable names it."""
    command.env(COVERALLS_REPO_TOKEN="ghp_x1234567")
    path = command.job(service_name="github-actions", service_number="9001")

    status, said = command("send", str(path), "--coveralls-repo-name=octo/sample")

    assert status == 0, said
    assert server.jobs[0]["repo_name"] == "octo/sample"


def test_send_heeds_a_flag_over_what_the_file_says(command: Command, server: StandIn) -> None:
    """A setting that is given on the command line is not passed over in silence."""
    path = command.job(service_name="test-ci", service_number="1")

    command("send", str(path), "--coveralls-service-number=2", "--coveralls-flag-name=web")

    assert (server.jobs[0]["service_number"], server.jobs[0].get("flag_name")) == ("2", "web")


def test_send_tells_how_to_close_the_build_that_the_job_is_in(
    command: Command, server: StandIn
) -> None:
    """By the job's own number, wherever it is sent from."""
    path = command.job(service_name="test-ci", service_number="77", parallel=True)

    _, said = command("send", str(path))

    assert any(line.endswith("--coveralls-service-number=77") for line in said)


# -- several -----------------------------------------------------------------------------------


def test_send_takes_files_and_folders_the_oldest_job_of_a_folder_first(
    command: Command, server: StandIn
) -> None:
    """What else lies in a folder stays there."""
    (command.folder / "kept").mkdir()
    for age, name in enumerate(("kept/job-new.json", "kept/job-old.json", "one.json")):
        path = command.job(name, service_job_id=name)
        os.utime(path, (1e9 - age, 1e9 - age))
    (command.folder / "kept" / "notes.json").write_text("{}")

    status, said = command("send", "one.json", "kept")

    assert (status, len(said)) == (0, 3)
    ids = [job["service_job_id"] for job in server.jobs]
    assert ids == ["one.json", "kept/job-old.json", "kept/job-new.json"]
    assert [path.name for path in command.folder.rglob("*.json")] == ["notes.json"]


def test_send_of_an_empty_folder_is_no_failure(command: Command) -> None:
    """There is nothing to do; the name is escaped."""
    folder = command.folder / "a\x1b"
    folder.mkdir()

    place = f"{command.folder}/a\\x1b or one level down"
    said = f"coveralls: there is no job to send: no job*.json in {place}"
    assert command("send", str(folder)) == (0, [said])


@pytest.mark.parametrize("answer", [200, 503])
def test_send_sends_the_rest_where_one_file_is_damaged(
    command: Command, server: StandIn, answer: int
) -> None:
    """The worst decides on the exit status."""
    command.job("a.json")
    (command.folder / "b.json").write_text("{")
    command.job("c.json")
    if answer != 200:
        server.respond(answer)

    ended, said = command("send", "a.json", "b.json", "c.json")

    assert ended == 2
    assert len(server.requests) == 2
    assert [line for line in said if "b.json is not a JSON file: " in line] == said[-1:]
    assert (command.folder / "a.json").exists() == (answer != 200)
    assert not (command.folder / "c.json").exists()


def test_send_ends_where_it_is_interrupted(command: Command, server: StandIn) -> None:
    """Ctrl-C is for the whole command; what was not sent is still there."""
    server.respond(503)
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
    assert len(server.requests) == 1
    assert all(path.exists() for path in paths)


def test_send_tells_notices(command: Command) -> None:
    """A misspelt variable for instance, once."""
    command.env(COVERALLS_PARALEL="1")
    paths = [str(command.job(name)) for name in ("a.json", "b.json")]

    _, said = command("send", *paths)

    assert [line for line in said if "COVERALLS_PARALEL" in line] == said[:1]


# -- after a run that may be a fork's ----------------------------------------------------------

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
    "service_name": "travis-ci",
    "service_number": "1",
    "service_branch": "main",
    "service_pull_request": "1",
    "service_attempt": "9",
    "service_build_url": "https://example.org/",
    "service_job_url": "https://example.org/",
    "repo_name": "octo/other",
    "git": {"head": {"id": HEAD, "message": "Trust me"}, "branch": "main"},
}
"""What somebody would write into a file to have it taken for the repository's own."""


@pytest.fixture
def follows(command: Command) -> Command:
    """A workflow that follows another one, with a token of GitHub's."""
    command.env(**GITHUB, COVERALLS_REPO_TOKEN="ghs_x1234567", GITHUB_EVENT_NAME="workflow_run")
    follow(command)
    return command


def follow(command: Command, event: object = EVENT, **run: object) -> None:
    """Write the event's file."""
    if isinstance(event, dict) and run:
        event = {**event, "workflow_run": {**event["workflow_run"], **run}}
    path = command.folder / "event.json"
    path.write_text(json.dumps(event))
    command.env(GITHUB_EVENT_PATH=str(path))


def test_send_takes_who_built_what_from_the_event(follows: Command, server: StandIn) -> None:
    """Of the file it takes what tells the jobs of a build apart, and what was measured."""
    path = follows.job(**OF_THE_FILE, **FORGED, commit_sha=HEAD)

    status, said = follows("send", str(path))

    assert status == 0, said
    (job,) = server.jobs
    assert job == {
        **OF_THE_FILE,
        "repo_token": "ghs_x1234567",
        "service_name": "github",
        "service_number": "4242",
        "service_attempt": "2",
        "service_build_url": "https://github.com/octo/sample/actions/runs/4242",
        "service_job_url": "https://github.com/octo/sample/actions/runs/4242",
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


def test_send_files_no_fork_under_the_default_branch(follows: Command, server: StandIn) -> None:
    """A fork's ``main`` without a known pull request is the fork's."""
    follow(follows, head_branch="main", pull_requests=[])

    follows("send", str(follows.job(commit_sha=HEAD, service_branch="main")))

    (job,) = server.jobs
    assert (job["service_branch"], job["git"]["branch"]) == ("fork/main", "fork/main")


@pytest.mark.parametrize(
    ("event", "fields", "said"),
    [
        (EVENT, {"commit_sha": OTHER}, f"it is of commit {OTHER}, but the run that"),
        (EVENT, {"git": {"head": {"id": OTHER}}}, f"it is of commit {OTHER}, but the run that"),
        (EVENT, {"service_number": "4242"}, "it is of commit unknown, but the run that"),
        ({}, {"commit_sha": HEAD}, "the event of this workflow_run names no commit"),
        ({}, {}, "the event of this workflow_run names no commit"),
        ([], {"commit_sha": HEAD}, "the event of this workflow_run names no commit"),
    ],
)
def test_send_refuses_a_file_that_is_not_of_the_events_commit(
    follows: Command, server: StandIn, event: object, fields: dict[str, Any], said: str
) -> None:
    """One line, nothing sent, the file stays."""
    follow(follows, event)
    path = follows.job(**fields)

    status, lines = follows("send", str(path))

    assert status == 1
    assert lines[-1].startswith(f"coveralls: {path} is not sent: {said}")
    assert len(lines) == 1 + isinstance(event, list)  # what is wrong with the event's file
    assert server.requests == []
    assert path.exists()


def test_files_of_a_checkout_do_not_overrule_the_event(follows: Command, server: StandIn) -> None:
    """It may be the fork's: what an ini file says of commit and branch is its word."""
    settings = {"commit_sha": OTHER, "service_branch": "main2", "repo_name": "o/r"}
    text = "\n".join(f"coveralls_{name} = {value}" for name, value in settings.items())
    (follows.folder / "pytest.ini").write_text(f"[pytest]\n{text}\ncoveralls_flag_name = a\n")

    assert follows("send", str(follows.job(commit_sha=OTHER)))[0] == 1
    assert server.requests == []
    follows("send", str(follows.job(commit_sha=HEAD)))

    (job,) = server.jobs
    assert (job["commit_sha"], job["service_branch"]) == (HEAD, "topic/y")


def test_a_run_that_follows_a_forks_is_told_to_set_its_secret(follows: Command) -> None:
    """Unlike the fork's own it would have it."""
    follows.env(GITHUB_TOKEN="", COVERALLS_REPO_TOKEN="")

    _, (line,) = follows("send", str(follows.job(commit_sha=HEAD)))

    assert line.startswith("coveralls: not sent: no token: set COVERALLS_REPO_TOKEN")


def test_send_gives_a_file_without_identity_the_events(follows: Command, server: StandIn) -> None:
    """It claims nothing; flags and variables of this workflow tell which job it is."""
    follows.env(COVERALLS_PARALLEL="true")

    follows("send", str(follows.job()), "--coveralls-flag-name=web")

    (job,) = server.jobs
    assert (job["commit_sha"], job["service_number"]) == (HEAD, "4242")
    assert (job["flag_name"], job["parallel"]) == ("web", True)


def test_send_heeds_a_flag_over_a_fork_file(follows: Command, server: StandIn) -> None:
    """What is typed comes from whoever wrote this workflow; variables may be another job's."""
    follows.env(COVERALLS_SERVICE_JOB_ID="here")

    follows("send", str(follows.job(**OF_THE_FILE, commit_sha=HEAD)), "--coveralls-flag-name=web")

    (job,) = server.jobs
    assert (job["flag_name"], job["service_job_id"]) == ("web", "test-3.12")


HOSTILE = "::set-output name=a::b ##vso[task.setvariable variable=a]b\x1b[31m\u202e.py"


@pytest.mark.parametrize("answer", [200, 503])
def test_nothing_of_a_file_commands_the_runner(
    follows: Command, server: StandIn, answer: int
) -> None:
    """Later steps get the server's link alone; what is shown is escaped."""
    places = {name: follows.folder / name for name in ("OUTPUT", "ENV", "STEP_SUMMARY")}
    follows.env(**{f"GITHUB_{name}": str(path) for name, path in places.items()})
    if answer != 200:
        server.respond(answer)
    fields = {**OF_THE_FILE, "flag_name": HOSTILE, "commit_sha": HEAD}
    path = follows.job(f"{HOSTILE}.json", **fields, source_files=[{**FILE, "name": HOSTILE}])
    server.tokens.add("ghs_x1234567")

    _, said = follows("send", "-v", path.name)
    server.findings.clear()

    outputs = places["OUTPUT"].read_text() if places["OUTPUT"].exists() else ""
    assert outputs == (f"coveralls-url={server.url}/jobs/105971882\n" if answer == 200 else "")
    assert not places["ENV"].exists()
    shown = "\n".join([*said, places["STEP_SUMMARY"].read_text()])
    assert not {"\x1b", "\u202e"} & set(shown)
    for line in shown.splitlines():
        assert "##vso[" not in line
        assert not line.lstrip().startswith("::") or "::warning title=Coveralls::503" in line


@pytest.mark.parametrize(
    "fields",
    [
        {"source_files": [{**FILE, "name": HOSTILE, "coverage": ["x"]}]},
        {HOSTILE: 1},
        {"commit_sha": HOSTILE},
    ],
    ids=["name", "field", "commit"],
)
def test_what_is_said_of_a_damaged_file_is_escaped(
    follows: Command, fields: dict[str, Any]
) -> None:
    """One line, whatever stands in it."""
    status, (line,) = follows("send", str(follows.job(**fields)))

    assert status == (1 if "commit_sha" in fields else 2)
    assert line.startswith("coveralls: ")
    assert not {"\x1b", "\u202e"} & set(line)
    assert "##vso[" not in line
