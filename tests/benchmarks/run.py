"""What ``--coveralls`` costs: beside plain pytest-cov, and beside coveralls-python afterwards.

``tox -e bench`` or ``python tests/benchmarks/run.py --help``. Every figure is a median over rounds
in which the ways take turns; the server is the stand-in, on loopback. Prints Markdown.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

import generated_project
from standin import COVERALLS_TOKEN, StandIn

import pytest_coveralls_submit

PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT", "VIRTUAL_ENV", "PYENV_VERSION")
PACKAGES = ("pytest", "pytest-cov", "coverage", "coveralls")
CASES = ("idle", "ten", "report", "no-report", "growth", "data")
TERM, NONE = "--cov-report=term", "--cov-report="
REPORT = ("coverage", "report")
TIMED = str(Path(__file__).with_name("timed.py"))


class Cost(NamedTuple):
    """Of one or several processes: seconds, and MiB of the largest of them."""

    seconds: float
    cpu: float
    memory: float
    report: float = 0.0
    """Seconds of coverage's reports within it."""
    finish: float = 0.0
    """Seconds of the end of the session."""

    def then(self, other: Cost) -> Cost:
        """Return what both cost, one after the other."""
        memory = max(self.memory, other.memory)
        return Cost(self.seconds + other.seconds, self.cpu + other.cpu, memory)


Ways = dict[str, Callable[[], Cost]]


class Bench:
    """Runs pytest and others in one project against one server."""

    def __init__(self, folder: Path, server: StandIn, scratch: Path, arguments: str) -> None:
        self.folder = folder
        self.server = server
        self.notes = scratch / "notes.json"
        self.peer_job = scratch / "coveralls-python.json"
        self.arguments = arguments.split()
        self.env = {
            **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
            "COVERALLS_HOST": server.url,
            "COVERALLS_REPO_TOKEN": COVERALLS_TOKEN,
            "CI_NAME": "bench",
            "CI_BUILD_NUMBER": "1",
            "PYTHONPATH": str(Path(__file__).parent),
            "BENCH_NOTES": str(self.notes),
        }

    def run(self, *arguments: str, **env: str) -> Cost:
        """Run ``python -m ARGUMENTS`` in the project and say what it cost."""
        ended = subprocess.run(
            [sys.executable, "-S", TIMED, sys.executable, "-m", *arguments],
            cwd=self.folder,
            env={**self.env, **env},
            stdout=subprocess.PIPE,
            check=False,
        )
        if ended.returncode:
            raise SystemExit(f"{' '.join(arguments)} ended with {ended.returncode}")
        return Cost(*map(float, ended.stdout.split()))

    def pytest(self, *more: str) -> Cost:
        """Run pytest with pytest-cov, with what it notes of itself."""
        cost = self.run("pytest", "-p", "probe", *self.arguments, *more)
        return Cost(*cost[:3], **json.loads(self.notes.read_text()))

    def ours(self, *more: str) -> Cost:
        """Run pytest with ``--coveralls``; its one job has arrived."""
        before = len(self.server.jobs)
        cost = self.pytest(*more, "--coveralls")
        if len(self.server.jobs) != before + 1:
            raise SystemExit("no job has arrived")
        return cost

    def peer(self) -> Cost:
        """Let coveralls-python make the job of the data that the last run has left."""
        return self.run("coveralls", "--service=bench", f"--output={self.peer_job}")

    def bodies(self) -> str:
        """Say how many files the last job had, and the bytes of both."""
        ours, theirs = len(self.server.requests[-1].body), self.peer_job.stat().st_size
        files = len(self.server.jobs[-1]["source_files"])
        return f"{files:,} files; body {ours:,} of {theirs:,} bytes ({ours / theirs:.1%}).\n"


