"""A page of Markdown on an outcome, for the services that show one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ..outcome import Built, ChangedFile, Failed, FileTotal, Outcome, Sent
from ..output.lines import RANGES, build_line, changed_line, headline, listed, span
from ..text import escaped, percentage

LEAST_COVERED = 10
"""Files in the table of those."""
CHANGED = 20
"""Files in the table of those."""

# Marks of Markdown, and what GitHub makes links of without any mark.
_MARKS = re.compile(r"[\\`*_{}\[\]<>#|~$&]|:(?=//)|(?<=www)\.", re.IGNORECASE)


def markdown(outcome: Outcome) -> str:
    """Return the page: link, totals, changed files, the least covered files.

    Of a job that was not sent there is none, unless lines changed: a fork's run is no news.
    """
    is_news = isinstance(outcome, Built | Failed) or outcome.changed is not None
    if not is_news and not outcome.shortfall:
        return ""
    changed = outcome.changed.files if outcome.changed is not None else ()
    files = outcome.files if isinstance(outcome, Built) else ()
    blocks = ["### Coveralls", *_paragraphs(outcome), _changed(changed), _least_covered(files)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _paragraphs(outcome: Outcome) -> Iterator[str]:
    sent = outcome if isinstance(outcome, Sent) else None
    yield _linked(headline(outcome), sent.url if sent else None)
    if isinstance(outcome, Failed):
        yield from map(_plain, outcome.advice)
    if outcome.changed is not None:
        yield _plain(changed_line(outcome.changed))
    if outcome.shortfall:
        yield f"**failed: {_plain(outcome.shortfall)}**"
    if sent and sent.build is not None:
        yield _linked(build_line(sent.build), sent.build.url)


def _changed(files: Sequence[ChangedFile]) -> str:
    """Return a table of the changed files, those that miss most first."""
    rows = ["| Changed file | Covered | Changed | Missed lines |", "| --- | ---: | ---: | --- |"]
    for file in sorted(files, key=lambda file: file.covered - file.total)[:CHANGED]:
        missed = listed([span(*lines) for lines in file.missed], RANGES)
        rows.append(f"| {_plain(file.name)} | {file.covered} | {file.total} | {missed} |")
    if len(files) > CHANGED:
        rows.append(f"\nand {len(files) - CHANGED} more")
    return "\n".join(rows) if files else ""


def _least_covered(files: Sequence[FileTotal]) -> str:
    rows = ["| Least covered | Covered | Relevant | % |", "| --- | ---: | ---: | ---: |"]
    for file in sorted(files, key=lambda file: file.percent)[:LEAST_COVERED]:
        figures = f"{file.covered} | {file.relevant} | {percentage(file.percent)}"
        rows.append(f"| {_plain(file.name)} | {figures} |")
    return "\n".join(rows) if files else ""


def _linked(text: str, url: str | None) -> str:
    return _plain(text) + (f" -> <{escaped(url)}>" if url else "")


def _plain(text: str) -> str:
    """Return a text from outside as Markdown that shows it, in one line."""
    return _MARKS.sub(r"\\\g<0>", escaped(text))
