"""The environment counts as it was when pytest loaded the plugin, but for our own variables."""

from __future__ import annotations

import json

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
REMOVES_THE_TOKEN = 'os.environ.pop("GITHUB_TOKEN", None)\n'
CHANGES_OURS = 'os.environ["COVERALLS_FLAG_NAME"] = "unit"\nos.environ.pop("COVERALLS_PARALLEL")\n'


def in_hook(hook: str, statements: str) -> str:
    """Return a plugin that runs the statements in a hook; at import without one."""
    if not hook:
        return f"import os\n{statements}"
    body = "".join(f"    {line}\n" for line in statements.strip().splitlines())
    return f"import os, pytest\n@pytest.hookimpl(tryfirst=True)\ndef {hook}():\n{body}"


@pytest.mark.parametrize("statements", [CHANGES, REMOVES_THE_TOKEN])
@pytest.mark.parametrize(
    ("place", "hook"),
    [
        ("conftest.py", ""),
        ("tests/conftest.py", "pytest_configure"),
        ("like_pytest_env.py", "pytest_load_initial_conftests"),
    ],
)
def test_of_what_a_conftest_or_plugin_changes_our_own_variables_count(
    run: Runner, place: str, hook: str, statements: str
) -> None:
    write(run, place, in_hook(hook, statements + CHANGES_OURS))
    plugin = ("-p", "like_pytest_env") if place.startswith("like") else ()

    run.server.tokens |= {"ghs_of-the-runner", "footoken-footoken"}
    env = {**GITHUB, "PYTHONPATH": str(run.folder), "COVERALLS_PARALLEL": "true"}

    ended = run("--cov=sample", "--coveralls", *plugin, env=env)

    assert ended.returncode == 0, ended.stdout
    job = {**only_job(run), "source_files": []}
    assert job["repo_token"] == "ghs_of-the-runner"
    assert job["repo_name"] == "octo/sample"
    assert job["service_name"] == "github"
    assert job["service_number"] == "9001"
    assert "f" * 40 not in json.dumps(job)
    assert "other" not in json.dumps(job)
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
    nested = (
        'os.environ["CI_BRANCH"] = "other"\n'
        'import pytest\npytest.main(["--version", "--noconftest"])\n'
    )
    write(run, "conftest.py", in_hook("", nested))

    ended = run("--cov=sample", "--coveralls")

    assert ended.returncode == 0, ended.stdout
    assert only_job(run)["git"]["branch"] == "topic/y"
