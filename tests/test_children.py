"""Which folders a child may import from: where pip put the packages, and no other."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pytest_coveralls_submit import children
from pytest_coveralls_submit.children import PACKAGE, locate
from pytest_coveralls_submit.secret import Secret


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
    """Some systems strip it; then folders of that use count, the package's own last."""
    own, other, site = (tmp_path / name for name in ("own", "other", "site-packages"))
    for folder in (own, other):
        install(folder, "requests", "urllib3", suffix="")
    install(site, "requests", suffix="")
    install(other, "idna", suffix="")

    places = locate([str(own), str(other), str(site)], package=str(own), start="")

    assert places == {PACKAGE: str(own), "requests": str(site), "urllib3": str(own)}


def test_what_requests_could_do_without_is_taken_from_beside_it_alone(tmp_path: Path) -> None:
    """Nobody has it installed as a rule, so that the project's would be the only one."""
    project, lib = tmp_path / "project" / "tests", tmp_path / "lib"
    install(project, "chardet", "socks")
    install(lib, "requests")

    places = locate([str(project), str(lib)], package=str(tmp_path), start=str(project.parent))
    assert places == {PACKAGE: str(tmp_path), "requests": str(lib)}

    install(lib, "chardet")
    places = locate([str(project), str(lib)], package=str(tmp_path), start=str(project.parent))
    assert places["chardet"] == str(lib)


@pytest.mark.parametrize("spelling", ["plain", "relative", "link"])
def test_metadata_in_the_tested_project_counts_last(tmp_path: Path, spelling: str) -> None:
    """PYTHONPATH may name its folder first, and everybody can write such metadata."""
    tests, lib = tmp_path / "project" / "tests", tmp_path / "lib"
    install(tests, "requests", "idna")
    install(lib, "requests")
    entry = {"plain": str(tests), "relative": "tests", "link": str(tmp_path / "link" / "tests")}
    if spelling == "link":
        (tmp_path / "link").symlink_to(tmp_path / "project", target_is_directory=True)

    places = locate([entry[spelling], str(lib)], package=str(tmp_path), start=str(tests.parent))

    assert places["requests"] == str(lib)


def test_the_first_of_several_is_the_one_that_is_imported(tmp_path: Path) -> None:
    """As ``import`` has it, also where a later one has a better known name."""
    first, site = tmp_path / "first", tmp_path / "site-packages"
    for folder in (first, site):
        install(folder, "requests")

    places = locate([str(first), str(site)], package=str(tmp_path), start="")

    assert places["requests"] == str(first)


def test_an_editable_library_has_its_metadata_elsewhere(tmp_path: Path) -> None:
    """In ``site-packages``, and a ``.pth`` file there names the folder of the module."""
    site = install(tmp_path / "site-packages", "requests")
    (tmp_path / "site-packages" / "requests" / "__init__.py").unlink()
    (tmp_path / "src" / "requests").mkdir(parents=True)
    (tmp_path / "src" / "requests" / "__init__.py").write_text("")

    places = locate([site, str(tmp_path / "src")], package=str(tmp_path), start="")

    assert places["requests"] == str(tmp_path / "src")


def test_a_zip_file_is_a_place_too(tmp_path: Path) -> None:
    """Bundles have their dependencies in one."""
    install(tmp_path / "tests", "requests")
    path = tmp_path / "deps.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("requests/__init__.py", "")
        archive.writestr("requests-2.31.0.dist-info/METADATA", "")

    places = locate([str(path), str(tmp_path / "tests")], package="/nowhere", start=str(tmp_path))

    assert places == {PACKAGE: "/nowhere", "requests": str(path)}


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ("", ""),
        ("Traceback:\nImportError: no\n", "ImportError: no"),
        (
            '  File "/lib/requests.py", line 3\n    x y\n      ^\nSyntaxError: invalid syntax\n',
            'SyntaxError: invalid syntax in File "/lib/requests.py", line 3',
        ),
        ("Fatal Python error: Aborted\n\n  <no Python frame>\n", "Fatal Python error: Aborted"),
        ("ValueError: s3cret\n", "ValueError: [secret]"),
        ("x\n##vso[a]\x1b[1m\n", "#\\#vso[a]\\x1b[1m"),
    ],
)
def test_the_last_words_of_a_child_say_why_it_ended(printed: str, said: str) -> None:
    """One line, fit to be shown."""
    assert children.last_words(io.BytesIO(printed.encode()), [Secret("s3cret")]) == said


def test_a_child_writes_and_spells_as_this_process_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree that is not to be written to, folders beyond ASCII in another locale."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "pycache_prefix", "/elsewhere")
    code = "import sys; print(sys.flags.utf8_mode, sys.dont_write_bytecode, sys.pycache_prefix)"

    assert run(code) == f"{sys.flags.utf8_mode} True /elsewhere"
    assert run("import sys; print(sys.flags.isolated, sys.path[0] == '')") == "1 False"


def test_an_interpreter_that_needs_to_know_its_library_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PYTHONHOME alone of its variables; still nothing of the current directory is imported."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "json.py").write_text("raise SystemExit('taken from the current directory')")
    env = {**os.environ, "PYTHONHOME": sys.base_prefix, "PYTHONPATH": str(tmp_path)}

    child = children.start(
        "import sys, json; print(sys.flags.isolated, sys.path[0] == '')",
        env=children.environment(env),
    )

    assert child.communicate()[0].decode().strip() == "0 False"


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
        "print(repr(children.START), 'requests' in children.PLACES)"
    )
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, cwd=gone, capture_output=True, text=True, check=False)

    assert ended.stdout == "'' True\n", ended.stderr


def test_what_a_child_is_told_holds_no_secret() -> None:
    """Folders alone stand in its arguments."""
    assert set(json.loads(children.PLACES)) <= {PACKAGE, *children.DISTRIBUTIONS}
