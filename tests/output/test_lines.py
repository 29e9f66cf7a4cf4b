"""What is printed before and after the tests, and what a CI service gets of it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import coverage.results
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_coveralls_submit.identity.git import Commit, Git
from pytest_coveralls_submit.identity.head import Identity
from pytest_coveralls_submit.identity.service import Build
from pytest_coveralls_submit.identity.token import Token
from pytest_coveralls_submit.outcome import (
    Built,
    Failed,
    FileTotal,
    Interrupted,
    NotSent,
    Outcome,
    Sent,
)
from pytest_coveralls_submit.output.ci_pages import write_for_ci
from pytest_coveralls_submit.output.lines import display, header, lines, shown
from pytest_coveralls_submit.plan import Plan, problems
from pytest_coveralls_submit.secret import Environment, Secret
from pytest_coveralls_submit.settings.table import Settings
from pytest_coveralls_submit.values import escaped

START = Path("/home/me/project")
KEPT = START / ".pytest_cache" / "d" / "coveralls" / "job-77.json"
KEPT_NAME = ".pytest_cache/d/coveralls/job-77.json"
FILES = (FileTotal("a.py", 8, 10), FileTotal("b.py", 0, 4), FileTotal("c.py", 0, 0))
URL = "https://coveralls.io/jobs/1"
COMMON: dict[str, Any] = {"notices": ("left out 1 file",), "details": ("1,234 bytes",)}
SENT = Sent(files=FILES, percent=57.142857, url=URL, **COMMON)
FAILED = Failed(
    reason="503 Service Unavailable",
    advice=("coveralls.io is down",),
    kept=KEPT,
    traceback="Traceback\n  File x\nBoom",
    **COMMON,
)


def told(outcome: Outcome, verbosity: int = 0) -> list[str]:
    """The closing lines without the word in front of each."""
    printed = [line.text for line in lines(outcome, verbosity, START)]
    assert all(text.startswith("coveralls: ") for text in printed)
    return [text.removeprefix("coveralls: ") for text in printed]


def a_plan(**changes: Any) -> Plan:
    """What is known before the tests of an ordinary run."""
    values: dict[str, Any] = {
        "settings": Settings(),
        "env": Environment(),
        "start": START,
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
        "temporary": Path("/tmp"),
    }
    return Plan(**{**values, **changes})


def shown_before(plan: Plan) -> list[str]:
    """The header of a run."""
    return header(plan, problems(plan))


# -- before the tests --------------------------------------------------------------------------


def test_the_header_says_what_goes_where() -> None:
    """Host, service, number, branch, commit and where the token came from."""
    (line,) = shown_before(a_plan())

    assert line == (
        "coveralls: https://coveralls.io as github-actions #9001 "
        "(branch topic/y, commit 5e837cc, token from COVERALLS_REPO_TOKEN)"
    )


def test_the_header_has_the_flag() -> None:
    """Also one that the user did not set."""
    plan = a_plan(
        identity=Identity(service_number="7", flag_name="py312", head=Commit(id="abcdef0"))
    )

    (line,) = shown_before(plan)

    assert line == (
        "coveralls: https://coveralls.io #7 "
        "(commit abcdef0, flag py312, token from COVERALLS_REPO_TOKEN)"
    )


def test_the_header_of_a_run_about_which_nothing_is_known() -> None:
    """A missing token is said at once, with what to do."""
    assert shown_before(a_plan(identity=Identity(), token=None)) == [
        "coveralls: https://coveralls.io (no token)",
        "coveralls: no token: set COVERALLS_REPO_TOKEN (from the repository's page on Coveralls)",
    ]


def test_a_dry_run_needs_no_token() -> None:
    """So none is missed."""
    plan = a_plan(identity=Identity(), token=None, settings=Settings({"dry_run": True}))

    assert shown_before(plan) == ["coveralls: https://coveralls.io (no token)"]


def test_problems_are_said_at_once() -> None:
    """Notices, unverified TLS, and a parallel build that nobody could close."""
    values = {"host": "https://cov.example.com", "skip_ssl_verify": True, "parallel": True}
    plan = a_plan(
        identity=Identity(), settings=Settings(values), notices=("COVERALLS_X is no setting",)
    )

    assert shown_before(plan)[1:] == [
        "coveralls: COVERALLS_X is no setting",
        (
            "coveralls: TLS is not verified for https://cov.example.com: "
            "anybody in between can read the token"
        ),
        "coveralls: parallel, but no build number is known to close it by: set service_number",
    ]


def test_a_parallel_build_with_a_number_is_no_problem() -> None:
    """It can be closed."""
    assert len(shown_before(a_plan(settings=Settings({"parallel": True})))) == 1


def test_variables_that_tox_hides_are_told_although_there_is_a_token() -> None:
    """Without them the job has no build."""
    plan = a_plan(identity=Identity(), env=Environment({"TOX_ENV_NAME": "py312"}))

    assert shown_before(plan)[1:] == [
        (
            "coveralls: tox hides the variables of a CI service; let them through in tox.ini: "
            "pass_env = CI, CI_*, GITHUB_*, GITLAB_*, COVERALLS_*"
        )
    ]


def test_the_token_is_not_in_the_shown_before() -> None:
    """Only where it came from."""
    assert "c0fee" not in "".join(shown_before(a_plan()))


# -- after the tests ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "quiet", "normal", "verbose"),
    [
        (
            SENT,
            [f"sent 3 files, 57.14% covered -> {URL}"],
            ["left out 1 file"],
            ["1,234 bytes"],
        ),
        (
            Sent(files=FILES[:1], percent=80.0, url=None, finish="python -m x finish"),
            ["sent 1 file, 80.00% covered"],
            ["when all jobs of the build are in, close it with: python -m x finish"],
            [],
        ),
        (
            Sent(files=(), percent=100.0, url=URL, saved=START / "job.json"),
            [f"sent 0 files, 100.00% covered -> {URL}"],
            ["saved in job.json"],
            [],
        ),
        (
            Built(files=FILES, percent=57.142857, saved=Path("/elsewhere/job.json")),
            ["built 3 files, 57.14% covered; not sent, this is a dry run"],
            ["saved in /elsewhere/job.json"],
            [],
        ),
        (
            NotSent(reason="no tests ran", **COMMON),
            ["not sent: no tests ran"],
            ["left out 1 file"],
            ["1,234 bytes"],
        ),
        (
            NotSent(reason="no token", remedy="set it", saved=START / "job.json"),
            ["not sent: no token: set it"],
            ["saved in job.json"],
            [],
        ),
        (
            Failed(reason="422 no", saved=START / "job.json"),
            ["failed: 422 no"],
            ["saved in job.json"],
            [],
        ),
    ],
)
def test_each_outcome_has_its_lines(
    outcome: Outcome, quiet: list[str], normal: list[str], verbose: list[str]
) -> None:
    """One at ``-q``, the notices by default, sizes and times too with ``-v``."""
    assert told(outcome, -1) == told(outcome, -2) == quiet
    assert told(outcome) == quiet + normal
    assert told(outcome, 1) == told(outcome, 2) == quiet + normal + verbose


@pytest.mark.parametrize("kind", [Failed, Interrupted])
def test_a_failure_says_what_to_do(kind: type[Failed]) -> None:
    """Reason, advice, where the job is and the command that sends it; a traceback for ``-v``."""
    outcome = kind(
        reason=FAILED.reason,
        advice=FAILED.advice,
        kept=KEPT,
        traceback=FAILED.traceback,
        **COMMON,
    )
    normal = [
        "failed: 503 Service Unavailable",
        "coveralls.io is down",
        f"kept in {KEPT_NAME}; send it with: python -m pytest_coveralls_submit send {KEPT_NAME}",
        "left out 1 file",
    ]

    assert told(outcome, -1) == [f"failed: 503 Service Unavailable; kept in {KEPT_NAME}"]
    assert told(outcome) == normal
    assert told(outcome, 1) == [*normal, "1,234 bytes", "Traceback", "  File x", "Boom"]


def test_a_command_for_a_path_with_spaces_can_be_typed() -> None:
    """It is there to be copied into a shell."""
    outcome = Failed(reason="no", kept=START / "my cache" / "job.json")

    assert told(outcome)[1].endswith("send 'my cache/job.json'")


def test_failures_are_yellow_and_all_else_is_plain() -> None:
    """Red is for tests."""
    assert {line.colour for line in lines(FAILED, 1, START)} == {"yellow"}
    assert {line.colour for line in lines(SENT, 1, START)} == {""}


def test_gitlabs_regex_finds_the_percentage() -> None:
    r"""``coverage: '/coveralls: .* (\d+(?:\.\d+)?)% covered/'`` in ``.gitlab-ci.yml``."""
    (line,) = lines(Sent(files=FILES, percent=96.3078, url=URL), -1, START)

    found = re.search(r"coveralls: .* (\d+(?:\.\d+)?)% covered", line.text)

    assert found is not None
    assert found[1] == "96.31"


def test_what_the_header_has_said_to_do_is_not_said_again() -> None:
    """The reason is."""
    outcome = NotSent(reason="no token", remedy="set it")

    assert lines(outcome, 0, START, ("TLS is off", "no token: set it"))[0].text == (
        "coveralls: not sent: no token"
    )


# -- texts from outside ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown_as"),
    [
        ("plain é ✓", "plain é ✓"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x00\x07\x7f\x9b", "\\x00\\x07\\x7f\\x9b"),
        ("a\u2028b\u202ec", "a\\u2028b\\u202ec"),
        ("\ud800", "\\ud800"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_control_characters_are_escaped(text: str, shown_as: str) -> None:
    """A branch, a server's message or a file name may hold anything."""
    assert escaped(text) == shown_as


