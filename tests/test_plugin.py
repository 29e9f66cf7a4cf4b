"""pytest's hooks of the plugin, in runs inside this process: switching on, header, end, status."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import coverage
import pytest
from running import CI, told
from standin import COVERALLS_TOKEN, StandIn

# Loaded here, lest each run inside this process loads them anew: classes must stay the same.
from pytest_coveralls_submit import (
    hookspecs,  # noqa: F401
)
from pytest_coveralls_submit.delivery import sender  # noqa: F401
from pytest_coveralls_submit.errors import MeasurementError
from pytest_coveralls_submit.job.outbox import own_folder
from pytest_coveralls_submit.measurement import processes  # noqa: F401
from pytest_coveralls_submit.plan import make_plan
from pytest_coveralls_submit.secret import Environment
from pytest_coveralls_submit.session.nesting import SESSION_MARK
from pytest_coveralls_submit.session.reporter import Reporter
from pytest_coveralls_submit.settings import coveralls_yml  # noqa: F401
from pytest_coveralls_submit.settings.table import Settings

GARDEN = "def bed(sunny):\n    if sunny:\n        return 1\n    return 2\n"
TESTS = "def test_one():\n    pass\n\n\ndef test_two():\n    pass\n"
HEADER = "(branch topic/y, token from COVERALLS_REPO_TOKEN)"


class Inner:
    """Runs pytest in this process, with something measured and a server to send it to."""

    def __init__(
        self, pytester: pytest.Pytester, server: StandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.pytester, self.server, self.monkeypatch = pytester, server, monkeypatch
        self.folder = pytester.path.resolve()
        self.plugins: list[object] = []
        self.measured: list[coverage.Coverage] = []
        monkeypatch.setattr(coverage.Coverage, "_instances", self.measured)
        pytester.makepyfile(test_garden=TESTS)
        self.env(
            **CI,
            COVERALLS_HOST=server.url,
            COVERALLS_REPO_TOKEN=COVERALLS_TOKEN,
            COVERALLS_RETRIES="0",
        )

    def env(self, **variables: str) -> None:
        """Set variables; an empty text is an unset one."""
        for name, value in variables.items():
            self.monkeypatch.setenv(name, value)

    def measure(self) -> None:
        """Measure a module as ``coverage run`` would, from outside of pytest."""
        path = self.folder / "garden.py"
        path.write_text(GARDEN)
        cov = coverage.Coverage(data_file=None, config_file=False, branch=True, include=[str(path)])
        space: dict[str, Any] = {}
        cov.start()
        try:
            exec(compile(GARDEN, str(path), "exec"), space)
            space["bed"](True)
        finally:
            cov.stop()
        self.measured.append(cov)

    def __call__(self, *arguments: str) -> pytest.RunResult:
        """Run pytest without pytest-cov, and the cache in the project alone."""
        return self.pytester.runpytest_inprocess(
            "-p",
            "no:pytest_cov",
            *arguments,
            plugins=self.plugins,
            no_reraise_ctrlc=True,
        )


@pytest.fixture
def inner(pytester: pytest.Pytester, server: StandIn, monkeypatch: pytest.MonkeyPatch) -> Inner:
    """A run with a measurement."""
    made = Inner(pytester, server, monkeypatch)
    made.measure()
    return made


def ours(result: pytest.RunResult) -> list[str]:
    """Our lines without the header and the word in front."""
    lines = [line.removeprefix("coveralls: ") for line in told(result.stdout.str())]
    return [line for line in lines if HEADER not in line]


# -- switching on ------------------------------------------------------------------------------


def test_one_flag_sends_one_job(inner: Inner) -> None:
    """Header, job, closing line, pytest's own exit status."""
    result = inner("--coveralls")

    assert result.ret == 0
    (job,) = inner.server.jobs
    (file,) = job["source_files"]
    assert (file["name"], file["coverage"]) == ("garden.py", [1, 1, 1, 0])
    assert file["branches"] == [2, 0, 0, 1, 2, 0, 1, 0]
    url = inner.server.url
    assert told(result.stdout.str()) == [
        f"coveralls: {url} as test-ci #77 {HEADER}",
        f"coveralls: sent 1 file, 66.67% covered -> {url}/jobs/105971882",
    ]
    result.assert_outcomes(passed=2)


