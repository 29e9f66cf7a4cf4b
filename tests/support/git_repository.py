"""Real repositories in temporary folders, in which git is run as a user would run it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TypeVar

import pytest

GIT = shutil.which("git") or ""
AUTHORS = {
    "GIT_AUTHOR_NAME": "Ada Author",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Carl Committer",
    "GIT_COMMITTER_EMAIL": "carl@example.org",
}
PLAIN = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}
"""An environment without anybody's configuration of git."""

needs_git = pytest.mark.skipif(not GIT, reason="git is not installed")
posix = pytest.mark.skipif(sys.platform == "win32", reason="scripts and owners are POSIX's")

_Own = TypeVar("_Own", bound="Repository")


class Repository:
    """A directory in which git is run."""

    def __init__(self, path: Path, *, init: bool = True) -> None:
        self.path = path
        self.env = PLAIN
        if init:
            path.mkdir(parents=True, exist_ok=True)
            self.git("init", "--quiet", "--template=")
            self.git("symbolic-ref", "HEAD", "refs/heads/main")

    def git(self, *arguments: str, text: bytes = b"") -> str:
        """What `git arguments` prints."""
        done = subprocess.run(
            [GIT, "-c", "protocol.file.allow=always", "-c", "core.autocrlf=false", *arguments],
            cwd=self.path,
            env=AUTHORS | self.env,
            input=text,
            check=True,
            stdout=subprocess.PIPE,
        )
        return done.stdout.decode().strip()

    def commit(self, message: str = "a message", file: str = "a.py") -> str:
        """Commit a file that has the message in it, and all else; the commit's id."""
        target = self.path / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(message)
        return self.commit_all(message)

    def commit_all(self, message: str = "a message") -> str:
        """Commit all that was changed; the commit's id."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def merge_request(self) -> tuple[str, str, str]:
        """Make what GitHub makes of a pull request; ids of its merge, its head and its target.

        main is at the target, refs/pull/7/merge at the merge.
        """
        self.commit("first")
        self.git("checkout", "--quiet", "-b", "topic")
        topic = self.commit("the topic", "b.py")
        self.git("checkout", "--quiet", "main")
        target = self.commit("meanwhile", "c.py")
        self.git("merge", "--quiet", "--no-ff", "--message", "synthetic", "topic")
        merge = self.git("rev-parse", "HEAD")
        self.git("update-ref", "refs/pull/7/merge", merge)
        self.git("reset", "--quiet", "--hard", "HEAD^")
        return merge, topic, target

    def clone(self: _Own, path: Path, *arguments: str) -> _Own:  # noqa: PYI019
        """A clone as CI services make them."""
        self.git("clone", "-q", *arguments, self.url, str(path))
        return type(self)(path, init=False)

    def checkout_merge(self: _Own, path: Path, depth: int) -> _Own:  # noqa: PYI019
        """A checkout of the pull request's merge as actions/checkout makes it; 0 is all."""
        checkout = type(self)(path)
        how = [f"--depth={depth}"] if depth else []
        ref = "+refs/pull/7/merge:refs/remotes/pull/7/merge"
        refs = [ref] if depth else [ref, "+refs/heads/*:refs/remotes/origin/*"]
        checkout.git("remote", "add", "origin", self.url)
        checkout.git("fetch", "--quiet", *how, "origin", *refs)
        checkout.git("checkout", "--quiet", "--detach", "refs/remotes/pull/7/merge")
        return checkout

    @property
    def url(self) -> str:
        """An address by which a clone may be shallow."""
        return self.path.as_uri()


def fake_git(directory: Path, script: str) -> dict[str, str]:
    """An environment in which a shell script is git."""
    directory.mkdir()
    program = directory / "git"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"PATH": f"{directory}{os.pathsep}/usr/bin{os.pathsep}/bin"}
