"""Runs pytest inside of this process, with something measured and a server to send it to.

A run takes a fifth of the time of one in a process of its own. What belongs to a process (signals,
exit statuses of the interpreter, xdist, pytest-cov's own end) is for `running.Runner`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import coverage
import pytest
from running import CI, InProcess, outcomes, told
from standin import StandIn

# Loaded here, lest each run inside this process loads them anew: classes must stay the same.
from pytest_coveralls_submit import hookspecs, session  # noqa: F401
from pytest_coveralls_submit.delivery import sender  # noqa: F401
from pytest_coveralls_submit.measurement import measure  # noqa: F401
from pytest_coveralls_submit.settings import sources  # noqa: F401

GARDEN = "def bed(sunny):\n    if sunny:\n        return 1\n    return 2\n"
"""Measured with one call, of `bed(True)`."""
TESTS = "def test_one():\n    pass\n\n\ndef test_two():\n    pass\n"


@dataclass(frozen=True)
class Ended:
    """A run that has ended; lines are ours, without the word in front, the header apart."""

    status: int
    output: str
    errors: str
    header: str
    lines: list[str]
    passed: int


class Inner(InProcess):
    """Runs pytest in this process, in a project outside of git.

    Attributes:
        plugins: objects that the next runs register.
        measured: what coverage.py measures from outside of the run, as `coverage run` does.
    """

    def __init__(
        self, pytester: pytest.Pytester, server: StandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        super().__init__(pytester.path.resolve(), server, monkeypatch)
        self.pytester = pytester
        self.plugins: list[object] = []
        self.measured: list[coverage.Coverage] = []
        monkeypatch.setattr(coverage.Coverage, "_instances", self.measured)
        pytester.makepyfile(test_garden=TESTS)
        self.env(**CI)
        self.measure("garden.py")

    def measure(self, name: str) -> None:
        """Measure a module as ``coverage run`` would, from outside of pytest."""
        path = self.folder / name
        path.write_text(GARDEN)
        if not self.measured:
            below = [f"{self.folder}{os.sep}*"]
            cov = coverage.Coverage(data_file=None, config_file=False, branch=True, include=below)
            self.measured.append(cov)
        space: dict[str, Any] = {}
        self.measured[0].start()
        try:
            exec(compile(GARDEN, str(path), "exec"), space)
            space["bed"](True)
        finally:
            self.measured[0].stop()

    def __call__(self, *arguments: str) -> Ended:
        """Run pytest with this plugin, and without pytest-cov unless an argument loads it."""
        words = ("-p", "pytest_coveralls_submit.plugin", *arguments)
        result = self.pytester.runpytest_inprocess(
            *words, plugins=self.plugins, no_reraise_ctrlc=True
        )
        lines = told(result.stdout.str())
        header = lines.pop(0) if lines and " as test-ci" in lines[0] else ""
        return Ended(
            status=int(result.ret),
            output=result.stdout.str(),
            errors=result.stderr.str(),
            header=header,
            lines=[line.removeprefix("coveralls: ") for line in lines],
            passed=int(outcomes(result.stdout.str()).get("passed", 0)),
        )
