"""Faults of our own: whatever breaks inside the plugin, the run is the one without it.

Each fault is injected in a run inside this process; runs of their own show that it is the same
with pytest-cov, for an interrupt, and for the files that are made.
"""

from __future__ import annotations

import builtins
import shutil
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest
from inner import Ended, Inner
from running import Runner, importable, told
from standin import COVERALLS_TOKEN, StandIn

BEFORE_TESTS = importable(
    "settings.sources.gather",
    "settings.sources.resolve",
    "ci.detect.detect",
    "git.read",
    "identity.token.choose_token",
    "job.identity.compose",
    "context.make_plan",
    "output.lines.header",
)
AFTER_TESTS = importable(
    "session.wholeness.reason_for_nothing",
    "session.pytest_cov.finished",
    "measurement.measure.measure",
    "job.names.Names",
    "job.source_files.read",
    "job.document.build_job",
    "job.document.to_json",
    "job.outbox.keep",
    "job.document.with_token",
    "upload.post",
    "delivery.answers.judge_job",
    "submit.submit",
)
PRINTING = importable("output.lines.lines", "ci.pages.pages")
EVERY = (*BEFORE_TESTS, *AFTER_TESTS, *PRINTING)
# Beside the submission: where one of these breaks, the job still arrives.
BESIDE = ("output.lines.header", *PRINTING)
KEPT = ("job.document.with_token", "upload.post", "delivery.answers.judge_job")
"""By then the job is on disk."""
KINDS = ("Exception", "MemoryError", "RecursionError")
FAULTS = [(where, KINDS[place % len(KINDS)]) for place, where in enumerate(EVERY)]


