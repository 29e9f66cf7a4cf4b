"""The names of files, on a real disk."""

from __future__ import annotations

import os
import sys
from pathlib import Path, PureWindowsPath

import pytest
from git_repository import posix

from pytest_coveralls_submit.job.names import Names, start_of_names


def write(path: Path, text: str = "x = 1\n") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """The top level of a repository, with something beside it."""
    (tmp_path / "top").mkdir()
    return (tmp_path / "top").resolve()


def names_of(top: Path, *names: str, near: str = ".") -> Names:
    """Write files with the same bytes, which git tracks."""
    for name in names:
        write(top / name)
    return Names(top, frozenset(names), near=[top, top / near])


def test_a_file_is_named_from_the_top_level(top: Path) -> None:
    path = write(top / "src" / "pkg" / "mod.py")
    assert Names(top).name_for(path) == "src/pkg/mod.py"
    assert Names(top).name_for(os.path.join("src", "pkg", "mod.py")) == "src/pkg/mod.py"  # noqa: PTH118
    back = str(top / "src" / ".." / ".." / "top" / "src/pkg/mod.py")
    assert Names(top).name_for(back) == "src/pkg/mod.py"


def test_files_elsewhere_have_no_name(top: Path, tmp_path: Path) -> None:
    beside, above = write(tmp_path / "topping" / "a.py"), write(tmp_path / "other.py")
    for path in (beside, above, "../other.py"):
        assert Names(top).name_for(path) is None


@pytest.mark.parametrize(
    ("folder", "top", "start"),
    [
        ("D:\\a\\Repo\\src\\pkg", "d:\\A\\repo", "src/pkg/"),
        ("D:\\a\\repo", "D:\\a\\repo\\", ""),
        ("\\\\server\\share\\repo\\pkg", "\\\\SERVER\\share\\repo", "pkg/"),
        ("C:\\a\\repo\\pkg", "D:\\a\\repo", None),
        ("D:\\a\\repo2", "D:\\a\\repo", None),
    ],
)
def test_directories_of_windows_start_names_too(folder: str, top: str, start: str | None) -> None:
    assert start_of_names(PureWindowsPath(folder), PureWindowsPath(top)) == start


@posix
def test_symlinks_are_resolved_on_both_sides(top: Path, tmp_path: Path) -> None:
    path = write(top / "pkg" / "a.py")
    (tmp_path / "link").symlink_to(top)
    (top / "alias").symlink_to("pkg")
    (top / "pkg" / "other.py").symlink_to("a.py")
    (top / "outside.py").symlink_to(write(tmp_path / "outside.py", "y = 2\n"))
    (tmp_path / "inside.py").symlink_to(path)
    for start in (top, tmp_path / "link"):
        for reached in ("link/pkg/a.py", "top/alias/a.py", "top/pkg/other.py", "inside.py"):
            assert Names(start).name_for(str(tmp_path / reached)) == "pkg/a.py"
        assert Names(start).name_for(str(top / "outside.py")) is None


@posix
def test_a_name_that_is_not_unicode_cannot_be_sent(top: Path) -> None:
    assert Names(top).name_for(os.fsdecode(os.fsencode(top) + b"/latin-\xe9.py")) is None
    assert Names(top).name_for(str(top / "latin-é.py")) == "latin-é.py"


# Elsewhere the disk does by itself what is arranged here.
@pytest.mark.skipif(sys.platform != "linux", reason="needs a case-sensitive disk")
def test_a_name_is_spelled_as_git_spells_it(top: Path) -> None:
    names = names_of(top, "pkg/Mod.py")
    assert names.is_untracked("PKG/mod.py")
    assert not names.is_untracked("pkg/Mod.py")
    assert not Names(top).is_untracked("PKG/mod.py")

    write(top / "PKG" / "mod.py")
    assert names.name_for(str(top / "PKG" / "mod.py")) == "PKG/mod.py"
    (top / "PKG" / "mod.py").unlink()
    (top / "PKG" / "mod.py").hardlink_to(top / "pkg" / "Mod.py")
    assert names.name_for(str(top / "PKG" / "mod.py")) == "pkg/Mod.py"


