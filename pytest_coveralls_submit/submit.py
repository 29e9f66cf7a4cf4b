"""From measured files to the outcome: build the job, keep it on disk, send it, judge the answer."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

from .changed_lines import ChangedLinesResult
from .ci import gitlab
from .context import RunContext, SendContext, temporary_folder, why_no_token
from .delivery import answers, sender
from .delivery.build_result import wait_for_build
from .delivery.sender import Answer, Call, Policy
from .errors import CoverallsError, GitLabError, JobError, MeasurementError
from .git import Commit, tracked
from .job import document, outbox, source_files
from .job.document import Job, check_job, file_totals, merge_file, tested_commit, to_json
from .job.identity import Identity
from .job.names import Names
from .job.source_files import Reading
from .job.tested_commit import merged_files_notices
from .measurement.measure import Measurement
from .outcome import (
    BuildResult,
    Built,
    Failed,
    Findings,
    Interrupted,
    NotSent,
    Outcome,
    Sent,
)
from .output import command_to_finish, command_to_send
from .secret import Secret
from .settings.table import Settings
from .text import count_of, one_line, shorten_list, typed_path

Say = Callable[[str], None]
"""Prints a line at once."""
EXPLAINED = 20
"""Files left out that are explained with ``-v``."""


class JobHook(Protocol):
    """Change a job in place."""

    def __call__(self, *, job: Any) -> object:
        """Change the job; an exception costs only the change."""


# --- files ------------------------------------------------------------------------------------


def names_in(context: RunContext) -> Names:
    """Return the names of files, relative to the repository's top."""
    can_list = context.git.top is not None and context.git.problem is None
    return Names(
        context.top,
        tracked(context.top, context.env) if can_list else None,
        near=(context.root, context.start),
        base_dir=context.settings.base_dir,
        src_dir=context.settings.src_dir,
    )


def read_files(coverage: Measurement, names: Names, context: RunContext) -> Reading:
    """Name and read each measured file."""
    include_source = context.settings.include_source
    reading = source_files.read(
        coverage.files, names.name_for, names.as_sent, include_source=include_source
    )
    in_repository = {file.name: file.repository_name or file.name for file in reading.files}
    merged = merged_files_notices(
        context.git, context.env, context.identity, list(in_repository.values())
    )
    notices = [*reading.notices, *names.notices, *merged]
    untracked = [sent for sent, name in in_repository.items() if names.is_tracked(name) is False]
    if untracked:
        notices.append(
            f"{count_of(len(untracked), 'file')} not in git, so Coveralls cannot show "
            f"{'it' if len(untracked) == 1 else 'them'}: {shorten_list(untracked)}"
        )
    outside = tuple(path for path in reading.outside if path not in names.ambiguous)
    return replace(reading, outside=outside, notices=tuple(notices))


def sum_up(
    coverage: Measurement, files: Reading, changed: ChangedLinesResult, warning: str = ""
) -> Findings:
    """Return the findings of a measured run.

    Args:
        coverage: as measured.
        files: as read.
        changed: the changed lines.
        warning: on the whole run.
    """
    failed = {**coverage.failed, **files.unreadable}
    notices = [warning] if warning else []
    notices += coverage.notices
    if files.outside:
        notices.append(f"left out {count_of(len(files.outside), 'file')} outside the repository")
    if failed:
        counted = count_of(len(failed), "file")
        notices.append(f"left out {counted} that cannot be read or parsed: {shorten_list(failed)}")
    reasons = [f"{path}: {reason}" for path, reason in sorted(failed.items())[:EXPLAINED]]
    return Findings(
        percent=coverage.percent,
        changed=changed.lines,
        shortfall=changed.shortfall,
        notices=(*notices, *files.notices, *changed.notices),
        details=(*coverage.details, *reasons, *changed.details),
    )


# --- the job ----------------------------------------------------------------------------------


def build_job(
    context: RunContext, files: Reading, hook: JobHook | None = None
) -> tuple[Job, list[str]]:
    """Return the checked job, and notices on the hook.

    Args:
        context: of the run.
        files: as read.
        hook: lets each ``conftest.py`` change the job.

    Raises:
        JobError: a field or a ``merge`` file cannot be used.
        MeasurementError: no file of the repository was measured.
    """
    entries = files.files
    checkout = context.top if context.settings.include_source else None
    for path in context.settings.merge:
        entries = merge_file(entries, path, checkout)
    job = document.build_job(_with_author(context).as_json(), entries)
    notices: list[str] = []
    if hook is not None:
        job, notices = _edited(job, hook)
    if not job["source_files"] and not context.settings.allow_empty:
        raise MeasurementError("no files of the repository were measured")
    return job, notices


def _edited(job: Job, hook: JobHook) -> tuple[Job, list[str]]:
    try:
        edited = json.loads(to_json(job))  # a copy, faster than deepcopy
        hook(job=edited)
        return check_job(edited), []
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  a conftest.py may also fail, skip or exit
        reason = str(error) if isinstance(error, JobError) else one_line(error)
        return job, [f"the hook pytest_coveralls_job is ignored: {reason}"]