class Injector:
    """Replaces a function of ours, wherever it is named, by one that raises."""

    def __init__(self, where: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.where, self.kind, self.monkeypatch = where, kind, monkeypatch
        if where in BEFORE_TESTS:
            self.inject()

    def inject(self) -> None:
        """Break it now."""
        module, _, name = f"pytest_coveralls_submit.{self.where}".rpartition(".")
        whole = getattr(sys.modules[module], name)

        def broken(*_: object, **__: object) -> NoReturn:
            raise getattr(builtins, self.kind)("injected by the test")

        for path, loaded in list(sys.modules.items()):
            ours = path.startswith("pytest_coveralls_submit")
            if ours and getattr(loaded, name, None) is whole:
                self.monkeypatch.setattr(loaded, name, broken)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Break it once the tests are over."""
        if self.where not in BEFORE_TESTS:
            self.inject()


def end_with(inner: Inner, where: str, kind: str) -> Ended:
    """Run with a fault."""
    with pytest.MonkeyPatch.context() as patch:
        inner.plugins.append(Injector(where, kind, patch))
        run = inner("--coveralls")
    assert "INTERNALERROR" not in run.output
    assert "Traceback" not in run.output + run.errors
    assert COVERALLS_TOKEN not in run.output + run.errors
    return run


@pytest.mark.parametrize(("where", "kind"), FAULTS)
def test_a_fault_of_ours_is_one_line_and_changes_nothing(
    inner: Inner, where: str, kind: str
) -> None:
    """Every test runs, the exit status is pytest's, and one line tells of the fault."""
    run = end_with(inner, where, kind)

    faults = [line for line in run.lines if "internal fault" in line]
    assert (run.status, run.passed) == (0, 2)
    assert len(faults) == 1, run.lines
    assert f"internal fault: {kind}" in faults[0]
    assert len(inner.server.jobs) == (where in BESIDE or where == "delivery.answers.judge_job")
    if where not in BESIDE:
        assert faults[0].startswith("failed: internal fault: ")
    if where in KEPT:  # path and command are printed whatever kept the job from being accepted
        (kept,) = (inner.folder / ".pytest_cache").rglob("job-*.json")
        assert kept.name in run.output
        assert "send it with: python -m pytest_coveralls_submit send" in run.output


@pytest.mark.parametrize("where", ["git.read", "measurement.measure.measure", *PRINTING])
def test_an_interrupt_ends_the_run_as_one(inner: Inner, where: str) -> None:
    """Ctrl-C inside of us: status 2, no traceback, and after the tests their summary."""
    run = end_with(inner, where, "KeyboardInterrupt")

    assert run.status == pytest.ExitCode.INTERRUPTED
    assert run.passed == (0 if where in BEFORE_TESTS else 2)


# Replaces one function of ours by one that raises, from the start or once the tests are over.
BREAKER = """
import builtins, importlib, os, sys
import pytest

when, module, name, kind = os.environ["BREAK"].split()

def broken(*arguments, **keywords):
    local_token = os.environ["COVERALLS_REPO_TOKEN"]
    raise getattr(builtins, kind)("injected by the test")

def inject():
    setattr(importlib.import_module("pytest_coveralls_submit." + module), name, broken)

if when == "before":
    inject()

@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish():
    if when == "after":
        inject()
"""
RUNS = importable("git.read", "upload.post", "output.lines.header")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "kind", "statuses"),
    [
        (RUNS[0], "KeyboardInterrupt", {2, -signal.SIGINT}),
        (RUNS[1], "KeyboardInterrupt", {2}),
        (RUNS[1], "RecursionError", {0}),
        (RUNS[2], "Exception", {0}),
    ],
)
def test_a_fault_in_a_run_of_its_own_shows_no_more(
    run: Runner, where: str, kind: str, statuses: set[int]
) -> None:
    """With all that pytest can show; ``-v`` has a traceback, each line behind our prefix.

    While pytest reads its configuration it dies of Ctrl-C itself, else its status is 2.
    """
    (run.folder / "breaker.py").write_text(BREAKER)
    module, _, name = where.rpartition(".")
    when = "after" if where == "upload.post" else "before"
    env = {"BREAK": f"{when} {module} {name} {kind}", "PYTHONPATH": str(run.folder)}

    result = run("-p", "breaker", "--coveralls", "-v", "-l", "--full-trace", env=env)

    assert result.returncode in statuses, result.stdout
    assert COVERALLS_TOKEN not in result.stdout
    assert "INTERNALERROR" not in result.stdout
    lines = told(result.stdout)
    if kind != "KeyboardInterrupt":
        assert "7 passed in" in result.stdout
        assert any(kind in line for line in lines)
        assert "\nTraceback" not in result.stdout
    if kind == "RecursionError":
        assert "coveralls: Traceback (most recent call last):" in lines
    assert len(run.server.jobs) == (kind == "Exception")  # only the header is missing then


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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "sent"),
    [((), 1), (("-x",), 0), (("tests", "broken"), 0)],
    ids=["as it is", "-x", "error"],
)
def test_a_suite_has_the_same_results_with_and_without_us(
    tmp_path: Path, template: Path, arguments: tuple[str, ...], sent: int
) -> None:
    """Exit status, every outcome, counts and the files that are made."""

    def once(name: str, server: StandIn, *more: str) -> tuple[object, ...]:
        project = shutil.copytree(template, tmp_path / name)
        (project / "tests" / "test_mixed.py").write_text(SUITE)
        (project / "broken").mkdir()
        (project / "broken" / "test_broken.py").write_text("import nothing_at_all\n")
        base = f"--basetemp={project / 'basetemp'}"
        result = Runner(project, server)("--cov", "--cov-report=", "-rA", base, *arguments, *more)
        counts = [
            line.strip("= ").rpartition(" in ")[0]
            for line in result.stdout.splitlines()
            if line.startswith("=") and " in " in line and line.rstrip("= ").endswith("s")
        ]
        return result.returncode, outcomes(result.stdout), counts, files(project)

    with StandIn() as server, ThreadPoolExecutor(2) as pool:
        plain = pool.submit(once, "plain", server)
        ours = pool.submit(once, "ours", server, "--coveralls")
        assert ours.result() == plain.result()
        assert plain.result()[0] in {1, 2}
        assert len(server.jobs) == sent


def outcomes(output: str) -> list[str]:
    """What ``-rA`` says of each test, without what pytest adds to it."""
    kinds = ("PASSED ", "FAILED ", "ERROR ", "XFAIL ", "XPASS ", "SKIPPED ")
    return sorted(line for line in output.splitlines() if line.startswith(kinds))


def files(project: Path) -> list[str]:
    """The files in a project, without those that hold data of coverage, git and kept jobs."""
    found = (path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file())
    return sorted(
        name
        for name in found
        if not name.startswith((".git/", ".pytest_cache/d/coveralls/", ".coverage."))
    )
