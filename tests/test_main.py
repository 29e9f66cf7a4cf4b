"""``python -m pytest_coveralls_submit``: closing a parallel build, sending a job from a file."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from standin import COVERALLS_TOKEN, Build, StandIn

from pytest_coveralls_submit import __version__
from pytest_coveralls_submit.__main__ import main

DIGEST = "0123456789abcdef" * 2
FILE = {"name": "a.py", "source_digest": DIGEST, "coverage": [1, None, 0, 1]}
GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_REPOSITORY": "octo/sample",
    "GITHUB_RUN_ID": "9001",
    "GITHUB_JOB": "test",
    "GITHUB_SERVER_URL": "https://github.com",
}


class Command:
    """Runs a command in a directory of its own, against a server, with a token."""

    def __init__(
        self,
        folder: Path,
        server: StandIn,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.folder, self.server = folder, server
        self.monkeypatch, self.capsys = monkeypatch, capsys
        self.error = ""
        monkeypatch.chdir(folder)
        # What the command does to its process is undone after the test.
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        self.env(
            COVERALLS_HOST=server.url, COVERALLS_REPO_TOKEN=COVERALLS_TOKEN, COVERALLS_RETRIES="0"
        )

    def env(self, **variables: str) -> None:
        """Set variables; an empty text unsets one."""
        for name, value in variables.items():
            self.monkeypatch.setenv(name, value)

    def __call__(self, *arguments: str) -> tuple[int, list[str]]:
        """Run the command; return exit status and lines, those of errors last."""
        self.capsys.readouterr()
        status = main(arguments)
        said = self.capsys.readouterr()
        assert COVERALLS_TOKEN not in said.out + said.err
        return status, [*said.out.splitlines(), *said.err.splitlines()]

    def job(self, name: str = "job.json", **fields: Any) -> Path:
        """Write a job as it is kept."""
        path = self.folder / name
        path.write_text(json.dumps({"source_files": [FILE], **fields}))
        return path


@pytest.fixture
def command(
    tmp_path: Path,
    server: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """See above; the working directory is a project's."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return Command(tmp_path.resolve(), server, monkeypatch, capsys)


@pytest.fixture
def build(server: StandIn) -> Build:
    """A parallel build with number 77 that is open."""
    return server.builds.setdefault("77", Build("77"))


