"""What git says: real repositories, real clones, and programs that only pretend to be git."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_coveralls_submit.identity import git
from pytest_coveralls_submit.identity.git import Git

GIT = shutil.which("git") or ""
AUTHORS = {
    "GIT_AUTHOR_NAME": "Ada Author",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Carl Committer",
    "GIT_COMMITTER_EMAIL": "carl@example.org",
}
ABSENT = "1234567890" * 4
SECRET = "s3cr3t-t0ken"

pytestmark = pytest.mark.skipif(not GIT, reason="git is not installed")
posix = pytest.mark.skipif(sys.platform == "win32", reason="scripts and owners are POSIX's")


class Repository:
    """A directory in which git is run as a user would."""

    def __init__(self, path: Path, env: dict[str, str], *, init: bool = True) -> None:
        self.path = path
        self.env = env
        if init:
            path.mkdir(parents=True, exist_ok=True)
            self.git("init", "--quiet")
            self.git("symbolic-ref", "HEAD", "refs/heads/main")

    def git(self, *arguments: str, text: bytes = b"") -> str:
        """What `git arguments` prints."""
        done = subprocess.run(
            [GIT, *arguments],
            cwd=self.path,
            env=self.env | AUTHORS,
            input=text,
            check=True,
            stdout=subprocess.PIPE,
        )
        return done.stdout.decode().strip()

    def commit(self, message: str = "a message", file: str = "a.py") -> str:
        """Commit a file; the commit's id."""
        target = self.path / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(message)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def clone(self, path: Path, *arguments: str) -> Repository:
        """A clone as CI services make them."""
        self.git("-c", "protocol.file.allow=always", "clone", "-q", *arguments, self.url, str(path))
        return Repository(path, self.env, init=False)

    @property
    def url(self) -> str:
        """An address by which a clone may be shallow."""
        return self.path.as_uri()

    def read(self, commit: str | None = None, merge: str | None = None) -> Git:
        """What the module under test says about it."""
        return git.read(self.path, self.env, commit=commit, merge=merge)

    def tracked(self, path: Path | None = None) -> set[str] | None:
        """The tracked files, seen from its top level or another path to it."""
        names = git.tracked(path or self.path, self.env)
        return None if names is None else set(names)


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment without anybody's configuration of git."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return own | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


@pytest.fixture
def repository(tmp_path: Path, env: dict[str, str]) -> Repository:
    """A new repository without commit."""
    return Repository(tmp_path / "work", env)


@pytest.fixture
def merged(repository: Repository) -> tuple[Repository, str, str]:
    """A repository as GitHub makes it for a pull request; the heads of merge and request."""
    repository.commit("first")
    repository.git("checkout", "--quiet", "-b", "topic")
    topic = repository.commit("the topic", "b.py")
    repository.git("checkout", "--quiet", "main")
    repository.commit("meanwhile", "c.py")
    repository.git("merge", "--quiet", "--no-ff", "--message", "synthetic", "topic")
    merge = repository.git("rev-parse", "HEAD")
    repository.git("update-ref", "refs/pull/7/merge", merge)
    repository.git("reset", "--quiet", "--hard", "HEAD^")
    return repository, merge, topic


def fake_git(directory: Path, script: str) -> dict[str, str]:
    """An environment in which a shell script is git."""
    directory.mkdir()
    program = directory / "git"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"PATH": f"{directory}{os.pathsep}/usr/bin{os.pathsep}/bin"}


# -- what is read ------------------------------------------------------------------------------


def test_the_commit_is_read_whole(repository: Repository) -> None:
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


def test_mailmap_is_honoured(repository: Repository) -> None:
    """People appear under the names that the project's .mailmap gives them."""
    (repository.path / ".mailmap").write_text(
        "Proper Ada <proper@example.org> <ada@example.org>\n"
        "Proper Carl <carl@example.net> <carl@example.org>\n"
    )
    repository.commit()
    head = repository.read().head
    assert head is not None
    assert (head.author_name, head.author_email) == ("Proper Ada", "proper@example.org")
    assert (head.committer_name, head.committer_email) == ("Proper Carl", "carl@example.net")


@pytest.mark.parametrize("declared", [True, False])
def test_messages_in_latin_1_are_read(repository: Repository, declared: bool) -> None:
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
    head = repository.read(commit=sha).head
    assert head is not None
    assert head.message == ("café" if declared else "caf\N{REPLACEMENT CHARACTER}")


