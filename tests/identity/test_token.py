"""Which token a job is sent with, and to which host it may go."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_coveralls_submit.identity.service import Build
from pytest_coveralls_submit.identity.token import choose_token
from pytest_coveralls_submit.settings.resolve import Origin, Text, resolve
from pytest_coveralls_submit.settings.table import Settings

GITHUB = Build(service_name="github-actions", repo_name="octo/sample")
INI = Path("pytest.ini")
VARIABLE = Origin("variable", "COVERALLS_REPO_TOKEN")


def settings(host: str = "", host_from: Origin = VARIABLE, *, token: str = "") -> Settings:
    """Settings with a host that somebody named, and perhaps a token."""
    texts = {"host": Text(host, host_from, Path.cwd()), "repo_token": Text(token, VARIABLE, Path())}
    return resolve(texts)


@pytest.mark.parametrize(
    ("text", "is_github"),
    [
        ("ghs_abc", True),
        ("ghp_abc", True),
        ("gho_abc", True),
        ("github_pat_abc", True),
        ("ghx_abc", False),
        ("c0fee42", False),
        ("xghs_abc", False),
    ],
)
def test_a_github_token_is_known_by_its_start(text: str, is_github: bool) -> None:
    """Also under Coveralls' own variable, as coverage-reporter's examples have it."""
    token = choose_token(settings(token=text), Build(), {})

    assert token is not None
    assert (token.is_github, token.origin) == (is_github, "COVERALLS_REPO_TOKEN")


def test_a_coveralls_token_comes_before_githubs() -> None:
    """``GITHUB_TOKEN`` is in every run; it is used where there is nothing else."""
    token = choose_token(settings(token="c0fee"), GITHUB, {"GITHUB_TOKEN": "ghs_x"})

    assert token is not None
    assert token.secret.reveal() == "c0fee"


@pytest.mark.parametrize(
    ("env", "build", "found"),
    [
        ({"GITHUB_TOKEN": " ghs_x\n"}, GITHUB, "ghs_x"),
        ({"GITHUB_TOKEN": "  "}, GITHUB, None),
        ({}, GITHUB, None),
        ({"GITHUB_TOKEN": "ghs_x"}, Build(), None),
        ({"GITHUB_TOKEN": "ghs_x"}, Build(service_name="gitea-actions"), None),
        ({"GITHUB_TOKEN": "ghs_x"}, Build(service_name="forgejo-actions"), None),
    ],
)
def test_githubs_token_is_used_on_github_actions_alone(
    env: dict[str, str], build: Build, found: str | None
) -> None:
    """On a developer's machine it may open far more; Forgejo's is none of GitHub's."""
    token = choose_token(Settings(), build, env)

    assert (token.secret.reveal() if token else None) == found


@pytest.mark.parametrize(
    ("origin", "sent"),
    [
        (Origin("flag", "--coveralls-host"), True),
        (Origin("variable", "COVERALLS_ENDPOINT"), True),
        (Origin("addopts", "--coveralls-host", INI), False),
        (Origin("ini", "coveralls_host", INI), False),
        (Origin("yml", "endpoint", Path(".coveralls.yml")), False),
    ],
)
def test_githubs_token_goes_to_no_host_that_a_file_names(origin: Origin, sent: bool) -> None:
    """A pull request can change a file, and would get the token."""
    chosen = settings("https://cov.example.com", origin)

    token = choose_token(chosen, GITHUB, {"GITHUB_TOKEN": "ghs_x"})

    assert (token is not None) is sent


def test_githubs_token_goes_to_coveralls_io_whoever_names_it() -> None:
    """A file that names the default changes nothing."""
    chosen = settings("coveralls.io", Origin("ini", "coveralls_host", INI))

    assert choose_token(chosen, GITHUB, {"GITHUB_TOKEN": "ghs_x"}) is not None
