"""Runs our commands in this process, as a user would type them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from running import InProcess
from standin import COVERALLS_TOKEN, Build, StandIn

from pytest_coveralls_submit.cli import main

DIGEST = "0123456789abcdef" * 2
FILE = {"name": "a.py", "source_digest": DIGEST, "coverage": [1, None, 0, 1]}
GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_REPOSITORY": "octo/sample",
    "GITHUB_RUN_ID": "9001",
    "GITHUB_JOB": "test",
    "GITHUB_SERVER_URL": "https://github.com",
}


class Command(InProcess):
    """Runs a command in a directory of its own, against a server, with a token."""

    capsys: pytest.CaptureFixture[str]

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
    monkeypatch.chdir(tmp_path.resolve())
    command = Command(tmp_path.resolve(), server, monkeypatch)
    command.capsys = capsys
    return command


@pytest.fixture
def build(server: StandIn) -> Build:
    """A parallel build with number 77 that is open and has two jobs."""
    return server.builds.setdefault("77", Build("77", [{}, {}]))
