"""What git says: real repositories, real clones, and programs that only pretend to be git."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from git_repository import GIT, PLAIN, Repository, fake_git, needs_git, posix

from pytest_coveralls_submit import git
from pytest_coveralls_submit.ci.detect import Build
from pytest_coveralls_submit.git import Git
from pytest_coveralls_submit.job.identity import commit_of, written_by
from pytest_coveralls_submit.settings.table import Settings

ABSENT = "1234567890" * 4
SECRET = "s3cr3t-t0ken"

pytestmark = needs_git


class Checkout(Repository):
    """A repository, and what the module under test says about it."""

    def read(self, commit: str | None = None, merge: str | None = None) -> Git:
        """What is known about it."""
        return git.read(self.path, self.env, commit=commit, merge=merge)

    def head(self, commit: str | None = None, merge: str | None = None) -> git.Commit:
        """The commit that was built."""
        built = self.read(commit, merge).head
        assert built is not None
        return built

    def tracked(self, path: Path | None = None) -> set[str] | None:
        """The tracked files, seen from its top level or another path to it."""
        names = git.tracked(path or self.path, self.env)
        return None if names is None else set(names)


@pytest.fixture
def repository(tmp_path: Path) -> Checkout:
    """A new repository without commit."""
    return Checkout(tmp_path / "work")


# -- what is read ------------------------------------------------------------------------------


def test_the_commit_is_read_whole(repository: Checkout) -> None:
    """Author, committer and the whole message come from git, the branch without refs/heads/."""
    message = "A subject\n\nA body of two lines,\nwith ünïcode."
    sha = repository.commit(message)
    repository.git("branch", "--quiet", "-m", "topic/y")
    assert repository.read() == Git(
        top=repository.path.resolve(),
        branch="topic/y",
        head=git.Commit(
            id=sha,
            author_name="Ada Author",
            author_email="ada@example.org",
            committer_name="Carl Committer",
            committer_email="carl@example.org",
            message=message,
        ),
    )


def test_mailmap_is_honoured(repository: Checkout) -> None:
    """People appear under the names that the project's .mailmap gives them."""
    (repository.path / ".mailmap").write_text(
        "Proper Ada <proper@example.org> <ada@example.org>\n"
        "Proper Carl <carl@example.net> <carl@example.org>\n"
    )
    repository.commit()
    head = repository.head()
    assert (head.author_name, head.author_email) == ("Proper Ada", "proper@example.org")
    assert (head.committer_name, head.committer_email) == ("Proper Carl", "carl@example.net")


@pytest.mark.parametrize("declared", [True, False])
def test_messages_in_latin_1_are_read(repository: Checkout, declared: bool) -> None:
    """A declared encoding is converted; without one, what is not UTF-8 is replaced."""
    repository.commit()
    repository.git("config", "i18n.logOutputEncoding", "latin-1")
    if declared:
        repository.git("config", "i18n.commitEncoding", "latin-1")
    tree = repository.git("write-tree")
    sha = repository.git("commit-tree", tree, text="café".encode("latin-1"))
    if not declared:
        raw = subprocess.check_output([GIT, "cat-file", "commit", sha], cwd=repository.path)
        raw = raw.replace("café".encode(), "café".encode("latin-1"))
        sha = repository.git("hash-object", "-t", "commit", "-w", "--stdin", text=raw)
    head = repository.head(commit=sha)
    assert head.message == ("café" if declared else "caf\N{REPLACEMENT CHARACTER}")


@pytest.mark.parametrize(("message", "kept"), [(b"x" * 100_000, "x" * 65_536), (b"", None)])
def test_messages_have_bounds(repository: Checkout, message: bytes, kept: str | None) -> None:
    """A message is kept up to 64 KiB; what is empty is None."""
    sha = repository.git("commit-tree", repository.git("write-tree"), text=message)
    repository.git("update-ref", "refs/heads/main", sha)
    assert repository.head().message == kept


def test_a_detached_head_has_no_branch(repository: Checkout) -> None:
    """The branch is never HEAD."""
    sha = repository.commit()
    repository.git("checkout", "--quiet", "--detach")
    assert repository.read().branch is None
    assert repository.head().id == sha


