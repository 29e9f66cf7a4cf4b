"""What is printed before and after the tests."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import coverage.results
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_coveralls_submit.changed_lines import NoBase
from pytest_coveralls_submit.ci.detect import Build
from pytest_coveralls_submit.context import RunContext, startup_problems
from pytest_coveralls_submit.git import Commit, Git
from pytest_coveralls_submit.job.identity import Identity
from pytest_coveralls_submit.outcome import (
    BuildResult,
    Built,
    ChangedFile,
    ChangedLines,
    Failed,
    FileTotal,
    Interrupted,
    NotSent,
    Outcome,
    Sent,
)
from pytest_coveralls_submit.output import (
    changed_lines_line,
    closing_lines,
    command_to_send,
    header,
)
from pytest_coveralls_submit.secret import Environment, Secret
from pytest_coveralls_submit.settings.table import Settings
from pytest_coveralls_submit.settings.token import Token
from pytest_coveralls_submit.text import percentage, typed_path

START = Path("/home/me/project")
KEPT = START / ".pytest_cache" / "d" / "coveralls" / "job-77.json"
KEPT_NAME = ".pytest_cache/d/coveralls/job-77.json"
FILES = (FileTotal("a.py", 8, 10), FileTotal("b.py", 0, 4), FileTotal("c.py", 0, 0))
URL = "https://coveralls.io/jobs/1"
DRY_RUN = Settings({"dry_run": True})
COMMON: dict[str, Any] = {"notices": ("left out 1 file",), "details": ("1,234 bytes",)}
SENT = Sent(files=FILES, percent=57.142857, url=URL, **COMMON)
FAILED = Failed(
    reason="503 Service Unavailable",
    advice=("coveralls.io is down",),
    kept=KEPT,
    command=f"python -m pytest_coveralls_submit send {KEPT_NAME}",
    traceback="Traceback\n  File x\nBoom",
    **COMMON,
)


def told(outcome: Outcome, verbosity: int = 0) -> list[str]:
    """The closing lines without the word in front of each."""
    printed = closing_lines(outcome, verbosity, START)
    assert all(text.startswith("coveralls: ") for text in printed)
    return [text.removeprefix("coveralls: ") for text in printed]


def a_plan(**changes: Any) -> RunContext:
    """What is known before the tests of an ordinary run."""
    values: dict[str, Any] = {
        "settings": Settings(),
        "env": Environment(),
        "start": START,
        "started": 0.0,
        "root": START,
        "temporary": None,
        "top": START,
        "token": Token(Secret("c0fee"), "COVERALLS_REPO_TOKEN", is_github=False),
        "identity": Identity(
            service_name="github-actions",
            service_number="9001",
            service_branch="topic/y",
            head=Commit(id="5e837cc" + "0" * 33),
        ),
        "build": Build(),
        "git": Git(),
        "base": NoBase(),
    }
    return RunContext(**{**values, **changes})


def shown_before(plan: RunContext) -> list[str]:
    """The header of a run."""
    return header(plan, startup_problems(plan))


# -- before the tests --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "{0} as github-actions #9001 (branch topic/y, commit 5e837cc, {1})"),
        (
            {
                "identity": Identity(
                    service_number="7", flag_name="py312", head=Commit(id="abcdef0")
                )
            },
            "{0} #7 (commit abcdef0, flag py312, {1})",
        ),
        ({"identity": Identity(), "token": None, "settings": DRY_RUN}, "{0} (no token)"),
    ],
    ids=["usual", "a flag", "a dry run needs no token"],
)
def test_the_header_says_what_goes_where(changes: dict[str, Any], expected: str) -> None:
    """Host, service, number, branch, commit, and where the token came from, which is not shown."""
    (line,) = shown_before(a_plan(**changes))

    host, token = "coveralls: https://coveralls.io", "token from COVERALLS_REPO_TOKEN"
    assert line == expected.format(host, token)
    assert "c0fee" not in line


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"token": None},
            "no token: set COVERALLS_REPO_TOKEN (from the repository's page on Coveralls)",
        ),
        ({"token": None, "build": Build(service_name="x", service_pull_request="5")}, None),
        (
            {"env": Environment({"TOX_ENV_NAME": "py312"})},
            (
                "tox hides the variables of a CI service; let them through in tox.ini: "
                "pass_env = CI, CI_*, GITHUB_*, GITLAB_*, COVERALLS_*"
            ),
        ),
        ({"notices": ("COVERALLS_X is no setting",)}, "COVERALLS_X is no setting"),
        (
            {"settings": Settings({"host": "https://cov.example.com", "skip_ssl_verify": True})},
            ("TLS is not verified for https://cov.example.com: others can read the token"),
        ),
        (
            {"settings": Settings({"parallel": True}), "identity": Identity()},
            "parallel needs a build number for `finish`: set service_number",
        ),
        ({"settings": Settings({"parallel": True})}, None),
    ],
)
def test_problems_are_said_at_once(changes: dict[str, Any], expected: str | None) -> None:
    """With what to do; nothing of a fork's token, which nobody can set."""
    assert shown_before(a_plan(**changes))[1:] == ([f"coveralls: {expected}"] if expected else [])


