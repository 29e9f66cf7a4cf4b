"""A path on disk -> the file's name in the repository, as Coveralls looks it up there.

Whether the file can be read, and what is done about two files of one name, is left to others.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from functools import cached_property
from pathlib import Path, PurePath
from typing import TYPE_CHECKING
from unicodedata import normalize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# What stands between the last of these directories and the file is the installed name.
INSTALLED = re.compile(r"(?:.*/)?(?:site|dist)-packages/(?P<name>.+)", re.DOTALL)
# setuptools' copy: build/lib or build/lib.linux-x86_64-cpython-312
_BUILT = re.compile(r"(?:.*/)?build/lib(?:\.[^/]+)?/(?P<name>.+)", re.DOTALL)
_SOURCES = ("", "src/", "lib/", "python/")  # where packages live when git cannot list them
_EXTENDED = re.compile(r"^\\\\\?\\(?:(UNC)\\)?", re.IGNORECASE)  # \\?\C:\x, \\?\UNC\host\share


def relative(path: PurePath, top: PurePath) -> str | None:
    """`path` relative to `top` with `/` as separator; None if it is not below `top`.

    Only the text counts, by the rules of the paths' own flavour: on Windows case does not matter,
    another drive or share is elsewhere. A path with `..` could lead anywhere and gives None.
    """
    try:
        name = _plain(path).relative_to(_plain(top))
    except ValueError:
        return None
    return name.as_posix() if name.parts and ".." not in name.parts else None


def _plain(path: PurePath) -> PurePath:
    r"""Without the prefix `\\?\`, which Python and coverage.py add to long paths on Windows."""
    text = str(path)
    if not text.startswith("\\\\?\\"):
        return path
    return type(path)(_EXTENDED.sub(lambda match: r"\\" if match[1] else "", text))


class Names:
    """The names of the files of one repository.

    Args:
        top: git's top level, else pytest's rootdir.
        tracked: what `git.tracked` says.
        base_dir: a directory that is removed from the start of every name that has it.
        src_dir: a directory that is put before every name.
    """

    def __init__(
        self,
        top: Path,
        tracked: frozenset[str] | None = None,
        *,
        base_dir: str | None = None,
        src_dir: str | None = None,
    ) -> None:
        self._top = os.path.realpath(top)
        self._tracked = tracked
        self._base = _directory(base_dir)
        self._source = _directory(src_dir)
        self._directories: dict[str, tuple[str, str | None]] = {}
        """Directory -> its real path, and the start of names below it; None outside."""

    def of(self, path: str) -> str | None:
        """The name of the file at `path`, None if it is outside the repository.

        Symlinks are resolved on both sides, the spelling is git's, and a file of an installed
        copy (in `site-packages`) has the name of the identical file in the repository: without
        one it is outside, even if the copy lies below the top level. A relative path starts at
        the top level. A name that is not valid Unicode cannot be sent and gives None.
        """
        if "\0" in path:
            return None
        directory, below, file = self._located(os.path.join(self._top, path))  # noqa: PTH118
        name = None if below is None or file in {"", ".", ".."} else f"{below}{file}"
        if name is None or self._tracked is None or name not in self._tracked:
            name = self._in_repository(os.path.join(directory, file), name)  # noqa: PTH118
        return name if name is None or _is_unicode(name) else None

    def is_tracked(self, name: str) -> bool | None:
        """Whether git tracks the file of that name; None if git cannot say."""
        return None if self._tracked is None else name in self._tracked

    def _located(self, path: str) -> tuple[str, str | None, str]:
        """The real directory of a file, the start of names below it, and the file's own name.

        Resolving costs a system call for each directory on the way, so it is done once for each
        directory; a file then costs one call, which tells whether it is a symlink itself.
        """
        if os.path.islink(path):  # noqa: PTH114
            path = os.path.realpath(path)
        directory, file = os.path.split(path)
        if directory not in self._directories:
            real = os.path.realpath(directory)
            self._directories[directory] = real, self._below_top(Path(real))
        return *self._directories[directory], file

    def _below_top(self, directory: Path) -> str | None:
        """A real directory's path below the top level: empty, or with a `/` at its end."""
        if str(directory) == self._top:
            return ""
        name = relative(directory, Path(self._top))
        if name is not None:
            return f"{name}/"
        # The same directory in another spelling: macOS keeps the case that was typed.
        for parent in (directory, *directory.parents):
            if _same_file(parent, self._top):
                name = relative(directory, parent)
                return f"{name}/" if name else ""
        return None

    def _in_repository(self, real: str, name: str | None) -> str | None:
        """The name of a file that git does not list as it is."""
        path = name or PurePath(real).as_posix()
        if installed := INSTALLED.fullmatch(path):
            return self._identical(real, installed["name"])
        if built := _BUILT.fullmatch(path):
            # Unlike site-packages this may be a directory of the project's own.
            return self._identical(real, built["name"]) or name
        return name and self._spelled(real, name)

    def _identical(self, copy: str, installed: str) -> str | None:
        """The file of the repository that `copy` was installed from, the shortest name first."""
        if self._tracked is None:
            candidates = [f"{source}{installed}" for source in _SOURCES]
        else:
            candidates = [
                name
                for name in self._by_end.get(end_of(installed, 2), ())
                if name == installed or name.endswith(f"/{installed}")
            ]
        candidates.sort(key=lambda name: (len(name), name))
        return next((name for name in candidates if same_bytes(copy, Path(self._top, name))), None)

    def _spelled(self, real: str, name: str) -> str:
        """The name as git has it, where upper and lower case or NFC and NFD are the same file."""
        if self._tracked is None:
            return name
        candidates = [
            other
            for other in self._by_fold.get(_fold(name), ())
            if _same_file(real, Path(self._top, other))
        ]
        return candidates[0] if len(candidates) == 1 else name

    def as_sent(self, name: str) -> str:
        """The name as it is sent: with `base_dir` removed and `src_dir` put before it."""
        if self._source or self._base:
            return f"{self._source}{name.removeprefix(self._base)}"
        return name

    @cached_property
    def _by_end(self) -> dict[str, list[str]]:
        return by_end(self._tracked or ())

    @cached_property
    def _by_fold(self) -> dict[str, list[str]]:
        return _grouped(self._tracked or (), lambda name: {_fold(name)})


def by_end(names: Iterable[str]) -> dict[str, list[str]]:
    """Group names by their last component, and by their last two.

    By two, for there may be thousands of `__init__.py`.
    """
    return _grouped(names, lambda name: {end_of(name, 1), end_of(name, 2)})


def _grouped(names: Iterable[str], keys: Callable[[str], Iterable[str]]) -> dict[str, list[str]]:
    groups = defaultdict(list)
    for name in names:
        for key in keys(name):
            groups[key].append(name)
    return groups


def end_of(name: str, components: int) -> str:
    """Return the last components of a name."""
    return "/".join(name.rsplit("/", components)[-components:])


def _fold(name: str) -> str:
    return normalize("NFC", normalize("NFC", name).casefold())


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _directory(setting: str | None) -> str:
    """A setting as the start of a name: whole components, each followed by `/`."""
    parts = (setting or "").replace("\\", "/").split("/")
    return "".join(f"{part}/" for part in parts if part not in {"", ".", ".."})


def _same_file(one: str | Path, other: str | Path) -> bool:
    try:
        return os.path.samefile(one, other)  # noqa: PTH121
    except (OSError, ValueError):
        return False


def same_bytes(one: str | Path, other: str | Path) -> bool:
    """Tell whether two files can be read and hold the same."""
    try:
        return Path(other).stat().st_size == Path(one).stat().st_size and (
            Path(other).read_bytes() == Path(one).read_bytes()
        )
    except (OSError, ValueError):
        return False
