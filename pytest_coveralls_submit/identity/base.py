"""The commit that the changed lines are counted from: the first that fits, and is here.

Nothing is fetched. Comparing with it is left to ``diff``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ProcessError
from ..git import Repository, parents_of
from ..text import commit_id

if TYPE_CHECKING:
    from ..ci.detect import Build

_DEFAULT_BRANCHES = tuple(
    f"refs/remotes/origin/{name}" for name in ("HEAD", "main", "master", "trunk")
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """A commit to compare with, see `find_base`."""

    commit: str
    """Its whole id."""
    reason: str
    """Why it is this one, for ``-v``."""
    includes_uncommitted: bool
    """Whether the work tree is compared with it, and not HEAD: where no CI service runs."""
    notice: str = ""
    """What the user has named in vain."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NoBase:
    """There is nothing to compare with."""

    remedy: str = ""
    """What would help, in one line; for a pull request, and where the user has named a base."""


def find_base(
    top: Path,
    env: Mapping[str, str],
    build: Build,
    *,
    commit: str | None = None,
    pull_request: str | None = None,
    compare_sha: str | None = None,
    compare_ref: str | None = None,
) -> Base | NoBase:
    """Ask git for the first commit that fits and is here; raises nothing.

    In this order: what the settings name; for a pull request whose merge is checked out, the
    merge's first parent; what the CI service compares with; where HEAD left the branch that the
    pull request goes into; without a CI service, where it left the remote's default branch. The
    base that GitHub's event names is never asked: it is older than the merge.

    Args:
        top: the top level, from `Git.top`.
        env: the environment in which git is looked for and run.
        build: what the CI service says.
        commit: id of the commit that the job is filed under, see `head.commit_of`.
        pull_request: its number by the settings; by default what the CI service says.
        compare_sha: the setting.
        compare_ref: the setting; a branch, of the remote or here, or a tag.
    """
    pull_request = pull_request or build.service_pull_request
    named = {"compare_sha": compare_sha, "compare_ref": compare_ref}
    vain = [f"{name} {text}" for name, text in named.items() if text]
    notice = f"{' and '.join(vain)} is not in this clone" if vain else ""
    try:
        repository = Repository.at(top, env)
        named_heads = (commit, build.commit_sha) if pull_request is not None else ()
        merged_into = _merged_into(repository, [head for head in named_heads if head])
        candidates = _candidates(repository, build, merged_into, compare_sha, compare_ref)
        for known, reason in candidates:
            if known is not None:
                return Base(
                    commit=known,
                    reason=reason,
                    includes_uncommitted=build.service_name is None,
                    notice="" if "compare_" in reason else notice,
                )
    except (ProcessError, OSError):
        return NoBase()
    if pull_request is None:
        return NoBase(remedy=f"changed lines: not known, {notice}" if notice else "")
    return NoBase(remedy=_remedy(build, notice, is_merge=merged_into is not None))


def _candidates(
    repository: Repository,
    build: Build,
    merged_into: str | None,
    compare_sha: str | None,
    compare_ref: str | None,
) -> Iterator[tuple[str | None, str]]:
    """Yield a commit, or None where it is not here, and why it would be the one."""
    yield _present(repository, compare_sha), "compare_sha"
    yield _left(repository, _refs(compare_ref)), f"where HEAD left {compare_ref} (compare_ref)"
    yield _present(repository, merged_into), "the first parent of the pull request's merge"
    yield _present(repository, build.diff_base_sha), "the base that the CI service names"
    yield _left(repository, _refs(build.target_branch)), f"where HEAD left {build.target_branch}"
    if build.service_name is None:
        yield _left(repository, _DEFAULT_BRANCHES), "where HEAD left the default branch"


def _merged_into(repository: Repository, built: Collection[str]) -> str | None:
    """The first parent of HEAD, if HEAD merges a commit of a pull request into it.

    The services' own word for the kind of pipeline is unreliable (gitlab-org/gitlab#358228,
    #516869). A topic branch that ends in a merge is its own commit.
    """
    if not built:
        return None
    target, *merged = parents_of(repository, "HEAD") or [""]
    return target if any(parent.startswith(tuple(built)) for parent in merged) else None


def _present(repository: Repository, commit: str | None) -> str | None:
    """The whole id of a commit that is here."""
    known = commit_id(commit)
    if known is None:
        return None
    said = repository.run("rev-parse", "--verify", "--quiet", f"{known}^{{commit}}")
    whole = said.stdout.decode().strip()
    # A branch may be named like an abbreviated id.
    return whole if said.status == 0 and whole.startswith(known) else None


def _refs(branch: str | None) -> tuple[str, ...]:
    """The names that a branch may have here, the remote's own first."""
    if branch is None or branch.startswith("refs/"):
        return (branch,) if branch else ()
    places = ("refs/remotes/origin/", "refs/remotes/", "refs/heads/", "refs/tags/")
    return tuple(place + branch for place in places)


def _left(repository: Repository, refs: tuple[str, ...]) -> str | None:
    """The newest commit that HEAD shares with the first of these that is here."""
    if not refs:
        return None
    said = repository.run("for-each-ref", "--format=%(objectname) %(refname)", *refs)
    lines = said.stdout.decode("utf-8", "surrogateescape").split("\n")
    here = {name: commit for commit, _, name in (line.partition(" ") for line in lines)}
    for commit in (here[ref] for ref in refs if ref in here):
        shared = repository.run("merge-base", "HEAD", commit).stdout.decode().strip()
        if shared:
            return shared
    return None


def _remedy(build: Build, notice: str, *, is_merge: bool) -> str:
    """What makes the base of a pull request known."""
    service = build.service_name or ""
    if notice:
        how = f"{notice}: let the CI service clone more commits"
    elif service.endswith("-actions"):
        how = f"give actions/checkout `fetch-depth: {2 if is_merge else 0}`"
    elif service.startswith("gitlab"):
        how = 'set the variable `GIT_DEPTH: "0"`'
    else:
        how = "let the CI service clone more commits"
        if build.target_branch is None:
            how += ", and set COVERALLS_COMPARE_REF to the branch that the pull request goes into"
    return f"changed lines: not known, this clone lacks what the pull request is based on; {how}"
