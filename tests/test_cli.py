"""Where the commands have their settings from, and what they leave alone."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from commanding import Command
from standin import Build


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

    url = command.server.url
    closed = f"coveralls: closed build 77 on {url}, 2 jobs -> {url}/builds/77"
    assert (status, said) == (0, [closed])


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
                "expected 1/true/yes/on or 0/false/no/off"
            )
        ],
    )


@pytest.mark.parametrize(
    "words", [["finish", "--coveralls-service-number=77"], ["send", "job.json"]]
)
def test_unverified_tls_is_warned_of(command: Command, build: Build, words: list[str]) -> None:
    """Each time the token is sent so."""
    command.env(COVERALLS_SKIP_SSL_VERIFY="true")
    command.job()

    status, said = command(*words)

    assert status == 0
    url = command.server.url
    assert said[0] == (f"coveralls: TLS is not verified for {url}: others can read the token")


def test_an_interruption_is_one_line(command: Command) -> None:
    """Ctrl-C while standard input is waited for: the usual status, no traceback."""

    class Waits:
        def read(self, _: int) -> bytes:
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


# -- under workflow_run --------------------------------------------------------------------------

ELSEWHERE = "https://coveralls.example.org"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pytest.ini", f"[pytest]\ncoveralls_host = {ELSEWHERE}\n"),
        ("pytest.ini", "[pytest\n"),
        ("pyproject.toml", f'[tool.pytest.ini_options]\ncoveralls_host = "{ELSEWHERE}"\n'),
        (".coveralls.yml", f"endpoint: {ELSEWHERE}\n"),
        (".coveralls.yml", "- [\n"),
    ],
)
def test_under_workflow_run_no_file_is_read(
    command: Command, build: Build, name: str, text: str
) -> None:
    (command.folder / "pytest.ini").unlink()
    (command.folder / name).write_text(text)
    command.env(GITHUB_EVENT_NAME="workflow_run", COVERALLS_HOST="")

    status, said = command(
        "finish", "--coveralls-service-number=77", f"--coveralls-host={command.server.url}"
    )

    assert (status, build.closed) == (0, True), said
    status, said = command("finish", "--coveralls-dry-run", "--coveralls-service-number=77")
    assert "coveralls.io" in said[-1]


@pytest.mark.parametrize("event", ["push", ""])
def test_other_events_read_the_ini_file(command: Command, build: Build, event: str) -> None:
    (command.folder / "pytest.ini").write_text("[pytest]\ncoveralls_service_number = 77\n")
    command.env(GITHUB_EVENT_NAME=event)

    assert command("finish")[0] == 0
    assert build.closed