# -- after the tests ---------------------------------------------------------------------------


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
            "built 3 files, 57.14% covered; not sent, this is a dry run",
            ["saved in /elsewhere/job.json"],
        ),
        (
            NotSent(reason="no token", remedy="set it", saved=START / "job.json", **COMMON),
            "not sent: no token: set it",
            ["saved in job.json"],
        ),
        (NotSent(reason="no tests ran", **COMMON), "not sent: no tests ran", []),
        (
            Failed(reason="422 no", saved=START / "job.json", **COMMON),
            "failed: 422 no",
            ["saved in job.json"],
        ),
    ],
)
def test_each_outcome_has_its_lines(outcome: Outcome, first: str, more: list[str]) -> None:
    """One at ``-q``, the notices by default, sizes and times too with ``-v``."""
    normal = [first, *more, "left out 1 file"]

    assert told(outcome, -1) == told(outcome, -2) == [first]
    assert told(outcome) == normal
    assert told(outcome, 1) == told(outcome, 2) == [*normal, "1,234 bytes"]


@pytest.mark.parametrize("kind", [Failed, Interrupted])
def test_a_failure_says_what_to_do(kind: type[Failed]) -> None:
    """Reason, advice, where the job is and the command that sends it; a traceback for ``-v``."""
    outcome = kind(**{name: getattr(FAILED, name) for name in FAILED.__dataclass_fields__})
    normal = [
        "failed: 503 Service Unavailable",
        "coveralls.io is down",
        f"kept in {KEPT_NAME}; send it with: python -m pytest_coveralls_submit send {KEPT_NAME}",
        "left out 1 file",
    ]

    assert told(outcome, -1) == [f"failed: 503 Service Unavailable; kept in {KEPT_NAME}"]
    assert told(outcome) == normal
    assert told(outcome, 1) == [*normal, "1,234 bytes", "Traceback", "  File x", "Boom"]


def test_gitlabs_regex_finds_the_percentage() -> None:
    r"""``coverage: '/coveralls: .* (\d+(?:\.\d+)?)% covered/'`` in ``.gitlab-ci.yml``."""
    (line,) = closing_lines(Sent(files=FILES, percent=96.3078, url=URL), -1, START)

    found = re.search(r"coveralls: .* (\d+(?:\.\d+)?)% covered", line)

    assert found is not None
    assert found[1] == "96.31"


def test_what_the_header_has_said_to_do_is_not_said_again() -> None:
    """The reason is."""
    outcome = NotSent(reason="no token", remedy="set it")

    assert closing_lines(outcome, 0, START, ("TLS is off", "no token: set it")) == [
        "coveralls: not sent: no token"
    ]


# -- changed lines and the whole build ------------------------------------------------------------

CHANGED = ChangedLines(
    (
        ChangedFile("pkg/a.py", 40, 42, missed=((10, 11),), partial=(7,)),
        ChangedFile("pkg/b.py", 2, 3, missed=((3, 3),), partial=(1, 2)),
    )
)
CHANGED_LINE = "changed lines: 42 of 45 covered (93.33%); missed: pkg/a.py:10-11, pkg/b.py:3"


