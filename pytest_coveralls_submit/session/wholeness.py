"""Did the session run whole: reasons to send nothing, and what narrowed the run."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from ..settings.table import Settings


def reason_for_nothing(session: pytest.Session, exitstatus: int) -> str | None:
    """Return why what a session has measured says nothing, in one line; None where it does.

    Args:
        session: at its end.
        exitstatus: of pytest.
    """
    if _is_loop(session.config):
        return "--looponfail runs the tests again and again"
    return cut_short(session, exitstatus)


def reason_to_skip(session: pytest.Session, settings: Settings, part: str | None) -> str | None:
    """Return why the user wants nothing of a whole session sent; None where it is.

    Args:
        session: at its end.
        settings: of the user.
        part: what narrowed the run, see :func:`narrowed`.
    """
    config = session.config
    if session.testsfailed and _tests_failed(session) and _skips_failures(config, settings):
        return "tests failed (on_failure = skip)"
    if part and settings.on_partial == "skip":
        return f"the run was narrowed by {part} (on_partial = skip)"
    return None


def _is_loop(config: pytest.Config) -> bool:
    plugins = {type(plugin).__name__ for plugin in config.pluginmanager.get_plugins()}
    return bool(getattr(config.option, "looponfail", False)) or "WorkerFailSession" in plugins


def _tests_failed(session: pytest.Session) -> bool:
    """Tell whether tests failed; pytest-cov counts too little coverage as one more failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return True
    return bool(reporter.stats.get("failed") or reporter.stats.get("error"))


def _skips_failures(config: pytest.Config, settings: Settings) -> bool:
    return settings.on_failure == "skip" or bool(getattr(config.option, "no_cov_on_fail", False))


def narrowed(config: pytest.Config, deselected: int, *, last_failed: bool) -> str | None:
    """Return what narrowed the run to a part of its tests, in the user's words; None for none.

    Args:
        config: of the run.
        deselected: how many tests pytest has left out.
        last_failed: what :func:`runs_last_failed` has said before the tests.
    """
    option = config.option
    # Under xdist the workers deselect, and this process does not see it.
    left_some_out = bool(deselected) or config.pluginmanager.hasplugin("dsession")
    causes = [
        _with_value("-k", option, "keyword") if left_some_out else "",
        _with_value("-m", option, "markexpr") if left_some_out else "",
        "--lf" if last_failed else "",
        "--deselect" if left_some_out and getattr(option, "deselect", None) else "",
        "node ids" if any("::" in str(argument) for argument in config.args) else "",
    ]
    found = [cause for cause in causes if cause]
    if not found and deselected:
        tests = "1 test" if deselected == 1 else f"{deselected} tests"
        found = [f"the deselection of {tests}"]
    return " and ".join(found) or None


def _with_value(flag: str, option: Any, name: str) -> str:
    value = getattr(option, name, "")
    return f"{flag} {shlex.quote(value)}" if value else ""


def runs_last_failed(config: pytest.Config) -> bool:
    """Tell, before the tests, whether ``--lf`` will leave some out: it does if some have failed."""
    plugin = config.pluginmanager.get_plugin("lfplugin")
    return bool(getattr(config.option, "lf", False) and getattr(plugin, "lastfailed", True))


def cut_short(session: pytest.Session, exitstatus: int) -> str | None:
    """Return why the session did not run as a whole, in one line; None where it did.

    Facts on the state that each kind of ending leaves: pytest 8 and 9 with pytest-cov 5 to 7,
    plain and under xdist.
    """
    if getattr(session.config.option, "collectonly", False):
        return "--collect-only runs no tests"
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
