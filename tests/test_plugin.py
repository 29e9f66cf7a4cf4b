"""Runs inside this process: switching on, header, end of the session, exit status."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from git_repository import Repository, needs_git
from inner import GARDEN, Inner
from running import NO_TOKEN

from pytest_coveralls_submit.job.outbox import own_folder

RED = "def test_bad():\n    assert False\n\n\ndef test_good():\n    pass\n"
SENT = "sent 1 file, 66.67% covered -> "


def prepare(inner: Inner, case: str) -> None:
    """Let the server be down, or the run have no token or send nothing."""
    if case == "down":
        inner.server.respond(503)
    if case == "no token":
        inner.env(**NO_TOKEN)
    if case == "dry run":
        inner.env(COVERALLS_DRY_RUN="1")


def test_one_flag_sends_one_job(inner: Inner) -> None:
    run = inner("--coveralls")

    (job,) = inner.server.jobs
    (file,) = job["source_files"]
    assert (file["name"], file["coverage"]) == ("garden.py", [1, 1, 1, 0])
    assert file["branches"] == [2, 0, 0, 1, 2, 0, 1, 0]
    url = inner.server.url
    place = "(branch topic/y, token from COVERALLS_REPO_TOKEN)"
    assert run.header == f"coveralls: {url} as test-ci #77 {place}"
    assert run.lines == [f"{SENT}{url}/jobs/105971882"]
    assert (run.status, run.passed) == (0, 2)
    assert list((inner.folder / ".pytest_cache/d").glob("coveralls/*")) == []


def test_a_run_that_is_not_switched_on_prints_and_sends_nothing(inner: Inner) -> None:
    """A setting that cannot be used stops no such run."""
    inner.env(COVERALLS_PARALLEL="maybe")

    run = inner()

    assert (run.status, run.header, run.lines) == (0, "", [])
    assert inner.server.requests == []


@pytest.mark.parametrize(
    ("ini", "flags", "is_on"),
    [
        ("[pytest]\ncoveralls = true", [], True),
        ("[pytest]\ncoveralls = off", [], False),
        ("[pytest]\ncoveralls = true", ["--no-coveralls"], False),
        ("[pytest]\ncoveralls = false", ["--coveralls"], True),
        ("[pytest]\naddopts = --coveralls", [], True),
        ("[pytest]\naddopts = --coveralls", ["--no-coveralls"], False),
        ("[tool.pytest]\ncoveralls = true", [], True),
    ],
)
def test_flags_beat_the_ini_file(inner: Inner, ini: str, flags: list[str], is_on: bool) -> None:
    if "[tool.pytest]" in ini and pytest.version_tuple < (9,):
        pytest.skip("pytest 9 brought the table")
    (inner.folder / ("pyproject.toml" if "[tool" in ini else "pytest.ini")).write_text(ini)
    prepare(inner, "dry run")

    strictly = ["-W", "error"] * ("[tool" in ini and pytest.version_tuple >= (9,))

    assert bool(inner(*strictly, *flags).header) == is_on


@pytest.mark.parametrize(
    ("ini", "variable", "said"),
    [
        ("coveralls = maybe", "", 'coveralls in pytest.ini is "maybe": expected 1/true/yes/on'),
        ("coveralls = 1", "\x1b]0;x", 'COVERALLS_PARALLEL is "\\x1b]0;x": expected 1/true/yes/on'),
    ],
)
def test_a_value_that_cannot_be_used_stops_before_the_tests(
    inner: Inner, ini: str, variable: str, said: str
) -> None:
    (inner.folder / "pytest.ini").write_text(f"[pytest]\n{ini}\n")
    inner.env(COVERALLS_PARALLEL=variable)

    run = inner()

    assert (run.status, run.passed) == (pytest.ExitCode.USAGE_ERROR, 0)
    assert f"ERROR: coveralls: {said}" in run.errors
    assert "Traceback" not in run.errors


def test_the_job_is_sent_after_the_failures_were_printed(inner: Inner) -> None:
    """Also the attempts, which may take long."""
    inner.pytester.makepyfile(test_garden=RED)
    prepare(inner, "down")

    output = inner("--coveralls", "--coveralls-retries=1").output

    places = [
        output.index(text)
        for text in ("= FAILURES =", "short test summary info", "attempt 1 of 2: 503 ", SENT)
    ]
    assert places == sorted(places)
    assert re.search(r"covered -> \S+\n=+ 1 failed, 1 passed", output)


@pytest.mark.parametrize(("argument", "lines"), [("--no-summary", 1), ("-pno:terminal", 0)])
def test_the_job_is_sent_once_where_no_summary_is_printed(
    inner: Inner, argument: str, lines: int
) -> None:
    run = inner("--coveralls", argument)

    assert len(inner.server.jobs) == 1
    assert [line[: len(SENT)] for line in run.lines] == [SENT] * lines


class Breaks:
    """A plugin that breaks the summary."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(self) -> None:
        raise self.error