def test_a_huge_message_is_cut(repository: Repository) -> None:
    """A message is kept up to 64 KiB."""
    tree = repository.git("write-tree")
    sha = repository.git("commit-tree", tree, text=b"x" * 100_000)
    repository.git("update-ref", "refs/heads/main", sha)
    head = repository.read().head
    assert head is not None
    assert head.message == "x" * 65_536


def test_an_empty_message_is_unknown(repository: Repository) -> None:
    """What is empty is None."""
    sha = repository.git("commit-tree", repository.git("write-tree"), text=b"")
    repository.git("update-ref", "refs/heads/main", sha)
    head = repository.read().head
    assert head is not None
    assert head.message is None


def test_a_detached_head_has_no_branch(repository: Repository) -> None:
    """The branch is never HEAD."""
    sha = repository.commit()
    repository.git("checkout", "--quiet", "--detach")
    said = repository.read()
    assert said.branch is None
    assert said.head is not None
    assert said.head.id == sha


@pytest.mark.parametrize("kind", ["tags", "remotes", "heads/heads"])
def test_a_branch_keeps_its_name_beside_another_ref_of_that_name(
    repository: Repository, kind: str
) -> None:
    """`git rev-parse --abbrev-ref` would say heads/main here."""
    repository.commit()
    repository.git("update-ref", f"refs/{kind}/main", "HEAD")
    assert repository.read().branch == "main"


@pytest.mark.parametrize("ref", ["refs/heads/HEAD", "refs/tags/HEAD"])
def test_a_ref_named_head_does_not_confuse(repository: Repository, ref: str) -> None:
    """A branch or tag named HEAD makes the branch unknown, not the commit."""
    sha = repository.commit()
    repository.git("update-ref", ref, "HEAD")
    said = repository.read()
    assert said.head is not None
    assert said.head.id == sha
    assert said.branch in {None, "main"}
    assert said.problem is None


# -- where it is read --------------------------------------------------------------------------


def test_a_subdirectory_belongs_to_the_repository(repository: Repository) -> None:
    """The top level is found from below."""
    repository.commit(file="deep/down/a.py")
    said = git.read(repository.path / "deep" / "down", repository.env)
    assert said.top == repository.path.resolve()
    assert said.branch == "main"


def test_a_worktree_is_its_own_top_level(repository: Repository, tmp_path: Path) -> None:
    """In a linked worktree .git is a file; commit and branch are the worktree's."""
    repository.commit()
    repository.git("worktree", "add", "-q", "-b", "other", str(tmp_path / "linked"))
    linked = Repository(tmp_path / "linked", repository.env, init=False)
    sha = linked.commit("other")
    said = linked.read()
    assert said.top == linked.path.resolve()
    assert said.branch == "other"
    assert said.head is not None
    assert said.head.id == sha
    assert linked.tracked() == {"a.py"}


def test_a_worktree_of_a_bare_repository_is_read(repository: Repository, tmp_path: Path) -> None:
    """That the common configuration says bare does not concern the worktree."""
    repository.commit()
    bare = repository.clone(tmp_path / "bare.git", "--bare")
    bare.git("worktree", "add", "-q", str(tmp_path / "linked"), "main")
    said = git.read(tmp_path / "linked", repository.env)
    assert (said.top, said.branch) == ((tmp_path / "linked").resolve(), "main")


def test_a_submodule_is_its_own_top_level(repository: Repository, tmp_path: Path) -> None:
    """Names in a submodule are relative to the submodule."""
    repository.commit()
    outer = Repository(tmp_path / "outer", repository.env)
    outer.git(
        *("-c", "protocol.file.allow=always", "submodule", "--quiet", "add"),
        *(repository.url, "inner"),
    )
    outer.commit("outer")
    inner = Repository(outer.path / "inner", repository.env, init=False)
    inner.commit("inner", "inner.py")
    said = inner.read()
    assert said.top == inner.path.resolve()
    assert said.head is not None
    assert said.head.message == "inner"
    assert inner.tracked() == {"a.py", "inner.py"}
    assert [remote.url for remote in said.remotes] == [repository.url]


