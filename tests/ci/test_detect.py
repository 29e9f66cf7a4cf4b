"""Choose the row, and the value where several variables have one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ci_environments import CASES, HEAD, MERGE

from pytest_coveralls_submit.ci.detect import Build, detect

GITLAB, _ = CASES["gitlab push"]
TRAVIS, _ = CASES["travis push"]
JENKINS, _ = CASES["jenkins multibranch"]


def test_the_generic_variables_fill_the_gaps_of_a_row() -> None:
    env, build = CASES["circleci"]
    missing = {"CI_BRANCH": "topic/y", "GIT_AUTHOR_NAME": "Jane Doe"}
    known = {"GIT_ID": MERGE, "CI_NAME": "other", "CI_BUILD_NUMBER": "1"}

    assert detect(env | missing | known) == replace(
        build, service_branch="topic/y", author_name="Jane Doe"
    )


def test_git_variables_come_before_the_ci_variables() -> None:
    """Whoever sets both means the former for the commit."""
    env = {"CI_COMMIT_ID": MERGE, "GIT_ID": HEAD, "CI_BRANCH": "x", "GIT_BRANCH": "HEAD"}

    assert detect(env) == Build(commit_sha=HEAD, service_branch="x")


def test_jenkins_identity_for_new_commits_is_not_the_author() -> None:
    """The git plugin's GIT_AUTHOR_* and GIT_COMMITTER_* configure commits yet to be made."""
    build = detect({**JENKINS, "CI_AUTHOR_NAME": "Jane Doe"})

    assert (build.author_name, build.author_email, build.committer_name) == ("Jane Doe", None, None)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *((text, "12") for text in ("12", "#12", "012", "pull/12/", "/o/r/pull/12", "o/r#12")),
        *((text, "12") for text in ("group/project!12", "https://gitlab.com/a/b/-/requests/12")),
        *((text, None) for text in ("0", "pull/0", "v12", "MR12", "PR-12", "release-2", "-12")),
        *((text, None) for text in ("true", "12/merge", "9" * 30, "\u0661\u0662")),
    ],
)
def test_a_pull_request_is_the_number_at_the_end(text: str, number: str | None) -> None:
    """Of a number, a path or a URL, but not of a word."""
    assert detect({"CI_PULL_REQUEST": text}).service_pull_request == number


def test_a_url_in_place_of_a_number_is_skipped() -> None:
    """A number is a label of the build; the next cell is asked."""
    env = {**GITLAB, "CI_PIPELINE_IID": "https://gitlab.com/o/r/-/pipelines/10"}

    assert detect(env).service_number == "1000"


@pytest.mark.parametrize(
    "env",
    [
        *({"TRAVIS_TAG": text, "TRAVIS_BRANCH": "v1"} for text in ("origin/tags/v1", "tags/v1")),
        *({"TRAVIS_BRANCH": text} for text in ("refs/tags/v1", "origin/tags/v1")),
    ],
)
def test_a_tag_is_its_bare_name(env: dict[str, str]) -> None:
    """Services put the ref or the name there, or in place of the branch."""
    build = detect(TRAVIS | env)

    assert (build.tag, build.service_branch) == ("v1", None)


@pytest.mark.parametrize("text", ["0", "no", "Off", "FALSE", " "])
def test_a_service_that_is_denied_does_not_run(text: str) -> None:
    """Users switch a tool's CI mode off by such values."""
    assert detect({"TRAVIS": text, "CIRCLECI": "1"}).service_name == "circleci"
