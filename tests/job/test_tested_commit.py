"""Find the commit of a checkout, of a pull request's merge, of another branch."""

from __future__ import annotations

from pathlib import Path

import pytest
from git_repository import GIT, Repository, fake_git, needs_git, posix

from pytest_coveralls_submit import git
from pytest_coveralls_submit.ci.detect import Build
from pytest_coveralls_submit.git import Git
from pytest_coveralls_submit.job.tested_commit import find_tested_commit, of_tested_commit

ABSENT = "1234567890" * 4

pytestmark = needs_git


def build(service: str = "github-actions", **values: str | None) -> Build:
    return Build(service_name=service, **values)  # type: ignore[arg-type]


class Checkout(Repository):
    """A repository, and which of its commits was tested."""

    def find(self, said: Build, commit_sha: str | None = None) -> Git:
        return find_tested_commit(git.read([self.path], self.env), said, commit_sha)

    def tested(self, said: Build) -> tuple[str, bool]:
        """Return id of the commit, and whether it is another than the service names."""
        found = self.find(said)
        assert found.head is not None
        return found.head.id, found.is_other


@pytest.fixture
def repository(tmp_path: Path) -> Checkout:
    """A repository with a commit on `main`."""
    made = Checkout(tmp_path / "work")
    made.commit("first")
    return made


def test_without_a_ci_service_head_was_tested(repository: Checkout) -> None:
    assert repository.tested(Build()) == (repository.git("rev-parse", "HEAD"), False)


def test_a_short_id_is_completed(repository: Checkout) -> None:
    """Bitbucket Pipelines gives twelve digits; author and message belong to the whole commit."""
    sha = repository.commit("second")
    found = repository.find(build("bitbucket", commit_sha=sha[:12]))
    assert found.head is not None
    assert (found.head.id, found.head.message) == (sha, "second")


def test_an_annotated_tag_is_its_commit(repository: Checkout) -> None:
    repository.git("tag", "--annotate", "--message", "one", "v1")
    said = build("drone", commit_sha=repository.git("rev-parse", "v1"), tag="v1")
    assert repository.tested(said) == (repository.git("rev-parse", "HEAD"), False)


@pytest.mark.parametrize(
    ("said", "chosen"),
    [
        (build(commit_sha="a" * 40), ABSENT),
        (Build(service_name="mine", commit_sha=ABSENT), None),
        (build(commit_sha=ABSENT, event_name="workflow_run"), None),
    ],
)
def test_a_commit_that_the_user_or_event_names_was_tested(
    repository: Checkout, said: Build, chosen: str | None
) -> None:
    """By a setting, or by the variables that Coveralls documents for all services."""
    found = repository.find(said, chosen)
    assert (found.head, found.is_other) == (git.Commit(id=ABSENT), False)


def test_without_git_the_ci_service_is_believed(repository: Checkout, tmp_path: Path) -> None:
    known = git.read([repository.path], {"PATH": str(tmp_path)})
    found = find_tested_commit(known, build(commit_sha=ABSENT))
    assert (found.head, found.is_other) == (git.Commit(id=ABSENT), False)


