"""The story: what is known before the tests becomes a plan, what was measured becomes a job.

The job is kept, sent and judged; how, is left to the other modules.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from .delivery import diagnosis, sender
from .delivery.messages import Answer, Call, Policy, Progress
from .errors import GitLabError, JobError, MeasurementError, ProcessError
from .identity import git, gitlab
from .job import document, names, outbox
from .job import files as source_files
from .job import other_tools as saved
from .job.files import Reading
from .measurement.records import Measurement
from .outcome import Built, Failed, FileTotal, Interrupted, NotSent, Outcome, Sent
from .plan import Plan, asker, can_send, finish_command, why_no_token

NAMED = 5
"""How many of the files that were left out are named."""


def submit(
    plan: Plan,
    measure: Callable[[], Measurement],
    cache: Callable[[], Path | None],
    say: Callable[[str], None],
    edit: Callable[[dict[str, Any]], None] | None = None,
    narrowed: str | None = None,
) -> Outcome:
    """Build the job, keep it on disk, send it, and say what became of it.

    Args:
        plan: of session start.
        measure: gives the measurement or raises MeasurementError with the reason for none.
        cache: gives the directory that jobs are kept in, or None where there is none.
        say: prints a line while the sending goes on.
        edit: lets ``conftest.py`` change the job in place; None where nobody wants to.
        narrowed: what narrowed the run to a part of its tests, to warn of; None for nothing.
    """
    if not can_send(plan.settings, plan.token):
        return NotSent(reason=why_no_token(plan))
    try:
        measured = measure()
    except MeasurementError as error:
        return NotSent(reason=str(error))
    if not measured.files and not measured.failed and not plan.settings.allow_empty:
        return NotSent(reason="no data was collected")
    reading = _read(plan, measured)
    notices = (*_left_out(reading, measured), *reading.notices)
    if narrowed:
        notices = (f"not all tests ran, because of {narrowed}: coverage may look lower", *notices)
    try:
        built, troubles = _build(plan, reading, edit)
    except JobError as error:
        return Failed(reason=str(error), notices=notices)
    notices = (*notices, *troubles)
    if not built["source_files"] and not plan.settings.allow_empty:
        return NotSent(reason="no files of the repository were measured", notices=notices)
    return _settle(plan, built, measured.percent, cache, say, notices)


def _read(plan: Plan, measured: Measurement) -> Reading:
    settings = plan.settings
    tracked = git.tracked(plan.top, plan.env) if plan.git.top else None
    naming = names.Names(plan.top, tracked, base_dir=settings.base_dir, src_dir=settings.src_dir)
    reading = source_files.read(measured.files, naming.of, include_source=settings.include_source)
    untracked = (
        []
        if tracked is None
        else [file.name for file in reading.files if not naming.is_tracked(file.name)]
    )
    if untracked:
        reading.notices.append(
            f"{_count(untracked)} not in git, so that Coveralls cannot show them: "
            + _some(untracked)
        )
    return reading


def _left_out(reading: Reading, measured: Measurement) -> tuple[str, ...]:
    failed = {**measured.failed, **reading.unreadable}
    found = []
    if reading.outside:
        found.append(f"left out {_count(reading.outside)} outside the repository")
    if failed:
        found.append(f"left out {_count(failed)} that cannot be read or parsed: {_some(failed)}")
    return tuple(found)


def _count(things: Any) -> str:
    return f"{len(things)} file" + "s" * (len(things) != 1)


def _some(names: Iterable[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:NAMED]) + (", ..." if len(listed) > NAMED else "")


def _build(
    plan: Plan, reading: Reading, edit: Callable[[dict[str, Any]], None] | None
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the checked job, and what a hook did wrong."""
    files = [file.as_dict() for file in reading.files]
    for path in plan.settings.merge:
        files = saved.merge(files, path)
    built = {**plan.head, "source_files": files}
    document.check(built)
    if edit is None:
        return built, ()
    try:
        edited = document.copy(built)
        edit(edited)
        document.check(edited)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  a conftest.py may also fail, skip or exit
        kind = "" if isinstance(error, JobError) else f"{type(error).__name__}: "
        return built, (f"the hook pytest_coveralls_job is not heeded: {kind}{error}",)
    return edited, ()


