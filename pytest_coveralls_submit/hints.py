"""What is wrong before the first test and what to do about it, from the plan alone.

What a refusal means is left to ``delivery/answers``.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from .ci.detect import Build
from .context import Plan
from .delivery.answers import token_mismatch
from .identity.token import GITHUB_ACTIONS, why_withheld
from .outcome import NotSent
from .settings.table import COVERALLS


def finish_command(number: str, host: str) -> str:
    """Return the command that closes the build with that number."""
    words = ["python", "-m", "pytest_coveralls_submit", "finish"]
    words.append(f"--coveralls-service-number={number}")
    if host != COVERALLS:
        words.append(f"--coveralls-host={host}")
    return shlex.join(words)


def hidden_by_tox(plan: Plan) -> str | None:
    """Return the remedy where tox seems to keep the CI service's variables from us."""
    is_seen = plan.build.service_name or plan.build.service_number
    if is_seen or not plan.env.get("TOX_ENV_NAME"):
        return None
    return (
        "tox hides the variables of a CI service; let them through in tox.ini: "
        "pass_env = CI, CI_*, GITHUB_*, GITLAB_*, COVERALLS_*"
    )


def warnings(plan: Plan) -> Iterator[str]:
    """Yield what is worth knowing whatever is done, a line each."""
    yield from plan.notices
    if plan.settings.skip_ssl_verify:
        yield f"TLS is not verified for {plan.settings.host}: anybody in between can read the token"


def problems(plan: Plan) -> Iterator[str]:
    """Yield what is wrong before the first test, a line each."""
    yield from warnings(plan)
    # Of a fork's there is nothing to do about that.
    if plan.token is None and not plan.settings.dry_run and not _may_lack_secrets(plan.build):
        yield why_no_token(plan).full_reason
    elif (hidden := hidden_by_tox(plan)) is not None:
        yield hidden
    if (mismatch := token_mismatch(plan.facts)) is not None:
        yield mismatch
    if plan.settings.parallel and plan.identity.service_number is None:
        yield "parallel, but no build number is known to close it by: set service_number"


def why_no_token(plan: Plan) -> NotSent:
    """Return what becomes of a run without a token: why there is none, and what to do."""
    return NotSent(reason="no token", remedy=_token_remedy(plan))


def _may_lack_secrets(build: Build) -> bool:
    """Tell whether the run may be a fork's; one that follows it has the secrets."""
    return build.service_pull_request is not None and not build.is_workflow_run


def _token_remedy(plan: Plan) -> str:
    build = plan.build
    on_github = build.service_name == GITHUB_ACTIONS
    hidden = hidden_by_tox(plan)
    if hidden is not None:
        return hidden
    withheld = why_withheld(plan.settings, build, plan.env)
    if withheld is not None:
        return withheld
    if _may_lack_secrets(build):
        hint = "; GITHUB_TOKEN: ${{ github.token }} would do" if on_github else ""
        return f"pull requests from forks and Dependabot get no secrets{hint}"
    also = " or GITHUB_TOKEN: ${{ github.token }}" if on_github else ""
    return f"set COVERALLS_REPO_TOKEN (from the repository's page on Coveralls){also}"
