"""The story of a submission: what was measured becomes a job, is kept, sent and judged.

How each of these is done is left to the rooms; what is printed of it, to ``output``.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from .changed_lines import count_changed_lines, needs_counting
from .context import Plan
from .errors import JobError, MeasurementError
from .hints import why_no_token
from .job import outbox
from .job import source_files as files
from .job.document import Job, build_job, check_job, file_totals, merge_file, to_json
from .job.names import Names
from .job.tested_commit import merged_files_notices
from .measurement.measure import Measurement
from .outcome import Built, Failed, NotSent, Outcome
from .text import count_of, one_line, shorten_list, typed_path
from .upload import Voice, upload

EXPLAINED = 20
"""How many of them are explained, with ``-v``."""


class Edit(Protocol):
    """Changes a job in place."""

    def __call__(self, *, job: Any) -> object:
        """Change it; what is raised costs the change, not the job."""


class Run(Voice, Protocol):
    """What a submission needs of the run whose coverage it sends."""

    @property
    def narrowed(self) -> str | None:
        """What narrowed the run to a part of its tests, to warn of; None for nothing."""

    @property
    def skipped(self) -> str | None:
        """Why nothing is to be sent although all was measured; None where it is."""

    @property
    def edit(self) -> Edit | None:
        """Lets ``conftest.py`` change the job in place; None where nobody wants to."""

    def measure(self) -> Measurement:
        """Return the measurement; raise MeasurementError with the reason for none."""

    def folder(self) -> Path | None:
        """Return the folder that jobs are kept in, None where there is none."""


def submit(plan: Plan, run: Run) -> Outcome:
    """Build the job, keep it on disk, send it, and say what became of it.

    The changed lines are told whatever becomes of the job.
    """
    refusal = _refusal(plan, run)
    if refusal is not None and not needs_counting(plan.base, plan.settings):
        return refusal
    is_gated = plan.settings.changed_fail_under is not None
    quiet = None if is_gated and run.skipped is None else refusal
    try:
        measured = run.measure()
    except MeasurementError as error:
        return quiet or NotSent(reason=str(error))
    if not measured.files and not measured.failed and not plan.settings.allow_empty:
        return quiet or NotSent(reason="no data was collected")
    percent = measured.percent
    reading = _read(plan, measured, is_for_a_job=refusal is None)
    may_fail = run.skipped is None
    changed = count_changed_lines(plan.base, reading.files, plan.settings, may_fail=may_fail)
    if refusal is None:
        outcome = _submit(plan, run, reading, percent)
        notices = (*_narrowed(run), *_told(plan, reading, measured), *outcome.notices)
        outcome = replace(outcome, notices=notices)
    else:
        outcome = refusal
    details = (*measured.details, *_reasons(reading, measured), *outcome.details)
    return replace(
        outcome,
        percent=percent,
        changed=changed.lines,
        shortfall=changed.shortfall,
        details=(*details, *changed.details),
        notices=(*outcome.notices, *changed.notices),
    )


def _refusal(plan: Plan, run: Run) -> NotSent | None:
    """Return why no job is built of what was measured; None where one is."""
    if run.skipped is not None:
        return NotSent(reason=run.skipped)
    return None if plan.leads_to_a_job else why_no_token(plan)


def _narrowed(run: Run) -> tuple[str, ...]:
    if run.narrowed is None:
        return ()
    return (f"not all tests ran, because of {run.narrowed}: coverage may look lower",)


def _read(plan: Plan, measured: Measurement, *, is_for_a_job: bool) -> files.Reading:
    """Give each measured file its name, and read it."""
    naming, include_source = plan.naming, plan.settings.include_source and is_for_a_job
    return files.read(
        measured.files, naming.name_for, naming.as_sent, include_source=include_source
    )


def _told(plan: Plan, reading: files.Reading, measured: Measurement) -> tuple[str, ...]:
    notices = (*measured.notices, *_left_out(reading, measured, plan.naming), *reading.notices)
    names = [file.repository_name or file.name for file in reading.files]
    notices = (*notices, *merged_files_notices(plan.git, plan.env, plan.identity, names))
    untracked = [
        file.name
        for file in reading.files
        if plan.naming.is_tracked(file.repository_name or file.name) is False
    ]
    if not untracked:
        return notices
    them = "it" if len(untracked) == 1 else "them"
    notice = (
        f"{count_of(len(untracked), 'file')} not in git, so that Coveralls cannot show {them}: "
    )
    return (*notices, notice + shorten_list(untracked))


def _left_out(reading: files.Reading, measured: Measurement, names: Names) -> tuple[str, ...]:
    failed = {**measured.failed, **reading.unreadable}
    notices = []
    outside = set(reading.outside) - names.ambiguous.keys()
    if outside:
        notices.append(f"left out {count_of(len(outside), 'file')} outside the repository")
    notices += names.notices
    if failed:
        count, listed = count_of(len(failed), "file"), shorten_list(failed)
        notices.append(f"left out {count} that cannot be read or parsed: {listed}")
    return tuple(notices)


def _reasons(reading: files.Reading, measured: Measurement) -> Iterator[str]:
    """Yield why each file was left out that cannot be read or parsed."""
    failed = sorted({**measured.failed, **reading.unreadable}.items())
    yield from (f"{path}: {reason}" for path, reason in failed[:EXPLAINED])


def _submit(plan: Plan, run: Run, reading: files.Reading, percent: float) -> Outcome:
    settings = plan.settings
    try:
        job, troubles = _job(plan, reading, run.edit)
    except JobError as error:
        return Failed(reason=str(error))
    if not job["source_files"] and not settings.allow_empty:
        reason = "no files of the repository were measured"
        return NotSent(reason=reason, notices=troubles)
    job_bytes = to_json(job)
    trouble = _save(job_bytes, settings.save)
    if trouble and (settings.dry_run or plan.token is None):
        return Failed(reason=trouble, notices=troubles)
    troubles = (*troubles, *([trouble] if trouble else []))
    outcome = _send(plan, run, job, job_bytes, percent)
    saved = None if trouble else settings.save
    return replace(outcome, saved=saved, notices=(*troubles, *outcome.notices))


def _job(plan: Plan, reading: files.Reading, edit: Edit | None) -> tuple[Job, tuple[str, ...]]:
    """Return the checked job, and what a hook did wrong."""
    entries = reading.files
    checkout = plan.top if plan.settings.include_source else None
    for path in plan.settings.merge:
        entries = merge_file(entries, path, checkout)
    job = build_job(plan.identity.as_json(), entries)
    if edit is None:
        return job, ()
    try:
        edited = json.loads(to_json(job))  # a copy, faster than deepcopy
        edit(job=edited)
        return check_job(edited), ()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  a conftest.py may also fail, skip or exit
        why = str(error) if isinstance(error, JobError) else one_line(error)
        return job, (f"the hook pytest_coveralls_job is not heeded: {why}",)


def _save(job_bytes: bytes, path: Path | None) -> str:
    """Write the job where the user wants it; return what went wrong."""
    try:
        if path is not None:
            outbox.write(job_bytes, path)
    except OSError as error:
        return f"{path} cannot be written: {error.strerror or error}"
    return ""


def _send(plan: Plan, run: Run, job: Job, job_bytes: bytes, percent: float) -> Outcome:
    if plan.settings.dry_run:
        return Built(files=file_totals(job), percent=percent)
    if plan.token is None:
        return why_no_token(plan)
    stem = outbox.job_stem(job)
    kept = outbox.keep(job_bytes, _folders(plan, run), stem)
    outcome = upload(plan, job, job_bytes, percent, kept, run)
    if isinstance(outcome, Failed) and kept is not None and not kept.exists():
        # Many runs beside this one have kept theirs meanwhile.
        outcome = replace(outcome, kept=outbox.keep(job_bytes, _folders(plan, run), stem))
    notices = (*outcome.notices, *waiting_jobs(plan, run))
    if kept is None:
        notices = ("the job could not be kept on disk: no directory takes it", *notices)
    return replace(outcome, notices=notices)


def _folders(plan: Plan, run: Run) -> list[Path]:
    temporary = plan.temporary and outbox.own_folder(plan.temporary, plan.top)
    return [folder for folder in (run.folder(), temporary) if folder is not None]


def waiting_jobs(plan: Plan, run: Run) -> Iterator[str]:
    """Yield a line for each folder in which jobs of earlier runs wait, with what sends them.

    A job that was written since the session began is our own, or is being sent by a run beside us.
    """
    for folder in _folders(plan, run):
        count = len(outbox.kept_jobs(folder, before=plan.started))
        outbox.remove_empty(folder)
        if count:
            jobs = "1 job of an earlier run waits" if count == 1 else f"{count} jobs wait"
            path = shlex.quote(typed_path(folder, plan.start))
            yield f"{jobs} in {path}; send with: python -m pytest_coveralls_submit send {path}"
