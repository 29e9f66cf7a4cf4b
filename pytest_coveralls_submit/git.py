"""Run git; read commit, branch, remotes and tracked files.

Nothing is fetched, and git never prompts for a password.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from . import child_process
from .errors import ProcessError
from .text import public_url

CALL_TIMEOUT = 10.0  # seconds
MAX_OUTPUT = 64 * 1024 * 1024  # bytes: some 800,000 names

# https://git-scm.com/docs/git-log: %aN and its like honour .mailmap, %B is the whole message.
_FORMAT = "%H%x00%aN%x00%aE%x00%cN%x00%cE%x00%B"  # the fields of a `Commit`
_OPTIONS = (
    "--no-pager",
    "--literal-pathspecs",
    # `git ls-files` would start the program that core.fsmonitor names
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.quotePath=false"),
)
_ENVIRONMENT = {"GIT_ALLOW_PROTOCOL": "none", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
# All others are dropped: hooks and tests leave GIT_DIR, GIT_INDEX_FILE and their like behind.
_KEPT = {"GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM", "GIT_EXEC_PATH"}


@dataclass(frozen=True, slots=True)
class Repository:
    """Run git in a repository."""

    top: Path
    program: str  # absolute path of git
    env: Mapping[str, str] = field(repr=False)  # git's whole environment

    @classmethod
    def at(cls, top: Path, env: Mapping[str, str]) -> Repository:
        """Find git for a repository; see `child_process.find_program` for errors."""
        program = child_process.find_program("git", env, not_below=top)
        kept = {n: text for n, text in env.items() if n in _KEPT or not n.startswith("GIT_")}
        return cls(top, program, {**kept, **_ENVIRONMENT, "GIT_DIR": str(top / ".git")})

    def run(self, *arguments: str) -> child_process.Completed:
        """Run git at the top level, or raise ProcessError."""
        command = [self.program, "-C", str(self.top), *_OPTIONS, *arguments]
        return child_process.run(command, env=self.env, seconds=CALL_TIMEOUT, limit=MAX_OUTPUT)

    def output(self, *arguments: str) -> str:
        """Run git and return the text it prints, stripped."""
        return self.run(*arguments).stdout.decode("utf-8", "replace").strip()

    def resolve(self, name: str | None) -> str | None:
        """Return the id of a named commit, if here."""
        words = ("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        return (name and self.output(*words)) or None

    def names(self, command: str, *arguments: str) -> frozenset[str] | None:
        """Return the file names listed; None if git fails."""
        try:
            listed = self.run(command, "-z", *arguments)
        except ProcessError:
            return None
        # As os.fsdecode does: a name that is not UTF-8 still equals that of the file system.
        names = listed.stdout.decode("utf-8", "surrogateescape").split("\0")
        return frozenset(filter(None, names)) if listed.status == 0 else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Commit:
    """Hold a commit; only its id is always known."""

    id: str
    author_name: str | None = None
    author_email: str | None = None
    committer_name: str | None = None
    committer_email: str | None = None
    message: str | None = None


COMMIT_DETAILS = tuple(field.name for field in fields(Commit) if field.name != "id")


@dataclass(frozen=True, kw_only=True, slots=True)
class Git:
    """Hold the facts about the checkout."""

    top: Path | None = None  # symlinks resolved; known without a git program too
    repository: Repository | None = field(default=None, compare=False, repr=False)
    checked_out: str | None = None  # id of HEAD
    branch: str | None = None  # None when HEAD is detached
    remotes: Mapping[str, str] = field(default_factory=dict)  # name -> URL without credentials
    head: Commit | None = None  # the commit that was tested, see `job.tested_commit`
    is_other: bool = False  # that is another commit than the CI service names
    problem: str | None = None  # why facts are missing, in one line


def read(directories: Iterable[Path], env: Mapping[str, str]) -> Git:
    """Read the checkout of the first directory in a repository."""
    git = Git()
    try:
        top = _find_top(directories)
        git = replace(git, top=top)
        repository = Repository.at(top, env)
        head, branch = _head(repository)
        git = replace(git, repository=repository, checked_out=head, branch=branch)
        return replace(git, remotes=_remotes(repository))
    except ProcessError as error:
        return replace(git, problem=str(error))


def _find_top(directories: Iterable[Path]) -> Path:
    """Return the first repository at or above a directory.

    git is told its place: it refuses another owner's repository that it finds itself, like every
    checkout mounted into a container, and several releases accept no exception on the command line
    (https://git-scm.com/docs/git-config#Documentation/git-config.txt-safedirectory).
    """
    problem = "not a git repository"
    for start in map(Path, map(os.path.realpath, directories)):
        for top in (start, *start.parents):
            marker = top / ".git"  # a file in a worktree and in a submodule
            # Path.is_file() raises PermissionError where a directory may not be searched.
            if os.path.isfile(marker) or os.path.lexists(marker / "HEAD"):  # noqa: PTH113
                if _is_trusted(top, marker):
                    return top
                problem = f"the repository in {top} belongs to another user"
                break
    raise ProcessError(problem)


def _is_trusted(top: Path, marker: Path) -> bool:
    """Distrust a repository put into another user's directory, like /tmp."""
    if sys.platform == "win32":
        return True
    return marker.lstat().st_uid in {0, os.geteuid(), top.stat().st_uid}


def _head(repository: Repository) -> tuple[str, str | None]:
    """Return id and branch of HEAD, in one call.

    `--abbrev-ref` would print `heads/x` if a tag has the branch's name, and `HEAD` when detached.
    """
    printed = repository.output("rev-parse", "HEAD", "--symbolic-full-name", "HEAD")
    if printed == "HEAD":
        raise ProcessError("no commit yet")
    # There is no second line where a branch is called HEAD.
    facts = re.fullmatch("([0-9a-f]{40,64})(?:\n(?:refs/heads/(.+)|.+))?", printed)
    if facts is None:
        raise ProcessError(f"git cannot read the repository in {repository.top}")
    return facts[1], facts[2]


def _remotes(repository: Repository) -> dict[str, str]:
    """Return the first URL of each remote, as configured.

    `git remote` would apply `url.*.insteadOf`, which can put a token into a clean URL.
    """
    remotes: dict[str, str] = {}
    printed = repository.output("config", "-z", "--get-regexp", r"^remote\..*\.url$")
    for entry in printed.split("\0"):
        key, _, value = entry.partition("\n")
        name, url = key[len("remote.") : -len(".url")], public_url(value)
        if name and url:
            remotes.setdefault(name, url)
    return remotes


def read_commit(repository: Repository, commit: str) -> Commit:
    """Read a commit; a missing one is its id."""
    options = ("--no-walk=unsorted", "--encoding=UTF-8", f"--format={_FORMAT}")
    known, *values = repository.output("log", *options, commit, "--").split("\0")
    # A branch may be named like an abbreviated id.
    if not known.startswith(commit):
        return Commit(id=commit)
    details = (value.strip() or None for value in values)
    return Commit(id=known, **dict(zip(COMMIT_DETAILS, details, strict=False)))


def parents_of(repository: Repository, commit: str) -> list[str]:
    """Return the parents of a commit, missing ones too.

    A checkout of depth 1 hides these from every command but `cat-file`.
    """
    header, _, _ = repository.output("cat-file", "commit", commit).partition("\n\n")
    return re.findall("^parent ([0-9a-f]{40,64})$", header, re.MULTILINE)


def differing(git: Git) -> frozenset[str]:
    """Return files that differ between tested commit and HEAD."""
    if git.repository is None or git.head is None or git.checked_out is None:
        return frozenset()
    ids = (git.head.id, git.checked_out)
    return git.repository.names("diff-tree", "-r", "--name-only", *ids) or frozenset()


def tracked(git: Git) -> frozenset[str] | None:
    """Return tracked files as git spells them, if known."""
    if git.repository is None or git.problem:
        return None
    return git.repository.names("ls-files")


def name_if_tracked(path: Path, git: Git) -> str | None:
    """Return a file's name in git, if tracked."""
    if git.repository is None:
        return None
    names = git.repository.names("ls-files", "--error-unmatch", "--", os.path.realpath(path))
    return next(iter(names or ()), None)
