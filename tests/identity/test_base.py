"""What the changed lines are counted from, in real clones of every depth, and git's diff of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from git_repository import GIT, Repository, fake_git, needs_git, posix

from pytest_coveralls_submit import git, process
from pytest_coveralls_submit.ci.detect import Build, detect
from pytest_coveralls_submit.errors import ProcessError
from pytest_coveralls_submit.identity.base import Base, NoBase, find_base
from pytest_coveralls_submit.identity.diff import LIMIT, Diff, start_diff

pytestmark = needs_git

GITHUB = {"service_name": "github-actions", "service_pull_request": "7", "target_branch": "main"}
GITLAB = {"service_name": "gitlab-ci", "service_pull_request": "7", "target_branch": "main"}
OTHER = {"service_name": "jenkins", "service_pull_request": "7"}
ABSENT = "1234567890" * 4


def base_of(
    repository: Repository, build: dict[str, str] | None = None, **names: Any
) -> str | NoBase:
    """The commit to compare with, or why there is none."""
    base = find_base(repository.path, repository.env, Build(**(build or {})), **names)  # type: ignore[arg-type]
    if isinstance(base, Base):
        assert base.reason
        assert base.includes_uncommitted == (not build)
        return base.commit
    return base


@pytest.fixture
def origin(tmp_path: Path) -> Repository:
    """A new repository without commit."""
    return Repository(tmp_path / "origin")


# --- the first that fits ---------------------------------------------------------------------


@pytest.mark.parametrize("depth", [0, 2, 3])
def test_a_merge_is_compared_with_its_first_parent(
    origin: Repository, tmp_path: Path, depth: int
) -> None:
    """From depth 2 on, whatever else is here."""
    _, topic, target = origin.merge_request()
    checkout = origin.checkout_merge(tmp_path / "checkout", depth)
    for build in (GITHUB, GITLAB, OTHER):
        assert base_of(checkout, build, commit=topic) == target
        assert base_of(checkout, build, commit=topic[:12]) == target


@pytest.mark.parametrize(
    ("build", "remedy"),
    [
        (GITHUB, "give actions/checkout `fetch-depth: 2`"),
        ({**GITHUB, "service_name": "forgejo-actions"}, "actions/checkout `fetch-depth: 2`"),
        (GITLAB, 'set the variable `GIT_DEPTH: "0"`'),
        (OTHER, "let the CI service clone more commits"),
    ],
)
def test_a_merge_of_depth_1_has_a_remedy(
    origin: Repository, tmp_path: Path, build: dict[str, str], remedy: str
) -> None:
    """The commit names its parents, but they are not here."""
    _, topic, _ = origin.merge_request()
    checkout = origin.checkout_merge(tmp_path / "checkout", 1)
    base = base_of(checkout, build, commit=topic)
    assert isinstance(base, NoBase)
    assert base.remedy.startswith("changed lines: not known, ")
    assert remedy in base.remedy


def test_the_head_of_a_request_is_compared_with_where_it_left_its_target(
    origin: Repository, tmp_path: Path
) -> None:
    """Who checks out the head, even one that ends in a merge of the target's, has no parent."""
    _, topic, target = origin.merge_request()
    first = origin.git("rev-parse", "topic^")
    clone = origin.clone(tmp_path / "clone", "--branch=topic")
    assert base_of(clone, GITHUB, commit=topic) == first
    clone.git("merge", "--quiet", "--message", "catch up", "origin/main")
    merged = clone.commit("more", "d.py")
    clone.git("reset", "--quiet", "--hard", "HEAD^")
    for commit in (clone.git("rev-parse", "HEAD"), merged, None):
        assert base_of(clone, GITHUB, commit=commit) == target
    # Where only the branch here has the target's name, it will do.
    clone.git("branch", "--quiet", "main", first)
    clone.git("remote", "remove", "origin")
    assert base_of(clone, GITHUB, commit=merged) == first
    shallow = origin.clone(tmp_path / "shallow", "--branch=topic", "--depth=1")
    for build, remedy in ((GITHUB, "fetch-depth: 0"), (OTHER, "COVERALLS_COMPARE_REF")):
        base = base_of(shallow, build, commit=topic)
        assert isinstance(base, NoBase)
        assert remedy in base.remedy


