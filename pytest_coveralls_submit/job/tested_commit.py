"""Find the tested commit: the CI service's, or another."""

import re
from dataclasses import replace
from typing import Any

from ..ci.detect import Build
from ..ci.services import SERVICES
from ..errors import ProcessError
from ..git import COMMIT_DETAILS, Commit, Git, Repository, parents_of, read_commit
from ..text import commit_id

_OWN_COMMITS = 20  # how many commits of the job itself may be on top of the CI service's
_REMOTE = "refs/remotes/origin"
# https://git-scm.com/docs/git-reflog; `git stash` resets to HEAD, and keeps what was committed
_CHECKED_OUT = re.compile(r"checkout:|clone:|initial pull|reset: (?!.* HEAD$)|.*Fast-forward$")
_PULL_REQUEST_REF = re.compile(r"(?:pull|pr|merge-requests|pull-requests)/[0-9]+/(?:head|merge)$")


def find_tested_commit(git: Git, build: Build, commit_sha: str | None = None) -> Git:
    """Return the facts with `head`, `is_other` and its branch.

    The setting `commit_sha` wins over the checkout.
    """
    repository, head = git.repository, git.checked_out
    chosen = commit_id(commit_sha)
    named = chosen or build.commit_sha or head
    if repository is None or head is None or git.problem:
        return replace(git, head=Commit(id=named) if named else None)
    try:
        tested, branch = _as_named(repository, git, head, build, chosen), git.branch
        is_other = tested is None
        if tested is None:
            tested, branch = _other_commit(repository, git, head)
        commit = read_commit(repository, tested)
        return replace(git, head=commit, is_other=is_other, branch=branch)
    except ProcessError as error:
        return replace(git, head=Commit(id=named or head), problem=str(error))


def of_tested_commit(build: Build, git: Git) -> tuple[Build, tuple[str, ...]]:
    """Return the build without untested facts, and notices."""
    if not git.is_other or git.head is None:
        return build, ()
    here, named = git.checked_out or "", build.commit_sha or build.merge_sha or ""
    branch = f" (branch {git.branch})" if git.branch else " (no branch)"
    notice = (
        f"the checkout is at commit {here[:7]}, but {build.service_name} names {named[:7]}: "
        f"coverage is filed under {git.head.id[:7]}{branch}"
    )
    unknown = ["merge_sha", "diff_base_sha", "tag", *COMMIT_DETAILS]
    if git.branch is None or git.branch != build.service_branch:
        unknown += ["service_pull_request", "target_branch"]
    values: dict[str, Any] = dict.fromkeys(unknown)
    values |= {"commit_sha": git.head.id, "service_branch": git.branch}
    return replace(build, **values), (notice,)


def _as_named(
    repository: Repository, git: Git, head: str, build: Build, chosen: str | None
) -> str | None:
    """Return the named commit, unless HEAD is another one."""
    named = chosen or build.commit_sha
    base = named or build.merge_sha
    if base is None:
        # A scripted pipeline of Jenkins has no GIT_COMMIT.
        return _head_of_merge(repository, head, build) if build.head_ref else head
    is_final = chosen or build.is_workflow_run or build.service_name not in SERVICES
    if head.startswith(base):
        base = head
    elif not is_final:
        base = _commit_below(repository, git, head, base, build)
    return base if named or base is None else _head_of_merge(repository, base, build)


def _head_of_merge(repository: Repository, merge: str, build: Build) -> str:
    """Return the head among a merge's parents.

    GitHub and GitLab merge it into the target, so that it is the second. Jenkins' git plugin
    (MergeWithGitSCMExtension) merges the target into it, where it does not hold the target yet.
    """
    parents = parents_of(repository, merge)
    if len(parents) < 2:  # noqa: PLR2004
        return merge
    tip = build.head_ref and repository.resolve(f"{_REMOTE}/{build.head_ref}")
    if tip and tip in {merge, *parents}:
        return tip
    target = build.target_branch and repository.resolve(f"{_REMOTE}/{build.target_branch}")
    if target:
        is_old = ("merge-base", "--is-ancestor")
        new = [parent for parent in parents if repository.run(*is_old, parent, target).status != 0]
        if len(new) == 1:
            return new[0]
    return parents[0] if build.head_ref else parents[1]


def _commit_below(
    repository: Repository, git: Git, head: str, base: str, build: Build
) -> str | None:
    """Return the id of `base` where HEAD builds on it.

    HEAD is then the merge of a pull request, or a commit of the job itself. Any other commit,
    even a descendant, was checked out.
    """
    if repository.resolve(base) == head:  # some services name an annotated tag
        return head
    listed = repository.output("rev-list", "--first-parent", f"-n{_OWN_COMMITS}", "HEAD", "--")
    for commit in listed.split():
        # Only a pull request is tested as a merge.
        parents = parents_of(repository, commit) if build.service_pull_request else []
        for found in (commit, *(parents if len(parents) > 1 else [])):
            if found.startswith(base):
                return found if commit == head or _was_made_here(repository, git, build) else None
    return None


def _was_made_here(repository: Repository, git: Git, build: Build) -> bool:
    """Tell if HEAD was made, not checked out."""
    branches = {build.service_branch, build.target_branch}
    if git.branch and build.service_branch and git.branch not in branches:
        return False
    last = repository.output("log", "--walk-reflogs", "-n1", "--format=%gs", "HEAD", "--")
    return _CHECKED_OUT.match(last) is None


def _other_commit(repository: Repository, git: Git, head: str) -> tuple[str, str | None]:
    """Return the commit checked out, and its branch."""
    refs = repository.output(
        "for-each-ref", "--points-at=HEAD", "--format=%(refname:lstrip=2)", "refs/remotes"
    ).split()
    pull_requests = set(filter(_PULL_REQUEST_REF.search, refs))
    parents = parents_of(repository, head)
    if len(parents) > 1 and any(ref.endswith("/merge") for ref in pull_requests):
        head = parents[1]  # a pull request's merge exists nowhere else
    branches = {ref.partition("/")[2] for ref in refs if ref not in pull_requests} - {"HEAD"}
    return head, git.branch or (branches.pop() if len(branches) == 1 else None)