@posix
def test_a_symlinked_checkout_is_resolved(repository: Repository, tmp_path: Path) -> None:
    """The top level is a real path, however the checkout was reached."""
    repository.commit()
    (tmp_path / "link").symlink_to(repository.path)
    assert git.read(tmp_path / "link", repository.env).top == repository.path.resolve()
    assert repository.tracked(tmp_path / "link") == {"a.py"}


@posix
def test_a_path_may_hold_any_character(tmp_path: Path, env: dict[str, str]) -> None:
    """Line ends, quotes and letters of any alphabet in the checkout's path do no harm."""
    repository = Repository(tmp_path / 'a\nb "ü"\n', env)
    repository.commit()
    said = repository.read()
    assert said.top == repository.path.resolve()
    assert said.branch == "main"


def test_what_tests_left_in_the_environment_is_ignored(
    repository: Repository, tmp_path: Path
) -> None:
    """GIT_DIR and its like, as hooks leave them, do not lead to another repository."""
    sha = repository.commit()
    other = Repository(tmp_path / "other", repository.env)
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
    assert said.top == repository.path.resolve()
    assert said.head is not None
    assert said.head.id == sha
    assert git.tracked(repository.path, repository.env | left) == frozenset({"a.py"})


# -- the wanted commit -------------------------------------------------------------------------


def test_the_commit_that_the_service_names_is_read(repository: Repository) -> None:
    """A commit other than HEAD is described by its own author and message."""
    first = repository.commit("first")
    repository.commit("second")
    head = repository.read(commit=first.upper()).head
    assert head is not None
    assert (head.id, head.message) == (first, "first")


def test_an_abbreviated_id_is_completed(repository: Repository) -> None:
    """What the repository holds has its whole id, also beside a branch of the short one's name."""
    first = repository.commit("first")
    second = repository.commit("second")
    head = repository.read(commit=first[:10]).head
    assert head is not None
    assert head.id == first
    repository.git("update-ref", f"refs/heads/{first[:10]}", second)
    assert repository.read(commit=first[:10]).head == git.Commit(id=first[:10])


@pytest.mark.parametrize("given", ["HEAD", "main", "--output=x", "-1", "", " ", "0" * 40, "abc"])
def test_what_is_no_id_is_ignored(repository: Repository, given: str) -> None:
    """Only a hexadecimal id gets into git's arguments."""
    sha = repository.commit()
    head = repository.read(commit=given, merge=given).head
    assert head is not None
    assert (head.id, head.message) == (sha, "a message")


def test_an_absent_commit_is_its_id_and_nothing_else(
    merged: tuple[Repository, str, str], tmp_path: Path
) -> None:
    """A shallow checkout of the merge does not lend the merge's author to the head."""
    origin, merge, topic = merged
    checkout = shallow(origin, tmp_path / "checkout")
    assert checkout.read(commit=topic).head == git.Commit(id=topic)
    assert checkout.read(commit=topic, merge=merge).head == git.Commit(id=topic)


def shallow(origin: Repository, path: Path, depth: int = 1) -> Repository:
    """A checkout of the pull request's merge as actions/checkout makes it."""
    checkout = Repository(path, origin.env)
    fetch = ("fetch", "--quiet", f"--depth={depth}", origin.url, "refs/pull/7/merge")
    checkout.git("-c", "protocol.file.allow=always", *fetch)
    checkout.git("checkout", "--quiet", "--detach", "FETCH_HEAD")
    return checkout


def test_a_merge_of_depth_1_leads_to_the_second_parent(
    merged: tuple[Repository, str, str], tmp_path: Path
) -> None:
    """`git log` knows no parents there, the commit itself does; author and message are absent."""
    origin, merge, topic = merged
    said = shallow(origin, tmp_path / "checkout").read(merge=merge)
    assert said.head == git.Commit(id=topic)
    assert (said.branch, said.problem) == (None, None)


def test_a_merge_of_depth_2_leads_to_the_whole_second_parent(
    merged: tuple[Repository, str, str], tmp_path: Path
) -> None:
    """Where the pull request's head is present, its author and message are read."""
    origin, merge, topic = merged
    head = shallow(origin, tmp_path / "checkout", depth=2).read(merge=merge).head
    assert head is not None
    assert (head.id, head.message, head.author_name) == (topic, "the topic", "Ada Author")


