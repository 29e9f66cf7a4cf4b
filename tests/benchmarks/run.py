"""What ``--coveralls`` costs: beside plain pytest-cov, and beside coveralls-python afterwards.

``tox -e bench`` or ``python tests/benchmarks/run.py --help``. Every figure is a median over rounds
in which the ways take turns; the server is the stand-in, on loopback. Prints a Markdown report.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

import generated_project
from standin import COVERALLS_TOKEN, StandIn

PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT", "VIRTUAL_ENV")
PACKAGES = ("pytest", "pytest-cov", "coverage", "coveralls", "pytest-coveralls-submit")


@dataclass(frozen=True)
class Cost:
    """Of one or several processes: wall time in seconds, peak memory in MiB."""

    seconds: float
    memory: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.seconds + other.seconds, max(self.memory, other.memory))


@dataclass(frozen=True)
class Project:
    """What is measured: where it is, what pytest is told, how many files it has."""

    name: str
    folder: Path
    arguments: tuple[str, ...]


class Bench:
    """Runs the ways of one project against one server."""

    def __init__(self, project: Project, server: StandIn, scratch: Path) -> None:
        self.project = project
        self.server = server
        self.peer_job = scratch / "coveralls-python.json"
        self.env = {
            **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
            "COVERALLS_HOST": server.url,
            "COVERALLS_REPO_TOKEN": COVERALLS_TOKEN,
            "CI_NAME": "bench",
            "CI_BUILD_NUMBER": "1",
        }

    def run(self, *arguments: str) -> Cost:
        """Run ``python -m ARGUMENTS`` in the project and say what it cost."""
        started = time.perf_counter()
        child = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=self.project.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
        if child.returncode:
            raise SystemExit(f"{' '.join(arguments)} ended with {child.returncode}")
        scale = 1024**2 if sys.platform == "darwin" else 1024
        return Cost(seconds, usage.ru_maxrss / scale)

    def pytest(self, *more: str) -> Cost:
        """Run pytest with pytest-cov."""
        return self.run("pytest", *self.project.arguments, *more)

    def ways(self) -> dict[str, Callable[[], Cost]]:
        """Return what is compared, by name."""
        peer = ("coveralls", "--service=bench", f"--output={self.peer_job}")
        report, none = "--cov-report=term", "--cov-report="
        return {
            "term report": lambda: self.pytest(report),
            "term report, --coveralls": lambda: self.pytest(report, "--coveralls"),
            "term report, coveralls-python after": lambda: self.pytest(report) + self.run(*peer),
            "no report": lambda: self.pytest(none),
            "no report, --coveralls": lambda: self.pytest(none, "--coveralls"),
            "no report, coverage report after": lambda: (
                self.pytest(none) + self.run("coverage", "report")
            ),
            "no report, coveralls-python after": lambda: self.pytest(none) + self.run(*peer),
        }

    def medians(self, rounds: int) -> dict[str, Cost]:
        """Run each way in turn, ``rounds`` times after one to warm up; return the medians."""
        ways = self.ways()
        ways["no report"]()
        taken: dict[str, list[Cost]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                taken[name].append(way())
        return {name: _median(costs) for name, costs in taken.items()}

    def sizes(self) -> tuple[int, int]:
        """Return the bytes of our last request and of coveralls-python's job."""
        return len(self.server.requests[-1].body), self.peer_job.stat().st_size

    def files(self) -> int:
        """Return how many source files the last job had."""
        return len(self.server.jobs[-1]["source_files"])


def _median(costs: list[Cost]) -> Cost:
    return Cost(
        statistics.median(cost.seconds for cost in costs),
        statistics.median(cost.memory for cost in costs),
    )


def table(bench: Bench, medians: dict[str, Cost]) -> Iterator[str]:
    """Yield the Markdown table of one project."""
    yield f"### {bench.project.name}: {bench.files():,} files"
    yield ""
    yield "| Way | Seconds | Added by the submission | Peak memory, MiB |"
    yield "| --- | ---: | ---: | ---: |"
    for name, cost in medians.items():
        base = medians[name.split(",")[0]]
        added = "" if base is cost else f"{cost.seconds - base.seconds:+.2f}"
        yield f"| {name} | {cost.seconds:.2f} | {added} | {cost.memory:.0f} |"
    ours, theirs = bench.sizes()
    yield ""
    yield f"Body: {ours:,} bytes; coveralls-python's: {theirs:,} bytes ({ours / theirs:.1%})."
    yield from _ratios(medians)