def taken(ways: Ways, rounds: int) -> list[list[Cost]]:
    """Run each way in turn, forwards and backwards, after a run to warm up; all costs of each."""
    next(iter(ways.values()))()
    costs: dict[str, list[Cost]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in list(ways)[:: -1 if number % 2 else 1]:
            costs[name].append(ways[name]())
    return list(costs.values())


def medians(ways: Ways, rounds: int) -> list[Cost]:
    """Run each way in turn and return the medians of its costs."""
    return [
        Cost(*map(statistics.median, zip(*costs, strict=True))) for costs in taken(ways, rounds)
    ]


def table(ways: Ways, costs: list[Cost]) -> Iterator[str]:
    """Yield a table; what a way adds is counted from the one above it without a comma."""
    yield "| Way | Seconds | added | CPU s added | Session's end, s | Peak MiB | added |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    base = costs[0]
    for name, cost in zip(ways, costs, strict=True):
        base = base if "," in name else cost
        seconds, cpu = cost.seconds - base.seconds, cost.cpu - base.cpu
        yield (
            f"| {name} | {cost.seconds:.2f} | {seconds:+.2f} | {cpu:+.2f} | {cost.finish:.2f} "
            f"| {cost.memory:.0f} | {cost.memory / base.memory - 1:+.1%} |"
        )
    yield ""


def after_a_report(bench: Bench, rounds: int) -> Iterator[str]:
    """What a session's end costs with our job, beside coveralls-python afterwards."""
    ways: Ways = {
        "term report": lambda: bench.pytest(TERM),
        "term report, --coveralls": lambda: bench.ours(TERM),
        "coveralls-python afterwards": bench.peer,
    }
    costs = plain, ours, peer = medians(ways, rounds)
    end = ours.finish - plain.finish
    yield from table(ways, costs)
    yield f"Session's end {end:+.2f} s after a report of {ours.report:.1f} s,"
    yield f"{peer.seconds / end:.0f} times less than coveralls-python. {bench.bodies()}"


def without_a_report(bench: Bench, rounds: int) -> Iterator[str]:
    """What a job costs that no report has prepared, beside ``coverage report``."""
    ways: Ways = {
        "no report": lambda: bench.pytest(NONE),
        "no report, --coveralls": lambda: bench.ours(NONE),
        "no report, coverage report after": lambda: bench.pytest(NONE).then(bench.run(*REPORT)),
        "no report, coveralls-python after": lambda: bench.pytest(NONE).then(bench.peer()),
    }
    costs = medians(ways, rounds)
    yield from table(ways, costs)
    base, ours, report, peer = (cost.seconds for cost in costs)
    yield f"`coverage report` takes {(report - base) / (ours - base):.1f} times what --coveralls"
    yield f"adds, coveralls-python {(peer - base) / (ours - base):.1f} times. {bench.bodies()}"


def from_data_files(bench: Bench, rounds: int) -> Iterator[str]:
    """``report`` of data that a run has left, beside coveralls-python on the same."""
    bench.pytest(NONE)
    ways: Ways = {
        "`report`": lambda: bench.run("pytest_coveralls_submit", "report"),
        "`report`, coveralls-python": bench.peer,
    }
    costs = ours, peer = medians(ways, rounds)
    yield from table(ways, costs)
    yield f"{peer.seconds / ours.seconds:.1f} times. {bench.bodies()}"


def growth(benches: Mapping[int, Bench], rounds: int) -> Iterator[str]:
    """A term report and --coveralls, by number of files."""
    yield "| Files | Report, s | --coveralls adds, s | ms a file | Session's end, s | Peak added |"
    yield "| ---: | ---: | ---: | ---: | ---: | ---: |"
    for size, bench in benches.items():
        ways: Ways = {"plain": partial(bench.pytest, TERM), "ours": partial(bench.ours, TERM)}
        plain, ours = medians(ways, rounds)
        added, end = ours.seconds - plain.seconds, ours.finish - plain.finish
        yield (
            f"| {size:,} | {plain.report:.2f} | {added:+.2f} | {1000 * end / size:.2f} "
            f"| {end:+.2f} | {ours.memory / plain.memory - 1:+.1%} |"
        )
    yield ""


def idle(bench: Bench, rounds: int) -> Iterator[str]:
    """CPU of a run of one test with the plugin installed and off, beside one without it.

    The median of what each round adds: so small a part of a run drowns in the drift of a machine.
    """
    package = Path(pytest_coveralls_submit.__file__).parent
    quiet = [f"-pno:{name}" for name in ("cacheprovider", "hypothesispytest", "pytest_httpserver")]

    def run(name: str, *more: str) -> Cost:
        for path in package.rglob("*-pytest-*.pyc") if name != "cached" else ():
            path.unlink()  # what pytest itself makes of our modules
        env = {"PYTHONDONTWRITEBYTECODE": "1"} if name.isupper() else {}
        return bench.run("pytest", *quiet, *more, **env)

    yield "| Installed and off | CPU ms without | CPU ms added |"
    yield "| --- | ---: | ---: |"
    for name in ("cached", "first run after installation", "PYTHONDONTWRITEBYTECODE"):
        off = partial(run, name, "-pno:coveralls_submit")
        both = zip(*taken({"on": partial(run, name), "off": off}, rounds), strict=True)
        pairs = [(plain.cpu, ours.cpu - plain.cpu) for ours, plain in both]
        plain, added = map(statistics.median, zip(*pairs, strict=True))
        yield f"| {name} | {1000 * plain:.1f} | {1000 * added:+.1f} |"
    yield ""


def report(options: argparse.Namespace) -> Iterator[str]:
    """Yield the whole report."""
    if sys.platform == "win32":
        raise SystemExit("not on Windows, where nobody tells the peak memory")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    rounds, many = (1, 5) if options.quick else (options.rounds, max(40, options.rounds))
    yield f"{datetime.now(timezone.utc):%Y-%m-%d}, {pytest_coveralls_submit.__version__};"
    yield f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()};"
    yield f"Python {platform.python_version()}, {versions};"
    yield f"medians of {rounds} rounds ({many} where CPU ms are counted), in turn.\n"
    with tempfile.TemporaryDirectory() as name, StandIn() as server:
        scratch = Path(name)

        def generated(files: int, lines: int = 150) -> Bench:
            folder = scratch / f"generated-{files}-{lines}"
            if not folder.exists():
                generated_project.make(folder, files, lines)
            return Bench(folder, server, scratch, "--cov=generated --cov-branch")

        bench = generated(100 if options.quick else 1000)
        project = bench
        if options.project:
            project = Bench(options.project.resolve(), server, scratch, options.arguments)
        sizes = [100, 400] if options.quick else [1250, 5000, 20000]
        cases: dict[str, tuple[str, Callable[[], Iterator[str]]]] = {
            "idle": ("Installed and not switched on", lambda: idle(generated(10), many)),
            "ten": ("Ten files", lambda: after_a_report(generated(10), rounds)),
            "report": ("After a report", lambda: after_a_report(project, rounds)),
            "no-report": ("Without a report", lambda: without_a_report(bench, rounds)),
            "growth": (
                "Growth, files of 25 lines",
                lambda: growth({size: generated(size, 25) for size in sizes}, rounds),
            ),
            "data": ("From data files", lambda: from_data_files(project, rounds)),
        }
        for word in options.only:
            title, case = cases[word]
            yield f"### {title}\n"
            yield from case()


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small projects, one round")
    parser.add_argument("--only", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--project", type=Path, help="a real project, in place of 1,000 files")
    parser.add_argument("--arguments", default="--cov", help="pytest's, for the real project")
    for line in report(parser.parse_args()):
        print(line, flush=True)


if __name__ == "__main__":
    main()