@pytest.mark.parametrize(
    "outcome", [SENT, FAILED, Built(files=FILES, percent=1.0), NotSent(reason="no token")]
)
def test_changed_lines_are_told_whatever_became_of_the_job(outcome: Outcome) -> None:
    """In one line; branches with ``-v``, nothing with ``-q``."""
    outcome = replace(outcome, changed=CHANGED)
    partial = "partly covered: pkg/a.py:7, pkg/b.py:1, pkg/b.py:2"

    assert told(outcome, -1) == told(replace(outcome, changed=None), -1)
    assert told(outcome).count(CHANGED_LINE) == 1
    assert partial not in told(outcome)
    assert told(outcome, 1)[told(outcome, 1).index(CHANGED_LINE) + 1] == partial


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (ChangedLines(), "none measured"),
        (ChangedLines((ChangedFile("a.py", 0, 0),)), "none measured"),
        (ChangedLines((ChangedFile("a.py", 3, 3),)), "3 of 3 covered (100.00%)"),
        (
            ChangedLines((ChangedFile("a.py", 0, 3, missed=((1, 2), (9, 9))),)),
            "0 of 3 covered (0.00%); missed: a.py:1-2, a.py:9",
        ),
    ],
)
def test_changed_lines_in_one_line(changed: ChangedLines, expected: str) -> None:
    """Counts, and each missed range as an editor finds it."""
    assert changed_lines_line(changed) == f"changed lines: {expected}"


def test_a_long_list_of_missed_ranges_is_cut() -> None:
    """After ten; ``-v`` lists all."""
    missed = tuple((line, line) for line in range(1, 25, 2))
    changed = ChangedLines((ChangedFile("a.py", 0, 12, missed=missed),))

    assert changed_lines_line(changed).endswith(" a.py:19 and 2 more")
    assert told(replace(SENT, changed=changed), 1)[1].endswith(" a.py:19, a.py:21, a.py:23")


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
def test_the_result_of_the_build(result: dict[str, Any], expected: str) -> None:
    """What the server says of all jobs together; nought is a result, none is not."""
    build = BuildResult(url="https://coveralls.io/builds/9", **result)

    printed = told(replace(SENT, build=build))

    assert printed[1] == f"build: {expected} -> https://coveralls.io/builds/9"
    assert told(replace(SENT, build=build), -1) == printed[:1]


# -- texts from outside ------------------------------------------------------------------------


def test_every_line_of_ours_is_cleaned() -> None:
    """The server's message, a notice, a path, a branch."""
    outcome = Failed(
        reason="a\x1b[2J\ud800b", advice=("c\x07",), notices=("d\ne",), kept=START / "f\rg"
    )
    changed = ChangedLines((ChangedFile("g\x1b.py", 0, 1, missed=((1, 1),)),))
    plan = a_plan(identity=Identity(service_branch="x\x1b]0;y\x07"), notices=("h\x08",))

    outcome = replace(outcome, changed=changed)
    printed = [*told(outcome, 2), *told(outcome, -1), *shown_before(plan)]

    assert all(line.isprintable() for line in printed)


def test_paths_are_shown_as_one_would_type_them() -> None:
    """Relative where that is shorter, quoted in a command."""
    command = command_to_send(Settings(), START / "my cache" / "job.json", START)

    assert command == "python -m pytest_coveralls_submit send 'my cache/job.json'"
    assert typed_path(START / "a" / "b.json", START) == str(Path("a") / "b.json")
    assert typed_path(Path("/elsewhere/b.json"), START) == str(Path("/elsewhere/b.json"))


# -- percentages -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("percent", "text"),
    [
        (0.0, "0.00"),
        (100.0, "100.00"),
        (0.001, "0.01"),
        (99.999, "99.99"),
        (96.3078, "96.31"),
    ],
)
def test_nought_and_a_hundred_are_shown_where_they_are_exact(percent: float, text: str) -> None:
    """A single missed line of a million is not nothing."""
    assert percentage(percent) == text


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_percentages_are_displayed_as_coverage_displays_them(covered: int, missed: int) -> None:
    """Compared with coverage.py's own class, for any number of lines."""
    total = covered + missed
    numbers = coverage.results.Numbers(precision=2, n_statements=total, n_missing=missed)

    percent = 100.0 * covered / total if total else 100.0

    assert percentage(percent) == numbers.pc_covered_str