def _ratios(medians: dict[str, Cost]) -> Iterator[str]:
    for report in ("term report", "no report"):
        base = medians[report]
        ours = medians[f"{report}, --coveralls"]
        peer = medians[f"{report}, coveralls-python after"]
        yield (
            f"With {report}: --coveralls adds {ours.seconds - base.seconds:+.2f} s, "
            f"coveralls-python {peer.seconds - base.seconds:+.2f} s; "
            f"peak memory {ours.memory / base.memory - 1:+.1%}."
        )


def growth(sizes: list[int], added: list[Cost], base: list[Cost]) -> Iterator[str]:
    """Yield a plot of the time of runs with --coveralls, by number of files."""
    yield "### Growth: runs with a term report and --coveralls"
    yield ""
    yield "```"
    totals = [without.seconds + cost.seconds for cost, without in zip(added, base, strict=True)]
    for size, cost, total in zip(sizes, added, totals, strict=True):
        bar = "█" * max(1, round(50 * total / max(totals)))
        yield (
            f"{size:>7,} files {total:7.2f} s, {cost.seconds:+7.2f} s and {cost.memory:+4.0f} MiB "
            f"by --coveralls; {1000 * total / size:5.1f} ms a file {bar}"
        )
    yield "```"


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="10,1000", help="files of the generated projects")
    parser.add_argument(
        "--growth", default="100,1000,10000", help="files, for the plot; '' for none"
    )
    parser.add_argument("--lines", type=int, default=150, help="of a generated file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--project", type=Path, help="a real project's folder, beside the others")
    parser.add_argument("--arguments", default="--cov", help="pytest's, for the real project")
    parser.add_argument("--output", type=Path, help="also write the report to this file")
    options = parser.parse_args()
    lines = []
    for line in report(options):
        print(line, flush=True)
        lines.append(line)
    if options.output:
        options.output.write_text("\n".join(lines) + "\n")


START_UP = """
import time
from _pytest.config import get_config
config = get_config()
started = time.perf_counter()
import pytest_coveralls_submit.plugin as plugin
plugin.pytest_addoption(config._parser)
plugin.pytest_addhooks(config.pluginmanager)
print(1000 * (time.perf_counter() - started))
"""


def start_up(rounds: int) -> str:
    """Return what the plugin costs a run that does not use it."""
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    taken = [
        float(subprocess.check_output([sys.executable, "-c", START_UP], env=env))
        for _ in range(rounds + 1)
    ]
    return f"Not switched on: {statistics.median(taken[1:]):.1f} ms of start-up."


def report(options: argparse.Namespace) -> Iterator[str]:
    """Yield the whole report."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    yield f"{datetime.now(timezone.utc):%Y-%m-%d}, {os.cpu_count()} cores, {memory:.0f} GiB;"
    yield f"Python {platform.python_version()}, {versions}; medians of {options.rounds} rounds."
    yield start_up(max(7, options.rounds))
    with tempfile.TemporaryDirectory() as folder, StandIn(size_limit=1 << 30) as server:
        scratch = Path(folder)
        for project in _projects(options, scratch):
            bench = Bench(project, server, scratch)
            medians = bench.medians(options.rounds)
            yield ""
            yield from table(bench, medians)
        if options.growth:
            yield ""
            yield from _growth(options, server, scratch)


def _projects(options: argparse.Namespace, scratch: Path) -> Iterator[Project]:
    for size in _numbers(options.sizes):
        yield _generated(scratch / f"generated-{size}", size, options.lines)
    if options.project:
        folder = options.project.resolve()
        yield Project(folder.name, folder, tuple(options.arguments.split()))


def _generated(folder: Path, size: int, lines: int) -> Project:
    made = generated_project.make(folder, size, lines)
    return Project("generated", made, ("--cov=generated", "--cov-branch"))


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number]


def _growth(options: argparse.Namespace, server: StandIn, scratch: Path) -> Iterator[str]:
    sizes = _numbers(options.growth)
    bases, added = [], []
    for size in sizes:
        project = _generated(scratch / f"growth-{size}", size, options.lines)
        bench = Bench(project, server, scratch)
        report = "--cov-report=term"
        bench.pytest("--cov-report=")
        rounds = [
            (bench.pytest(report), bench.pytest(report, "--coveralls"))
            for _ in range(max(1, options.rounds // 2))
        ]
        base, ours = _median([one for one, _ in rounds]), _median([one for _, one in rounds])
        bases.append(base)
        added.append(Cost(ours.seconds - base.seconds, ours.memory - base.memory))
    yield from growth(sizes, added, bases)


if __name__ == "__main__":
    main()
