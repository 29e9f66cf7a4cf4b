"""What CI services show of their own: summaries, annotations, outputs, statistics.

A row and a function for each service; what a page of Markdown says stands in ``markdown``.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from .. import process
from ..errors import ProcessError
from ..outcome import Built, Failed, Outcome, Sent
from ..output.lines import span
from ..text import escaped, percentage
from .markdown import markdown

ANNOTATIONS = 10
"""GitHub drops what a step has beyond that (actions/toolkit#734)."""
AGENT_PATIENCE = 10.0
"""Seconds that Buildkite's agent has to answer."""


@dataclass(frozen=True)
class _Step:
    """The step of a CI service that runs us."""

    env: Mapping[str, str]
    project: Path
    annotate: bool
    is_trusted: bool


class Page(NamedTuple):
    """How a CI service is told of an outcome."""

    variable: str
    """Set, and not to false, where the service runs us."""
    show: Callable[[Outcome, _Step], Iterable[str]]
    """Writes files or runs the service's agent; gives the lines to print."""
    documented_at: str


def pages(
    outcome: Outcome,
    env: Mapping[str, str],
    project: Path,
    *,
    annotate: bool = False,
    is_trusted: bool = True,
) -> list[str]:
    """Show the CI service an outcome; return the commands to print, each at a line's start.

    What cannot be written is left out: nothing here may fail a run.

    Args:
        outcome: with no secret in it.
        env: the environment of session start.
        project: the directory of what is tested; no program in it is run.
        annotate: whether to mark the missed changed lines.
        is_trusted: whether the job is what this run measured; of one that comes from a file,
            nothing is handed to later steps.
    """
    step = _Step(env, project, annotate, is_trusted)
    return [
        line
        for page in PAGES
        if env.get(page.variable, "").strip().lower() not in {"", "false"}
        for line in page.show(outcome, step)
    ]


def _github(outcome: Outcome, step: _Step) -> Iterator[str]:
    outputs = "".join(f"{name}={escaped(value)}\n" for name, value in _outputs(outcome, step))
    _append(step.env.get("GITHUB_OUTPUT"), outputs)
    _append(step.env.get("GITHUB_STEP_SUMMARY"), markdown(outcome))
    if isinstance(outcome, Failed):
        yield f"::warning title=Coveralls::{_github_message(outcome.reason)}"
    if outcome.shortfall:
        yield f"::error title=Coveralls::{_github_message(outcome.shortfall)}"
    if step.annotate and outcome.changed is not None:
        ranges = [
            (file.repository_name or file.name, *lines)
            for file in outcome.changed.files
            for lines in file.missed
        ]
        for name, first, last in ranges[:ANNOTATIONS]:
            place = f"file={_github_property(name)},line={first},endLine={last}"
            text = f"not covered by tests: {span(first, last)}"
            yield f"::notice {place},title=Coveralls::{text}"


def _outputs(outcome: Outcome, step: _Step) -> Iterator[tuple[str, str]]:
    if isinstance(outcome, Sent) and outcome.url:
        # A later step may put it into a shell.
        yield "coveralls-url", quote(outcome.url, safe=":/?#[]@!*+,=%~")
    if outcome.percent is not None and step.is_trusted:
        yield "covered-percent", percentage(outcome.percent)
    if outcome.changed is not None and step.is_trusted:
        yield "changed-covered", str(outcome.changed.covered)
        yield "changed-total", str(outcome.changed.total)
        yield "changed-percent", percentage(outcome.changed.percent)


def _append(path: str | None, text: str) -> None:
    if path and text:
        with suppress(OSError), Path(path).open("a", encoding="utf-8") as file:
            file.write(text)


def _github_message(text: str) -> str:
    return escaped(text).replace("%", "%25")


def _github_property(text: str) -> str:
    return _github_message(text).replace(":", "%3A").replace(",", "%2C")


def _azure(outcome: Outcome, step: _Step) -> Iterator[str]:
    if isinstance(outcome, Failed):
        text = _azure_message(f"Coveralls: {outcome.reason}")
        yield f"##vso[task.logissue type=warning]{text}"
    if outcome.shortfall:
        text = _azure_message(f"Coveralls: {outcome.shortfall}")
        yield f"##vso[task.logissue type=error]{text}"
    if text := markdown(outcome):
        with suppress(OSError):
            # The agent empties its directory after the job; the file's name is shown.
            place = step.env.get("AGENT_TEMPDIRECTORY") or None
            path = Path(tempfile.mkdtemp(prefix="coveralls-", dir=place), "Coveralls.md")
            path.write_text(text, encoding="utf-8")
            yield f"##vso[task.uploadsummary]{_azure_message(str(path))}"


def _azure_message(text: str) -> str:
    return escaped(text).replace("%", "%AZP25")


def _teamcity(outcome: Outcome, _: _Step) -> Iterator[str]:
    if isinstance(outcome, Failed):
        text = _teamcity_value(f"Coveralls: {outcome.reason}")
        yield f"##teamcity[message text='{text}' status='WARNING']"
    if outcome.shortfall:
        text = _teamcity_value(f"Coveralls: {outcome.shortfall}")
        yield f"##teamcity[message text='{text}' status='ERROR']"
    if isinstance(outcome, Built) and outcome.files:
        # Its own statistics: https://www.jetbrains.com/help/teamcity/custom-chart.html
        covered = sum(file.covered_lines for file in outcome.files)
        total = sum(file.lines for file in outcome.files)
        for key, value in (("CodeCoverageAbsLCovered", covered), ("CodeCoverageAbsLTotal", total)):
            yield f"##teamcity[buildStatisticValue key='{key}' value='{value}']"


def _teamcity_value(text: str) -> str:
    def code(letter: re.Match[str]) -> str:
        if letter[0].isascii():
            return f"|{letter[0]}"
        return re.sub("....", r"|0x\g<0>", letter[0].encode("utf-16-be").hex())

    return re.sub(r"[|'\[\]]|[^ -~]", code, escaped(text))


def _buildkite(outcome: Outcome, step: _Step) -> tuple[()]:
    text = markdown(outcome)
    if text:
        style = "warning" if isinstance(outcome, Failed) else "info"
        style = "error" if outcome.shortfall else style
        # Another job's annotation of the same context would be replaced.
        context = "-".join(filter(None, ("coveralls", step.env.get("BUILDKITE_JOB_ID"))))
        options = ["--style", style, "--context", context]
        env = {name: value for name, value in step.env.items() if not name.startswith("COVERALLS_")}
        project = Path(os.path.realpath(step.project))
        with suppress(ProcessError):
            agent = process.program("buildkite-agent", env, without={project})
            command = [str(agent), "annotate", *options, text]
            process.output(command, env=env, seconds=AGENT_PATIENCE, limit=65_536)
    return ()


PAGES = (
    Page(
        "GITHUB_ACTIONS",
        _github,
        "https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands",
    ),
    Page(
        "TF_BUILD",
        _azure,
        "https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands",
    ),
    Page(
        "TEAMCITY_VERSION",
        _teamcity,
        "https://www.jetbrains.com/help/teamcity/service-messages.html",
    ),
    Page("BUILDKITE", _buildkite, "https://buildkite.com/docs/agent/cli/reference/annotate"),
)
"""A row for each service with pages of its own."""