@pytest.mark.parametrize(
    "ref", ["tags/main", "remotes/main", "heads/heads/main", "tags/HEAD", "heads/HEAD"]
)
def test_other_refs_do_not_confuse(repository: Checkout, ref: str) -> None:
    """`git rev-parse --abbrev-ref` would say heads/main; another HEAD may hide the branch."""
    sha = repository.commit()
    repository.git("update-ref", f"refs/{ref}", "HEAD")
    assert repository.head().id == sha
    assert repository.read().branch in ({"main", None} if ref.endswith("HEAD") else {"main"})


# -- where it is read --------------------------------------------------------------------------


def test_a_subdirectory_belongs_to_the_repository(repository: Checkout) -> None:
    """The top level is found from below."""
    repository.commit(file="deep/down/a.py")
    said = git.read(repository.path / "deep" / "down", repository.env)
    assert said.top == repository.path.resolve()
    assert said.branch == "main"


def test_a_worktree_is_its_own_top_level(repository: Checkout, tmp_path: Path) -> None:
    """In a linked worktree .git is a file; commit and branch are the worktree's."""
    repository.commit()
    repository.git("worktree", "add", "-q", "-b", "other", str(tmp_path / "linked"))
    linked = Checkout(tmp_path / "linked", init=False)
    sha = linked.commit("other")
    said = linked.read()
    assert (said.top, said.branch) == (linked.path.resolve(), "other")
    assert linked.head().id == sha
    assert linked.tracked() == {"a.py"}


def test_a_worktree_of_a_bare_repository_is_read(repository: Checkout, tmp_path: Path) -> None:
    """That the common configuration says bare does not concern the worktree."""
    repository.commit()
    bare = repository.clone(tmp_path / "bare.git", "--bare")
    bare.git("worktree", "add", "-q", str(tmp_path / "linked"), "main")
    said = git.read(tmp_path / "linked", repository.env)
    assert (said.top, said.branch) == ((tmp_path / "linked").resolve(), "main")


def test_a_submodule_is_its_own_top_level(repository: Checkout, tmp_path: Path) -> None:
    """Names in a submodule are relative to the submodule."""
    repository.commit()
    outer = Checkout(tmp_path / "outer")
    outer.git("submodule", "--quiet", "add", repository.url, "inner")
    outer.commit("outer")
    inner = Checkout(outer.path / "inner", init=False)
    inner.commit("inner", "inner.py")
    said = inner.read()
    assert said.top == inner.path.resolve()
    assert inner.head().message == "inner"
    assert inner.tracked() == {"a.py", "inner.py"}
    assert [remote.url for remote in said.remotes] == [repository.url]


@posix
def test_a_symlinked_checkout_is_resolved(repository: Checkout, tmp_path: Path) -> None:
    """The top level is a real path, however the checkout was reached."""
    repository.commit()
    (tmp_path / "link").symlink_to(repository.path)
    assert git.read(tmp_path / "link", repository.env).top == repository.path.resolve()
    assert repository.tracked(tmp_path / "link") == {"a.py"}


@posix
def test_a_path_may_hold_any_character(tmp_path: Path) -> None:
    """Line ends, quotes and letters of any alphabet in the checkout's path do no harm."""
    repository = Checkout(tmp_path / 'a\nb "ü"\n')
    repository.commit()
    assert repository.read().top == repository.path.resolve()
    assert repository.read().branch == "main"


def test_what_tests_left_in_the_environment_is_ignored(
    repository: Checkout, tmp_path: Path
) -> None:
    """GIT_DIR and its like, as hooks leave them, do not lead to another repository."""
    sha = repository.commit()
    other = Checkout(tmp_path / "other")
    other.commit("another")
    left = {
        "GIT_DIR": str(other.path / ".git"),
        "GIT_WORK_TREE": str(other.path),
        "GIT_INDEX_FILE": str(tmp_path / "index"),
        "GIT_OBJECT_DIRECTORY": str(tmp_path),
        "GIT_COMMON_DIR": str(tmp_path),
        "GIT_NAMESPACE": "x",
        "GIT_CEILING_DIRECTORIES": str(tmp_path),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.worktree",
        "GIT_CONFIG_VALUE_0": str(tmp_path),
        "GIT_CONFIG_PARAMETERS": "'core.bare'='true'",
    }
    said = git.read(repository.path, repository.env | left)
    assert (said.top, said.branch) == (repository.path.resolve(), "main")
    assert said.head == repository.head(sha)
    assert git.tracked(repository.path, repository.env | left) == frozenset({"a.py"})


