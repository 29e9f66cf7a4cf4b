"""pytest's hooks of the plugin, in runs inside this process: switching on, header, end, status."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import coverage
import pytest
from git_repository import Repository, needs_git
from inner import GARDEN, Ended, Inner
from running import NO_TOKEN
from standin import COVERALLS_TOKEN

from pytest_coveralls_submit.job.outbox import own_folder
from pytest_coveralls_submit.partial_run import SESSION_MARK
from pytest_coveralls_submit.session import CoverallsSession

RED = "def test_bad():\n    assert False\n\n\ndef test_good():\n    pass\n"
SENT = "sent 1 file, 66.67% covered -> "

# -- switching on ------------------------------------------------------------------------------


def test_one_flag_sends_one_job(inner: Inner) -> None:
    """Header, job, closing line, pytest's own exit status."""
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


def test_nothing_is_said_and_sent_where_nobody_asks(inner: Inner) -> None:
    """An installed plugin is silent, and a setting that cannot be used stops no such run."""
    inner.env(COVERALLS_PARALLEL="maybe")

    run = inner()

    assert (run.status, run.header, run.lines) == (0, "", [])
    assert inner.server.requests == []


@pytest.mark.parametrize(
    ("ini", "flags", "sent"),
    [
        ("coveralls = true", [], 1),
        ("coveralls = off", [], 0),
        ("coveralls =", [], 0),
        ("coveralls = true", ["--no-coveralls"], 0),
        ("coveralls = false", ["--coveralls"], 1),
        ("addopts = --coveralls", [], 1),
        ("addopts = --coveralls", ["--no-coveralls"], 0),
        ("", ["--coveralls", "--no-coveralls"], 0),
    ],
)
def test_flags_beat_the_ini_file(inner: Inner, ini: str, flags: list[str], sent: int) -> None:
    """``coveralls = true`` switches on, the last flag decides."""
    (inner.folder / "pytest.ini").write_text(f"[pytest]\n{ini}\n")

    inner(*flags)

    assert len(inner.server.jobs) == sent


@pytest.mark.parametrize(
    ("table", "value"), [("tool.pytest", "true"), ("tool.pytest.ini_options", '"yes"')]
)
def test_pyproject_toml_switches_on(inner: Inner, table: str, value: str) -> None:
    """``coveralls = true`` is a boolean in pytest 9's own table, and text in the older one."""
    if table == "tool.pytest" and pytest.version_tuple < (9,):
        pytest.skip("pytest 9 brought the table")
    (inner.folder / "pyproject.toml").write_text(f"[{table}]\ncoveralls = {value}\n")

    assert inner("-W", "error").status == 0
    assert len(inner.server.jobs) == 1


def test_the_stronger_source_of_a_setting_wins(inner: Inner) -> None:
    """Flag, then variable, then ini file, then .coveralls.yml, then what the CI service says."""
    pytest.importorskip("yaml")
    names = ["flag_name", "service_job_id", "service_number", "service_branch"]
    (inner.folder / ".coveralls.yml").write_text("".join(f"{name}: yml\n" for name in names))
    ini = "".join(f"coveralls_{name} = ini\n" for name in names[:3])
    (inner.folder / "pytest.ini").write_text(f"[pytest]\n{ini}")
    inner.env(COVERALLS_FLAG_NAME="variable", COVERALLS_SERVICE_JOB_ID="variable")

    inner("--coveralls", "--coveralls-flag-name=flag")

    (job,) = inner.server.jobs
    assert [job[name] for name in names] == ["flag", "variable", "ini", "yml"]