@posix
@pytest.mark.parametrize("command", ["log", "config"])
def test_a_commit_that_git_does_not_show_in_time_is_its_id(
    repository: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(git, "CALL_TIMEOUT", 0.5)
    script = f'case "$*" in *" {command} "*) sleep 600;; esac\nexec {GIT} "$@"'
    known = git.read([repository.path], fake_git(tmp_path / "bin", script))
    found = find_tested_commit(known, Build())
    assert found.head == git.Commit(id=repository.git("rev-parse", "HEAD"))
    assert found.problem == "git did not answer within 0.5 s"


@pytest.mark.parametrize("depth", [0, 1])
def test_commits_of_the_job_stay_with_the_ci_services(
    repository: Checkout, tmp_path: Path, depth: int
) -> None:
    """A formatter, a version stamp, a merge of the target: nobody else has these commits."""
    sha = repository.git("rev-parse", "HEAD")
    clone = repository.clone(tmp_path / "clone", *([f"--depth={depth}"] if depth else []))
    clone.git("checkout", "--quiet", "-b", "side")
    side = clone.commit("side", "side.py")
    clone.git("checkout", "--quiet", "main")
    clone.commit("format")
    clone.git("merge", "--quiet", "--no-ff", "--no-edit", side)
    said = build(commit_sha=sha, service_branch="main")
    assert clone.tested(said) == (sha, False)
    clone.git("checkout", "--quiet", "--detach")
    clone.commit("stamp")
    assert clone.tested(said) == (sha, False)


@pytest.mark.parametrize("named", ["commit_sha", "merge_sha"])
@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("stamped", [True, False])
def test_githubs_merge_has_the_head_as_second_parent(
    repository: Checkout, tmp_path: Path, named: str, depth: int, stamped: bool
) -> None:
    """A checkout of depth 1 does not hold the parents, but names them."""
    merge, head, _ = repository.merge_request()
    checkout = repository.checkout_merge(tmp_path / "checkout", depth)
    if stamped:
        checkout.commit("a stamp")
    ids = {"commit_sha": head, "merge_sha": merge}
    said = build(service_pull_request="7", service_branch="topic", **{named: ids[named]})
    found = checkout.find(said)
    assert found.head is not None
    assert (found.head.id, found.is_other) == (head, False)
    assert found.head.message == (None if depth == 1 else "the topic")


@pytest.mark.parametrize("has_head", [True, False])
@pytest.mark.parametrize("has_target", [True, False])
@pytest.mark.parametrize("is_named", [True, False])
def test_jenkins_merge_has_the_head_as_first_parent(
    repository: Checkout, has_head: bool, has_target: bool, is_named: bool
) -> None:
    """The git plugin merges the target into what it has checked out."""
    _, head, target = repository.merge_request()
    repository.git("checkout", "--quiet", "--detach", head)
    repository.git("merge", "--quiet", "--no-ff", "--no-edit", target)
    if has_head:
        repository.git("update-ref", "refs/remotes/origin/PR-7", head)
    if has_target:
        repository.git("update-ref", "refs/remotes/origin/main", target)
    merge = repository.git("rev-parse", "HEAD") if is_named else None
    values = {"target_branch": "main", "head_ref": "PR-7", "merge_sha": merge}
    assert repository.tested(build("jenkins", service_pull_request="7", **values)) == (head, False)


def test_a_pull_request_that_ends_in_a_merge_is_its_own_head(repository: Checkout) -> None:
    """Its author has merged the target; Jenkins had nothing to merge."""
    merge, _, _ = repository.merge_request()
    repository.git("checkout", "--quiet", "--detach", merge)
    repository.git("update-ref", "refs/remotes/origin/PR-7", merge)
    for named in (merge, None):
        said = build("jenkins", service_pull_request="7", head_ref="PR-7", merge_sha=named)
        assert repository.tested(said) == (merge, False)


@pytest.mark.parametrize("head_ref", ["PR-7", None])
def test_jenkins_may_build_githubs_merge(repository: Checkout, head_ref: str | None) -> None:
    """As the plugin ghprb does; the target is then the first parent."""
    merge, head, target = repository.merge_request()
    repository.git("checkout", "--quiet", "--detach", merge)
    repository.git("update-ref", "refs/remotes/origin/main", target)
    values = {"target_branch": "main", "head_ref": head_ref, "merge_sha": merge}
    assert repository.tested(build("jenkins", service_pull_request="7", **values)) == (head, False)


@pytest.mark.parametrize("is_absent", [True, False])
def test_another_branch_is_filed_under_its_own_name(repository: Checkout, is_absent: bool) -> None:
    """Also one that grew out of the commit that the CI service names."""
    sha = repository.git("rev-parse", "HEAD")
    repository.git("checkout", "--quiet", "-b", "release")
    other = repository.commit("a fix")
    named = ABSENT if is_absent else sha
    request = {"service_pull_request": "7", "target_branch": "next", "author_name": "Somebody"}
    said = build(commit_sha=named, service_branch="main", **request)

    found = repository.find(said)

    notice = (
        f"the checkout is at commit {other[:7]}, but github-actions names {named[:7]}: "
        f"coverage is filed under {other[:7]} (branch release)"
    )
    made = build(commit_sha=other, service_branch="release")
    assert of_tested_commit(said, found) == (made, (notice,))


def test_a_descendant_that_was_checked_out_is_another_commit(
    repository: Checkout, tmp_path: Path
) -> None:
    """The commit that a user has entered may be one on top of the default branch."""
    sha = repository.git("rev-parse", "HEAD")
    repository.git("checkout", "--quiet", "-b", "topic")
    other = repository.commit("a topic")
    clone = repository.clone(tmp_path / "clone")
    clone.git("checkout", "--quiet", "--detach", other)

    found = clone.find(build(commit_sha=sha, service_branch="main"))

    assert (found.checked_out, found.is_other, found.branch) == (other, True, "topic")


def test_newer_commits_of_a_branch_stay_with_its_pull_request(repository: Checkout) -> None:
    """Somebody has pushed between the event and the checkout of the branch."""
    repository.git("checkout", "--quiet", "-b", "topic")
    repository.commit("newer")
    repository.git("checkout", "--quiet", "-B", "topic")
    said = build(commit_sha=ABSENT, service_branch="topic", service_pull_request="7")
    made, _ = of_tested_commit(said, repository.find(said))
    assert (made.service_pull_request, made.service_branch) == ("7", "topic")


def test_the_merge_of_a_pull_request_that_a_comment_asked_for_is_its_head(
    repository: Checkout, tmp_path: Path
) -> None:
    """The event names the default branch, which is the merge's first parent."""
    _, head, target = repository.merge_request()
    for depth in (0, 1):
        checkout = repository.checkout_merge(tmp_path / f"checkout{depth}", depth)
        assert checkout.tested(build(commit_sha=target, service_branch="main")) == (head, True)


def test_a_branch_is_unknown_where_several_end(repository: Checkout) -> None:
    repository.git("checkout", "--quiet", "--detach")
    for branch in ("a", "b"):
        repository.git("update-ref", f"refs/remotes/origin/{branch}", "HEAD")
    assert repository.find(build(commit_sha=ABSENT)).branch is None
    repository.git("update-ref", "-d", "refs/remotes/origin/b")
    repository.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/a")
    assert repository.find(build(commit_sha=ABSENT)).branch == "a"
