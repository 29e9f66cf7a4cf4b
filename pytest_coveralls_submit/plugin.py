"""pytest's hooks, thin: switching on, the header, the one submission, the closing lines.

Loaded in every pytest run, so that all it needs is imported once it is switched on. No exception
of ours gets past it.
"""

from __future__ import annotations

import dataclasses
import os
import traceback
import warnings
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .errors import CoverallsError
from .secret import Environment, redact, redacted
from .settings import (
    BOOLEAN,
    OPTIONS,
    Settings,
    Text,
    read_boolean,
    resolve,
    texts_of_variables,
    unknown_variables,
)

if TYPE_CHECKING:
    from .measurement import Keeper, Measurement
    from .outcome import Outcome
    from .submit import Plan

SESSION_MARK = "PYTEST_COVERALLS_SUBMIT_PID"
"""Set while a session is on that submits: pytest runs inside of it do not."""


MEASURES = pytest.StashKey[bool]()
"""Whether pytest-cov measures because we asked it to."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--coveralls`` and a flag and an ini key for each setting."""
    group = parser.getgroup("coveralls", "submission of coverage to Coveralls")
    group.addoption(
        "--coveralls", action="store_true", default=None, help="submit coverage to Coveralls"
    )
    group.addoption("--no-coveralls", action="store_false", dest="coveralls", help="do not submit")
    parser.addini("coveralls", "submit coverage to Coveralls (--coveralls)", default=None)
    for option in OPTIONS.values():
        if "flag" in option.sources:
            for flag, keywords in option.arguments():
                group.addoption(flag, **keywords)
        if "ini" in option.sources:
            parser.addini(option.ini, f"{option.help} ({option.kind.accepts})", default=None)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the hooks for ``conftest.py``."""
    from . import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, args: list[str]
) -> Generator[None, object, object]:
    """Ask pytest-cov to measure where nobody did and a job could be sent.

    A wrapper, to come before pytest-cov's own ``tryfirst`` implementation.
    """
    options = early_config.known_args_namespace
    if _is_on(early_config, options) and _should_measure(early_config, options):
        options.cov_source = [True]
        early_config.stash[MEASURES] = True
    result = yield
    _take_back_warning(options, args)
    return result


def _take_back_warning(options: Any, args: list[str]) -> None:
    """Undo pytest-cov's warning of options after ``--no-cov``, where it took ours for its own."""
    if getattr(options, "no_cov_should_warn", False):
        words = [str(word) for word in args]
        after = words[words.index("--no-cov") + 1 :] if "--no-cov" in words else words
        options.no_cov_should_warn = any(
            word.startswith("--cov") and not word.startswith("--coveralls") for word in after
        )


def _is_on(config: pytest.Config, options: Any) -> bool:
    if options.coveralls is not None:
        return bool(options.coveralls)
    text = _ini_text(config, "coveralls")
    try:
        return bool(text) and read_boolean(text)
    except ValueError:
        raise pytest.UsageError(
            f'coveralls in {_ini_name(config)} is "{text}": it takes {BOOLEAN.accepts}'
        ) from None


def _should_measure(config: pytest.Config, options: Any) -> bool:
    asked = getattr(options, "cov_source", None)
    is_off = getattr(options, "no_cov", False) or getattr(options, "collectonly", False)
    if asked is None or asked or is_off:
        return False
    mark = os.environ.get(SESSION_MARK)
    if mark is not None:  # a worker of xdist does as its parent; a run inside of another does not
        return "PYTEST_XDIST_WORKER" in os.environ and mark == _mark(os.getppid(), measures=True)
    env = Environment(os.environ)
    try:
        settings, _ = gather(config, options, env)
        return _leads_to_a_job(settings, env)
    except Exception:  # noqa: BLE001  pytest_configure meets it again, and says so
        return False


def _leads_to_a_job(settings: Settings, env: Environment) -> bool:
    from . import ci, job
    from .measurement import current
    from .submit import can_send

    token = job.choose_token(settings, ci.detect(env), env)
    return can_send(settings, token) and current() is None


def _mark(pid: int, *, measures: bool) -> str:
    return f"{pid} measures" if measures else str(pid)