@pytest.mark.parametrize(
    ("ini", "flags", "variable", "said"),
    [
        ("coveralls = maybe", [], "", 'coveralls in pytest.ini is "maybe": expected 1/true/yes/on'),
        ("", ["--coveralls-retries=many"], "", '--coveralls-retries is "many": expected a whole'),
        ("", [], "\x1b]0;title\x07", 'COVERALLS_PARALLEL is "\\x1b]0;title\\x07": expected 1/true'),
    ],
    ids=["switch", "flag", "variable"],
)
def test_what_cannot_be_used_stops_before_the_tests(
    inner: Inner, ini: str, flags: list[str], variable: str, said: str
) -> None:
    """A usage error with place, value and what is accepted, and no control characters in it."""
    (inner.folder / "pytest.ini").write_text(f"[pytest]\n{ini}\n")
    inner.env(COVERALLS_PARALLEL=variable)

    run = inner(*([] if ini else ["--coveralls"]), *flags)

    assert run.status == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: coveralls: {said}" in run.errors
    assert "Traceback" not in run.errors
    assert run.passed == 0


def test_the_help_names_every_flag_and_key(inner: Inner) -> None:
    """``pytest --help`` is where users look; the token is no flag."""
    said = inner("--help").output

    for word in ("--coveralls ", "--no-coveralls ", "--coveralls-flag-name", "coveralls_deadline"):
        assert word in said
    assert "--coveralls-repo-token " not in said
    assert "coveralls_repo_token" in said


# -- what is printed ---------------------------------------------------------------------------


def test_problems_stand_in_the_header(inner: Inner) -> None:
    """Before the first test has run."""
    inner.env(COVERALLS_PARALEL="1", CI_BUILD_NUMBER="")

    run = inner("--coveralls", "--coveralls-parallel")

    said = "unknown setting COVERALLS_PARALEL; did you mean COVERALLS_PARALLEL?"
    assert run.lines[0] == said
    assert run.lines[1].startswith("parallel needs a build number")


def test_a_parallel_run_tells_how_to_close_the_build(inner: Inner) -> None:
    """With the job's line."""
    run = inner("--coveralls", "--coveralls-parallel", "--coveralls-flag-name=unit")

    assert inner.server.jobs[0]["parallel"] is True
    assert run.lines[-1] == (
        "when all jobs of the build have arrived, close it with: python -m pytest_coveralls_submit "
        f"finish --coveralls-host={inner.server.url} --coveralls-service-number=77"
    )


def test_verbose_runs_have_sizes_and_times(inner: Inner) -> None:
    """``-v``."""
    assert re.fullmatch(
        r"[\d,]+ bytes sent in \d+\.\d\d s, 1 attempt", inner("--coveralls", "-v").lines[-1]
    )


@pytest.mark.parametrize(
    ("case", "line"),
    [
        ("fine", SENT),
        ("down", "failed: 503 Service Unavailable.*; kept in .*job-77.json$"),
        ("no token", "not sent: no token: set COVERALLS_REPO_TOKEN "),
    ],
)
def test_quiet_runs_have_one_line(inner: Inner, case: str, line: str) -> None:
    """``-q``: no header and no notices; the line says where the job is, or what to do."""
    inner.env(COVERALLS_PARALEL="1")
    prepare(inner, case)

    run = inner("--coveralls", "-q")

    assert (run.header, len(run.lines)) == ("", 1)
    assert re.match(line, run.lines[0], re.IGNORECASE)


@pytest.mark.parametrize("name", ["terminalreporter", "terminal"])
def test_without_a_reporter_the_job_is_sent_without_a_word(inner: Inner, name: str) -> None:
    """The work does not depend on who prints."""
    run = inner("--coveralls", "-p", f"no:{name}")

    assert (run.status, run.lines) == (0, [])
    assert len(inner.server.jobs) == 1


@pytest.mark.parametrize("broken", [False, True])
def test_without_a_summary_the_line_is_printed_all_the_same(inner: Inner, broken: bool) -> None:
    """``--no-summary`` leaves pytest's sections out, and another plugin may break them."""

    class Breaks:
        @pytest.hookimpl(tryfirst=True)
        def pytest_terminal_summary(self) -> None:
            raise ValueError("broken")

    if broken:
        inner.plugins.append(Breaks())

    run = inner("--coveralls", *([] if broken else ["--no-summary"]))

    assert len(inner.server.jobs) == 1
    assert [line[: len(SENT)] for line in run.lines] == [SENT]


