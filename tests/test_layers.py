"""Who may import what: the rooms of the house and the doors between them."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import pytest_coveralls_submit

HOUSE = Path(pytest_coveralls_submit.__file__).parent
ROOMS = sorted(path.stem for path in HOUSE.glob("*.py"))
APART = ("ci", "git", "names", "transport", "diagnosis")


@cache
def imported(room: str) -> frozenset[str]:
    """The modules that a module imports, anywhere in it; our own with a dot in front."""
    tree = ast.parse((HOUSE / f"{room}.py").read_text("utf-8"))
    return frozenset(name for node in ast.walk(tree) for name in _names(node))


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level:
        yield (node.module or "").partition(".")[0]
    elif isinstance(node, ast.ImportFrom):
        modules = [node.module] if node.module else [alias.name for alias in node.names]
        yield from (f".{module}" for module in modules)


def importers(module: str) -> set[str]:
    """The modules that import another."""
    return {room for room in ROOMS if module in imported(room)}


def test_the_house_has_its_rooms() -> None:
    """The rules below would hold in an empty house, too."""
    assert {"plugin", "measurement", "transport", "submit", *APART} <= set(ROOMS)
    assert ".settings" in imported("submit")
    assert ".errors" in imported("git")


def test_nothing_imports_the_plugin() -> None:
    """The hooks are at the top."""
    assert importers(".plugin") == set()
    assert importers(".reporter") == {"plugin"}


def test_pytest_is_known_to_few() -> None:
    """The rest could serve another test runner."""
    about_a_session = {"plugin", "reporter", "sources", "measurement", "selection"}
    expected = about_a_session | {"hookspecs", "__main__"}

    assert importers("pytest") | importers("_pytest") == expected


def test_coverage_is_known_to_the_measurement_alone() -> None:
    """Where it changes, one module changes, and the one that does its work in more processes."""
    assert importers("coverage") | importers("pytest_cov") == {"measurement", "parallel"}


def test_requests_is_known_to_one() -> None:
    """And that one runs in a process of its own."""
    assert importers("requests") | importers("urllib3") == {"transport"}
    assert importers(".transport") == set()


@pytest.mark.parametrize("room", APART)
def test_the_rooms_around_the_story_do_not_know_one_another(room: str) -> None:
    """Each is understood by itself; the story ties them together."""
    forbidden = {f".{other}" for other in APART} | {".settings", ".submit", ".job", ".plugin"}

    assert imported(room) & forbidden == set()


def test_a_plugin_that_is_only_installed_loads_nothing_heavy() -> None:
    """Every run of pytest imports it, also where nobody asked for it."""
    program = (
        "import sys, pytest_coveralls_submit.plugin\n"
        "print(sorted({'requests', 'urllib3', 'coverage', 'yaml'} & set(sys.modules)))"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )

    assert ended.stdout.strip() == "[]"


def test_a_run_that_is_not_switched_on_loads_nothing_heavy(tmp_path: Path) -> None:
    """Neither for its options nor for its hooks, from start to end."""
    (tmp_path / "conftest.py").write_text(
        "import sys\n\n\ndef pytest_unconfigure():\n"
        "    loaded = {'requests', 'urllib3', 'coverage'} & set(sys.modules)\n"
        "    ours = {name for name in sys.modules if name.startswith('pytest_coveralls_submit.')}\n"
        "    print('LOADED', sorted(loaded), 'pytest_coveralls_submit.plugin' in ours)\n"
    )
    (tmp_path / "test_a.py").write_text("def test_a():\n    pass\n")
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "pytest_coveralls_submit.plugin"]

    ended = subprocess.run(
        [sys.executable, *words],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "LOADED [] True" in ended.stdout
