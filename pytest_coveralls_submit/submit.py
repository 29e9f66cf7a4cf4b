"""The story of a submission: what was measured becomes a job, is kept, sent and judged.

How each of these is done is left to the rooms; what is printed of it, to ``output``.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from .delivery import diagnosis, sender
from .delivery.messages import Answer, Call, Policy, Progress
from .errors import GitLabError, JobError, MeasurementError, ProcessError
from .identity import git, gitlab
from .job import document, files, names, other_tools, outbox
from .measurement.records import Measurement
from .outcome import Built, Failed, FileTotal, Interrupted, NotSent, Outcome, Sent
from .plan import Plan, asker, finish_command, why_no_token
from .values import one_line

NAMED = 5
"""How many of the files that were left out are named."""


class Edit(Protocol):
    """Changes a job in place."""

    def __call__(self, *, job: dict[str, Any]) -> object:
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
    if untracked:
        reading.notices.append(
            f"{_count(untracked)} not in git, so that Coveralls cannot show them: "
            + _some(untracked)
        )
    return reading


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
    if not job["source_files"] and not settings.allow_empty:
        reason = "no files of the repository were measured"
        return NotSent(reason=reason, notices=troubles)
    trouble = _save(job, settings.save)
    if trouble and (settings.dry_run or plan.token is None):
        return Failed(reason=trouble, notices=troubles)
    troubles = (*troubles, *([trouble] if trouble else []))
    outcome = _send(plan, run, job, percent)
    saved = None if trouble else settings.save
    return replace(outcome, saved=saved, notices=(*troubles, *outcome.notices))


def _job(
    plan: Plan, reading: files.Reading, edit: Edit | None
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the checked job, and what a hook did wrong."""
    entries = [file.as_dict() for file in reading.files]
    for path in plan.settings.merge:
        entries = other_tools.merge(entries, path)
    job = {**plan.identity.as_json(), "source_files": entries}
    document.check(job)
    if edit is None:
        return job, ()
    try:
        edited = document.copy(job)
        edit(job=edited)
        document.check(edited)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  a conftest.py may also fail, skip or exit
        why = str(error) if isinstance(error, JobError) else one_line(error)
        return job, (f"the hook pytest_coveralls_job is not heeded: {why}",)
    return edited, ()


def _save(job: dict[str, Any], path: Path | None) -> str:
    """Write the job where the user wants it; return what went wrong."""
    try:
        if path is not None:
            outbox.write(document.pieces(job), path)
    except OSError as error:
        return f"{path} cannot be written: {error}"
    return ""


def _send(plan: Plan, run: Run, job: dict[str, Any], percent: float) -> Outcome:
    if plan.settings.dry_run:
        return Built(files=file_totals(job), percent=percent)
    if plan.token is None:
        return why_no_token(plan)
    folders = [folder for folder in (run.folder(), plan.temporary) if folder is not None]
    kept = outbox.keep(lambda: document.pieces(job), folders, _stem(job))
    outcome = deliver(plan, job, percent, kept, run.say)
    if kept is None:
        notice = "the job could not be kept on disk: no directory takes it"
        return replace(outcome, notices=(notice, *outcome.notices))
    return outcome


def _stem(job: dict[str, Any]) -> str:
    number = job.get("service_number") or job.get("commit_sha", "")[:7] or "local"
    safe = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in number)
    return f"job-{safe[:80]}"


def deliver(
    plan: Plan, job: dict[str, Any], percent: float, kept: Path | None, say: Callable[[str], None]
) -> Sent | Failed:
    """Send a job that was built and kept, and remove what was kept once it is accepted."""
    assert plan.token is not None
    try:
        body = document.with_token(document.pieces(job), plan.token.secret)
        # Without a number each job that arrives is a build of its own.
        answer = post(plan, "/api/v1/jobs", body, say, is_repeatable="service_number" in job)
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
    job: dict[str, Any],
    percent: float,
    kept: Path | None,
    verdict: diagnosis.Verdict,
    answer: Answer,
) -> Sent:
    if kept is not None:
        kept.unlink(missing_ok=True)
    number = job.get("service_number")
    return Sent(
        files=file_totals(job),
        percent=percent,
        url=verdict.url,
        message=verdict.message,
        finish=(
            finish_command(number, plan.settings.host) if number and job.get("parallel") else None
        ),
        details=(_effort(answer),),
        notices=_tell_gitlab(plan, job, percent, verdict.url),
    )


def _tell_gitlab(
    plan: Plan, job: dict[str, Any], percent: float, url: str | None
) -> tuple[str, ...]:
    """Give the commit a status on GitLab, where the user wants that; say what became of it."""
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


def file_totals(job: dict[str, Any]) -> tuple[FileTotal, ...]:
    """Return how much of each source file of a job is covered."""
    totals = []
    for file in job["source_files"]:
        lines = [line for line in file["coverage"] if line is not None]
        hits = lines + file.get("branches", [])[3::4]
        covered_lines, covered = sum(map(bool, lines)), sum(map(bool, hits))
        totals.append(FileTotal(file["name"], covered, len(hits), covered_lines, len(lines)))
    return tuple(totals)
