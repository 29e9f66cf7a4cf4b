"""pytest's hooks, thin: the options, asking pytest-cov to measure, registering a reporter.

Loaded in every pytest run, so that all else is imported once it is switched on. No exception of
ours gets past it.
"""

from __future__ import annotations

import os
from argparse import SUPPRESS
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .errors import CoverallsError

MEASURES = pytest.StashKey[bool]()
"""Whether pytest-cov measures because we asked it to."""
ENVIRONMENT = pytest.StashKey[Mapping[str, str]]()
"""The environment when pytest loaded the plugin, before other plugins and conftests change it."""
_loaded_in: Mapping[str, str] = {}


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the hooks for ``conftest.py``."""
    from . import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--coveralls`` and a flag and an ini key for each setting."""
    global _loaded_in  # noqa: PLW0603  there is no config yet to keep it in
    _loaded_in = dict(os.environ)
    from .settings.table import OPTIONS

    group = parser.getgroup("coveralls", "Coveralls (docs/settings.md has all settings)")
    group.addoption(
        "--coveralls", action="store_true", default=None, help="submit coverage to Coveralls"
    )
    group.addoption("--no-coveralls", action="store_false", dest="coveralls", help="do not submit")
    parser.addini("coveralls", "submit coverage to Coveralls", default=None)
    for option in OPTIONS.values():
        for flag, keywords in option.arguments():
            is_shown = option.in_help and flag == option.flag
            group.addoption(flag, **keywords if is_shown else {**keywords, "help": SUPPRESS})
        if "ini" in option.accepted_from:
            parser.addini(option.ini, "" if option.in_help else option.help, default=None)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, args: list[str]
) -> Generator[None, object, object]:
    """Ask pytest-cov to measure where nobody did and a job could be sent.

    A wrapper, to come before pytest-cov's own ``tryfirst`` implementation.
    """
    early_config.stash[ENVIRONMENT] = _loaded_in
    options = early_config.known_args_namespace
    if _is_said(early_config, options):
        from .session import nesting

        if nesting.outer() is None:
            from . import child_process  # noqa: F401  before a conftest.py changes what it needs
        if _should_measure(early_config, options):
            options.cov_source = [True]
            early_config.stash[MEASURES] = True
    result = yield
    _take_back_warning(options, args)
    return result


def _is_said(config: pytest.Config, options: Any) -> bool:
    """Tell whether flag or ini file name the switch; cheap, where they do not."""
    if options.coveralls is not None:
        return bool(options.coveralls)
    try:
        return bool(config.getini("coveralls"))
    except (TypeError, ValueError, pytest.UsageError):  # a boolean of pytest 9's native TOML
        return True


def _should_measure(config: pytest.Config, options: Any) -> bool:
    asked = getattr(options, "cov_source", None)
    is_off = getattr(options, "no_cov", False) or getattr(options, "collectonly", False)
    if asked is None or asked or is_off:
        return False
    from .session import nesting

    if nesting.outer() is not None:  # a worker does as its session, a run inside of one does not
        return nesting.is_measuring_worker()
    if not _is_on(config, options):
        return False
    try:
        return _leads_to_a_job(config, options)
    except Exception:  # noqa: BLE001  pytest_configure meets it again, and says so
        return False


def _is_on(config: pytest.Config, options: Any) -> bool:
    if options.coveralls is not None:
        return bool(options.coveralls)
    from .errors import CoverallsError
    from .settings.sources import is_switched_on

    try:
        return is_switched_on(config)
    except CoverallsError as error:
        raise _usage_error(error) from None


def _usage_error(error: CoverallsError) -> pytest.UsageError:
    from .text import escaped

    return pytest.UsageError(escaped(f"coveralls: {error}"))


def _leads_to_a_job(config: pytest.Config, options: Any) -> bool:
    from .ci.detect import Build, service_name
    from .context import is_worth_measuring
    from .identity.token import choose_token
    from .measurement.measure import current
    from .settings.sources import effective_environment, gather

    env = effective_environment(config.stash[ENVIRONMENT])
    settings = gather(config, options, env)
    token = choose_token(settings, Build(service_name=service_name(env)), env)
    return is_worth_measuring(settings, token) and current() is None


def _take_back_warning(options: Any, args: list[str]) -> None:
    """Undo pytest-cov's warning of options after ``--no-cov``, where it took ours for its own."""
    if getattr(options, "no_cov_should_warn", False):
        words = [str(word) for word in args]
        after = words[words.index("--no-cov") + 1 :] if "--no-cov" in words else words
        options.no_cov_should_warn = any(
            word.startswith("--cov") and not word.startswith("--coveralls") for word in after
        )


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register a reporter where this session is the one that submits.

    The last, because others may set our variables.
    """
    if not _is_said(config, config.option):
        return
    from .session import nesting

    if hasattr(config, "workerinput"):
        if config.option.coveralls or nesting.outer() is not None:
            nesting.enter_worker()
    elif _is_on(config, config.option):
        _register_reporter(config)


def _register_reporter(config: pytest.Config) -> None:
    from .errors import CoverallsError

    try:
        from .session.reporter import Reporter, plan_of
        from .settings.sources import effective_environment

        measures = config.stash.get(MEASURES, False)
        plan = plan_of(config, effective_environment(config.stash.get(ENVIRONMENT, _loaded_in)))
        reporter = Reporter(config, plan, measures=measures)
    except CoverallsError as error:
        raise _usage_error(error) from None
    except KeyboardInterrupt:
        raise KeyboardInterrupt from None  # our frames have seen the environment
    except Exception as error:  # noqa: BLE001  a fault of ours stops no test
        config.pluginmanager.register(Mishap(error), "coveralls_mishap")
    else:
        config.pluginmanager.register(reporter, "coveralls_reporter")


class Mishap:
    """Stands in for a reporter that could not be made; tells so once."""

    def __init__(self, error: Exception) -> None:
        import traceback
        from pathlib import Path

        # Type and place alone: what must not be shown is not known yet.
        frames = traceback.extract_tb(error.__traceback__)
        where = f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}"
        self.line = f"failed: internal fault: {type(error).__name__} in {where}"
        self.traceback = "Traceback (most recent call last):\n" + "".join(frames.format())

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the line, and with ``-v`` where it was."""
        details = self.traceback if terminalreporter.verbosity > 0 else ""
        for line in (self.line, *details.splitlines()):
            terminalreporter.write_line(f"coveralls: {line}", yellow=True)