# -- the wanted commit -------------------------------------------------------------------------


def test_the_commit_that_the_service_names_is_read(repository: Checkout) -> None:
    """A commit other than HEAD is described by its own author and message."""
    first = repository.commit("first")
    repository.commit("second")
    head = repository.head(commit=first.upper())
    assert (head.id, head.message) == (first, "first")


def test_an_abbreviated_id_is_completed(repository: Checkout) -> None:
    """What the repository holds has its whole id, HEAD also beside a branch of the short name."""
    first = repository.commit("first")
    second = repository.commit("second")
    assert repository.head(commit=first[:10]).id == first
    for short, other in ((first[:10], second), (second[:12], first)):
        repository.git("update-ref", f"refs/heads/{short}", other)
    assert repository.head(commit=first[:10]) == git.Commit(id=first[:10])
    assert repository.head(commit=second[:12]).message == "second"


def test_a_short_id_of_the_service_is_filed_under_the_whole_one(repository: Checkout) -> None:
    """Bitbucket Pipelines gives twelve digits; author and message belong to the whole commit."""
    sha = repository.commit()
    build = Build(service_name="bitbucket", commit_sha=sha[:12])
    said = repository.read(commit=build.commit_sha)
    assert commit_of(Settings(), build, said) == sha
    assert written_by(sha, build, said) == repository.head()
    other = Build(commit_sha=ABSENT[:12])
    assert commit_of(Settings(), other, repository.read(other.commit_sha)) == ABSENT[:12]


@pytest.mark.parametrize("given", ["HEAD", "main", "--output=x", "-1", "", " ", "0" * 40, "abc"])
def test_what_is_no_id_is_ignored(repository: Checkout, given: str) -> None:
    """Only a hexadecimal id gets into git's arguments."""
    sha = repository.commit()
    head = repository.head(commit=given, merge=given)
    assert (head.id, head.message) == (sha, "a message")


def test_the_head_of_a_merge_of_depth_1_is_its_id_and_nothing_else(
    repository: Checkout, tmp_path: Path
) -> None:
    """`git log` knows no parents there, the commit does; the merge's author is not lent."""
    merge, topic, _ = repository.merge_request()
    checkout = repository.checkout_merge(tmp_path / "checkout", depth=1)
    for said in (checkout.read(merge=merge), checkout.read(topic), checkout.read(topic, merge)):
        assert said.head == git.Commit(id=topic)
        assert (said.branch, said.problem) == (None, None)


def test_a_merge_of_depth_2_leads_to_the_whole_second_parent(
    repository: Checkout, tmp_path: Path
) -> None:
    """Where the pull request's head is present, its author and message are read."""
    merge, topic, _ = repository.merge_request()
    head = repository.checkout_merge(tmp_path / "checkout", depth=2).head(merge=merge)
    assert (head.id, head.message, head.author_name) == (topic, "the topic", "Ada Author")


def test_a_merge_that_is_not_checked_out_or_none_does_not_matter(repository: Checkout) -> None:
    """Who checked out another commit, or one with a single parent, has that built."""
    merge, topic, target = repository.merge_request()
    assert repository.head(merge=target).id == target
    repository.git("checkout", "--quiet", topic)
    assert repository.head(merge=merge).id == topic


# -- when git cannot say -----------------------------------------------------------------------


def test_without_git_the_top_level_is_known(repository: Checkout, tmp_path: Path) -> None:
    """Where git is not installed, names and the service's commit still come out right."""
    repository.commit()
    for path in (str(tmp_path), "", "relative", os.pathsep):
        said = git.read(repository.path, {"PATH": path}, commit=ABSENT)
        assert said.problem == "git is not installed"
        assert (said.top, said.head) == (repository.path.resolve(), git.Commit(id=ABSENT))
        assert git.tracked(repository.path, {"PATH": path}) is None


