"""What a CI service says about a build, and how a row tells where it stands."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping


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
    target_branch: str | None = None
    """The branch that a pull request goes into; for pull requests only."""
    service_build_url: str | None = None
    service_job_url: str | None = None
    service_attempt: str | None = None
    event_name: str | None = None
    """GitHub's name of what started the run."""
    tag: str | None = None
    commit_sha: str | None = None
    """The head commit, never a synthetic merge."""
    merge_sha: str | None = None
    """The commit checked out for a pull request when its head is unknown; git finds the head."""
    diff_base_sha: str | None = None
    """The commit with which the service compares a pull request; for pull requests only."""
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

    @property
    def is_workflow_run(self) -> bool:
        """Whether the run follows another one, which measured: all but the job is that one's."""
        return self.event_name == "workflow_run"


PLACEHOLDER = re.compile(r"\{([\w.]+)(\??)\}")


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


Cells: TypeAlias = "str | Cell | tuple[str | Cell, ...]"
More: TypeAlias = "tuple[dict[str, str], tuple[str, ...]]"


def _nothing_more(_: Mapping[str, str], __: Iterable[str]) -> More:
    return {}, ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """A CI service; each column is called as the field of a Build that it gives.

    It has one template or a tuple of them, tried in order.
    """

    name: str
    when: str | tuple[str, ...]
    """Alternatives; each names the variables that must be set, or NAME=value, between spaces."""
    documented_at: str
    """Where the owner documents the variables, else where they were read."""
    more: Callable[[Mapping[str, str], Iterable[str]], More] = _nothing_more
    """Reads the service's file: further variables of these names, and the problems met."""
    ignored: tuple[str, ...] = ()
    """Variables which do not mean here what they mean to the generic row."""
    service_number: Cells = ()
    service_job_id: Cells = ()
    service_job_number: Cells = ()
    service_pull_request: Cells = ()
    service_branch: Cells = ()
    target_branch: Cells = ()
    tag: Cells = ()
    """Asked before ``refs/tags/`` in the cells of ``service_branch``."""
    commit_sha: Cells = ()
    merge_sha: Cells = ()
    """Asked for pull requests only, when no cell of ``commit_sha`` knows the head."""
    diff_base_sha: Cells = ()
    service_build_url: Cells = ()
    service_job_url: Cells = ()
    service_attempt: Cells = ()
    event_name: Cells = ()
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

    def cells(self, column: str) -> tuple[Cell, ...]:
        """Return what stands in a column; a bare template is one cell."""
        cells = getattr(self, column)
        cells = cells if isinstance(cells, tuple) else (cells,)
        return tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in cells)

    def variables(self) -> Iterator[str]:
        """Yield the name of every variable in the cells of the row."""
        for column in COLUMNS:
            for cell in self.cells(column):
                yield from (name for name, _ in PLACEHOLDER.findall(cell.template))


COLUMNS = tuple(
    field.name for field in fields(Service) if field.name in {given.name for given in fields(Build)}
)
"""The fields of a Build that a row can give."""
