"""``send``: send jobs from files, and remove each file once its job is accepted."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ..commands import ACCEPTED, INTERRUPTED, REFUSED, USAGE, Console, exit_status
from ..context import startup_warnings
from ..errors import JobError
from ..job.document import Job, load_job, tested_commit, total_percent
from ..job.outbox import jobs_in
from ..outcome import Findings
from ..settings.token import GITHUB_ACTIONS, GITHUB_SERVICE
from ..submit import submit
from ..text import commit_id

HELP = "send jobs from files and folders, and remove each file once its job is accepted"
FROM_FILE = ("flag_name", "parallel", "run_at", "service_job_id", "service_job_number")
"""Fields taken from a file that may come from a fork; the others come from the event."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the files."""
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
    for warning in startup_warnings(console.context):
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
        job = _identified(job, path, console)
    except JobError as error:
        console.say(str(error), sys.stderr)
        return status
    kept = None if str(path) == "-" else path.absolute()
    findings = Findings(percent=total_percent(job))
    outcome = submit(job, findings, console.context, say=console.say, kept=kept)
    console.report(outcome, is_trusted=False)
    return exit_status(outcome, console.context)


def _identified(job: Job, path: Path, console: Console) -> Job:
    """Return the job with all fields that say who built what.

    The file of another tool may hold source files alone; then the job is of this checkout. Flags
    win over the file; variables, perhaps of another job, do not.

    Raises:
        JobError: the file is not of the commit that a trusted event names.
    """
    context = console.context
    here = {**context.identity, "source_files": job["source_files"]}
    if context.build.is_workflow_run:
        return _of_the_event(job, path, console, here)
    if job.keys() == {"source_files"}:
        return here
    identity = {**job, **{name: here[name] for name in _flags(console) & here.keys()}}
    if identity.get("service_name") in {GITHUB_ACTIONS, GITHUB_SERVICE} and context.token:
        is_github = context.token.is_github
        identity["service_name"] = GITHUB_SERVICE if is_github else GITHUB_ACTIONS
        repo_name = context.settings.repo_name or context.build.repo_name
        if is_github and repo_name:
            identity.setdefault("repo_name", repo_name)
    return identity


def _of_the_event(job: Job, path: Path, console: Console, here: dict[str, Any]) -> dict[str, Any]:
    """Return the fields by GitHub's ``workflow_run`` event, not by the file.

    The file comes from a run that may be a fork's: it could name another commit, or ``main``.
    """
    settings, build = console.context.settings, console.context.build
    commit = settings.commit_sha or build.commit_sha
    if commit is None:
        raise JobError(
            f"{path} is not sent: the event of this workflow_run names no commit to compare it with"
        )
    if job.keys() == {"source_files"}:
        return here
    of_file = commit_id(tested_commit(job))
    if of_file != commit:
        source = settings.origins.get("commit_sha", "the run that started this workflow")
        raise JobError(
            f"{path} is not sent: it is of commit {of_file or 'unknown'}, but {source} is of "
            f"{commit}"
        )
    for name in set(FROM_FILE) - _flags(console):
        here.pop(name, None)
        if name in job:
            here[name] = job[name]
    return here


def _flags(console: Console) -> set[str]:
    origins = console.context.settings.origins
    return {name for name, origin in origins.items() if origin.kind == "flag"}
