"""``send`` sends jobs that were kept or saved, and removes each file once its job is accepted."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from ..identity.token import GITHUB_ACTIONS, GITHUB_SERVICE
from ..job import other_tools
from ..job.document import Document, pieces
from ..outcome import Built, Outcome
from ..plan import Plan, why_no_token
from ..submit import deliver
from .console import ACCEPTED, REFUSED, Console

HELP = "send a job from a file, and remove it once accepted"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes beside settings."""
    parser.add_argument("file", type=Path, help='file with a job, "-" for standard input')


def run(console: Console) -> int:
    """Send the job; return the exit status.

    Raises:
        JobError: the file holds no job.
    """
    path: Path = console.options.file
    job = _completed(other_tools.load(path), console.plan)
    outcome = _outcome(console, job, path)
    console.tell(outcome)
    return ACCEPTED if isinstance(outcome, Built) else REFUSED


def _outcome(console: Console, job: Document, path: Path) -> Outcome:
    plan = console.plan
    if plan.settings.dry_run:
        return Built(files=job.totals, percent=job.percent, notices=plan.notices)
    if plan.token is None:
        return replace(why_no_token(plan), notices=plan.notices)
    kept = None if str(path) == "-" else path.absolute()
    return deliver(plan, job, pieces(job), job.percent, kept, console.say)


def _completed(job: Document, plan: Plan) -> Document:
    """Return a job that can be sent: with an identity, and with the service that fits the token.

    Another tool's file may hold source files alone; then the job is that of this checkout. Flags
    win over what the file says; variables, which may be another job's, do not.
    """
    here = plan.identity.as_json()
    if not job.identity:
        return replace(job, identity=here)
    flags = {name for name, origin in plan.settings.origins.items() if origin.kind == "flag"}
    identity = {**job.identity, **{name: here[name] for name in flags & here.keys()}}
    if identity.get("service_name") in {GITHUB_ACTIONS, GITHUB_SERVICE} and plan.token:
        is_github = plan.token.is_github
        identity["service_name"] = GITHUB_SERVICE if is_github else GITHUB_ACTIONS
        repo_name = plan.settings.repo_name or plan.build.repo_name
        if is_github and repo_name:
            identity.setdefault("repo_name", repo_name)
    return replace(job, identity=identity)
