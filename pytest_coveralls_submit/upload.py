"""A job that is built and kept: posted, judged, removed from disk once it is accepted.

How a call is made and what an answer means is left to ``delivery``.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from . import git
from .ci import gitlab
from .context import Plan, asker
from .delivery import answers, sender
from .delivery.build_result import wait_for_build
from .delivery.sender import Answer, Call, Policy
from .errors import GitLabError, ProcessError
from .hints import finish_command
from .job import outbox
from .job.document import Job, file_totals, tested_commit, with_token
from .outcome import BuildResult, Failed, Interrupted, Sent
from .text import one_line


class Voice(Protocol):
    """What the sending has to say goes through here."""

    def say(self, text: str) -> None:
        """Print a line."""

    def progress(self) -> AbstractContextManager[Callable[[str], None]]:
        """Return what shows a line that changes while the block goes on, on a terminal alone."""


def upload(
    plan: Plan,
    job: Job,
    job_bytes: bytes,
    percent: float,
    kept: Path | None,
    voice: Voice,
) -> Sent | Failed:
    """Send a job that was built and kept, and remove what was kept once it is accepted."""
    assert plan.token is not None
    try:
        body = with_token(job_bytes, plan.token.secret)
        # Without a number each job that arrives is a build of its own.
        is_repeatable = "service_number" in job
        answer = post(plan, "/api/v1/jobs", [body], voice, is_repeatable=is_repeatable)
        verdict = answers.judge_job(answer, plan.facts)
        if verdict.accepted:
            return _accepted(plan, job, percent, kept, verdict, answer, voice)
    except KeyboardInterrupt:
        doubt = f"it may have been accepted all the same: look at {plan.settings.host} first"
        return Interrupted(reason="interrupted while sending", advice=(doubt,), kept=kept)
    except (ProcessError, OSError) as error:
        return Failed(reason=str(error), kept=kept)
    except Exception as error:  # noqa: BLE001  a fault of ours must not hide where the job is
        return replace(fault(error), kept=kept)
    return Failed(
        reason=verdict.reason, advice=verdict.advice, kept=kept, details=(_effort(answer),)
    )


def fault(error: BaseException) -> Failed:
    """Return the outcome of an error that nobody expected."""
    return Failed(
        reason=f"internal fault: {one_line(error)}",
        traceback="".join(traceback.format_exception(error)),
    )


def _accepted(
    plan: Plan,
    job: Job,
    percent: float,
    kept: Path | None,
    verdict: answers.Verdict,
    answer: Answer,
    voice: Voice,
) -> Sent:
    trouble = None if kept is None else outbox.remove(kept)
    number = job.get("service_number")
    is_open = job.get("parallel")
    sent = Sent(
        files=file_totals(job),
        percent=percent,
        url=verdict.url,
        message=verdict.message,
        finish=finish_command(number, plan.settings.host) if number and is_open else None,
        details=(_effort(answer),),
        notices=() if trouble is None else (trouble,),
    )
    build = None if is_open else result(plan, verdict.url, voice, tested_commit(job))
    notices = (*sent.notices, *_tell_gitlab(plan, job, percent, verdict.url))
    return replace(sent, build=build, notices=notices)


def result(
    plan: Plan, url: str | None, voice: Voice, commit: str | None = None
) -> BuildResult | None:
    """Return what the build came to, where the user waits for it.

    Raises nothing, for what was accepted stays so: Ctrl-C ends the waiting alone.

    Args:
        plan: says how long to wait.
        url: of the build or its only job, as the server's answer named it.
        voice: shows that it is waited.
        commit: that was tested.
    """
    settings = plan.settings
    if not settings.wait:
        return None
    try:
        with voice.progress() as show:
            return wait_for_build(
                url,
                settings.host,
                settings.wait,
                plan.env,
                _policy(plan, is_repeatable=True),
                commit=commit,
                progress=lambda text: show(f"coveralls: {text}"),
            )
    except KeyboardInterrupt:
        problem = "not known, the waiting was interrupted"
    except ProcessError as error:
        problem = f"not known, {error}"
    except Exception as error:  # noqa: BLE001  see above
        problem = f"not known, internal fault: {one_line(error)}"
    return BuildResult(url=url or settings.host, percent=None, problem=problem)


def _tell_gitlab(plan: Plan, job: Job, percent: float, url: str | None) -> tuple[str, ...]:
    """Give the commit a status on GitLab, where the user wants that; say what became of it.

    Raises nothing, for what was accepted stays so.
    """
    settings = plan.settings
    if not settings.gitlab_status:
        return ()
    if settings.gitlab_token is None:
        return ("gitlab_status needs a token with the scope api in COVERALLS_GITLAB_TOKEN",)
    commit = job.get("git", {}).get("head", {})
    if "id" not in commit:
        return ("GitLab was not told: the commit is not known",)
    flag = job.get("flag_name")
    try:
        done = gitlab.announce(
            plan.env,
            settings.gitlab_token,
            asker(plan.env, *plan.secrets),
            git.Commit(**commit),
            coverage=percent,
            url=url,
            ref=job.get("service_branch"),
            name=f"coveralls/{flag}" if flag else "coveralls",
        )
    except GitLabError as error:
        done = str(error)
    except ProcessError as error:
        done = f"GitLab was not told: {error}"
    except KeyboardInterrupt:
        done = "GitLab was perhaps not told: interrupted"
    except Exception as error:  # noqa: BLE001  see above
        done = f"GitLab was not told: internal fault: {one_line(error)}"
    return (done,)


def post(
    plan: Plan,
    path: str,
    body: Iterable[bytes],
    voice: Voice,
    *,
    is_repeatable: bool,
) -> Answer:
    """Post ``body`` to ``path`` of the host, as a job where it is the jobs' path.

    Args:
        plan: says where to and how patiently.
        path: of the server's interface.
        body: in pieces.
        voice: tells of failed attempts.
        is_repeatable: whether it does no harm if it arrives twice.

    Raises:
        ProcessError: the sending process did not start or ended without a word.
    """
    settings = plan.settings
    call = Call(
        method="POST",
        url=settings.host + path,
        form="json_file" if path.endswith("/jobs") else "json",
        compress=settings.compress,
    )
    policy = _policy(plan, is_repeatable=is_repeatable)
    return sender.send(call, body, policy, env=plan.env, say=voice.say, secrets=plan.secrets)


def _policy(plan: Plan, *, is_repeatable: bool) -> Policy:
    settings = plan.settings
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
    attempts = "1 attempt" if answer.attempts == 1 else f"{answer.attempts} attempts"
    return f"{answer.size:,} bytes sent in {answer.seconds:.2f} s, {attempts}"