@given(st.text(st.characters()))
def test_what_is_printed_is_one_printable_line(text: str) -> None:
    """Whatever comes in, also half a surrogate pair."""
    assert escaped(text).isprintable()
    escaped(text).encode()


def test_every_line_of_ours_is_cleaned() -> None:
    """The server's message, a notice, a path, a branch."""
    outcome = Failed(reason="a\x1b[2Jb", advice=("c\x07",), notices=("d\ne",), kept=START / "f\rg")
    plan = a_plan(identity=Identity(service_branch="x\x1b]0;y\x07"), notices=("h\x08",))

    printed = [*told(outcome, 2), *told(outcome, -1), *shown_before(plan)]

    assert all(line.isprintable() for line in printed)


def test_paths_are_shown_as_one_would_type_them() -> None:
    """Relative where that is shorter."""
    assert shown(START / "a" / "b.json", START) == str(Path("a") / "b.json")
    assert shown(Path("/elsewhere/b.json"), START) == str(Path("/elsewhere/b.json"))


# -- percentages -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("percent", "text"),
    [
        (0.0, "0.00"),
        (100.0, "100.00"),
        (0.001, "0.01"),
        (99.999, "99.99"),
        (99.995, "99.99"),
        (50.0, "50.00"),
        (96.3078, "96.31"),
    ],
)
def test_nought_and_a_hundred_are_shown_where_they_are_exact(percent: float, text: str) -> None:
    """A single missed line of a million is not nothing."""
    assert display(percent) == text


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_percentages_are_displayed_as_coverage_displays_them(covered: int, missed: int) -> None:
    """Compared with coverage.py's own class, for any number of lines."""
    total = covered + missed
    numbers = coverage.results.Numbers(precision=2, n_statements=total, n_missing=missed)

    percent = 100.0 * covered / total if total else 100.0

    assert display(percent) == numbers.pc_covered_str