def test_gitlab_finds_the_percentage_in_a_coloured_log(inner: Inner) -> None:
    """The documented regular expression finds one number, in colours too."""
    run = inner("--coveralls", "--color=yes")

    assert "\x1b[" in run.output
    assert re.findall(r"coveralls: sent .*? (\d+(?:\.\d+)?)% covered", run.output) == ["66.67"]


def test_attempts_are_told_while_they_happen(inner: Inner) -> None:
    """On lines of their own."""
    prepare(inner, "down")

    lines = inner("--coveralls", "--coveralls-retries=1").lines

    assert lines[0].startswith("attempt 1 of 2: 503 ")
    assert lines[1].startswith("sent 1 file")


@pytest.mark.parametrize("on_github", [True, False])
def test_github_gets_an_annotation_of_a_failure(
    inner: Inner, tmp_path: Path, on_github: bool
) -> None:
    """And a step summary; what GitHub's runner reads means nothing to others."""
    prepare(inner, "down")
    summary = tmp_path / "summary.md"
    inner.env(GITHUB_ACTIONS=str(on_github).lower(), GITHUB_STEP_SUMMARY=str(summary))

    lines = inner("--coveralls").lines

    annotations = [line[:31] for line in lines if line.startswith("::")]
    assert annotations == ["::warning title=Coveralls::503 "] * on_github
    assert summary.exists() == on_github


# -- nothing to send ---------------------------------------------------------------------------

EXIT = "import pytest\ndef test_exit():\n    pytest.exit('enough', returncode={})\n"
PROTOCOL = "def pytest_runtest_protocol(item):\n    raise RuntimeError('another plugin')\n"


@pytest.mark.parametrize(
    ("files", "argument", "status", "reason"),
    [
        ({}, "--collect-only", 0, "--collect-only runs no tests"),
        ({}, "-k nothing", 5, "no tests ran"),
        ({}, "test_not_there.py", 4, ".*(exit status 4|usage error)"),
        ({"test_garden": RED}, "-x", 1, "the run was stopped early: stopping after 1 failures$"),
        ({"test_a": EXIT.format(7)}, "", 7, "the run was interrupted: enough$"),
        ({"test_a": EXIT.format(0)}, "", 0, "the run was interrupted: enough$"),
        ({"test_a": "1 / 0"}, "", 2, "the run was interrupted: (1 error|not all tests could)"),
        ({"test_a": "def test_a():\n    raise KeyboardInterrupt"}, "", 2, ".*interrupted"),
        ({"conftest": PROTOCOL}, "", 3, ".*(exit status 3|internal error)"),
    ],
)
def test_nothing_is_sent_of_a_session_that_was_not_whole(
    inner: Inner, files: dict[str, str], argument: str, status: int, reason: str
) -> None:
    """One line gives the reason; the exit status is pytest's own."""
    if files:
        inner.pytester.makepyfile(**files)

    run = inner("--coveralls", *argument.split(maxsplit=1))

    assert run.status == status
    assert inner.server.requests == []
    reasons = [line.removeprefix("not sent: ") for line in run.lines if "not sent: " in line]
    assert len(reasons) == 1
    assert re.match(reason, reasons[0]), reasons


ERROR = (
    "import pytest\n\n@pytest.fixture\ndef bad():\n    1 / 0\n\ndef test_error(bad):\n    pass\n"
)


