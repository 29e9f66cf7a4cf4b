"""The names of files: the text of paths by pure functions, the rest on a real disk."""

from __future__ import annotations

import os
import sys
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_coveralls_submit.job.names import Names, relative

COMPONENTS = st.text(st.characters(blacklist_characters="/\\\0", codec="utf-8"), min_size=1).filter(
    lambda text: text not in {".", ".."}
)

posix = pytest.mark.skipif(sys.platform == "win32", reason="symlinks need rights on Windows")


def write(path: Path, text: str = "x = 1\n") -> str:
    """Write a file with its directories; its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """The top level of a repository, with something beside it."""
    (tmp_path / "top").mkdir()
    return (tmp_path / "top").resolve()


# -- the text of paths -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "start", "name"),
    [
        (r"C:\proj\pkg\a.py", r"C:\proj", "pkg/a.py"),
        (r"c:\PROJ\pkg\A.py", r"C:\proj", "pkg/A.py"),
        ("C:/proj/pkg/a.py", r"C:\proj", "pkg/a.py"),
        ("C:\\proj\\pkg\\a.py", "C:\\proj\\", "pkg/a.py"),
        (r"C:\proj\a.py", "C:\\", "proj/a.py"),
        (r"D:\proj\a.py", r"C:\proj", None),
        (r"C:\workshop\a.py", r"C:\proj", None),
        (r"C:\a.py", r"C:\proj", None),
        (r"C:\proj", r"C:\proj", None),
        (r"C:\proj\..\a.py", r"C:\proj", None),
        (r"C:\proj\x\..\a.py", r"C:\proj", None),
        (r"\proj\a.py", r"C:\proj", None),
        (r"proj\a.py", r"C:\proj", None),
        (r"\\host\share\proj\a.py", r"\\host\share\proj", "a.py"),
        (r"\\HOST\share\proj\a.py", "//host/Share/proj", "a.py"),
        (r"\\host\other\proj\a.py", r"\\host\share\proj", None),
        (r"\\?\C:\proj\pkg\a.py", r"C:\proj", "pkg/a.py"),
        (r"C:\proj\pkg\a.py", r"\\?\c:\proj", "pkg/a.py"),
        (r"\\?\UNC\host\share\proj\a.py", r"\\host\share\proj", "a.py"),
    ],
)
def test_windows_paths_become_names(path: str, start: str, name: str | None) -> None:
    """Drive letters and cases of any kind, backslashes and shares, tested on every system."""
    assert relative(PureWindowsPath(path), PureWindowsPath(start)) == name


@pytest.mark.parametrize(
    ("path", "start", "name"),
    [
        ("/proj/pkg/a.py", "/proj", "pkg/a.py"),
        ("/proj/pkg/a.py", "/proj/", "pkg/a.py"),
        ("/PROJ/a.py", "/proj", None),
        ("/workshop/a.py", "/proj", None),
        ("/proj", "/proj", None),
        ("/proj/../a.py", "/proj", None),
        ("a.py", "/proj", None),
        (r"/proj/back\slash.py", "/proj", r"back\slash.py"),
        ("/a.py", "/", "a.py"),
    ],
)
def test_posix_paths_become_names(path: str, start: str, name: str | None) -> None:
    """Below the top level is a name, anything else is outside."""
    assert relative(PurePosixPath(path), PurePosixPath(start)) == name


@settings(deadline=None)
@given(
    flavour=st.sampled_from([PurePosixPath, PureWindowsPath]),
    start=st.lists(COMPONENTS, max_size=3),
    rest=st.lists(COMPONENTS | st.just(".."), max_size=4),
)
def test_a_name_is_relative_and_leads_back(
    flavour: type[PurePath], start: list[str], rest: list[str]
) -> None:
    """A name never starts with / or leaves the top level; joined to it, it is the path again."""
    root = flavour("C:/", *start) if flavour is PureWindowsPath else flavour("/", *start)
    path = root.joinpath(*rest)
    name = relative(path, root)
    if name is not None:
        assert not name.startswith("/")
        assert ".." not in name.split("/")
        assert root / name == path


# -- on disk -----------------------------------------------------------------------------------


def test_a_file_is_named_from_the_top_level(top: Path) -> None:
    """Separators are /, the start is the top level, not the working directory."""
    path = write(top / "src" / "pkg" / "mod.py")
    assert Names(top).of(path) == "src/pkg/mod.py"
    assert Names(top).of(os.path.join("src", "pkg", "mod.py")) == "src/pkg/mod.py"  # noqa: PTH118
    assert Names(top).of(str(top / "src" / ".." / ".." / "top" / "src/pkg/mod.py")) == (
        "src/pkg/mod.py"
    )


def test_files_elsewhere_have_no_name(top: Path, tmp_path: Path) -> None:
    """Outside, `..`, the top level itself and what is no path at all."""
    write(tmp_path / "other.py")
    write(tmp_path / "topping" / "a.py")
    for path in (
        *(tmp_path / "other.py", tmp_path / "topping" / "a.py", top / ".." / "other.py"),
        *(top, top / "..", top.parent, "../other.py", "", ".", "..", "a\0b.py"),
    ):
        assert Names(top).of(str(path)) is None


@posix
def test_symlinks_are_resolved_on_both_sides(top: Path, tmp_path: Path) -> None:
    """The same name, through a link to the top level, to a directory or to the file."""
    path = write(top / "pkg" / "a.py")
    (tmp_path / "link").symlink_to(top)
    (top / "alias").symlink_to("pkg")
    (top / "pkg" / "other.py").symlink_to("a.py")
    (top / "outside.py").symlink_to(write(tmp_path / "outside.py"))
    (tmp_path / "inside.py").symlink_to(path)
    for start in (top, tmp_path / "link"):
        for reached in ("link/pkg/a.py", "top/alias/a.py", "top/pkg/other.py", "inside.py"):
            assert Names(start).of(str(tmp_path / reached)) == "pkg/a.py"
        assert Names(start).of(str(top / "outside.py")) is None


@posix
def test_each_directory_is_resolved_once(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of files cost one resolution for each directory, not for each file."""
    paths = [write(top / "pkg" / f"m{number}.py") for number in range(50)]
    resolved: list[str] = []
    realpath = os.path.realpath

    def counting(path: str) -> str:
        resolved.append(path)
        return realpath(path)

    names = Names(top)
    monkeypatch.setattr(os.path, "realpath", counting)
    assert [names.of(path) for path in paths] == [f"pkg/m{number}.py" for number in range(50)]
    assert resolved == [str(top / "pkg")]


