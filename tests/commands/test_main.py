"""The command line itself: help, wrong calls, running as a module."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_coveralls_submit import __version__
from pytest_coveralls_submit.__main__ import main


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