def _with_author(context: RunContext) -> Identity:
    """Ask GitLab for the commit's author, if nothing else knows it."""
    identity, head = context.identity, context.identity.head
    if context.build.service_name != "gitlab-ci" or head is None or all(asdict(head).values()):
        return identity
    found = gitlab.fill(head.id, context.env, gitlab_client(context))
    known = {name: value for name, value in asdict(head).items() if value}
    return identity if found is None else replace(identity, head=Commit(**asdict(found) | known))


# --- sent -------------------------------------------------------------------------------------


def submit(
    job: Job,
    findings: Findings,
    context: SendContext,
    *,
    say: Say,
    keep_in: Sequence[Path] = (),
    kept: Path | None = None,
) -> Outcome:
    """Save, keep and send a job, and judge the answer.

    Args:
        job: checked.
        findings: of the run.
        context: of the run.
        say: prints failed attempts.
        keep_in: folders for the job until it is accepted, the first writable one is used.
        kept: the job's file, if it is on disk already.
    """
    settings, content = context.settings, to_json(job)
    saved = settings.save if kept is None else None
    problem = _save(content, saved)
    unsent = _without_sending(job, findings, context, saved, problem)
    if unsent is not None:
        return unsent
    assert context.token is not None
    if problem:
        saved, findings = None, findings.with_notices([problem])
    if kept is None:
        kept = outbox.keep(content, keep_in, outbox.job_stem(job))
        if kept is None:
            findings = findings.with_notices(["the job could not be kept: no writable directory"])
    command = "" if kept is None else command_to_send(settings, kept, context.start)
    where: dict[str, Any] = {"kept": kept, "command": command, "saved": saved}
    try:
        answer = sender.send(
            Call(
                method="POST",
                url=f"{settings.host}/api/v1/jobs",
                form="json_file",
                compress=settings.compress,
            ),
            [document.with_token(content, context.token.secret)],
            # Without a number each job that arrives is a build of its own.
            send_policy(settings, is_repeatable="service_number" in job),
            env=context.env,
            say=say,
            secrets=context.secrets,
        )
        facts = context.facts(job.get("service_number"), job.get("service_name"))
        verdict = answers.judge_job(answer, facts)
        if verdict.accepted:
            return _accepted(job, findings, context, verdict, answer, kept, saved)
    except KeyboardInterrupt:
        doubt = f"it may have been accepted: check {settings.host} first"
        reason = "interrupted while sending"
        return Interrupted.of(findings, reason=reason, advice=(doubt,), **where)
    except Exception as error:  # noqa: BLE001  the kept job must be named whatever happens
        return Failed.of(findings, **failure(error), **where)
    return Failed.of(
        findings,
        reason=verdict.reason,
        advice=verdict.advice,
        details=(_effort(answer),),
        **where,
    )


def _save(content: bytes, path: Path | None) -> str:
    """Write the job to the user's file; return what went wrong."""
    try:
        if path is not None:
            outbox.write(content, path)
    except OSError as error:
        return f"{path} cannot be written: {error.strerror or error}"
    return ""


def _without_sending(
    job: Job, findings: Findings, context: SendContext, saved: Path | None, problem: str
) -> Outcome | None:
    """Return the outcome of a job that is not to be sent."""
    if context.will_send:
        return None
    if problem:
        return Failed.of(findings, reason=problem)
    if context.settings.dry_run:
        return Built.of(findings, files=file_totals(job), saved=saved)
    return not_sent(findings, why_no_token(context), saved)


def not_measured(skip: NotSent | None, error: MeasurementError, settings: Settings) -> NotSent:
    """Return the outcome of a run without coverage.

    Args:
        skip: why nothing was to be sent anyway.
        error: why there is no coverage.
        settings: of the user.
    """
    is_gated = settings.changed_fail_under is not None
    if skip is not None and (skip.is_expected or not is_gated):
        return skip
    return NotSent(reason=str(error))


def without_job(findings: Findings, error: CoverallsError) -> NotSent | Failed:
    """Return the outcome of a run whose job could not be built."""
    if isinstance(error, MeasurementError):
        return NotSent.of(findings, reason=str(error))
    return Failed.of(findings, reason=str(error))


def not_sent(findings: Findings, reason: NotSent, saved: Path | None = None) -> NotSent:
    """Return the outcome of a measured run that sends nothing."""
    return NotSent.of(
        findings,
        reason=reason.reason,
        remedy=reason.remedy,
        is_expected=reason.is_expected,
        saved=saved,
    )


def failure(error: BaseException) -> dict[str, Any]:
    """Return the fields of ``Failed`` for an exception."""
    if isinstance(error, CoverallsError):
        return {"reason": str(error)}
    return {
        "reason": f"internal error: {one_line(error)}",
        "traceback": "".join(traceback.format_exception(error)),
    }


