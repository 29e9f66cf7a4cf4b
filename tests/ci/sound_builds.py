"""What holds for every build, whatever the variables and the files of a CI service say."""

from __future__ import annotations

import re
from dataclasses import fields

from pytest_coveralls_submit.ci.detect import Build

_COMMITS = ("commit_sha", "merge_sha", "diff_base_sha")
_BRANCHES = ("service_branch", "target_branch")
_LINKS = ("service_build_url", "service_job_url")


def assert_sound(build: Build) -> None:
    """Assert the kind of value of each field."""
    texts = {field.name: getattr(build, field.name) for field in fields(build)}
    del texts["problems"]
    values = {name: value for name, value in texts.items() if value is not None}
    for name, value in values.items():
        assert isinstance(value, str), name
        assert value == value.strip() != "", name
        assert name == "message" or len(value.splitlines()) == 1, name
        assert value.encode("utf-8"), name
        if name in _COMMITS:
            assert re.fullmatch(r"(?=.*[1-9a-f])[0-9a-f]{7,64}", value)
        if name in _BRANCHES:
            assert not re.search(r"HEAD$|^refs/|\s", value)
        if name in _LINKS:
            assert re.fullmatch(r"https?://[^/\s@{}]+(/[^\s@{}]*)?", value)
    assert re.fullmatch(r"[1-9][0-9]*", build.service_pull_request or "1")
    assert None in (build.commit_sha, build.merge_sha)