def test_a_merge_that_is_not_checked_out_does_not_matter(
    merged: tuple[Repository, str, str],
) -> None:
    """Who checked out the pull request's head himself has it built."""
    origin, merge, topic = merged
    origin.git("checkout", "--quiet", topic)
    head = origin.read(merge=merge).head
    assert head is not None
    assert head.id == topic


def test_a_merge_that_is_none_is_the_head(repository: Repository) -> None:
    """A commit with one parent is its own head, whatever the service calls it."""
    repository.commit("first")
    sha = repository.commit("second")
    head = repository.read(merge=sha).head
    assert head is not None
    assert (head.id, head.message) == (sha, "second")


# -- when git cannot say -----------------------------------------------------------------------


def test_without_git_the_top_level_is_known(repository: Repository, tmp_path: Path) -> None:
    """Where git is not installed, names and the service's commit still come out right."""
    repository.commit()
    for path in (str(tmp_path), "", "relative", os.pathsep):
        said = git.read(repository.path, {"PATH": path}, commit=ABSENT)
        assert said.problem == "git is not installed"
        assert (said.top, said.head) == (repository.path.resolve(), git.Commit(id=ABSENT))
        assert git.tracked(repository.path, {"PATH": path}) is None


@pytest.mark.parametrize("kind", ["nothing", "bare", "empty"])
def test_what_is_no_checkout_is_said(tmp_path: Path, env: dict[str, str], kind: str) -> None:
    """Neither an ordinary directory nor a bare repository has a work tree."""
    if kind == "bare":
        Repository(tmp_path, env).git("init", "--quiet", "--bare", "bare")
        (tmp_path / ".git").rename(tmp_path / "moved")
    (tmp_path / kind / (".git" if kind == "empty" else "")).mkdir(parents=True, exist_ok=True)
    said = git.read(tmp_path / kind, env, commit=ABSENT)
    assert said == Git(head=git.Commit(id=ABSENT), problem="not a git repository")
    assert git.tracked(tmp_path / kind, env) is None


def test_a_repository_without_commit_is_said(repository: Repository) -> None:
    """A branch without commit has no head."""
    said = repository.read()
    assert said == Git(top=repository.path.resolve(), problem="no commit yet")
    assert repository.tracked() == set()


def test_a_broken_repository_is_said(repository: Repository) -> None:
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

    def test_it_is_read(self, repository: Repository) -> None:
        """What git refuses to find by itself is read, without changing a configuration."""
        sha = repository.commit(file="sub/a.py")
        own(repository.path, 12345)
        with pytest.raises(subprocess.CalledProcessError):
            repository.git("log")
        said = git.read(repository.path / "sub", repository.env)
        assert (said.problem, said.branch) == (None, "main")
        assert said.head is not None
        assert said.head.id == sha
        assert repository.tracked() == {"sub/a.py"}

    def test_a_repository_planted_above_is_not(self, repository: Repository) -> None:
        """What one user puts into another's directory, say /tmp, is not trusted."""
        repository.commit()
        own(repository.path / ".git", 12345)
        said = repository.read()
        assert said.top is None
        assert str(said.problem).endswith("belongs to another user")
        assert repository.tracked() is None


@posix
@pytest.mark.parametrize(
    "script", ["sleep 600", "sleep 600 &", "sleep 600 & wait", "cat /dev/zero"]
)
def test_a_git_that_hangs_or_babbles_is_left(
    repository: Repository, tmp_path: Path, script: str
) -> None:
    """A stuck wrapper, with or without children that hold the pipe, costs its time and no more."""
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
    merged: tuple[Repository, str, str], tmp_path: Path, slow: str
) -> None:
    """The seconds are for all calls together; each field on its own."""
    origin, merge, _ = merged
    origin.git("checkout", "--quiet", merge)
    script = f'case "$*" in *" {slow} "*) sleep 600;; esac\nexec {GIT} "$@"'
    said = git.read(origin.path, fake_git(tmp_path / "bin", script), merge=merge, seconds=1)
    assert said.top == origin.path.resolve()
    assert str(said.problem).startswith("git did not answer within ")
    assert (said.head is None) == (slow in {"rev-parse", "cat-file"})
    assert (said.head is not None and said.head.message is not None) == (slow == "config")


