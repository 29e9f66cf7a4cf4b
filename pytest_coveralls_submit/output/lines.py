"""What is printed: a plan's header and the closing lines of an outcome.

Who writes them where, and what CI services show of their own, is left to others.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ..context import Plan
from ..outcome import BuildResult, Built, ChangedLines, Failed, NotSent, Outcome, Sent
from ..text import escaped, percentage, typed_path

PREFIX = "coveralls: "
RANGES = 10
"""Ranges of missed lines that are listed; ``-v`` lists all."""


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


def lines(outcome: Outcome, verbosity: int, start: Path, known: Collection[str] = ()) -> list[str]:
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
        also = (f"kept in {typed_path(kept, start)}" if kept else "", outcome.shortfall)
        texts = ["; ".join(filter(None, (first, *also)))]
    else:
        texts = [first, *more, *_results(outcome, verbosity), *outcome.notices]
    if verbosity > 0:
        texts += outcome.details
        texts += outcome.traceback.splitlines() if isinstance(outcome, Failed) else []
    return [PREFIX + escaped(text) for text in texts]


def _told(outcome: Outcome, start: Path) -> Iterator[str]:
    yield linked(headline(outcome), outcome.url if isinstance(outcome, Sent) else None)
    if isinstance(outcome, Sent) and outcome.finish:
        yield f"when all jobs of the build are in, close it with: {outcome.finish}"
    if isinstance(outcome, Failed):
        yield from outcome.advice
        if outcome.kept:
            path = shlex.quote(typed_path(outcome.kept, start))
            yield f"kept in {path}; send it with: python -m pytest_coveralls_submit send {path}"
    saved = outcome.saved
    if saved:
        yield f"saved in {typed_path(saved, start)}"


def _results(outcome: Outcome, verbosity: int) -> Iterator[str]:
    if outcome.changed is not None:
        yield changed_line(outcome.changed, most=None if verbosity > 0 else RANGES)
        partial = [f"{file.name}:{line}" for file in outcome.changed.files for line in file.partial]
        if verbosity > 0 and partial:
            yield f"partly taken: {', '.join(partial)}"
    if outcome.shortfall:
        yield f"failed: {outcome.shortfall}"
    if isinstance(outcome, Sent) and outcome.build is not None:
        yield linked(build_line(outcome.build), outcome.build.url)


def headline(outcome: Outcome) -> str:
    """Return what became of a job, in one line without its link."""
    if isinstance(outcome, Failed):
        return f"failed: {outcome.reason}"
    if isinstance(outcome, NotSent):
        return f"not sent: {outcome.full_reason}"
    assert isinstance(outcome, Built)
    count = f"{len(outcome.files)} file" + "s" * (len(outcome.files) != 1)
    totals = f"{count}, {percentage(outcome.percent)}% covered"
    if isinstance(outcome, Sent):
        return f"sent {totals}"
    return f"built {totals}; not sent, this is a dry run"


def changed_line(changed: ChangedLines, most: int | None = RANGES) -> str:
    """Return how much of the changed lines is covered, and ``most`` of the missed ranges."""
    if not changed.total:
        return "changed lines: none measured"
    told = f"changed lines: {changed.covered} of {changed.total} covered"
    missed = [f"{file.name}:{span(*lines)}" for file in changed.files for lines in file.missed]
    also = f"; missed: {listed(missed, most)}" if missed else ""
    return f"{told} ({percentage(changed.percent)}%){also}"


def build_line(build: BuildResult) -> str:
    """Return what the server made of the whole build, without its link."""
    if build.percent is None:
        return f"build: {build.problem or 'still processing'}"
    # Adding 0.0 makes -0.0 positive.
    change = "" if build.change is None else f", {round(build.change, 2) + 0.0:+.2f}%"
    return f"build: {percentage(build.percent)}% covered{change}"


def linked(text: str, url: str | None) -> str:
    """Return a text with the link that belongs to it, if there is one."""
    return f"{text} -> {url}" if url else text


def listed(texts: Sequence[str], most: int | None) -> str:
    """Return ``most`` of some texts, all for None, and how many there are beside them."""
    told = ", ".join(texts[:most])
    hidden = 0 if most is None else max(len(texts) - most, 0)
    return f"{told} and {hidden} more" if hidden else told


def span(first: int, last: int) -> str:
    """Return a range of lines as editors write it: ``10-11``, or ``3`` alone."""
    return str(first) if first == last else f"{first}-{last}"
