"""Read real repositories and clones, and programs that only pretend to be git."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from git_repository import GIT, PLAIN, Repository, fake_git, needs_git, posix

from pytest_coveralls_submit import git
from pytest_coveralls_submit.git import Git

SECRET = "s3cr3t-t0ken"

pytestmark = needs_git


class Checkout(Repository):
    """A repository, and what the module under test says about it."""

    def read(self) -> Git:
        return git.read([self.path], self.env)

    def show(self, commit: str = "HEAD") -> git.Commit:
        return git.read_commit(git.Repository.at(self.path, self.env), commit)

    def tracked(self) -> set[str]:
        return {*(git.tracked(self.read()) or ())}


@pytest.fixture
def repository(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "work")


def test_a_commit_is_read_whole(repository: Checkout) -> None:
    """People have the names that .mailmap gives them."""
    message = "A subject\n\nA body of two lines,\nwith ünïcode."
    (repository.path / ".mailmap").write_text("Proper Ada <proper@example.org> <ada@example.org>\n")
    sha = repository.commit(message)
    assert repository.show(sha) == git.Commit(
        id=sha,
        author_name="Proper Ada",
        author_email="proper@example.org",
        committer_name="Carl Committer",
        committer_email="carl@example.org",
        message=message,
    )


@pytest.mark.parametrize(("message", "kept"), [("café".encode("latin-1"), "café"), (b"", None)])
def test_a_message_may_have_any_encoding_or_be_empty(
    repository: Checkout, message: bytes, kept: str | None
) -> None:
    repository.git("config", "i18n.logOutputEncoding", "latin-1")
    repository.git("config", "i18n.commitEncoding", "latin-1")
    sha = repository.git("commit-tree", repository.git("write-tree"), text=message)
    assert repository.show(sha).message == kept


def test_an_absent_commit_is_its_id_and_nothing_else(repository: Checkout) -> None:
    """A branch may be named like an abbreviated id."""
    first = repository.commit("first")
    assert repository.show("12" * 20) == git.Commit(id="12" * 20)
    assert repository.show(first[:10]).id == first
    repository.git("update-ref", f"refs/heads/{first[:10]}", repository.commit("second"))
    assert repository.show(first[:10]) == git.Commit(id=first[:10])


@pytest.mark.parametrize(
    "ref", ["", "tags/main", "remotes/main", "heads/heads/main", "tags/HEAD", "heads/HEAD"]
)
def test_a_branch_is_found_among_refs_of_like_names(repository: Checkout, ref: str) -> None:
    """`git rev-parse --abbrev-ref` would say heads/main; another HEAD may hide the branch."""
    sha = repository.commit()
    if ref:
        repository.git("update-ref", f"refs/{ref}", "HEAD")
    said = repository.read()
    assert said.checked_out == sha
    assert said.branch in ({"main", None} if ref.endswith("HEAD") else {"main"})
    repository.git("checkout", "--quiet", "--detach", sha)
    assert repository.read().branch is None


def test_the_first_directory_in_a_repository_counts(repository: Checkout, tmp_path: Path) -> None:
    repository.commit(file="deep/down/a.py")
    other = Checkout(tmp_path / "other")
    for directories in ([repository.path / "deep/down", other.path], [tmp_path, repository.path]):
        assert git.read(directories, PLAIN).top == repository.path.resolve()


def test_a_worktree_is_its_own_top_level(repository: Checkout, tmp_path: Path) -> None:
    """Its .git is a file; that the common configuration says bare does not concern it."""
    repository.commit()
    bare = repository.clone(tmp_path / "bare.git", "--bare")
    bare.git("worktree", "add", "-q", "-b", "topic/y", str(tmp_path / "linked"))
    linked = Checkout(tmp_path / "linked", init=False)
    sha = linked.commit("other")
    said = linked.read()
    assert (said.top, said.checked_out, said.branch) == (linked.path.resolve(), sha, "topic/y")
    assert linked.tracked() == {"a.py"}


def test_a_submodule_is_its_own_top_level(repository: Checkout, tmp_path: Path) -> None:
    repository.commit()
    outer = Checkout(tmp_path / "outer")
    outer.git("submodule", "--quiet", "add", repository.url, "inner")
    outer.commit("outer")
    inner = Checkout(outer.path / "inner", init=False)
    sha = inner.commit("inner", "inner.py")
    said = inner.read()
    assert (said.top, said.checked_out) == (inner.path.resolve(), sha)
    assert inner.tracked() == {"a.py", "inner.py"}
    assert said.remotes == {"origin": repository.url}


def test_variables_of_git_are_ignored(repository: Checkout, tmp_path: Path) -> None:
    """GIT_DIR and its like, as hooks leave them, do not lead to another repository."""
    repository.commit()
    other = Checkout(tmp_path / "other")
    other.commit("another")
    folders = ("GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_CEILING_DIRECTORIES")
    left = {
        **dict.fromkeys(folders, str(tmp_path)),
        "GIT_DIR": str(other.path / ".git"),
        "GIT_WORK_TREE": str(other.path),
        "GIT_INDEX_FILE": str(tmp_path / "index"),
        "GIT_CONFIG_PARAMETERS": "'core.bare'='true'",
    }
    found = git.read([repository.path], repository.env | left)
    assert found == repository.read()
    assert git.tracked(found) == frozenset({"a.py"})


def test_without_git_the_top_level_is_known(repository: Checkout, tmp_path: Path) -> None:
    repository.commit()
    for path in (str(tmp_path), "relative"):
        said = git.read([repository.path], {"PATH": path})
        assert said == Git(top=repository.path.resolve(), problem="git is not installed")
        assert git.tracked(said) is None


@pytest.mark.parametrize("kind", ["nothing", "bare", "empty"])
def test_a_directory_without_work_tree_is_no_checkout(tmp_path: Path, kind: str) -> None:
    if kind == "bare":
        Checkout(tmp_path).git("init", "--quiet", "--bare", "bare")
        (tmp_path / ".git").rename(tmp_path / "moved")
    (tmp_path / kind / (".git" if kind == "empty" else "")).mkdir(parents=True, exist_ok=True)
    assert git.read([tmp_path / kind], PLAIN) == Git(problem="not a git repository")


def test_a_repository_without_commit_and_a_broken_one_are_said(repository: Checkout) -> None:
    """A worktree or submodule mounted without its repository still has a top level."""
    assert repository.read() == Git(top=repository.path.resolve(), problem="no commit yet")
    assert git.tracked(repository.read()) is None
    shutil.rmtree(repository.path / ".git")
    (repository.path / ".git").write_text("gitdir: /nowhere/at/all\n")
    said = repository.read()
    assert said.top == repository.path.resolve()
    assert str(said.problem).startswith("git cannot read the repository in ")


def own(path: Path, user: int) -> None:
    for directory, _, files in os.walk(path):
        for name in (".", *files):
            os.lchown(Path(directory) / name, user, user)  # type: ignore[attr-defined,unused-ignore]


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only root can give files away"
)
class TestAnotherOwner:
    """A checkout mounted into a container belongs to somebody else."""

    def test_it_is_read(self, repository: Checkout) -> None:
        """What git refuses to find by itself is read, without changing a configuration."""
        sha = repository.commit(file="sub/a.py")
        own(repository.path, 12345)
        with pytest.raises(subprocess.CalledProcessError):
            repository.git("log")
        said = git.read([repository.path / "sub"], PLAIN)
        assert (said.problem, said.branch, said.checked_out) == (None, "main", sha)
        assert repository.show(sha).message == "a message"
        assert repository.tracked() == {"sub/a.py"}

    def test_a_repository_planted_above_is_not(self, repository: Checkout) -> None:
        """What one user puts into another's directory, say /tmp, is not trusted."""
        repository.commit()
        own(repository.path / ".git", 12345)
        said = repository.read()
        assert said.top is None
        assert str(said.problem).endswith("belongs to another user")
        other = Checkout(repository.path.parent / "other")
        assert git.read([repository.path, other.path], PLAIN).top == other.path.resolve()