# -- GitHub ------------------------------------------------------------------------------------


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """The environment of a step on GitHub Actions."""
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }


def text_of(path: str) -> str:
    """A file that another step reads; empty where there is none."""
    return Path(path).read_text("utf-8") if Path(path).exists() else ""


def test_a_sent_job_has_a_step_summary_and_an_output(env: dict[str, str]) -> None:
    """The link, the total, and the least covered files first."""
    assert write_for_ci(SENT, env) is None

    assert text_of(env["GITHUB_OUTPUT"]) == f"coveralls-url={URL}\n"
    summary = text_of(env["GITHUB_STEP_SUMMARY"])
    assert summary.startswith("### Coveralls\n\n")
    assert URL in summary
    assert "57.14%" in summary
    assert summary.index("| b.py | 0 | 4 | 0.00 |") < summary.index("| a.py | 8 | 10 | 80.00 |")
    assert "| --- | ---: | ---: | ---: |" in summary


def test_the_step_summary_names_ten_files_at_most(env: dict[str, str]) -> None:
    """Those with the least coverage."""
    files = tuple(FileTotal(f"f{number:02}.py", number, 100) for number in range(30))

    write_for_ci(replace(SENT, files=files), env)

    rows = re.findall(r"^\| (f\d\d)\.py", text_of(env["GITHUB_STEP_SUMMARY"]), re.MULTILINE)
    assert rows == [f"f{number:02}" for number in range(10)]


