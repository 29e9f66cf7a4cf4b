"""Show an outcome on CI services: summaries, annotations, outputs, statistics."""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from .. import child_process
from ..errors import ProcessError
from ..outcome import Built, ChangedFile, Failed, FileTotal, Outcome, Sent
from ..output import RANGES, build_line, changed_lines_line, headline, line_range
from ..text import escaped, percentage, shorten_list

CHANGED_ROWS = 20

# Marks of Markdown, and addresses that GitHub turns into links without any mark.
_MARKS = re.compile(r"[\\`*_{}\[\]<>#|~$&]|:(?=//)|(?<=www)\.", re.IGNORECASE)


def pages(
    outcome: Outcome, env: Mapping[str, str], *, annotate: bool = False, is_trusted: bool = True
) -> list[str]:
    """Show an outcome on its CI service; return commands to print.

    A file that cannot be written is left out: nothing here may fail a run.

    Args:
        outcome: with no secret in it.
        is_trusted: False for a job from a file: later steps get no figures of it.
    """
    on = {name for name, value in env.items() if value.strip().lower() not in {"", "false"}}
    commands: list[str] = []
    if "GITHUB_ACTIONS" in on:
        _write_github_files(outcome, env, is_trusted=is_trusted)
        commands += _github_commands(outcome, annotate=annotate)
    if "TF_BUILD" in on:
        commands += _azure_commands(outcome, env)
    if "TEAMCITY_VERSION" in on:
        commands += _teamcity_messages(outcome)
    if "BUILDKITE" in on:
        _annotate_buildkite(outcome, env)
    return commands


