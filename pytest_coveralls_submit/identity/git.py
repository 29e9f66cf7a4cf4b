"""What git says about the checkout: commit, branch, remotes, tracked files.

A few short calls without shell, prompt, hook, helper or network, whatever the repository's own
configuration asks for. What the CI service says about the commit is left to others.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .. import process
from ..errors import ProcessError

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS = 5.0  # all calls of `read` together, and those of `tracked`: 10 s for both
_SAID = 4 * 1024 * 1024  # bytes read from a call about commits or configuration
_LISTED = 64 * 1024 * 1024  # bytes read from the list of files: some 800,000 names
_MESSAGE = 64 * 1024  # characters of a commit message that are kept
_VALUE = 1024  # characters kept of any other value
_REMOTES = 20

_OPTIONS = (
    "--no-pager",
    # `git ls-files` would start the program that core.fsmonitor names
    *("-c", "core.fsmonitor=false"),
    *("-c", f"core.hooksPath={os.devnull}"),
    *("-c", "log.showSignature=false"),  # would start gpg.program
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
    {
        "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_NOSYSTEM",
        "GIT_CONFIG_SYSTEM",
        "GIT_EXEC_PATH",
    }
)
_SECRET = re.compile("TOKEN|SECRET|PASSWORD", re.IGNORECASE)

# https://git-scm.com/docs/git-log: %aN and its like honour .mailmap, %B is the whole message.
_FORMAT = "%H%x00%aN%x00%aE%x00%cN%x00%cE%x00%B"
# Three lines, the last two missing on a branch without commit; a path may hold line ends as well.
_FACTS = re.compile(
    rb"(?P<top>.+?)\n"
    rb"(?:(?P<head>[0-9a-f]{40,64})\n)?"
    rb"(?:(?:HEAD|refs/heads/(?P<branch>[^\n]+)|refs/[^\n]+)\n)?",
    re.DOTALL,
)
_ID = re.compile(r"(?!0+$)[0-9a-f]{7,64}")
_PARENT = re.compile(rb"^parent ([0-9a-f]{40,64})$", re.MULTILINE)

_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>.*)", re.IGNORECASE | re.DOTALL
)
_HOST = re.compile(r"(?:\[[^\]]*\]|[^:]*)(?::\d*)?")
_HELPER = re.compile(r"[A-Za-z0-9]+::")
_PASSWORD = re.compile(r":|%3a", re.IGNORECASE)
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Commit:
    """A commit; all but its id may be unknown."""

    id: str
    author_name: str | None = None
    author_email: str | None = None
    committer_name: str | None = None
    committer_email: str | None = None
    message: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Remote:
    """A remote repository; the URL holds no credentials, query or fragment."""

    name: str
    url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Git:
    """What is known about the checkout.

    Attributes:
        top: the work tree's top level, symlinks resolved; known without a git program too.
        head: the commit that was built, see `read`.
        branch: short name; None when HEAD is detached.
        remotes: in the order of the configuration.
        problem: why git said nothing, or not all, in one line.
    """

    top: Path | None = None
    head: Commit | None = None
    branch: str | None = None
    remotes: tuple[Remote, ...] = ()
    problem: str | None = None


def read(
    root: Path,
    env: Mapping[str, str],
    *,
    commit: str | None = None,
    merge: str | None = None,
    seconds: float = SECONDS,
) -> Git:
    """Ask git about the repository that holds `root`; what fails is left out, nothing is raised.

    Args:
        root: a directory.
        env: the environment in which git is looked for and run.
        commit: id of the commit that was built, as the CI service says. If the repository does
            not hold it (a shallow checkout), `Git.head` is this id and nothing else. What is not
            a hexadecimal id is ignored.
        merge: id of the merge commit that the CI service made for a pull request. If that is what
            is checked out and no `commit` is given, its second parent was built.
        seconds: for all calls together.
    """
    built = _id(commit)
    found = Git(head=Commit(id=built) if built else None)
    try:
        top = _find(root)
        found = replace(found, top=top)
        calls = _Calls(root, top, env, seconds)
        top, head, branch = _facts(calls)
        found = replace(found, top=top, branch=branch)
        built = built or _built(calls, head, _id(merge))
        found = replace(found, head=Commit(id=built))
        found = replace(found, head=_commit(calls, built))
        return replace(found, remotes=_remotes(calls))
    except (ProcessError, OSError) as error:
        return replace(found, problem=" ".join(str(error).split()))


def tracked(
    top: Path, env: Mapping[str, str], *, seconds: float = SECONDS
) -> frozenset[str] | None:
    """The files that git tracks, relative to `top`, as git spells them; None if it cannot say.

    Args:
        top: the top level, from `Git.top`.
        env: as for `read`.
        seconds: for the only call.
    """
    try:
        calls = _Calls(top, _find(top), env, seconds)
        if calls.top != Path(os.path.realpath(top)):
            return None
        listed = calls.run("ls-files", "-z", limit=_LISTED)
    except (ProcessError, OSError):
        return None
    # As os.fsdecode does: a name that is not UTF-8 still equals the one the file system gives.
    names = listed.stdout.decode("utf-8", "surrogateescape").split("\0")
    return frozenset(filter(None, names)) if listed.status == 0 else None


def name_if_tracked(path: Path, top: Path, env: Mapping[str, str]) -> str | None:
    """The name of the file at `path` relative to `top`; None if git does not track it.

    Args:
        path: absolute.
        top: the top level, from `Git.top`.
        env: as for `read`.
    """
    try:
        calls = _Calls(top, _find(top), env, SECONDS)
        listed = calls.run("ls-files", "-z", "--error-unmatch", "--", os.path.realpath(path))
    except (ProcessError, OSError):
        return None
    name = listed.stdout.decode("utf-8", "surrogateescape").rstrip("\0")
    return name if listed.status == 0 and name else None


def without_credentials(url: str) -> str:
    """The URL of a remote without user, password, query and fragment; never raises.

    The user of `git@host:path` and `ssh://git@host/path` stays: it is part of the address. In any
    other URL a user may be a token (`https://TOKEN@github.com/...`). Empty if the address is a
    command (`ext::sh -c ...`).
    """
    url = url.strip()
    if helper := _HELPER.match(url):  # https://git-scm.com/docs/gitremote-helpers
        address = without_credentials(url[helper.end() :])
        return address if "://" in address else ""
    return _public_url(url) if "://" in url else _public_path(url)


def _public_url(url: str) -> str:
    match = _URL.fullmatch(url)
    if match is None:
        return _address(url.rpartition("@")[2])
    scheme, authority, rest = match.group("scheme", "authority", "rest")
    user, at, host = authority.rpartition("@")
    if "@" in rest and (rest[0] != "/" or not _HOST.fullmatch(host)):
        # A password with an unescaped slash, question mark or hash.
        return f"{scheme}://{_address(rest.rpartition('@')[2])}"
    if "ssh" not in scheme.lower() or _PASSWORD.search(user):
        user = at = ""
    return f"{scheme}://{user}{at}{host}{_address(rest)}"


def _public_path(path: str) -> str:
    before, _, _ = path.partition("@")
    if "@" in path and ":" in before and not _DRIVE.match(path):
        path = path.rpartition("@")[2]
    return _address(path)


def _address(text: str) -> str:
    """What stands before the query and the fragment."""
    return re.split(r"[?#]", text, maxsplit=1)[0]


def _find(root: Path) -> Path:
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


class _Calls:
    """Calls of git in one repository, within a number of seconds for all of them."""

    def __init__(self, root: Path, top: Path, env: Mapping[str, str], seconds: float) -> None:
        self.top = top
        without = {top, Path(os.path.realpath(root))}
        self._program = process.program("git", env, without=without)
        self._env = _environment(env, top)
        self._left = seconds

    def run(self, *arguments: str, limit: int = _SAID) -> process.Completed:
        """Run `git arguments` at the top level; raises ProcessError as `process.output` does."""
        completed = process.output(
            [str(self._program), *_OPTIONS, *arguments],
            env=self._env,
            cwd=self.top,
            seconds=self._left,
            limit=limit,
        )
        self._left -= completed.seconds
        return completed


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


def _facts(calls: _Calls) -> tuple[Path, str, str | None]:
    """Top level, id of HEAD and branch, in one call.

    `--abbrev-ref` would print `heads/x` if a tag has the branch's name, and `HEAD` when detached.
    """
    said = calls.run("rev-parse", "--show-toplevel", "HEAD", "--symbolic-full-name", "HEAD")
    facts = _FACTS.fullmatch(said.stdout)
    if facts is None:
        raise ProcessError(f"git cannot read the repository in {calls.top}")
    if facts["head"] is None:
        raise ProcessError("no commit yet")
    top = Path(os.path.realpath(os.fsdecode(facts["top"])))
    # Some ports of git to Windows print paths that only they understand.
    return top if top.is_dir() else calls.top, facts["head"].decode(), _text(facts["branch"] or b"")


def _built(calls: _Calls, head: str, merge: str | None) -> str:
    """The id of the commit that was built: HEAD, or what the CI service merged into its target.

    A checkout of depth 1 hides a commit's parents from every command but `cat-file`.
    """
    if merge is None or not head.startswith(merge):
        return head
    header, _, _ = calls.run("cat-file", "commit", head).stdout.partition(b"\n\n")
    parents = _PARENT.findall(header)
    return parents[1].decode() if len(parents) > 1 else head


def _commit(calls: _Calls, built: str) -> Commit:
    """The commit of that id, or the mere id if the repository does not hold it."""
    said = calls.run(
        "log",
        "--no-walk=unsorted",
        "--ignore-missing",
        "--encoding=UTF-8",
        f"--format={_FORMAT}",
        built,
        "--",
    )
    found, *values = [*said.stdout.split(b"\0"), b"", b"", b"", b"", b""][:6]
    # A branch may be named like an abbreviated id.
    if not found.startswith(built.encode()):
        return Commit(id=built)
    return Commit(
        id=found.decode(),
        author_name=_text(values[0]),
        author_email=_text(values[1]),
        committer_name=_text(values[2]),
        committer_email=_text(values[3]),
        message=_text(values[4], longest=_MESSAGE),
    )


def _remotes(calls: _Calls) -> tuple[Remote, ...]:
    """The first URL of each remote, as configured.

    `git remote` would apply `url.*.insteadOf`, by which a token gets into a clean URL.
    """
    said = calls.run("config", "-z", "--get-regexp", r"^remote\..*\.url$")
    remotes: dict[str, Remote] = {}
    for entry in said.stdout.split(b"\0"):
        key, _, value = entry.partition(b"\n")
        name = _text(key[len(b"remote.") : -len(b".url")])
        url = without_credentials(value.decode("utf-8", "replace"))[:_VALUE]
        if name and url:
            remotes.setdefault(name, Remote(name=name, url=url))
    return tuple(remotes.values())[:_REMOTES]


def _text(printed: bytes, *, longest: int = _VALUE) -> str | None:
    return printed.decode("utf-8", "replace").strip()[:longest].strip() or None


def _id(text: str | None) -> str | None:
    """A commit's id, whole or abbreviated: never an option or a name, never all zeros."""
    match = _ID.fullmatch((text or "").strip().lower())
    return match[0] if match else None