@pytest.mark.xfail(strict=True, reason="the first parent is taken, whatever it is")
def test_a_head_with_its_target_merged_into_it_is_compared_with_the_target(
    origin: Repository, tmp_path: Path
) -> None:
    """Jenkins' and Bitbucket's way round: the first parent is the head of the pull request."""
    _, topic, target = origin.merge_request()
    clone = origin.clone(tmp_path / "clone", "--branch=topic")
    clone.git("merge", "--quiet", "--no-ff", "--message", "merged", "origin/main")
    clone.git("update-ref", "-d", "refs/remotes/origin/main")
    for commit in (topic, topic[:12]):
        assert base_of(clone, OTHER, commit=commit) == target


@pytest.mark.xfail(strict=True, reason="the commit is not asked for")
@pytest.mark.parametrize("is_behind", [True, False])
def test_bitbucket_names_the_commit_that_it_merges(
    origin: Repository, tmp_path: Path, *, is_behind: bool
) -> None:
    """One branch is cloned; where the target brings nothing new, there is no merge."""
    _, topic, target = origin.merge_request()
    if not is_behind:
        target = origin.git("rev-parse", "topic^")
        origin.git("update-ref", "refs/heads/main", target)
    clone = origin.clone(tmp_path / "clone", "--branch=topic", "--depth=50", "--single-branch")
    clone.git("fetch", "--quiet", "origin", "main")
    clone.git("merge", "--quiet", "--no-edit", "FETCH_HEAD")
    build = detect(
        {
            "BITBUCKET_BUILD_NUMBER": "9",
            "BITBUCKET_BRANCH": "topic",
            "BITBUCKET_COMMIT": topic[:12],
            "BITBUCKET_PR_ID": "7",
            "BITBUCKET_PR_DESTINATION_BRANCH": "main",
            "BITBUCKET_PR_DESTINATION_COMMIT": target[:12],
        }
    )
    found = find_base(clone.path, clone.env, build, commit=topic)
    assert isinstance(found, Base)
    assert found.commit == target


def test_gitlabs_own_base_counts_only_if_it_is_here(origin: Repository, tmp_path: Path) -> None:
    """It may lie beyond GIT_DEPTH; then the target branch is asked."""
    _, topic, _ = origin.merge_request()
    first = origin.git("rev-parse", "topic^")
    clone = origin.clone(tmp_path / "clone", "--branch=topic")
    clone.git("update-ref", "refs/remotes/origin/main", topic)
    assert base_of(clone, {**GITLAB, "diff_base_sha": first}, commit=topic) == first
    assert base_of(clone, {**GITLAB, "diff_base_sha": ABSENT}, commit=topic) == topic


def test_settings_come_first_and_fit_only_if_they_are_here(
    origin: Repository, tmp_path: Path
) -> None:
    """compare_sha, then compare_ref, then what is found without them."""
    _, topic, target = origin.merge_request()
    first = origin.git("rev-parse", "topic^")
    origin.git("tag", "--annotate", "--message", "x", "v1", first)
    clone = origin.clone(tmp_path / "clone", "--branch=topic")
    tip = clone.git("rev-parse", "HEAD")
    assert base_of(clone, compare_sha=target[:9], compare_ref="main") == target
    for name in ("main", "origin/main", "refs/remotes/origin/main", "v1"):
        assert base_of(clone, compare_sha=ABSENT, compare_ref=name) == first
    assert base_of(clone, compare_ref="topic") == tip
    for absent in ("gone", "--all", "*", "main^", ""):
        assert base_of(clone, GITHUB, commit=topic, compare_sha="main", compare_ref=absent) == first
    clone.git("update-ref", f"refs/heads/{first[:9]}", target)
    assert base_of(clone, OTHER, compare_sha=first[:9]) != target


@pytest.mark.parametrize("default", ["HEAD", "main", "master"])
def test_on_a_laptop_it_is_where_head_left_the_default_branch(
    origin: Repository, tmp_path: Path, default: str
) -> None:
    """Also before the first own commit: then only what is uncommitted has changed."""
    first = origin.commit("first")
    clone = origin.clone(tmp_path / "clone")
    clone.git("symbolic-ref", "--delete", "refs/remotes/origin/HEAD")
    clone.git("update-ref", "-d", "refs/remotes/origin/main")
    clone.git("update-ref", f"refs/remotes/origin/{default}", first)
    assert base_of(clone) == first
    clone.commit("second")
    assert base_of(clone) == first