@posix
def test_a_name_that_is_not_unicode_cannot_be_sent(top: Path) -> None:
    """A lone surrogate would make the whole job unreadable."""
    assert Names(top).of(os.fsdecode(os.fsencode(top) + b"/latin-\xe9.py")) is None
    assert Names(top).of(str(top / "latin-é.py")) == "latin-é.py"


# -- git's spelling ----------------------------------------------------------------------------


# Elsewhere the disk does by itself what is arranged here.
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs a case-sensitive disk")


@linux
@pytest.mark.parametrize(
    ("measured", "tracked"),
    [("PKG/mod.PY", "pkg/Mod.py"), ("cafe\N{COMBINING ACUTE ACCENT}.py", "café.py")],
)
def test_a_name_is_spelled_as_git_spells_it(top: Path, measured: str, tracked: str) -> None:
    """Case and Unicode form are git's if that is the same file on disk, else the file's own."""
    write(top / tracked)
    (top / measured).parent.mkdir(exist_ok=True)
    names = Names(top, frozenset({tracked, "other.py"}))
    assert names.is_tracked(tracked) is True
    assert names.is_tracked(measured) is False
    assert Names(top).is_tracked(tracked) is None
    assert names.of(str(top / measured)) == measured
    (top / measured).hardlink_to(top / tracked)
    assert names.of(str(top / measured)) == tracked