@pytest.mark.parametrize(
    ("text", "choice", "sent"),
    [(RED, "send", 1), (RED, "skip", 0), (ERROR, "skip", 0), ("def test(): pass", "skip", 1)],
)
def test_failed_tests_are_sent_or_not(inner: Inner, text: str, choice: str, sent: int) -> None:
    """``on_failure`` is about failed tests alone; the exit status is pytest's."""
    inner.pytester.makepyfile(test_garden=text)

    run = inner("--coveralls", f"--coveralls-on-failure={choice}")

    assert run.status == ("assert False" in text or "1 / 0" in text)
    assert len(inner.server.jobs) == sent
    assert ("not sent: tests failed (on_failure = skip)" in run.lines) == (not sent)


MIXED = (
    "import pytest\n\n@pytest.mark.odd\ndef test_one():\n    pass\n\ndef test_two():\n    pass\n"
)


@pytest.fixture
def mixed(inner: Inner) -> Inner:
    """A run of two tests, of which the first is marked."""
    inner.pytester.makepyfile(test_garden=MIXED)
    (inner.folder / "pytest.ini").write_text("[pytest]\nmarkers = odd\n")
    return inner


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["-k", "one"], "-k one"),
        (["-m", "not odd"], "-m 'not odd'"),
        (["--deselect", "test_garden.py::test_one"], "--deselect"),
        (["test_garden.py::test_one"], "node ids"),
    ],
)
def test_a_narrowed_run_is_sent_with_a_warning(
    mixed: Inner, arguments: list[str], cause: str
) -> None:
    """What is not run is not covered: the line names what narrowed the run."""
    run = mixed("--coveralls", *arguments)

    assert len(mixed.server.jobs) == 1
    said = f"not all tests ran, because of {cause}: coverage may look lower"
    assert run.lines[1:] == [said]


@pytest.mark.parametrize(("mode", "sent"), [("warn", 1), ("send", 1), ("skip", 0)])
def test_what_becomes_of_a_narrowed_run_can_be_said(inner: Inner, mode: str, sent: int) -> None:
    """``on_partial``, here of ``--lf``: ``send`` says nothing, ``skip`` sends nothing."""
    inner.pytester.makepyfile(test_garden=RED)
    inner()
    inner.pytester.makepyfile(test_garden=RED.replace("False", "True"))

    run = inner("--coveralls", "--lf", f"--coveralls-on-partial={mode}")

    assert (run.status, run.passed, len(inner.server.jobs)) == (0, 1, sent)
    said = {
        "warn": ["not all tests ran, because of --lf: coverage may look lower"],
        "skip": ["not sent: not all tests ran, because of --lf (on_partial = skip)"],
    }
    assert [line for line in run.lines if "--lf" in line] == said.get(mode, [])


@pytest.mark.parametrize("arguments", [["--lf"], ["-m", "not other"], ["-k", "test"]])
def test_a_run_that_nothing_was_left_out_of_is_not_called_narrowed(
    mixed: Inner, arguments: list[str]
) -> None:
    """A flag that is always in addopts and leaves out no test costs neither warning nor job."""
    run = mixed("--coveralls", "--coveralls-on-partial=skip", *arguments)

    assert [line[: len(SENT)] for line in run.lines] == [SENT]


def test_a_run_that_measured_nothing_says_so(inner: Inner) -> None:
    """Without pytest-cov and without ``coverage run``."""
    inner.measured.clear()

    run = inner("--coveralls")

    reason = "pytest-cov is not loaded, so nothing was measured"
    assert (run.status, run.lines) == (0, [f"not sent: {reason}"])


def test_a_run_without_a_token_ends_well(inner: Inner) -> None:
    """It is said before and after, and changes nothing."""
    prepare(inner, "no token")

    run = inner("--coveralls")

    remedy = "no token: set COVERALLS_REPO_TOKEN (from the repository's page on Coveralls)"
    assert run.header.endswith(", no token)")
    assert (run.status, run.lines) == (0, [remedy, "not sent: no token"])
    assert inner.server.requests == []


