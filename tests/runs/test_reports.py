"""pytest-cov's own reports: the same with and without the plugin, and as many analyses."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from running import NAMES, NO_TOKEN, SPREADS, Runner, only_job

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
    *("--cov-report=term-missing", "--cov-report=xml:out/coverage.xml", "--cov-branch"),
    *("--cov-report=html:out/html", "--cov-report=json:out/coverage.json"),
    "--cov-report=lcov:out/coverage.lcov",
)
REPORTS = [
    pytest.param(("--cov-report=",), id="none"),
    pytest.param(SEVERAL, id="several"),
    pytest.param(
        ("--cov-report=term:skip-covered", "--cov-fail-under=99.5", "--coveralls-on-failure=skip"),
        id="fail-under",
    ),
]
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


@pytest.mark.parametrize("asked", REPORTS)
def test_a_report_is_the_same_and_no_file_is_analysed_more_often(
    counting: Runner, asked: tuple[str, ...]
) -> None:
    """Byte for byte but for times; without a report each file is analysed once."""
    plain = reports(counting, "--cov", *asked)
    before = analyses(counting)
    ours = reports(counting, "--cov", *asked, "--coveralls")

    assert ours == plain
    assert plain[0] == ("--cov-fail-under=99.5" in asked)
    assert bool(plain[2]) == ("--cov-branch" in asked)
    assert bool(plain[1]) == (asked != ("--cov-report=",))
    assert len(only_job(counting)["source_files"]) == len(NAMES)
    assert analyses(counting) == (before or Counter(NAMES))


@pytest.mark.parametrize("spread", SPREADS)
def test_coveralls_alone_analyses_no_more_than_cov(
    counting: Runner, spread: tuple[str, ...]
) -> None:
    """Under xdist the controller does, and no worker."""
    reports(counting, *spread, "--cov")
    before = analyses(counting)
    status, printed, _ = reports(counting, *spread, "--coveralls")

    assert status == 0
    assert any(line.startswith("TOTAL") for line in printed)
    assert len(only_job(counting)["source_files"]) == len(NAMES)
    assert analyses(counting) == before
    assert before.keys() == set(NAMES)


def test_nothing_is_analysed_for_nothing(counting: Runner) -> None:
    """Without a token nothing is measured, and what is measured for others is theirs."""
    counting.env |= NO_TOKEN

    reports(counting, "--coveralls")
    assert analyses(counting) == Counter()

    reports(counting, "--coveralls", "--cov", "--cov-report=")
    assert set(analyses(counting).values()) <= {1}
    assert counting.server.requests == []
