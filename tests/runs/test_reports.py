"""What pytest and pytest-cov print and write: the same with and without the plugin."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
from running import NAMES, Runner, needs_xdist, only_job, write

pytestmark = pytest.mark.slow

# Counts the analyses of each file, in every process of the run.
COUNTING = """
import atexit, collections, json, os
import coverage.control, coverage.results

counted = collections.Counter()
really = coverage.results.analysis_from_file_reporter

def analysis_from_file_reporter(data, precision, file_reporter, filename):
    counted[os.path.relpath(filename).replace(os.sep, "/")] += 1
    return really(data, precision, file_reporter, filename)

for module in (coverage.control, coverage.results):
    if hasattr(module, "analysis_from_file_reporter"):
        module.analysis_from_file_reporter = analysis_from_file_reporter

def write():
    with open(f"counted-{os.getpid()}.json", "w") as file:
        json.dump(counted, file)

atexit.register(write)
"""
MIXED = """
import pytest

@pytest.fixture
def bad(): raise RuntimeError("in a fixture")

def test_fail(): assert [1, 2] == [1, 3]
def test_error(bad): pass

@pytest.mark.skip(reason="not now")
def test_skip(): pass

@pytest.mark.xfail(reason="known")
def test_xfail(): assert False
"""
SEVERAL = (
    *("--cov", "--cov-report=term-missing", "--cov-report=xml:out/coverage.xml", "--cov-branch"),
    *("--cov-report=html:out/html", "--cov-report=json:out/coverage.json"),
    *("--cov-report=lcov:out/coverage.lcov", "--cov-fail-under=99.5"),
)
WITHOUT = ("--cov", "--cov-report=")
RUNS = [
    pytest.param(WITHOUT, (*WITHOUT, "--coveralls"), id="without a report"),
    pytest.param(SEVERAL, (*SEVERAL, "--coveralls"), id="several reports"),
    pytest.param(("--cov",), ("--coveralls",), id="alone"),
    pytest.param(("--cov", "-n1"), ("--coveralls", "-n1"), id="xdist", marks=needs_xdist),
]
"""Arguments without the plugin, and with it."""
# When a report was made, in the words of each kind; and what html calls a state of its data.
TIMES = re.compile(
    rb'timestamp="\d+"|"timestamp": ?"[^"]*"'
    rb"|created at [-0-9: +]+|\d{4}-\d\d-\d\d \d\d:\d\d( [-+]\d{4})?"
)


def written(folder: Path) -> dict[str, bytes]:
    """Return the files of reports, without times."""
    return {
        path.relative_to(folder).as_posix(): TIMES.sub(b"-", path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def printed(output: str) -> list[str]:
    """Return what others print, without times."""
    lines = [line.strip("= ") for line in output.splitlines() if not line.startswith("coveralls: ")]
    return [re.sub(r" in \d+\.\d+s", "", line) for line in lines]


def results(run: Runner, *arguments: str) -> tuple[int, list[str], dict[str, bytes], Counter[str]]:
    """Run once; exit status, what was printed and written, and how often files were analysed."""
    out = run.folder / "out"
    result = run("-p", "counting", "-p", "no:cacheprovider", "-rA", *arguments)
    files = written(out)
    shutil.rmtree(out, ignore_errors=True)
    counted: Counter[str] = Counter()
    for path in run.folder.glob("counted-*.json"):
        counted += Counter(json.loads(path.read_text()))
        path.unlink()
    return result.returncode, printed(result.stdout), files, counted


@pytest.mark.parametrize(("without", "arguments"), RUNS)
def test_results_and_reports_are_the_same_and_no_file_is_analysed_more_often(
    run: Runner, without: tuple[str, ...], arguments: tuple[str, ...]
) -> None:
    """Byte for byte but for times; without a report each file is analysed once."""
    write(run, "counting.py", COUNTING)
    write(run, "tests/test_mixed.py", MIXED)
    run.env["PYTHONPATH"] = str(run.folder)

    *plain, before = results(run, *without)
    *ours, analyses = results(run, *arguments)

    assert ours == plain
    assert plain[0] == 1
    assert bool(plain[2]) == (without == SEVERAL)
    assert len(only_job(run)["source_files"]) == len(NAMES)
    assert analyses == (before or Counter(NAMES))
