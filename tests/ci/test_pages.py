"""Read pages, outputs and commands as the CI services read them."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_coveralls_submit.ci.pages import pages
from pytest_coveralls_submit.outcome import (
    BuildResult,
    Built,
    ChangedFile,
    ChangedLines,
    Failed,
    FileTotal,
    NotSent,
    Sent,
)
from pytest_coveralls_submit.text import escaped

URL = "https://coveralls.io/jobs/1"
FILES = (FileTotal("a.py", 8, 10, 6, 7), FileTotal("b.py", 0, 4, 0, 4), FileTotal("c.py", 0, 0))
CHANGED = ChangedLines(
    (ChangedFile("a.py", 4, 4), ChangedFile("pkg/b.py", 38, 41, missed=((10, 11), (20, 20))))
)
SENT = Sent(files=FILES, percent=57.142857, url=URL, changed=CHANGED)
SHORT = NotSent(reason="no token", changed=CHANGED, shortfall="80% needed")
FAILED = Failed(reason="503: 100% down", advice=("it is not your tests' fault",))
GITHUB, AZURE = {"GITHUB_ACTIONS": "true"}, {"TF_BUILD": "True"}
TEAMCITY, BUILDKITE = {"TEAMCITY_VERSION": "2026.2"}, {"BUILDKITE": "true"}

Command = tuple[str, dict[str, str], str]  # name, properties, message


def of_github(line: str) -> Command:
    """A workflow command, by the rules of actions/runner: ActionCommand.cs."""
    command = re.fullmatch(r"::([^ :]+)(?: ((?:(?!::).)*))?::(.*)", line)
    assert command, line
    codes = {"%0D": "\r", "%0A": "\n", "%25": "%"}
    properties = _decoded_values((command[2] or "").split(","), {"%3A": ":", "%2C": ",", **codes})
    return command[1], properties, _decoded(command[3], codes)


def of_azure(line: str) -> Command:
    """A logging command, by the rules of microsoft/azure-pipelines-agent: Command.cs."""
    command = re.fullmatch(r"##vso\[([^ \]]+)(?: ([^\]]*))?\](.*)", line)
    assert command, line
    codes = {"%3B": ";", "%0D": "\r", "%0A": "\n", "%5D": "]", "%AZP25": "%"}
    properties = _decoded_values((command[2] or "").split(";"), codes)
    return command[1], properties, _decoded(command[3], codes)


def _decoded_values(properties: list[str], codes: dict[str, str]) -> dict[str, str]:
    pairs = (text.split("=", 1) for text in properties if text)
    return {name: _decoded(value, codes) for name, value in pairs}


def _decoded(text: str, codes: dict[str, str]) -> str:
    for code, letter in codes.items():
        text = text.replace(code, letter)
    return text


def of_teamcity(line: str) -> Command:
    """A service message: https://www.jetbrains.com/help/teamcity/service-messages.html."""
    value = r"'((?:[^|'\[\]\r\n]|\|0x[0-9a-f]{4}|\|.)*)'"
    message = re.fullmatch(rf"##teamcity\[(\w+)((?: \w+={value})*)\]", line)
    assert message, line

    def decoded(text: str) -> str:
        units = re.sub(r"\|0x(....)", lambda code: chr(int(code[1], 16)), text)
        whole = units.encode("utf-16", "surrogatepass").decode("utf-16")
        return re.sub(r"\|(.)", r"\1", whole)

    properties = re.findall(rf"(\w+)={value}", message[2])
    return message[1], {name: decoded(text) for name, text in properties}, ""


@pytest.fixture
def github(tmp_path: Path) -> dict[str, str]:
    """The environment of a step on GitHub Actions."""
    files = {name: tmp_path / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    for path in files.values():
        path.touch()
    return GITHUB | {name: str(path) for name, path in files.items()}


def outputs_of(env: dict[str, str]) -> dict[str, str]:
    lines = Path(env["GITHUB_OUTPUT"]).read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines)


def summary_of(env: dict[str, str]) -> str:
    return Path(env["GITHUB_STEP_SUMMARY"]).read_text("utf-8")


def test_github_gets_figures_for_later_steps(github: dict[str, str]) -> None:
    assert pages(SENT, github) == []

    assert outputs_of(github) == {
        "coveralls-url": URL,
        "covered-percent": "57.14",
        "changed-covered": "42",
        "changed-total": "45",
        "changed-percent": "93.33",
    }


