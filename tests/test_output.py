"""The header, the closing lines, and the commands to type."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PureWindowsPath
from typing import Any

import coverage.results
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_coveralls_submit.ci.detect import Build
from pytest_coveralls_submit.context import RunContext, make_context, startup_problems
from pytest_coveralls_submit.outcome import (
    BuildResult,
    Built,
    ChangedFile,
    ChangedLines,
    Failed,
    FileTotal,
    NotSent,
    Outcome,
    Sent,
)
from pytest_coveralls_submit.output import (
    closing_lines,
    command_for,
    command_line,
    header,
)
from pytest_coveralls_submit.secret import Environment, Secret
from pytest_coveralls_submit.settings.sources import Origin, RawValue, resolve
from pytest_coveralls_submit.settings.table import Settings
from pytest_coveralls_submit.settings.token import Token
from pytest_coveralls_submit.text import percentage, typed_path

START = Path("/home/me/project")
NAME = ".pytest_cache/d/coveralls/job-77.json"
FILES = (FileTotal("a.py", 8, 10), FileTotal("b.py", 0, 4), FileTotal("c.py", 0, 0))
URL = "https://coveralls.io/jobs/1"
COMMON: dict[str, Any] = {"notices": ("left out 1 file",), "details": ("1,234 bytes",)}
SENT = Sent(files=FILES, percent=57.142857, url=URL, **COMMON)
FAILED = Failed(
    reason="503 Service Unavailable",
    advice=("coveralls.io is down",),
    kept=START / NAME,
    command=f"python -m pytest_coveralls_submit send {NAME}",
    traceback="Traceback\n  File x\nBoom",
    **COMMON,
)


def printed(outcome: Outcome, verbosity: int = 0) -> list[str]:
    """Return the closing lines without prefix."""
    lines = closing_lines(outcome, verbosity, START)
    assert all(line.startswith("coveralls: ") for line in lines)
    return [line.removeprefix("coveralls: ") for line in lines]


IDENTITY = {
    "service_name": "github-actions",
    "service_number": "9001",
    "service_branch": "topic/y",
    "commit_sha": "5e837cc" + "0" * 33,
}
ORDINARY: dict[str, Any] = {
    "token": Token(Secret("c0fee"), "COVERALLS_REPO_TOKEN", is_github=False),
    "identity": IDENTITY,
}


def context(**changes: Any) -> RunContext:
    """Return the context of an ordinary run, with changes."""
    made = make_context(Settings(), Environment(), START, START)
    return replace(made, **{**ORDINARY, **changes})


def set_by(kind: Any, **texts: str) -> Settings:
    """Return settings of one source."""
    return resolve({n: RawValue(text, Origin(kind, n), START) for n, text in texts.items()})


@pytest.mark.parametrize(
    ("settings", "flags"),
    [
        (Settings(), ""),
        (
            set_by("variable", host="cov.example.com/a"),
            "--coveralls-host=https://cov.example.com/a",
        ),
        (set_by("ini", host="coveralls.io"), ""),
        (set_by("flag", compress="false"), "--no-coveralls-compress"),
        (set_by("ini", compress="false"), ""),
        (
            set_by("flag", skip_ssl_verify="1", host="x.org", deadline="9"),
            "--coveralls-host=https://x.org --coveralls-skip-ssl-verify --coveralls-deadline=9",
        ),
        (set_by("flag", flag_name="unit", dry_run="1"), ""),
    ],
)
def test_a_command_names_the_host_and_the_flags_for_sending(settings: Settings, flags: str) -> None:
    """A variable or an ini file has the other settings again."""
    rest = f" {flags}" if flags else ""

    send = command_for(settings, "send", "my job.json")

    assert send == f"python -m pytest_coveralls_submit send{rest} {command_line('my job.json')}"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "{0} as github-actions #9001 (branch topic/y, commit 5e837cc, {1})"),
        (
            {"identity": {"service_number": "7", "flag_name": "py312", "commit_sha": "abcdef0"}},
            "{0} #7 (commit abcdef0, flag py312, {1})",
        ),
        (
            {"identity": {}, "token": None, "settings": Settings({"dry_run": True})},
            "{0} (no token)",
        ),
    ],
)
def test_the_header_names_target_and_job(changes: dict[str, Any], expected: str) -> None:
    run = context(**changes)

    host, token = "coveralls: https://coveralls.io", "token from COVERALLS_REPO_TOKEN"
    assert header(run, startup_problems(run)) == [expected.format(host, token)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"token": None, "build": Build(service_name="x", service_pull_request="5")}, []),
        (
            {"settings": Settings({"host": "https://cov.example.com", "skip_ssl_verify": True})},
            ["TLS is not verified for https://cov.example.com: others can read the token"],
        ),
        (
            {"settings": Settings({"parallel": True}), "identity": {}, "notices": ("x",)},
            ["x", "parallel needs a build number for `finish`: set service_number"],
        ),
        ({"settings": Settings({"parallel": True})}, []),
    ],
)
def test_problems_are_printed_before_the_tests(
    changes: dict[str, Any], expected: list[str]
) -> None:
    """But not that a fork has no token: nobody can set one there."""
    assert list(startup_problems(context(**changes))) == expected


@pytest.mark.parametrize(
    ("outcome", "first", "more"),
    [
        (SENT, f"sent 3 files, 57.14% covered -> {URL}", []),
        (
            Sent(files=FILES[:1], percent=80.0, url=None, finish="python -m x finish", **COMMON),
            "sent 1 file, 80.00% covered",
            ["when all jobs of the build have arrived, close it with: python -m x finish"],
        ),
        (
            Built(files=FILES, percent=57.142857, saved=Path("/elsewhere/job.json"), **COMMON),
            "built 3 files, 57.14% covered; not sent (dry run)",
            ["saved in /elsewhere/job.json"],
        ),
        (
            NotSent(reason="no token", remedy="set it", saved=START / "job.json", **COMMON),
            "not sent: no token: set it",
            ["saved in job.json"],
        ),
    ],
)
def test_each_outcome_has_its_lines(outcome: Outcome, first: str, more: list[str]) -> None:
    normal = [first, *more, "left out 1 file"]

    assert printed(outcome, -1) == [first]
    assert printed(outcome) == normal
    assert printed(outcome, 1) == [*normal, "1,234 bytes"]


def test_a_failure_says_what_to_do() -> None:
    normal = [
        "failed: 503 Service Unavailable",
        "coveralls.io is down",
        f"kept in {NAME}; send it with: python -m pytest_coveralls_submit send {NAME}",
        "left out 1 file",
    ]

    assert printed(FAILED, -1) == [f"failed: 503 Service Unavailable; kept in {NAME}"]
    assert printed(FAILED) == normal
    assert printed(FAILED, 1) == [*normal, "1,234 bytes", "Traceback", "  File x", "Boom"]


CHANGED = ChangedLines(
    (
        ChangedFile("pkg/a.py", 40, 42, missed=((10, 11),), partial=(7,)),
        ChangedFile("pkg/b.py", 2, 3, missed=((3, 3),), partial=(1, 2)),
    )
)


@pytest.mark.parametrize(
    "outcome", [SENT, FAILED, Built(files=FILES, percent=1.0), NotSent(reason="no token")]
)
def test_changed_lines_are_printed_with_every_outcome(outcome: Outcome) -> None:
    line = "changed lines: 42 of 45 covered (93.33%); missed: pkg/a.py:10-11, pkg/b.py:3"
    partial = "partly covered: pkg/a.py:7, pkg/b.py:1, pkg/b.py:2"
    lines = [printed(replace(outcome, changed=CHANGED), verbosity) for verbosity in (-1, 0, 1)]

    assert [text.count(line) for text in lines] == [0, 1, 1]
    assert lines[2][lines[2].index(line) + 1] == partial
    assert partial not in lines[1]


ODD = range(1, 25, 2)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (ChangedFile("a.py", 0, 0), "none measured"),
        (ChangedFile("a.py", 3, 3), "3 of 3 covered (100.00%)"),
        (
            ChangedFile("a", 0, 12, missed=tuple((n, n) for n in ODD)),
            f"0 of 12 covered (0.00%); missed: {', '.join(f'a:{n}' for n in ODD[:10])} and 2 more",
        ),
    ],
)
def test_ten_missed_ranges_are_listed(file: ChangedFile, expected: str) -> None:
    outcome = replace(SENT, changed=ChangedLines((file,)))

    assert f"changed lines: {expected}" in printed(outcome)
    assert "more" not in "".join(printed(outcome, 1))


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"percent": 93.21, "change": 0.14}, "93.21% covered, +0.14%"),
        ({"percent": 93.21, "change": -1.5}, "93.21% covered, -1.50%"),
        ({"percent": 100.0, "change": -0.0001}, "100.00% covered, +0.00%"),
        ({"percent": 0.0}, "0.00% covered"),
        ({"percent": None}, "still processing"),
        ({"percent": None, "problem": "the repository is private"}, "the repository is private"),
    ],
)
def test_the_result_of_the_build_is_one_line(result: dict[str, Any], expected: str) -> None:
    build = BuildResult(url="https://coveralls.io/builds/9", **result)

    line = printed(replace(SENT, build=build))[1]

    assert line == f"build: {expected} -> https://coveralls.io/builds/9"


def test_text_from_outside_is_escaped() -> None:
    outcome = Failed(
        reason="a\x1b[2J\ud800b",
        advice=("c\x07",),
        notices=("d\ne",),
        kept=START / "f\rg",
        changed=ChangedLines((ChangedFile("g\x1b.py", 0, 1, missed=((1, 1),)),)),
    )
    run = context(identity={"service_branch": "x\x1b]0;y\x07"}, notices=("h\x08",))

    lines = [*printed(outcome, 2), *printed(outcome, -1), *header(run, startup_problems(run))]

    assert all(line.isprintable() for line in lines)


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_percentages_are_shown_as_coverage_shows_them(covered: int, missed: int) -> None:
    """0 and 100 only where they are exact."""
    total = covered + missed
    numbers = coverage.results.Numbers(precision=2, n_statements=total, n_missing=missed)

    assert percentage(100.0 * covered / total if total else 100.0) == numbers.pc_covered_str


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("D:\\Proj\\.pytest_cache\\job-7.json", ".pytest_cache/job-7.json"),
        ("d:\\proj\\my cache\\job.json", '"my cache/job.json"'),
        ("C:\\Users\\Ann & Bob\\job (1).json", '"C:/Users/Ann & Bob/job (1).json"'),
        ("\\\\server\\share\\job.json", "//server/share/job.json"),
        ("C:\\Users\\J\u00f6rg\\job.json", '"C:/Users/J\u00f6rg/job.json"'),
        ("C:\\a$(calc)b\\job.json", "'C:/a$(calc)b/job.json'"),
    ],
)
def test_a_path_of_windows_suits_all_its_shells(path: str, word: str) -> None:
    """The command prompt, PowerShell and Git's bash."""
    typed = typed_path(PureWindowsPath(path), PureWindowsPath("D:\\Proj"))

    assert command_line("send", typed, is_windows=True) == f"send {word}"
