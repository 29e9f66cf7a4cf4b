"""``finish`` closes a parallel build once all its jobs are in."""

from __future__ import annotations

import argparse
import json

from ..delivery import diagnosis
from ..errors import SettingsError
from ..plan import Plan, why_no_token
from ..upload import post
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
    for notice in plan.notices:
        console.say(notice)
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
    answer = post(plan, "/webhook", [body], console.say, is_repeatable=True)
    verdict = diagnosis.judge(answer, diagnosis.WEBHOOK_ROWS, plan.facts)
    # An attempt whose answer was lost may have closed it: then the next one finds it closed.
    if verdict.accepted or (answer.ambiguous and "closed" in verdict.message):
        console.say(f"closed build {number} on {plan.settings.host}")
        return ACCEPTED
    for line in (f"failed: build {number} was not closed: {verdict.reason}", *verdict.advice):
        console.say(line)
    return REFUSED


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
