"""The command line: arguments, settings, exit status.

The commands read the plugin's settings, pytest's ini file included, but load no ``conftest.py``,
no other plugin and no ``addopts``.
"""

import argparse
import difflib
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from . import __version__
from .commands import INTERRUPTED, REFUSED, USAGE, Console, finish, print_line, report, send
from .context import make_context
from .errors import CoverallsError, SettingsError
from .output import PREFIX
from .secret import Environment, redact
from .settings.sources import gather
from .settings.table import OPTIONS
from .text import escaped, one_line

COMMANDS = {"finish": finish, "report": report, "send": send}
# Keys of an ini file that need other plugins, or import modules that are not installed here.
NEUTRAL = ("addopts=", "filterwarnings=", "minversion=", "required_plugins=", "testpaths=")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 accepted, 1 not accepted, 2 usage."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a Windows console may know 200 characters only
            stream.reconfigure(errors="backslashreplace")
    options = _parse_arguments(sys.argv[1:] if arguments is None else arguments)
    console: Console | None = None
    try:
        console = _open_console(options)
        return int(options.run(console))
    except (SettingsError, pytest.fail.Exception) as error:  # pytest's is of an old setup.cfg
        return _fail(str(error), USAGE)
    except CoverallsError as error:
        return _fail(f"failed: {error}", REFUSED)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except Exception as error:  # noqa: BLE001  a traceback could show a secret
        # Before the settings are read it is not known what must not be shown.
        text = redact(one_line(error), console.context.secrets) if console else type(error).__name__
        return _fail(f"failed: internal error: {text}", REFUSED)


def _fail(text: str, status: int) -> int:
    print_line(PREFIX + escaped(text), sys.stderr)
    return status


class _Parser(argparse.ArgumentParser):
    """Quote nothing unknown: it may be a token in the wrong place."""

    def error(self, message: str) -> NoReturn:
        """Print usage and the problem, without the words typed."""
        if "invalid choice" in message:
            message = f"COMMAND is one of {', '.join(COMMANDS)}"
        super().error(re.sub(r"(['\"]).*\1", "[hidden]", message))


def _parse_arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = _parser()
    options, unknown = parser.parse_known_args(words)
    if unknown:
        flags = [option.flag for option in OPTIONS.values()]
        close = difflib.get_close_matches(unknown[0].partition("=")[0], flags, n=1)
        hint = f"did you mean {close[0]}?" if close else "see --help"
        parser.error(f"unknown argument; {hint}")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="pytest-coveralls-submit", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(name, help=command.HELP, allow_abbrev=False)
        for argument, keywords in command.ARGUMENTS.items():
            subparser.add_argument(argument, **keywords)
        subparser.set_defaults(run=command.run)
        subparser.add_argument("-v", "--verbose", action="count", default=0, help="say more")
        group = subparser.add_argument_group("settings, as for pytest --coveralls")
        for option in OPTIONS.values():
            group.add_argument(option.flag, **option.keywords())
    return parser


def _open_console(options: argparse.Namespace) -> Console:
    env = Environment(os.environ)
    try:
        start = Path.cwd()
    except FileNotFoundError:
        raise SettingsError("the current directory is gone: change to another") from None
    # Under workflow_run an artifact of a fork may be here.
    reads_files = env.get("GITHUB_EVENT_NAME") != "workflow_run"
    config = _read_configuration([] if reads_files else ["-c", os.devnull, f"--rootdir={start}"])
    settings = gather(config, options, env, reads_files=reads_files)
    with_base = options.command == "report"
    context = make_context(settings, env, start, config.rootpath, with_base=with_base)
    return Console(options, context)


class _ConfigReader:
    """Keep pytest's configuration, and pytest from running."""

    config: pytest.Config | None = None

    def pytest_cmdline_main(self, config: pytest.Config) -> int:
        self.config = config
        return 0


def _read_configuration(arguments: Sequence[str]) -> pytest.Config:
    reader = _ConfigReader()
    words = ["--noconftest", "-p", "pytest_coveralls_submit.plugin", "-p", "no:cacheprovider"]
    words += ["-p", "no:python_path", "-s", "--no-coveralls"]  # capturing would need a file
    words += [word for key in NEUTRAL for word in ("-o", key)]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
            patch.delenv(name, raising=False)
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        pytest.main([*words, *arguments], plugins=[reader])
    if reader.config is None:  # pytest has printed the reason
        raise SettingsError("pytest cannot read its configuration here")
    return reader.config
