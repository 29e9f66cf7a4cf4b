"""Files that were measured elsewhere find those that lie here, or are left alone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_coveralls_submit.job.checkout import Checkout
from pytest_coveralls_submit.measurement.data_files import Counterparts, Measured


def checkout(top: Path, *names: str, listed: bool = True) -> Checkout:
    """Files of three lines each, as git lists them."""
    for name in names:
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1\n2\n3\n")
    return Checkout(top, frozenset(names) if listed else None)


def found(here: Checkout, lines: Mapping[str, int], own: Iterable[str] = ()) -> Counterparts:
    """What the files of one data file are called here."""
    (counterparts,) = here.counterparts([Measured(lines, {*own})])
    return counterparts


PROJECT = ("setup.py", "pkg/__init__.py", "pkg/a.py", "pkg/sub/__init__.py", "pkg/sub/a.py")
SOURCES = ("src/pkg/__init__.py", "src/pkg/a.py", "src/mod.py", "tests/pkg/__init__.py")

FOUND: Mapping[str, tuple[tuple[str, ...], Mapping[str, str]]] = {
    "a whole tree": (PROJECT, {f"/app/{name}": name for name in PROJECT}),
    "Windows": (
        PROJECT,
        {r"C:\w\setup.py": "setup.py", r"C:\w\pkg\sub\a.py": "pkg/sub/a.py"},
    ),
    "without a start": (PROJECT, {"work/pkg/a.py": "pkg/a.py"}),
    "a part of a tree": (SOURCES, {"/app/pkg/a.py": "src/pkg/a.py", "/app/mod.py": "src/mod.py"}),
    "installed": (
        SOURCES,
        {
            "/v/lib/python3.12/site-packages/pkg/__init__.py": "src/pkg/__init__.py",
            "/v/lib/python3.12/site-packages/pkg/a.py": "src/pkg/a.py",
            "/v/lib/python3.12/site-packages/mod.py": "src/mod.py",
        },
    ),
    "one installed module": (SOURCES, {r"D:\v\Lib\site-packages\mod.py": "src/mod.py"}),
    "two machines": (PROJECT, {"/app/pkg/a.py": "pkg/a.py", "/other/pkg/a.py": "pkg/a.py"}),
    "one file": (("mod.py", "b.py"), {"/app/mod.py": "mod.py"}),
    "a directory of the same name": (
        ("conftest.py", "app/conftest.py", "app/main.py"),
        {"/app/conftest.py": "conftest.py", "/app/app/main.py": "app/main.py"},
    ),
    "which of two is said by a third": (
        ("a/x/mod.py", "a/x/one.py", "b/x/mod.py"),
        {"/app/x/mod.py": "a/x/mod.py", "/app/x/one.py": "a/x/one.py"},
    ),
}


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize(("names", "expected"), FOUND.values(), ids=FOUND)
def test_a_file_of_another_machine_is_found(
    tmp_path: Path, names: tuple[str, ...], expected: Mapping[str, str], listed: bool
) -> None:
    """By what the ends of the paths have in common, of all files together."""
    top = tmp_path.resolve()
    here = checkout(top, *names, listed=listed)

    counterparts = found(here, dict.fromkeys(expected, 3))

    assert counterparts.paths == {path: str(top / name) for path, name in expected.items()}
    assert counterparts.ambiguous == {}


NOT_FOUND = {
    "no such name": (PROJECT, {"/app/other.py": 1}, ()),
    "too short": (PROJECT, {"/app/pkg/a.py": 4}, ()),
    "installed, of somebody else": (
        PROJECT,
        {"/v/site-packages/attrs/__init__.py": 1, "/v/site-packages/other/sub/a.py": 1},
        (),
    ),
    "not below the directory that the others agree on": (
        ("pkg/a.py", "pkg/b.py", "other/version.py"),
        {"/app/version.py": 1},
        ("/app/pkg/a.py", "/app/pkg/b.py"),
    ),
    "a like name alone, among others that say more": (
        ("pkg/a.py", "tests/conftest.py"),
        {"/tmp/x/conftest.py": 1},
        ("/app/pkg/a.py",),
    ),
}


@pytest.mark.parametrize(("names", "unknown", "known"), NOT_FOUND.values(), ids=NOT_FOUND)
def test_what_is_no_file_of_this_checkout_is_left(
    tmp_path: Path, names: tuple[str, ...], unknown: dict[str, int], known: tuple[str, ...]
) -> None:
    """A like name is not enough."""
    here = checkout(tmp_path, *names)

    counterparts = found(here, {**unknown, **dict.fromkeys(known, 1)})

    assert counterparts.paths.keys() == set(known)
    assert counterparts.ambiguous == {}


def test_a_file_of_this_place_that_is_gone_is_not_looked_for(tmp_path: Path) -> None:
    """It was removed or moved since, unless it is an installed copy that was left behind."""
    top = tmp_path.resolve()
    here = checkout(top, "src/pkg/a.py", "src/pkg/b.py")
    (top / "src/pkg/b.py").unlink()
    copy = f"{top}/.tox/py/lib/python3.12/site-packages/pkg"

    counterparts = found(here, {f"{top}/pkg/a.py": 1, f"{copy}/a.py": 1, f"{copy}/b.py": 1})

    assert counterparts.paths == {f"{copy}/a.py": f"{top}/src/pkg/a.py"}
    assert here.changed_since(0, [f"{top}/src/pkg/b.py"]) == []


def test_among_files_that_were_measured_here_a_like_name_is_not_enough(tmp_path: Path) -> None:
    """Tests write files of their own that are gone: they are no files of the project."""
    here = checkout(tmp_path, "tests/conftest.py", "tests/test_a.py", "mod.py", "pkg/a.py")
    lines = {"/tmp/x/conftest.py": 1, "/tmp/x/test_a.py": 1, "/app/pkg/a.py": 1}

    counterparts = found(here, lines, ["/here/mod.py"])

    assert counterparts.paths.keys() == {"/app/pkg/a.py"}


def test_each_data_file_may_be_of_a_place_of_its_own(tmp_path: Path) -> None:
    """Two containers have their service in the same folder; one that is unsure follows the rest."""
    here = checkout(tmp_path, "api/main.py", "api/a.py", "web/main.py", "web/b.py")
    api = Measured({"/app/main.py": 3, "/app/a.py": 1}, ())
    web = Measured({"/app/main.py": 2, "/app/b.py": 1}, ())
    unsure = Measured({"/app/main.py": 1}, ())
    top = str(tmp_path.resolve())

    found = here.counterparts([api, web])

    assert [counterparts.paths["/app/main.py"] for counterparts in found] == [
        f"{top}/api/main.py",
        f"{top}/web/main.py",
    ]
    (_, one) = here.counterparts([api, unsure])
    assert one.paths == {"/app/main.py": f"{top}/api/main.py"}
    (_, _, one) = here.counterparts([api, web, unsure])
    assert (one.paths, [*one.ambiguous]) == ({}, ["/app/main.py"])


def test_an_installed_copy_below_the_project_of_another_machine_is_found(tmp_path: Path) -> None:
    """The tests that lie beside `.tox` agree on a directory that it is below, too."""
    here = checkout(tmp_path, "src/pkg/core.py", "tests/test_a.py", "tests/test_b.py")
    lines = {
        "/w/p/.tox/py/lib/python3.12/site-packages/pkg/core.py": 1,
        "/w/p/tests/test_a.py": 1,
        "/w/p/tests/test_b.py": 1,
    }

    assert found(here, lines).paths.keys() == lines.keys()


def test_a_copy_of_the_checkout_that_was_measured_is_known_by_its_content(tmp_path: Path) -> None:
    """It still lies there: what differs is another file."""
    here = checkout(tmp_path / "one", "pkg/a.py", "pkg/b.py")
    checkout(tmp_path / "two", "pkg/a.py", "pkg/b.py")
    other = tmp_path.resolve() / "two" / "pkg"
    (other / "b.py").write_text("3\n2\n1\n")

    assert not here.holds(str(other / "a.py"))
    counterparts = found(here, {str(other / "a.py"): 3, str(other / "b.py"): 3})

    assert counterparts.paths == {
        str(other / "a.py"): str(tmp_path.resolve() / "one" / "pkg" / "a.py")
    }


def test_what_a_test_wrote_is_not_taken_for_the_file_that_was_measured_beside_it(
    tmp_path: Path,
) -> None:
    """The directory is gone; only in another data file could it be the same one."""
    here = checkout(tmp_path, "tests/test_a.py", "conftest.py", "pkg/core.py")
    lines = {"/tmp/t0/conftest.py": 1, "/tmp/t0/tests/test_a.py": 3}

    own = (f"{tmp_path.resolve()}/{name}" for name in ("tests/test_a.py", "pkg/core.py"))
    assert found(here, lines, own).paths == {}
    assert found(here, lines).paths.keys() == lines.keys()


@pytest.mark.parametrize(
    "lines",
    [
        {"/app/x/mod.py": 1},
        {"/app/x/mod.py": 1, "/app/x/one.py": 1, "/app/x/two.py": 1},
        {"/v/site-packages/x/mod.py": 1},
    ],
)
def test_what_may_be_two_files_is_neither(tmp_path: Path, lines: dict[str, int]) -> None:
    """The others say nothing, or both."""
    here = checkout(tmp_path, "a/x/mod.py", "b/x/mod.py", "a/x/one.py", "b/x/two.py")

    counterparts = found(here, lines)

    (path,) = (path for path in lines if path.endswith("mod.py"))
    assert counterparts.ambiguous == {path: ["a/x/mod.py", "b/x/mod.py"]}
    assert len(counterparts.paths) == len(lines) - 1


NAMES = st.lists(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join), unique=True, min_size=2
)


@settings(deadline=None)
@given(NAMES, st.sampled_from(["/", "/x/", "/x/y/"]))
def test_a_tree_that_was_moved_as_a_whole_is_never_mistaken(names: list[str], there: str) -> None:
    """Whatever the names: each path is its own file's, or nobody's."""
    here = Checkout(Path("/no/such/top"), frozenset(names))
    here._lengths = dict.fromkeys(names, 3)

    counterparts = found(here, {f"{there}{name}": 1 for name in names})

    for path, other in counterparts.paths.items():
        assert path.removeprefix(there) == other.removeprefix("/no/such/top/")


def test_thousands_of_files_of_one_name_are_quick(tmp_path: Path) -> None:
    """Only those in a directory of the same name are compared."""
    names = [f"p{number}/__init__.py" for number in range(3000)]
    here = checkout(tmp_path, *names[:5])
    many = Checkout(tmp_path, frozenset(names))

    assert len(here._matches("/app/p7/__init__.py", 1, [])) == 5
    assert len(many._matches("/app/p3/__init__.py", 1, [])) == 1


def test_what_was_written_later_is_told(tmp_path: Path) -> None:
    """Unless all was: then the checkout was made later."""
    here = checkout(tmp_path, "a.py", "b.py")
    for name, moment in (("a.py", 200), ("b.py", 100)):
        os.utime(tmp_path / name, (moment, moment))
    paths = [str(tmp_path / name) for name in ("a.py", "b.py")]

    assert here.changed_since(150, paths) == paths[:1]
    assert here.changed_since(250, paths) == []
    assert here.changed_since(50, paths) == []
    assert here.changed_since(150, [f"{tmp_path}/x.zip/a.py", paths[0]]) == paths[:1]
