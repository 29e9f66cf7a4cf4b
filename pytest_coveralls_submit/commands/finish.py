"""``finish``: close a parallel build once all its jobs have arrived."""

import json

from ..commands import ACCEPTED, REFUSED, Console
from ..context import RunContext, startup_warnings, why_no_token
from ..delivery import answers, sender
from ..delivery.sender import Call
from ..errors import ProcessError, SettingsError
from ..outcome import Failed
from ..output import build_line, with_link
from ..settings.token import Token
from ..submit import build_result, send_policy
from ..text import count_of

HELP = "close a parallel build once all jobs are in"
ARGUMENTS: dict[str, dict[str, object]] = {}


def run(console: Console) -> int:
    """Close the build; return the exit status, or raise SettingsError."""
    context = console.context
    settings, identity, token = context.settings, context.identity, context.token
    for warning in startup_warnings(context):
        console.say(warning)
    number = identity.get("service_number")
    if number is None:
        raise SettingsError(
            "there is no build number: set --coveralls-service-number to the number in the header "
            "of the test runs"
        )
    if token is None:
        console.say(f"not closed: {why_no_token(context).full_reason}")
        return REFUSED if settings.strict else ACCEPTED
    if settings.dry_run:
        console.say(f"would close build {number} on {settings.host}; this is a dry run")
        return ACCEPTED
    try:
        answer = sender.send(
            Call(method="POST", url=f"{settings.host}/webhook", form="json"),
            [_webhook(context, number, token).encode()],
            send_policy(settings, is_repeatable=True),
            env=context.env,
            say=console.say,
            secrets=context.secrets,
        )
    except ProcessError as error:
        console.report(Failed(reason=f"build {number} was not closed: {error}"))
        return REFUSED
    verdict = answers.judge_webhook(answer, context.facts(identity))
    # An attempt whose answer was lost may have closed it; the next one then finds it closed.
    if verdict.accepted or (answer.ambiguous and "closed" in verdict.message):
        _say_closed(console, number, verdict)
        return ACCEPTED
    reason = f"build {number} was not closed: {verdict.reason}"
    console.report(Failed(reason=reason, advice=verdict.advice))
    return REFUSED


def _webhook(context: RunContext, number: str, token: Token) -> str:
    """Return the body that closes a build.

    https://docs.coveralls.io/parallel-builds; the CI fields and ``git`` let Coveralls make a build
    of carried-forward flags alone (coverallsapp/coverage-reporter#94).
    """
    of_a_job = {"parallel", "flag_name", "run_at"}
    fields = {name: value for name, value in context.identity.items() if name not in of_a_job}
    fields["payload"] = {"build_num": number, "status": "done"}
    fields["repo_token"] = token.secret.reveal()
    if context.settings.carryforward:
        fields["carryforward"] = context.settings.carryforward
    return json.dumps(fields)


def _say_closed(console: Console, number: str, verdict: answers.Verdict) -> None:
    context, jobs = console.context, verdict.jobs
    counted = "" if jobs is None else f", {count_of(jobs, 'job')}"
    console.say(
        with_link(f"closed build {number} on {context.settings.host}{counted}", verdict.url)
    )
    if jobs == 0:
        console.say(
            "the build has no jobs: they were not sent, are still on their way, or have another "
            f"service number than {number}"
        )
    if result := build_result(context, verdict.url, context.identity.get("commit_sha")):
        console.say(with_link(build_line(result), result.url))
