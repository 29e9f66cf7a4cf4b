"""``python -m pytest_coveralls_submit``: the commands beside ``pytest --coveralls``.

They read the settings that the plugin reads, the ini file of pytest's root directory among them,
but load no ``conftest.py``, no other plugin and no ``addopts``.
"""

from __future__ import annotations

import os
import sys

# `python -m` looks for modules in the current directory first: an `argparse.py` there, perhaps of a
# pull request, would run with the token at hand. Both modules above are loaded already.
if __name__ == "__main__" and not getattr(sys.flags, "safe_path", False):
    _home = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120
    if os.path.realpath(sys.path[0]) == os.path.realpath("") != _home:
        del sys.path[0]

import argparse
from collections.abc import Sequence

from . import __version__
from .commands import finish, report, send
from .commands.console import INTERRUPTED, REFUSED, USAGE, Console, open_console
from .errors import CoverallsError
from .output.lines import PREFIX
from .secret import redact
from .settings.table import OPTIONS
from .values import escaped

COMMANDS = {"finish": finish, "report": report, "send": send}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 the server accepted, 1 it did not, 2 the call is wrong."""
    words = sys.argv[1:] if arguments is None else arguments
    options = _options(words)
    console: Console | None = None
    try:
        console = open_console(options, words, compares=options.run is report.run)
        return int(options.run(console))
    except CoverallsError as error:
        print(f"{PREFIX}{escaped(str(error))}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print(f"{PREFIX}interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001  a traceback could show what nobody may see
        # Before there is a plan it is not known what must not be shown.
        text = f": {error}" if console is not None else ""
        secrets = console.plan.secrets if console is not None else ()
        fault = f"failed: internal fault: {type(error).__name__}{text}"
        print(redact(PREFIX + escaped(fault), secrets), file=sys.stderr)
        return REFUSED


def _options(words: Sequence[str]) -> argparse.Namespace:
    """Read the command line; what is not known there may be a token and is not quoted."""
    parser = _parser()
    options, unknown = parser.parse_known_args(words)
    flags = [word.partition("=")[0] for word in unknown if word.startswith("-")]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(flags) or len(unknown)}")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
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


if __name__ == "__main__":
    sys.exit(main())
