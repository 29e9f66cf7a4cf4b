"""pytest-cov's own reports: the same with and without the plugin, and as many analyses."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from running import NAMES, Runner, needs_xdist, only_job

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
SEVERAL = (
    *("--cov", "--cov-report=term-missing", "--cov-report=xml:out/coverage.xml", "--cov-branch"),
    *("--cov-report=html:out/html", "--cov-report=json:out/coverage.json"),
    *("--cov-report=lcov:out/coverage.lcov", "--cov-fail-under=99.5"),
)
WITHOUT = ("--cov", "--cov-report=")
RUNS = [
    pytest.param(WITHOUT, (*WITHOUT, "--coveralls"), 0, id="without a report"),
    pytest.param(SEVERAL, (*SEVERAL, "--coveralls"), 1, id="several reports"),
    pytest.param(("--cov",), ("--coveralls",), 0, id="alone"),
    pytest.param(("--cov", "-n1"), ("--coveralls", "-n1"), 0, id="xdist", marks=needs_xdist),
]
"""Arguments without the plugin, with it, and the exit status."""
# When a report was made, in the words of each kind; and what html calls a state of its data.
TIMES = re.compile(
    rb'timestamp="\d+"|"timestamp": ?"[^"]*"'
    rb"|created at [-0-9: +]+|\d{4}-\d\d-\d\d \d\d:\d\d( [-+]\d{4})?"
)


def written(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): TIMES.sub(b"-", path.read_bytes()) for path in files
    }


def reported(output: str) -> list[str]:
    """The lines that pytest-cov prints, from its title to pytest's last line."""
    lines = [line for line in output.splitlines() if not line.startswith("coveralls: ")]
    first = next((number for number, line in enumerate(lines) if "coverage: " in line), None)
    printed = [] if first is None else lines[first:-1]
    return [*printed, *(line for line in lines if line.startswith(("FAIL", "Required", "ERROR")))]


def reports(run: Runner, *arguments: str) -> tuple[int, list[str], dict[str, bytes]]:
    """Run once; exit status, what pytest-cov printed, and the files that it wrote."""
    for path in run.folder.glob("counted-*.json"):
        path.unlink()
    out = run.folder / "out"
    result = run("-p", "counting", "-p", "no:cacheprovider", *arguments)
    found = result.returncode, reported(result.stdout), written(out) if out.exists() else {}
    if out.exists():
        out.rename(run.folder.parent / f"out-{len(list(run.folder.parent.iterdir()))}")
    return found


def analyses(run: Runner) -> Counter[str]:
    files = run.folder.glob("counted-*.json")
    return sum((Counter(json.loads(path.read_text())) for path in files), Counter[str]())


@pytest.fixture
def counting(run: Runner) -> Runner:
    (run.folder / "counting.py").write_text(COUNTING)
    run.env["PYTHONPATH"] = str(run.folder)
    return run


@pytest.mark.parametrize(("without", "arguments", "status"), RUNS)
def test_a_report_is_the_same_and_no_file_is_analysed_more_often(
    counting: Runner, without: tuple[str, ...], arguments: tuple[str, ...], status: int
) -> None:
    """Byte for byte but for times; without a report each file is analysed once."""
    plain = reports(counting, *without)
    before = analyses(counting)
    ours = reports(counting, *arguments)

    assert ours == plain
    assert plain[0] == status
    assert bool(plain[1]) == (without != WITHOUT)
    assert bool(plain[2]) == (without == SEVERAL)
    assert len(only_job(counting)["source_files"]) == len(NAMES)
    assert analyses(counting) == (before or Counter(NAMES))
