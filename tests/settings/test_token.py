"""Which token a job is sent with, and to which host it may go."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_coveralls_submit.ci.detect import Build
from pytest_coveralls_submit.errors import SettingsError
from pytest_coveralls_submit.job.identity import flag_name
from pytest_coveralls_submit.settings.sources import Origin, RawValue, resolve
from pytest_coveralls_submit.settings.table import Settings
from pytest_coveralls_submit.settings.token import choose_token, why_withheld

GITHUB = "github-actions"
INI = Path("pytest.ini")
VARIABLE = Origin("variable", "COVERALLS_REPO_TOKEN")


def settings(host: str = "", host_from: Origin = VARIABLE, *, token: str = "") -> Settings:
    """Settings with a host that somebody named, and perhaps a token."""
    texts = {
        "host": RawValue(host, host_from, Path.cwd()),
        "repo_token": RawValue(token, VARIABLE, Path()),
    }
    return resolve(texts)


@pytest.mark.parametrize(
    ("text", "is_github"),
    [
        ("ghs_abcdefgh", True),
        ("ghp_abcdefgh", True),
        ("gho_abcdefgh", True),
        ("github_pat_abc", True),
        ("ghu_abcdefgh", True),
        ("gh_abcdefgh", False),
        ("c0fee-of-github", True),
        ("c0fee42c0fee42", False),
        ("xghs_abcdefgh", False),
    ],
)
def test_a_github_token_is_known_by_its_start(text: str, is_github: bool) -> None:
    """Also under Coveralls' own variable, as coverage-reporter's examples have it."""
    token = choose_token(settings(token=text), None, {"GITHUB_TOKEN": "c0fee-of-github"})

    assert token is not None
    assert (token.is_github, token.origin) == (is_github, "COVERALLS_REPO_TOKEN")


def test_a_coveralls_token_comes_before_githubs() -> None:
    """``GITHUB_TOKEN`` is in every run; it is used where there is nothing else."""
    token = choose_token(settings(token="c0fee-c0fee"), GITHUB, {"GITHUB_TOKEN": "ghs_x1234567"})

    assert token is not None
    assert token.secret.reveal() == "c0fee-c0fee"


@pytest.mark.parametrize(
    ("env", "build", "found"),
    [
        ({"GITHUB_TOKEN": " ghs_x1234567\n"}, GITHUB, "ghs_x1234567"),
        ({"GITHUB_TOKEN": "  "}, GITHUB, None),
        ({"GITHUB_TOKEN": "ghs_x1234567\nghs_y1234567"}, GITHUB, None),
        ({}, GITHUB, None),
        ({"GITHUB_TOKEN": "ghs_x1234567"}, None, None),
        ({"GITHUB_TOKEN": "ghs_x1234567"}, "gitea-actions", None),
        ({"GITHUB_TOKEN": "ghs_x1234567"}, "forgejo-actions", None),
    ],
)
def test_githubs_token_is_used_on_github_actions_alone(
    env: dict[str, str], build: str | None, found: str | None
) -> None:
    """On a developer's machine it may open far more; Forgejo's is none of GitHub's."""
    token = choose_token(Settings(), build, env)

    assert (token.secret.reveal() if token else None) == found


TOKENS = {"GITHUB_TOKEN": "", "COVERALLS_REPO_TOKEN": "ghs_x1234567"}


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize(
    ("origin", "sent"),
    [
        (Origin("flag", "--coveralls-host"), True),
        (Origin("variable", "COVERALLS_ENDPOINT"), True),
        (Origin("ini", "coveralls_host", INI), False),
        (Origin("yml", "endpoint", Path(".coveralls.yml")), False),
    ],
)
def test_githubs_token_goes_to_no_host_that_a_file_names(
    origin: Origin, sent: bool, name: str
) -> None:
    """A pull request can change a file, and would get the token, whoever gave it to us."""
    chosen, env = (
        settings("https://cov.example.com", origin, token=TOKENS[name]),
        {name: "ghs_x1234567"},
    )

    token, reason = (
        choose_token(chosen, GITHUB, env),
        why_withheld(chosen, GITHUB, env),
    )

    assert (token is not None, reason is None) == (sent, sent)
    assert sent or "not sent to https://cov.example.com, a host set in a file" in str(reason)


def test_a_token_of_coveralls_goes_where_a_file_says() -> None:
    """It opens nothing else, and its server is often named in the ini file."""
    in_ini = Origin("ini", "coveralls_host", INI)
    chosen = settings("https://cov.example.com", in_ini, token="c0fee-c0fee")

    assert choose_token(chosen, GITHUB, {"GITHUB_TOKEN": "ghs_x1234567"}) is not None


@pytest.mark.parametrize(
    ("server", "host", "sent"),
    [
        ("https://github.com", "", True),
        ("https://GitHub.com/", "", True),
        (" ", "", True),
        ("https://github.example.com", "", False),
        ("https://octo.ghe.com", "", False),
        ("https://github.example.com", "https://cov.example.com", True),
    ],
)
def test_the_token_of_a_github_enterprise_server_is_not_shown_to_coveralls_io(
    server: str, host: str, sent: bool
) -> None:
    """It opens what stands on that server, and Coveralls could only refuse it."""
    env = {"GITHUB_TOKEN": "ghs_x1234567", "GITHUB_SERVER_URL": server}
    chosen = settings(host, Origin("variable", "COVERALLS_HOST"))

    token, reason = (
        choose_token(chosen, GITHUB, env),
        why_withheld(chosen, GITHUB, env),
    )

    assert (token is not None, reason is None) == (sent, sent)
    assert sent or str(reason).startswith(
        f"GITHUB_TOKEN belongs to {server} and is not valid elsewhere"
    )


def test_githubs_token_goes_to_coveralls_io_whoever_names_it() -> None:
    """A file that names the default changes nothing."""
    chosen = settings("coveralls.io", Origin("ini", "coveralls_host", INI))

    assert choose_token(chosen, GITHUB, {"GITHUB_TOKEN": "ghs_x1234567"}) is not None


def test_a_token_in_place_of_the_flags_name_is_not_quoted() -> None:
    """The message about a placeholder would show it."""
    text = RawValue("{s3cret-t0ken}", Origin("variable", "COVERALLS_FLAG_NAME"), Path())
    token = RawValue("s3cret-t0ken", VARIABLE, Path())

    with pytest.raises(SettingsError, match="is unknown") as caught:
        flag_name(resolve({"flag_name": text, "repo_token": token}), Build(), {})

    assert "s3cret-t0ken" not in str(caught.value)
