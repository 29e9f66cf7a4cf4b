"""Each CI service's variables give the right build, and no row can give a wrong kind of value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from ci_environments import CASES, HEAD
from hypothesis import given, settings
from hypothesis import strategies as st
from sound_builds import assert_sound

from pytest_coveralls_submit.ci.detect import Build, detect
from pytest_coveralls_submit.ci.services import GENERIC, SERVICES, Service

# A column filled from one and the same variable in all jobs would make them overwrite each other.
WITHOUT_JOB_ID = {
    *("cloudflare-workers", "codemagic", "google-cloud-build", "netlify", "sourcehut", "surf"),
    "vercel",
}
WITHOUT_NUMBER = {"surf"}
IN_TURN = [*(service.name for service in SERVICES)]
each_service = pytest.mark.parametrize("service", SERVICES, ids=IN_TURN)


@pytest.mark.parametrize("case", CASES)
def test_a_documented_environment_gives_the_whole_build(case: str) -> None:
    """Every field is as documented, and no other field is set."""
    env, build = CASES[case]

    assert detect(env) == build
    in_capitals = {name.upper(): value for name, value in env.items()}
    assert detect(in_capitals) == build, "Python on Windows knows no lower case"


def test_every_service_has_an_example_and_a_source() -> None:
    """A row without a documented environment would be a guess."""
    shown = {build.service_name for _, build in CASES.values()}

    assert {service.name for service in SERVICES} - {GENERIC.name} <= shown
    for service in SERVICES:
        assert re.search(r"https://|[\w-]+/[\w-]+: ", service.documented_at), service.name


def test_names_are_unique_and_the_generic_row_is_last() -> None:
    """The first row that runs wins; the generic one runs always."""
    assert len(set(IN_TURN)) == len(SERVICES)
    assert [service for service in SERVICES if not service.when] == [GENERIC] == [SERVICES[-1]]


@each_service
def test_the_number_is_shared_and_the_job_id_differs(service: Service) -> None:
    """Without the number a parallel build cannot be closed; with one id jobs overwrite."""
    numbers, ids = service.cells("service_number"), service.cells("service_job_id")

    assert bool(numbers) == (service.name not in WITHOUT_NUMBER)
    assert bool(ids) == (service.name not in WITHOUT_JOB_ID)
    assert not {*numbers} & {*ids}


def run_by(service: Service) -> dict[str, str]:
    """The least environment in which the row is the first that runs."""
    pairs = (condition.partition("=") for condition in (*service.when, "")[0].split())
    return {name: value or "true" for name, _, value in pairs}


def all_set(service: Service, value: str) -> dict[str, str]:
    """Every variable of the row, and of the generic one, has this value."""
    names = {*service.variables(), *GENERIC.variables()} - {"CI_NAME"}
    return dict.fromkeys(sorted(names), value) | run_by(service)


def only(service: Service, columns: tuple[str, ...], value: str) -> dict[str, str]:
    """Every variable of these columns has this value, all others are blank."""
    env = all_set(service, "")
    for row in (service, GENERIC):
        part: dict[str, Any] = {column: row.cells(column) for column in columns}
        few = Service(name="", when=(), documented_at="", **part)
        env.update(dict.fromkeys(few.variables(), value))
    return env | run_by(service)


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
SECRET_REMOTES = (
    "s3cret@host.example:owner/repo.git",
    "user:s3cret@host.example:owner/repo.git",
)


@pytest.mark.parametrize(
    "name",
    [
        *("PR-24", "PR-24-head", "MR-24", "24/merge", "24/head", "pull/24", "pull/24/head"),
        *("origin/pr/24/merge", "merge-requests/24"),
    ],
)
def test_a_pull_request_is_no_branch_and_a_branch_may_be_named_like_one(name: str) -> None:
    """Jira's keys look like ``PR-24``; of pull request 24 it is none."""
    env = {"CI_NAME": "my-ci", "CI_BRANCH": name}
    plain = name.removeprefix("origin/")

    assert detect(env).service_branch == plain
    assert detect({**env, "CI_PULL_REQUEST": "24"}).service_branch is None
    assert detect({**env, "CI_PULL_REQUEST": "2"}).service_branch == plain


def commits(build: Build) -> tuple[str | None, ...]:
    """What a build says of commits."""
    return build.commit_sha, build.merge_sha, build.diff_base_sha


@each_service
def test_no_value_is_taken_for_what_it_is_not(service: Service) -> None:
    """What may be in any variable of any service.

    An empty string merges builds on the server, Travis and Buildkite say ``false`` for no pull
    request, a detached checkout's branch is called HEAD, forty zeros mean that there is no
    commit, and the synthetic refs of pull requests would each be a branch of its own.
    """
    least = run_by(service)
    assert detect(least).service_name == (None if service is GENERIC else service.name)
    for value in BLANK:
        assert detect(all_set(service, value)) == detect(least), value
    for value in FALSE:
        assert detect(all_set(service, value)).service_pull_request is None, value
    for value in NO_BRANCH:
        build = detect(all_set(service, value))
        assert (build.service_branch, build.target_branch) == (None, None), value
    for value in NO_COMMIT:
        assert commits(detect(all_set(service, value))) == (None, None, None), value
    for value in ("release-2", "main", "refs/heads/release-2", HEAD):
        env = only(service, ("service_branch", "tag", "commit_sha"), value)
        assert detect(env).service_pull_request is None, value


@each_service
def test_prefixes_of_branches_and_tags_are_no_part_of_them(service: Service) -> None:
    """Coveralls shows and compares the bare name; several services call a tag a branch."""
    for prefix in ("", "refs/heads/", "origin/", "refs/remotes/upstream/"):
        env = only(service, ("service_branch",), f"{prefix}topic/y")
        env.pop("CODEBUILD_WEBHOOK_TRIGGER", None)  # it has prefixes of its own
        assert detect(env).service_branch == "topic/y", prefix
    for prefix in ("refs/tags/", "origin/tags/"):
        build = detect(only(service, ("service_branch",), f"{prefix}v1"))
        assert (build.tag, build.service_branch) == ("v1", None), prefix


@each_service
def test_no_secret_of_an_address_is_told(service: Service) -> None:
    """Userinfo, query and fragment are cut off, or the variable is skipped."""
    texts = only(service, ("message",), "").keys() & {
        *Service(name="", when=(), documented_at="", message=service.cells("message")).variables(),
        "GIT_MESSAGE",
        "CI_COMMIT_MESSAGE",
    }
    for value in SECRETS:
        env = all_set(service, value) | dict.fromkeys(texts, "")
        assert "s3cret" not in repr(detect(env)), value
    for value in SECRET_REMOTES:
        env = only(service, ("remote_url", "repo_name"), value)
        assert "s3cret" not in repr(detect(env)), value


@each_service
def test_no_link_is_half_filled(service: Service) -> None:
    """Without any one of its variables a link falls to the next template or to none."""
    for name in service.variables():
        assert_sound(detect(all_set(service, "https://host.example") | {name: ""}))
    assert detect(run_by(service)).service_build_url is None


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
@given(st.sampled_from(SERVICES), st.data())
def test_no_values_raise_or_give_a_wrong_kind_of_value(
    service: Service, data: st.DataObject
) -> None:
    """Whatever is in the variables: no exception, no empty text, no half link, no second line."""
    names = sorted(all_set(service, ""))
    values: Mapping[str, str] = data.draw(
        st.fixed_dictionaries({}, optional=dict.fromkeys(names, ODD))
    )

    assert_sound(detect({**values, **run_by(service)}))