@posix
@pytest.mark.parametrize(
    "does", ["rev-parse*) sleep 600", "rev-parse*) exit 0", "config*) sleep 600"]
)
def test_a_git_that_hangs_or_fails_costs_what_it_would_have_said(
    repository: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str
) -> None:
    sha = repository.commit()
    monkeypatch.setattr(git, "CALL_TIMEOUT", 0.5)
    script = f'case "$*" in *" "{does};; esac\nexec {GIT} "$@"'
    said = git.read([repository.path], fake_git(tmp_path / "bin", script))
    assert said.top == repository.path.resolve()
    assert said.checked_out == (sha if does.startswith("config") else None)
    assert said.problem is not None
    assert git.tracked(said) is None


@posix
def test_a_git_in_the_repository_is_not_run(repository: Checkout) -> None:
    """A checkout may hold a program of that name (CVE-2023-40590)."""
    repository.commit()
    own = fake_git(repository.path / "bin", "exit 1")["PATH"]
    env = repository.env | {"PATH": os.pathsep.join([own, os.environ["PATH"]])}
    assert git.read([repository.path], env).branch == "main"


@posix
def test_git_starts_no_monitor(repository: Checkout, tmp_path: Path) -> None:
    """A monitor of the file system would go on running beside the tests."""
    canary = tmp_path / "canary"
    fake_git(tmp_path / "bin", f"touch {canary}")
    repository.commit()
    repository.git("config", "core.fsmonitor", str(tmp_path / "bin" / "git"))
    assert repository.tracked() == {"a.py"}
    assert not canary.exists()
    repository.git("ls-files")
    assert canary.exists()


