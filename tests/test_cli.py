"""The command line: arguments, settings, exit status, and what is left alone."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
from types import SimpleNamespace

import pytest
from commanding import Command
from git_repository import posix
from standin import Build

from pytest_coveralls_submit import __version__
from pytest_coveralls_submit.cli import main

NUMBER = "--coveralls-service-number=77"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--help"], ["COMMAND", "finish", "report", "send"]),
        (["report", "--help"], ["--rcfile", "--coveralls-host", "--no-coveralls-compress"]),
        (["--version"], [__version__]),
    ],
)
def test_help_and_version_are_printed(
    words: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)

    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert all(word in said for word in expected)
    assert "--coveralls-repo-token " not in said


@pytest.mark.parametrize(
    "words",
    [
        *("", "close", "send", "s3cret", "finish -vs3cret", "finish --coveralls-repo-token=s3cret"),
        *("finish --coveralls-repo-token-fil=s3cret", "finish --coveralls-dry-run=s3cret"),
    ],
)
def test_a_wrong_call_is_a_usage_error_that_quotes_nothing(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may hold a token; no flag is completed to another."""
    with pytest.raises(SystemExit) as ended:
        main(words.split())

    said = capsys.readouterr()
    assert ended.value.code == 2
    assert "usage: pytest-coveralls-submit" in said.err
    assert "s3cret" not in said.err + said.out


def test_settings_of_the_root_directory_are_read(command: Command, build: Build) -> None:
    (command.folder / "pytest.ini").write_text("[pytest]\ncoveralls_service_number = 77\n")
    below = command.folder / "a" / "b"
    below.mkdir(parents=True)
    command.monkeypatch.chdir(below)

    assert command("finish")[0] == 0
    assert build.closed


FOR_TESTS = """[pytest]
addopts = --no-such-flag -n 4 --cov=x
required_plugins = pytest-nonsense>=99
filterwarnings = error::no_such_package.NoSuchWarning
pythonpath = gone
testpaths = gone
no_such_key = 1
coveralls = true
coveralls_service_number = 77
"""


def test_what_test_runs_need_is_ignored(command: Command, build: Build) -> None:
    """A CI job that closes a build installs neither the project nor its plugins."""
    (command.folder / "pytest.ini").write_text(FOR_TESTS)
    (command.folder / "conftest.py").write_text("raise SystemExit('imported')\n")
    command.env(PYTEST_ADDOPTS="--no-such-flag", PYTEST_PLUGINS="no_such_plugin")

    status, said = command("finish")

    assert (status, len(said), build.closed) == (0, 1, True), said


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("pytest.ini", "[pytest\n", "pytest cannot read its configuration here"),
        ("setup.cfg", "[pytest]\n", "[pytest] section in setup.cfg files is no longer supported"),
    ],
)
def test_a_damaged_ini_file_is_a_usage_error(
    command: Command, name: str, text: str, said: str
) -> None:
    (command.folder / "pytest.ini").unlink()
    (command.folder / name).write_text(text)

    status, lines = command("finish", NUMBER)

    assert status == 2
    assert lines[-1].startswith(f"coveralls: {said}")


def test_a_value_that_cannot_be_used_is_a_usage_error(command: Command) -> None:
    command.env(COVERALLS_PARALLEL="\x1b[31mmaybe")
    said = 'COVERALLS_PARALLEL is "\\x1b[31mmaybe": expected 1/true/yes/on or 0/false/no/off'

    assert command("finish") == (2, [f"coveralls: {said}"])


def test_an_interruption_is_one_line(command: Command) -> None:
    class Waits(io.BytesIO):
        def read(self, _: int | None = -1) -> bytes:
            raise KeyboardInterrupt

    command.monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=Waits()))

    assert command("send", "-") == (130, ["coveralls: interrupted"])


def test_an_internal_error_shows_no_secret(command: Command, build: Build) -> None:
    def dumps(*_: object, **__: object) -> str:
        raise RuntimeError(f"broken with {os.environ['COVERALLS_REPO_TOKEN']}")

    command.monkeypatch.setattr("json.dumps", dumps)

    said = "coveralls: failed: internal error: RuntimeError: broken with [secret]"
    assert command("finish", NUMBER) == (1, [said])


ELSEWHERE = "https://coveralls.example.org"


@pytest.mark.parametrize("event", ["workflow_run", "push"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pytest.ini", f"[pytest]\ncoveralls_host = {ELSEWHERE}\n"),
        (".coveralls.yml", f"endpoint: {ELSEWHERE}\n"),
    ],
)
def test_a_file_names_the_host_but_not_under_workflow_run(
    command: Command, event: str, name: str, text: str
) -> None:
    if name == ".coveralls.yml":
        pytest.importorskip("yaml")
    (command.folder / "pytest.ini").unlink()
    (command.folder / name).write_text(text)
    command.env(GITHUB_EVENT_NAME=event, COVERALLS_HOST="")

    _, said = command("finish", "--coveralls-dry-run", NUMBER)

    host = ELSEWHERE if event == "push" else "https://coveralls.io"
    assert said[-1] == f"coveralls: would close build 77 on {host}; this is a dry run"


FOREIGN = ("argparse", "json", "pytest", "requests", "urllib3", "pathlib", "difflib", "yaml")


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """Run a line that may name PYTHON."""
    line = line.replace("PYTHON", shlex.quote(sys.executable))
    words = ["bash", "-c", f"set -o pipefail; {line}"]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


@posix
def test_no_module_of_the_current_directory_is_imported(command: Command) -> None:
    """Whoever adds a file to the repository would run with the token at hand."""
    command.job()
    for module in (*FOREIGN, "__future__"):
        (command.folder / f"{module}.py").write_text(f"raise SystemExit('imported {module}')\n")

    ended = shell("PYTHON -m pytest_coveralls_submit send job.json")

    assert (ended.returncode, ended.stderr, len(command.server.jobs)) == (0, "", 1)


@posix
@pytest.mark.parametrize("end", [">&- 2>&-", "| true"])
def test_output_that_nobody_takes_changes_no_exit_status(command: Command, end: str) -> None:
    job = command.job()

    ended = shell(f"PYTHON -m pytest_coveralls_submit send job.json {end}")

    assert (ended.returncode, ended.stderr, len(command.server.jobs)) == (0, "", 1)
    assert not job.exists()
