"""The commands, a module each, and what they share: context, printing, exit status."""

import argparse
import os
import sys
from collections.abc import Collection
from dataclasses import dataclass
from typing import TextIO

from ..ci.pages import pages
from ..context import RunContext
from ..outcome import Built, Interrupted, NotSent, Outcome
from ..output import PREFIX, closing_lines
from ..secret import redact, redacted
from ..text import escaped

ACCEPTED, REFUSED, USAGE, INTERRUPTED = 0, 1, 2, 130  # exit statuses


@dataclass(frozen=True)
class Console:
    """Hold a command's options and context, and print for it."""

    options: argparse.Namespace
    context: RunContext

    def print(self, *lines: str, stream: TextIO | None = None) -> None:
        """Print lines without the secrets."""
        for line in lines:
            print_line(redact(line, self.context.secrets), stream)

    def say(self, text: str, stream: TextIO | None = None) -> None:
        """Print a text from outside, with our prefix."""
        self.print(PREFIX + escaped(text), stream=stream)

    def report(
        self, outcome: Outcome, *, known: Collection[str] = (), is_trusted: bool = True
    ) -> None:
        """Print an outcome, and show it on the CI service's pages.

        Args:
            is_trusted: the job was measured in this checkout.
        """
        context, shown = self.context, redacted(outcome, self.context.secrets)
        annotate = context.settings.annotate
        commands = pages(shown, context.env, annotate=annotate, is_trusted=is_trusted)
        self.print(*closing_lines(shown, self.options.verbose, context.start, known), *commands)


def print_line(text: str, stream: TextIO | None = None) -> None:
    """Print a line at once, also where nobody reads it any more."""
    try:
        print(text, file=stream, flush=True)
    except ValueError:  # the stream is closed
        pass
    except OSError:
        # Python would fail once more when it flushes at exit:
        # https://docs.python.org/3/library/signal.html#note-on-sigpipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), (stream or sys.stdout).fileno())


def exit_status(outcome: Outcome, context: RunContext) -> int:
    """Return the exit status for a job that was to be sent."""
    if isinstance(outcome, Interrupted):
        return INTERRUPTED
    is_fine = isinstance(outcome, Built)
    if isinstance(outcome, NotSent) and outcome.remedy:  # it is the remedy for a missing token
        is_fine = not context.settings.strict
    return ACCEPTED if is_fine and not outcome.shortfall else REFUSED
