"""The files that lie here: which of them were measured elsewhere, which were written since.

A path of another machine is a directory there and what lies below it: `/app` and `pkg/a.py`. Which
directory there is which one here is decided for all files together, and never guessed.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from itertools import takewhile
from pathlib import Path, PurePath
from typing import NamedTuple, TypeAlias

from ..measurement.data_files import Counterparts, Measured
from .names import INSTALLED, by_end, end_of, same_bytes
from .source_files import count_lines

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


class Decision(NamedTuple):
    """What a measured file is called here."""

    names: list[str]
    """One, or those between which nothing decides; none where it is no file of ours."""
    votes: int
    """How many files agree on the directories."""


Matches: TypeAlias = Mapping[str, list[Match]]
"""Measured path -> the files here that it may be."""


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
        # Several data files name the same paths.
        self._real: Callable[[str], str] = cache(os.path.realpath)
        self._exists: Callable[[str], bool] = cache(os.path.exists)

    def holds(self, path: str) -> bool:
        """Tell whether the file of an absolute path lies here, or is an installed copy.

        What lies in another folder may be a copy of the checkout that was measured there.
        """
        if not self._exists(path):
            return False
        posix = PurePath(self._real(path)).as_posix()
        return posix.startswith(self._start) or INSTALLED.fullmatch(posix) is not None

    def counterparts(self, runs: Sequence[Measured]) -> list[Counterparts]:
        """Find the files here that were measured elsewhere, for each data file.

        A file is the measured one if both paths end alike, the other files agree on the
        directories, and no line that ran lies beyond its end; where the measured one can be read,
        if both are the same. Of an installed copy the whole name below `site-packages` must be
        the end of the name here.

        A data file decides by itself where two of its files agree: each may come from a place of
        its own. Else all of them together do.
        """
        matches = [self._fitting(run) for run in runs]
        together = _decided(_shared(matches), is_mixed=any(run.here for run in runs))
        found = []
        for run, own in zip(runs, matches, strict=True):
            alone = _decided(own, is_mixed=bool(run.here))
            names = {path: _stronger(alone[path], together[path]).names for path in own}
            found.append(
                Counterparts(
                    {path: self._path(some[0]) for path, some in names.items() if len(some) == 1},
                    {path: some for path, some in names.items() if len(some) > 1},
                )
            )
        return found

    def _fitting(self, run: Measured) -> Matches:
        own = {self._real(path) for path in run.here}
        return {path: self._matches(path, line, own) for path, line in run.last_lines.items()}

    def changed_since(self, moment: float, paths: Iterable[str]) -> list[str]:
        """Return those of `paths` that were written later; none where all files here were.

        A checkout that was made after measuring is newer as a whole, and says nothing.
        """
        changed = [path for path in paths if moment < _written(path) < float("inf")]
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
        return self._real(os.path.join(self._top, name))  # noqa: PTH118

    def _matches(self, measured: str, last_line: int, own: Collection[str]) -> list[Match]:
        """Return the files here that the measured one may be.

        Args:
            measured: its path.
            last_line: that ran.
            own: real paths of the files here that the same data file has as they are: a copy of
                one of them, that a test made, is another file.
        """
        path = measured.replace("\\", "/")
        installed = INSTALLED.fullmatch(path)
        if not installed and path.startswith(self._start):
            return []  # it was measured here, and has gone since
        least = installed["name"].count("/") + 1 if installed else 1
        names = self._by_end.get(end_of(path, 1), [])
        if len(names) > MANY:
            names = self._by_end.get(end_of(path, 2), [])
        is_there = os.path.isabs(measured) and self._exists(measured)  # noqa: PTH117
        matches = []
        for name in names:
            components = _common(path, name)
            if components < least or self._length(name) < last_line:
                continue
            if not installed and self._path(name) in own:
                continue
            if is_there and not same_bytes(measured, self._path(name)):
                continue
            rest = end_of(name, components)
            is_sure = components > 1 or installed is not None
            there, here = path.removesuffix(rest), name.removesuffix(rest)
            matches.append(Match(there, here, name, is_sure))
        return matches

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


def _shared(runs: Iterable[Matches]) -> Matches:
    """Return what each path may be in all the data files that have it."""
    shared: dict[str, list[Match]] = {}
    for run in runs:
        for path, fitting in run.items():
            so_far = shared.get(path, fitting)
            shared[path] = [match for match in so_far if match in fitting]
    return shared


def _stronger(alone: Decision, together: Decision) -> Decision:
    """Return which of two decisions holds: a data file's own, or that of all."""
    is_plain = len(alone.names) == 1 and alone.votes > 1
    return alone if is_plain or alone.votes > together.votes else together


def _decided(matches: Matches, *, is_mixed: bool) -> dict[str, Decision]:
    """Return what each measured path is called here.

    Args:
        matches: of each path.
        is_mixed: whether other files were measured here: then a file of another place may be no
            file of this project, and has to show more than a like name.
    """
    decided = dict.fromkeys(matches, Decision([], 0))
    places = _places(matches, is_mixed=is_mixed)
    # First what explains most, and of that the whole of a tree before its parts.
    for there in sorted(places, key=lambda there: (-_votes(places[there]), len(there))):
        votes = _votes(places[there])
        open_paths = {path for path, decision in decided.items() if not decision.votes}
        for path, names in _agreed(places[there], open_paths).items():
            decided[path] = Decision(names, votes)
        if votes > 1:  # what is not below it here is no file of ours, unless it was installed
            for path in open_paths:
                posix = path.replace("\\", "/")
                if posix.startswith(there) and not INSTALLED.fullmatch(posix):
                    decided[path] = decided[path] if decided[path].votes else Decision([], votes)
    return decided


def _places(matches: Matches, *, is_mixed: bool) -> dict[str, dict[str, dict[str, str]]]:
    """Return directory of the other machine -> directory here -> path -> name."""
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
    return places


def _votes(heres: Mapping[str, Mapping[str, str]]) -> int:
    return max(map(len, heres.values()), default=0)


def _agreed(
    heres: Mapping[str, Mapping[str, str]], open_paths: Collection[str]
) -> dict[str, list[str]]:
    """Return what the files of one directory are called here, by all that it may be here."""
    names: dict[str, dict[str, str]] = defaultdict(dict)
    for here, files in heres.items():
        for path, name in files.items():
            if path in open_paths:
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
