"""``send`` sends jobs that were kept or saved, and removes each file once its job is accepted."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..context import Plan
from ..errors import JobError
from ..hints import warnings, why_no_token
from ..identity.token import GITHUB_ACTIONS, GITHUB_SERVICE
from ..job.document import (
    Job,
    file_totals,
    is_anonymous,
    load_job,
    tested_commit,
    to_json,
    total_percent,
    with_identity,
)
from ..job.outbox import jobs_in
from ..outcome import Built, Outcome
from ..text import commit_id
from ..upload import upload
from .console import ACCEPTED, INTERRUPTED, REFUSED, USAGE, Console, status_of

HELP = "send jobs from files and folders, and remove each file once its job is accepted"
# Of a file that a pull request may have written, only this is taken; who built what, the event
# says.
OF_THE_FILE = ("flag_name", "parallel", "run_at", "service_job_id", "service_job_number")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes beside settings."""
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="+",
        type=Path,
        help='file with a job, folder of kept jobs, or "-" for standard input',
    )


def run(console: Console) -> int:
    """Send the jobs, the oldest of a folder first; return the exit status."""
    named: list[Path] = console.options.files
    paths = [job for path in named for job in ([path] if str(path) == "-" else jobs_in(path))]
    for warning in warnings(console.plan):
        console.say(warning)
    if not paths:
        places = ", ".join(map(str, named))
        console.say(f"there is no job to send: no job*.json in {places} or one level down")
    status = ACCEPTED
    for path in paths:
        status = max(status, _send(console, path))
        if status == INTERRUPTED:
            break
    return status


def _send(console: Console, path: Path) -> int:
    status = USAGE
    try:
        job = load_job(path)
        status = REFUSED
        job = _identified(job, path, console.plan)
    except JobError as error:
        console.complain(str(error))
        return status
    outcome = _outcome(console, job, path)
    console.tell(outcome, is_trusted=False)
    return status_of(outcome)


def _outcome(console: Console, job: Job, path: Path) -> Outcome:
    plan = console.plan
    if plan.settings.dry_run:
        return Built(files=file_totals(job), percent=total_percent(job))
    if plan.token is None:
        return why_no_token(plan)
    kept = None if str(path) == "-" else path.absolute()
    return upload(plan, job, to_json(job), total_percent(job), kept, console)


def _identified(job: Job, path: Path, plan: Plan) -> Job:
    """Return a job that can be sent: it says who built what, and with a service fit for the token.

    Another tool's file may hold source files alone; then the job is that of this checkout. Flags
    win over what the file says; variables, which may be another job's, do not.

    Raises:
        JobError: the file is not of the commit that a trusted event names.
    """
    here = plan.identity.as_json()
    if plan.build.is_workflow_run:
        return with_identity(job, _of_the_event(job, path, plan))
    if is_anonymous(job):
        return with_identity(job, here)
    identity = {**job, **{name: here[name] for name in _typed(plan) & here.keys()}}
    if identity.get("service_name") in {GITHUB_ACTIONS, GITHUB_SERVICE} and plan.token:
        is_github = plan.token.is_github
        identity["service_name"] = GITHUB_SERVICE if is_github else GITHUB_ACTIONS
        repo_name = plan.settings.repo_name or plan.build.repo_name
        if is_github and repo_name:
            identity.setdefault("repo_name", repo_name)
    return with_identity(job, identity)


def _of_the_event(job: Job, path: Path, plan: Plan) -> dict[str, Any]:
    """Return who built what by GitHub's ``workflow_run`` event, never by the file.

    The file comes from a run that may be a fork's: it could name another commit, or ``main``.
    """
    here = plan.identity.as_json()
    commit = plan.settings.commit_sha or plan.build.commit_sha
    if commit is None:
        raise JobError(
            f"{path} is not sent: the event of this workflow_run names no commit, so that it "
            "cannot be told whose coverage this is"
        )
    if is_anonymous(job):
        return here
    of_file = commit_id(tested_commit(job))
    if of_file != commit:
        who = plan.settings.origins.get("commit_sha", "the run that started this workflow")
        raise JobError(
            f"{path} is not sent: it is of commit {of_file or 'unknown'}, and {who} of {commit}"
        )
    for name in set(OF_THE_FILE) - _typed(plan):
        here.pop(name, None)
        if name in job:
            here[name] = job[name]  # type: ignore[literal-required]
    return here


def _typed(plan: Plan) -> set[str]:
    return {name for name, origin in plan.settings.origins.items() if origin.kind == "flag"}