@pytest.mark.parametrize("kind", ["nothing", "bare", "empty"])
def test_what_is_no_checkout_is_said(tmp_path: Path, kind: str) -> None:
    """Neither an ordinary directory nor a bare repository has a work tree."""
    if kind == "bare":
        Checkout(tmp_path).git("init", "--quiet", "--bare", "bare")
        (tmp_path / ".git").rename(tmp_path / "moved")
    (tmp_path / kind / (".git" if kind == "empty" else "")).mkdir(parents=True, exist_ok=True)
    said = git.read(tmp_path / kind, PLAIN, commit=ABSENT)
    assert said == Git(head=git.Commit(id=ABSENT), problem="not a git repository")
    assert git.tracked(tmp_path / kind, PLAIN) is None


def test_a_repository_without_commit_is_said(repository: Checkout) -> None:
    """A branch without commit has no head."""
    said = repository.read()
    assert said == Git(top=repository.path.resolve(), problem="no commit yet")
    assert repository.tracked() == set()


def test_a_broken_repository_is_said(repository: Checkout) -> None:
    """A worktree or submodule mounted without its repository still has a top level."""
    shutil.rmtree(repository.path / ".git")
    (repository.path / ".git").write_text("gitdir: /nowhere/at/all\n")
    said = repository.read()
    assert said.top == repository.path.resolve()
    assert str(said.problem).startswith("git cannot read the repository in ")
    assert repository.tracked() is None


def own(path: Path, user: int) -> None:
    """Give a tree to another user."""
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
        said = git.read(repository.path / "sub", repository.env)
        assert (said.problem, said.branch) == (None, "main")
        assert said.head == repository.head(sha)
        assert repository.tracked() == {"sub/a.py"}

    def test_a_repository_planted_above_is_not(self, repository: Checkout) -> None:
        """What one user puts into another's directory, say /tmp, is not trusted."""
        repository.commit()
        own(repository.path / ".git", 12345)
        said = repository.read()
        assert said.top is None
        assert str(said.problem).endswith("belongs to another user")
        assert repository.tracked() is None


@posix
@pytest.mark.parametrize("script", ["sleep 600", "sleep 600 & wait", "cat /dev/zero"])
def test_a_git_that_hangs_or_babbles_is_left(
    repository: Checkout, tmp_path: Path, script: str
) -> None:
    """A stuck wrapper costs its time and no more."""
    env = fake_git(tmp_path / "bin", script)
    said = git.read(repository.path, env, commit=ABSENT, seconds=0.2)
    assert said.top == repository.path.resolve()
    assert said.head == git.Commit(id=ABSENT)
    assert str(said.problem) in {
        "git did not answer within 0.2 s",
        "git printed more than 4194304 bytes",
    }
    assert git.tracked(repository.path, env, seconds=0.2) is None


@posix
@pytest.mark.parametrize("slow", ["rev-parse", "cat-file", "log", "config"])
def test_what_was_said_before_git_hung_is_kept(
    repository: Checkout, tmp_path: Path, slow: str
) -> None:
    """After a call that takes too long nothing more is asked; each field is on its own."""
    merge, _, _ = repository.merge_request()
    repository.git("checkout", "--quiet", merge)
    script = f'case "$*" in *" {slow} "*) sleep 600;; esac\nexec {GIT} "$@"'
    said = git.read(repository.path, fake_git(tmp_path / "bin", script), merge=merge, seconds=1)
    assert said.top == repository.path.resolve()
    assert str(said.problem).startswith("git did not answer within ")
    assert (said.head is None) == (slow in {"rev-parse", "cat-file"})
    assert (said.head is not None and said.head.message is not None) == (slow == "config")


@posix
@pytest.mark.parametrize("script", ["exit 0", "exit 1", "exit 128", "echo", "printf '\\377\\n\\n'"])
def test_a_git_that_talks_nonsense_is_survived(
    repository: Checkout, tmp_path: Path, script: str
) -> None:
    """Whatever git prints, nothing is raised and no commit invented."""
    said = git.read(repository.path, fake_git(tmp_path / "bin", script))
    assert said.head is None
    assert said.problem is not None


