"""Measured files -> the job, and the findings of the run."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..ci import gitlab
from ..context import RunContext
from ..errors import JobError, MeasurementError
from ..git import COMMIT_DETAILS, differing, tracked
from ..measurement.measure import Measurement
from ..outcome import Findings
from ..text import count_of, shorten_list
from . import document
from .names import Names
from .source_files import SourceFiles, read_source_files


def names_in(context: RunContext) -> Names:
    """Return the names of the repository's files."""
    near, settings = (context.root, context.start), context.settings
    return Names(context.top, tracked(context.git), near, settings.base_dir, settings.src_dir)


def read_files(coverage: Measurement, names: Names, context: RunContext) -> SourceFiles:
    """Name and read each measured file."""
    include_source = context.settings.include_source
    found = read_source_files(coverage.files, names, include_source=include_source)
    notices = [*found.notices]
    if "service_pull_request" in context.identity:
        merged = differing(context.git).intersection(file.repository_name for file in found.files)
        if merged:
            notices.append(
                "the tests ran on a merge; Coveralls shows the lines of the head commit, which "
                f"differs in: {shorten_list(sorted(merged))}"
            )
    untracked = [file.name for file in found.files if names.is_untracked(file.repository_name)]
    if untracked:
        notices.append(
            f"{count_of(len(untracked), 'file')} not in git, so Coveralls cannot show "
            f"{'it' if len(untracked) == 1 else 'them'}: {shorten_list(untracked)}"
        )
    return replace(found, notices=tuple(notices))


def sum_up(
    coverage: Measurement, files: SourceFiles, changed: Findings, warning: str = ""
) -> Findings:
    """Complete the findings by those of measuring."""
    failed = {**coverage.failed, **files.unreadable}
    notices = [warning] if warning else []
    notices += coverage.notices
    if files.outside:
        notices.append(f"left out {count_of(files.outside, 'file')} outside the repository")
    if failed:
        counted = count_of(len(failed), "file")
        notices.append(
            f"left out {counted} that cannot be read or parsed: {shorten_list(sorted(failed))}"
        )
    reasons = [f"{path}: {reason}" for path, reason in sorted(failed.items())[:20]]
    return replace(
        changed,
        percent=coverage.percent,
        notices=(*notices, *files.notices, *changed.notices),
        details=(*coverage.details, *reasons, *changed.details),
    )


def build_job(
    context: RunContext, files: SourceFiles, edit: Callable[..., str] | None = None
) -> tuple[document.Job, list[str]]:
    """Return the checked job, and notices.

    Args:
        edit: changes ``job`` in place; returns what went wrong.

    Raises:
        JobError: a field or a ``merge`` file cannot be used.
        MeasurementError: no file of the repository was measured.
    """
    notices: list[str] = []
    entries, include_source = files.files, context.settings.include_source
    for path in context.settings.merge:
        entries = document.merge_file(entries, path, context.top if include_source else None)
    if without := {file.name for file in entries if include_source and file.source is None}:
        counted = count_of(len(without), "file")
        notices.append(f"left out {counted} without source text: {shorten_list(sorted(without))}")
    source_files = [file.as_json() for file in entries if file.name not in without]
    job = document.check_job({**_identity(context), "source_files": source_files})
    if edit is not None:
        edited = json.loads(document.to_json(job))  # a copy, faster than deepcopy
        problem = edit(job=edited)
        try:
            job = job if problem else document.check_job(edited)
        except JobError as error:
            problem = str(error)
        if problem:
            notices.append(f"the hook pytest_coveralls_job is ignored: {problem}")
    if not job["source_files"] and not context.settings.allow_empty:
        raise MeasurementError("no files of the repository were measured")
    return job, notices


def _identity(context: RunContext) -> dict[str, Any]:
    """Return the identity, completed by GitLab if need be."""
    identity = context.identity
    head = identity.get("git", {}).get("head", {})
    if context.build.service_name != "gitlab-ci" or not head or head.keys() >= {*COMMIT_DETAILS}:
        return identity
    ask = gitlab.client(context.env, context.secrets)
    known = gitlab.commit_details(head["id"], context.env, ask)
    return {**identity, "git": {**identity["git"], "head": known | head}}
