"""The story of a submission: what was measured becomes a job, is kept, sent and judged.

How each of these is done is left to the rooms; what is printed of it, to ``output``.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from .delivery import diagnosis, sender
from .delivery.messages import Answer, Call, Policy, Progress
from .errors import GitLabError, JobError, MeasurementError, ProcessError
from .identity import git, gitlab
from .job import document, files, names, other_tools, outbox
from .job.document import Document
from .measurement.records import Measurement
from .outcome import Built, Failed, Interrupted, NotSent, Outcome, Sent
from .plan import Plan, asker, finish_command, why_no_token
from .values import one_line

NAMED = 5
"""How many of the files that were left out are named."""


class Edit(Protocol):
    """Changes a job in place."""

    def __call__(self, *, job: Any) -> object:
        """Change it; what is raised costs the change, not the job."""


class Run(Protocol):
    """What a submission needs of the run whose coverage it sends."""

    narrowed: str | None
    """What narrowed the run to a part of its tests, to warn of; None for nothing."""

    @property
    def edit(self) -> Edit | None:
        """Lets ``conftest.py`` change the job in place; None where nobody wants to."""

    def measure(self) -> Measurement:
        """Return the measurement; raise MeasurementError with the reason for none."""

    def folder(self) -> Path | None:
        """Return the folder that jobs are kept in, None where there is none."""

    def say(self, text: str) -> None:
        """Print a line while the sending goes on."""


def submit(plan: Plan, run: Run) -> Outcome:
    """Build the job, keep it on disk, send it, and say what became of it."""
    if not plan.leads_to_a_job:
        return why_no_token(plan)
    try:
        measured = run.measure()
    except MeasurementError as error:
        return NotSent(reason=str(error))
    if not measured.files and not measured.failed and not plan.settings.allow_empty:
        return NotSent(reason="no data was collected")
    reading = _read(plan, measured)
    outcome = _submit(plan, run, reading, measured.percent)
    notices = (*_narrowed(run), *_left_out(reading, measured), *reading.notices)
    return replace(outcome, notices=(*notices, *outcome.notices))


def _narrowed(run: Run) -> tuple[str, ...]:
    if run.narrowed is None:
        return ()
    return (f"not all tests ran, because of {run.narrowed}: coverage may look lower",)


def _read(plan: Plan, measured: Measurement) -> files.Reading:
    """Give each measured file its name, and read it."""
    settings = plan.settings
    tracked = git.tracked(plan.top, plan.env) if plan.git.top else None
    naming = names.Names(plan.top, tracked, base_dir=settings.base_dir, src_dir=settings.src_dir)
    reading = files.read(measured.files, naming.of, include_source=settings.include_source)
    untracked = [file.name for file in reading.files if naming.is_tracked(file.name) is False]
    if not untracked:
        return reading
    notice = f"{_count(untracked)} not in git, so that Coveralls cannot show them: "
    return replace(reading, notices=(*reading.notices, notice + _some(untracked)))


def _left_out(reading: files.Reading, measured: Measurement) -> tuple[str, ...]:
    failed = {**measured.failed, **reading.unreadable}
    notices = []
    if reading.outside:
        notices.append(f"left out {_count(reading.outside)} outside the repository")
    if failed:
        notices.append(f"left out {_count(failed)} that cannot be read or parsed: {_some(failed)}")
    return tuple(notices)


def _count(things: Any) -> str:
    return f"{len(things)} file" + "s" * (len(things) != 1)


def _some(names: Iterable[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:NAMED]) + (", ..." if len(listed) > NAMED else "")


def _submit(plan: Plan, run: Run, reading: files.Reading, percent: float) -> Outcome:
    settings = plan.settings
    try:
        job, troubles = _job(plan, reading, run.edit)
    except JobError as error:
        return Failed(reason=str(error))
    if not job.files and not settings.allow_empty:
        reason = "no files of the repository were measured"
        return NotSent(reason=reason, notices=troubles)
    pieces = document.pieces(job)
    trouble = _save(pieces, settings.save)
    if trouble and (settings.dry_run or plan.token is None):
        return Failed(reason=trouble, notices=troubles)
    troubles = (*troubles, *([trouble] if trouble else []))
    outcome = _send(plan, run, job, pieces, percent)
    saved = None if trouble else settings.save
    return replace(outcome, saved=saved, notices=(*troubles, *outcome.notices))


def _job(plan: Plan, reading: files.Reading, edit: Edit | None) -> tuple[Document, tuple[str, ...]]:
    """Return the checked job, and what a hook did wrong."""
    entries = reading.files
    for path in plan.settings.merge:
        entries = other_tools.merge_file(entries, path)
    job = Document(plan.identity.as_json(), entries)
    document.check(job)
    if edit is None:
        return job, ()
    try:
        edited = job.as_job()
        edit(job=edited)
        return document.from_job(edited), ()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  a conftest.py may also fail, skip or exit
        why = str(error) if isinstance(error, JobError) else one_line(error)
        return job, (f"the hook pytest_coveralls_job is not heeded: {why}",)


def _save(pieces: Sequence[bytes], path: Path | None) -> str:
    """Write the job where the user wants it; return what went wrong."""
    try:
        if path is not None:
            outbox.write(pieces, path)
    except OSError as error:
        return f"{path} cannot be written: {error}"
    return ""


def _send(plan: Plan, run: Run, job: Document, pieces: Sequence[bytes], percent: float) -> Outcome:
    if plan.settings.dry_run:
        return Built(files=job.totals, percent=percent)
    if plan.token is None:
        return why_no_token(plan)
    places = (run.folder(), outbox.own_folder(plan.temporary))
    folders = [folder for folder in places if folder is not None]
    kept = outbox.keep(pieces, folders, outbox.stem_of(job.identity))
    outcome = deliver(plan, job, pieces, percent, kept, run.say)
    if kept is None:
        notice = "the job could not be kept on disk: no directory takes it"
        return replace(outcome, notices=(notice, *outcome.notices))
    return outcome


def deliver(
    plan: Plan,
    job: Document,
    pieces: Sequence[bytes],
    percent: float,
    kept: Path | None,
    say: Callable[[str], None],
) -> Sent | Failed:
    """Send a job that was built and kept, and remove what was kept once it is accepted."""
    assert plan.token is not None
    try:
        body = document.with_token(pieces, plan.token.secret)
        # Without a number each job that arrives is a build of its own.
        is_repeatable = "service_number" in job.identity
        answer = post(plan, "/api/v1/jobs", body, say, is_repeatable=is_repeatable)
        verdict = diagnosis.judge(answer, diagnosis.JOB_ROWS, plan.facts)
        if verdict.accepted:
            return _accepted(plan, job, percent, kept, verdict, answer)
    except KeyboardInterrupt:
        return Interrupted(reason="interrupted while sending", kept=kept)
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
    job: Document,
    percent: float,
    kept: Path | None,
    verdict: diagnosis.Verdict,
    answer: Answer,
) -> Sent:
    trouble = None if kept is None else outbox.remove(kept)
    number = job.identity.get("service_number")
    is_open = job.identity.get("parallel")
    return Sent(
        files=job.totals,
        percent=percent,
        url=verdict.url,
        message=verdict.message,
        finish=finish_command(number, plan.settings.host) if number and is_open else None,
        details=(_effort(answer),),
        notices=(*([trouble] if trouble else []), *_tell_gitlab(plan, job, percent, verdict.url)),
    )


def _tell_gitlab(plan: Plan, job: Document, percent: float, url: str | None) -> tuple[str, ...]:
    """Give the commit a status on GitLab, where the user wants that; say what became of it."""
    settings = plan.settings
    if not settings.gitlab_status:
        return ()
    if settings.gitlab_token is None:
        return ("gitlab_status needs a token with the scope api in COVERALLS_GITLAB_TOKEN",)
    commit = job.identity.get("git", {}).get("head", {})
    if "id" not in commit:
        return ("GitLab was not told: the commit is not known",)
    flag = job.identity.get("flag_name")
    try:
        done = gitlab.announce(
            plan.env,
            settings.gitlab_token,
            asker(plan.env, *plan.secrets),
            git.Commit(**commit),
            coverage=percent,
            url=url,
            ref=job.identity.get("service_branch"),
            name=f"coveralls/{flag}" if flag else "coveralls",
        )
    except GitLabError as error:
        return (str(error),)
    except ProcessError as error:
        return (f"GitLab was not told: {error}",)
    return (done,)


def post(
    plan: Plan,
    path: str,
    body: Iterable[bytes],
    say: Callable[[str], None],
    *,
    is_repeatable: bool,
) -> Answer:
    """Post ``body`` to ``path`` of the host, as a job where it is the jobs' path.

    Args:
        plan: says where to and how patiently.
        path: of the server's interface.
        body: in pieces.
        say: prints a line while it goes on.
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
    policy = Policy(
        retries=settings.retries,
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        deadline=settings.deadline,
        retry_ambiguous=is_repeatable,
        ca_bundle=str(settings.ca_bundle) if settings.ca_bundle else None,
        verify=not settings.skip_ssl_verify,
    )
    return sender.send(call, body, policy, plan.env, lambda p: say(_attempt(p)), plan.secrets)


def _attempt(progress: Progress) -> str:
    return (
        f"attempt {progress.attempt} of {progress.of}: {progress.problem}; "
        f"again in {progress.wait:.1f} s"
    )


def _effort(answer: Answer) -> str:
    attempts = "1 attempt" if answer.attempts == 1 else f"{answer.attempts} attempts"
    return f"{answer.size:,} bytes sent in {answer.seconds:.2f} s, {attempts}"
