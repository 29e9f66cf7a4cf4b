"""Find the commit that was tested: the one that the CI service names, or another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from ..ci.detect import Build
from ..ci.services import SERVICES
from ..errors import ProcessError
from ..git import Commit, Git, Repository, changed_between, parents_of, read_commit
from ..text import commit_id, shorten_list
from .identity import Identity

_OWN_COMMITS = 20  # how many commits of the job itself may be on top of the CI service's
_SERVICES = {service.name for service in SERVICES}
# https://git-scm.com/docs/git-reflog; `git stash` resets to HEAD, and keeps what was committed
_CHECKED_OUT = re.compile(r"checkout:|clone:|initial pull|reset: (?!.* HEAD$)|.*Fast-forward$")
_PULL_REQUEST_REF = re.compile(r"(?:pull|pr|merge-requests|pull-requests)/[0-9]+/(?:head|merge)$")


def find_tested_commit(
    git: Git, env: Mapping[str, str], build: Build, commit_sha: str | None = None
) -> Git:
    """Return the facts with `head`, and whether it `is_other` than the CI service's.

    Args:
        git: see `git.read`.
        env: the environment in which git is looked for and run.
        build: what the CI service says.
        commit_sha: the setting, which names the commit whatever is checked out.
    """
    chosen, head_id = commit_id(commit_sha), git.checked_out
    named = chosen or build.commit_sha or head_id
    if git.top is None or head_id is None or git.problem:
        return replace(git, head=Commit(id=named) if named else None)
    try:
        repository = Repository.at(git.top, env)
        tested = _as_named(repository, git, build, chosen)
        if tested is None:
            git = _with_other_commit(repository, git)
        else:
            git = replace(git, head=Commit(id=tested))
        assert git.head is not None
        return replace(git, head=read_commit(repository, git.head.id))
    except (ProcessError, OSError) as error:
        head = git.head or Commit(id=named or head_id)
        return replace(git, head=head, problem=" ".join(str(error).split()))


def without_other_commit(build: Build, git: Git) -> Build:
    """Return the build without what it says of a commit that was not tested."""
    if not git.is_other or git.head is None:
        return build
    is_own_branch = git.branch is not None and git.branch == build.service_branch
    return replace(
        build,
        commit_sha=git.head.id,
        merge_sha=None,
        diff_base_sha=None,
        service_branch=git.branch,
        tag=None,
        service_pull_request=build.service_pull_request if is_own_branch else None,
        target_branch=build.target_branch if is_own_branch else None,
        author_name=None,
        author_email=None,
        committer_name=None,
        committer_email=None,
        message=None,
    )


def other_commit_notices(build: Build, git: Git) -> tuple[str, ...]:
    """Return a notice where another commit was tested than the CI service names."""
    named = build.commit_sha or build.merge_sha
    if not git.is_other or git.head is None or named is None:
        return ()
    at = (git.checked_out or git.head.id)[:7]
    branch = f" (branch {git.branch})" if git.branch else " (no branch)"
    return (
        (
            f"the checkout is at commit {at}, but {build.service_name} names {named[:7]}: "
            f"coverage is filed under {git.head.id[:7]}{branch}"
        ),
    )


def merged_files_notices(
    git: Git, env: Mapping[str, str], identity: Identity, names: Iterable[str]
) -> tuple[str, ...]:
    """Return a notice of measured files that a pull request's merge changed.

    Args:
        git: see `find_tested_commit`.
        env: the environment in which git is looked for and run.
        identity: of the job.
        names: of the measured files in the repository.
    """
    head, merge = identity.commit_sha, git.checked_out
    if identity.service_pull_request is None or not (git.top and head and merge) or head == merge:
        return ()
    merged = changed_between(git.top, env, head, merge).intersection(names)
    if not merged:
        return ()
    return (
        (
            "the tests ran on a merge; Coveralls shows the lines of the head commit, which differs "
            f"in: {shorten_list(merged)}"
        ),
    )


def _as_named(repository: Repository, git: Git, build: Build, chosen: str | None) -> str | None:
    """Return the commit that is named; None where HEAD is another one."""
    assert git.checked_out is not None
    head, named = git.checked_out, chosen or build.commit_sha
    base = named or build.merge_sha
    if base is None:
        # A scripted pipeline of Jenkins has no GIT_COMMIT.
        return _head_of_merge(repository, head, build) if build.head_ref else head
    is_final = chosen or build.is_workflow_run or build.service_name not in _SERVICES
    if head.startswith(base):
        base = head
    elif not is_final:
        below = _commit_below(repository, git, base, build)
        if below is None:
            return None
        base = below
    return base if named else _head_of_merge(repository, base, build)


def _head_of_merge(repository: Repository, merge: str, build: Build) -> str:
    """Return the parent of a pull request's merge that is the pull request's head.

    GitHub and GitLab merge it into the target, so that it is the second. Jenkins' git plugin
    (MergeWithGitSCMExtension) merges the target into it, where it does not hold the target yet.
    """
    parents = parents_of(repository, merge)
    if len(parents) < 2:  # noqa: PLR2004
        return merge
    tip = _tip(repository, build.head_ref)
    if tip is not None and tip in {merge, *parents}:
        return tip
    target = _tip(repository, build.target_branch)
    if target is not None:
        new = [parent for parent in parents if not _is_ancestor(repository, parent, target)]
        if len(new) == 1:
            return new[0]
    return parents[0] if build.head_ref else parents[1]


def _tip(repository: Repository, branch: str | None) -> str | None:
    """Return the id of a branch of the remote; None where it is not here."""
    if branch is None:
        return None
    return _peeled(repository, f"refs/remotes/origin/{branch}")


def _peeled(repository: Repository, name: str) -> str | None:
    said = repository.run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    return said.stdout.decode().strip() if said.status == 0 else None


def _is_ancestor(repository: Repository, commit: str, descendant: str) -> bool:
    return repository.run("merge-base", "--is-ancestor", commit, descendant).status == 0


def _commit_below(repository: Repository, git: Git, base: str, build: Build) -> str | None:
    """Return the id of `base` where HEAD was made from it here.

    HEAD is then a merge of a pull request, or has commits of the job itself on top. None where
    it is another commit, maybe a descendant, that was checked out.
    """

    def merged(parents: list[str]) -> str | None:
        if build.service_pull_request is None or len(parents) < 2:  # noqa: PLR2004
            return None
        return next((parent for parent in parents if parent.startswith(base)), None)

    if _peeled(repository, base) == git.checked_out:  # some services name an annotated tag
        return git.checked_out
    history = _first_parents(repository)
    if head := merged(history[0][1]):
        return head
    for commit, parents in history:
        below = commit if commit.startswith(base) else merged(parents)
        if below is not None:
            return below if _was_made_here(repository, git, build) else None
    return None


def _first_parents(repository: Repository) -> list[tuple[str, list[str]]]:
    """Return ids and parents of HEAD and the commits below it, the newest first.

    Unlike all other formats `raw` shows also the parents that a shallow clone lacks.
    """
    options = ("--first-parent", f"-n{_OWN_COMMITS}", "--format=raw", "--no-show-signature")
    said = repository.run("log", *options, "HEAD", "--").stdout.decode("utf-8", "replace")
    found = re.findall(r"^commit (\w+)\ntree .*((?:\nparent \w+)*)", said, re.MULTILINE)
    return [(commit, parents.split()[1::2]) for commit, parents in found] or [("", [])]


def _was_made_here(repository: Repository, git: Git, build: Build) -> bool:
    """Tell whether the job itself made HEAD; a descendant may also have been checked out."""
    branches = {build.service_branch, build.target_branch}
    if git.branch and build.service_branch and git.branch not in branches:
        return False
    last = repository.run("log", "--walk-reflogs", "-n1", "--format=%gs", "HEAD", "--")
    return _CHECKED_OUT.match(last.stdout.decode("utf-8", "replace").strip()) is None


def _with_other_commit(repository: Repository, git: Git) -> Git:
    """Return the facts with HEAD as the commit that was tested, and its branch."""
    assert git.checked_out is not None
    head = git.checked_out
    said = repository.run(
        "for-each-ref", "--points-at=HEAD", "--format=%(refname:lstrip=2)", "refs/remotes"
    )
    refs = said.stdout.decode("utf-8", "replace").split()
    pull_requests = set(filter(_PULL_REQUEST_REF.search, refs))
    parents = parents_of(repository, head)
    if len(parents) > 1 and any(ref.endswith("/merge") for ref in pull_requests):
        head = parents[1]  # a pull request's merge exists nowhere else
    branches = {ref.partition("/")[2] for ref in refs if ref not in pull_requests} - {"HEAD"}
    branch = git.branch or (branches.pop() if len(branches) == 1 else None)
    return replace(git, head=Commit(id=head), is_other=True, branch=branch)
