"""The command line itself: help, wrong calls, running as a module."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from git_repository import posix
from standin import COVERALLS_TOKEN, Build, StandIn

import pytest_coveralls_submit
from pytest_coveralls_submit import __version__
from pytest_coveralls_submit.__main__ import main


@pytest.mark.parametrize(
    "arguments", [["--help"], ["finish", "--help"], ["send", "--help"], ["report", "--help"]]
)
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


@pytest.mark.parametrize("arguments", [[], ["close"], ["send"], ["report", "--nonsense"]])
def test_a_wrong_call_is_a_usage_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, as argparse has it."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert "usage: pytest-coveralls-submit" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["finish", "--coveralls-repo-token=s3cret"],
        ["finish", "--coveralls-repo-token", "s3cret"],
        ["finish", "--coveralls-repo-tok=s3cret"],
        ["finish", "--coveralls-repo-token-fil=s3cret"],
        ["finish", "s3cret"],
        ["s3cret"],
        ["-rs3cret", "finish"],
        ["finish", "-vs3cret"],
        ["finish", "--coveralls-dry-run=s3cret"],
        ["send", "job.json", "--coveralls-gitlab-token=s3cret"],
        ["--coveralls-repo-token=s3cret", "finish"],
    ],
)
def test_what_is_no_flag_is_refused_and_not_quoted(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be a token, and no flag is completed to another."""
    with pytest.raises(SystemExit) as ended:
        main(words)

    said = capsys.readouterr()
    assert ended.value.code == 2
    assert "s3cret" not in said.err + said.out


@pytest.mark.parametrize(
    "module", ["argparse", "json", "pytest", "requests", "pathlib", "__future__", "difflib"]
)
def test_no_module_of_the_current_directory_is_imported(tmp_path: Path, module: str) -> None:
    """Whoever can add a file to the repository would run with the token at hand."""
    (tmp_path / f"{module}.py").write_text("print('HERE'); raise SystemExit(77)\n")
    (tmp_path / "tox.ini").write_text("[pytest]\ncoveralls_service_number = 7\n")
    words = ["finish", "--coveralls-dry-run"]

    ended = subprocess.run(
        [sys.executable, "-m", "pytest_coveralls_submit", *words],
        cwd=tmp_path,
        env={**os.environ, "COVERALLS_REPO_TOKEN": "c0fee-c0fee"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert (
        ended.stdout
        == "coveralls: would close build 7 on https://coveralls.io; this is a dry run\n"
    )


def test_the_package_itself_may_lie_in_the_current_directory(tmp_path: Path) -> None:
    """As in a checkout, or after ``pip install --target .``."""
    package = Path(pytest_coveralls_submit.__file__).parent
    shutil.copytree(package, tmp_path / package.name)

    ended = subprocess.run(
        [sys.executable, "-m", "pytest_coveralls_submit", "--version"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ended.returncode, ended.stdout.strip()) == (0, __version__)


@posix
@pytest.mark.parametrize("end", [">&-", "2>&-", "> /dev/full", "| true", ">&- 2>&-"])
def test_what_cannot_be_printed_changes_no_exit_status(
    tmp_path: Path, server: StandIn, end: str
) -> None:
    """A stream that is closed, full, or read by nobody: what was accepted stays so."""
    if end == "> /dev/full" and not Path("/dev/full").exists():
        pytest.skip("there is no such device")
    (tmp_path / "job.json").write_text('{"source_files": [], "service_number": "1"}')
    line = f"{shlex.quote(sys.executable)} -m pytest_coveralls_submit send job.json {end}"
    env = {**os.environ, "COVERALLS_HOST": server.url, "COVERALLS_REPO_TOKEN": COVERALLS_TOKEN}

    ended = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(server.jobs) == 1
    assert not (tmp_path / "job.json").exists()


@posix
def test_a_current_directory_that_is_gone_is_one_line(tmp_path: Path) -> None:
    """Not even the guard of the imports fails."""
    gone = tmp_path / "gone"
    gone.mkdir()
    line = f"rmdir {shlex.quote(str(gone))}; {shlex.quote(sys.executable)}"

    ended = subprocess.run(
        ["bash", "-c", f"{line} -m pytest_coveralls_submit finish"],
        cwd=gone,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    said = "coveralls: the current directory is gone: change to another\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", said)


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


@pytest.mark.parametrize("module", ["requests", "urllib3", "coverage"])
def test_no_module_of_the_current_directory_is_sent_with(
    tmp_path: Path, server: StandIn, module: str
) -> None:
    (tmp_path / f"{module}.py").write_text("print('HERE'); raise SystemExit(77)\n")
    server.builds["77"] = Build("77", [{}])
    env = {"COVERALLS_HOST": server.url, "COVERALLS_REPO_TOKEN": COVERALLS_TOKEN}

    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest_coveralls_submit",
            "finish",
            "--coveralls-service-number=77",
        ],
        cwd=tmp_path,
        env={**os.environ, **env, "GITHUB_EVENT_NAME": "workflow_run"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert server.builds["77"].closed
