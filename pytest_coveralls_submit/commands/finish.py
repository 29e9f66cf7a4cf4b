"""``finish`` closes a parallel build once all its jobs are in."""

from __future__ import annotations

import argparse
import json

from ..context import Plan
from ..delivery import answers
from ..errors import ProcessError, SettingsError
from ..hints import warnings, why_no_token
from ..outcome import Failed
from ..output.lines import build_line, linked
from ..upload import post, result
from .console import ACCEPTED, REFUSED, Console

HELP = "close a parallel build once all jobs are in"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: all that it takes are settings."""


def run(console: Console) -> int:
    """Close the build; return the exit status.

    Raises:
        SettingsError: no build number is known.
    """
    plan = console.plan
    number = plan.identity.service_number
    for warning in warnings(plan):
        console.say(warning)
    if number is None:
        raise SettingsError(
            "there is no build number: set --coveralls-service-number to the number that the "
            "header of the test runs shows"
        )
    if plan.token is None:
        console.say(f"not closed: {why_no_token(plan).full_reason}")
        return REFUSED
    if plan.settings.dry_run:
        console.say(f"would close build {number} on {plan.settings.host}; this is a dry run")
        return ACCEPTED
    body = json.dumps(_webhook(plan, number)).encode()
    try:
        answer = post(plan, "/webhook", [body], console, is_repeatable=True)
    except ProcessError as error:
        console.tell(Failed(reason=f"build {number} was not closed: {error}"))
        return REFUSED
    verdict = answers.judge_webhook(answer, plan.facts)
    # An attempt whose answer was lost may have closed it: then the next one finds it closed.
    if verdict.accepted or (answer.ambiguous and "closed" in verdict.message):
        _closed(console, number, verdict)
        return ACCEPTED
    outcome = Failed(
        reason=f"build {number} was not closed: {verdict.reason}", advice=verdict.advice
    )
    console.tell(outcome)
    return REFUSED


def _closed(console: Console, number: str, verdict: answers.Verdict) -> None:
    plan, jobs = console.plan, verdict.jobs
    counted = "" if jobs is None else ", 1 job" if jobs == 1 else f", {jobs} jobs"
    console.say(linked(f"closed build {number} on {plan.settings.host}{counted}", verdict.url))
    if jobs == 0:
        console.say(
            "the build has no jobs: they were not sent, are still on their way, or have another "
            f"service number than {number}"
        )
    build = result(plan, verdict.url, console, plan.identity.commit_sha)
    if build is not None:
        console.say(linked(build_line(build), build.url))


def _webhook(plan: Plan, number: str) -> dict[str, object]:
    """Return what closes a build: https://docs.coveralls.io/parallel-builds."""
    assert plan.token is not None
    fields = {
        "repo_token": plan.token.secret.reveal(),
        "repo_name": plan.identity.repo_name,
        "carryforward": plan.settings.carryforward,
        "payload": {"build_num": number, "status": "done"},
    }
    return {name: value for name, value in fields.items() if value}
