"""The environment counts as it was when pytest loaded the plugin, but for our own variables."""

from __future__ import annotations

import json
from typing import Any

import pytest
from inner import Inner
from running import Runner, only_job, told, write

GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_TOKEN": "ghs_of-the-runner",
    "GITHUB_SHA": "",
    "GITHUB_REF": "refs/heads/topic/y",
    "GITHUB_REPOSITORY": "octo/sample",
    "GITHUB_RUN_ID": "9001",
    "CI": "true",
    "COVERALLS_REPO_TOKEN": "",
}
CHANGES = """
os.environ["GITHUB_TOKEN"] = "footoken-footoken"
os.environ["GITHUB_SHA"] = "f" * 40
os.environ["GITHUB_REF"] = "refs/heads/other"
os.environ["GITHUB_REPOSITORY"] = "other/other"
os.environ.pop("GITHUB_ACTIONS", None)
os.environ.pop("CI", None)
"""
REMOVES_THE_TOKEN = 'os.environ.pop("GITHUB_TOKEN", None)'


def in_hook(hook: str, statements: str) -> str:
    """Return a plugin that runs the statements in a hook; at import without one."""
    if not hook:
        return f"import os\n{statements}"
    body = "".join(f"    {line}\n" for line in statements.strip().splitlines())
    return f"import os, pytest\n@pytest.hookimpl(tryfirst=True)\ndef {hook}():\n{body}"


def sent(run: Runner, *arguments: str, **env: str) -> dict[str, Any]:
    """Run the tests of the project on GitHub Actions; return the fields of the job but its time."""
    run.server.tokens.add("ghs_of-the-runner")
    run.server.tokens.add("footoken-footoken")
    ended = run("--cov=sample", "--coveralls", *arguments, env={**GITHUB, **env})
    assert ended.returncode == 0, ended.stdout
    job = dict(only_job(run))
    return {name: job[name] for name in job if name not in {"run_at", "source_files"}}


@pytest.mark.parametrize(
    ("place", "hook", "statements"),
    [
        ("conftest.py", "", CHANGES),
        ("conftest.py", "", REMOVES_THE_TOKEN),
        ("tests/conftest.py", "", CHANGES),
        ("conftest.py", "pytest_configure", CHANGES),
        ("tests/conftest.py", "pytest_configure", REMOVES_THE_TOKEN),
        ("like_pytest_env.py", "pytest_load_initial_conftests", CHANGES),
    ],
)
def test_what_a_conftest_or_plugin_changes_is_not_sent(
    run: Runner, place: str, hook: str, statements: str
) -> None:
    write(run, place, in_hook(hook, statements))
    plugin = ("-p", "like_pytest_env") if place.startswith("like") else ()

    job = sent(run, *plugin, PYTHONPATH=str(run.folder))

    assert job["repo_token"] == "ghs_of-the-runner"
    assert job["repo_name"] == "octo/sample"
    assert job["service_name"] == "github"
    assert job["service_number"] == "9001"
    assert "f" * 40 not in json.dumps(job)
    assert "other" not in json.dumps(job)


@pytest.mark.parametrize(
    ("place", "hook"),
    [
        ("conftest.py", ""),
        ("conftest.py", "pytest_configure"),
        ("tests/conftest.py", "pytest_configure"),
        ("like_pytest_env.py", "pytest_load_initial_conftests"),
    ],
)
def test_our_own_variables_count_as_they_are_after_configuration(
    run: Runner, place: str, hook: str
) -> None:
    write(
        run,
        place,
        in_hook(
            hook,
            'os.environ["COVERALLS_FLAG_NAME"] = "unit"\nos.environ.pop("COVERALLS_PARALLEL")\n',
        ),
    )
    plugin = ("-p", "like_pytest_env") if place.startswith("like") else ()

    job = sent(run, *plugin, PYTHONPATH=str(run.folder), COVERALLS_PARALLEL="true")

    assert job["flag_name"] == "unit"
    assert "parallel" not in job


def test_a_late_token_does_not_start_measuring(run: Runner) -> None:
    write(run, "conftest.py", in_hook("", 'os.environ["COVERALLS_REPO_TOKEN"] = "c0ffee" * 4\n'))

    ended = run("--coveralls", env={"COVERALLS_REPO_TOKEN": ""})

    assert ended.returncode == 0
    assert run.server.requests == []
    assert any("--cov" in line for line in told(ended.stdout))


def test_each_run_in_a_process_has_its_own_environment(inner: Inner) -> None:
    for branch in ("one", "two"):
        inner.env(CI_BRANCH=branch)
        inner("--coveralls")

    assert [job["git"]["branch"] for job in inner.server.jobs] == ["one", "two"]


def test_a_run_inside_a_conftest_changes_nothing(run: Runner) -> None:
    nested = 'os.environ["CI_BRANCH"] = "other"\nimport pytest\npytest.main(["--version"])\n'
    write(run, "conftest.py", in_hook("", nested))

    ended = run("--cov=sample", "--coveralls")

    assert ended.returncode == 0, ended.stdout
    assert only_job(run)["git"]["branch"] == "topic/y"
