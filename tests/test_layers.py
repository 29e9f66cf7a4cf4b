"""Who may import what: the rooms of the house and the doors between them."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_coveralls_submit

HOUSE = Path(pytest_coveralls_submit.__file__).parent
TOOLS = {"errors", "values", "secret", "process", "children", "outcome"}
BELOW = {
    "settings": TOOLS,
    "identity": TOOLS | {"settings", "delivery"},
    "measurement": TOOLS,
    "job": TOOLS | {"measurement"},
    "delivery": TOOLS,
    "plan": TOOLS | {"settings", "identity", "job", "delivery"},
    "changes": TOOLS | {"settings", "plan", "identity", "job", "measurement"},
    "upload": TOOLS | {"settings", "plan", "identity", "job", "delivery"},
    "submit": TOOLS | {"settings", "plan", "identity", "measurement", "job", "changes", "upload"},
    "output": TOOLS | {"plan", "settings", "identity"},
    "session": TOOLS
    | {"settings", "plan", "delivery", "measurement", "submit", "upload", "output"},
    "commands": TOOLS
    | {"settings", "plan", "identity", "measurement", "job", "delivery"}
    | {"submit", "upload", "output"},
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
        if module[1:] not in allowed[room] | {room, "__version__", "SYS_PATH"}
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
