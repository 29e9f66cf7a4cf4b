"""What a CI service shows of its own: GitHub's step summary, output and annotation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ..outcome import Built, Failed, Outcome, Sent
from ..values import escaped
from .lines import _built, display

LEAST_COVERED = 10
"""Files in GitHub's step summary."""


def write_for_ci(outcome: Outcome, env: Mapping[str, str]) -> str | None:
    """Write GitHub's step summary and output; return the annotation to print, if any.

    Workflow commands and files: https://docs.github.com/actions/reference/workflow-commands.
    """
    if env.get("GITHUB_ACTIONS") != "true":
        return None
    if isinstance(outcome, Sent) and outcome.url:
        _append(env.get("GITHUB_OUTPUT"), f"coveralls-url={escaped(outcome.url)}\n")
    if isinstance(outcome, Built | Failed):
        _append(env.get("GITHUB_STEP_SUMMARY"), "\n".join(_markdown(outcome)) + "\n")
    if isinstance(outcome, Failed):
        return "::warning title=Coveralls::" + escaped(outcome.reason).replace("%", "%25")
    return None


def _append(path: str | None, text: str) -> None:
    if path:
        try:
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError:
            return


def _markdown(outcome: Built | Failed) -> Iterator[str]:
    yield "### Coveralls"
    yield ""
    if isinstance(outcome, Failed):
        yield _in_markdown(f"failed: {outcome.reason}")
        return
    told, arrow, url = _built(outcome).partition(" -> ")
    yield _in_markdown(told) + (f"{arrow}<{escaped(url)}>" if url else "")
    least = sorted(outcome.files, key=lambda file: file.percent)[:LEAST_COVERED]
    if least:
        yield ""
        yield "| Least covered | Covered | Relevant | % |"
        yield "| --- | ---: | ---: | ---: |"
    for file in least:
        figures = f"{file.covered} | {file.relevant} | {display(file.percent)}"
        yield f"| {_in_markdown(file.name)} | {figures} |"
    yield ""


def _in_markdown(text: str) -> str:
    marks = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_{}[]<>#|"})
    return escaped(text).translate(marks)
