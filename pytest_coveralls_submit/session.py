"""One test session that sends a job: from pytest's header to the outcome."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

import pytest

from . import partial_run
from .changed_lines import count_changed_lines, needs_counting
from .ci.pages import pages
from .context import RunContext, startup_problems, why_no_job
from .errors import JobError, MeasurementError
from .job.builder import build_job, names_in, read_files, sum_up
from .measurement.measure import Recorder, measure
from .outcome import Built, Failed, Interrupted, NotSent, Outcome
from .output import PREFIX, closing_lines, header
from .secret import redact, redacted
from .submit import failure, folders_for_jobs, submit, without_job
from .text import escaped, one_line


def _guarded(hook: Callable[..., Any]) -> Callable[..., Any]:
    """Print an exception in one line: the tests matter more."""

    @functools.wraps(hook)
    def run(self: CoverallsSession, *args: Any, **kwargs: Any) -> Any:
        try:
            return hook(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001  no exception of ours reaches pytest
            self.say(f"internal error: {one_line(error)}")
            return None

    return run


class CoverallsSession:
    """Follow one session and send its coverage at the end."""

    def __init__(self, config: pytest.Config, context: RunContext, *, measures: bool) -> None:
        self.config, self.context = config, context
        self.pid = os.getpid()
        self.is_nested = partial_run.outer_session() is not None
        self.arguments = partial_run.selection_arguments(config)
        self.deselected = 0
        self.interruption: str | None = None
        self.problems: tuple[str, ...] = ()  # printed in the header
        self.recorder: Recorder | None = None
        self.session: pytest.Session | None = None
        if not self.is_nested:
            partial_run.enter_session(measures=measures)

    @_guarded
    def pytest_report_header(self) -> list[str]:
        """Return the lines of the header."""
        self.problems = tuple(startup_problems(self.context))
        lines = header(self.context, self.problems)
        return [redact(line, self.context.secrets) for line in lines]

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Note the interruption; pytest.exit may give it any exit status."""
        self.interruption = str(excinfo.value) or excinfo.typename

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Count the deselected tests."""
        self.deselected += len(items)

    @pytest.hookimpl(tryfirst=True)
    @_guarded
    def pytest_runtestloop(self) -> None:
        """Record the analyses of pytest-cov's report, made after this hook."""
        controller = partial_run.coverage_controller(self.config)
        if controller is not None:
            self.recorder = Recorder(partial_run.reporting_coverage(controller))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Send the job if no summary was printed."""
        self.session = session
        try:
            return (yield)
        except KeyboardInterrupt:
            self.interruption = "KeyboardInterrupt"
            raise
        finally:
            self._finish()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self) -> Generator[None, object, object]:
        """Send the job after pytest has printed its failures."""
        result = yield
        self._finish()
        return result

    def _finish(self) -> None:
        """Send the job, report the outcome, set the exit status; once."""
        session, self.session = self.session, None
        if session is None or os.getpid() != self.pid:  # a test forked, and the child got here
            return
        try:
            outcome = self._submit(session)
        except KeyboardInterrupt:
            outcome = Interrupted(reason="interrupted")
        except Exception as error:  # noqa: BLE001  no exception of ours reaches pytest
            outcome = Failed(**failure(error))
        outcome = redacted(outcome, self.context.secrets)
        try:
            self._report(outcome)
        except KeyboardInterrupt:
            outcome = Interrupted(reason="interrupted")
        self._set_exit_status(session, outcome)

    def _submit(self, session: pytest.Session) -> Outcome:
        context = self.context
        nothing = self._why_nothing(session)
        if nothing is not None:
            return nothing
        selection = partial_run.selected_by(self.config, self.arguments, self.deselected)
        skip = partial_run.why_skipped(session, context.settings, selection) or why_no_job(context)
        if skip is not None and not needs_counting(context.base, context.settings):
            return skip
        try:
            cov = partial_run.finished_coverage(self.config)
        except MeasurementError as error:
            if skip is not None and context.settings.changed_fail_under is None:
                return skip
            return NotSent(reason=str(error))  # a gate must not pass unseen
        coverage = measure(cov, start=context.start, recorder=self.recorder)
        files = read_files(coverage, names_in(context), context)
        may_fail = skip is None or not skip.is_expected
        changed = count_changed_lines(
            context.base, files.files, context.settings, may_fail=may_fail
        )
        warning = ""
        if selection and context.settings.on_partial == "warn":
            warning = f"not all tests ran, because of {selection}: coverage may look lower"
        findings = sum_up(coverage, files, changed, warning)
        if skip is not None:
            return replace(skip, **vars(findings))
        edit = functools.partial(self._call_hook, "pytest_coveralls_job")
        has_hook = self.config.hook.pytest_coveralls_job.get_hookimpls()
        try:
            job, notices = build_job(context, files, edit if has_hook else None)
        except (JobError, MeasurementError) as error:
            return without_job(findings, error)
        folders = folders_for_jobs(context, getattr(self.config, "cache", None))
        return submit(job, findings.plus(*notices), context, say=self.say, keep_in=folders)

    def _why_nothing(self, session: pytest.Session) -> NotSent | None:
        if self.is_nested:
            reason = "this pytest run is inside another one that submits"
            return NotSent(reason=reason, is_expected=True)
        if self.interruption is not None:
            return NotSent(reason=f"the run was interrupted: {self.interruption}")
        return partial_run.why_nothing_was_measured(session, int(session.exitstatus))

    def _call_hook(self, name: str, **arguments: object) -> str:
        """Call a hook of conftest.py; return its exception in one line."""
        try:
            getattr(self.config.hook, name)(config=self.config, **arguments)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  a conftest.py may also fail, skip or exit
            return one_line(error)
        return ""

    def _report(self, outcome: Outcome) -> None:
        """Call the hook, print the lines, write the CI service's pages."""
        if problem := self._call_hook("pytest_coveralls_outcome", outcome=outcome):
            self.say(f"the hook pytest_coveralls_outcome failed: {problem}")
        self._print(outcome)

    @_guarded
    def _print(self, outcome: Outcome) -> None:
        context = self.context
        commands = pages(outcome, context.env, annotate=context.settings.annotate)
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is None:
            return
        reporter.ensure_newline()
        verbosity = self.config.get_verbosity()
        for line in closing_lines(outcome, verbosity, context.start, self.problems):
            reporter.write_line(line, yellow=isinstance(outcome, Failed))
        for command in commands:
            reporter.write_line(command)

    def say(self, text: str) -> None:
        """Print a line at once, unless the run is quiet."""
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and self.config.get_verbosity() >= 0:
            reporter.ensure_newline()
            reporter.write_line(PREFIX + escaped(redact(text, self.context.secrets)), yellow=True)

    def _set_exit_status(self, session: pytest.Session, outcome: Outcome) -> None:
        if isinstance(outcome, Interrupted):
            session.exitstatus = pytest.ExitCode.INTERRUPTED
            return
        is_accepted = isinstance(outcome, Built) or (
            isinstance(outcome, NotSent) and outcome.is_expected
        )
        fails = (self.context.settings.strict and not is_accepted) or bool(outcome.shortfall)
        if fails and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_unconfigure(self) -> None:
        """Leave the environment as it was."""
        if os.getpid() == self.pid and not self.is_nested:
            os.environ.pop(partial_run.SESSION_MARK, None)