def test_a_run_inside_one_that_submits_sends_nothing(inner: Inner) -> None:
    """A project that tests pytest plugins has such runs by the hundred."""
    inner.env(**{SESSION_MARK: "1"})

    run = inner("--coveralls", "--coveralls-strict")

    reason = "this pytest run is inside another one that submits"
    assert (run.status, run.lines) == (0, [f"not sent: {reason}"])
    assert os.environ[SESSION_MARK] == "1"


def test_a_run_leaves_no_mark_behind(inner: Inner) -> None:
    """The environment is afterwards what it was."""
    before = dict(os.environ)

    inner("--coveralls")

    # The inner run clears what pytest itself sets for each test.
    assert dict(os.environ) == {
        name: value for name, value in before.items() if name != "PYTEST_CURRENT_TEST"
    }


def test_workers_of_xdist_send_nothing(inner: Inner) -> None:
    """They have a ``workerinput``; the controller sends."""

    class Worker:
        @pytest.hookimpl(tryfirst=True)
        def pytest_configure(self, config: pytest.Config) -> None:
            config.workerinput = {}  # type: ignore[attr-defined]

        @pytest.hookimpl(trylast=True)
        def pytest_sessionstart(self, session: pytest.Session) -> None:
            del session.config.workerinput  # type: ignore[attr-defined]

    inner.plugins.append(Worker())

    assert inner("--coveralls").lines == []
    assert inner.server.requests == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_child_that_a_test_forked_sends_nothing(inner: Inner) -> None:
    """It comes all the way to the end of the session."""

    class Forked:
        @pytest.hookimpl(tryfirst=True)
        def pytest_sessionfinish(self, session: pytest.Session) -> None:
            reporter = session.config.pluginmanager.get_plugin("coveralls_session")
            assert isinstance(reporter, CoverallsSession)
            self.reporter, self.pid, reporter.pid = reporter, reporter.pid, -1

        @pytest.hookimpl(tryfirst=True)
        def pytest_unconfigure(self) -> None:
            self.reporter.pid = self.pid

    inner.plugins.append(Forked())

    assert inner("--coveralls").lines == []
    assert inner.server.requests == []


# -- exit status -------------------------------------------------------------------------------


def prepare(inner: Inner, case: str) -> None:
    """Let the server be down, or the run have no token, or nothing to send; else all is fine."""
    if case == "down":
        inner.server.respond(503)
    if case == "no token":
        inner.env(**NO_TOKEN)
    if case == "dry run":
        inner.env(COVERALLS_DRY_RUN="1")


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
def test_only_strict_changes_the_exit_status(
    inner: Inner, case: str, strict: bool, status: int
) -> None:
    """And only from 0 to 1, unless the job was accepted or not meant to be sent."""
    prepare(inner, case)

    assert inner("--coveralls", *["--coveralls-strict"] * strict).status == status


def test_strict_leaves_another_status_alone(inner: Inner) -> None:
    """5 stays 5."""
    assert inner("--coveralls", "--coveralls-strict", "-k", "nothing").status == 5


# -- changed lines -----------------------------------------------------------------------------

MISSED = "changed lines: 2 of 3 covered (66.67%); missed: garden.py:4"
SHORTFALL = "2 of 3 changed lines are covered, 66.67%; changed_fail_under asks for 70%"


@pytest.fixture
def changed(inner: Inner) -> Inner:
    """A run in a repository, whose last commit has changed all of the module but its first line."""
    repository = Repository(inner.folder)
    (inner.folder / "garden.py").write_text("def bed(sunny):\n    pass\n")
    inner.env(COVERALLS_COMPARE_SHA=repository.commit_all())
    (inner.folder / "garden.py").write_text(GARDEN)
    repository.commit_all()
    return inner