def gather(
    config: pytest.Config, options: Any, env: Mapping[str, str]
) -> tuple[Settings, list[str]]:
    """Return the settings of flags, variables, ini file and ``.coveralls.yml``, and notices.

    Args:
        config: for the ini file and the directories.
        options: a namespace with the flags' values.
        env: the environment of session start.

    Raises:
        SettingsError: a value cannot be used.
    """
    from . import yml

    start = config.invocation_params.dir
    flags = {
        name: Text(value, option.flag, start)
        for name, option in OPTIONS.items()
        if (value := getattr(options, option.ini, None)) is not None
    }
    ini = {
        name: Text(text, f"{option.ini} in {_ini_name(config)}", config.rootpath)
        for name, option in OPTIONS.items()
        if "ini" in option.sources and (text := _ini_text(config, option.ini))
    }
    in_yml, notices = yml.texts(config.rootpath)
    settings = resolve(flags, texts_of_variables(env, start), ini, in_yml)
    return settings, [*notices, *unknown_variables(env)]


def _ini_text(config: pytest.Config, key: str) -> str:
    """Return an ini value as text; pytest 9's native TOML also has numbers and booleans."""
    try:
        value = config.getini(key)
    except (TypeError, ValueError, pytest.UsageError):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pytest 9 has another name for it
            value = config.inicfg.get(key)
        value = getattr(value, "value", value)
    if isinstance(value, list):
        value = "\n".join(map(str, value))
    return "" if value is None else str(value)


def _ini_name(config: pytest.Config) -> str:
    return config.inipath.name if config.inipath else "the command line"


def pytest_configure(config: pytest.Config) -> None:
    """Register a :class:`Reporter` where this session is the one that submits."""
    if not _is_on(config, config.option):
        return
    if hasattr(config, "workerinput"):
        os.environ[SESSION_MARK] = _mark(os.getpid(), measures=False)  # for runs inside of it
        return
    try:
        made = _plan(config)
    except CoverallsError as error:
        from .summary import clean

        raise pytest.UsageError(clean(f"coveralls: {error}")) from None
    except KeyboardInterrupt:
        raise KeyboardInterrupt from None  # our frames have seen the environment
    except Exception as error:  # noqa: BLE001  a fault of ours stops no test
        config.pluginmanager.register(Mishap(error), "coveralls_mishap")
        return
    config.pluginmanager.register(Reporter(config, made), "coveralls_reporter")


def _plan(config: pytest.Config) -> Plan:
    # All that is needed later is imported now: tests may leave imports broken.
    from . import measurement, parallel, selection, summary  # noqa: F401
    from .submit import plan

    env = Environment(os.environ)
    settings, notices = gather(config, config.option, env)
    start = config.invocation_params.dir
    return plan(settings, env, root=config.rootpath, start=start, notices=notices)


class Mishap:
    """Stands in for a :class:`Reporter` that could not be made; tells so once."""

    def __init__(self, error: Exception) -> None:
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


