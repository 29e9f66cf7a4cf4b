"""pytest's hooks: the options, measuring, and registering a session.

Loaded in every pytest run, so everything else is imported once it is switched on.
"""

from __future__ import annotations

import os
from argparse import SUPPRESS
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .errors import CoverallsError

MEASURES = pytest.StashKey[bool]()  # whether the plugin made pytest-cov measure
ENVIRONMENT = pytest.StashKey[Mapping[str, str]]()
"""The environment when pytest loaded the plugin, before plugins and conftests change it."""
_loaded_in: Mapping[str, str] = {}
NO_SESSION = ("showfixtures", "show_fixtures_per_test", "markers", "cacheshow", "version", "help")
"""Options of pytest that run no session."""


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
    """Make pytest-cov measure if nobody asked it to and a job could be sent.

    A wrapper, to come before pytest-cov's own ``tryfirst`` implementation.
    """
    early_config.stash[ENVIRONMENT] = _loaded_in
    options = early_config.known_args_namespace
    if _is_on(early_config, options):
        from . import partial_run

        if partial_run.outer_session() is None:
            from . import child_process  # noqa: F401  before a conftest.py changes what it needs
        if _should_measure(early_config, options):
            options.cov_source = [True]
            early_config.stash[MEASURES] = True
    result = yield
    _take_back_warning(options, args)
    return result


def _should_measure(config: pytest.Config, options: Any) -> bool:
    asked = getattr(options, "cov_source", None)
    is_off = getattr(options, "no_cov", False) or getattr(options, "collectonly", False)
    if asked is None or asked or is_off:
        return False
    from . import partial_run

    if partial_run.outer_session() is not None:
        return partial_run.is_measuring_worker()
    try:
        return _leads_to_a_job(config, options)
    except Exception:  # noqa: BLE001  pytest_configure meets it again, and reports it
        return False


def _is_on(config: pytest.Config, options: Any) -> bool:
    """Tell whether flag or ini file switch the plugin on; cheap if they do not."""
    if options.coveralls is not None:
        return bool(options.coveralls)
    try:
        if not config.getini("coveralls"):
            return False
    except (TypeError, ValueError, pytest.UsageError):  # a boolean of pytest 9's native TOML
        pass
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
    from .ci.detect import service_name
    from .context import is_job_wanted
    from .measurement.measure import current
    from .settings.sources import effective_environment, gather
    from .settings.token import choose_token

    env = effective_environment(config.stash[ENVIRONMENT])
    settings = gather(config, options, env)
    token, _ = choose_token(settings, service_name(env), env)
    is_wanted = is_job_wanted(settings, token) or settings.changed_fail_under is not None
    return is_wanted and current() is None


def _take_back_warning(options: Any, args: list[str]) -> None:
    """Undo pytest-cov's warning of options after ``--no-cov``, if it took ours for its own."""
    if getattr(options, "no_cov_should_warn", False):
        words = [str(word) for word in args]
        after = words[words.index("--no-cov") + 1 :] if "--no-cov" in words else words
        options.no_cov_should_warn = any(
            word.startswith("--cov") and not word.startswith("--coveralls") for word in after
        )


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register a session where this process is the one that sends.

    The last, because other plugins may set ``COVERALLS_*`` variables.
    """
    options = config.option
    if any(getattr(options, name, False) for name in NO_SESSION) or not _is_on(config, options):
        return
    from . import partial_run

    if hasattr(config, "workerinput"):
        if options.coveralls or partial_run.outer_session() is not None:
            partial_run.enter_worker()
    else:
        _register_session(config)


def _register_session(config: pytest.Config) -> None:
    from .context import make_context
    from .errors import CoverallsError
    from .partial_run import outer_session
    from .session import CoverallsSession
    from .settings.sources import effective_environment, gather

    try:
        env = effective_environment(config.stash.get(ENVIRONMENT, _loaded_in))
        settings = gather(config, config.option, env)
        start, root = config.invocation_params.dir, config.rootpath
        context = make_context(settings, env, start, root, with_base=outer_session() is None)
        measures = config.stash.get(MEASURES, False)
        session = CoverallsSession(config, context, measures=measures)
    except CoverallsError as error:
        raise _usage_error(error) from None
    except KeyboardInterrupt:
        raise KeyboardInterrupt from None  # our frames have seen the environment
    except Exception as error:  # noqa: BLE001  no exception of ours reaches pytest
        config.pluginmanager.register(FailedSession(error), "coveralls_failed_session")
    else:
        config.pluginmanager.register(session, "coveralls_session")


class FailedSession:
    """Report that a session could not be prepared."""

    def __init__(self, error: Exception) -> None:
        import traceback

        # Only type and places: the secrets that a message may hold are not known yet.
        frames = traceback.extract_tb(error.__traceback__)
        where = f"{os.path.basename(frames[-1].filename)}, line {frames[-1].lineno}"  # noqa: PTH119
        first = f"failed: internal error: {type(error).__name__} in {where}"
        self.lines = [first, *"".join(frames.format()).splitlines()]

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the line, and with ``-v`` the places."""
        for line in self.lines if terminalreporter.verbosity > 0 else self.lines[:1]:
            terminalreporter.write_line(f"coveralls: {line}", yellow=True)
