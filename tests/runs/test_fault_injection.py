"""Faults of our own: whatever breaks inside the plugin, the run is the one without it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sample_project
from running import PLUGINS, QUICK, Runner, told
from standin import COVERALLS_TOKEN, StandIn

pytestmark = pytest.mark.slow

# Replaces one function of ours by one that raises, from the start or once the tests are over.
BREAKER = """
import builtins, importlib, os, sys
import pytest

when, where, kind = os.environ["BREAK"].split()
module, _, name = where.rpartition(".")

def broken(*arguments, **keywords):
    local_token = os.environ["COVERALLS_REPO_TOKEN"]
    raise getattr(builtins, kind)("injected by the test")

def inject():
    importlib.import_module("pytest_coveralls_submit." + module)
    whole = getattr(sys.modules["pytest_coveralls_submit." + module], name)
    for path, loaded in list(sys.modules.items()):
        ours = path.startswith("pytest_coveralls_submit")
        if ours and getattr(loaded, name, None) is whole:
            setattr(loaded, name, broken)

if when == "before":
    inject()

@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish():
    inject()
"""

BEFORE_TESTS = (
    "settings.read.gather",
    "settings.read.resolve",
    "settings.coveralls_yml.texts",
    "identity.detect.detect",
    "identity.git.read",
    "identity.token.choose_token",
    "identity.head.flag_name",
    "identity.head.compose",
    "plan.plan",
    "output.lines.header",
)
AFTER_TESTS = (
    "session.wholeness.reason_to_skip",
    "session.wholeness.narrowed",
    "session.pytest_cov.finished",
    "measurement.measure.of",
    "identity.git.tracked",
    "job.names.Names",
    "job.files.read",
    "job.document.check",
    "job.document.pieces",
    "job.outbox.keep",
    "job.document.with_token",
    "delivery.sender.send",
    "delivery.diagnosis.judge",
    "submit.submit",
)
PRINTING = ("output.lines.lines", "output.ci_pages.pages")
EVERY = (*BEFORE_TESTS, *AFTER_TESTS, *PRINTING)
# Beside the submission: where one of these breaks, the job may still arrive.
BESIDE = ("output.lines.header", *PRINTING)
KEPT = ("job.document.with_token", "delivery.sender.send", "delivery.diagnosis.judge")
"""By then the job is on disk."""
KINDS = ("Exception", "MemoryError", "RecursionError")
FAULTS = [(where, KINDS[place % len(KINDS)]) for place, where in enumerate(EVERY)]


class Broken:
    """Runs of the sample project with one function of ours replaced."""

    def __init__(self, template: Path, folder: Path) -> None:
        self.template = template
        self.project = folder / "broken"

    def run(
        self, where: str, kind: str, *more: str
    ) -> tuple[subprocess.CompletedProcess[str], int]:
        """Run with ``where`` raising ``kind``; the result, and how many jobs came."""
        shutil.copytree(self.template, self.project)
        (self.project / "breaker.py").write_text(BREAKER)
        when = "before" if where in BEFORE_TESTS else "after"
        with StandIn() as server:
            runner = Runner(self.project, server)
            env = {**QUICK, "BREAK": f"{when} {where} {kind}", "PYTHONPATH": str(self.project)}
            result = runner(
                *PLUGINS, "-p", "breaker", "--cov-report=", "--coveralls", "-rA", *more, env=env
            )
            return result, len(server.jobs)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample project, made once."""
    return sample_project.make(tmp_path_factory.mktemp("template") / "sample")


@pytest.fixture
def broken(template: Path, tmp_path: Path) -> Broken:
    """Runs with a fault inside of the plugin."""
    return Broken(template, tmp_path)


def outcomes(output: str) -> list[str]:
    """What ``-rA`` says of each test, without what pytest adds to it."""
    kinds = ("PASSED ", "FAILED ", "ERROR ", "XFAIL ", "XPASS ", "SKIPPED ")
    return sorted(line for line in output.splitlines() if line.startswith(kinds))


@pytest.mark.parametrize(("where", "kind"), FAULTS)
def test_a_fault_of_ours_is_one_line_and_changes_nothing(
    broken: Broken, where: str, kind: str
) -> None:
    """Every test runs, the exit status is pytest's, and one line tells of the fault."""
    result, jobs = broken.run(where, kind)

    lines = told(result.stdout)
    faults = [line for line in lines if "internal fault" in line]
    assert result.returncode == 0, result.stdout
    assert len(outcomes(result.stdout)) == 7
    assert "7 passed in" in result.stdout
    assert "INTERNALERROR" not in result.stdout
    assert "Traceback" not in result.stdout
    assert len(faults) == 1, lines
    assert f"internal fault: {kind}" in faults[0]
    if where in BESIDE:  # what only tells or only saves time may break: the job is sent
        assert jobs == 1
        assert where == "output.lines.lines" or any("sent 5 files" in line for line in lines)
    else:
        assert faults[0].startswith("coveralls: failed: internal fault: ")
    if where in KEPT:  # path and command are printed whatever kept the job from being accepted
        (kept,) = (broken.project / ".pytest_cache").rglob("job-*.json")
        assert kept.name in result.stdout
        assert "send it with: python -m pytest_coveralls_submit send" in result.stdout
    assert COVERALLS_TOKEN not in result.stdout


@pytest.mark.parametrize(
    "where", ["identity.git.read", "identity.git.tracked", "delivery.diagnosis.judge"]
)
def test_more_words_show_where_a_fault_was(broken: Broken, where: str) -> None:
    """With ``-v`` a traceback, each line behind our prefix, and no secret in it."""
    result, _ = broken.run(where, "RecursionError", "-v", "-l", "--full-trace")

    lines = told(result.stdout)
    assert result.returncode == 0, result.stdout
    assert "coveralls: Traceback (most recent call last):" in lines
    assert any("RecursionError" in line for line in lines)
    assert "\nTraceback" not in result.stdout
    assert COVERALLS_TOKEN not in result.stdout