def test_the_job_is_sent_where_another_plugin_breaks_the_summary(inner: Inner) -> None:
    inner.plugins.append(Breaks(ValueError))

    inner("--coveralls")

    assert len(inner.server.jobs) == 1


def test_ctrl_c_in_the_summary_sends_nothing(inner: Inner) -> None:
    """The user wants an end now."""
    inner.plugins.append(Breaks(KeyboardInterrupt))

    with pytest.raises(KeyboardInterrupt):
        inner("--coveralls")
    assert inner.server.requests == []


def test_problems_are_in_the_header(inner: Inner) -> None:
    inner.env(COVERALLS_PARALEL="1", CI_BUILD_NUMBER="", **NO_TOKEN)

    run = inner("--coveralls", "--coveralls-parallel")

    assert run.lines[0] == "unknown setting COVERALLS_PARALEL; did you mean COVERALLS_PARALLEL?"
    assert run.lines[1].startswith("no token: set COVERALLS_REPO_TOKEN (from the repository's page")
    assert run.lines[2].startswith("parallel needs a build number")
    assert run.lines[3:] == ["not sent: no token"]


def test_a_quiet_run_prints_one_line(inner: Inner) -> None:
    inner.env(COVERALLS_PARALEL="1")

    run = inner("--coveralls", "-q")

    assert (run.header, [line[: len(SENT)] for line in run.lines]) == ("", [SENT])


def test_a_verbose_run_has_sizes_and_gitlab_finds_the_percentage(inner: Inner) -> None:
    run = inner("--coveralls", "-v", "--color=yes")

    assert re.search(r"coveralls: [\d,]+ bytes sent in \d+\.\d\d s, 1 attempt", run.output)
    assert "\x1b[" in run.output
    assert re.findall(r"coveralls: sent .*? (\d+(?:\.\d+)?)% covered", run.output) == ["66.67"]


def test_github_gets_a_warning_of_a_failure(inner: Inner) -> None:
    prepare(inner, "down")
    inner.env(GITHUB_ACTIONS="true")

    lines = inner("--coveralls").lines

    assert sum(line.startswith("::warning title=Coveralls::503 ") for line in lines) == 1


def test_the_printed_command_sends_the_job_as_the_run_did(inner: Inner) -> None:
    """Host and other settings of ``addopts`` are in it."""
    options = f"--coveralls-host={inner.server.url} --no-coveralls-compress --coveralls-deadline=20"
    (inner.folder / "pytest.ini").write_text(f"[pytest]\naddopts = {options}\n")
    inner.env(COVERALLS_HOST="https://coveralls.example.org")
    prepare(inner, "down")

    lines = inner("--coveralls").lines

    name = ".pytest_cache/d/coveralls/job-77.json"
    command = f"python -m pytest_coveralls_submit send {options} {name}"
    assert f"kept in {name}; send it with: {command}" in lines


EXIT = "import pytest\ndef test_exit():\n    pytest.exit('enough', returncode=0)\n"
PROTOCOL = "def pytest_runtest_protocol(item):\n    raise RuntimeError('another plugin')\n"


