"""From the job to the outcome: keep it on disk, send it, judge the answer."""

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from .ci import gitlab
from .context import RunContext, why_no_token
from .delivery import answers, sender
from .delivery.build_result import wait_for_build
from .delivery.sender import Answer, Call, Policy
from .errors import CoverallsError, MeasurementError
from .job import document, outbox
from .job.document import Job, file_totals, tested_commit, to_json
from .outcome import BuildResult, Built, Failed, Findings, Interrupted, NotSent, Outcome, Sent
from .output import command_for
from .settings.table import Settings
from .text import count_of, one_line, typed_path


def submit(
    job: Job,
    findings: Findings,
    context: RunContext,
    *,
    say: Callable[[str], None],
    keep_in: Sequence[Path] = (),
    kept: Path | None = None,
) -> Outcome:
    """Save, keep and send a job, and judge the answer.

    Args:
        keep_in: folders for the job; the first writable one is used.
        kept: the job's file, if it is on disk already.
    """
    settings, content = context.settings, to_json(job)
    saved = settings.save if kept is None else None
    if saved is not None and (problem := _save(content, saved)):
        if not context.will_send:
            return Failed(**vars(findings), reason=problem)
        saved, findings = None, findings.plus(problem)
    if settings.dry_run:
        return Built(**vars(findings), files=file_totals(job), saved=saved)
    if context.token is None:
        return replace(why_no_token(context), **vars(findings), saved=saved)
    if kept is None and keep_in:
        kept, notices = _keep(content, keep_in, outbox.job_stem(job), context)
        findings = findings.plus(*notices)
    command = command_for(settings, "send", typed_path(kept, context.start)) if kept else ""
    where: dict[str, Any] = {"kept": kept, "command": command, "saved": saved}
    try:
        answer = sender.send(
            _job_call(settings),
            [document.with_token(content, context.token.secret)],
            # Without a number each job that arrives is a build of its own.
            send_policy(settings, is_repeatable="service_number" in job),
            env=context.env,
            say=say,
            secrets=context.secrets,
        )
        findings = findings.plus(details=[_effort(answer)])
        verdict = answers.judge_job(answer, context.facts(job))
        if verdict.accepted:
            return _accepted(job, findings, context, verdict, kept, saved)
    except KeyboardInterrupt:
        doubt = f"it may have been accepted: check {settings.host} first"
        reason = "interrupted while sending"
        return Interrupted(**vars(findings), reason=reason, advice=(doubt,), **where)
    except Exception as error:  # noqa: BLE001  the kept job must be named whatever happens
        return Failed(**vars(findings), **failure(error), **where)
    return Failed(**vars(findings), reason=verdict.reason, advice=verdict.advice, **where)


def _job_call(settings: Settings) -> Call:
    """Return a job's request, without its body."""
    url = f"{settings.host}/api/v1/jobs"
    return Call(method="POST", url=url, form="json_file", compress=settings.compress)


def _save(content: bytes, path: Path) -> str:
    """Write the job to the user's file; return the problem."""
    try:
        outbox.write(content, path)
    except OSError as error:
        return f"{path} cannot be written: {error.strerror or error}"
    return ""


def folders_for_jobs(context: RunContext, cache: Any = None) -> list[Path]:
    """Return the folders for kept jobs, pytest's cache first."""
    folders = []
    if cache is not None and context.will_send:
        with suppress(OSError):
            folders.append(cache.mkdir("coveralls"))
    if context.temporary is not None:
        folders.append(outbox.own_folder(context.temporary, context.top))
    return folders


def _keep(
    content: bytes, folders: Sequence[Path], stem: str, context: RunContext
) -> tuple[Path | None, list[str]]:
    """Write the job to disk; return its file, and notices on earlier ones."""
    notices = []
    for folder in folders:
        # A job written since the session began may be sent by a run beside this one.
        if count := len(outbox.kept_jobs(folder, before=context.started)):
            jobs, them = ("1 job is", "it") if count == 1 else (f"{count} jobs are", "them")
            path = typed_path(folder, context.start)
            command = command_for(context.settings, "send", path)
            notices.append(f"{jobs} still waiting in {path}; send {them} with: {command}")
    kept = outbox.keep(content, folders, stem)
    if kept is None:
        notices.append("the job could not be kept: no writable directory")
    return kept, notices


def without_job(findings: Findings, error: CoverallsError) -> NotSent | Failed:
    """Return the outcome of a run whose job could not be built."""
    if isinstance(error, MeasurementError):
        return NotSent(**vars(findings), reason=str(error))
    return Failed(**vars(findings), reason=str(error))


def failure(error: BaseException) -> dict[str, Any]:
    """Return the fields of ``Failed`` for an exception."""
    if isinstance(error, CoverallsError):
        return {"reason": str(error)}
    return {
        "reason": f"internal error: {one_line(error)}",
        "traceback": "".join(traceback.format_exception(error)),
    }


def send_policy(settings: Settings, *, is_repeatable: bool) -> Policy:
    """Return attempts and time-outs for a request.

    Args:
        is_repeatable: the request may arrive twice without harm.
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


def _accepted(
    job: Job,
    findings: Findings,
    context: RunContext,
    verdict: answers.Verdict,
    kept: Path | None,
    saved: Path | None,
) -> Sent:
    settings, is_open, finish = context.settings, job.get("parallel"), None
    if is_open and (number := job.get("service_number")):
        finish = command_for(settings, "finish", f"--coveralls-service-number={number}")
    if kept is not None and (trouble := outbox.remove(kept)):
        findings = findings.plus(trouble)
    if settings.gitlab_status:
        status = _set_gitlab_status(job, context, findings.percent or 0.0, verdict.url)
        findings = findings.plus(status)
    return Sent(
        **vars(findings),
        files=file_totals(job),
        url=verdict.url,
        message=verdict.message,
        finish=finish,
        build=None if is_open else build_result(context, verdict.url, tested_commit(job)),
        saved=saved,
    )


def build_result(context: RunContext, url: str | None, commit: str | None) -> BuildResult | None:
    """Wait for the result of the build, if the user wants it."""
    settings = context.settings
    if not settings.wait:
        return None
    policy = send_policy(settings, is_repeatable=True)
    with _without_risk() as problems:
        return wait_for_build(url, settings.host, settings.wait, context.env, policy, commit=commit)
    problem = f"unknown: {problems[0]}"
    return BuildResult(url=url or settings.host, percent=None, problem=problem)


@contextmanager
def _without_risk() -> Iterator[list[str]]:
    """Collect the problem of a block, lest it cost an accepted job."""
    problems: list[str] = []
    try:
        yield problems
    except KeyboardInterrupt:
        problems.append("interrupted")
    except CoverallsError as error:
        problems.append(str(error))
    except Exception as error:  # noqa: BLE001  an accepted job stays accepted
        problems.append(one_line(error))


def _set_gitlab_status(job: Job, context: RunContext, percent: float, url: str | None) -> str:
    """Give the commit a status on GitLab; return a notice."""
    token = context.settings.gitlab_token
    if token is None:
        return "gitlab_status needs a token with the scope api in COVERALLS_GITLAB_TOKEN"
    head = job.get("git", {}).get("head", {})
    if "id" not in head:
        return "no status on GitLab: the commit is unknown"
    flag = job.get("flag_name")
    name = f"coveralls/{flag}" if flag else "coveralls"
    status = gitlab.Status(head, percent, url, job.get("service_branch"), name)
    with _without_risk() as problems:
        ask = gitlab.client(context.env, context.secrets)
        return gitlab.announce(context.env, token, ask, status)
    return f"no status on GitLab: {problems[0]}"