@posix
@pytest.mark.parametrize("script", ["exit 0", "exit 1", "exit 128", "echo", "printf '\\377\\n\\n'"])
def test_a_git_that_talks_nonsense_is_survived(
    repository: Repository, tmp_path: Path, script: str
) -> None:
    """Whatever git prints, nothing is raised and no commit invented."""
    said = git.read(repository.path, fake_git(tmp_path / "bin", script))
    assert said.head is None
    assert said.problem is not None


@posix
def test_a_git_in_the_repository_is_not_run(repository: Repository, tmp_path: Path) -> None:
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
def test_the_repositorys_configuration_starts_no_program(
    repository: Repository, tmp_path: Path
) -> None:
    """Every setting that names a program names a canary; none of them sings."""
    canary = tmp_path / "canary"
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\necho "$0 $*" >> {canary}\n')
    program.chmod(0o755)
    (repository.path / ".gitattributes").write_text("* diff=evil filter=evil merge=evil\n")
    # A commit that looks signed, so that there is something to verify.
    first = repository.commit()
    signed = repository.git("cat-file", "commit", first).replace(
        "\n\n", "\ngpgsig -----BEGIN PGP SIGNATURE-----\n x\n -----END PGP SIGNATURE-----\n\n", 1
    )
    sha = repository.git(
        "hash-object", "-t", "commit", "-w", "--stdin", text=f"{signed}\n".encode()
    )
    repository.git("update-ref", "refs/heads/main", sha)
    for setting in (
        *("core.fsmonitor", "core.pager", "core.editor", "core.askPass", "core.sshCommand"),
        *("core.gitProxy", "core.alternateRefsCommand", "pager.log", "pager.config", "gpg.program"),
        *("gpg.openpgp.program", "gpg.ssh.program", "gpg.x509.program", "diff.external"),
        *("diff.evil.textconv", "diff.evil.command", "filter.evil.clean", "filter.evil.smudge"),
        *("filter.evil.process", "merge.evil.driver", "credential.helper", "sequence.editor"),
        *("uploadpack.packObjectsHook", "trace2.eventTarget", "interactive.diffFilter"),
    ):
        repository.git("config", setting, str(program))
    for command in ("log", "rev-parse", "config", "cat-file", "ls-files"):
        repository.git("config", f"alias.{command}", f"!{program}")
    for setting in ("log.showSignature", "log.showRoot", "core.untrackedCache"):
        repository.git("config", setting, "true")
    repository.git("config", "format.pretty", "fuller")
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for hook in ("post-index-change", "reference-transaction", "fsmonitor-watchman"):
        shutil.copy(program, hooks / hook)
    repository.git("config", "core.hooksPath", str(hooks))
    (repository.path / "a.py").write_text("changed")
    canary.unlink(missing_ok=True)

    said = repository.read(commit=first)
    head = repository.read(merge=sha).head
    tracked = repository.tracked()

    assert not canary.exists(), canary.read_text()
    assert said.head is not None
    assert said.head.message == "a message"
    assert head is not None
    assert (head.id, head.message) == (sha, "a message")
    assert tracked == {".gitattributes", "a.py"}
    # The canary can sing.
    repository.git("ls-files")
    assert canary.exists()


@posix
def test_a_missing_commit_is_not_fetched(repository: Repository, tmp_path: Path) -> None:
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


@posix
def test_git_gets_no_secrets(repository: Repository, tmp_path: Path) -> None:
    """Variables that hold tokens are not passed on, prompts are off."""
    seen = tmp_path / "seen"
    fake = fake_git(tmp_path / "bin", f"env > {seen}")
    secrets = dict.fromkeys(["COVERALLS_REPO_TOKEN", "github_token", "CI_SECRET_X"], SECRET)
    git.read(repository.path, fake | secrets | {"HOME": "/home/me"})
    text = seen.read_text()
    assert SECRET not in text
    lines = text.splitlines()
    assert {"GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=", "GIT_NO_LAZY_FETCH=1"} < set(lines)
    assert {"GIT_OPTIONAL_LOCKS=0", "LC_ALL=C", "HOME=/home/me"} < set(lines)


# -- tracked files -----------------------------------------------------------------------------


@posix
def test_tracked_names_are_as_git_spells_them(repository: Repository) -> None:
    """Names are relative to the top level and unquoted, whatever characters they have."""
    names = {"a.py", "src/pkg/ü ñ.py", 'quo"te\n.py', os.fsdecode(b"latin-\xe9.py")}
    for name in names:
        repository.commit(file=name)
    (repository.path / "untracked.py").touch()
    assert repository.tracked() == names