@pytest.mark.parametrize(
    ("files", "argument", "status", "reason"),
    [
        ({}, "-k nothing", 5, "no tests ran"),
        ({}, "test_not_there.py", 4, ".*(exit status 4|usage error)"),
        ({"test_garden": RED}, "-x", 1, "the run was stopped early: stopping after 1 failures$"),
        ({"test_a": EXIT}, "", 0, "the run was interrupted: enough$"),
        ({"test_a": "1 / 0"}, "", 2, "the run was interrupted: (1 error|not all tests could)"),
        ({"test_a": "def test_a():\n    raise KeyboardInterrupt"}, "", 2, ".*interrupted"),
        ({"conftest": PROTOCOL}, "", 3, ".*(exit status 3|internal error)"),
    ],
)
def test_nothing_is_sent_of_a_session_that_did_not_end_well(
    inner: Inner, files: dict[str, str], argument: str, status: int, reason: str
) -> None:
    """One line gives the reason; the exit status is pytest's own."""
    if files:
        inner.pytester.makepyfile(**files)

    run = inner("--coveralls", *argument.split(maxsplit=1))

    assert run.status == status
    assert inner.server.requests == []
    (said,) = [line.removeprefix("not sent: ") for line in run.lines if "not sent: " in line]
    assert re.match(reason, said), said


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--collect-only"], "--collect-only runs no tests"),
        (["--setup-only"], "--setup-only runs no tests"),
        (["--setup-plan"], "--setup-plan runs no tests"),
        (["-p", "pytest_cov", "--no-cov"], "--no-cov switched coverage off"),
        (
            ["-k", "one", "--coveralls-on-partial=skip"],
            "not all tests ran, because of -k one (on_partial = skip)",
        ),
    ],
)
def test_strict_accepts_a_run_that_was_not_to_send(
    inner: Inner, arguments: list[str], reason: str
) -> None:
    run = inner("--coveralls", "--coveralls-strict", *arguments)

    assert (run.status, run.lines) == (0, [f"not sent: {reason}"])
    assert inner.server.requests == []


@pytest.mark.parametrize(
    ("case", "strict", "status"),
    [
        ("down", False, 0),
        ("down", True, 1),
        ("no token", True, 1),
        ("dry run", True, 0),
        ("fine", True, 0),
    ],
)
def test_strict_fails_a_run_whose_job_was_not_accepted(
    inner: Inner, case: str, strict: bool, status: int
) -> None:
    prepare(inner, case)

    assert inner("--coveralls", *["--coveralls-strict"] * strict).status == status


@pytest.mark.parametrize("argument", ["--fixtures", "--markers", "--version"])
def test_a_mode_without_a_session_prints_nothing(inner: Inner, argument: str) -> None:
    run = inner("--coveralls", "--coveralls-strict", argument)

    assert (run.status, run.header, run.lines) == (0, "", [])


@pytest.mark.parametrize(
    ("text", "mode", "sent"),
    [(RED, "send", 1), (RED, "skip", 0), ("def test(): pass", "skip", 1)],
)
def test_failed_tests_are_sent_unless_you_ask_otherwise(
    inner: Inner, text: str, mode: str, sent: int
) -> None:
    inner.pytester.makepyfile(test_garden=text)

    run = inner("--coveralls", f"--coveralls-on-failure={mode}")

    assert run.status == (text == RED)
    assert len(inner.server.jobs) == sent
    assert ("not sent: tests failed (on_failure = skip)" in run.lines) == (not sent)


@pytest.mark.parametrize("mode", ["warn", "send"])
def test_a_partial_run_is_sent_with_a_warning_or_without(inner: Inner, mode: str) -> None:
    run = inner("--coveralls", "-k", "one", f"--coveralls-on-partial={mode}")

    assert (run.status, run.passed, len(inner.server.jobs)) == (0, 1, 1)
    warning = "not all tests ran, because of -k one: coverage may look lower"
    assert (warning in run.lines) == (mode == "warn")


def test_a_run_that_measured_nothing_is_told(inner: Inner) -> None:
    inner.measured.clear()

    run = inner("--coveralls")

    said = "not sent: pytest-cov is not loaded, so nothing was measured"
    assert (run.status, run.lines) == (0, [said])


