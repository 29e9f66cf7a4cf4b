"""Which token a job is sent with, and to which host it may go."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_coveralls_submit.settings.sources import Origin, RawValue, from_variables, resolve
from pytest_coveralls_submit.settings.table import COVERALLS, Settings
from pytest_coveralls_submit.settings.token import choose_token

GITHUB = "github-actions"
FLAG, VARIABLE = Origin("flag", "--coveralls-host"), Origin("variable", "COVERALLS_ENDPOINT")
INI = Origin("ini", "coveralls_host", Path("pytest.ini"))
YML = Origin("yml", "endpoint", Path(".coveralls.yml"))


def settings(*, token: str = "", host: str = "", host_from: Origin = VARIABLE) -> Settings:
    """Return the settings of a variable with a token, and of a host."""
    variables = from_variables({"COVERALLS_REPO_TOKEN": token}, Path())
    return resolve({**variables, "host": RawValue(host, host_from, Path())})


def token_of(chosen: Settings, service: str | None, env: dict[str, str]) -> str | None:
    """Return the text of the token that a job is sent with."""
    token, _ = choose_token(chosen, service, env)
    return None if token is None else token.secret.reveal()


@pytest.mark.parametrize(
    ("text", "is_github"),
    [
        *((f"{start}abcdefgh", True) for start in ("ghs_", "ghp_", "gho_", "ghu_", "github_pat_")),
        ("c0fee-of-github", True),
        *((text, False) for text in ("gh_abcdefgh", "c0fee42c0fee42", "xghs_abcdefgh")),
    ],
)
def test_a_github_token_is_known_by_its_start(text: str, is_github: bool) -> None:
    """Also under Coveralls' own variable, as coverage-reporter's examples have it."""
    token, _ = choose_token(settings(token=text), None, {"GITHUB_TOKEN": "c0fee-of-github"})

    assert token is not None
    assert (token.is_github, token.origin) == (is_github, "COVERALLS_REPO_TOKEN")


@pytest.mark.parametrize(
    ("text", "service", "found"),
    [
        (" ghs_x1234567\n", GITHUB, "ghs_x1234567"),
        ("  ", GITHUB, None),
        ("ghs_x1234567\nghs_y1234567", GITHUB, None),
        *(("ghs_x1234567", other, None) for other in (None, "gitea-actions", "forgejo-actions")),
    ],
)
def test_githubs_token_is_used_on_github_actions_alone(
    text: str, service: str | None, found: str | None
) -> None:
    """On a developer's machine it may open far more; Forgejo's is not valid on GitHub."""
    assert token_of(Settings(), service, {"GITHUB_TOKEN": text}) == found
    assert token_of(Settings(), GITHUB, {}) is None


@pytest.mark.parametrize("token", ["", "ghs_x1234567"], ids=["GITHUB_TOKEN", "repo_token"])
@pytest.mark.parametrize(
    ("host", "origin", "sent"),
    [
        ("https://cov.example.com", FLAG, True),
        ("https://cov.example.com", VARIABLE, True),
        ("https://cov.example.com", INI, False),
        ("https://cov.example.com", YML, False),
        (COVERALLS, INI, True),
    ],
)
def test_githubs_token_goes_to_no_host_that_a_file_names(
    host: str, origin: Origin, sent: bool, token: str
) -> None:
    """A pull request can change a file, and would get the token."""
    chosen = settings(token=token, host=host, host_from=origin)
    env = {"GITHUB_TOKEN": "ghs_x1234567"}

    _, reason = choose_token(chosen, GITHUB, env)

    assert token_of(chosen, GITHUB, env) == ("ghs_x1234567" if sent else None)
    assert (reason is None) == sent
    assert sent or f"not sent to {host}, a host set in a file" in str(reason)


@pytest.mark.parametrize(
    ("server", "host", "sent"),
    [
        *((server, "", True) for server in ("https://github.com", "https://GitHub.com/", " ")),
        ("https://github.example.com", "", False),
        ("https://octo.ghe.com", "", False),
        ("https://github.example.com", "https://cov.example.com", True),
    ],
)
def test_the_token_of_a_github_enterprise_server_is_not_shown_to_coveralls_io(
    server: str, host: str, sent: bool
) -> None:
    env = {"GITHUB_TOKEN": "ghs_x1234567", "GITHUB_SERVER_URL": server}

    _, reason = choose_token(settings(host=host), GITHUB, env)

    assert token_of(settings(host=host), GITHUB, env) == ("ghs_x1234567" if sent else None)
    assert sent or f"GITHUB_TOKEN belongs to {server} and is not valid elsewhere" in str(reason)
