"""What a CI service says about a build, and how a row tells where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


@dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """What a CI service says about the build; every text is stripped and non-empty, or None."""

    service_name: str | None = None
    service_number: str | None = None
    """Shared by all jobs of a build; what ``finish`` sends as ``build_num``."""
    service_job_id: str | None = None
    """Differs between the jobs of one build."""
    service_job_number: str | None = None
    """A label."""
    service_pull_request: str | None = None
    """Digits only."""
    service_branch: str | None = None
    """The source branch of a pull request; never ``HEAD``, no ``refs/heads/``, no remote name."""
    service_build_url: str | None = None
    service_job_url: str | None = None
    service_attempt: str | None = None
    tag: str | None = None
    commit_sha: str | None = None
    """The head commit, never a synthetic merge."""
    merge_sha: str | None = None
    """The commit checked out for a pull request when its head is unknown; git finds the head."""
    repo_name: str | None = None
    """``owner/repo``."""
    job_name: str | None = None
    node_index: str | None = None
    author_name: str | None = None
    author_email: str | None = None
    committer_name: str | None = None
    committer_email: str | None = None
    message: str | None = None
    remote_url: str | None = None
    """Without userinfo, query and fragment."""
    remote_name: str | None = None
    problems: tuple[str, ...] = ()
    """Notices worth telling; normally empty."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A template with a condition; where none is needed a row has the bare template.

    ``{NAME}`` is a variable, ``{NAME?}`` one that may be missing. The template is skipped when a
    variable is unset, blank or unusable. The filled template must match ``pattern`` as a whole;
    its groups, joined, are the value. With ``unless_pull_request`` it is skipped for pull
    requests, where such a variable tells of the target branch or of the synthetic merge.
    """

    template: str
    pattern: str = "(.*)"
    unless_pull_request: bool = False


Cells = tuple["str | Cell", ...]
More = tuple["dict[str, str]", tuple[str, ...]]


def _nothing_more(_: Mapping[str, str], __: Iterable[str]) -> More:
    return {}, ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """A CI service; each column is a tuple of templates, tried in order."""

    name: str
    when: tuple[str, ...]
    """Alternatives; each names the variables that must be set, or NAME=value, between spaces."""
    source: str
    """Where the owner documents the variables, else where they were read."""
    more: Callable[[Mapping[str, str], Iterable[str]], More] = _nothing_more
    """Reads the service's file: further variables, and the problems met."""
    ignored: tuple[str, ...] = ()
    """Variables which do not mean here what they mean to the generic row."""
    number: Cells = ()
    job_id: Cells = ()
    job_number: Cells = ()
    pull_request: Cells = ()
    branch: Cells = ()
    tag: Cells = ()
    """Asked before ``refs/tags/`` in the columns of ``branch``."""
    commit: Cells = ()
    merge: Cells = ()
    """Asked for pull requests only, when no cell of ``commit`` knows the head."""
    build_url: Cells = ()
    job_url: Cells = ()
    attempt: Cells = ()
    repo_name: Cells = ()
    job_name: Cells = ()
    node_index: Cells = ()
    author_name: Cells = ()
    author_email: Cells = ()
    committer_name: Cells = ()
    committer_email: Cells = ()
    message: Cells = ()
    remote_url: Cells = ()
    remote_name: Cells = ()
