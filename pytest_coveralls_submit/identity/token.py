"""Which token a job is sent with, and where it may go."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..ci.detect import Build
from ..secret import Secret
from ..settings.table import COVERALLS, TOKEN, Settings

GITHUB_VARIABLE = "GITHUB_TOKEN"
# https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/
OF_GITHUB = re.compile(r"gh[a-z]_|github_pat_")
"""How GitHub's tokens start."""
GITHUB = "https://github.com"
GITHUB_ACTIONS = "github-actions"
# With this name Coveralls takes the token for a GitHub one (lemurheavy/coveralls-public#1515).
GITHUB_SERVICE = "github"


@dataclass(frozen=True, slots=True)
class Token:
    """The token that a job is sent with."""

    secret: Secret
    origin: str
    """Where it stands, as the user would look for it."""
    is_github: bool
    """Whether it is GitHub's own, which decides the service name."""

    @property
    def github_prefix(self) -> str:
        """How GitHub's tokens start, where this one does; else empty."""
        found = OF_GITHUB.match(self.secret.reveal())
        return found[0] if found else ""


def choose_token(settings: Settings, build: Build, env: Mapping[str, str]) -> Token | None:
    """Return the token to use: Coveralls' own, else on GitHub Actions ``GITHUB_TOKEN``.

    None also where :func:`why_withheld` has a reason.
    """
    if why_withheld(settings, build, env) is not None:
        return None
    return _token_at_hand(settings, build, env)


def why_withheld(settings: Settings, build: Build, env: Mapping[str, str]) -> str | None:
    """Return why the token at hand may not be sent to the host, and what to do.

    A token of GitHub's may open far more than Coveralls. It goes to coveralls.io or to a host that
    was typed or set by variable, never to one that a file names: a pull request can change that.
    """
    token = _token_at_hand(settings, build, env)
    if token is None or not token.is_github:
        return None
    return why_github_token_stays(settings, env, token.origin)


def why_github_token_stays(
    settings: Settings, env: Mapping[str, str], origin: str = GITHUB_VARIABLE
) -> str | None:
    """Return why a token of GitHub's from ``origin`` is not sent to the host, and what to do."""
    host = settings.origins.get("host")
    is_own = origin == GITHUB_VARIABLE
    if settings.host != COVERALLS and (host is None or host.kind in {"ini", "yml"}):
        what = GITHUB_VARIABLE if is_own else f"GitHub's token from {origin}"
        other = "COVERALLS_REPO_TOKEN" if is_own else "a token of Coveralls' own"
        return (
            f"{what} is not sent to {settings.host}, which a file names; "
            f"set COVERALLS_HOST, or {other}"
        )
    server = env.get("GITHUB_SERVER_URL", "").strip().rstrip("/") or GITHUB
    if is_own and settings.host == COVERALLS and server.lower() != GITHUB:
        return f"GITHUB_TOKEN is of {server} and opens nothing elsewhere; set COVERALLS_REPO_TOKEN"
    return None


def _token_at_hand(settings: Settings, build: Build, env: Mapping[str, str]) -> Token | None:
    if settings.repo_token is not None:
        text = settings.repo_token.reveal()
        is_github = bool(OF_GITHUB.match(text)) or text == env.get(GITHUB_VARIABLE, "").strip()
        return Token(settings.repo_token, str(settings.origins["repo_token"]), is_github)
    if build.service_name == GITHUB_ACTIONS:
        with contextlib.suppress(ValueError):
            secret = TOKEN.parse(env.get(GITHUB_VARIABLE, "").strip())
            return Token(secret, GITHUB_VARIABLE, is_github=True)
    return None