def test_tracked_is_about_the_top_level_alone(repository: Repository) -> None:
    """Names relative to another directory are not what was asked for."""
    repository.commit(file="sub/a.py")
    assert git.tracked(repository.path / "sub", repository.env) is None


# -- remotes -----------------------------------------------------------------------------------


def test_remotes_are_read_as_configured(repository: Repository) -> None:
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


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://github.com/o/r.git", "https://github.com/o/r.git"),
        ("https://user:pw@github.com/o/r.git", "https://github.com/o/r.git"),
        ("https://pat@github.com/o/r.git", "https://github.com/o/r.git"),
        ("HTTPS://:pw@github.com/o/r.git", "HTTPS://github.com/o/r.git"),
        ("http://u:p@host:8080/o/r?token=x#y", "http://host:8080/o/r"),
        ("https://u:p@[::1]:8080/o/r", "https://[::1]:8080/o/r"),
        ("https://u:p@ss@host/r", "https://host/r"),
        ("https://u:p/a@host/r", "https://host/r"),
        ("https://u:p#a@host/r?x", "https://host/r"),
        ("https://tok?en@host/r", "https://host/r"),
        ("https://host/@scope/r", "https://host/@scope/r"),
        ("ssh://git@github.com/o/r.git", "ssh://git@github.com/o/r.git"),
        ("ssh://git:pw@github.com/o/r.git", "ssh://github.com/o/r.git"),
        ("ssh://git%3Apw@github.com/o/r.git", "ssh://github.com/o/r.git"),
        ("git+ssh://git@host/r", "git+ssh://git@host/r"),
        ("ftp://u:p@host/r", "ftp://host/r"),
        ("git://host/r", "git://host/r"),
        ("git@github.com:o/r.git", "git@github.com:o/r.git"),
        ("u:p@github.com:o/r.git", "github.com:o/r.git"),
        ("file:///home/me@x/r.git", "file:///home/me@x/r.git"),
        ("/home/me@x/r.git", "/home/me@x/r.git"),
        (r"C:\me@x\r", r"C:\me@x\r"),
        ("../r.git", "../r.git"),
        ("gcrypt::https://u:p@host/r", "https://host/r"),
        ("ext::sh -c 'x --password p'", ""),
        ("not a url://u:p@host", "host"),
        (" https://u:p@host/r\n", "https://host/r"),
        ("", ""),
    ],
)
def test_urls_lose_their_credentials(url: str, shown: str) -> None:
    """Users of http are tokens as often as not; the user of ssh is part of the address."""
    assert git.without_credentials(url) == shown


@settings(deadline=None)
@given(
    scheme=st.sampled_from(["https", "http", "HTTPS", "ftp", "git", "git+https", "gcrypt::https"]),
    user=st.sampled_from(["", "user", "user%40x", SECRET]),
    # What needs no quoting, and what should have been quoted.
    noise=st.text() | st.text(alphabet=":@%&=+;,!$'()*[]~"),
    quoted=st.booleans(),
    rest=st.sampled_from(["", "/", "/o/r.git", "/o/r.git?x", "#y", ":8080/o"]),
)
def test_no_password_survives(scheme: str, user: str, noise: str, quoted: bool, rest: str) -> None:
    """Whatever a password looks like, quoted or not, it is gone."""
    password = quote(noise, safe="") if quoted else noise
    shown = git.without_credentials(f"{scheme}://{user}:{SECRET}{password}@host.example{rest}")
    assert SECRET not in shown
    assert "host.example" in shown
    assert SECRET not in git.without_credentials(f"{scheme}://host/p?t={noise}{SECRET}")


@settings(deadline=None)
@given(st.text() | st.text(alphabet=":/@?#[]%\\a1 "))
def test_no_url_is_too_odd(url: str) -> None:
    """Any text gives text, which has nothing left to lose."""
    shown = git.without_credentials(url)
    assert not {"?", "#"} & set(shown)


def test_frozen_clocks_change_nothing(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests leave the clocks frozen; the time that git has does not depend on them."""
    sha = repository.commit()
    for clock in ("time.time", "time.monotonic", "subprocess._time", "threading._time"):
        monkeypatch.setattr(clock, lambda: 0.0)
    head = repository.read().head
    assert head is not None
    assert head.id == sha
