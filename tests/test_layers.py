"""Who may import whom, and what a run without ``--coveralls`` loads."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import Runner, needs_xdist, write

import pytest_coveralls_submit

PACKAGE = Path(pytest_coveralls_submit.__file__).parent
BASICS = "errors text secret outcome"
KNOWLEDGE = f"{BASICS} settings git delivery ci measurement job"
MAY_IMPORT = {
    "__init__": "",
    "errors": "",
    "text": "__init__",
    "secret": "text",
    "outcome": "text",
    "child_process": "errors",
    "settings": BASICS,
    "git": f"{BASICS} child_process",
    "delivery": f"{BASICS} child_process __init__",
    "ci": f"{BASICS} child_process git delivery settings",
    "measurement": BASICS,
    "job": f"{BASICS} git ci settings measurement",
    "changed_lines": f"{BASICS} git ci settings job",
    "context": f"{KNOWLEDGE} changed_lines",
    "output": f"{BASICS} settings context",
    "ci.pages": f"{BASICS} child_process output",
    "job.builder": f"{KNOWLEDGE} changed_lines context",
    "submit": f"{KNOWLEDGE} context output",
    "partial_run": f"{BASICS} settings measurement",
    "session": f"{KNOWLEDGE} changed_lines context output ci.pages job.builder submit partial_run",
    "commands": f"{KNOWLEDGE} changed_lines context output ci.pages job.builder submit",
    "cli": f"{BASICS} settings context output commands __init__",
    "__main__": "cli",
    "hookspecs": "outcome job",
    "plugin": f"{BASICS} child_process settings ci measurement context partial_run session "
    "hookspecs",
}
"""Beside itself. Each row names rows above it, so there is no circle."""
KNOWN_TO = {
    "coverage": {"measurement"},
    "requests": {"delivery"},
    "urllib3": {"delivery"},
    "pytest": {"plugin", "hookspecs", "session", "partial_run", "cli", "settings"},
    "yaml": {"settings"},
}


def imports() -> Iterator[tuple[str, str]]:
    """Yield row and imported row, or imported library with a dot in front."""
    for path in sorted(PACKAGE.rglob("*.py")):
        module = path.relative_to(PACKAGE).with_suffix("").parts
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield row(*module), "." + alias.name.partition(".")[0]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                yield row(*module), "." + (node.module or "").partition(".")[0]
            elif isinstance(node, ast.ImportFrom):
                base = [*module[: -node.level], *(node.module or "").split(".")]
                for alias in node.names:
                    yield row(*module), row(*filter(None, base), alias.name)


def row(*module: str) -> str:
    """Return the row of a module, or of a name in it."""
    rows = (".".join(module[:length]) for length in (2, 1))
    return next((name for name in rows if name in MAY_IMPORT), "__init__")


def test_a_row_names_rows_above_it() -> None:
    above: set[str] = set()
    for name, others in MAY_IMPORT.items():
        assert set(others.split()) <= above, name
        above.add(name)


def test_a_module_imports_what_its_row_names() -> None:
    wrong = {
        (importer, imported)
        for importer, imported in imports()
        if not imported.startswith(".") and importer != imported
        if imported not in MAY_IMPORT[importer].split()
    }

    assert wrong == set()


@pytest.mark.parametrize("library", KNOWN_TO)
def test_a_library_is_known_to_few(library: str) -> None:
    assert {
        importer.partition(".")[0] for importer, imported in imports() if imported == f".{library}"
    } <= KNOWN_TO[library]


WATCH = """
import os, pathlib, sys

def pytest_unconfigure():
    worker = os.environ.get("PYTEST_XDIST_WORKER", "here")
    pathlib.Path(worker + ".loaded").write_text("\\n".join(sys.modules))
"""
IDLE = {"", ".plugin", ".hookspecs", ".settings", ".settings.table"}
SLOW = {"requests", "urllib3", "coverage", "yaml", "dataclasses", "json", "urllib.parse"}


def loaded(run: Runner, *arguments: str) -> dict[str, set[str]]:
    """Run pytest and return the modules of each process, by worker."""
    write(run, "watch.py", WATCH)
    ended = run("-q", "-p", "watch", *arguments)
    assert ended.returncode == 0, ended.stdout
    return {path.stem: set(path.read_text().split()) for path in run.folder.glob("*.loaded")}


def ours(modules: set[str]) -> set[str]:
    """Return the modules of this package, without its name."""
    package = "pytest_coveralls_submit"
    return {name.removeprefix(package) for name in modules if name.split(".")[0] == package}


def test_a_plugin_that_is_off_loads_next_to_nothing(run: Runner) -> None:
    without = ("-p", "no:pytest_cov")
    plain = loaded(run, *without, "-p", "no:coveralls_submit")["here"]
    idle = loaded(run, *without)["here"]

    assert ours(idle) == IDLE
    assert (idle - plain) & SLOW == set()


@needs_xdist
def test_a_worker_loads_nothing_to_send_with(run: Runner) -> None:
    modules = loaded(run, "-n1", "--coveralls")

    assert len(run.server.jobs) == 1
    assert "requests" not in modules["here"] | modules["gw0"]
    assert not {".session", ".context", ".submit", ".delivery"} & ours(modules["gw0"])
