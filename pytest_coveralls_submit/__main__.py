"""``python -m pytest_coveralls_submit``: ``finish`` closes a parallel build, ``send`` sends a job.

Reads the settings that the plugin reads, the ini file of pytest's root directory among them,
but loads no ``conftest.py``, no other plugin and no ``addopts``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from . import __version__
from .delivery import diagnosis
from .errors import CoverallsError, SettingsError
from .identity.token import GITHUB_ACTIONS, GITHUB_SERVICE
from .job import other_tools as saved
from .outcome import Built, NotSent, Outcome
from .output.lines import PREFIX, lines
from .plan import Plan, make_plan, why_no_token
from .secret import Environment, redact
from .settings.read import gather
from .settings.table import OPTIONS
from .submit import deliver, file_totals, post
from .values import escaped

# What of an ini file needs other plugins, or imports what is not installed here.
NEUTRAL = {
    "addopts": "",
    "filterwarnings": "",
    "minversion": "",
    "required_plugins": "",
    "testpaths": "",
}
SHIELDED = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")
ACCEPTED, REFUSED, USAGE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 the server accepted, 1 it did not, 2 the call is wrong."""
    options = _parser().parse_args(arguments)
    made = None
    try:
        made = _plan(options)
        return _finish(made) if options.command == "finish" else _send(made, options)
    except CoverallsError as error:
        print(f"{PREFIX}{escaped(str(error))}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print(f"{PREFIX}interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001  a traceback could show what nobody may see
        text = f": {error}" if made is not None else ""
        secrets = made.secrets if made is not None else ()
        fault = f"failed: internal fault: {type(error).__name__}{text}"
        print(redact(PREFIX + escaped(fault), secrets), file=sys.stderr)
        return REFUSED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pytest-coveralls-submit",
        description="Close a parallel build on Coveralls, or send a job that was kept or saved.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    finish = commands.add_parser("finish", help="close a parallel build once all jobs are in")
    send = commands.add_parser("send", help="send a job from a file, and remove it once accepted")
    send.add_argument("file", type=Path, help='file with a job, "-" for standard input')
    for command in (finish, send):
        command.add_argument("-v", "--verbose", action="count", default=0, help="say more")
        group = command.add_argument_group("settings, as for pytest --coveralls")
        for option in OPTIONS.values():
            if "flag" in option.sources:
                for flag, keywords in option.arguments():
                    group.add_argument(flag, **keywords)
    return parser


class _ConfigReader:
    """A plugin that takes pytest's configuration and keeps pytest from doing anything."""

    config: pytest.Config | None = None

    def pytest_cmdline_main(self, config: pytest.Config) -> int:
        self.config = config
        return 0


def _config() -> pytest.Config:
    """Return pytest's configuration for the current directory, without plugins and addopts.

    Raises:
        SettingsError: pytest cannot read its own ini file; it has said why.
    """
    reader = _ConfigReader()
    before = dict(os.environ)
    for name in SHIELDED:
        os.environ.pop(name, None)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    overrides = [word for key, value in NEUTRAL.items() for word in ("-o", f"{key}={value}")]
    silent = ["--noconftest", "-p", "pytest_coveralls_submit.plugin", "-p", "no:cacheprovider"]
    silent += ["-p", "no:python_path"]
    try:
        pytest.main([*silent, *overrides, "--no-coveralls"], plugins=[reader])
    finally:
        os.environ.clear()
        os.environ.update(before)
    if reader.config is None:
        raise SettingsError("pytest cannot read its configuration here")
    return reader.config


def _plan(options: argparse.Namespace) -> Plan:
    env = Environment(os.environ)
    config = _config()
    settings, notices = gather(config, options, env)
    start = config.invocation_params.dir
    return make_plan(settings, env, root=config.rootpath, start=start, notices=notices)


def _print(text: str, made: Plan) -> None:
    print(redact(PREFIX + escaped(text), made.secrets), flush=True)


def _finish(made: Plan) -> int:
    number = made.identity.service_number
    for notice in made.notices:
        _print(notice, made)
    if number is None:
        raise SettingsError(
            "there is no build number: set --coveralls-service-number to the number that the "
            "header of the test runs shows"
        )
    if made.token is None:
        _print(f"not closed: {why_no_token(made)}", made)
        return REFUSED
    if made.settings.dry_run:
        _print(f"would close build {number} on {made.settings.host}; this is a dry run", made)
        return ACCEPTED
    asked = {
        "repo_token": made.token.secret.reveal(),
        "repo_name": made.identity.repo_name,
        "carryforward": made.settings.carryforward,
        "payload": {"build_num": number, "status": "done"},
    }
    body = json.dumps({name: value for name, value in asked.items() if value}).encode()
    answer = post(made, "/webhook", [body], lambda text: _print(text, made), is_repeatable=True)
    verdict = diagnosis.judge(answer, diagnosis.WEBHOOK_ROWS, made.facts)
    # An attempt whose answer was lost may have closed it: then the next one finds it closed.
    if verdict.accepted or (answer.ambiguous and "closed" in verdict.message):
        _print(f"closed build {number} on {made.settings.host}", made)
        return ACCEPTED
    for line in (f"failed: build {number} was not closed: {verdict.reason}", *verdict.advice):
        _print(line, made)
    return REFUSED


def _send(made: Plan, options: argparse.Namespace) -> int:
    path: Path = options.file
    built = _completed(saved.load(path), made)
    outcome = _outcome(made, built, path)
    for line in lines(outcome, options.verbose, made.start):
        print(redact(line.text, made.secrets), flush=True)
    return ACCEPTED if isinstance(outcome, Built) else REFUSED


def _outcome(made: Plan, built: dict[str, object], path: Path) -> Outcome:
    totals = file_totals(built)
    covered, relevant = sum(file.covered for file in totals), sum(file.relevant for file in totals)
    percent = 100.0 * covered / relevant if relevant else 100.0
    if made.settings.dry_run:
        return Built(files=totals, percent=percent, notices=made.notices)
    if made.token is None:
        return NotSent(reason=why_no_token(made), notices=made.notices)
    kept = None if str(path) == "-" else path.absolute()
    return deliver(made, built, percent, kept, lambda text: _print(text, made))


def _completed(built: dict[str, object], made: Plan) -> dict[str, object]:
    """Return a job that can be sent: with an identity, and with the service that fits the token.

    Another tool's file may hold source files alone; then the job is that of this checkout. Flags
    win over what the file says; variables, which may be another job's, do not.
    """
    head = made.identity.as_json()
    if set(built) == {"source_files"}:
        return {**head, **built}
    flags = {name for name, source in made.settings.sources.items() if source.startswith("--")}
    built.update({name: head[name] for name in flags & head.keys()})
    if built.get("service_name") in {GITHUB_ACTIONS, GITHUB_SERVICE} and made.token:
        is_github = made.token.is_github
        built["service_name"] = GITHUB_SERVICE if is_github else GITHUB_ACTIONS
        repo_name = made.settings.repo_name or made.build.repo_name
        if is_github and repo_name:
            built.setdefault("repo_name", repo_name)
    return built


if __name__ == "__main__":
    sys.exit(main())
