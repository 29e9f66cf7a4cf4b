"""What the commands share: exit statuses, the plan of where they run, printing."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Collection
from dataclasses import dataclass

import pytest

from ..ci.pages import pages
from ..context import Plan, make_plan
from ..errors import SettingsError
from ..hints import problems
from ..outcome import Built, Interrupted, Outcome
from ..output.lines import PREFIX, header, lines
from ..output.terminal import Progress, write
from ..secret import Environment, redact, redacted
from ..settings.sources import gather
from ..text import escaped, one_line

ACCEPTED, REFUSED, USAGE, INTERRUPTED = 0, 1, 2, 130
# What of an ini file needs other plugins, or imports what is not installed here.
_NEUTRAL = {
    "addopts": "",
    "filterwarnings": "",
    "minversion": "",
    "required_plugins": "",
    "testpaths": "",
}
_SHIELDED = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")


@dataclass(frozen=True)
class Console:
    """Where a command runs and what it was asked for."""

    options: argparse.Namespace
    plan: Plan

    def progress(self) -> Progress:
        """Return what shows a line that changes while work goes on, on a terminal alone."""
        return Progress(sys.stderr)

    def say(self, text: str) -> None:
        """Print a line of ours."""
        write(sys.stdout, redact(PREFIX + escaped(text), self.plan.secrets))

    def complain(self, text: str) -> None:
        """Print on the standard error what could not be used."""
        write(sys.stderr, redact(PREFIX + escaped(text), self.plan.secrets))

    def introduce(self) -> tuple[str, ...]:
        """Print what will be sent where, and return what is wrong with it."""
        known = tuple(problems(self.plan))
        for line in header(self.plan, known):
            write(sys.stdout, redact(line, self.plan.secrets))
        return known

    def tell(
        self, outcome: Outcome, *, known: Collection[str] = (), is_trusted: bool = True
    ) -> None:
        """Print what became of a job, and show it on the CI service's own page.

        Args:
            outcome: to tell of.
            known: problems that were printed before.
            is_trusted: whether the job is of this checkout, not out of a file from elsewhere.
        """
        settings, env = self.plan.settings, self.plan.env
        shown = redacted(outcome, self.plan.secrets)
        told = lines(shown, self.options.verbose, self.plan.start, known)
        commands = pages(shown, env, annotate=settings.annotate, is_trusted=is_trusted)
        for line in (*told, *commands):
            write(sys.stdout, redact(line, self.plan.secrets))


def open_console(options: argparse.Namespace, *, compares: bool = False) -> Console:
    """Read the settings that a test run here would have, and plan.

    Args:
        options: what was typed, as the parser understands it.
        compares: whether the command measures something whose changed lines can be counted.

    Raises:
        SettingsError: a setting cannot be used.
    """
    env = Environment(os.environ)
    # An artifact of a fork may lie here: https://docs.github.com/actions/security-guides
    reads_files = env.get("GITHUB_EVENT_NAME") != "workflow_run"
    config = _config(reads_files=reads_files)
    settings = gather(config, options, env, reads_files=reads_files)
    start = config.invocation_params.dir
    plan = make_plan(settings, env, root=config.rootpath, start=start, compares=compares)
    return Console(options, plan)


def status_of(outcome: Outcome) -> int:
    """Return the exit status of a job that was to be sent."""
    if isinstance(outcome, Interrupted):
        return INTERRUPTED
    return ACCEPTED if isinstance(outcome, Built) else REFUSED


class _ConfigReader:
    """A plugin that takes pytest's configuration and keeps pytest from doing anything."""

    config: pytest.Config | None = None

    def pytest_cmdline_main(self, config: pytest.Config) -> int:
        self.config = config
        return 0


def _config(*, reads_files: bool) -> pytest.Config:
    """Return pytest's configuration for the current directory, without plugins and addopts.

    Raises:
        SettingsError: pytest cannot read its own ini file; it has said why.
    """
    reader = _ConfigReader()
    before = dict(os.environ)
    for name in _SHIELDED:
        os.environ.pop(name, None)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    overrides = [word for key, value in _NEUTRAL.items() for word in ("-o", f"{key}={value}")]
    silent = ["--noconftest", "-p", "pytest_coveralls_submit.plugin", "-p", "no:cacheprovider"]
    silent += ["-p", "no:python_path", "-s"]  # to capture output it would need a file
    if not reads_files:
        silent += ["-c", os.devnull, "--rootdir", os.getcwd()]  # noqa: PTH109
    try:
        pytest.main([*silent, *overrides, "--no-coveralls"], plugins=[reader])
    except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001  what it does not catch itself
        raise SettingsError(
            f"pytest cannot read its configuration here: {one_line(error)}"
        ) from None
    finally:
        os.environ.clear()
        os.environ.update(before)
    if reader.config is None:
        raise SettingsError("pytest cannot read its configuration here")
    return reader.config
