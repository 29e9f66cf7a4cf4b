"""Runs pytest as a user would, and picks out what it printed, sent and left."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from standin import COVERALLS_TOKEN, Job, StandIn

CI = {"CI_NAME": "test-ci", "CI_BUILD_NUMBER": "77", "CI_JOB_ID": "77.1", "CI_BRANCH": "topic/y"}
NAMES = [f"sample/{name}.py" for name in ("__init__", "beds", "report", "seasons", "water")]
"""The files of the sample project that are measured."""
NO_TOKEN = {"COVERALLS_REPO_TOKEN": ""}
# The plugins that a run is given; what else this environment may have only takes time.
PLUGINS = {"pytest_cov": "pytest_cov", "coveralls_submit": "pytest_coveralls_submit.plugin"}
AUTOLOAD = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "", "PYTEST_ADDOPTS": ""}
"""Variables with which pytest loads all that is installed, as a user's does."""
PATIENCE = 30.0
"""Seconds after which something never happens; less than sending may take."""
# A shell may have told its background jobs to ignore Ctrl-C.
BOOT = (
    "import runpy, signal, sys\n"
    "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "sys.argv[0] = 'pytest'\n"
    "runpy.run_module('pytest', run_name='__main__')\n"
)

needs_xdist = pytest.mark.skipif(
    importlib.util.find_spec("xdist") is None, reason="xdist is missing"
)


def to(server: StandIn) -> dict[str, str]:
    """Return the variables that send a job to a server, once."""
    return {
        "COVERALLS_HOST": server.url,
        "COVERALLS_REPO_TOKEN": COVERALLS_TOKEN,
        "COVERALLS_RETRIES": "0",
    }


class InProcess:
    """What runs inside of this process: its folder, its server, and its variables."""

    def __init__(self, folder: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.server, self.monkeypatch = folder, server, monkeypatch
        self.env(**to(server), PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")

    def env(self, **variables: str) -> None:
        """Set variables; an empty text is an unset one."""
        for name, value in variables.items():
            self.monkeypatch.setenv(name, value)


def loading(arguments: Sequence[str]) -> dict[str, str]:
    """Return the variable that loads the plugins a run needs; ``-p no:NAME`` leaves one out."""
    plugins = [place for name, place in PLUGINS.items() if f"no:{name}" not in arguments]
    if any(word.startswith("-n") for word in arguments):
        plugins.append("xdist")
    return {"PYTEST_ADDOPTS": " ".join(f"-p {place}" for place in plugins)}


class Runner:
    """Runs pytest in a project as a user would, in a process of its own.

    Of the plugins that are installed it has pytest-cov, this one, and xdist where `-n` asks for it.
    """

    def __init__(self, folder: Path, server: StandIn) -> None:
        self.folder = folder
        self.server = server
        self.python = Path(sys.executable)
        self.env = {
            **{name: os.environ[name] for name in os.environ if not name.startswith("PYTEST_")},
            **CI,
            **to(server),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        }

    def __call__(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        module: str = "pytest",
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run ``python -m MODULE ARGUMENTS`` and return what it printed and its exit status."""
        return subprocess.run(
            [self.python, "-m", module, *arguments],
            cwd=self.folder,
            env={**self.env, **loading(arguments), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
        )


def write(run: Runner, name: str, text: str) -> None:
    """Write a file of the project."""
    path = run.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def told(output: str) -> list[str]:
    """Return our lines in what pytest printed."""
    return [line for line in output.splitlines() if line.startswith(("coveralls: ", "::"))]


def outcomes(output: str) -> dict[str, str]:
    """Return what pytest counts in its last line: passed, failed, ..."""
    lines = [line for line in output.splitlines() if re.search(r" in -?\d+\.\d+s", line)]
    return {kind: count for count, kind in re.findall(r"(\d+) ([a-z]+)", "".join(lines[-1:]))}


def only_job(run: Runner) -> Job:
    """Return the one job that arrived with the one request that was made."""
    assert len(run.server.requests) == 1
    assert len(run.server.jobs) == 1
    return run.server.jobs[0]


def kept(run: Runner) -> list[Path]:
    """Return the jobs on disk, and whatever else lies beside them."""
    folder = run.folder / ".pytest_cache/d/coveralls"
    return sorted(folder.iterdir()) if folder.exists() else []


@contextmanager
def started(run: Runner, *arguments: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    """Start pytest, which heeds Ctrl-C; leave no process behind."""
    with subprocess.Popen(
        [sys.executable, "-c", BOOT, *arguments],
        cwd=run.folder,
        env={**run.env, **loading(arguments), **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    ) as process:
        try:
            yield process
        finally:
            process.kill()
