"""The token of a job, and the hosts it may be sent to."""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..secret import Secret
from .table import COVERALLS, TOKEN, Settings

GITHUB_VARIABLE = "GITHUB_TOKEN"
# https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/
GITHUB_PREFIX = re.compile(r"gh[a-z]_|github_pat_")
GITHUB_ACTIONS = "github-actions"
# With this service name Coveralls takes the token for GitHub's (lemurheavy/coveralls-public#1515).
GITHUB_SERVICE = "github"


@dataclass(frozen=True, slots=True)
class Token:
    """Hold the token of a job and its source."""

    secret: Secret
    origin: str
    is_github: bool
    github_prefix: str = ""


def choose_token(
    settings: Settings, service_name: str | None, env: Mapping[str, str]
) -> tuple[Token | None, str | None]:
    """Return the token for the host, or the reason to withhold it."""
    of_github = env.get(GITHUB_VARIABLE, "").strip()
    secret, origin = settings.repo_token, str(settings.origins.get("repo_token", GITHUB_VARIABLE))
    if secret is None and service_name == GITHUB_ACTIONS:
        with contextlib.suppress(ValueError):
            secret = TOKEN.parse(of_github)
    if secret is None:
        return None, None
    prefix = GITHUB_PREFIX.match(secret.reveal())
    is_github = prefix is not None or secret.reveal() == of_github
    if is_github and (withheld := why_github_token_stays(settings, env, origin)):
        return None, withheld
    return Token(secret, origin, is_github, prefix[0] if prefix else ""), None


def why_github_token_stays(
    settings: Settings, env: Mapping[str, str], origin: str = GITHUB_VARIABLE
) -> str | None:
    """Explain why the host may not get a GitHub token."""
    # It may open far more than Coveralls, and a pull request can change the host in a file.
    host = settings.origins.get("host")
    if settings.host != COVERALLS and (host is None or host.kind in {"ini", "yml"}):
        return (
            f"the token from {origin} is not sent to {settings.host}, a host set in a file; "
            "set COVERALLS_HOST, or COVERALLS_REPO_TOKEN to a Coveralls token"
        )
    server = env.get("GITHUB_SERVER_URL", "").strip().rstrip("/").lower()
    is_of_coveralls = origin != GITHUB_VARIABLE or settings.host != COVERALLS
    if is_of_coveralls or server in {"", "https://github.com"}:
        return None
    return f"GITHUB_TOKEN belongs to {server} and is not valid elsewhere; set COVERALLS_REPO_TOKEN"