def _settle(
    plan: Plan,
    built: dict[str, Any],
    percent: float,
    cache: Callable[[], Path | None],
    say: Callable[[str], None],
    notices: tuple[str, ...],
) -> Outcome:
    settings = plan.settings
    if settings.save is not None:
        try:
            outbox.write(document.pieces(built), settings.save)
        except OSError as error:
            trouble = f"{settings.save} cannot be written: {error}"
            if settings.dry_run or plan.token is None:
                return Failed(reason=trouble, notices=notices)
            notices = (*notices, trouble)
            plan = replace(plan, settings=settings.without("save"))
    if settings.dry_run:
        totals = file_totals(built)
        return Built(files=totals, percent=percent, saved=settings.save, notices=notices)
    if plan.token is None:
        return NotSent(reason=why_no_token(plan), saved=settings.save, notices=notices)
    folders = [folder for folder in (cache(), plan.temporary) if folder is not None]
    kept = outbox.keep(lambda: document.pieces(built), folders, _stem(built))
    if kept is None:
        notices = (*notices, "the job could not be kept on disk: no directory takes it")
    outcome = deliver(plan, built, percent, kept, say)
    return replace(outcome, notices=(*notices, *outcome.notices))


def _stem(built: dict[str, Any]) -> str:
    number = built.get("service_number") or built.get("commit_sha", "")[:7] or "local"
    safe = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in number)
    return f"job-{safe[:80]}"


def deliver(
    plan: Plan,
    built: dict[str, Any],
    percent: float,
    kept: Path | None,
    say: Callable[[str], None],
) -> Sent | Failed:
    """Send a job that was built and kept, and remove what was kept once it is accepted."""
    assert plan.token is not None
    try:
        body = document.with_token(document.pieces(built), plan.token.secret)
        # Without a number each job that arrives is a build of its own.
        answer = post(plan, "/api/v1/jobs", body, say, is_repeatable="service_number" in built)
        verdict = diagnosis.judge(answer, diagnosis.JOB_ROWS, plan.facts)
        if verdict.accepted:
            return _accepted(plan, built, percent, kept, verdict, answer)
    except KeyboardInterrupt:
        return Interrupted(reason="interrupted while sending", kept=kept, saved=plan.settings.save)
    except (ProcessError, OSError) as error:
        return Failed(reason=str(error), kept=kept, saved=plan.settings.save)
    except Exception as error:  # noqa: BLE001  a fault of ours must not hide where the job is
        return replace(fault(error), kept=kept, saved=plan.settings.save)
    return Failed(
        reason=verdict.reason,
        advice=verdict.advice,
        kept=kept,
        saved=plan.settings.save,
        details=(_measure(answer),),
    )


def fault(error: BaseException) -> Failed:
    """Return the outcome of an error that nobody expected."""
    return Failed(
        reason=f"internal fault: {type(error).__name__}: {error}",
        traceback="".join(traceback.format_exception(error)),
    )


def _accepted(
    plan: Plan,
    built: dict[str, Any],
    percent: float,
    kept: Path | None,
    verdict: diagnosis.Verdict,
    answer: Answer,
) -> Sent:
    if kept is not None:
        kept.unlink(missing_ok=True)
    return Sent(
        files=file_totals(built),
        percent=percent,
        url=verdict.url,
        message=verdict.message,
        saved=plan.settings.save,
        finish=finish_command(plan, built) if built.get("parallel") else None,
        details=(_measure(answer),),
        notices=_tell_gitlab(plan, built, percent, verdict.url),
    )


def _tell_gitlab(
    plan: Plan, built: dict[str, Any], percent: float, url: str | None
) -> tuple[str, ...]:
    """Give the commit a status on GitLab, where the user wants that; say what became of it."""
    settings = plan.settings
    if not settings.gitlab_status:
        return ()
    if settings.gitlab_token is None:
        return ("gitlab_status needs a token with the scope api in COVERALLS_GITLAB_TOKEN",)
    commit = built.get("git", {}).get("head", {})
    if "id" not in commit:
        return ("GitLab was not told: the commit is not known",)
    flag = built.get("flag_name")
    try:
        done = gitlab.announce(
            plan.env,
            settings.gitlab_token,
            asker(plan.env, *plan.secrets),
            git.Commit(**commit),
            coverage=percent,
            url=url,
            ref=built.get("service_branch"),
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
    return sender.send(call, body, policy, plan.env, _progress(say), plan.secrets)


def _progress(say: Callable[[str], None]) -> Callable[[Progress], None]:
    def tell(progress: Progress) -> None:
        say(
            f"attempt {progress.attempt} of {progress.of}: {progress.problem}; "
            f"again in {progress.wait:.1f} s"
        )

    return tell


def _measure(answer: Answer) -> str:
    attempts = "1 attempt" if answer.attempts == 1 else f"{answer.attempts} attempts"
    return f"{answer.size:,} bytes sent in {answer.seconds:.2f} s, {attempts}"


def file_totals(built: dict[str, Any]) -> tuple[FileTotal, ...]:
    """Return how much of each source file of a job is covered."""
    totals = []
    for file in built["source_files"]:
        hits = [line for line in file["coverage"] if line is not None] + file.get("branches", [])[
            3::4
        ]
        totals.append(FileTotal(file["name"], sum(map(bool, hits)), len(hits)))
    return tuple(totals)
