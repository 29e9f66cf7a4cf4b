"""The token of a job, and the hosts it may be sent to."""

from __future__ import annotations

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

    @property
    def github_prefix(self) -> str:
        """Return a GitHub token's prefix, else an empty text."""
        found = GITHUB_PREFIX.match(self.secret.reveal())
        return found[0] if found else ""


def choose_token(
    settings: Settings, service_name: str | None, env: Mapping[str, str]
) -> tuple[Token | None, str | None]:
    """Return the token for the host, or the reason to withhold it."""
    of_github, token = env.get(GITHUB_VARIABLE, "").strip(), None
    if settings.repo_token is not None:
        text = settings.repo_token.reveal()
        is_github = text == of_github or bool(GITHUB_PREFIX.match(text))
        token = Token(settings.repo_token, str(settings.origins["repo_token"]), is_github)
    elif service_name == GITHUB_ACTIONS:
        with contextlib.suppress(ValueError):
            token = Token(TOKEN.parse(of_github), GITHUB_VARIABLE, is_github=True)
    if token is None or not token.is_github:
        return token, None
    withheld = why_github_token_stays(settings, env, token.origin)
    return (None, withheld) if withheld else (token, None)


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