@needs_git
@pytest.mark.parametrize(
    ("words", "lines"),
    [([], [MISSED]), (["-v"], [MISSED, "partly covered: garden.py:2"]), (["-q"], [])],
    ids=["plain", "-v", "-q"],
)
def test_changed_lines_are_told(changed: Inner, words: list[str], lines: list[str]) -> None:
    """After the job's line."""
    told = changed("--coveralls", *words).lines

    assert told[0].startswith(SENT)
    assert told[1 : 1 + len(lines)] == lines
    assert len(told) == 1 + len(lines) or "-v" in words


@needs_git
@pytest.mark.parametrize(
    ("case", "gate", "words", "status"),
    [
        ("fine", "70", [], 1),
        ("fine", "60", [], 0),
        ("down", "70", [], 1),
        ("no token", "70", [], 1),
        ("no token", "60", [], 0),
        ("dry run", "70", [], 1),
        ("fine", "70", ["-q", "test_garden.py"], 1),
        ("fine", "70", ["-k", "nothing"], 5),
        ("fine", "70", ["test_bad.py"], 1),
        ("fine", "70", ["test_exit.py"], 7),
    ],
)
def test_too_few_covered_changed_lines_change_the_exit_status(
    changed: Inner, case: str, gate: str, words: list[str], status: int
) -> None:
    """From 0 to 1 alone, and without a token too; a line says why."""
    changed.pytester.makepyfile(test_bad=RED, test_exit=EXIT.format(7))
    prepare(changed, case)

    run = changed(
        "--coveralls", f"--coveralls-changed-fail-under={gate}", *words or ["test_garden.py"]
    )

    assert run.status == status
    was_whole = status in {0, 1}
    said = [line for line in run.lines if SHORTFALL in line]
    assert len(said) == (gate == "70" and was_whole)
    assert len(run.lines) == 1 or "-q" not in words


@needs_git
def test_missed_changed_lines_are_marked_on_github(changed: Inner) -> None:
    """``annotate``; other steps get the numbers."""
    output = changed.folder / "output"
    changed.env(GITHUB_ACTIONS="true", GITHUB_OUTPUT=str(output), **NO_TOKEN)

    lines = changed("--coveralls", "--coveralls-annotate").lines

    place = "file=garden.py,line=4,endLine=4,title=Coveralls"
    assert f"::notice {place}::not covered by tests: 4" in lines
    assert output.read_text().splitlines() == [
        "covered-percent=66.67",
        "changed-covered=2",
        "changed-total=3",
        "changed-percent=66.67",
    ]


# -- jobs on disk ------------------------------------------------------------------------------


def test_a_job_that_is_not_accepted_is_kept_in_pytests_cache(inner: Inner) -> None:
    """With the command that sends it."""
    prepare(inner, "down")

    lines = inner("--coveralls").lines

    name = ".pytest_cache/d/coveralls/job-77.json"
    assert lines[0].startswith("failed: 503 ")
    again = f"python -m pytest_coveralls_submit send --coveralls-host={inner.server.url} {name}"
    assert f"kept in {name}; send it with: {again}" in lines
    assert (inner.folder / name).is_file()


@pytest.mark.parametrize("cache", ["switched off", "not to be written"])
def test_without_the_cache_a_job_is_kept_elsewhere(
    inner: Inner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: str
) -> None:
    """``-p no:cacheprovider``, or a tree that is read-only."""
    prepare(inner, "down")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    if cache == "not to be written":
        (inner.folder / ".pytest_cache").mkdir()
        (inner.folder / ".pytest_cache" / "d").touch()

    lines = inner("--coveralls", *["-p", "no:cacheprovider"] * (cache == "switched off")).lines

    assert any(
        f"kept in {own_folder(tmp_path, inner.folder) / 'job-77.json'}" in line for line in lines
    )


# -- faults ------------------------------------------------------------------------------------


class Broken:
    """Makes coverage.py fail in an unexpected way at the end of the session."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Break what will be asked for the data."""
        cov = coverage.Coverage.current()
        assert cov is not None

        def get_data() -> Any:
            raise self.error

        cov.get_data = get_data  # type: ignore[method-assign]