def test_elsewhere_nothing_is_compared_and_nothing_said(origin: Repository, tmp_path: Path) -> None:
    """A push to a CI service, no remote, no commit, no repository, no git."""
    assert base_of(origin) == NoBase()
    _, topic, _ = origin.merge_request()
    assert base_of(origin) == NoBase()
    clone = origin.clone(tmp_path / "clone")
    assert base_of(clone, {"service_name": "github-actions"}, commit=topic) == NoBase()
    build = Build(service_name="github-actions", service_pull_request="7")
    assert find_base(tmp_path, clone.env, build) == NoBase()
    assert find_base(clone.path, {"PATH": ""}, build) == NoBase()


# --- the comparison --------------------------------------------------------------------------


def compared(
    repository: Repository, base: str, *, uncommitted: bool = False, **env: str
) -> list[bytes]:
    """The lines of a diff."""
    diff = start_diff(repository.path, repository.env | env, base, includes_uncommitted=uncommitted)
    return diff.read().splitlines()


def snapshot(repository: Repository) -> dict[str, tuple[int, bytes]]:
    """Every file in .git, with its time and content."""
    files = (path for path in (repository.path / ".git").rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_a_laptop_compares_the_work_tree_and_writes_nothing(origin: Repository) -> None:
    """Staged or not; a file that was only touched has no lines, an untracked one is not there."""
    base = origin.commit("1\n2\n")
    origin.commit("1\n2\n", "touched.py")
    (origin.path / "a.py").write_text("1\nchanged\n")
    (origin.path / "staged.py").write_text("staged\n")
    origin.git("add", "staged.py")
    (origin.path / "staged.py").write_text("staged\nmore\n")
    (origin.path / "touched.py").write_text("1\n2\n")
    (origin.path / "untracked.py").write_text("1\n")
    before = snapshot(origin)

    lines = compared(origin, base, uncommitted=True)

    assert snapshot(origin) == before
    added = [line for line in lines if line.startswith(b"+")]
    assert added == [
        *(b"+++ b/a.py", b"+changed", b"+++ b/staged.py", b"+staged", b"+more"),
        *(b"+++ b/touched.py", b"+1", b"+2"),
    ]
    assert b"+changed" not in compared(origin, base)
    (origin.path / "touched.py").touch()
    assert b"+++ b/touched.py" not in compared(origin, "HEAD", uncommitted=True)


def test_nobodys_settings_change_the_diff(origin: Repository, tmp_path: Path) -> None:
    """Of the user, of the repository's attributes, or in the environment."""
    odd = "ü ñ.py"
    text = "".join(f"line {number}\n" for number in range(40))
    for name in ("moved.py", odd):
        origin.commit(text + name, name)
    base = origin.git("rev-parse", "HEAD")
    origin.git("mv", "moved.py", "new name.py")
    (origin.path / odd).write_text(text.replace("line 3\n", "x\n").replace("line 6\n", "y\n\0"))
    origin.commit_all()
    plain = [compared(origin, base, uncommitted=uncommitted) for uncommitted in (False, True)]
    assert sum(line.startswith(b"@@") for line in plain[0]) == 3
    assert sum(line.startswith(b"rename to new name.py") for line in plain[0]) == 1
    (origin.path / ".git" / "info").mkdir(exist_ok=True)
    (origin.path / ".git" / "info" / "attributes").write_text("* -diff\n*.py binary diff=odd\n")
    for setting, value in {
        **dict.fromkeys(("diff.noprefix", "diff.mnemonicPrefix", "diff.relative"), "true"),
        **dict.fromkeys(("diff.interHunkContext", "diff.context"), "9"),
        **dict.fromkeys(("color.ui", "color.diff", "diff.colorMoved"), "always"),
        **dict.fromkeys(("diff.external", "diff.odd.command", "diff.odd.textconv"), "false"),
        "diff.renames": "false",
        "diff.renameLimit": "1",
        "diff.algorithm": "patience",
        "diff.odd.algorithm": "histogram",
        "diff.odd.binary": "true",
        "core.quotePath": "false",
        "diff.indentHeuristic": "false",
        "diff.wordRegex": ".",
        "diff.submodule": "log",
        "diff.suppressBlankEmpty": "true",
        "diff.srcPrefix": "x/",
    }.items():
        origin.git("config", setting, value)
    variables = {"GIT_DIFF_OPTS": "-u5", "GIT_EXTERNAL_DIFF": "false", "GIT_PAGER": "false"}
    found = [
        compared(origin, base, uncommitted=uncommitted, **variables)
        for uncommitted in (False, True)
    ]
    assert found == plain


@posix
@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("exec sleep 600", "within 0.1 s"),
        ("exit 128", "could not compare"),
        (f"head -c {LIMIT + 4096} /dev/zero", "more than 64 MiB"),
    ],
)
def test_a_diff_that_cannot_be_had_is_an_error(
    origin: Repository, tmp_path: Path, script: str, problem: str
) -> None:
    """A git that hangs, fails or says too much; it is gone afterwards."""
    origin.commit()
    diff = start_diff(
        origin.path, fake_git(tmp_path / "bin", script), "HEAD", includes_uncommitted=False
    )
    with pytest.raises(ProcessError, match=problem):
        diff.read(0.1 if "sleep" in script else 10)
    assert diff.has_ended()


