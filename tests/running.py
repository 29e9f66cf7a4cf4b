"""Runs pytest as a user would, and picks our lines out of what it printed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from standin import COVERALLS_TOKEN, StandIn

CI = {"CI_NAME": "test-ci", "CI_BUILD_NUMBER": "77", "CI_JOB_ID": "77.1", "CI_BRANCH": "topic/y"}


class Runner:
    """Runs pytest in a project as a user would: in a process of its own."""

    def __init__(self, folder: Path, server: StandIn) -> None:
        self.folder = folder
        self.server = server
        self.env = {
            **{name: os.environ[name] for name in os.environ if not name.startswith("PYTEST_")},
            **CI,
            "COVERALLS_HOST": server.url,
            "COVERALLS_REPO_TOKEN": COVERALLS_TOKEN,
            "COVERALLS_RETRIES": "0",
        }

    def __call__(
        self, *arguments: str, env: Mapping[str, str] | None = None, module: str = "pytest"
    ) -> subprocess.CompletedProcess[str]:
        """Run ``python -m MODULE ARGUMENTS`` and return what it printed and its exit status."""
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=self.folder,
            env={**self.env, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=120,
            check=False,
        )


def told(output: str) -> list[str]:
    """Return the lines of ours in what pytest printed."""
    return [line for line in output.splitlines() if line.startswith(("coveralls: ", "::"))]