def test_nothing_is_sent_where_nobody_asks(inner: Inner) -> None:
    """An installed plugin is silent."""
    result = inner()

    assert told(result.stdout.str()) == []
    assert inner.server.requests == []


@pytest.mark.parametrize(
    ("ini", "flags", "sent"),
    [
        ("coveralls = true", [], 1),
        ("coveralls = YES", [], 1),
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


def test_native_toml_switches_on(inner: Inner) -> None:
    """``coveralls = true`` in ``[tool.pytest]`` is a boolean there."""
    if pytest.version_tuple < (9,):
        pytest.skip("pytest 9 brought the table")
    text = "[tool.pytest]\ncoveralls = true\ncoveralls_deadline = 30\n"
    (inner.folder / "pyproject.toml").write_text(text)

    assert inner("-W", "error").ret == 0
    assert len(inner.server.jobs) == 1


def errors(result: pytest.RunResult) -> str:
    """What stands on standard error, where usage errors go."""
    return result.stderr.str()


def test_a_switch_that_is_no_boolean_stops_before_the_tests(inner: Inner) -> None:
    """Usage error with file, value and what is accepted."""
    (inner.folder / "pytest.ini").write_text("[pytest]\ncoveralls = maybe\n")

    result = inner()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert 'coveralls in pytest.ini is "maybe": it takes 1/true/yes/on or 0/false/no/off' in errors(
        result
    )


def test_a_setting_that_cannot_be_used_stops_before_the_tests(inner: Inner) -> None:
    """Usage error, and no test has run."""
    result = inner("--coveralls", "--coveralls-retries=many")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert (
        'ERROR: coveralls: --coveralls-retries is "many": it takes a whole number from 0 to 10'
        in errors(result)
    )
    assert "passed" not in result.stdout.str()


def test_a_usage_error_shows_no_control_characters(inner: Inner) -> None:
    """The value may come from anywhere."""
    inner.env(COVERALLS_PARALLEL="\x1b]0;title\x07")

    result = inner("--coveralls")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "COVERALLS_PARALLEL" in errors(result)
    assert "\x1b]0;" not in errors(result)


def test_settings_are_not_looked_at_where_nobody_asks(inner: Inner) -> None:
    """A wrong one stops no run that sends nothing."""
    inner.env(COVERALLS_PARALLEL="maybe")

    assert inner().ret == 0


def test_a_hook_of_the_help_names_every_flag_and_key(inner: Inner) -> None:
    """``pytest --help`` is where users look."""
    said = inner("--help").stdout.str()

    for word in ("--coveralls ", "--no-coveralls ", "--coveralls-flag-name", "coveralls_deadline"):
        assert word in said
    assert "--coveralls-repo-token " not in said
    assert "coveralls_repo_token" in said


# -- before the tests --------------------------------------------------------------------------


def test_problems_stand_in_the_header(inner: Inner) -> None:
    """Before the first test has run."""
    inner.env(COVERALLS_PARALEL="1", CI_BUILD_NUMBER="")

    result = inner("--coveralls", "--coveralls-parallel")

    lines = told(result.stdout.str())
    nearest = "the nearest is COVERALLS_PARALLEL"
    assert lines[1] == f"coveralls: COVERALLS_PARALEL is no setting; {nearest}"
    assert lines[2].startswith("coveralls: parallel, but no build number is known")


def test_a_parallel_run_tells_how_to_close_the_build(inner: Inner) -> None:
    """With the job's line."""
    result = inner("--coveralls", "--coveralls-parallel", "--coveralls-flag-name=unit")

    assert inner.server.jobs[0]["parallel"] is True
    assert ours(result)[-1] == (
        "when all jobs of the build are in, close it with: python -m pytest_coveralls_submit "
        f"finish --coveralls-service-number=77 --coveralls-host={inner.server.url}"
    )


def test_quiet_runs_have_one_line(inner: Inner) -> None:
    """``-q``: no header, no notices."""
    inner.env(COVERALLS_PARALEL="1")

    result = inner("--coveralls", "-q")

    assert len(told(result.stdout.str())) == 1
    assert ours(result)[0].startswith("sent 1 file")


def test_verbose_runs_have_sizes_and_times(inner: Inner) -> None:
    """``-v``."""
    assert re.fullmatch(
        r"[\d,]+ bytes sent in \d+\.\d\d s, 1 attempt", ours(inner("--coveralls", "-v"))[-1]
    )


def test_without_a_reporter_the_job_is_sent_without_a_word(inner: Inner) -> None:
    """``-p no:terminalreporter``."""
    result = inner("--coveralls", "-p", "no:terminalreporter")

    assert result.ret == 0
    assert len(inner.server.jobs) == 1
    assert told(result.stdout.str()) == []


def test_without_a_summary_the_line_is_printed_all_the_same(inner: Inner) -> None:
    """``--no-summary`` leaves pytest's sections out; what became of the job is none of them."""
    result = inner("--coveralls", "--no-summary")

    assert [line for line in ours(result) if line.startswith("sent 1 file")] == ours(result)
    assert len(ours(result)) == 1


# -- nothing to send ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "reason", "status"),
    [
        (["--collect-only"], "--collect-only runs no tests", 0),
        (["-k", "nothing"], "no tests ran", 5),
    ],
)
def test_a_run_without_tests_sends_nothing(
    inner: Inner, arguments: list[str], reason: str, status: int
) -> None:
    """One line says why."""
    result = inner("--coveralls", *arguments)

    assert result.ret == status
    assert ours(result) == [f"not sent: {reason}"]
    assert inner.server.requests == []


FAILING = "def test_bad():\n    assert False\n\n\ndef test_good():\n    pass\n"


def test_a_run_that_was_stopped_early_sends_nothing(inner: Inner) -> None:
    """``-x``."""
    inner.pytester.makepyfile(test_garden=FAILING)

    result = inner("--coveralls", "-x")

    assert result.ret == 1
    assert ours(result) == ["not sent: the run was stopped early: stopping after 1 failures"]


def test_an_interrupted_run_sends_nothing(inner: Inner) -> None:
    """A test that raises what Ctrl-C does."""
    inner.pytester.makepyfile(test_garden="def test_stop():\n    raise KeyboardInterrupt\n")

    result = inner("--coveralls")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert inner.server.requests == []


@pytest.mark.parametrize(("choice", "sent"), [("send", 1), ("skip", 0)])
def test_failed_tests_are_sent_or_not(inner: Inner, choice: str, sent: int) -> None:
    """``on_failure``; the exit status is pytest's."""
    inner.pytester.makepyfile(test_garden=FAILING)

    result = inner("--coveralls", f"--coveralls-on-failure={choice}")

    assert result.ret == 1
    assert len(inner.server.jobs) == sent


@pytest.mark.parametrize("choice", ["send", "warn", "skip"])
def test_a_part_of_the_tests_is_sent_warned_of_or_not_sent(inner: Inner, choice: str) -> None:
    """``on_partial``."""
    result = inner("--coveralls", "-k", "one", f"--coveralls-on-partial={choice}")

    assert len(inner.server.jobs) == (choice != "skip")
    said = ours(result)[-1]
    if choice == "send":
        assert said.startswith("sent ")
    elif choice == "warn":
        assert said == "not all tests ran, because of -k one: coverage may look lower"
    else:
        assert said == "not sent: the run was narrowed by -k one (on_partial = skip)"


def test_a_plugin_that_deselects_narrows_the_run(inner: Inner) -> None:
    """Whoever does it, the tests did not run."""

    class Halves:
        def pytest_collection_modifyitems(
            self, config: pytest.Config, items: list[pytest.Item]
        ) -> None:
            config.hook.pytest_deselected(items=items[1:])
            del items[1:]

    inner.plugins.append(Halves())

    assert ours(inner("--coveralls"))[-1] == (
        "not all tests ran, because of the deselection of 1 test: coverage may look lower"
    )


def test_a_run_that_measured_nothing_says_so(inner: Inner) -> None:
    """Without pytest-cov and without ``coverage run``."""
    inner.measured.clear()

    result = inner("--coveralls")

    assert result.ret == 0
    assert ours(result) == ["not sent: pytest-cov is not loaded, so that nothing was measured"]


def test_a_run_without_a_token_ends_well(inner: Inner) -> None:
    """It is said before and after, and changes nothing."""
    inner.env(COVERALLS_REPO_TOKEN="")

    result = inner("--coveralls")

    assert result.ret == 0
    remedy = "no token: set COVERALLS_REPO_TOKEN (from the repository's page on Coveralls)"
    assert ours(result)[1:] == [remedy, "not sent: no token"]
    assert inner.server.requests == []


def test_a_run_inside_one_that_submits_sends_nothing(inner: Inner) -> None:
    """A project that tests pytest plugins has such runs by the hundred."""
    inner.env(**{SESSION_MARK: "1"})

    result = inner("--coveralls", "--coveralls-strict")

    assert result.ret == 0
    assert ours(result) == ["not sent: this pytest run is inside another one that submits"]
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

    result = inner("--coveralls")

    assert told(result.stdout.str()) == []
    assert inner.server.requests == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_child_that_a_test_forked_sends_nothing(inner: Inner) -> None:
    """It comes all the way to the end of the session."""

    class Forked:
        @pytest.hookimpl(tryfirst=True)
        def pytest_sessionfinish(self, session: pytest.Session) -> None:
            reporter = session.config.pluginmanager.get_plugin("coveralls_reporter")
            assert isinstance(reporter, Reporter)
            self.reporter, self.pid, reporter.pid = reporter, reporter.pid, -1

        @pytest.hookimpl(tryfirst=True)
        def pytest_unconfigure(self) -> None:
            self.reporter.pid = self.pid

    inner.plugins.append(Forked())

    assert ours(inner("--coveralls")) == []
    assert inner.server.requests == []


# -- exit status -------------------------------------------------------------------------------


def down(inner: Inner) -> None:
    """The server is down."""
    inner.server.respond(503)


def tokenless(inner: Inner) -> None:
    """There is no token."""
    inner.env(COVERALLS_REPO_TOKEN="")


def dry(inner: Inner) -> None:
    """Nothing is to be sent."""
    inner.env(COVERALLS_DRY_RUN="1")


def fine(inner: Inner) -> None:
    """All is well."""


@pytest.mark.parametrize(
    ("make", "strict", "status"),
    [
        (down, False, 0),
        (down, True, 1),
        (tokenless, False, 0),
        (tokenless, True, 1),
        (dry, True, 0),
        (fine, True, 0),
    ],
)
def test_only_strict_changes_the_exit_status(
    inner: Inner, make: Callable[[Inner], None], strict: bool, status: int
) -> None:
    """And only from 0 to 1, unless the job was accepted or not meant to be sent."""
    make(inner)

    assert inner("--coveralls", *(["--coveralls-strict"] if strict else [])).ret == status


def test_strict_leaves_another_status_alone(inner: Inner) -> None:
    """5 stays 5."""
    assert inner("--coveralls", "--coveralls-strict", "-k", "nothing").ret == 5


def test_a_job_that_is_not_accepted_is_kept_in_pytests_cache(inner: Inner) -> None:
    """With the command that sends it."""
    down(inner)

    lines = ours(inner("--coveralls"))

    name = ".pytest_cache/d/coveralls/job-77.json"
    assert lines[0].startswith("failed: 503 ")
    again = f"python -m pytest_coveralls_submit send {name}"
    assert f"kept in {name}; send it with: {again}" in lines
    assert (inner.folder / name).is_file()


def test_without_the_cache_a_job_is_kept_elsewhere(
    inner: Inner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``-p no:cacheprovider``, or a cache that cannot be written."""
    down(inner)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    lines = ours(inner("--coveralls", "-p", "no:cacheprovider"))

    assert any(f"kept in {own_folder(tmp_path) / 'job-77.json'}" in line for line in lines)


def test_a_cache_that_cannot_be_written_is_passed_over(
    inner: Inner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read-only trees are tested, too."""
    down(inner)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (inner.folder / ".pytest_cache").mkdir()
    (inner.folder / ".pytest_cache" / "d").touch()

    lines = ours(inner("--coveralls"))

    assert any(f"kept in {own_folder(tmp_path) / 'job-77.json'}" in line for line in lines)


def test_attempts_are_told_while_they_happen(inner: Inner) -> None:
    """On lines of their own."""
    down(inner)

    lines = ours(inner("--coveralls", "--coveralls-retries=1"))

    assert lines[0].startswith("attempt 1 of 2: 503 ")
    assert lines[1].startswith("sent 1 file")


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


@pytest.mark.parametrize("error", [ValueError("odd\nstate"), MemoryError(), OSError(28, "full")])
def test_a_fault_of_ours_is_one_line(inner: Inner, error: Exception) -> None:
    """The status and the counts of pytest are what they were."""
    inner.plugins.append(Broken(error))

    result = inner("--coveralls")

    assert result.ret == 0
    result.assert_outcomes(passed=2)
    (line,) = ours(result)
    assert line.startswith(f"failed: internal fault: {type(error).__name__}")


def test_a_fault_of_ours_has_a_traceback_for_who_asks(inner: Inner) -> None:
    """``-v``, without the token."""
    inner.plugins.append(Broken(ValueError(f"token is {COVERALLS_TOKEN}")))

    result = inner("--coveralls", "-v")

    assert any(line.startswith("Traceback") for line in ours(result))
    assert COVERALLS_TOKEN not in result.stdout.str() + errors(result)
    assert "token is [secret]" in result.stdout.str()


def test_an_interruption_at_the_end_ends_the_run_as_interrupted(inner: Inner) -> None:
    """Ctrl-C while the job is built: status 2, the summary is printed all the same."""
    inner.plugins.append(Broken(KeyboardInterrupt()))

    result = inner("--coveralls")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert ours(result) == ["failed: interrupted"]
    result.assert_outcomes(passed=2)


def test_a_summary_that_another_plugin_breaks_leaves_our_line(inner: Inner) -> None:
    """What became of the job is printed at the very end then."""

    class Breaks:
        @pytest.hookimpl(tryfirst=True)
        def pytest_terminal_summary(self) -> None:
            raise ValueError("broken")

    inner.plugins.append(Breaks())

    result = inner("--coveralls")

    assert len(inner.server.jobs) == 1
    assert [line for line in ours(result) if line.startswith("sent 1 file")]


# -- CI services -------------------------------------------------------------------------------


def test_github_gets_an_annotation_of_a_failure(inner: Inner, tmp_path: Path) -> None:
    """And a step summary."""
    down(inner)
    summary = tmp_path / "summary.md"
    inner.env(GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary))

    result = inner("--coveralls")

    annotations = [line for line in told(result.stdout.str()) if line.startswith("::")]
    assert len(annotations) == 1
    assert annotations[0].startswith("::warning title=Coveralls::503 ")
    assert "failed: 503" in summary.read_text()


# -- the hooks by themselves ---------------------------------------------------------------------


class Terminal:
    """What pytest's terminal reporter is to the plugin."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def ensure_newline(self) -> None:
        """Lines are lines here."""

    def write_line(self, line: str, **_: bool) -> None:
        """Keep the line."""
        self.lines.append(line)


def reporter_of(folder: Path, **plugins: object) -> Reporter:
    """A reporter whose configuration has these plugins and no more."""
    manager = SimpleNamespace(get_plugin=plugins.get, hasplugin=plugins.__contains__)
    config = SimpleNamespace(
        pluginmanager=manager,
        get_verbosity=lambda: 0,
        option=SimpleNamespace(),
        stash=pytest.Stash(),
    )
    made = make_plan(Settings(), Environment(), root=folder, start=folder)
    return Reporter(cast("pytest.Config", config), made)


def test_what_pytest_cov_will_report_with_is_listened_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From before its report; without pytest-cov there is nothing to listen to yet."""
    monkeypatch.delenv(SESSION_MARK, raising=False)
    cov = coverage.Coverage(data_file=None, config_file=False)
    controller = SimpleNamespace(cov=object(), combining_cov=cov)
    kept = []

    for plugins in ({"_cov": SimpleNamespace(cov_controller=controller)}, {}):
        reporter = reporter_of(tmp_path, **plugins)
        reporter.pytest_runtestloop()
        reporter.pytest_unconfigure()
        kept.append(reporter.recorder)

    assert kept[0] is not None
    assert kept[0].cov is cov
    assert kept[1] is None


def test_coverages_object_is_let_go_of_without_whole_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pytest-cov may still use it; nothing of ours stays in it."""
    monkeypatch.delenv(SESSION_MARK, raising=False)
    cov = coverage.Coverage(data_file=None, config_file=False)
    controller = SimpleNamespace(cov=object(), combining_cov=cov)
    reporter = reporter_of(tmp_path, _cov=SimpleNamespace(cov_controller=controller))
    reporter.pytest_runtestloop()
    assert "_analyze" in vars(cov)

    with pytest.raises(MeasurementError):
        reporter.measure()
    reporter.pytest_unconfigure()

    assert "_analyze" not in vars(cov)


def test_what_happens_while_sending_is_said_where_somebody_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cleaned, and nowhere without a terminal."""
    monkeypatch.delenv(SESSION_MARK, raising=False)
    terminal = Terminal()

    for plugins in ({"terminalreporter": terminal}, {}):
        reporter = reporter_of(tmp_path, **plugins)
        reporter.say("attempt 1\x1b")
        reporter.pytest_unconfigure()

    assert terminal.lines == ["coveralls: attempt 1\\x1b"]


# -- pytest-cov --------------------------------------------------------------------------------


def run(inner: Inner, *arguments: str) -> str:
    """Run pytest in a process of its own, with pytest-cov; what it printed."""
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=inner.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


@pytest.mark.parametrize(
    ("arguments", "token", "measured"),
    [
        (["--coveralls"], True, True),
        (["--coveralls", "--cov"], True, True),
        (["--coveralls"], False, False),
        (["--coveralls", "--coveralls-dry-run"], False, True),
        (["--coveralls", "--coveralls-save=job.json"], False, True),
        (["--coveralls", "--no-cov"], True, False),
        (["--coveralls", "--collect-only"], True, False),
        ([], True, False),
    ],
)
def test_coverage_is_measured_where_a_job_could_be_sent(
    inner: Inner, arguments: list[str], token: bool, measured: bool
) -> None:
    """``--coveralls`` alone measures as ``--cov`` would, and costs nothing for nothing."""
    (inner.folder / "test_garden.py").write_text(
        "import os\n\nimport coverage\nimport garden\n\n\ndef test_measured():\n"
        "    garden.bed(True)\n    print('MEASURED', coverage.Coverage.current() is not None)\n"
        f"    print('MARK', os.environ.get({SESSION_MARK!r}), os.getpid())\n"
    )
    if not token:
        inner.env(COVERALLS_REPO_TOKEN="")

    said = run(inner, "-s", *arguments)

    collected = "--collect-only" in arguments
    assert ("MEASURED True" in said, "MEASURED False" in said) == (
        measured,
        not measured and not collected,
    )
    # A worker of xdist measures where the mark says that its parent does because of us.
    for mark, pid in re.findall(r"^MARK (.+) (\d+)$", said, re.MULTILINE):
        by_us = f"{pid} measures" if measured and "--cov" not in arguments else pid
        assert mark == (by_us if arguments else "None")


def test_pytest_cov_is_asked_to_measure_where_a_job_could_be_sent(inner: Inner) -> None:
    """It reports then, as it would after ``--cov``; and otherwise it is left alone."""
    inner.measured.clear()

    def measures(*arguments: str) -> bool:
        result = inner.pytester.runpytest_inprocess("--coveralls", *arguments)
        return "\nTOTAL " in result.stdout.str()

    assert not measures("--coveralls-save=gone/job.json")
    assert not measures("--no-cov")
    assert not measures("--collect-only")
    inner.env(COVERALLS_REPO_TOKEN="")
    assert not measures()
    assert inner.server.jobs == []
    inner.env(COVERALLS_REPO_TOKEN=COVERALLS_TOKEN)
    assert measures()
    assert len(inner.server.jobs) == 1
