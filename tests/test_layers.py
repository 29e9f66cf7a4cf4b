"""Who may import what: the rooms of the house and the doors between them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import Runner, needs_xdist, write

import pytest_coveralls_submit

HOUSE = Path(pytest_coveralls_submit.__file__).parent
TOOLS = {"errors", "text", "secret", "child_process", "outcome"}
FACTS = {"settings", "git", "ci", "identity", "delivery"}
BELOW = {
    "settings": TOOLS,
    "git": TOOLS,
    "ci": TOOLS | {"git", "delivery", "output"},
    "identity": TOOLS | FACTS,
    "measurement": TOOLS,
    "job": TOOLS | FACTS | {"measurement"},
    "delivery": TOOLS,
    "changed_lines": TOOLS | FACTS | {"job"},
    "context": TOOLS | FACTS | {"changed_lines", "job"},
    "hints": TOOLS | FACTS | {"context"},
    "upload": TOOLS | FACTS | {"context", "hints", "job"},
    "submit": TOOLS | FACTS | {"context", "hints", "measurement", "job", "changed_lines", "upload"},
    "output": TOOLS | FACTS | {"context"},
    "session": TOOLS | FACTS | {"context", "hints", "measurement", "submit", "upload", "output"},
    "commands": TOOLS
    | FACTS
    | {"context", "hints", "measurement", "job", "submit", "upload", "output"},
}
"""What each room may import beside itself; a run goes through them in about this order."""
ALONE = {
    "coverage": {"measurement"},
    "pytest_cov": {"session"},
    "requests": {"delivery"},
    "urllib3": {"delivery"},
    "pytest": {"plugin", "hookspecs", "commands", "session", "settings"},
    "yaml": {"settings"},
}
"""The rooms that know a library."""


def imports() -> Iterator[tuple[str, str]]:
    """Yield room and imported module, our own rooms with a dot in front."""
    for path in sorted(HOUSE.rglob("*.py")):
        *folders, name = path.relative_to(HOUSE).with_suffix("").parts
        room = folders[0] if folders else name
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            for module in _names(node, len(folders)):
                yield room, module


def _names(node: ast.AST, depth: int) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level:
        yield (node.module or "").partition(".")[0]
    elif isinstance(node, ast.ImportFrom) and node.level > depth:
        modules = [node.module] if node.module else [alias.name for alias in node.names]
        yield from ("." + module.partition(".")[0] for module in modules)


def test_no_room_imports_one_that_comes_after_it() -> None:
    """A folder is one room; the doors (plugin, the commands) may import every room."""
    doors = {"plugin", "hookspecs", "__main__", "__init__"}
    allowed = {**BELOW, **dict.fromkeys(TOOLS, TOOLS)}
    wrong = {
        (room, module)
        for room, module in imports()
        if module.startswith(".") and room not in doors
        if module[1:] not in allowed[room] | {room, "__version__", "DOCUMENTATION", "SYS_PATH"}
    }

    assert wrong == set()


def test_nothing_imports_the_doors() -> None:
    """The hooks and the commands are at the top."""
    doors = {".plugin", ".__main__"}

    assert {(room, module) for room, module in imports() if module in doors} == set()


@pytest.mark.parametrize("library", ALONE)
def test_a_library_is_known_to_few(library: str) -> None:
    """Where it changes, one room changes."""
    assert {room for room, module in imports() if module == library} <= ALONE[library]


WATCH = """
import os, pathlib, sys

def pytest_unconfigure():
    worker = os.environ.get("PYTEST_XDIST_WORKER", "here")
    pathlib.Path(worker + ".loaded").write_text("\\n".join(sys.modules))
"""
IDLE = {"", ".plugin", ".hookspecs", ".settings", ".settings.table"}
HEAVY = {"requests", "urllib3", "coverage", "yaml", "dataclasses", "json", "urllib.parse"}
"""What costs most of what a run without plugins does not load itself."""


def loaded(run: Runner, *arguments: str) -> dict[str, set[str]]:
    """Run pytest to its end; return what each process of it has loaded, by worker."""
    write(run, "watch.py", WATCH)
    ended = run("-q", "-p", "watch", *arguments)
    assert ended.returncode == 0, ended.stdout
    return {path.stem: set(path.read_text().split()) for path in run.folder.glob("*.loaded")}


def ours(modules: set[str]) -> set[str]:
    """Return the modules of this package, without its name."""
    package = "pytest_coveralls_submit"
    return {name.removeprefix(package) for name in modules if name.split(".")[0] == package}


def test_an_installed_plugin_that_is_off_loads_next_to_nothing(run: Runner) -> None:
    """Every run of pytest pays for it; a run of nothing but pytest tells what it loads itself."""
    without = ("-p", "no:pytest_cov")
    plain = loaded(run, *without, "-p", "no:coveralls_submit")["here"]
    idle = loaded(run, *without)["here"]

    assert ours(idle) == IDLE
    assert (idle - plain) & HEAVY == set()


@needs_xdist
@pytest.mark.parametrize("switch", ["--coveralls", "--override-ini=coveralls=true"])
def test_a_worker_that_reports_nothing_loads_nothing_to_report_with(
    run: Runner, switch: str
) -> None:
    """It asks whether its session submits, no more; the sending process alone knows requests."""
    modules = loaded(run, "-n2", switch)
    here = modules.pop("here")

    asking = IDLE | {".session", ".session.nesting"}
    assert len(run.server.jobs) == 1
    assert {worker: ours(names) for worker, names in modules.items()} == dict.fromkeys(
        ("gw0", "gw1"), asking
    )
    assert "requests" not in here
