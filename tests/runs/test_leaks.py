"""A canary token, and every place where it must not be found."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import quote

import pytest
from git_repository import Repository
from running import Runner, kept, needs_xdist
from standin import StandIn

CANARY = "canary+7d1e/93b04c58=aa21f6"
GITHUB_CANARY = "ghs_Canary93b04c58aa21f67d1eQzPq"
pytestmark = pytest.mark.slow
# As much as pytest can be made to print.
LOUD = (
    *("-l", "-vv", "--full-trace", "--tb=long", "--debug=debug.log", "-rA", "-o", "log_cli=true"),
    *("-o", "log_level=DEBUG", "-o", "log_file=log.txt", "-o", "log_file_level=DEBUG"),
    *("--junit-xml=junit.xml", "-o", "junit_logging=all", "--cov-report=", "--coveralls"),
)
CONFTEST = """
import http.client, logging

http.client.HTTPConnection.debuglevel = 1
logging.basicConfig(level=logging.DEBUG)
"""
FAILING = """
def test_that_fails_with_locals(request):
    config, manager = request.config, request.config.pluginmanager
    session = manager.get_plugin("coveralls_session")
    context = getattr(session, "context", None)
    secrets, env, settings = (getattr(context, n, None) for n in ("secrets", "env", "settings"))
    options = vars(config.option)
    assert session is None, "to see all of it"
"""


class Scene:
    """A project, a server that knows the canary, and all files that a run leaves."""

    def __init__(self, folder: Path, server: StandIn) -> None:
        self.folder, self.server = folder, server
        self.runner = Runner(folder, server)
        self.out = folder.parent / "out"
        self.out.mkdir()
        del self.runner.env["COVERALLS_REPO_TOKEN"]
        self.runner.env |= {
            "GIT_TRACE": str(self.out / "git-trace"),
            "GIT_TRACE2_EVENT": str(self.out / "git-events"),
            "GIT_TRACE2_ENV_VARS": "COVERALLS_REPO_TOKEN,GITHUB_TOKEN",
            "TMPDIR": str(self.out),
            "PYTHONFAULTHANDLER": "1",
            "GITHUB_STEP_SUMMARY": str(self.out / "summary.md"),
            "GITHUB_OUTPUT": str(self.out / "output"),
        }
        self.allowed: list[Path] = []
        """Files of the user that hold the token."""

    def run(self, *more: str, **env: str) -> str:
        """Run pytest as loud as it gets; return what it printed."""
        return self.runner(*LOUD, *more, env=env).stdout

    def assert_silent(self, output: str, *secrets: str) -> None:
        """Assert that no form of a secret was printed or written."""
        places = {"output": output.encode()}
        for folder in (self.folder, self.out):
            for path in folder.rglob("*"):
                if path.is_file() and path not in self.allowed:
                    places[str(path)] = path.read_bytes()
        found = [
            (place, form)
            for secret in secrets or (CANARY,)
            for form in forms(secret)
            for place, content in places.items()
            if form.encode() in content
        ]
        assert found == []


def forms(secret: str) -> set[str]:
    """Return a secret in all spellings, and the greater part of it."""
    packed = base64.b64encode(secret.encode()).decode()
    return {secret, json.dumps(secret)[1:-1], quote(secret, safe=""), packed, secret[:-6]}


@pytest.fixture
def scene(project: Path, server: StandIn) -> Scene:
    (project / "conftest.py").write_text(CONFTEST)
    (project / "tests" / "test_locals.py").write_text(FAILING)
    server.tokens = {CANARY}
    return Scene(project, server)


OTHERS = {
    "AWS_SECRET_ACCESS_KEY": "aws-5521-canary",
    "CI_JOB_TOKEN": "job-5521-canary",
    "COVERALLS_GITLAB_TOKEN": "status-5521-canary",
    "CI_REPOSITORY_URL": "https://gitlab-ci-token:job-5521-canary@gitlab.example.org/x.git",
    "COVERALLS_REPO_TOKENS": "misspelled-5521-canary",
}


def test_no_secret_of_a_file_of_variables_or_of_git_is_shown(scene: Scene) -> None:
    """Output, locals, junit XML, debug log, log file, cache, git trace."""
    path = scene.folder / "pytest.ini"
    path.write_text(f"[pytest]\npythonpath = .\ncoveralls_repo_token = {CANARY}\n")
    address = "https://user:remote-5521-canary@github.com/octo/a.git"
    Repository(scene.folder, init=False).git("remote", "add", "other", address)
    scene.allowed += [path, scene.folder / ".git" / "config"]

    output = scene.run(**OTHERS, GITLAB_CI="true")

    assert "1 failed, 7 passed" in output
    assert "secrets    = ([secret]," in output
    assert "unknown setting COVERALLS_REPO_TOKENS" in output
    assert (scene.folder / "debug.log").stat().st_size > 10_000
    assert "test_that_fails_with_locals" in (scene.folder / "junit.xml").read_text()
    (job,) = scene.server.jobs
    assert job["repo_token"] == CANARY
    assert "https://github.com/octo/a.git" in [remote["url"] for remote in job["git"]["remotes"]]
    assert "5521" not in json.dumps(job)
    scene.assert_silent(output, CANARY, "remote-5521-canary", *OTHERS.values())


def test_the_github_token_is_shown_nowhere(scene: Scene) -> None:
    env = {"GITHUB_ACTIONS": "true", "GITHUB_TOKEN": GITHUB_CANARY, "GITHUB_RUN_ID": "9001"}

    output = scene.run(**env, GITHUB_REPOSITORY="octo/sample", CI_NAME="")

    assert [job["repo_token"] for job in scene.server.jobs] == [GITHUB_CANARY]
    assert (scene.out / "summary.md").read_text()
    assert (scene.out / "output").read_text()
    scene.assert_silent(output, GITHUB_CANARY)


@needs_xdist
def test_workers_and_jobs_on_disk_have_no_token(scene: Scene) -> None:
    path = scene.folder.parent / "mounted"
    path.write_text(CANARY + "\n")
    scene.server.respond(503)

    output = scene.run("-n1", "--coveralls-save=saved.json", COVERALLS_REPO_TOKEN_FILE=str(path))

    assert [path.name for path in kept(scene.runner)] == ["job-77.json"], output
    assert json.loads((scene.folder / "saved.json").read_bytes())["source_files"]
    scene.assert_silent(output)


BROKEN_COVERAGE = """
import coverage, os, pytest

@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish():
    def get_data(self):
        raise RuntimeError(f"<{os.environ['COVERALLS_REPO_TOKEN']}>")
    coverage.Coverage.get_data = get_data
"""


def test_an_internal_error_shows_nothing(scene: Scene) -> None:
    """Neither locals of our frames nor the exception's text."""
    (scene.folder / "breaker.py").write_text(BROKEN_COVERAGE)

    output = scene.run("-p", "breaker", COVERALLS_REPO_TOKEN=CANARY, PYTHONPATH=str(scene.folder))

    assert "internal error: RuntimeError: <[secret]>" in output
    scene.assert_silent(output)
