"""Did the session run whole: reasons to send nothing, and what narrowed the run."""

from __future__ import annotations

import shlex

import pytest

from .measurement import cut_short
from .settings import Settings


def reason_to_skip(
    session: pytest.Session, exitstatus: int, settings: Settings, deselected: int
) -> str | None:
    """Return why this session sends nothing, in one line; None where it does."""
    config = session.config
    if _is_loop(config):
        return "--looponfail runs the tests again and again"
    reason = cut_short(session, exitstatus)
    if reason is not None:
        return reason
    if session.testsfailed and _tests_failed(session) and _skips_failures(config, settings):
        return "tests failed (on_failure = skip)"
    part = narrowed(config, deselected)
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


def narrowed(config: pytest.Config, deselected: int) -> str | None:
    """Return what narrowed the run to a part of its tests, in the user's words; None for none."""
    option = config.option
    # Under xdist the workers deselect, and this process does not see it.
    left_some_out = bool(deselected) or config.pluginmanager.hasplugin("dsession")
    causes = [
        f"-k {shlex.quote(option.keyword)}" if left_some_out and option.keyword else "",
        f"-m {shlex.quote(option.markexpr)}" if left_some_out and option.markexpr else "",
        "--lf" if _runs_last_failed(config) else "",
        "--deselect" if left_some_out and getattr(option, "deselect", None) else "",
        "node ids" if any("::" in str(argument) for argument in config.args) else "",
    ]
    found = [cause for cause in causes if cause]
    if not found and deselected:
        found = [f"the deselection of {deselected} tests"]
    return " and ".join(found) or None


def _runs_last_failed(config: pytest.Config) -> bool:
    """Tell whether ``--lf`` leaves tests out; it runs all where none failed before."""
    plugin = config.pluginmanager.get_plugin("lfplugin")
    return bool(getattr(config.option, "lf", False) and getattr(plugin, "lastfailed", True))
