"""Whole runs of pytest, as a user starts them: what is measured, and what is sent of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import coverage
import pytest
from inner import Inner
from running import AUTOLOAD, NAMES, Runner, needs_xdist, only_job, told, write
from standin import quadruples

pytestmark = pytest.mark.slow


def coverage_json(run: Runner) -> tuple[dict[str, Any], str]:
    """Return what coverage.py itself reports of the data that the run left, and its total."""
    run("json", "-q", "-o", "coverage.json", module="coverage")
    report = json.loads((run.folder / "coverage.json").read_text("utf-8"))
    cov = coverage.Coverage(data_file=run.folder / ".coverage", config_file=False)
    cov.load()
    for name, file in report["files"].items():
        # Before 7.16 docstrings stand among the executed lines, but count as no statements.
        statements = cov.analysis2(str(run.folder / name))[1]
        file["executed_lines"] = set(statements).intersection(file["executed_lines"])
    percent = f"{report['totals']['percent_covered']:.2f}"
    return {Path(name).as_posix(): file for name, file in report["files"].items()}, percent


def lines_of(file: dict[str, Any], length: int) -> list[int | None]:
    """Return hits as a job has them, made from coverage.py's own report of a file."""
    hits = dict.fromkeys(file["missing_lines"], 0) | dict.fromkeys(file["executed_lines"], 1)
    return [hits.get(number) for number in range(1, length + 1)]


def branches_of(file: dict[str, Any]) -> tuple[Counter[int], Counter[int]]:
    """Return line -> number of branches and of taken ones, from coverage.py's report of a file."""
    taken = Counter(line for line, _ in file["executed_branches"])
    return taken + Counter(line for line, _ in file["missing_branches"]), taken


def sent_branches(file: dict[str, Any]) -> tuple[Counter[int], Counter[int]]:
    """Return the same from a file of a job."""
    branches = quadruples(file.get("branches"))
    taken = Counter(line for line, _, _, hits in branches if hits)
    return Counter(branch[0] for branch in branches), taken


def test_one_flag_measures_and_submits_one_job(run: Runner) -> None:
    """The installed plugin is found by pytest; ``--coveralls`` alone measures and sends."""
    result = run("--coveralls", env=AUTOLOAD)

    assert result.returncode == 0, result.stdout
    assert [file["name"] for file in only_job(run)["source_files"]] == NAMES
    assert f"sent 5 files, {coverage_json(run)[1]}% covered -> " in told(result.stdout)[-1]


def test_nothing_is_printed_and_left_unless_it_is_switched_on(run: Runner) -> None:
    """An installed plugin is silent: no line, no request, no measuring, no marker."""
    result = run(env=AUTOLOAD)

    assert result.returncode == 0, result.stdout
    assert "coveralls:" not in result.stdout
    assert run.server.requests == []
    assert not (run.folder / ".coverage").exists()
    assert not (run.folder / ".pytest_cache/d/coveralls").exists()


@pytest.mark.parametrize(
    ("arguments", "module"),
    [
        pytest.param(("--cov", "--cov-branch", "--coveralls"), "pytest", id="pytest-cov"),
        pytest.param(
            ("--cov", "--cov-branch", "--coveralls", "-n2"), "pytest", id="xdist", marks=needs_xdist
        ),
        pytest.param(("run", "--branch", "-m", "pytest", "--coveralls"), "coverage", id="run"),
    ],
)
def test_the_job_is_what_coverage_reports_line_by_line(
    run: Runner, arguments: tuple[str, ...], module: str
) -> None:
    """Executed 1, missing 0, all else null; branches and taken ones per line as coverage.py's."""
    result = run(*arguments, module=module)

    assert result.returncode == 0, result.stdout
    files = {file["name"]: file for file in only_job(run)["source_files"]}
    report, percent = coverage_json(run)
    assert sorted(files) == sorted(report) == NAMES
    for name, file in files.items():
        length = len((run.folder / name).read_bytes().splitlines())
        assert file["coverage"] == lines_of(report[name], length), name
        assert sent_branches(file) == branches_of(report[name]), name
    assert report["sample/beds.py"]["excluded_lines"]
    assert {hits for file in files.values() for hits in file["coverage"]} == {0, 1, None}
    assert f" {percent}% covered -> " in told(result.stdout)[-1]


def test_an_empty_job_is_sent_where_it_is_allowed(inner: Inner) -> None:
    inner.measured[0].erase()

    inner("--coveralls", "--coveralls-allow-empty")

    assert [job["source_files"] for job in inner.server.jobs] == [[]]


WATCH = """
import pytest, threading

@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    others = [thread.name for thread in threading.enumerate()
              if thread is not threading.main_thread()]
    print("THREADS", others)
"""


def test_nothing_of_ours_warns_and_no_thread_is_left(run: Runner) -> None:
    """``-W error`` turns no warning of ours into a failure, and nothing is left unclosed."""
    (run.folder / "conftest.py").write_text(WATCH)

    result = run("--coveralls", "-W", "error", "-v", "-s", env={"PYTHONDEVMODE": "1"})

    assert result.returncode == 0, result.stdout
    assert "Warning:" not in result.stdout
    assert "Exception ignored" not in result.stdout
    assert "\nTHREADS []\n" in result.stdout
    assert len(run.server.jobs) == 1


@needs_xdist
def test_the_demonstration_shows_a_right_job() -> None:
    """``tests/demo.py`` brings all that it needs, and ends well."""
    demo = Path(__file__).parents[1] / "demo.py"
    result = subprocess.run(
        [sys.executable, str(demo)], stdout=subprocess.PIPE, encoding="utf-8", check=False
    )

    assert result.returncode == 0, result.stdout
    assert "service: demo-ci #9001\n" in result.stdout
    assert "3. What is wrong with it, compared with the documented fields" in result.stdout
    assert "\nNothing.\n" in result.stdout


def test_a_module_of_the_project_is_not_taken_for_a_library(run: Runner) -> None:
    """``python -m pytest`` puts the current directory first."""
    write(run, "requests.py", "raise ImportError('not the library')\n")

    result = run("--coveralls")

    assert result.returncode == 0, result.stdout
    assert len(run.server.jobs) == 1, result.stdout
