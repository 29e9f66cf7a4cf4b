"""Stopped, selected and nested sessions; the state of pytest-cov."""

import os
import shlex
from typing import Any

import pytest

from .errors import MeasurementError
from .measurement.measure import current
from .outcome import NotSent
from .settings.table import Settings

SESSION_MARK = "PYTEST_COVERALLS_SUBMIT_PID"  # variable set while a session runs that sends a job
MEASURES = " measures"  # end of the mark if xdist's workers have to measure


def outer_session() -> str | None:
    """Return the mark of the session around this process."""
    return os.environ.get(SESSION_MARK)


def enter_session(*, measures: bool = False) -> None:
    """Mark this process, to keep runs inside it from submitting."""
    os.environ[SESSION_MARK] = f"{os.getpid()}{MEASURES if measures else ''}"


NOTHING_MEASURED = {
    "collectonly": "--collect-only runs no tests",
    "setupplan": "--setup-plan runs no tests",  # it sets setuponly, too
    "setuponly": "--setup-only runs no tests",
    "no_cov": "--no-cov switched coverage off",
}


def why_nothing_was_measured(session: pytest.Session, exitstatus: int) -> NotSent | None:
    """Return the reason why a session's coverage is incomplete."""
    for name, reason in NOTHING_MEASURED.items():
        if getattr(session.config.option, name, False):
            return NotSent(reason=reason, is_expected=True)
    if stopped := _why_stopped(session, exitstatus):
        return NotSent(reason=stopped)
    return None


def _why_stopped(session: pytest.Session, exitstatus: int) -> str | None:
    # The state that each kind of ending leaves: pytest 8 and 9, pytest-cov 5 to 7, also on xdist.
    plugins = {type(plugin).__name__ for plugin in session.config.pluginmanager.get_plugins()}
    if getattr(session.config.option, "looponfail", False) or "WorkerFailSession" in plugins:
        return "--looponfail runs the tests again and again"
    if session.shouldfail:
        return f"the run was stopped early: {session.shouldfail}"
    if session.shouldstop:
        return f"the run was interrupted: {session.shouldstop}"
    if exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        return None
    known: dict[int, str] = {
        pytest.ExitCode.INTERRUPTED: "the run was interrupted: not all tests could be collected",
        pytest.ExitCode.NO_TESTS_COLLECTED: "no tests ran",
    }
    return known.get(exitstatus, f"pytest ended with exit status {exitstatus}")


def why_skipped(
    session: pytest.Session, settings: Settings, selection: str | None
) -> NotSent | None:
    """Return the reason why the user wants nothing sent."""
    config = session.config
    skips_failures = settings.on_failure == "skip" or getattr(
        config.option, "no_cov_on_fail", False
    )
    # pytest-cov counts a total below --cov-fail-under as one more failed test.
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    failed = session.testsfailed
    if reporter is not None:
        failed = reporter.stats.get("failed") or reporter.stats.get("error")
    if skips_failures and failed:
        return NotSent(reason="tests failed (on_failure = skip)", is_expected=True)
    if selection and settings.on_partial == "skip":
        reason = f"not all tests ran, because of {selection} (on_partial = skip)"
        return NotSent(reason=reason, is_expected=True)
    return None


def selection_arguments(config: pytest.Config) -> Any:
    """Return pytest's own arguments, without the ini file's ``addopts``.

    To be asked before the tests: ``lf`` is only set if it will leave tests out.
    """
    words = [
        *shlex.split(os.environ.get("PYTEST_ADDOPTS", "")),
        *map(str, config.invocation_params.args),
    ]
    parser = config._parser  # noqa: SLF001  no public way
    arguments, others = parser.parse_known_and_unknown_args(words)
    arguments.file_or_dir += others  # older versions of pytest leave paths after options there
    plugin = config.pluginmanager.get_plugin("lfplugin")
    have_failed = bool(getattr(plugin, "lastfailed", True))  # emptied as they pass
    arguments.lf = getattr(arguments, "lf", False) and have_failed
    return arguments


def selected_by(config: pytest.Config, arguments: Any, deselected: int) -> str | None:
    """Return the arguments responsible for a partial run, as typed."""
    # Under xdist the workers deselect, and this process does not see it.
    has_left_out = bool(deselected) or config.pluginmanager.hasplugin("dsession")
    causes = {
        _with_value("-k", arguments, "keyword"): has_left_out,
        _with_value("-m", arguments, "markexpr"): has_left_out,
        "--deselect": has_left_out and getattr(arguments, "deselect", None),
        "--lf": arguments.lf,
        "node ids": any("::" in str(word) for word in arguments.file_or_dir),
        # Neither calls pytest_deselected; `--picked=first` only changes the order.
        "--testmon": getattr(arguments, "testmon", False)
        and not getattr(arguments, "testmon_noselect", False),
        "--picked": getattr(arguments, "picked", None) not in {None, False, "first"},
    }
    return " and ".join(cause for cause, is_given in causes.items() if cause and is_given) or None


def _with_value(flag: str, arguments: Any, name: str) -> str:
    value = getattr(arguments, name, "")
    return f"{flag} {shlex.quote(value)}" if value else ""


def coverage_controller(config: pytest.Config) -> Any:
    """Return pytest-cov's controller, or None if it does not measure."""
    plugin = config.pluginmanager.get_plugin("_cov")
    if plugin is None or getattr(plugin, "_disabled", False):
        return None
    return getattr(plugin, "cov_controller", None)


def reporting_coverage(controller: Any) -> Any:
    """Return the Coverage object of pytest-cov's reports."""
    return getattr(controller, "combining_cov", None) or controller.cov


def finished_coverage(config: pytest.Config) -> Any:
    """Return the Coverage object with complete data.

    Raises:
        MeasurementError: nothing was measured, or data is missing.
    """
    controller = coverage_controller(config)
    if controller is None:
        return _outside_coverage(config)
    if getattr(controller, "failed_workers", None):
        raise MeasurementError("a worker crashed, so its coverage is missing")
    cov = reporting_coverage(controller)
    if getattr(controller, "started", False) or controller.cov is not cov:
        raise MeasurementError("the run was cut short before pytest-cov combined its data")
    return cov


def _outside_coverage(config: pytest.Config) -> Any:
    cov = current()
    if cov is None and config.pluginmanager.hasplugin("pytest_cov"):
        raise MeasurementError("nothing was measured: add --cov")
    if cov is None:
        raise MeasurementError("pytest-cov is not loaded, so nothing was measured")
    if config.pluginmanager.hasplugin("dsession"):
        raise MeasurementError(
            "`coverage run` does not measure the workers of xdist: use --cov instead"
        )
    return cov
