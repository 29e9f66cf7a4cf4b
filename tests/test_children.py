"""Which folders a child may import from: where pip put the packages, and no other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_coveralls_submit import children
from pytest_coveralls_submit.children import PACKAGE, locate


def install(folder: Path, *modules: str, suffix: str = "-1.0.dist-info") -> str:
    """Put modules into a folder as pip does, or without metadata; the folder."""
    for module in modules:
        (folder / module).mkdir(parents=True, exist_ok=True)
        (folder / module / "__init__.py").write_text("")
        if suffix:
            (folder / f"{children.DISTRIBUTIONS[module]}{suffix}").mkdir()
    return str(folder)


@pytest.mark.parametrize("suffix", ["-2.31.0.dist-info", "-2.31.0-py3.11.egg-info"])
def test_where_the_metadata_lies_is_the_library(tmp_path: Path, suffix: str) -> None:
    """A ``requests.py`` of the project comes first on the path, and is not taken for it."""
    project, other = tmp_path / "project", tmp_path / "other"
    project.mkdir()
    (project / "requests.py").write_text("")
    site = install(other, "requests", suffix=suffix)

    places = locate([str(project), site], package=str(project), start="")

    assert places == {PACKAGE: str(project), "requests": site}


def test_a_library_without_metadata_is_taken_from_site_packages_first(tmp_path: Path) -> None:
    """Some systems strip it; then folders count by their name, the package's own last."""
    own, other, site = (tmp_path / name for name in ("own", "other", "site-packages"))
    for folder in (own, other):
        install(folder, "requests", "urllib3", suffix="")
    install(site, "requests", suffix="")
    install(own, "certifi", suffix="")

    places = locate([str(own), str(other), str(site)], package=str(own), start="")

    assert places == {
        PACKAGE: str(own),
        "requests": str(site),
        "urllib3": str(other),
        "certifi": str(own),
    }


def test_the_current_directory_is_no_place_to_import_from(tmp_path: Path) -> None:
    """`python -m pytest` puts it first, with all that a checkout holds, metadata too."""
    here = install(tmp_path / "here", "requests", "idna")

    assert locate([here, ""], package="/nowhere", start=here) == {PACKAGE: "/nowhere"}


def test_the_current_directory_is_one_where_this_package_lies_there(tmp_path: Path) -> None:
    """``pip install --target .`` puts it there."""
    here = install(tmp_path / "here", "requests")

    assert locate([here], package=here, start=here) == {PACKAGE: here, "requests": here}


@pytest.mark.parametrize("entry", ["/nowhere", "a.zip", "a file"])
def test_an_odd_entry_of_the_path_is_no_place(tmp_path: Path, entry: str) -> None:
    """Anything may stand there."""
    (tmp_path / "a file").write_text("")
    entry = str(tmp_path / entry) if entry[0] == "a" else entry

    assert locate([entry], package=str(tmp_path), start="") == {PACKAGE: str(tmp_path)}


def run(code: str) -> str:
    """Run code in a child, and return what it printed."""
    child = children.start(code, env=children.environment(os.environ))
    out, _ = child.communicate()
    return out.decode().strip()


def test_a_child_can_import_nothing_else() -> None:
    """Of what is installed here it has what it needs, not pytest, and no folder of anybody."""
    code = """
import importlib.util, sys
names = ["requests", "urllib3", "coverage", "pytest", "pluggy", "yaml", "simplejson", "xdist"]
print([name for name in names if importlib.util.find_spec(name)])
"""
    assert run(code) == "['requests', 'urllib3', 'coverage']"
    assert "site-packages" not in run("import sys; print(sys.path)")


@pytest.mark.skipif(sys.platform == "win32", reason="a directory in use is not removed there")
def test_a_current_directory_that_is_gone_hinders_nothing(tmp_path: Path) -> None:
    """It cannot even be named."""
    gone = tmp_path / "gone"
    gone.mkdir()
    code = (
        f"import os; os.rmdir({str(gone)!r})\n"
        "from pytest_coveralls_submit import children\n"
        "print(repr(children.START), 'requests' in children._places())"
    )
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, cwd=gone, capture_output=True, text=True, check=False)

    assert ended.stdout == "'' True\n", ended.stderr


def test_what_a_child_is_told_holds_no_secret() -> None:
    """Folders alone stand in its arguments."""
    assert set(json.loads(children._places())) <= {PACKAGE, *children.DISTRIBUTIONS}