# -- the command line --------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--help"], ["finish", "--help"], ["send", "--help"]])
def test_help_is_there(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """For the whole and for each command, with the settings as flags."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    said = capsys.readouterr().out
    assert ended.value.code == 0
    expected = "COMMAND" if len(arguments) == 1 else "--coveralls-service-number"
    assert expected in said


def test_every_setting_with_a_flag_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    """The flags are those of pytest."""
    with pytest.raises(SystemExit):
        main(["finish", "--help"])

    said = capsys.readouterr().out
    for flag in ("--coveralls-host", "--coveralls-carryforward", "--no-coveralls-compress"):
        assert flag in said
    assert "--coveralls-repo-token " not in said


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """As other programs do."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])

    assert ended.value.code == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize("arguments", [[], ["close"], ["send"], ["finish", "--nonsense"]])
def test_a_wrong_call_is_a_usage_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, as argparse has it."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert "usage: pytest-coveralls-submit" in capsys.readouterr().err


def test_it_runs_as_a_module(tmp_path: Path) -> None:
    """``python -m``, in any directory."""
    ended = subprocess.run(
        [sys.executable, "-m", "pytest_coveralls_submit", "finish"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 2
    assert ended.stderr.startswith("coveralls: there is no build number: ")


# -- finish ------------------------------------------------------------------------------------


def test_finish_closes_a_build(command: Command, build: Build) -> None:
    """And says which and where."""
    status, said = command("finish", "--coveralls-service-number=77")

    assert (status, said) == (0, [f"coveralls: closed build 77 on {command.server.url}"])
    assert build.closed
    assert build.carryforward is None


def test_finish_knows_the_number_from_the_ci_service(command: Command, build: Build) -> None:
    """The same variables as for the jobs."""
    command.env(CI_NAME="test-ci", CI_BUILD_NUMBER="77")

    assert command("finish")[0] == 0
    assert build.closed


def test_finish_hands_over_the_flags_to_carry_forward(command: Command, build: Build) -> None:
    """As one text."""
    command.env(COVERALLS_CARRYFORWARD_FLAGS="unit,web")

    command("finish", "--coveralls-service-number=77")

    assert build.carryforward == "unit,web"


def test_finish_sends_the_token_in_the_body_alone(command: Command, build: Build) -> None:
    """Addresses stand in logs."""
    command("finish", "--coveralls-service-number=77")

    (request,) = command.server.requests
    assert (request.path, request.query) == ("/webhook", "")
    assert json.loads(request.body) == {
        "repo_token": COVERALLS_TOKEN,
        "payload": {"build_num": "77", "status": "done"},
    }
    assert request.headers["Content-Type"] == "application/json"


def test_finish_with_a_github_token_names_the_repository(command: Command, server: StandIn) -> None:
    """Coveralls cannot find it otherwise."""
    server.builds["9001"] = Build("9001")
    command.env(**GITHUB, COVERALLS_REPO_TOKEN="", GITHUB_TOKEN="ghs_abc")

    status, _ = command("finish")

    assert status == 0
    assert json.loads(server.requests[0].body)["repo_name"] == "octo/sample"


@pytest.mark.parametrize("refusal", [200, 404])
def test_finish_explains_that_there_is_no_such_build(
    command: Command, server: StandIn, refusal: int
) -> None:
    """Both statuses were seen; either is a failure."""
    server.webhook_refusal_status = refusal

    status, said = command("finish", "--coveralls-service-number=78")

    assert status == 1
    assert said[0].startswith(
        f"coveralls: failed: build 78 was not closed: {refusal} "
        "No build matching CI build number 78 found"
    )
    assert said[1] == (
        "coveralls: no job was sent under the number 78: it must be the service number of the jobs,"
    )


def test_finish_explains_that_the_build_was_closed_before(command: Command, build: Build) -> None:
    """It does not pretend to have done it."""
    build.closed = True

    status, said = command("finish", "--coveralls-service-number=77")

    assert status == 1
    assert said[-1] == "coveralls: the build was closed before"


def test_finish_explains_a_wrong_token(command: Command, build: Build) -> None:
    """As for a job."""
    command.env(COVERALLS_REPO_TOKEN="wrong")

    status, said = command("finish", "--coveralls-service-number=77")

    assert status == 1
    assert "Couldn't find a repository matching this job." in said[0]
    assert any("copy it again from the repository's page" in line for line in said)
    assert not build.closed


def test_finish_tries_again(command: Command, build: Build, server: StandIn) -> None:
    """An outage is not the end of a build."""
    server.respond(503)

    status, said = command("finish", "--coveralls-service-number=77", "--coveralls-retries=1")

    assert status == 0
    assert said[0].startswith("coveralls: attempt 1 of 2: 503 ")
    assert build.closed


def test_finish_tries_again_where_the_first_attempt_may_have_arrived(
    command: Command, build: Build, server: StandIn
) -> None:
    """Closing twice does no harm: a build that the lost answer had closed is closed."""
    server.respond(504, stored=True)

    status, _ = command("finish", "--coveralls-service-number=77", "--coveralls-retries=1")

    assert build.closed
    assert status == 0


def test_finish_without_a_number_says_where_to_find_it(command: Command) -> None:
    """A usage error."""
    assert command("finish") == (
        2,
        [
            (
                "coveralls: there is no build number: set --coveralls-service-number to the number "
                "that the header of the test runs shows"
            )
        ],
    )


def test_finish_without_a_token_closes_nothing(command: Command, build: Build) -> None:
    """And fails: the build stays open."""
    command.env(COVERALLS_REPO_TOKEN="")

    status, said = command("finish", "--coveralls-service-number=77")

    assert status == 1
    assert said == [
        (
            "coveralls: not closed: no token: set COVERALLS_REPO_TOKEN "
            "(from the repository's page on Coveralls)"
        )
    ]
    assert command.server.requests == []


def test_finish_as_a_dry_run_sends_nothing(command: Command, build: Build) -> None:
    """It says what it would do."""
    url = command.server.url

    assert command("finish", "--coveralls-service-number=77", "--coveralls-dry-run") == (
        0,
        [f"coveralls: would close build 77 on {url}; this is a dry run"],
    )
    assert command.server.requests == []


def test_notices_are_told(command: Command, build: Build) -> None:
    """A misspelt variable for instance."""
    command.env(COVERALLS_PARALEL="1")

    _, said = command("finish", "--coveralls-service-number=77")

    expected = "coveralls: COVERALLS_PARALEL is no setting; the nearest is COVERALLS_PARALLEL"
    assert said[0] == expected


# -- where settings come from ------------------------------------------------------------------


def test_the_ini_file_of_the_root_directory_is_read(command: Command, build: Build) -> None:
    """Also from a directory below."""
    (command.folder / "pytest.ini").write_text("[pytest]\ncoveralls_service_number = 77\n")
    below = command.folder / "a" / "b"
    below.mkdir(parents=True)
    command.monkeypatch.chdir(below)

    assert command("finish")[0] == 0
    assert build.closed


def test_coveralls_yml_is_read(command: Command, build: Build) -> None:
    """As by the plugin."""
    pytest.importorskip("yaml")
    (command.folder / ".coveralls.yml").write_text("service_number: 77\n")

    assert command("finish")[0] == 0
    assert build.closed


HARMLESS = {
    "addopts": "addopts = --no-such-flag -n 4 --cov=x",
    "required_plugins": "required_plugins = pytest-nonsense>=99",
    "minversion": "minversion = 99",
    "filterwarnings": "filterwarnings = error::no_such_package.NoSuchWarning",
    "pythonpath": "pythonpath = gone",
    "testpaths": "testpaths = gone",
    "unknown": "no_such_key = 1",
    "ours": "coveralls = true",
    "workers": "log_level = INFO\nxfail_strict = true",
}


@pytest.mark.parametrize("line", HARMLESS.values(), ids=HARMLESS)
def test_what_else_stands_in_the_ini_file_is_harmless(
    command: Command, build: Build, line: str
) -> None:
    """A CI job that closes a build installs neither the project nor its plugins."""
    if line == HARMLESS["minversion"] and pytest.version_tuple < (9,):
        pytest.skip("only the ini file counts there, and pytest says so")
    ini = f"[pytest]\ncoveralls_service_number = 77\n{line}\n"
    (command.folder / "pytest.ini").write_text(ini)

    status, said = command("finish")

    assert (status, said) == (0, [f"coveralls: closed build 77 on {command.server.url}"])


def test_conftests_are_not_imported(command: Command, build: Build) -> None:
    """They import what is not installed."""
    (command.folder / "conftest.py").write_text("raise SystemExit('imported')\n")
    (command.folder / "tests").mkdir()
    (command.folder / "tests" / "conftest.py").write_text("import no_such_module\n")

    assert command("finish", "--coveralls-service-number=77")[0] == 0


def test_variables_of_pytest_are_not_heeded(command: Command, build: Build) -> None:
    """They are for test runs."""
    command.env(PYTEST_ADDOPTS="--no-such-flag", PYTEST_PLUGINS="no_such_plugin")

    assert command("finish", "--coveralls-service-number=77")[0] == 0


def test_a_damaged_ini_file_is_a_usage_error(command: Command) -> None:
    """What is wrong says pytest, we that it ends here."""
    (command.folder / "pytest.ini").write_text("[pytest\n")

    status, said = command("finish", "--coveralls-service-number=77")

    assert status == 2
    assert said[-1] == "coveralls: pytest cannot read its configuration here"


def test_a_value_that_cannot_be_used_is_a_usage_error(command: Command) -> None:
    """The message is the plugin's, control characters escaped."""
    command.env(COVERALLS_PARALLEL="\x1b[31mmaybe")

    assert command("finish") == (
        2,
        [
            (
                'coveralls: COVERALLS_PARALLEL is "\\x1b[31mmaybe": '
                "it takes 1/true/yes/on or 0/false/no/off"
            )
        ],
    )


def test_an_interruption_is_one_line(command: Command) -> None:
    """Ctrl-C while standard input is waited for: the usual status, no traceback."""

    class Waits:
        def read(self) -> bytes:
            raise KeyboardInterrupt

    command.monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=Waits()))

    assert command("send", "-") == (130, ["coveralls: interrupted"])


def test_the_environment_is_as_it_was_afterwards(
    command: Command, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who calls ``main`` from a program keeps the variables."""
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    command.env(PYTEST_ADDOPTS="-q")

    command("finish", "--coveralls-service-number=77")

    assert os.environ.get("PYTEST_ADDOPTS") == "-q"
    assert "PYTEST_DISABLE_PLUGIN_AUTOLOAD" not in os.environ


# -- send --------------------------------------------------------------------------------------


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
    again = "python -m pytest_coveralls_submit send job.json"
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
        ("github-actions", {"COVERALLS_REPO_TOKEN": "ghs_x"}, ("github", "octo/sample")),
        ("github", {"COVERALLS_REPO_TOKEN": COVERALLS_TOKEN}, ("github-actions", None)),
        ("github", {"COVERALLS_REPO_TOKEN": "ghs_x"}, ("github", "octo/sample")),
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
    command.env(COVERALLS_REPO_TOKEN="ghp_x")
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

    assert any("finish --coveralls-service-number=77" in line for line in said)
