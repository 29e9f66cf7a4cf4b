"""What CI services show of their own: summaries, annotations, outputs, statistics."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from .. import child_process
from ..errors import ProcessError
from ..outcome import Built, Failed, Outcome, Sent
from ..output import line_range
from ..text import escaped, percentage
from .markdown import markdown

# GitHub drops what a step has beyond that (actions/toolkit#734).
MAX_ANNOTATIONS = 10
AGENT_TIMEOUT = 10.0


def pages(
    outcome: Outcome, env: Mapping[str, str], *, annotate: bool = False, is_trusted: bool = True
) -> list[str]:
    """Show the CI service an outcome; return the commands to print.

    What cannot be written is left out: nothing here may fail a run.

    Args:
        outcome: with no secret in it.
        env: the environment of session start.
        annotate: whether to mark the missed changed lines.
        is_trusted: False for a job that comes from a file: later steps get nothing of it.
    """
    commands: list[str] = []
    if _runs_on("GITHUB_ACTIONS", env):
        _write_github_files(outcome, env, is_trusted=is_trusted)
        commands += _github_commands(outcome, annotate=annotate)
    if _runs_on("TF_BUILD", env):
        commands += _azure_commands(outcome, env)
    if _runs_on("TEAMCITY_VERSION", env):
        commands += _teamcity_messages(outcome)
    if _runs_on("BUILDKITE", env):
        _annotate_buildkite(outcome, env)
    return commands


def _runs_on(variable: str, env: Mapping[str, str]) -> bool:
    return env.get(variable, "").strip().lower() not in {"", "false"}


# https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands


def _write_github_files(outcome: Outcome, env: Mapping[str, str], *, is_trusted: bool) -> None:
    outputs = {}
    if isinstance(outcome, Sent) and outcome.url:
        # A later step may put it into a shell.
        outputs["coveralls-url"] = quote(outcome.url, safe=":/?#[]@!*+,=%~")
    if outcome.percent is not None and is_trusted:
        outputs["covered-percent"] = percentage(outcome.percent)
    if outcome.changed is not None and is_trusted:
        outputs["changed-covered"] = str(outcome.changed.covered)
        outputs["changed-total"] = str(outcome.changed.total)
        outputs["changed-percent"] = percentage(outcome.changed.percent)
    lines = (f"{name}={escaped(value)}\n" for name, value in outputs.items())
    _append(env.get("GITHUB_OUTPUT"), "".join(lines))
    _append(env.get("GITHUB_STEP_SUMMARY"), markdown(outcome))


def _append(path: str | None, text: str) -> None:
    if path and text:
        with suppress(OSError), Path(path).open("a", encoding="utf-8") as file:
            file.write(text)


def _github_commands(outcome: Outcome, *, annotate: bool) -> Iterator[str]:
    if isinstance(outcome, Failed):
        yield f"::warning title=Coveralls::{_github_message(outcome.reason)}"
    if outcome.shortfall:
        yield f"::error title=Coveralls::{_github_message(outcome.shortfall)}"
    if annotate and outcome.changed is not None:
        missed = [
            (file.repository_name or file.name, *lines)
            for file in outcome.changed.files
            for lines in file.missed
        ]
        for name, first, last in missed[:MAX_ANNOTATIONS]:
            place = f"file={_github_property(name)},line={first},endLine={last}"
            text = f"not covered by tests: {line_range(first, last)}"
            yield f"::notice {place},title=Coveralls::{text}"


def _github_message(text: str) -> str:
    return escaped(text).replace("%", "%25")


def _github_property(text: str) -> str:
    return _github_message(text).replace(":", "%3A").replace(",", "%2C")


# https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands


def _azure_commands(outcome: Outcome, env: Mapping[str, str]) -> Iterator[str]:
    if isinstance(outcome, Failed):
        text = _azure_message(f"Coveralls: {outcome.reason}")
        yield f"##vso[task.logissue type=warning]{text}"
    if outcome.shortfall:
        text = _azure_message(f"Coveralls: {outcome.shortfall}")
        yield f"##vso[task.logissue type=error]{text}"
    if text := markdown(outcome):
        with suppress(OSError):
            # The agent empties its directory after the job; the file's name is shown.
            place = env.get("AGENT_TEMPDIRECTORY") or None
            path = Path(tempfile.mkdtemp(prefix="coveralls-", dir=place), "Coveralls.md")
            path.write_text(text, encoding="utf-8")
            yield f"##vso[task.uploadsummary]{_azure_message(str(path))}"


def _azure_message(text: str) -> str:
    return escaped(text).replace("%", "%AZP25")


# https://www.jetbrains.com/help/teamcity/service-messages.html


def _teamcity_messages(outcome: Outcome) -> Iterator[str]:
    if isinstance(outcome, Failed):
        text = _teamcity_value(f"Coveralls: {outcome.reason}")
        yield f"##teamcity[message text='{text}' status='WARNING']"
    if outcome.shortfall:
        text = _teamcity_value(f"Coveralls: {outcome.shortfall}")
        yield f"##teamcity[message text='{text}' status='ERROR']"
    if isinstance(outcome, Built) and outcome.files:
        # https://www.jetbrains.com/help/teamcity/custom-chart.html
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


# https://buildkite.com/docs/agent/cli/reference/annotate


def _annotate_buildkite(outcome: Outcome, env: Mapping[str, str]) -> None:
    text = markdown(outcome)
    if not text:
        return
    style = "warning" if isinstance(outcome, Failed) else "info"
    style = "error" if outcome.shortfall else style
    # Another job's annotation of the same context would be replaced.
    context = "-".join(filter(None, ("coveralls", env.get("BUILDKITE_JOB_ID"))))
    command = ["annotate", "--style", style, "--context", context, text]
    with suppress(ProcessError):
        agent = child_process.find_program("buildkite-agent", env)
        child_process.run([agent, *command], env=env, seconds=AGENT_TIMEOUT, limit=65_536)
