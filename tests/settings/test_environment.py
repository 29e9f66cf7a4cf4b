"""The environment counts as it was when pytest loaded the plugin, but for our own variables."""

from __future__ import annotations

import json
import textwrap

import pytest
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
for name in ("GITHUB_ACTIONS", "CI", "COVERALLS_PARALLEL"):
    del os.environ[name]
for name in ("GITHUB_TOKEN", "GITHUB_SHA", "GITHUB_REF", "GITHUB_REPOSITORY"):
    os.environ[name] = "0ther/0ther"
os.environ["COVERALLS_FLAG_NAME"] = "unit"
"""


def in_hook(hook: str, statements: str) -> str:
    """Return a plugin that runs the statements in a hook; at import without one."""
    if not hook:
        return f"import os\n{statements}"
    body = textwrap.indent(statements, "    ")
    return f"import os, pytest\n@pytest.hookimpl(tryfirst=True)\ndef {hook}():\n{body}"


@pytest.mark.parametrize(
    ("place", "hook"),
    [
        ("conftest.py", ""),
        ("tests/conftest.py", "pytest_configure"),
        ("like_pytest_env.py", "pytest_load_initial_conftests"),
    ],
)
def test_of_what_a_conftest_or_plugin_changes_our_own_variables_count(
    run: Runner, place: str, hook: str
) -> None:
    write(run, place, in_hook(hook, CHANGES))
    plugin = ("-p", "like_pytest_env") if place.startswith("like") else ()
    run.server.tokens.add("ghs_of-the-runner")
    env = {**GITHUB, "PYTHONPATH": str(run.folder), "COVERALLS_PARALLEL": "true"}

    ended = run("--cov=sample", "--coveralls", *plugin, env=env)

    assert ended.returncode == 0, ended.stdout
    job = {**only_job(run), "source_files": []}
    expected = {
        "repo_token": "ghs_of-the-runner",
        "repo_name": "octo/sample",
        "service_name": "github",
        "service_number": "9001",
        "flag_name": "unit",
    }
    assert expected.items() <= job.items()
    assert "0ther" not in json.dumps(job)
    assert "parallel" not in job


def test_a_late_token_does_not_start_measuring(run: Runner) -> None:
    write(run, "conftest.py", in_hook("", 'os.environ["COVERALLS_REPO_TOKEN"] = "c0ffee" * 4\n'))

    ended = run("--coveralls", env={"COVERALLS_REPO_TOKEN": ""})

    assert ended.returncode == 0
    assert run.server.requests == []
    assert any("--cov" in line for line in told(ended.stdout))


def test_a_run_inside_a_conftest_changes_nothing(run: Runner) -> None:
    nested = 'import pytest\npytest.main(["--version", "--noconftest"])\n'
    write(run, "conftest.py", in_hook("", f'os.environ["CI_BRANCH"] = "other"\n{nested}'))

    ended = run("--cov=sample", "--coveralls")

    assert ended.returncode == 0, ended.stdout
    assert only_job(run)["git"]["branch"] == "topic/y"
