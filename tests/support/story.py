"""A project with two measured files, and everything that a submission asks for."""

from __future__ import annotations

import io
import subprocess
from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from running import CI
from standin import COVERALLS_TOKEN, StandIn

from pytest_coveralls_submit.context import Plan, make_plan
from pytest_coveralls_submit.measurement.measure import Measurement
from pytest_coveralls_submit.measurement.recorder import FileCoverage
from pytest_coveralls_submit.outcome import Outcome
from pytest_coveralls_submit.output.terminal import Progress
from pytest_coveralls_submit.secret import Environment
from pytest_coveralls_submit.settings.sources import Origin, RawValue, resolve
from pytest_coveralls_submit.submit import Edit, submit


@dataclass
class Ran:
    """A run whose coverage was measured."""

    measure: Callable[[], Measurement]
    say: Callable[[str], None]
    folder: Callable[[], Path | None] = lambda: None
    edit: Edit | None = None
    narrowed: str | None = None
    skipped: str | None = None

    def progress(self) -> Progress:
        """Show nothing: this is no terminal."""
        return Progress(io.StringIO())


class Story:
    """A project with two measured files, and everything that a submission asks for."""

    def __init__(self, folder: Path) -> None:
        self.top = folder / "project"
        self.cache = folder / "cache"
        self.temporary = folder / "temporary"
        for directory in (self.top, self.cache, self.temporary):
            directory.mkdir()
        self.said: list[str] = []
        self.env: dict[str, str] = dict(CI)
        self.files = [self.file("a.py", [1, 2], [3]), self.file("b.py", [1], [])]
        self.failed: dict[str, str] = {}

    def file(self, name: str, executed: list[int], missing: list[int]) -> FileCoverage:
        """Write a file of three lines and say what was measured of it."""
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a = 1\nb = 2\nc = 3\n")
        branches = array("i", [1, 1, 1, 0])
        return FileCoverage(str(path), array("i", executed), array("i", missing), branches)

    def plan(self, server: StandIn | None = None, **texts: str) -> Plan:
        """Plan a run; with a server there is a token for it."""
        if server is not None:
            texts = {"host": server.url, "repo_token": COVERALLS_TOKEN, "retries": "0", **texts}
        layer = {
            name: RawValue(text, Origin("variable", f"COVERALLS_{name.upper()}"), self.top)
            for name, text in texts.items()
        }
        settings, env = resolve(layer), Environment(self.env)
        made = make_plan(settings, env, root=self.top, start=self.top, compares=True)
        return replace(made, temporary=self.temporary)

    def submit(
        self, made: Plan, *, edit: Edit | None = None, narrowed: str | None = None
    ) -> Outcome:
        """Submit what was measured."""
        measured = Measurement(tuple(self.files), self.failed)
        return submit(
            made, Ran(lambda: measured, self.said.append, lambda: self.cache, edit, narrowed)
        )

    def commit(self, *names: str) -> None:
        """Make the project a repository that tracks these files."""
        for words in (["init", "-q"], ["add", *names], ["commit", "-q", "-m", "x"]):
            identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
            subprocess.run(["git", *identity, *words], cwd=self.top, check=True)

    def kept(self) -> list[Path]:
        """What is on disk of jobs."""
        return sorted([*self.cache.iterdir(), *self.temporary.iterdir()])


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """See above."""
    return Story(tmp_path.resolve())
