"""What is printed: a plan's header, an outcome's closing lines, and the CI service's own output."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ..outcome import Built, Failed, NotSent, Outcome, Sent
from ..plan import Plan
from ..values import escaped

PREFIX = "coveralls: "


class Line(NamedTuple):
    """A line to print, and its colour by pytest's names."""

    text: str
    colour: str = ""


def header(plan: Plan, problems: Iterable[str]) -> list[str]:
    """Return what will be sent where, and what is wrong with it, before the first test."""
    identity = plan.identity
    facts = [
        f"{label} {value}"
        for label, value in (
            ("branch", identity.service_branch),
            ("commit", (identity.commit_sha or "")[:7]),
            ("flag", identity.flag_name),
        )
        if value
    ]
    facts.append(f"token from {plan.token.origin}" if plan.token else "no token")
    service, number = identity.service_name, identity.service_number
    named = (f" as {service}" if service else "") + (f" #{number}" if number else "")
    main = f"{plan.settings.host}{named} ({', '.join(facts)})"
    return [PREFIX + escaped(line) for line in (main, *problems)]


def display(percent: float) -> str:
    """Return a percentage with two places; 0 and 100 only where they are exact, as coverage.py."""
    if 0 < percent < 100:  # noqa: PLR2004
        percent = min(max(percent, 0.01), 99.99)
    return f"{percent:.2f}"


def lines(outcome: Outcome, verbosity: int, start: Path, known: Collection[str] = ()) -> list[Line]:
    """Return the closing lines.

    Args:
        outcome: to tell of.
        verbosity: pytest's: below 0 one line, above 0 details too.
        start: what paths are shown relative to.
        known: problems that the header has shown; what to do about them is not said again.
    """
    if isinstance(outcome, NotSent) and outcome.full_reason in known:
        outcome = replace(outcome, remedy="")
    first, *more = _told(outcome, start)
    if verbosity < 0:
        kept = outcome.kept if isinstance(outcome, Failed) else None
        first += f"; kept in {shown(kept, start)}" if kept else ""
        more = []
    else:
        more += outcome.notices
    if verbosity > 0:
        more += outcome.details
        more += outcome.traceback.splitlines() if isinstance(outcome, Failed) else []
    failed = isinstance(outcome, Failed)
    colours = ["yellow" if failed else "", *["yellow" if failed else ""] * len(more)]
    return [
        Line(PREFIX + escaped(text), colour)
        for text, colour in zip([first, *more], colours, strict=True)
    ]


def _told(outcome: Outcome, start: Path) -> Iterator[str]:
    if isinstance(outcome, Built):
        yield _built(outcome)
        if isinstance(outcome, Sent) and outcome.finish:
            yield f"when all jobs of the build are in, close it with: {outcome.finish}"
    elif isinstance(outcome, NotSent):
        yield f"not sent: {outcome.full_reason}"
    elif isinstance(outcome, Failed):
        yield f"failed: {outcome.reason}"
        yield from outcome.advice
        if outcome.kept:
            path = shlex.quote(shown(outcome.kept, start))
            yield f"kept in {path}; send it with: python -m pytest_coveralls_submit send {path}"
    saved = outcome.saved
    if saved:
        yield f"saved in {shown(saved, start)}"


def _built(outcome: Built) -> str:
    count = f"{len(outcome.files)} file" + "s" * (len(outcome.files) != 1)
    told = f"{count}, {display(outcome.percent)}% covered"
    if isinstance(outcome, Sent):
        return f"sent {told}" + (f" -> {outcome.url}" if outcome.url else "")
    return f"built {told}; not sent, this is a dry run"


def shown(path: Path, start: Path) -> str:
    """Return a path as the user would type it."""
    try:
        return str(path.relative_to(start))
    except ValueError:
        return str(path)