def end_with(inner: Inner, error: BaseException, *arguments: str) -> Ended:
    """Run with coverage.py failing in that way."""
    inner.plugins.append(Broken(error))
    return inner("--coveralls", *arguments)


@pytest.mark.parametrize("error", [ValueError("odd\nstate"), MemoryError(), OSError(28, "full")])
def test_a_fault_of_ours_is_one_line(inner: Inner, error: Exception) -> None:
    """The status and the counts of pytest are what they were."""
    run = end_with(inner, error)

    assert (run.status, run.passed, len(run.lines)) == (0, 2, 1)
    assert run.lines[0].startswith(f"failed: internal error: {type(error).__name__}")


def test_a_fault_of_ours_has_a_traceback_for_who_asks(inner: Inner) -> None:
    """``-v``, without the token."""
    run = end_with(inner, ValueError(f"token is {COVERALLS_TOKEN}"), "-v")

    assert any(line.startswith("Traceback") for line in run.lines)
    assert COVERALLS_TOKEN not in run.output + run.errors
    assert "token is [secret]" in run.output


def test_an_interruption_at_the_end_ends_the_run_as_interrupted(inner: Inner) -> None:
    """Ctrl-C while the job is built: status 2, the summary is printed all the same."""
    run = end_with(inner, KeyboardInterrupt())

    assert (run.status, run.passed) == (pytest.ExitCode.INTERRUPTED, 2)
    assert run.lines == ["failed: interrupted"]


# -- the hooks by themselves ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "token", "measured"),
    [
        (["--coveralls"], True, True),
        (["--coveralls", "--cov"], True, True),
        (["--coveralls"], False, False),
        (["--coveralls", "--coveralls-dry-run"], False, True),
        (["--coveralls", "--coveralls-save=job.json"], False, True),
        (["--coveralls", "--coveralls-save=gone/job.json"], True, False),
        (["--no-cov", "--coveralls", "-W", "error"], True, False),
        (["--coveralls", "--collect-only"], True, False),
        ([], True, False),
    ],
)
def test_coverage_is_measured_where_a_job_could_be_sent(
    inner: Inner, arguments: list[str], token: bool, measured: bool
) -> None:
    """``--coveralls`` alone measures as ``--cov`` would, and costs nothing for nothing."""
    inner.measured.clear()
    inner.pytester.makepyfile(
        test_garden="import os\n\nimport coverage\n\n\ndef test_measured():\n"
        "    print('MEASURED', coverage.Coverage.current() is not None)\n"
        f"    print('MARK', os.environ.get({SESSION_MARK!r}))\n"
    )
    if not token:
        prepare(inner, "no token")

    said = inner("-p", "pytest_cov", "-s", *arguments).output

    assert ("MEASURED True" in said) == ("\nTOTAL " in said) == measured
    # A worker of xdist measures where the mark says that its parent does because of us.
    for mark in re.findall(r"^MARK (.+)$", said, re.MULTILINE):
        by_us = f"{os.getpid()} measures" if "--cov" not in arguments else str(os.getpid())
        assert mark == ("None" if not arguments else by_us if measured else str(os.getpid()))


@pytest.mark.parametrize(("worker", "measured"), [("gw0", True), ("", False)])
def test_a_worker_measures_as_its_session_does_and_a_run_inside_of_one_does_not(
    inner: Inner, worker: str, measured: bool
) -> None:
    """Both find the mark of the process that started them; xdist says who is a worker."""
    inner.measured.clear()
    inner.env(**{SESSION_MARK: f"{os.getppid()} measures"})
    if worker:
        inner.env(PYTEST_XDIST_WORKER=worker)
    else:
        inner.monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)

    run = inner("-p", "pytest_cov", "--coveralls")

    assert ("\nTOTAL " in run.output) == measured
    assert inner.server.requests == []


# -- what other plugins do ---------------------------------------------------------------------