@posix
def test_a_diff_that_is_too_much_is_made_again_without_what_is_no_text(
    origin: Repository, tmp_path: Path
) -> None:
    """A large picture that was replaced costs no other file its lines; what is gone is short."""
    origin.commit("1\n")
    script = f'case "$*" in *--text*) head -c {LIMIT + 4096} /dev/zero;; *) exec {GIT} "$@";; esac'
    base = origin.commit("gone\n" * 1000, "gone.txt")
    origin.git("rm", "--quiet", "gone.txt")
    origin.commit("1\n2\n")
    env = fake_git(tmp_path / "bin", script)

    diff = start_diff(origin.path, env, base, includes_uncommitted=False)

    printed = diff.read(10)
    assert b"+2\n" in printed
    assert b"gone\n" not in printed.replace(b"/gone", b"")


@posix
def test_a_diff_that_nobody_reads_is_ended(origin: Repository, tmp_path: Path) -> None:
    """Closing kills what still runs; doing it twice does no harm."""
    origin.commit()
    env = fake_git(tmp_path / "bin", "exec sleep 600")
    diff: Diff = start_diff(origin.path, env, "HEAD", includes_uncommitted=False)
    assert not diff.has_ended()
    diff.close()
    diff.close()
    assert diff.has_ended()


@posix
def test_a_diff_that_cannot_start_is_an_error(
    origin: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without git, with one that cannot be run, and where there is no room for its output."""
    origin.commit()
    broken = fake_git(tmp_path / "bin", "")
    (tmp_path / "bin" / "git").write_bytes(b"\0")
    for env, problem in (({"PATH": ""}, "not installed"), (broken, "could not be started")):
        with pytest.raises(ProcessError, match=problem):
            start_diff(origin.path, env, "HEAD", includes_uncommitted=False)
    monkeypatch.setattr(process, "_TEMPORARY", str(tmp_path / "absent"))
    monkeypatch.delattr(os, "memfd_create", raising=False)
    with pytest.raises(ProcessError, match="no temporary file"):
        start_diff(origin.path, origin.env, "HEAD", includes_uncommitted=False)


@posix
def test_blobs_that_are_not_here_are_not_fetched(origin: Repository, tmp_path: Path) -> None:
    """In a partial clone git would fetch them; the comparison fails instead."""
    base = origin.commit("first")
    origin.commit("second")
    origin.git("config", "uploadpack.allowFilter", "true")
    clone = origin.clone(tmp_path / "clone", "--filter=blob:none", "--no-checkout")
    clone.git("config", "protocol.file.allow", "always")
    with pytest.raises(ProcessError, match="could not compare"):
        compared(clone, base)
    assert clone.git("diff", "--stat", base, "HEAD")


def test_what_git_reads_is_what_plan_asks_for(origin: Repository, tmp_path: Path) -> None:
    """The commit that git finds in a merge is the one by which its first parent is found."""
    merge, _, target = origin.merge_request()
    checkout = origin.checkout_merge(tmp_path / "checkout", 2)
    head = git.read(checkout.path, checkout.env, merge=merge).head
    assert head is not None
    assert base_of(checkout, GITHUB, commit=head.id) == target
