"""Name files as Coveralls looks them up in the repository."""

import contextlib
import filecmp
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePath

from ..text import common_end, ending, group_by_end, installed_name, is_unicode

_IGNORED = {"node_modules", "site-packages", "dist-packages", "__pycache__"}


@dataclass
class Names:
    """Name the files of one repository."""

    top: Path  # git's top level, else pytest's rootdir
    tracked: frozenset[str] | None = None  # None where git cannot say
    near: Sequence[Path] = ()  # of several sources of an installed copy, the one below these counts
    base_dir: str | None = None
    src_dir: str | None = None
    ambiguous: dict[str, list[str]] = field(default_factory=dict)  # path of a copy -> its sources
    _directories: dict[str, tuple[str, str | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.top = Path(os.path.realpath(self.top))

    def name_for(self, path: str) -> str | None:
        """Return a file's name; None outside of the repository.

        Symlinks are resolved on both sides. A copy of a tracked file, outside of the repository or
        in ``site-packages`` below it, gets the name of that file.
        """
        if not is_unicode(path):
            return None
        folder, below, file = self._locate(os.path.join(self.top, path))  # noqa: PTH118
        name = None if below is None else f"{below}{file}"
        if self.tracked is not None and name in self.tracked:
            return name
        if name is not None and not installed_name(name):
            return self._as_git_spells(name)
        names = self._originals(Path(folder, file))
        if len(names) > 1:
            self.ambiguous[path] = names
        return names[0] if len(names) == 1 else None

    def is_untracked(self, name: str) -> bool:
        """Tell if git does not track a name."""
        return self.tracked is not None and name not in self.tracked

    def as_sent(self, name: str) -> str:
        """Remove ``base_dir`` from a name and add ``src_dir``."""
        return _directory(self.src_dir) + name.removeprefix(_directory(self.base_dir))

    @property
    def notices(self) -> list[str]:
        """Return a line for each ambiguous file."""
        return [
            f"left out {path}, which may be {' or '.join(names[:5])}: run pytest in its project"
            for path, names in sorted(self.ambiguous.items())[:5]
        ]

    def _locate(self, path: str) -> tuple[str, str | None, str]:
        if os.path.islink(path):  # noqa: PTH114
            path = os.path.realpath(path)
        folder, file = os.path.split(path)
        # Once for each directory, because it takes a system call for each parent.
        if folder not in self._directories:
            real = os.path.realpath(folder)
            self._directories[folder] = real, start_of_names(Path(real), self.top)
        return *self._directories[folder], file

    def _originals(self, copy: Path) -> list[str]:
        """Return the tracked files that may be its source."""
        path = copy.as_posix()
        in_package = os.path.exists(copy.with_name("__init__.py"))  # noqa: PTH110
        if installed := installed_name(path):
            path, in_package = installed, "/" in installed
        ends = [ending(path, 2)] if in_package else [ending(path, 2), copy.name]
        alike = (
            [name for name in self._by_end.get(end, ()) if _have_same_bytes(copy, self.top / name)]
            for end in ends
        )
        names = next(filter(None, alike), [])
        longest = max((common_end(path, name) for name in names), default=0)
        names = [name for name in names if common_end(path, name) == longest]
        for folder in self.near if len(names) > 1 else ():
            start = start_of_names(Path(os.path.realpath(folder)), self.top)
            names = [name for name in names if start and name.startswith(start)] or names
        return names

    def _as_git_spells(self, name: str) -> str:
        # The disk may ignore case.
        spelled = self._by_case.get(name.casefold())
        with contextlib.suppress(OSError):
            if spelled and (self.top / name).samefile(self.top / spelled):
                return spelled
        return name

    @cached_property
    def files(self) -> Iterable[str]:
        """List all names: git's, else those on disk."""
        return _list_files(self.top) if self.tracked is None else self.tracked

    @cached_property
    def _by_end(self) -> Mapping[str, Sequence[str]]:
        return group_by_end(self.files)

    @cached_property
    def _by_case(self) -> Mapping[str, str]:
        return {name.casefold(): name for name in self.tracked or ()}


def start_of_names(folder: PurePath, top: PurePath) -> str | None:
    """Return the start of a directory's names, if inside."""
    try:
        name = folder.relative_to(top).as_posix()  # in any case on Windows
    except ValueError:
        return None
    return "" if name == "." else f"{name}/"


def _directory(setting: str | None) -> str:
    parts = (setting or "").replace("\\", "/").split("/")
    return "".join(f"{part}/" for part in parts if part not in {"", ".", ".."})


def _have_same_bytes(one: Path, other: Path) -> bool:
    try:
        return not other.is_symlink() and filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False


def _list_files(top: Path) -> list[str]:
    names = []
    for folder, folders, files in os.walk(top):
        folders[:] = [name for name in folders if name[0] != "." and name not in _IGNORED]
        start = Path(folder).relative_to(top)
        names += [(start / file).as_posix() for file in files]
    return names