def test_later_steps_get_nothing_of_a_job_from_a_file(github: dict[str, str]) -> None:
    pages(SENT, github, is_trusted=False)

    assert outputs_of(github) == {"coveralls-url": URL}


def test_the_page_has_links_and_tables(github: dict[str, str]) -> None:
    build = BuildResult(url="https://coveralls.io/builds/2", percent=93.21, change=0.14)

    pages(replace(SENT, build=build), github)

    assert summary_of(github) == (
        "### Coveralls\n\n"
        f"sent 3 files, 57.14% covered -> <{URL}>\n\n"
        "changed lines: 42 of 45 covered (93.33%); missed: pkg/b.py:10-11, pkg/b.py:20\n\n"
        "build: 93.21% covered, +0.14% -> <https://coveralls.io/builds/2>\n\n"
        "| Changed file | Covered | Changed | Missed lines |\n| --- | ---: | ---: | --- |\n"
        "| pkg/b.py | 38 | 41 | 10-11, 20 |\n"
        "| a.py | 4 | 4 |  |\n\n"
        "| Least covered | Covered | Relevant | % |\n| --- | ---: | ---: | ---: |\n"
        "| b.py | 0 | 4 | 0.00 |\n| a.py | 8 | 10 | 80.00 |\n| c.py | 0 | 0 | 100.00 |\n"
    )


def test_the_tables_of_the_page_are_short(github: dict[str, str]) -> None:
    files = tuple(FileTotal(f"f{number:02}.py", number, 100) for number in range(30))
    changed = ChangedLines(tuple(ChangedFile(f"c{number:02}.py", 1, 1) for number in range(25)))

    pages(replace(SENT, files=files, changed=changed), github)

    rows = re.findall(r"^\| (\w\d\d)\.py", summary_of(github), re.MULTILINE)
    assert rows[:20] == [f"c{number:02}" for number in range(20)]
    assert rows[20:] == [f"f0{number}" for number in range(10)]
    assert "\n\nand 5 more\n" in summary_of(github)


def test_github_gets_a_warning_of_a_failure(github: dict[str, str]) -> None:
    (line,) = pages(FAILED, github)

    assert of_github(line) == ("warning", {"title": "Coveralls"}, "503: 100% down")
    assert "failed: 503: 100% down\n\nit is not your tests' fault\n" in summary_of(github)
    assert outputs_of(github) == {}


def test_github_marks_missed_lines_where_it_is_asked_to() -> None:
    names = ["50%,a:b.py", *(f"{number}.py" for number in range(12))]
    files = tuple(ChangedFile(name, 0, 2, missed=((10, 11),)) for name in names)
    outcome = NotSent(reason="no token", changed=ChangedLines(files))

    commands = [of_github(line) for line in pages(outcome, GITHUB, annotate=True)]

    assert pages(outcome, GITHUB) == []
    assert len(commands) == 10
    place = {"file": "50%,a:b.py", "line": "10", "endLine": "11", "title": "Coveralls"}
    assert commands[0] == ("notice", place, "not covered by tests: 10-11")


def test_a_job_that_was_not_sent_has_a_page_where_lines_changed(github: dict[str, str]) -> None:
    outcome = NotSent(reason="no token", remedy="none")

    assert pages(outcome, github | BUILDKITE) == []
    assert (summary_of(github), outputs_of(github)) == ("", {})

    pages(replace(outcome, changed=CHANGED), github)
    assert "not sent: no token: none\n\nchanged lines: 42 of 45" in summary_of(github)
    assert outputs_of(github)["changed-total"] == "45"


def test_azure_gets_a_warning_and_a_page(tmp_path: Path) -> None:
    env = AZURE | {"AGENT_TEMPDIRECTORY": str(tmp_path)}

    warning, page = [of_azure(line) for line in pages(FAILED, env)]

    assert warning == ("task.logissue", {"type": "warning"}, "Coveralls: 503: 100% down")
    assert page[:2] == ("task.uploadsummary", {})
    assert tmp_path in Path(page[2]).parents
    assert Path(page[2]).read_text("utf-8").startswith("### Coveralls\n\nfailed: 503: 100% down\n")


def test_teamcity_gets_statistics_of_lines_and_a_warning() -> None:
    statistics = [of_teamcity(line) for line in pages(SENT, TEAMCITY)]
    warning = [of_teamcity(line) for line in pages(FAILED, TEAMCITY)]

    assert statistics == [
        ("buildStatisticValue", {"key": "CodeCoverageAbsLCovered", "value": "6"}, ""),
        ("buildStatisticValue", {"key": "CodeCoverageAbsLTotal", "value": "11"}, ""),
    ]
    assert warning == [("message", {"text": "Coveralls: 503: 100% down", "status": "WARNING"}, "")]


