"""A page of Markdown about an outcome, for the services that show one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ..outcome import Built, ChangedFile, Failed, FileTotal, Outcome, Sent
from ..output import (
    RANGES,
    build_line,
    changed_lines_line,
    first_of,
    headline,
    line_range,
    with_link,
)
from ..text import escaped, percentage

LEAST_COVERED_ROWS = 10
CHANGED_ROWS = 20

# Marks of Markdown, and what GitHub turns into links without any mark.
_MARKS = re.compile(r"[\\`*_{}\[\]<>#|~$&]|:(?=//)|(?<=www)\.", re.IGNORECASE)


def markdown(outcome: Outcome) -> str:
    """Return the page: link, totals, changed files, least covered files.

    It is empty for a job that was not sent, unless lines changed: forks need no page.
    """
    is_news = isinstance(outcome, Built | Failed) or outcome.changed is not None
    if not is_news and not outcome.shortfall:
        return ""
    blocks = ["### Coveralls", *_paragraphs(outcome)]
    if outcome.changed is not None and outcome.changed.files:
        blocks.append(_changed_table(outcome.changed.files))
    if isinstance(outcome, Built) and outcome.files:
        blocks.append(_least_covered_table(outcome.files))
    return "\n\n".join(blocks) + "\n"


def _paragraphs(outcome: Outcome) -> Iterator[str]:
    sent = outcome if isinstance(outcome, Sent) else None
    yield _with_link(headline(outcome), sent.url if sent else None)
    if isinstance(outcome, Failed):
        yield from map(_plain, outcome.advice)
    if outcome.changed is not None:
        yield _plain(changed_lines_line(outcome.changed))
    if outcome.shortfall:
        yield f"**failed: {_plain(outcome.shortfall)}**"
    if sent and sent.build is not None:
        yield _with_link(build_line(sent.build), sent.build.url)


def _changed_table(files: Sequence[ChangedFile]) -> str:
    """Return the changed files as a table, most missed lines first."""
    rows = ["| Changed file | Covered | Changed | Missed lines |", "| --- | ---: | ---: | --- |"]
    for file in sorted(files, key=lambda file: file.covered - file.total)[:CHANGED_ROWS]:
        missed = first_of([line_range(*lines) for lines in file.missed], RANGES)
        rows.append(f"| {_plain(file.name)} | {file.covered} | {file.total} | {missed} |")
    if len(files) > CHANGED_ROWS:
        rows.append(f"\nand {len(files) - CHANGED_ROWS} more")
    return "\n".join(rows)


def _least_covered_table(files: Sequence[FileTotal]) -> str:
    rows = ["| Least covered | Covered | Relevant | % |", "| --- | ---: | ---: | ---: |"]
    for file in sorted(files, key=lambda file: file.percent)[:LEAST_COVERED_ROWS]:
        figures = f"{file.covered} | {file.relevant} | {percentage(file.percent)}"
        rows.append(f"| {_plain(file.name)} | {figures} |")
    return "\n".join(rows)


def _with_link(text: str, url: str | None) -> str:
    return with_link(_plain(text), f"<{escaped(url)}>" if url else None)


def _plain(text: str) -> str:
    """Return text from outside on one line, its Markdown escaped."""
    return _MARKS.sub(r"\\\g<0>", escaped(text))
