"""Run git; read commit, branch, remotes and tracked files.

Nothing is fetched and nobody is asked for a password.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from . import child_process
from .errors import ProcessError
from .text import public_url

CALL_TIMEOUT = 5.0  # seconds
MAX_OUTPUT = 4 * 1024 * 1024  # bytes read from a call about commits or configuration
_LISTED = 64 * 1024 * 1024  # bytes read from the list of files: some 800,000 names
_MESSAGE = 64 * 1024  # characters of a commit message that are kept
_VALUE = 1024  # characters kept of any other value
_REMOTES = 20
SHA1_DIGITS = 40

# https://git-scm.com/docs/git-log: %aN and its like honour .mailmap, %B is the whole message.
_FORMAT = "%H%x00%aN%x00%aE%x00%cN%x00%cE%x00%B"
# Three lines, the last two missing on a branch without commit; a path may hold line ends as well.
_FACTS = re.compile(
    rb"(?P<top>.+?)\n"
    rb"(?:(?P<head>[0-9a-f]{40,64})\n)?"
    rb"(?:(?:HEAD|refs/heads/(?P<branch>[^\n]+)|refs/[^\n]+)\n)?",
    re.DOTALL,
)
_OPTIONS = (
    "--no-pager",
    "--literal-pathspecs",
    # `git ls-files` would start the program that core.fsmonitor names
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.quotePath=true"),
)
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",  # the same for git before 2.45: no protocol may be used
    "GIT_OPTIONAL_LOCKS": "0",
    "LC_ALL": "C",
}
# All others are dropped: hooks and tests leave GIT_DIR, GIT_INDEX_FILE and their like behind.
_KEPT = frozenset(
    {"GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM", "GIT_EXEC_PATH"}
)
_PARENT = re.compile(rb"^parent ([0-9a-f]{40,64})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Repository:
    """Hold what it takes to run git in a repository.

    Attributes:
        top: where it was found; git itself may know another top level.
        program: absolute path of git.
        env: git's whole environment.
        seconds: for each call.
    """

    top: Path
    program: str
    env: Mapping[str, str] = field(repr=False)
    seconds: float = CALL_TIMEOUT

    @classmethod
    def at(cls, root: Path, env: Mapping[str, str], seconds: float = CALL_TIMEOUT) -> Repository:
        """Find the repository of a directory; raise ProcessError where there is none."""
        top = find_repository(root)
        program = child_process.find_program("git", env, not_below=top)
        return cls(top, program, _environment(env, top), seconds)

    def run(self, *arguments: str, limit: int = MAX_OUTPUT) -> child_process.Completed:
        """Run git at the top level; raise ProcessError as `child_process.run` does."""
        return child_process.run(
            [self.program, "-C", str(self.top), *_OPTIONS, *arguments],
            env=self.env,
            seconds=self.seconds,
            limit=limit,
        )


def find_repository(root: Path) -> Path:
    """Return the real path of the repository at or above a directory.

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
    """Distrust a repository that somebody put into a directory of others, say /tmp."""
    if sys.platform == "win32":
        return True
    return marker.lstat().st_uid in {0, os.geteuid(), directory.stat().st_uid}


def _is_file(path: Path) -> bool:
    # Path.is_file() raises PermissionError where a directory may not be searched.
    return os.path.isfile(path)  # noqa: PTH113


def _environment(env: Mapping[str, str], top: Path) -> dict[str, str]:
    kept = {
        name: value for name, value in env.items() if name in _KEPT or not name.startswith("GIT_")
    }
    return kept | _ENVIRONMENT | {"GIT_DIR": str(top / ".git")}


@dataclass(frozen=True, kw_only=True, slots=True)
class Commit:
    """Hold a commit; all but its id may be unknown."""

    id: str
    author_name: str | None = None
    author_email: str | None = None
    committer_name: str | None = None
    committer_email: str | None = None
    message: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Remote:
    """Hold a remote; the URL has no credentials, query or fragment."""

    name: str
    url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Git:
    """Hold what is known about the checkout.

    Attributes:
        top: the work tree's top level, symlinks resolved; known without a git program too.
        checked_out: id of HEAD.
        branch: short name; None when HEAD is detached.
        remotes: in the order of the configuration.
        head: the commit that was tested, see `job.tested_commit`.
        is_other: whether that is another commit than the CI service names.
        problem: why git said nothing, or not all, in one line.
    """

    top: Path | None = None
    checked_out: str | None = None
    branch: str | None = None
    remotes: tuple[Remote, ...] = ()
    head: Commit | None = None
    is_other: bool = False
    problem: str | None = None


def read(
    directories: Sequence[Path], env: Mapping[str, str], *, seconds: float = CALL_TIMEOUT
) -> Git:
    """Read the facts about the checkout; what fails is left out.

    Args:
        directories: the first one in a repository counts.
        env: the environment in which git is looked for and run.
        seconds: for each call; after one that took longer nothing more is asked.
    """
    git = Git()
    try:
        top = _first_repository(directories)
        git = replace(git, top=top)
        repository = Repository.at(top, env, seconds)
        top, head, branch = _facts(repository)
        git = replace(git, top=top, checked_out=head, branch=branch)
        return replace(git, remotes=_remotes(repository))
    except (ProcessError, OSError) as error:
        return replace(git, problem=" ".join(str(error).split()))


