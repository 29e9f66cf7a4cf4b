"""The command line: which command runs, with which settings, and what ends it.

The commands read the settings that the plugin reads, the ini file of pytest's root directory among
them, but load no ``conftest.py``, no other plugin and no ``addopts``.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from .. import __version__
from ..errors import CoverallsError
from ..output.lines import PREFIX
from ..output.terminal import write
from ..secret import redact
from ..settings.table import OPTIONS
from ..text import escaped
from . import finish, report, send
from .console import INTERRUPTED, REFUSED, USAGE, Console, open_console

COMMANDS = {"finish": finish, "report": report, "send": send}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 the server accepted, 1 it did not, 2 the call is wrong."""
    words = sys.argv[1:] if arguments is None else arguments
    options = _options(words)
    console: Console | None = None
    try:
        os.getcwd()  # noqa: PTH109  it may be gone, and everything starts there
        console = open_console(options, compares=options.run is report.run)
        return int(options.run(console))
    except CoverallsError as error:
        return _say(str(error), USAGE)
    except KeyboardInterrupt:
        return _say("interrupted", INTERRUPTED)
    except Exception as error:  # noqa: BLE001  a traceback could show what nobody may see
        if console is None and isinstance(error, FileNotFoundError):
            return _say("the current directory is gone: change to another", USAGE)
        # Before there is a plan it is not known what must not be shown.
        text = f": {error}" if console is not None else ""
        secrets = console.plan.secrets if console is not None else ()
        fault = f"failed: internal fault: {type(error).__name__}{text}"
        return _say(redact(fault, secrets), REFUSED)


def _say(text: str, status: int) -> int:
    write(sys.stderr, PREFIX + escaped(text))
    return status


class _Parser(argparse.ArgumentParser):
    """Quotes nothing that it does not know: it may be a token that was put in a wrong place."""

    def error(self, message: str) -> NoReturn:
        """Print usage and what is wrong, without what argparse quotes of what was typed."""
        if "invalid choice" in message:
            message = f"COMMAND is one of {', '.join(COMMANDS)}"
        super().error(re.sub(r"(['\"]).*\1", "[hidden]", message))


def _options(words: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = _parser()
    options, unknown = parser.parse_known_args(words)
    if unknown:
        flag = unknown[0].partition("=")[0]
        nearest = difflib.get_close_matches(flag, _flags(), n=1) if flag.startswith("--") else []
        hint = f"; the nearest is {nearest[0]}" if nearest else "; see --help"
        count = "1 word is" if len(unknown) == 1 else f"{len(unknown)} words are"
        parser.error(f"{count} not understood{hint}")
    return options


def _flags() -> list[str]:
    return [flag for option in OPTIONS.values() for flag, _ in option.arguments()]


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="pytest-coveralls-submit",
        allow_abbrev=False,
        description="Close a parallel build on Coveralls, report coverage data that is there "
        "already, or send jobs that were kept or saved.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(name, help=command.HELP, allow_abbrev=False)
        command.add_arguments(subparser)
        subparser.set_defaults(run=command.run)
        subparser.add_argument("-v", "--verbose", action="count", default=0, help="say more")
        group = subparser.add_argument_group("settings, as for pytest --coveralls")
        for option in OPTIONS.values():
            for flag, keywords in option.arguments():
                group.add_argument(flag, **keywords)
    return parser