def test_the_step_summary_and_the_output_are_added_to(env: dict[str, str]) -> None:
    """Other programs write there too."""
    Path(env["GITHUB_OUTPUT"]).write_text("x=1\n")
    Path(env["GITHUB_STEP_SUMMARY"]).write_text("# Theirs\n")

    write_for_ci(SENT, env)

    assert text_of(env["GITHUB_OUTPUT"]).startswith("x=1\ncoveralls-url=")
    assert text_of(env["GITHUB_STEP_SUMMARY"]).startswith("# Theirs\n### Coveralls\n")


def test_a_failure_is_a_warning_and_stands_in_the_summary(env: dict[str, str]) -> None:
    """One annotation, percent signs as GitHub reads them."""
    outcome = Failed(reason="503: 100% down")

    annotation = write_for_ci(outcome, env)

    assert annotation == "::warning title=Coveralls::503: 100%25 down"
    assert "failed: 503: 100% down" in text_of(env["GITHUB_STEP_SUMMARY"])
    assert not Path(env["GITHUB_OUTPUT"]).exists()


def test_a_job_without_a_link_has_no_output(env: dict[str, str]) -> None:
    """An empty output would be a link to nowhere."""
    write_for_ci(replace(SENT, url=None), env)

    assert not Path(env["GITHUB_OUTPUT"]).exists()


def test_a_job_that_was_not_sent_writes_nothing(env: dict[str, str]) -> None:
    """A fork's run is no news."""
    assert write_for_ci(NotSent(reason="no token"), env) is None

    assert not Path(env["GITHUB_OUTPUT"]).exists()
    assert not Path(env["GITHUB_STEP_SUMMARY"]).exists()


def test_elsewhere_nothing_is_written(env: dict[str, str]) -> None:
    """The variables may be left over."""
    assert write_for_ci(FAILED, {**env, "GITHUB_ACTIONS": ""}) is None

    assert not Path(env["GITHUB_STEP_SUMMARY"]).exists()


def test_files_that_cannot_be_written_cost_nothing(env: dict[str, str], tmp_path: Path) -> None:
    """The run is not failed by its summary."""
    broken = {**env, "GITHUB_OUTPUT": str(tmp_path), "GITHUB_STEP_SUMMARY": "/gone/summary.md"}

    assert write_for_ci(SENT, broken) is None
    assert write_for_ci(SENT, {"GITHUB_ACTIONS": "true"}) is None


def test_an_empty_job_has_no_table(env: dict[str, str]) -> None:
    """There is nothing to list."""
    write_for_ci(replace(SENT, files=()), env)

    assert "|" not in text_of(env["GITHUB_STEP_SUMMARY"])


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("a|b.py", r"a\|b.py"),
        ("a`b`.py", r"a\`b\`.py"),
        ("__init__.py", r"\_\_init\_\_.py"),
        ("[a](b).py", r"\[a\](b).py"),
        ("<img src=x>.py", r"\<img src=x\>.py"),
        ("a\nb.py", r"a\\nb.py"),
        ("é.py", "é.py"),
    ],
)
def test_a_file_name_is_no_markdown(env: dict[str, str], name: str, cell: str) -> None:
    """A name may hold what Markdown and HTML read as theirs."""
    write_for_ci(replace(SENT, files=(FileTotal(name, 1, 2),)), env)

    rows = text_of(env["GITHUB_STEP_SUMMARY"]).splitlines()

    assert f"| {cell} | 1 | 2 | 50.00 |" in rows


def test_the_link_in_the_summary_can_be_followed(env: dict[str, str]) -> None:
    """An address with an underscore is not broken by escapes."""
    url = "https://cov.example.com/my_team/jobs/1"

    write_for_ci(replace(SENT, url=url), env)

    assert url in text_of(env["GITHUB_STEP_SUMMARY"])


def test_a_servers_message_adds_no_workflow_command(env: dict[str, str]) -> None:
    """Neither a second line in the output file nor a second command in the log."""
    url = "https://x/\nother=1"

    annotation = write_for_ci(Failed(reason="a\n::set-env::b"), env)
    write_for_ci(replace(SENT, url=url), env)

    assert annotation is not None
    assert "\n" not in annotation
    assert text_of(env["GITHUB_OUTPUT"]).count("\n") == 1