def _first_repository(directories: Sequence[Path]) -> Path:
    *others, last = directories
    for directory in others:
        with suppress(ProcessError, OSError):
            return find_repository(directory)
    return find_repository(last)


def tracked(
    top: Path, env: Mapping[str, str], *, seconds: float = CALL_TIMEOUT
) -> frozenset[str] | None:
    """Return the tracked files as git spells them; None if it cannot say.

    Args:
        top: the top level, from `Git.top`.
        env: as for `read`.
        seconds: for the only call.
    """
    names = _listed(top, env, seconds)
    return None if names is None else frozenset(names)


def changed_between(top: Path, env: Mapping[str, str], old: str, new: str) -> frozenset[str]:
    """Return the files that differ between two commits; empty where git cannot say."""
    try:
        said = Repository.at(top, env).run("diff-tree", "-r", "--name-only", "-z", old, new)
    except (ProcessError, OSError):
        return frozenset()
    names = said.stdout.decode("utf-8", "surrogateescape").split("\0")
    return frozenset(filter(None, names)) if said.status == 0 else frozenset()


def is_content(path: Path, blob: str) -> bool:
    """Tell whether a file has the content of a blob, with LF or CRLF.

    https://git-scm.com/book/en/v2/Git-Internals-Git-Objects

    Args:
        path: of a file in the work tree.
        blob: 40 or 64 hexadecimal digits.
    """
    algorithm = "sha1" if len(blob) == SHA1_DIGITS else "sha256"
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return any(
        hashlib.new(algorithm, b"blob %d\0%b" % (len(text), text)).hexdigest() == blob
        for text in (content, content.replace(b"\r\n", b"\n"))
    )


def name_if_tracked(path: Path, top: Path, env: Mapping[str, str]) -> str | None:
    """Return a file's name relative to `top`; None if git does not track it.

    Args:
        path: absolute.
        top: the top level, from `Git.top`.
        env: as for `read`.
    """
    names = _listed(top, env, CALL_TIMEOUT, "--error-unmatch", "--", os.path.realpath(path))
    return names[0] if names else None


def _listed(top: Path, env: Mapping[str, str], seconds: float, *arguments: str) -> list[str] | None:
    try:
        repository = Repository.at(top, env, seconds)
        if repository.top != Path(os.path.realpath(top)):
            return None
        listed = repository.run("ls-files", "-z", *arguments, limit=_LISTED)
    except (ProcessError, OSError):
        return None
    # As os.fsdecode does: a name that is not UTF-8 still equals the one the file system gives.
    names = listed.stdout.decode("utf-8", "surrogateescape").split("\0")
    return list(filter(None, names)) if listed.status == 0 else None


def _facts(repository: Repository) -> tuple[Path, str, str | None]:
    """Return top level, id of HEAD and branch, in one call.

    `--abbrev-ref` would print `heads/x` if a tag has the branch's name, and `HEAD` when detached.
    """
    said = repository.run("rev-parse", "--show-toplevel", "HEAD", "--symbolic-full-name", "HEAD")
    facts = _FACTS.fullmatch(said.stdout)
    if facts is None:
        raise ProcessError(f"git cannot read the repository in {repository.top}")
    if facts["head"] is None:
        raise ProcessError("no commit yet")
    top = Path(os.path.realpath(os.fsdecode(facts["top"])))
    if not top.is_dir():  # some ports of git to Windows print paths that only they understand
        top = repository.top
    return top, facts["head"].decode(), _text(facts["branch"] or b"")


def parents_of(repository: Repository, commit: str) -> list[str]:
    """Return the parents of a commit, also those that are not here.

    A checkout of depth 1 hides them from every command but `cat-file`.
    """
    header, _, _ = repository.run("cat-file", "commit", commit).stdout.partition(b"\n\n")
    return [parent.decode() for parent in _PARENT.findall(header)]


def read_commit(repository: Repository, commit: str) -> Commit:
    """Read a commit; its id alone where the repository does not hold it."""
    said = repository.run(
        "log",
        "--no-walk=unsorted",
        "--ignore-missing",
        "--encoding=UTF-8",
        f"--format={_FORMAT}",
        commit,
        "--",
    )
    name, *values = [*said.stdout.split(b"\0"), b"", b"", b"", b"", b""][:6]
    # A branch may be named like an abbreviated id.
    if not name.startswith(commit.encode()):
        return Commit(id=commit)
    return Commit(
        id=name.decode(),
        author_name=_text(values[0]),
        author_email=_text(values[1]),
        committer_name=_text(values[2]),
        committer_email=_text(values[3]),
        message=_text(values[4], longest=_MESSAGE),
    )


def _remotes(repository: Repository) -> tuple[Remote, ...]:
    """Return the first URL of each remote, as configured.

    `git remote` would apply `url.*.insteadOf`, by which a token gets into a clean URL.
    """
    said = repository.run("config", "-z", "--get-regexp", r"^remote\..*\.url$")
    remotes: dict[str, Remote] = {}
    for entry in said.stdout.split(b"\0"):
        key, _, value = entry.partition(b"\n")
        name = _text(key[len(b"remote.") : -len(b".url")])
        url = public_url(value.decode("utf-8", "replace"))[:_VALUE]
        if name and url:
            remotes.setdefault(name, Remote(name=name, url=url))
    return tuple(remotes.values())[:_REMOTES]


def _text(printed: bytes, *, longest: int = _VALUE) -> str | None:
    return printed.decode("utf-8", "replace").strip()[:longest].strip() or None
