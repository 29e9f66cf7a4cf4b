"""A repository on disk, and how git is run in it: without shell, prompt, hook, helper or network.

What is asked, and what the answers mean, is left to others.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from . import process
from .errors import ProcessError

if TYPE_CHECKING:
    from subprocess import Popen

SECONDS = 5.0  # one call
SAID = 4 * 1024 * 1024  # bytes read from a call about commits or configuration

_OPTIONS = (
    "--no-pager",
    "--literal-pathspecs",
    # `git ls-files` would start the program that core.fsmonitor names
    *("-c", "core.fsmonitor=false"),
    *("-c", f"core.hooksPath={os.devnull}"),
    *("-c", "log.showSignature=false"),  # would start gpg.program
    *("-c", "core.quotePath=true"),
)
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",  # the same for git before 2.45: no protocol may be used
    "GIT_OPTIONAL_LOCKS": "0",
    "LC_ALL": "C",
}
# All others are dropped: hooks and tests leave GIT_DIR, GIT_INDEX_FILE and their like behind.
_KEPT = frozenset(
    {"GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM", "GIT_EXEC_PATH"}
)
_SECRET = re.compile("TOKEN|SECRET|PASSWORD", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository on disk, and how git is run in it.

    Attributes:
        top: where it was found; git itself may know another top level.
        program: absolute path of git.
        env: git's whole environment.
        seconds: for each call.
    """

    top: Path
    program: str
    env: Mapping[str, str] = field(repr=False)
    seconds: float = SECONDS

    @classmethod
    def at(cls, root: Path, env: Mapping[str, str], seconds: float = SECONDS) -> Repository:
        """Find the one that holds the directory `root`; raises ProcessError where there is none."""
        top = find_repository(root)
        without = {top, Path(os.path.realpath(root))}
        program = process.program("git", env, without=without)
        return cls(top, str(program), _environment(env, top), seconds)

    def run(self, *arguments: str, limit: int = SAID) -> process.Completed:
        """Run `git arguments` at the top level; raises ProcessError as `process.output` does."""
        return process.output(
            [self.program, *_OPTIONS, *arguments],
            env=self.env,
            cwd=self.top,
            seconds=self.seconds,
            limit=limit,
        )

    def start(self, *arguments: str, stdout: int) -> Popen[bytes]:
        """Start `git arguments` at the top level, as `process.start` does."""
        return process.start(
            [self.program, *_OPTIONS, *arguments], env=self.env, cwd=self.top, stdout=stdout
        )


def find_repository(root: Path) -> Path:
    """The directory at or above `root` that holds the repository; real path.

    git is told what was found, for two reasons. Since 2.35.2 it refuses another owner's
    repository that it found itself, which is every checkout mounted into a container; several
    releases accept no exception on the command line
    (https://git-scm.com/docs/git-config#Documentation/git-config.txt-safedirectory).
    And without a git program the top level is known all the same.

    Raises:
        ProcessError: there is none, or none to be trusted.
    """
    start = Path(os.path.realpath(root))
    for directory in (start, *start.parents):
        marker = directory / ".git"  # a file in a worktree and in a submodule
        if _is_file(marker) or os.path.lexists(marker / "HEAD"):
            if not _trusted(directory, marker):
                raise ProcessError(f"the repository in {directory} belongs to another user")
            return directory
    raise ProcessError("not a git repository")


def _trusted(directory: Path, marker: Path) -> bool:
    """False for a repository that somebody put into a directory that is not theirs, say /tmp."""
    if sys.platform == "win32":
        return True
    return marker.lstat().st_uid in {0, os.geteuid(), directory.stat().st_uid}


def _is_file(path: Path) -> bool:
    # Path.is_file() raises PermissionError where a directory may not be searched.
    return os.path.isfile(path)  # noqa: PTH113


def _environment(env: Mapping[str, str], top: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in env.items()
        if (name in _KEPT or not name.startswith("GIT_")) and not _SECRET.search(name)
    }
    return kept | _ENVIRONMENT | {"GIT_DIR": str(top / ".git")}