COPIES = [
    ".tox/py/lib/python3.12/site-packages",
    "../venv/lib/python3/dist-packages",
    "../cache/uv/archive-v0/f00",
]


@pytest.mark.parametrize("place", COPIES)
@pytest.mark.parametrize("source", ["", "src/", "projects/one/src/"])
@pytest.mark.parametrize("module", ["pkg/sub/mod.py", "mod.py"])
def test_an_installed_copy_has_the_name_of_its_source(
    top: Path, place: str, source: str, module: str
) -> None:
    names = names_of(top, f"{source}{module}", "other/thing.py")
    copy = write(top / place / module)

    assert names.name_for(copy) == f"{source}{module}"
    assert Names(top).name_for(copy) == f"{source}{module}"  # git cannot say what it tracks


@posix
def test_links_to_a_cache_have_the_name_of_their_source(top: Path, tmp_path: Path) -> None:
    """``uv pip install --link-mode=symlink``: coverage names the file in the cache."""
    names = names_of(top, "src/pkg/mod.py")
    cached = write(tmp_path / "cache" / "f00" / "pkg" / "mod.py")
    link = top / ".venv" / "lib" / "site-packages" / "pkg" / "mod.py"
    link.parent.mkdir(parents=True)
    link.symlink_to(cached)

    assert names.name_for(str(link)) == names.name_for(cached) == "src/pkg/mod.py"


@pytest.mark.parametrize("place", COPIES)
def test_other_bytes_or_another_end_are_another_file(top: Path, place: str) -> None:
    names = names_of(top, "pkg/mod.py", "single.py")
    write(top / place / "attrs" / "__init__.py", "")
    for copy in (
        write(top / place / "pkg" / "mod.py", "x = 2\n"),
        write(top / place / "attrs" / "mod.py"),
        write(top / place / "attrs" / "single.py"),
        str(top / place / "pkg" / "gone.py"),
    ):
        assert names.name_for(copy) is None
    assert names.ambiguous == {}


@pytest.mark.parametrize("place", COPIES)
@pytest.mark.parametrize("module", ["common/core.py", "core.py"])
def test_the_copy_of_one_project_is_not_taken_for_the_others(
    top: Path, place: str, module: str
) -> None:
    """Both have a module in the same words: the one below rootdir or start directory counts."""
    sources = [f"api/src/{module}", f"web/src/{module}"]
    copy = write(top / place / module)

    for project, source in zip(("api", "web"), sources, strict=True):
        names = names_of(top, *sources, near=project)
        assert names.name_for(copy) == source
        assert names.notices == []

    names = names_of(top, *sources)
    assert names.name_for(copy) is None
    assert names.notices == [
        f"left out {copy}, which may be {' or '.join(sources)}: run pytest in its project"
    ]


def test_the_copy_of_a_whole_tree_says_which_project_it_is_of(top: Path) -> None:
    names = names_of(top, "api/src/common/core.py", "web/src/common/core.py", near="api")
    copy = write(top.parent / "execroot" / "web" / "src" / "common" / "core.py")
    assert names.name_for(copy) == "web/src/common/core.py"


def test_what_git_tracks_is_no_copy(top: Path) -> None:
    name = "tests/data/site-packages/pkg/mod.py"
    assert names_of(top, name, "pkg/mod.py").name_for(str(top / name)) == name
    below = top / "site-packages"
    assert Names(below).name_for(write(below / "pkg" / "mod.py")) == "pkg/mod.py"


@pytest.mark.parametrize(
    ("base_dir", "src_dir", "sent"),
    [
        ("", "", "build/x/a.py"),
        ("./build/x/", None, "a.py"),
        ("buil", None, "build/x/a.py"),
        ("build/x", "/src/", "src/a.py"),
        ("other", "src\\pkg", "src/pkg/build/x/a.py"),
        (None, "../src", "src/build/x/a.py"),
    ],
)
def test_directories_are_removed_and_added(
    top: Path, base_dir: str | None, src_dir: str | None, sent: str
) -> None:
    """``base_dir`` counts by whole components."""
    assert Names(top, base_dir=base_dir, src_dir=src_dir).as_sent("build/x/a.py") == sent
