"""Follows one session: the header, the one submission at its end, the closing lines.

What is built, sent and said is left to ``submit`` and ``output``.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Generator, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ..ci.pages import pages
from ..context import Plan, make_plan
from ..hints import problems
from ..measurement.measure import Measurement, measure
from ..measurement.recorder import Recorder
from ..outcome import Built, Failed, Interrupted, NotSent, Outcome, Sent
from ..output.lines import PREFIX, header, lines
from ..output.terminal import Progress
from ..secret import Environment, redact, redacted
from ..settings.sources import gather
from ..submit import Edit, submit, waiting_jobs
from ..text import escaped, one_line
from ..upload import fault
from . import nesting
from .pytest_cov import controller_of, finished, reported_by
from .wholeness import narrowed, reason_for_nothing, reason_to_skip, runs_last_failed


def plan_of(config: pytest.Config, env: Environment) -> Plan:
    """Make the plan of a session that starts.

    Args:
        config: of the run.
        env: the environment that counts.

    Raises:
        SettingsError: a setting cannot be used.
    """
    settings = gather(config, config.option, env)
    return make_plan(
        settings,
        env,
        root=config.rootpath,
        start=config.invocation_params.dir,
        compares=nesting.outer() is None,
    )


class Reporter:
    """Follows one session and submits its coverage at the end."""

    def __init__(self, config: pytest.Config, plan: Plan, *, measures: bool = False) -> None:
        """Take over a session.

        Args:
            config: of the run.
            plan: of what will be sent.
            measures: whether pytest-cov measures because we asked it to.
        """
        self.config = config
        self.plan = plan
        self.pid = os.getpid()
        self.outer = nesting.outer()
        self.recorder: Recorder | None = None
        self.problems: tuple[str, ...] = ()  # that the header has shown
        self.stopped: str | None = None
        self.narrowed: str | None = None
        self.skipped: str | None = None
        self.deselected = 0
        self.last_failed = runs_last_failed(config)
        self.commands: list[str] = []  # to the CI service
        self.outcome: Outcome | None = None
        nesting.enter(measures=measures)

    def pytest_report_header(self) -> list[str]:
        """Say what will be sent where."""
        try:
            self.problems = tuple(problems(self.plan))
            shown = header(self.plan, self.problems)
            return [redact(line, self.plan.secrets) for line in shown]
        except Exception as error:  # noqa: BLE001  the tests are more important
            return [f"coveralls: internal fault: {type(error).__name__}"]

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Note that the run was ended early; pytest.exit does so with any exit status."""
        self.stopped = str(excinfo.value) or excinfo.typename

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Count the tests that do not run."""
        self.deselected += len(items)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Record what pytest-cov's report analyses.

        pytest-cov's own hook wraps this one: it reports when this one has ended.
        """
        with self._guarded():
            controller = controller_of(self.config)
            if controller is not None:
                self.recorder = Recorder(reported_by(controller))
        return (yield)

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Let no fault of ours out; it costs a line."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  the tests are more important
            self.say(f"internal fault: {one_line(error)}")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Submit, once; settings that ask for it and Ctrl-C alone touch the exit status."""
        if os.getpid() != self.pid:  # a test forked, and the child came all the way here
            return
        try:
            outcome = self._outcome(session, int(exitstatus))
        except KeyboardInterrupt:
            outcome = Interrupted(reason="interrupted")
        except Exception as error:  # noqa: BLE001  the last resort
            outcome = fault(error)
        self.outcome = redacted(outcome, self.plan.secrets)
        try:
            self._tell_hooks()
            with self._guarded():
                self.commands = pages(
                    self.outcome,
                    self.plan.env,
                    annotate=self.plan.settings.annotate,
                )
        except KeyboardInterrupt:
            self.outcome = Interrupted(reason="interrupted")
        self._set_exit_status(session, self.outcome)

    def _outcome(self, session: pytest.Session, exitstatus: int) -> Outcome:
        part = narrowed(self.config, self.deselected, last_failed=self.last_failed)
        reason = reason_for_nothing(session, exitstatus)
        if self.stopped is not None:
            reason = f"the run was interrupted: {self.stopped}"
        if self.outer is not None:
            reason = "this pytest run is inside another one that submits"
        if reason is not None:
            outcome: Outcome = NotSent(reason=reason)
        else:
            self.skipped = reason_to_skip(session, self.plan.settings, part)
            self.narrowed = part if self.plan.settings.on_partial == "warn" else None
            outcome = submit(self.plan, self)
        if isinstance(outcome, Sent | Failed):
            return outcome
        return replace(outcome, details=(*outcome.details, *waiting_jobs(self.plan, self)))

    @property
    def edit(self) -> Edit | None:
        """Let each ``conftest.py`` that wants to change the job."""
        hook = self.config.hook.pytest_coveralls_job
        return partial(hook, config=self.config) if hook.get_hookimpls() else None

    def measure(self) -> Measurement:
        """Return what pytest-cov, or who else measures, has measured.

        Raises:
            MeasurementError: the reason for none.
        """
        with self.recorder or contextlib.nullcontext():  # released also without whole data
            cov, plan = finished(self.config), self.plan
            return measure(cov, start=plan.start, recorder=self.recorder)

    def folder(self) -> Path | None:
        """Return the cache's folder for jobs, None where there is no cache."""
        cache = getattr(self.config, "cache", None)
        try:
            return None if cache is None else cache.mkdir("coveralls")
        except OSError:
            return None

    def _tell_hooks(self) -> None:
        try:
            self.config.hook.pytest_coveralls_outcome(config=self.config, outcome=self.outcome)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  a conftest.py may also fail, skip or exit
            self.say(f"the hook pytest_coveralls_outcome failed: {one_line(error)}")

    def _set_exit_status(self, session: pytest.Session, outcome: Outcome) -> None:
        if isinstance(outcome, Interrupted):
            session.exitstatus = pytest.ExitCode.INTERRUPTED
            return
        refused = self.plan.settings.strict and not isinstance(outcome, Built)
        fails = self.outer is None and bool(refused or outcome.shortfall)
        if fails and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def say(self, text: str) -> None:
        """Print a line at once, unless the run is to be quiet."""
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and self.config.get_verbosity() >= 0:
            reporter.ensure_newline()
            reporter.write_line(PREFIX + escaped(redact(text, self.plan.secrets)), yellow=True)

    def progress(self) -> Progress:
        """Return what shows a line that changes while work goes on, on a terminal alone."""
        return Progress(sys.stderr)

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print what became of the job."""
        if self.outcome is None:
            return
        outcome, self.outcome = self.outcome, None
        try:
            self._print(terminalreporter, outcome)
        except KeyboardInterrupt:
            terminalreporter.write_line("coveralls: interrupted", yellow=True)
            session = getattr(terminalreporter, "_session", None)
            if session is not None:
                session.exitstatus = pytest.ExitCode.INTERRUPTED
        except Exception as error:  # noqa: BLE001  pytest's own summary comes after ours
            fault = f"coveralls: internal fault: {type(error).__name__}"
            terminalreporter.write_line(fault, yellow=True)

    def _print(self, terminalreporter: Any, outcome: Outcome) -> None:
        verbosity = self.config.get_verbosity()
        for line in lines(outcome, verbosity, self.plan.start, self.problems):
            terminalreporter.write_line(line, yellow=isinstance(outcome, Failed))
        for command in self.commands:
            terminalreporter.write_line(command)

    def pytest_unconfigure(self) -> None:
        """Print what no summary has printed, and leave the environment as it was."""
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if self.outcome is not None and reporter is not None:
            self.pytest_terminal_summary(reporter)
        if os.getpid() == self.pid and self.outer is None:
            nesting.leave()
