"""pytest's hooks: the options, measuring, and registering a session.

Loaded in every pytest run, so everything else is imported once it is switched on.
"""

from __future__ import annotations

import contextlib
import os
import re
import traceback
from argparse import SUPPRESS, BooleanOptionalAction
from collections.abc import Generator, Mapping
from itertools import dropwhile
from typing import Any

import pytest

FAILED = pytest.StashKey[bool]()  # an error was noted before the tests
MEASURES = pytest.StashKey[bool]()  # whether the plugin made pytest-cov measure
ENVIRONMENT = pytest.StashKey[Mapping[str, str]]()  # before plugins and conftests change it
_loaded_in: Mapping[str, str] = {}
# Options of pytest that run no session.
NO_SESSION = ("showfixtures", "show_fixtures_per_test", "markers", "cacheshow", "version", "help")


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
    submits = "submit coverage to Coveralls"
    group.addoption("--coveralls", action=BooleanOptionalAction, help=submits)
    parser.addini("coveralls", submits, default=None)
    for option in OPTIONS.values():
        hidden = {} if option.in_help else {"help": SUPPRESS}
        group.addoption(option.flag, **option.keywords() | hidden)
        if option.in_files:
            parser.addini(option.ini, "" if option.in_help else option.help, default=None)


@pytest.hookimpl(wrapper=True)  # it comes before pytest-cov's own, which is ``tryfirst``
def pytest_load_initial_conftests(
    early_config: pytest.Config, args: list[str]
) -> Generator[None, object, object]:
    """Make pytest-cov measure where a job could be sent."""
    early_config.stash[ENVIRONMENT] = _loaded_in
    options = early_config.known_args_namespace
    if _is_on(early_config, options):
        from . import child_process  # noqa: F401  before a conftest.py changes what it needs

        # A variable may still change: pytest_configure meets the error again, and reports it.
        with contextlib.suppress(pytest.UsageError), _reporting_errors(early_config):
            if _should_measure(early_config, options):
                options.cov_source = [True]
                early_config.stash[MEASURES] = True
    result = yield
    if getattr(options, "no_cov_should_warn", False):
        # pytest-cov takes our flags after --no-cov for its own.
        after = dropwhile(lambda word: word != "--no-cov", map(str, args))
        options.no_cov_should_warn = any(re.match("--cov(?!eralls)", word) for word in after)
    return result


def _is_on(config: pytest.Config, options: Any) -> bool:
    """Tell if the plugin is switched on; cheap if not."""
    if options.coveralls is None:
        from .settings.table import ini_text

        if ini_text(config, "coveralls"):
            from .settings.sources import is_switched_on

            with _reporting_errors(config):
                return is_switched_on(config)
    return bool(options.coveralls)


@contextlib.contextmanager
def _reporting_errors(config: pytest.Config) -> Generator[None, None, None]:
    """Turn a wrong setting into a usage error, all else into a line."""
    from .errors import CoverallsError
    from .text import escaped

    try:
        yield
    except CoverallsError as error:
        raise pytest.UsageError(escaped(f"coveralls: {error}")) from None
    except KeyboardInterrupt:
        raise KeyboardInterrupt from None  # our frames have seen the environment
    except Exception as error:  # noqa: BLE001  no exception of ours reaches pytest
        config.stash[FAILED] = True
        # Only type and places: the secrets that a message may hold are not known yet.
        frames = traceback.extract_tb(error.__traceback__)
        where = f"{os.path.basename(frames[-1].filename)}, line {frames[-1].lineno}"  # noqa: PTH119
        first = f"failed: internal error: {type(error).__name__} in {where}"
        lines = [f"coveralls: {line}" for line in (first, *"".join(frames.format()).splitlines())]
        config.add_cleanup(
            lambda: print("\n".join(lines if config.get_verbosity() > 0 else lines[:1]))
        )


def _should_measure(config: pytest.Config, options: Any) -> bool:
    if getattr(options, "cov_source", None) != [] or options.no_cov or options.collectonly:
        return False
    from . import partial_run

    if (mark := partial_run.outer_session()) is not None:
        return "PYTEST_XDIST_WORKER" in os.environ and mark.endswith(partial_run.MEASURES)
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


@pytest.hookimpl(trylast=True)  # other plugins may set ``COVERALLS_*`` variables
def pytest_configure(config: pytest.Config) -> None:
    """Register a session where this process is the one that sends."""
    options = config.option
    if any(getattr(options, name, False) for name in NO_SESSION) or not _is_on(config, options):
        return
    from . import partial_run

    if hasattr(config, "workerinput"):
        if options.coveralls or partial_run.outer_session() is not None:
            partial_run.enter_session()
    elif FAILED not in config.stash:
        with _reporting_errors(config):
            _register_session(config)


def _register_session(config: pytest.Config) -> None:
    from .context import make_context
    from .partial_run import outer_session
    from .session import CoverallsSession
    from .settings.sources import effective_environment, gather

    env = effective_environment(config.stash.get(ENVIRONMENT, _loaded_in))
    settings = gather(config, config.option, env)
    start, root = config.invocation_params.dir, config.rootpath
    context = make_context(settings, env, start, root, with_base=outer_session() is None)
    session = CoverallsSession(config, context, measures=config.stash.get(MEASURES, False))
    config.pluginmanager.register(session, "coveralls_session")