def test_a_run_leaves_the_environment_as_it_was(inner: Inner) -> None:
    before = dict(os.environ)
    before.pop("PYTEST_CURRENT_TEST")  # pytest itself removes it

    inner("--coveralls")

    assert dict(os.environ) == before


SHORTFALL = "2 of 3 changed lines are covered, 66.67%; changed_fail_under asks for 70%"


@pytest.fixture
def changed(inner: Inner) -> Inner:
    """A repository whose last commit has changed all lines of the module but the first."""
    repository = Repository(inner.folder)
    (inner.folder / "garden.py").write_text("def bed(sunny):\n    pass\n")
    inner.env(COVERALLS_COMPARE_SHA=repository.commit_all())
    (inner.folder / "garden.py").write_text(GARDEN)
    repository.commit_all()
    return inner


@needs_git
@pytest.mark.parametrize(
    ("case", "gate", "argument", "status"),
    [
        ("fine", "70", "-v", 1),
        ("fine", "60", "-v", 0),
        ("down", "70", "-v", 1),
        ("no token", "70", "-v", 1),
        ("dry run", "70", "-v", 1),
        ("fine", "70", "-q", 1),
        ("fine", "70", "-knothing", 5),
    ],
)
def test_too_few_covered_changed_lines_turn_0_into_1(
    changed: Inner, case: str, gate: str, argument: str, status: int
) -> None:
    """Without a token too; one line says why."""
    prepare(changed, case)

    run = changed("--coveralls", f"--coveralls-changed-fail-under={gate}", argument)

    assert run.status == status
    said = [line for line in run.lines if SHORTFALL in line]
    assert len(said) == (gate == "70" and status < 2)
    assert len(run.lines) == 1 or argument != "-q"


def test_without_the_cache_a_job_is_kept_elsewhere(inner: Inner) -> None:
    prepare(inner, "down")

    lines = inner("--coveralls", "-p", "no:cacheprovider").lines

    kept = own_folder(Path(tempfile.gettempdir()), inner.folder) / "job-77.json"
    assert any(f"kept in {kept}" in line for line in lines)


def test_an_internal_error_is_one_line(inner: Inner) -> None:
    def get_data() -> Any:
        raise ValueError("odd\nstate")

    inner.monkeypatch.setattr(inner.measured[0], "get_data", get_data)

    run = inner("--coveralls")

    assert (run.status, run.passed, len(run.lines)) == (0, 2, 1)
    assert run.lines[0].startswith("failed: internal error: ValueError")


def test_an_internal_error_before_the_tests_is_one_line(inner: Inner) -> None:
    """It stops no test."""

    class Broken:
        @pytest.hookimpl(tryfirst=True)
        def pytest_configure(self, config: pytest.Config) -> None:
            really = config.getini

            def getini(name: str) -> object:
                return 1 / 0 if name.startswith("coveralls_") else really(name)

            config.getini = getini  # type: ignore[method-assign]

    inner.plugins.append(Broken())

    run = inner("--coveralls")

    assert (run.status, run.passed, len(run.lines)) == (0, 2, 1)
    assert run.lines[0].startswith("failed: internal error: ZeroDivisionError in ")


@pytest.mark.parametrize(
    ("arguments", "token", "measured"),
    [
        (["--coveralls"], True, True),
        (["--coveralls", "--cov"], True, True),
        (["--coveralls"], False, False),
        (["--coveralls", "--coveralls-dry-run"], False, True),
        (["--coveralls", "--coveralls-save=job.json"], False, True),
        (["--no-cov", "--coveralls", "-W", "error"], True, False),
        (["--coveralls", "--collect-only"], True, False),
        ([], True, False),
    ],
)
def test_coverage_is_measured_where_a_job_could_be_sent(
    inner: Inner, arguments: list[str], token: bool, measured: bool
) -> None:
    inner.measured.clear()
    inner.pytester.makepyfile(
        test_garden="import coverage\n\n\ndef test_measured():\n"
        "    print('MEASURED', coverage.Coverage.current() is not None)\n"
    )
    if not token:
        prepare(inner, "no token")

    said = inner("-p", "pytest_cov", "-s", *arguments).output

    assert ("MEASURED True" in said) == ("\nTOTAL " in said) == measured