@pytest.mark.parametrize("where", [*AFTER_TESTS, *PRINTING])
def test_an_interrupt_after_the_tests_ends_the_run_as_one(broken: Broken, where: str) -> None:
    """Ctrl-C: the tests' summary is printed, the status is 2, and no traceback is shown."""
    result, _ = broken.run(where, "KeyboardInterrupt")

    assert result.returncode == 2, result.stdout
    assert len(outcomes(result.stdout)) == 7
    assert "7 passed in" in result.stdout
    assert "Traceback" not in result.stdout
    assert COVERALLS_TOKEN not in result.stdout


@pytest.mark.parametrize("where", BEFORE_TESTS)
def test_an_interrupt_before_the_tests_ends_the_run_as_one(broken: Broken, where: str) -> None:
    """Ctrl-C while the plugin asks git or the CI service: pytest's own end, and no job.

    While pytest reads its configuration it dies of the signal itself, else its status is 2.
    """
    result, jobs = broken.run(where, "KeyboardInterrupt")

    assert result.returncode in {2, -signal.SIGINT}, result.stdout
    assert jobs == 0
    assert "INTERNALERROR" not in result.stdout
    assert COVERALLS_TOKEN not in result.stdout


# --- hooks of the project --------------------------------------------------------------------


@pytest.mark.parametrize("hook", ["pytest_coveralls_job", "pytest_coveralls_outcome"])
@pytest.mark.parametrize(
    "fault",
    [
        "raise SystemExit(5)",
        "pytest.skip('mine')",
    ],
)
def test_a_hook_of_the_project_that_raises_changes_nothing(
    run: Runner, hook: str, fault: str
) -> None:
    """Also pytest's own outcomes and SystemExit, which are no Exception: one line, same status."""
    second = "job" if hook.endswith("job") else "outcome"
    (run.folder / "conftest.py").write_text(
        f"import pytest\n\ndef {hook}(config, {second}):\n    {fault}\n"
    )
    result = run(*PLUGINS, "--coveralls", "--cov-report=", env=QUICK)

    assert result.returncode == 0, result.stdout
    assert "7 passed in" in result.stdout
    assert f"the hook {hook}" in result.stdout
    assert "INTERNALERROR" not in result.stdout
    assert "Traceback" not in result.stdout
    assert len(run.server.jobs) == 1


# --- the same run with and without -----------------------------------------------------------

SUITE = """
import warnings
import pytest

@pytest.fixture
def bad():
    raise RuntimeError("in a fixture")

@pytest.fixture
def bad_end():
    yield
    raise RuntimeError("at the end of a fixture")

def test_pass(): pass
def test_fail(): assert [1, 2] == [1, 3]
def test_error(bad): pass
def test_error_at_the_end(bad_end): pass
def test_warns(): warnings.warn("mine")
def test_prints(capfd): print("said")

@pytest.mark.skip(reason="not now")
def test_skip(): pass

@pytest.mark.xfail(reason="known")
def test_xfail(): assert False

@pytest.mark.xfail(reason="known")
def test_xpass(): pass

@pytest.mark.xfail(strict=True)
def test_strict_xpass(): pass

@pytest.mark.parametrize("number", range(3))
def test_each(number, tmp_path):
    (tmp_path / "file").write_text("x")
    assert number != 1
"""
IDS = (
    "as it is",
    "server down",
    "--maxfail",
    "-x",
    "-k",
    "collect only",
    "error",
    "no tests",
    "usage",
)


@pytest.mark.parametrize(
    "arguments",
    [
        *(
            (),
            ("--maxfail=99",),
            ("--maxfail=2",),
            ("-x",),
            ("-k", "pass or fail"),
            ("--collect-only",),
        ),
        *(("tests", "broken"), ("-k", "nothing at all"), ("--no-such-option",)),
    ],
    ids=IDS,
)
def test_a_suite_has_the_same_results_with_and_without_us(
    template: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """Exit status, every outcome, counts and the files that are made."""

    def once(name: str, server: StandIn, *more: str) -> tuple[object, ...]:
        project = shutil.copytree(template, tmp_path / name)
        (project / "tests" / "test_mixed.py").write_text(SUITE)
        (project / "broken").mkdir()
        (project / "broken" / "test_broken.py").write_text("import nothing_at_all\n")
        runner = Runner(project, server)
        result = runner(
            *PLUGINS,
            *("--cov", "--cov-report=", "-rA", f"--basetemp={project / 'basetemp'}"),
            *(*arguments, *more),
            env=QUICK,
        )
        counts = [
            line.strip("= ").rpartition(" in ")[0]
            for line in result.stdout.splitlines()
            if line.startswith("=") and " in " in line and line.rstrip("= ").endswith("s")
        ]
        return result.returncode, outcomes(result.stdout), counts, files(project)

    with StandIn() as server, ThreadPoolExecutor(2) as pool:
        if arguments == ("--maxfail=99",):
            server.respond(500)
        plain = pool.submit(once, "plain", server)
        ours = pool.submit(once, "ours", server, "--coveralls")
        assert ours.result() == plain.result()
        assert plain.result()[0] in {0, 1, 2, 4, 5}


def files(project: Path) -> list[str]:
    """The files in a project, without those that hold data of coverage, git and kept jobs."""
    found = (path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file())
    return sorted(
        name
        for name in found
        if not name.startswith((".git/", ".pytest_cache/d/coveralls/", ".coverage."))
    )


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """No injected run leaves a thread of the test's own server behind."""
    before = threading.enumerate()
    yield
    assert threading.enumerate() == before
