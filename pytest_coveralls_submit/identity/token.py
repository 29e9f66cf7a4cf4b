"""Which token a job is sent with, and where it may go."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..secret import Secret
from ..settings.table import COVERALLS, Settings
from .service import Build

GITHUB_TOKEN = re.compile(r"(ghs_|ghp_|gho_|github_pat_)")
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


def choose_token(settings: Settings, build: Build, env: Mapping[str, str]) -> Token | None:
    """Return the token to use: Coveralls' own, else GitHub's where that is safe.

    ``GITHUB_TOKEN`` is used on GitHub Actions alone, and goes to coveralls.io or to a host that
    the one who runs the tests has named, never to one that a file of the repository names.
    """
    if settings.repo_token is not None:
        is_github = bool(GITHUB_TOKEN.match(settings.repo_token.reveal()))
        return Token(settings.repo_token, str(settings.origins["repo_token"]), is_github)
    github = env.get("GITHUB_TOKEN", "").strip()
    if github and build.service_name == GITHUB_ACTIONS and _host_is_trusted(settings):
        return Token(Secret(github), "GITHUB_TOKEN", is_github=True)
    return None


def _host_is_trusted(settings: Settings) -> bool:
    origin = settings.origins.get("host")
    return settings.host == COVERALLS or (origin is not None and origin.is_typed)
