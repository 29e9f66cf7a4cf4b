"""``send``: send jobs from files, and remove each file once its job is accepted."""

import sys
from pathlib import Path

from ..commands import ACCEPTED, INTERRUPTED, REFUSED, USAGE, Console, exit_status
from ..context import RunContext, startup_warnings
from ..errors import JobError
from ..job.document import Job, load_job, tested_commit, total_percent
from ..job.outbox import jobs_in
from ..outcome import Findings
from ..settings.token import GITHUB_ACTIONS, GITHUB_SERVICE
from ..submit import submit
from ..text import commit_id

HELP = "send jobs from files and folders, and remove each file once its job is accepted"
ARGUMENTS: dict[str, dict[str, object]] = {
    "files": {
        "metavar": "FILE",
        "nargs": "+",
        "type": Path,
        "help": 'file with a job, folder of kept jobs, or "-" for standard input',
    }
}
FROM_FILE = {"flag_name", "parallel", "run_at", "service_job_id", "service_job_number"}
"""Fields taken from a file that may come from a fork; the others come from the event."""


def run(console: Console) -> int:
    """Send the jobs, oldest first; return the exit status."""
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
        job = _identified(job, path, console.context)
    except JobError as error:
        console.say(str(error), sys.stderr)
        return status
    kept = None if str(path) == "-" else path.absolute()
    findings = Findings(percent=total_percent(job))
    outcome = submit(job, findings, console.context, say=console.say, kept=kept)
    console.report(outcome, is_trusted=False)
    return exit_status(outcome, console.context)


def _identified(job: Job, path: Path, context: RunContext) -> Job:
    """Return the job with all fields that say who built what.

    The file of another tool may hold source files alone; then the job is of this checkout. Flags
    win over the file; variables, perhaps of another job, do not.
    """
    here = {**context.identity, "source_files": job["source_files"]}
    if context.build.is_workflow_run:
        _check_commit(job, path, context)
    if job.keys() == {"source_files"}:
        return here
    flags = {name for name, origin in context.settings.origins.items() if origin.kind == "flag"}
    by_flag = {name: here[name] for name in flags & here.keys()}
    if context.build.is_workflow_run:
        of_event = {name: here[name] for name in here.keys() - FROM_FILE}
        return {**of_event, **{name: job[name] for name in FROM_FILE & job.keys()}, **by_flag}
    identity = {**job, **by_flag}
    if identity.get("service_name") in {GITHUB_ACTIONS, GITHUB_SERVICE} and context.token:
        # The job may have been built with a token of the other kind.
        is_github = context.token.is_github
        identity["service_name"] = GITHUB_SERVICE if is_github else GITHUB_ACTIONS
        repo_name = context.settings.repo_name or context.build.repo_name
        if is_github and repo_name:
            identity.setdefault("repo_name", repo_name)
    return identity


def _check_commit(job: Job, path: Path, context: RunContext) -> None:
    """Refuse a file, perhaps a fork's, of another commit."""
    commit = context.settings.commit_sha or context.build.commit_sha
    of_file = commit if job.keys() == {"source_files"} else commit_id(tested_commit(job))
    if commit is None or of_file != commit:
        source = context.settings.origins.get("commit_sha", "the run that started this workflow")
        raise JobError(
            f"{path} is not sent: it is of commit {of_file or 'unknown'}, but {source} is of "
            f"{commit or 'an unknown one'}"
        )