def _problems(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """Yield the level and the text of each problem."""
    if isinstance(outcome, Failed):
        yield "warning", outcome.reason
    if outcome.shortfall:
        yield "error", outcome.shortfall


def _write_github_files(outcome: Outcome, env: Mapping[str, str], *, is_trusted: bool) -> None:
    outputs = {}
    if isinstance(outcome, Sent) and outcome.url:
        # A later step may put it into a shell.
        outputs["coveralls-url"] = quote(outcome.url, safe=":/?#[]@!*+,=%~")
    if outcome.percent is not None and is_trusted:
        outputs["covered-percent"] = percentage(outcome.percent)
    if (changed := outcome.changed) and is_trusted:
        outputs["changed-covered"] = str(changed.covered)
        outputs["changed-total"] = str(changed.total)
        outputs["changed-percent"] = percentage(changed.percent)
    lines = (f"{name}={escaped(value)}\n" for name, value in outputs.items())
    texts = {"GITHUB_OUTPUT": "".join(lines), "GITHUB_STEP_SUMMARY": _markdown(outcome)}
    for variable, text in texts.items():
        if text and (path := env.get(variable)):
            with suppress(OSError), Path(path).open("a", encoding="utf-8") as file:
                file.write(text)


def _github_commands(outcome: Outcome, *, annotate: bool) -> Iterator[str]:
    # https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
    for level, text in _problems(outcome):
        yield f"::{level} title=Coveralls::{escaped(text).replace('%', '%25')}"
    changed = outcome.changed.files if annotate and outcome.changed else ()
    missed = [(file, *lines) for file in changed for lines in file.missed]
    # GitHub drops further ones of a step (actions/toolkit#734).
    for file, first, last in missed[:10]:
        name = escaped(file.repository_name or file.name)
        name = name.replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
        text = f"not covered by tests: {line_range(first, last)}"
        yield f"::notice file={name},line={first},endLine={last},title=Coveralls::{text}"


def _azure_commands(outcome: Outcome, env: Mapping[str, str]) -> Iterator[str]:
    # https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands
    for level, text in _problems(outcome):
        message = escaped(f"Coveralls: {text}").replace("%", "%AZP25")
        yield f"##vso[task.logissue type={level}]{message}"
    if page := _markdown(outcome):
        with suppress(OSError):
            # The agent empties its directory after the job; the file's name is shown.
            folder = env.get("AGENT_TEMPDIRECTORY") or None
            path = Path(tempfile.mkdtemp(prefix="coveralls-", dir=folder), "Coveralls.md")
            path.write_text(page, encoding="utf-8")
            yield f"##vso[task.uploadsummary]{escaped(str(path)).replace('%', '%AZP25')}"


def _teamcity_messages(outcome: Outcome) -> Iterator[str]:
    # https://www.jetbrains.com/help/teamcity/service-messages.html
    for level, text in _problems(outcome):
        message = _teamcity_value(f"Coveralls: {text}")
        yield f"##teamcity[message text='{message}' status='{level.upper()}']"
    if isinstance(outcome, Built) and outcome.files:
        # https://www.jetbrains.com/help/teamcity/custom-chart.html
        statistics = {
            "CodeCoverageAbsLCovered": sum(file.covered_lines for file in outcome.files),
            "CodeCoverageAbsLTotal": sum(file.lines for file in outcome.files),
        }
        for key, value in statistics.items():
            yield f"##teamcity[buildStatisticValue key='{key}' value='{value}']"


def _teamcity_value(text: str) -> str:
    def code(letter: re.Match[str]) -> str:
        units = letter[0].encode("utf-16-be").hex()
        return f"|{letter[0]}" if letter[0].isascii() else re.sub("....", r"|0x\g<0>", units)

    return re.sub(r"[|'\[\]]|[^ -~]", code, escaped(text))


def _annotate_buildkite(outcome: Outcome, env: Mapping[str, str]) -> None:
    # https://buildkite.com/docs/agent/cli/reference/annotate
    if not (page := _markdown(outcome)):
        return
    styles = ["info", *(level for level, _ in _problems(outcome))]
    # Another job's annotation of the same context would be replaced.
    context = f"coveralls-{env.get('BUILDKITE_JOB_ID', '')}"
    command = ["annotate", "--style", styles[-1], "--context", context, page]
    with suppress(ProcessError):
        agent = child_process.find_program("buildkite-agent", env)
        child_process.run([agent, *command], env=env, seconds=10.0, limit=65_536)


def _markdown(outcome: Outcome) -> str:
    """Return the page: link, totals, changed files, least covered files.

    It is empty for a job that was not sent, unless lines changed: forks need no page.
    """
    if not (isinstance(outcome, Built | Failed) or outcome.changed or outcome.shortfall):
        return ""
    blocks = ["### Coveralls", *_paragraphs(outcome)]
    if outcome.changed and outcome.changed.files:
        blocks.append(_changed_table(outcome.changed.files))
    if isinstance(outcome, Built) and outcome.files:
        blocks.append(_least_covered_table(outcome.files))
    return "\n\n".join(blocks) + "\n"


def _paragraphs(outcome: Outcome) -> Iterator[str]:
    sent = outcome if isinstance(outcome, Sent) else None
    yield _with_link(headline(outcome), sent.url if sent else None)
    if isinstance(outcome, Failed):
        yield from map(_as_markdown, outcome.advice)
    if outcome.changed:
        yield _as_markdown(changed_lines_line(outcome.changed))
    if outcome.shortfall:
        yield f"**failed: {_as_markdown(outcome.shortfall)}**"
    if sent and sent.build is not None:
        yield _with_link(build_line(sent.build), sent.build.url)


def _changed_table(files: Sequence[ChangedFile]) -> str:
    rows = ["| Changed file | Covered | Changed | Missed lines |", "| --- | ---: | ---: | --- |"]
    for file in sorted(files, key=lambda file: file.covered - file.total)[:CHANGED_ROWS]:
        missed = shorten_list([line_range(*lines) for lines in file.missed], RANGES)
        rows.append(f"| {_as_markdown(file.name)} | {file.covered} | {file.total} | {missed} |")
    if len(files) > CHANGED_ROWS:
        rows.append(f"\nand {len(files) - CHANGED_ROWS} more")
    return "\n".join(rows)


def _least_covered_table(files: Sequence[FileTotal]) -> str:
    rows = ["| Least covered | Covered | Relevant | % |", "| --- | ---: | ---: | ---: |"]
    for file in sorted(files, key=lambda file: file.percent)[:10]:
        figures = f"{file.covered} | {file.relevant} | {percentage(file.percent)}"
        rows.append(f"| {_as_markdown(file.name)} | {figures} |")
    return "\n".join(rows)


def _with_link(text: str, url: str | None) -> str:
    return _as_markdown(text) + (f" -> <{escaped(url)}>" if url else "")


def _as_markdown(text: str) -> str:
    """Return text from outside on one line, its Markdown escaped."""
    return _MARKS.sub(r"\\\g<0>", escaped(text))