@linux
def test_an_ambiguous_spelling_is_left(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where git knows two spellings of the same file neither is chosen."""
    write(top / "mod.py")
    monkeypatch.setattr(os.path, "samefile", lambda *_: True)
    assert Names(top, frozenset({"Mod.py", "MOD.py"})).of(str(top / "mod.py")) == "mod.py"
    assert Names(top, frozenset({"mod.py", "MOD.py"})).of(str(top / "mod.py")) == "mod.py"


@linux
def test_another_way_to_the_top_level_counts(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On macOS the case that was typed is kept: what is the same directory is the top level."""
    write(top / "pkg" / "a.py")
    other = top.parent / "TOP"
    write(other / "pkg" / "a.py")
    assert Names(top).of(str(other / "pkg" / "a.py")) is None
    monkeypatch.setattr(
        os.path, "samefile", lambda one, two: str(one).casefold() == str(two).casefold()
    )
    assert Names(top).of(str(other / "pkg" / "a.py")) == "pkg/a.py"
    assert Names(top).of(write(other / "b.py")) == "b.py"


# -- installed copies --------------------------------------------------------------------------

INSTALLED = [
    ".tox/py/lib/python3.12/site-packages",
    "../venv/lib/python3/dist-packages",
    "../venv/Lib/site-packages",
    "build/lib",
    "build/lib.linux-x86_64-cpython-312",
]


@pytest.mark.parametrize("place", INSTALLED)
@pytest.mark.parametrize("source", ["", "src/", "lib/", "python/", "projects/one/src/"])
@pytest.mark.parametrize("listed", [True, False])
def test_an_installed_copy_has_the_name_of_its_source(
    top: Path, place: str, source: str, listed: bool
) -> None:
    """The identical file's name, in any layout that git lists, in the usual ones without git."""
    name = f"{source}pkg/sub/mod.py"
    write(top / name)
    copy = write(top / place / "pkg" / "sub" / "mod.py")
    sent = Names(top, frozenset({name, "mod.py", "pkg/mod.py"}) if listed else None).of(copy)
    if not listed and source.startswith("projects"):
        assert sent in {None, f"{place}/pkg/sub/mod.py"}
    else:
        assert sent == name


@pytest.mark.parametrize("place", INSTALLED[:3])
@pytest.mark.parametrize("tracked", [None, frozenset({"pkg/mod.py"})])
def test_an_installed_copy_of_something_else_is_outside(
    top: Path, place: str, tracked: frozenset[str] | None
) -> None:
    """A stale or foreign module is not ours, even if its environment lies below the top level."""
    write(top / "pkg" / "mod.py", "x = 1\n")
    stale = write(top / place / "pkg" / "mod.py", "x = 2\n")
    foreign = write(top / place / "attrs" / "mod.py")
    assert Names(top, tracked).of(stale) is None
    assert Names(top, tracked).of(foreign) is None
    assert Names(top, tracked).of(str(top / place / "pkg" / "gone.py")) is None


def test_the_nearest_identical_file_wins(top: Path) -> None:
    """Among identical files the shortest name is taken, among others the identical one."""
    for name in ("src/pkg/__init__.py", "pkg/__init__.py", "a/pkg/__init__.py"):
        write(top / name, "")
    write(top / "pkg" / "mod.py", "x = 2\n")
    write(top / "src" / "pkg" / "mod.py", "x = 1\n")
    write(top / "src" / "single.py", "x = 3\n")
    site = top / ".venv" / "site-packages" / "pkg"
    tracked = frozenset(
        path.relative_to(top).as_posix() for path in top.rglob("*.py") if path.is_file()
    )
    names = Names(top, tracked)
    assert names.of(write(site / "__init__.py", "")) == "pkg/__init__.py"
    assert names.of(write(site / "mod.py", "x = 1\n")) == "src/pkg/mod.py"
    assert names.of(write(site.parent / "single.py", "x = 3\n")) == "src/single.py"


def test_what_git_tracks_is_no_copy(top: Path) -> None:
    """A tracked file keeps its name, in whatever directory it lies."""
    write(top / "pkg" / "mod.py")
    name = "tests/data/site-packages/pkg/mod.py"
    assert Names(top, frozenset({name, "pkg/mod.py"})).of(write(top / name)) == name


def test_a_checkout_below_site_packages_is_no_copy(tmp_path: Path) -> None:
    """Only what lies below the top level decides there."""
    top = tmp_path / "site-packages" / "project"
    path = write(top / "pkg" / "mod.py")
    assert Names(top).of(path) == "pkg/mod.py"


def test_a_build_directory_of_the_projects_own_keeps_its_name(top: Path) -> None:
    """Without an identical file build/lib is a directory like any other."""
    path = write(top / "tools" / "build" / "lib" / "mod.py")
    assert Names(top).of(path) == "tools/build/lib/mod.py"
    assert Names(top, frozenset({"a.py"})).of(path) == "tools/build/lib/mod.py"


# -- settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base_dir", "src_dir", "sent"),
    [
        (None, None, "build/x/a.py"),
        ("", "", "build/x/a.py"),
        ("build/x", None, "a.py"),
        ("./build/x/", None, "a.py"),
        ("build\\x", None, "a.py"),
        ("build", None, "x/a.py"),
        ("buil", None, "build/x/a.py"),
        ("x", None, "build/x/a.py"),
        ("build/x/a.py", None, "build/x/a.py"),
        (None, "src", "src/build/x/a.py"),
        ("build/x", "/src/", "src/a.py"),
        ("other", "src\\pkg", "src/pkg/build/x/a.py"),
        (None, "../src", "src/build/x/a.py"),
    ],
)
def test_directories_are_removed_and_added(
    top: Path, base_dir: str | None, src_dir: str | None, sent: str
) -> None:
    """`base_dir` counts by whole components, `src_dir` comes before what remains."""
    path = write(top / "build" / "x" / "a.py")
    names = Names(top, base_dir=base_dir, src_dir=src_dir)
    name = names.of(path)
    assert name == "build/x/a.py"
    assert names.as_sent(name) == sent


def test_thousands_of_names_are_quick(top: Path) -> None:
    """Many modules of one file name do not make each lookup a search through all of them."""
    tracked = frozenset(f"src/p{number}/__init__.py" for number in range(20_000))
    assert Names(top, tracked)._by_end["p7/__init__.py"] == ["src/p7/__init__.py"]