def send_policy(settings: Settings, *, is_repeatable: bool) -> Policy:
    """Return attempts and time-outs of the settings.

    Args:
        settings: of the user.
        is_repeatable: whether the request may arrive twice without harm.
    """
    return Policy(
        retries=settings.retries,
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        deadline=settings.deadline,
        retry_ambiguous=is_repeatable,
        ca_bundle=str(settings.ca_bundle) if settings.ca_bundle else None,
        verify=not settings.skip_ssl_verify,
    )


def _effort(answer: Answer) -> str:
    attempts = count_of(answer.attempts, "attempt")
    return f"{answer.size:,} bytes sent in {answer.seconds:.2f} s, {attempts}"


# --- accepted ---------------------------------------------------------------------------------


def _accepted(
    job: Job,
    findings: Findings,
    context: SendContext,
    verdict: answers.Verdict,
    answer: Answer,
    kept: Path | None,
    saved: Path | None,
) -> Sent:
    settings = context.settings
    trouble = None if kept is None else outbox.remove(kept)
    number, is_open = job.get("service_number"), job.get("parallel")
    percent = document.total_percent(job) if findings.percent is None else findings.percent
    return Sent.of(
        findings,
        files=file_totals(job),
        url=verdict.url,
        message=verdict.message,
        finish=command_to_finish(settings, number) if number and is_open else None,
        build=None if is_open else build_result(context, verdict.url, tested_commit(job)),
        details=(_effort(answer),),
        notices=(
            *([trouble] if trouble else []),
            *_set_gitlab_status(job, context, percent, verdict.url),
        ),
        saved=saved,
    )


def build_result(context: SendContext, url: str | None, commit: str | None) -> BuildResult | None:
    """Wait for the result of the build, if the user wants it.

    Never raises: an accepted job stays accepted, and Ctrl-C only ends the waiting.

    Args:
        context: of the run.
        url: of the build or its only job, from the server's answer.
        commit: of the job.
    """
    settings = context.settings
    if not settings.wait:
        return None
    try:
        return wait_for_build(
            url,
            settings.host,
            settings.wait,
            context.env,
            send_policy(settings, is_repeatable=True),
            commit=commit,
        )
    except KeyboardInterrupt:
        problem = "unknown: the waiting was interrupted"
    except Exception as error:  # noqa: BLE001  see above
        problem = f"unknown: {one_line(error)}"
    return BuildResult(url=url or settings.host, percent=None, problem=problem)


def _set_gitlab_status(
    job: Job, context: SendContext, percent: float, url: str | None
) -> tuple[str, ...]:
    """Give the commit a status on GitLab, if wanted; return a notice."""
    settings = context.settings
    if not settings.gitlab_status:
        return ()
    if settings.gitlab_token is None:
        return ("gitlab_status needs a token with the scope api in COVERALLS_GITLAB_TOKEN",)
    head = job.get("git", {}).get("head", {})
    if "id" not in head:
        return ("no status on GitLab: the commit is unknown",)
    flag = job.get("flag_name")
    try:
        notice = gitlab.announce(
            context.env,
            settings.gitlab_token,
            gitlab_client(context),
            Commit(**head),
            coverage=percent,
            url=url,
            ref=job.get("service_branch"),
            name=f"coveralls/{flag}" if flag else "coveralls",
        )
    except GitLabError as error:
        notice = str(error)
    except KeyboardInterrupt:
        notice = "no status on GitLab: interrupted"
    except Exception as error:  # noqa: BLE001  an accepted job stays accepted
        notice = f"no status on GitLab: {one_line(error)}"
    return (notice,)


def gitlab_client(context: SendContext) -> gitlab.Ask:
    """Return a function that asks GitLab once, for at most 5 seconds."""
    policy = Policy(connect_timeout=5.0, read_timeout=5.0, deadline=5.0)
    job_token = context.env.get("CI_JOB_TOKEN")
    secrets = (*context.secrets, *([Secret(job_token)] if job_token else []))

    def ask(call: Call, body: bytes) -> Answer:
        return sender.send(
            call, [body], policy, env=context.env, say=lambda _: None, secrets=secrets
        )

    return ask


# --- kept -------------------------------------------------------------------------------------


def folders_for_jobs(context: RunContext, cache: Path | None = None) -> list[Path]:
    """Return the folders that jobs are kept in, pytest's cache first."""
    temporary = temporary_folder()
    own = outbox.own_folder(temporary, context.top) if temporary else None
    return [folder for folder in (cache, own) if folder is not None]


def kept_before(context: RunContext, folders: Sequence[Path]) -> list[str]:
    """Return a line for each folder with kept jobs of earlier runs."""
    notices = []
    for folder in folders:
        # A job written since the session began may be sent by a run beside this one.
        count = len(outbox.kept_jobs(folder, before=context.started))
        if count:
            jobs = "1 job of an earlier run was" if count == 1 else f"{count} jobs were"
            path = typed_path(folder, context.start)
            command = command_to_send(context.settings, folder, context.start)
            notices.append(f"{jobs} not sent and kept in {path}; send with: {command}")
    return notices