@posix
def test_a_git_in_the_repository_is_not_run(repository: Checkout, tmp_path: Path) -> None:
    """A checkout may hold a program of that name (CVE-2023-40590)."""
    repository.commit()
    canary = tmp_path / "canary"
    program = repository.path / "git"
    program.write_text(f"#!/bin/sh\ntouch {canary}\n")
    program.chmod(0o755)
    path = os.pathsep.join(["", ".", str(repository.path), os.environ["PATH"]])
    assert git.read(repository.path, repository.env | {"PATH": path}).branch == "main"
    assert not canary.exists()


# -- what git must not do ----------------------------------------------------------------------


@posix
def test_git_starts_no_program_and_asks_for_no_password(
    repository: Checkout, tmp_path: Path
) -> None:
    """A monitor of the file system would go on running beside the tests."""
    canary = tmp_path / "canary"
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\necho "$0 $*" >> {canary}\n')
    program.chmod(0o755)
    repository.commit()
    repository.git("config", "core.fsmonitor", str(program))
    assert repository.tracked() == {"a.py"}
    assert not canary.exists()
    repository.git("ls-files")
    assert canary.exists()


@posix
def test_a_missing_commit_is_not_fetched(repository: Checkout, tmp_path: Path) -> None:
    """In a partial clone git would fetch what is missing; we ask without network."""
    repository.commit("first")
    repository.git("config", "uploadpack.allowFilter", "true")
    repository.git("config", "uploadpack.allowAnySHA1InWant", "true")
    clone = repository.clone(tmp_path / "clone", "--filter=blob:none", "--depth=1")
    later = repository.commit("later")
    clone.git("config", "protocol.file.allow", "always")
    assert clone.read(commit=later).head == git.Commit(id=later)
    # A plain git would have fetched it.
    assert clone.git("log", "-1", "--format=%s", later) == "later"


# -- tracked files -----------------------------------------------------------------------------


@posix
def test_tracked_names_are_as_git_spells_them(repository: Checkout) -> None:
    """Names are relative to the top level and unquoted, whatever characters they have."""
    names = {"a.py", "src/pkg/ü ñ.py", 'quo"te\n.py', os.fsdecode(b"latin-\xe9.py")}
    for name in names:
        repository.commit(file=name)
    (repository.path / "untracked.py").touch()
    assert repository.tracked() == names


def test_tracked_is_about_the_top_level_alone(repository: Checkout) -> None:
    """Names relative to another directory are not what was asked for."""
    repository.commit(file="sub/a.py")
    assert git.tracked(repository.path / "sub", repository.env) is None


@posix
def test_a_tracked_file_has_the_name_that_git_gives_it(
    repository: Checkout, tmp_path: Path
) -> None:
    """Through links as well; a name is no pattern, and what git does not track has none."""

    def name(path: Path) -> str | None:
        return git.name_if_tracked(path, repository.path.resolve(), repository.env)

    for file in ("conf/x.ini", "[ab].ini", "a.ini"):
        repository.commit(file=file)
    repository.git("rm", "--quiet", "--cached", "a.ini")
    (tmp_path / "link.ini").symlink_to(repository.path / "conf" / "x.ini")
    (tmp_path / "outside.ini").touch()

    assert name(repository.path / "conf" / "x.ini") == name(tmp_path / "link.ini") == "conf/x.ini"
    assert name(repository.path / "[ab].ini") == "[ab].ini"
    for path in (repository.path / "a.ini", tmp_path / "outside.ini", repository.path / "absent"):
        assert name(path) is None
    assert git.name_if_tracked(tmp_path / "link.ini", tmp_path, repository.env) is None


# -- remotes -----------------------------------------------------------------------------------


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
    assert repository.read().remotes == (
        git.Remote(name="origin", url="https://github.com/o/r.git"),
        git.Remote(name="leaky", url="https://github.com/o/r.git"),
        git.Remote(name="Dotted.Name", url="git@github.com:o/r.git"),
    )


def test_frozen_clocks_change_nothing(
    repository: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests leave the clocks frozen; the time that git has does not depend on them."""
    sha = repository.commit()
    for clock in ("time.time", "time.monotonic", "subprocess._time", "threading._time"):
        monkeypatch.setattr(clock, lambda: 0.0)
    head = repository.head()
    assert head.id == sha