@pytest.mark.skipif(sys.platform == "win32", reason="the agent's stand-in is a script")
def test_buildkite_gets_the_page_by_its_agent(tmp_path: Path) -> None:
    record, agent = tmp_path / "record", tmp_path / "buildkite-agent"
    agent.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{record}"\n')
    agent.chmod(0o755)
    env = BUILDKITE | {"PATH": str(tmp_path), "BUILDKITE_JOB_ID": "7"}

    for outcome, style in ((FAILED, "warning"), (SENT, "info"), (SHORT, "error")):
        assert pages(outcome, env) == []
        command = ["annotate", "--style", style, "--context", "coveralls-7"]
        assert record.read_text().splitlines()[:6] == [*command, "### Coveralls"]


def test_too_few_covered_changed_lines_are_an_error(github: dict[str, str]) -> None:
    commands = pages(SHORT, github | TEAMCITY)
    commands += pages(SHORT, AZURE | {"AGENT_TEMPDIRECTORY": "/gone"})

    assert of_github(commands[0]) == ("error", {"title": "Coveralls"}, "80% needed")
    text = "Coveralls: 80% needed"
    assert of_teamcity(commands[1]) == ("message", {"text": text, "status": "ERROR"}, "")
    assert of_azure(commands[2]) == ("task.logissue", {"type": "error"}, text)
    assert "**failed: 80% needed**" in summary_of(github)


def test_elsewhere_nothing_is_written(github: dict[str, str]) -> None:
    env = github | {"GITHUB_ACTIONS": "", "TF_BUILD": "False", "BUILDKITE": "false"}

    assert pages(FAILED, env, annotate=True) == []
    assert summary_of(github) == ""


@pytest.mark.parametrize("outcome", [SENT, FAILED, Built(files=FILES, percent=1.0)])
def test_what_cannot_be_written_costs_nothing(outcome: Sent | Failed, tmp_path: Path) -> None:
    gone = str(tmp_path / "gone" / "x")
    files = {"GITHUB_OUTPUT": str(tmp_path), "GITHUB_STEP_SUMMARY": gone}
    env = GITHUB | AZURE | BUILDKITE | files | {"PATH": gone, "AGENT_TEMPDIRECTORY": gone}

    lines = pages(outcome, env)

    assert len(lines) == (2 if outcome is FAILED else 0)
    assert pages(outcome, GITHUB) == lines[:1]


@given(st.text(st.characters()))
def test_no_text_from_outside_is_a_command_of_its_own(text: str) -> None:
    failed = Failed(reason=text)
    changed = NotSent(reason="x", changed=ChangedLines((ChangedFile(text, 0, 1, ((1, 1),)),)))

    lines = pages(failed, GITHUB | TEAMCITY)
    (azure,) = pages(failed, AZURE | {"AGENT_TEMPDIRECTORY": "/gone"})
    (notice,) = pages(changed, GITHUB, annotate=True)

    assert all(line.isprintable() for line in (*lines, azure, notice))
    assert of_github(lines[0])[2] == escaped(text)
    assert of_teamcity(lines[1])[1]["text"] == escaped(f"Coveralls: {text}")
    assert of_azure(azure)[2] == escaped(f"Coveralls: {text}")
    assert of_github(notice)[1]["file"] == escaped(text)


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("a|b.py", r"a\|b.py"),
        ("__init__.py", r"\_\_init\_\_.py"),
        ("[a](b).py", r"\[a\](b).py"),
        ("<img src=x>.py", r"\<img src=x\>.py"),
        ("&lt;$x$.py", r"\&lt;\$x\$.py"),
        ("https://a.example/WWW.b.py", r"https\://a.example/WWW\.b.py"),
        ("a\nb.py", r"a\\nb.py"),
    ],
)
def test_a_file_name_is_no_markdown(github: dict[str, str], name: str, cell: str) -> None:
    pages(replace(SENT, files=(FileTotal(name, 1, 2),)), github)

    assert f"| {cell} | 1 | 2 | 50.00 |" in summary_of(github).splitlines()


def test_a_link_stays_one_line_and_can_be_followed(github: dict[str, str]) -> None:
    pages(replace(SENT, url="https://cov.example.com/my_team/jobs/1\nx=1"), github)

    assert "<https://cov.example.com/my_team/jobs/1\\nx=1>" in summary_of(github)
    assert "x" not in outputs_of(github)
