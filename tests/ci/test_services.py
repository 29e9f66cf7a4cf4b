"""Detect the builds of documented environments, and of odd ones."""

from __future__ import annotations

import re
from dataclasses import asdict, replace

import pytest
from ci_environments import CASES, HEAD
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_coveralls_submit.ci.detect import Build, detect
from pytest_coveralls_submit.ci.services import GENERIC, SERVICES

# A column filled from one and the same variable in all jobs would make them overwrite each other.
WITHOUT_JOB_ID = "cloudflare-workers codemagic google-cloud-build netlify sourcehut surf vercel"


def assert_sound(build: Build) -> None:
    """Assert the kind of value of each field."""
    values = {name: value for name, value in asdict(build).items() if value is not None}
    del values["problems"]
    for name, value in values.items():
        assert isinstance(value, str), name
        assert value == value.strip() != "", name
        assert name == "message" or len(value.splitlines()) == 1, name
        assert value.encode("utf-8"), name
        if name in {"commit_sha", "merge_sha", "diff_base_sha"}:
            assert re.fullmatch(r"(?=.*[1-9a-f])[0-9a-f]{7,64}", value)
        if name in {"service_branch", "target_branch"}:
            assert not re.search(r"HEAD$|^refs/|\s", value)
        if name in {"service_build_url", "service_job_url"}:
            assert re.fullmatch(r"https?://[^/\s@{}]+(/[^\s@{}]*)?", value)
    assert re.fullmatch(r"[1-9][0-9]*", build.service_pull_request or "1")
    assert None in (build.commit_sha, build.merge_sha)


@pytest.mark.parametrize("case", CASES)
def test_a_documented_environment_gives_the_whole_build(case: str) -> None:
    """Every field is as documented, and no other field is set."""
    env, build = CASES[case]

    assert detect(env) == build
    in_capitals = {name.upper(): value for name, value in env.items()}
    assert detect(in_capitals) == build, "Python on Windows knows no lower case"
    for name in env:
        assert_sound(detect({**env, name: ""}))


def test_every_service_has_an_example_and_a_source() -> None:
    """A row without a documented environment would be a guess."""
    shown = {build.service_name for _, build in CASES.values()}

    assert {*SERVICES} - {"{CI_NAME}"} <= shown
    for name, service in SERVICES.items():
        assert re.search(r"https://|[\w-]+/[\w-]+: ", service.documented_at), name


@pytest.mark.parametrize("name", SERVICES)
def test_the_number_is_shared_and_the_job_id_differs(name: str) -> None:
    """Without the number a parallel build cannot be closed; with one id jobs overwrite."""
    service = SERVICES[name]
    numbers, ids = service.cells("service_number"), service.cells("service_job_id")

    assert bool(numbers) == (name != "surf")
    assert bool(ids) == (name not in WITHOUT_JOB_ID.split())
    assert not {*numbers} & {*ids}


BLANK = ("", " ", "\n", "\t \r\n")
FALSE = ("false", "False", "FALSE", " false\n", "0")
NO_BRANCH = (
    *("HEAD", "refs/heads/HEAD", "origin/HEAD", " HEAD\n", "refs/pull/7/merge"),
    *("refs/merge-requests/7/head", "refs/tags/v1", "origin/tags/v1", "refs/changes/1/2", HEAD),
    *("a b", "(no branch)", "a..b", "x:y z", "-x", "$(Build.X)"),
)
NO_COMMIT = ("HEAD", "0" * 40, "main", "abcdef", "g" * 40, "a" * 65, "v1.2.3")
SECRETS = (
    "https://user:s3cret@host.example/owner/repo?token=s3cret#s3cret",
    "https://s3cret@host.example/owner/repo",
    "ssh://u:s3cret@host.example:22/owner/repo?s3cret",
    "https://user:s/3cret@host.example/s3cret",
    "https://user:4/s3cret@host.example/owner/repo",
    "HTTPS://u:s3cret@[::1/x",
    "see https://u:s3cret@host.example/x",
)


@pytest.mark.parametrize("value", BLANK)
def test_a_blank_variable_is_unset(value: str) -> None:
    """On the server an empty string would merge builds."""
    assert detect(dict.fromkeys(GENERIC.variables(), value)) == Build()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("service_pull_request", value) for value in (*FALSE, "release-2", "main", HEAD)),
        *(("service_branch", value) for value in NO_BRANCH),
        *(("commit_sha", value) for value in NO_COMMIT),
    ],
)
def test_a_value_of_another_kind_is_left_out(field: str, value: str) -> None:
    """Travis and Buildkite write ``false`` for no pull request."""
    build = detect(dict.fromkeys(GENERIC.variables(), value))

    assert getattr(build, field) is None


@pytest.mark.parametrize("prefix", ["", "refs/heads/", "origin/", "refs/remotes/upstream/"])
def test_a_branch_is_its_bare_name(prefix: str) -> None:
    assert detect({"CI_BRANCH": f"{prefix}topic/y"}).service_branch == "topic/y"


@pytest.mark.parametrize(
    "name", ["PR-24", "PR-24-head", "MR-24", "24/merge", "pull/24/head", "origin/pr/24/merge"]
)
def test_a_pull_request_is_no_branch_and_a_branch_may_be_named_like_one(name: str) -> None:
    """Jira's keys look like ``PR-24``."""
    env = {"CI_NAME": "my-ci", "CI_BRANCH": name}
    plain = name.removeprefix("origin/")

    assert detect(env).service_branch == plain
    assert detect({**env, "CI_PULL_REQUEST": "24"}).service_branch is None
    assert detect({**env, "CI_PULL_REQUEST": "2"}).service_branch == plain


@pytest.mark.parametrize(
    ("user", "kept"), [("git@", "git@host.example:o/r"), ("s3cret@", "host.example:o/r")]
)
def test_a_remote_has_no_user_but_git(user: str, kept: str) -> None:
    assert detect({"GIT_URL": f"{user}host.example:o/r"}).remote_url == kept


ODD = st.one_of(
    st.sampled_from(
        [
            *(*BLANK, *FALSE, *NO_BRANCH, *NO_COMMIT, *SECRETS),
            *("release-2", HEAD, "git@host:a/b.git", "topic/y\n", "a\nb", "{X}", "%s", "detached"),
            *("\uff17", "http://", "https://[", "\udc80", "Jane <j@e.org>", "\x00", "\u2028"),
        ]
    ),
    st.text(st.characters(codec=None, exclude_categories=[]), max_size=20),
)


@settings(deadline=None)
@given(st.sampled_from([*SERVICES]), st.data())
def test_no_values_raise_or_give_a_wrong_kind_of_value(name: str, data: st.DataObject) -> None:
    """No exception, no empty text, no half link, no second line, no secret."""
    service = SERVICES[name]
    conditions = re.findall(r"(\w+)=?(\w*)", service.when[0])
    running = {variable: value or "true" for variable, value in conditions}
    variables = sorted((service.variables() | GENERIC.variables()) - {"CI_NAME"})
    odd = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys(variables, ODD)))

    build = detect(odd | running)

    assert build.service_name == (None if service is GENERIC else name)
    assert_sound(build)
    assert "s3cret" not in repr(replace(build, message=None))
