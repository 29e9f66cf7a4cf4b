"""The files that lie here: which of them were measured elsewhere, which were written since.

A path of another machine is a directory there and what lies below it: `/app` and `pkg/a.py`. Which
directory there is which one here is decided for all files together, and never guessed.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from ..measurement.data_files import Counterparts
from .files import count_lines
from .names import INSTALLED, by_end, end_of

MANY = 50
"""Files of one name (`__init__.py`) from which on their directory must have the same name too."""
IGNORED = {"node_modules", "site-packages", "dist-packages", "__pycache__"}
"""Directories that are not searched where git does not list the files."""


class Match(NamedTuple):
    """A file here that may be the measured one."""

    there: str
    """The directory of the other machine, and..."""
    here: str
    """...the one below the top level that it would be: empty, or with a `/` at its end."""
    name: str
    is_sure: bool
    """Whether more than the file's last component says so."""


class Checkout:
    """The files below a directory.

    Args:
        top: git's top level, else pytest's rootdir.
        tracked: what `git.tracked` says; None where git cannot say.
    """

    def __init__(self, top: Path, tracked: frozenset[str] | None = None) -> None:
        self._top = os.path.realpath(top)
        self._start = Path(self._top).as_posix().rstrip("/") + "/"
        self._tracked = tracked
        self._lengths: dict[str, int] = {}

    def counterparts(self, last_lines: Mapping[str, int], here: Collection[str]) -> Counterparts:
        """Find the files here that were measured elsewhere.

        A file is the measured one if both paths end alike, the other files agree on the
        directories, and no line that ran lies beyond its end. Of an installed copy the whole
        name below `site-packages` must be the end of the name here.

        Args:
            last_lines: measured path -> its last line that ran.
            here: measured paths that exist here.
        """
        matches = {path: list(self._matches(path, line)) for path, line in last_lines.items()}
        names = _decided(matches, is_mixed=bool(here))
        return Counterparts(
            {path: self._path(some[0]) for path, some in names.items() if len(some) == 1},
            {path: some for path, some in names.items() if len(some) > 1},
        )

    def changed_since(self, moment: float, paths: Iterable[str]) -> list[str]:
        """Return those of `paths` that were written later; none where all files here were.

        A checkout that was made after measuring is newer as a whole, and says nothing.
        """
        changed = [path for path in paths if _written(path) > moment]
        if changed and any(_written(self._path(name)) <= moment for name in self._names):
            return changed
        return []

    @cached_property
    def _names(self) -> Collection[str]:
        return list(_listed(self._top)) if self._tracked is None else self._tracked

    @cached_property
    def _by_end(self) -> dict[str, list[str]]:
        return by_end(self._names)

    def _path(self, name: str) -> str:
        return os.path.realpath(os.path.join(self._top, name))  # noqa: PTH118

    def _matches(self, path: str, last_line: int) -> Iterator[Match]:
        path = path.replace("\\", "/")
        installed = INSTALLED.fullmatch(path)
        if not installed and path.startswith(self._start):
            return  # it was measured here, and has gone since
        least = installed["name"].count("/") + 1 if installed else 1
        names = self._by_end.get(end_of(path, 1), [])
        if len(names) > MANY:
            names = self._by_end.get(end_of(path, 2), [])
        for name in names:
            components = _common(path, name)
            if components >= least and self._length(name) >= last_line:
                rest = end_of(name, components)
                is_sure = components > 1 or installed is not None
                yield Match(path.removesuffix(rest), name.removesuffix(rest), name, is_sure)

    def _length(self, name: str) -> int:
        """How many lines a file has, or may be measured to have; -1 where it cannot be read."""
        if name not in self._lengths:
            try:
                content = Path(self._path(name)).read_bytes()
                self._lengths[name] = count_lines(content) or 1  # Python 3.10 runs an empty one's
            except OSError:
                self._lengths[name] = -1
        return self._lengths[name]


def _common(one: str, other: str) -> int:
    """How many components at the ends of two paths are the same."""
    pairs = zip(reversed(one.split("/")), reversed(other.split("/")), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _decided(matches: Mapping[str, list[Match]], *, is_mixed: bool) -> dict[str, list[str]]:
    """Return measured path -> the names between which nothing decides, or the one name.

    Args:
        matches: of each measured path.
        is_mixed: whether other files were measured here: then a file of another place may be no
            file of this project, and has to show more than a like name.
    """
    places: dict[str, dict[str, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
    sure = set()
    for path, some in matches.items():
        for match in some:
            places[match.there][match.here][path] = match.name
            if match.is_sure:
                sure.add((match.there, match.here))
    if sure or is_mixed:
        for there, heres in places.items():
            for here in list(heres):
                is_shared = len(heres[here]) > 1 and (not is_mixed or not here)
                if (there, here) not in sure and not is_shared:
                    del heres[here]
    names: dict[str, list[str]] = {}
    # First what explains most, and of that the whole of a tree before its parts.
    for there in sorted(places, key=lambda there: (-_votes(places[there]), len(there))):
        names.update(_agreed(places[there], names))
        if _votes(places[there]) > 1:  # what is not below it here is no file of ours
            below = (path for path in matches if path.replace("\\", "/").startswith(there))
            names.update((path, []) for path in below if path not in names)
    return names


def _votes(heres: Mapping[str, Mapping[str, str]]) -> int:
    return max(map(len, heres.values()), default=0)


def _agreed(
    heres: Mapping[str, Mapping[str, str]], decided: Collection[str]
) -> dict[str, list[str]]:
    """Return what the files of one directory are called here, by all that it may be here."""
    names: dict[str, dict[str, str]] = defaultdict(dict)
    for here, files in heres.items():
        for path, name in files.items():
            if path not in decided:
                names[path][here] = name
    evident = {here for some in names.values() if len(some) == 1 for here in some}
    agreed = {}
    for path, some in names.items():
        likely = [name for here, name in some.items() if here in evident]
        agreed[path] = likely if len(likely) == 1 else sorted(some.values())
    return agreed


def _listed(top: str) -> Iterator[str]:
    for folder, folders, files in os.walk(top):
        folders[:] = [name for name in folders if name[0] != "." and name not in IGNORED]
        start = Path(folder).relative_to(top)
        yield from ((start / file).as_posix() for file in files)


def _written(path: str) -> float:
    """Return when a file was last written, in seconds; the end of time for one that is gone."""
    try:
        return os.stat(path).st_mtime  # noqa: PTH116  for thousands of files
    except OSError:
        return float("inf")