class Reporter:
    """Follows one session and submits its coverage at the end."""

    def __init__(self, config: pytest.Config, plan: Plan) -> None:
        from .selection import runs_last_failed

        self.config = config
        self.plan = plan
        self.pid = os.getpid()
        self.outer = os.environ.get(SESSION_MARK)
        self.keeper: Keeper | None = None
        self.header: list[str] = []
        self.stopped: str | None = None
        self.deselected = 0
        self.last_failed = runs_last_failed(config)
        self.annotation: str | None = None
        self.outcome: Outcome | None = None
        os.environ.setdefault(
            SESSION_MARK, _mark(self.pid, measures=config.stash.get(MEASURES, False))
        )

    def pytest_report_header(self) -> list[str]:
        """Say what will be sent where."""
        from .summary import header

        try:
            self.header = [redact(line, self.plan.secrets) for line in header(self.plan)]
        except Exception as error:  # noqa: BLE001  the tests are more important
            self.header = [f"coveralls: internal fault: {type(error).__name__}"]
        return self.header

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Note that the run was ended early; pytest.exit does so with any exit status."""
        self.stopped = str(excinfo.value) or excinfo.typename

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Count the tests that do not run."""
        self.deselected += len(items)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> None:
        """Keep what pytest-cov's report analyses; its own hook wraps this one."""
        from .measurement import controller_of, keep_from, reported_by

        try:
            controller = controller_of(self.config)
            if controller is not None:
                self.keeper = keep_from(reported_by(controller))
        except Exception as error:  # noqa: BLE001  without it the job is made another way
            self._say(f"internal fault: {type(error).__name__}: {error}")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Submit, once; only ``strict`` and Ctrl-C touch the exit status."""
        if os.getpid() != self.pid:  # a test forked, and the child came all the way here
            return
        from .outcome import Interrupted
        from .submit import fault

        try:
            outcome = self._outcome(session, int(exitstatus))
        except KeyboardInterrupt:
            outcome = Interrupted(reason="interrupted")
        except Exception as error:  # noqa: BLE001  the last resort
            outcome = fault(error)
        self.outcome = redacted(outcome, self.plan.secrets)
        self._tell_hooks()
        self._tell_service()
        self._set_exit_status(session)

    def _outcome(self, session: pytest.Session, exitstatus: int) -> Outcome:
        from .outcome import NotSent
        from .selection import narrowed, reason_to_skip
        from .submit import submit

        part = narrowed(self.config, self.deselected, last_failed=self.last_failed)
        reason = reason_to_skip(session, exitstatus, self.plan.settings, part)
        if self.stopped is not None:
            reason = f"the run was interrupted: {self.stopped}"
        if self.outer is not None:
            reason = "this pytest run is inside another one that submits"
        if reason is not None:
            return NotSent(reason=reason)
        hooks = self.config.hook.pytest_coveralls_job
        return submit(
            self.plan,
            self._measure,
            self._cache,
            self._say,
            (lambda job: hooks(config=self.config, job=job)) if hooks.get_hookimpls() else None,
            part if self.plan.settings.on_partial == "warn" else None,
        )

    def _measure(self) -> Measurement:
        from .measurement import controller_of, finished, keep_from, measure
        from .parallel import analyse

        cov = finished(self.config)
        keeper = keep_from(cov) if controller_of(self.config) is None else self.keeper
        try:
            start = self.plan.start
            return measure(cov, keeper, start, lambda cov: analyse(cov, start, self.plan.env))
        finally:
            if keeper is not None:
                keeper.release()

    def _cache(self) -> Path | None:
        cache = getattr(self.config, "cache", None)
        try:
            return None if cache is None else cache.mkdir("coveralls")
        except OSError:
            return None

    def _tell_hooks(self) -> None:
        from .outcome import Interrupted

        try:
            self.config.hook.pytest_coveralls_outcome(config=self.config, outcome=self.outcome)
        except KeyboardInterrupt:
            self.outcome = Interrupted(reason="interrupted")
        except BaseException as error:  # noqa: BLE001  a conftest.py may also fail, skip or exit
            self._say(f"the hook pytest_coveralls_outcome failed: {type(error).__name__}: {error}")

    def _tell_service(self) -> None:
        from .summary import write_for_ci

        assert self.outcome is not None
        try:
            self.annotation = write_for_ci(self.outcome, self.plan.env)
        except Exception as error:  # noqa: BLE001  it is an extra
            self._say(f"internal fault: {type(error).__name__}: {error}")

    def _set_exit_status(self, session: pytest.Session) -> None:
        from .outcome import Built, Interrupted

        if isinstance(self.outcome, Interrupted):
            session.exitstatus = pytest.ExitCode.INTERRUPTED
            return
        refused = self.plan.settings.strict and not isinstance(self.outcome, Built)
        if refused and self.outer is None and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _say(self, text: str) -> None:
        from .summary import PREFIX, clean

        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and self.config.get_verbosity() >= 0:
            reporter.ensure_newline()
            reporter.write_line(PREFIX + clean(redact(text, self.plan.secrets)), yellow=True)

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
        from .outcome import NotSent
        from .summary import lines

        if isinstance(outcome, NotSent) and any(outcome.reason in line for line in self.header):
            # What to do about it stands in the header.
            outcome = dataclasses.replace(outcome, reason=outcome.reason.partition(":")[0])
        for line in lines(outcome, self.config.get_verbosity(), self.plan.start):
            markup = {line.colour: True} if line.colour else {}
            terminalreporter.write_line(line.text, **markup)
        if self.annotation:
            terminalreporter.write_line(self.annotation)

    def pytest_unconfigure(self) -> None:
        """Print what no summary has printed, and leave the environment as it was."""
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if self.outcome is not None and reporter is not None:
            self.pytest_terminal_summary(reporter)
        if self.outer is None and os.getpid() == self.pid:
            os.environ.pop(SESSION_MARK, None)