@posix
def test_a_missing_commit_is_not_fetched(repository: Checkout, tmp_path: Path) -> None:
    """In a partial clone a plain git would fetch it."""
    repository.commit("first")
    repository.git("config", "uploadpack.allowFilter", "true")
    repository.git("config", "uploadpack.allowAnySHA1InWant", "true")
    clone = repository.clone(tmp_path / "clone", "--filter=blob:none", "--depth=1")
    later = repository.commit("later")
    clone.git("config", "protocol.file.allow", "always")
    assert clone.show(later) == git.Commit(id=later)
    assert clone.git("log", "-1", "--format=%s", later) == "later"


@posix
def test_tracked_names_are_as_git_spells_them(repository: Checkout) -> None:
    names = {"a.py", "src/pkg/ü ñ.py", 'quo"te\n.py', os.fsdecode(b"latin-\xe9.py")}
    for name in names:
        repository.commit(file=name)
    (repository.path / "untracked.py").touch()
    assert repository.tracked() == names
    link = repository.path.parent / "link"
    link.symlink_to(repository.path)
    assert git.read([link], PLAIN) == repository.read()


@posix
def test_a_tracked_file_has_the_name_that_git_gives_it(
    repository: Checkout, tmp_path: Path
) -> None:
    """Through links as well; a name is no pattern, and what git does not track has none."""

    def name(path: Path) -> str | None:
        return git.name_if_tracked(path, repository.read())

    for file in ("conf/x.ini", "[ab].ini", "a.ini", "b.ini"):
        repository.commit(file=file)
    repository.git("rm", "--quiet", "--cached", "a.ini")
    (tmp_path / "link.ini").symlink_to(repository.path / "conf" / "x.ini")
    (tmp_path / "outside.ini").touch()

    assert name(repository.path / "conf" / "x.ini") == name(tmp_path / "link.ini") == "conf/x.ini"
    assert name(repository.path / "[ab].ini") == "[ab].ini"
    for path in (repository.path / "a.ini", tmp_path / "outside.ini", repository.path / "absent"):
        assert name(path) is None


def test_changed_files_are_those_that_two_commits_differ_in(repository: Checkout) -> None:
    old = repository.commit(file="a.py")
    repository.commit("new", file="pkg/ü.py")
    new = repository.commit("changed", file="a.py")
    checkout = repository.read()
    for tested, names in ((old, {"a.py", "pkg/ü.py"}), (new, set()), ("12" * 20, set())):
        assert git.differing(replace(checkout, head=git.Commit(id=tested))) == names
    assert git.differing(Git()) == frozenset()


def test_remotes_are_read_as_configured(repository: Checkout) -> None:
    """No credentials, no push URLs, no rewriting that would add a token."""
    repository.commit()
    for name, url in {
        "origin": "https://github.com/o/r.git",
        "leaky": f"https://x-access-token:{SECRET}@github.com/o/r.git?a={SECRET}#{SECRET}",
        "Dotted.Name": "git@github.com:o/r.git",
        "command": f"ext::curl -u {SECRET} x",
    }.items():
        repository.git("config", f"remote.{name}.url", url)
    repository.git("config", "--add", "remote.origin.url", "https://github.com/o/second.git")
    repository.git("config", "remote.origin.pushurl", "https://push.example/o/r.git")
    rewriting = f"url.https://{SECRET}@github.com/.insteadOf"
    repository.git("config", rewriting, "https://github.com/")
    assert SECRET in repository.git("remote", "-v")
    assert repository.read().remotes == {
        "origin": "https://github.com/o/r.git",
        "leaky": "https://github.com/o/r.git",
        "Dotted.Name": "git@github.com:o/r.git",
    }
