"""A canary token, and every place it must not be found in."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from faulty import Faulty
from running import Runner, ended, importable, needs_xdist, start, told
from standin import GITHUB_TOKEN_STARTS, StandIn

CANARY = "canary+7d1e/93b04c58=aa21f6"
GITHUB_CANARY = f"{GITHUB_TOKEN_STARTS[0]}Canary93b04c58aa21f67d1eQzPq"
pytestmark = pytest.mark.slow
# As much as pytest can be made to say.
LOUD = (
    *("-l", "-vv", "--full-trace", "--tb=long", "--debug=debug.log", "-rA", "-o", "log_cli=true"),
    *("-o", "log_level=DEBUG", "-o", "log_file=log.txt", "-o", "log_file_level=DEBUG"),
    *("--junit-xml=junit.xml", "-o", "junit_logging=all", "--cov-report=", "--coveralls"),
)
# A project that leaves http.client talking, and fails a test beside our frames.
CONFTEST = """
import http.client, logging

http.client.HTTPConnection.debuglevel = 1
logging.basicConfig(level=logging.DEBUG)
"""
FAILING = """
def test_that_fails_with_locals(request):
    config, manager = request.config, request.config.pluginmanager
    reporter = manager.get_plugin("coveralls_reporter")
    plan = getattr(reporter, "plan", None)
    secrets, env, settings = (getattr(plan, name, None) for name in ("secrets", "env", "settings"))
    values = getattr(settings, "values", None)
    options, ini = vars(config.option), None
    assert reporter is None, "to see all of it"
"""


class Scene:
    """A project with the canary in its settings, a server that knows it, and all that was made."""

    def __init__(self, folder: Path, server: StandIn) -> None:
        self.folder = folder
        self.server = server
        self.runner = Runner(folder, server)
        self.out = folder.parent / "out"
        self.out.mkdir()
        del self.runner.env["COVERALLS_REPO_TOKEN"]
        self.runner.env |= {
            "GIT_TRACE": str(self.out / "git-trace"),
            "GIT_TRACE2_EVENT": str(self.out / "git-events"),
            "GIT_TRACE2_ENV_VARS": "COVERALLS_REPO_TOKEN,GITHUB_TOKEN,COVERALLS_TOKEN",
            "TMPDIR": str(self.out),
            "PYTHONFAULTHANDLER": "1",
            "GITHUB_STEP_SUMMARY": str(self.out / "summary.md"),
            "GITHUB_OUTPUT": str(self.out / "output"),
        }
        self.allowed: list[Path] = []
        """Files of the user's own that hold the token."""

    def run(self, *more: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run pytest as loud as it gets."""
        return self.runner(*LOUD, *more, env=env)

    def command(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run ``python -m pytest_coveralls_submit``."""
        return self.runner(*arguments, module="pytest_coveralls_submit", env=env)

    def assert_silent(self, result: subprocess.CompletedProcess[str] | str, *secrets: str) -> None:
        """No form of any secret in what was printed or written."""
        output = result if isinstance(result, str) else result.stdout
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
    """A secret as it may be spelled, and the greater part of it."""
    packed = base64.b64encode(secret.encode()).decode()
    return {secret, json.dumps(secret)[1:-1], quote(secret, safe=""), packed, secret[:-6]}


@pytest.fixture
def scene(project: Path) -> Iterator[Scene]:
    """The sample project, with the canary known to the server."""
    (project / "conftest.py").write_text(CONFTEST)
    (project / "tests" / "test_locals.py").write_text(FAILING)
    with StandIn(tokens=[CANARY], github_tokens=[GITHUB_CANARY]) as server:
        yield Scene(project, server)
        assert server.findings == []


# --- where the token comes from --------------------------------------------------------------


def in_variable(scene: Scene) -> dict[str, str]:
    """The usual way."""
    return {"COVERALLS_REPO_TOKEN": CANARY}


def in_token_file(scene: Scene) -> dict[str, str]:
    """A mounted secret."""
    path = scene.folder.parent / "mounted"
    path.write_text(CANARY + "\n")
    return {"COVERALLS_REPO_TOKEN_FILE": str(path)}


def in_ini(scene: Scene) -> dict[str, str]:
    """In pytest's ini file, against all advice."""
    path = scene.folder / "pytest.ini"
    path.write_text(f"[pytest]\npythonpath = .\ncoveralls_repo_token = {CANARY}\n")
    scene.allowed.append(path)
    return {}


def in_yml(scene: Scene) -> dict[str, str]:
    """In the file that other clients read."""
    path = scene.folder / ".coveralls.yml"
    path.write_text(f"repo_token: {CANARY}\n")
    scene.allowed.append(path)
    return {}


@pytest.mark.parametrize("source", [in_ini, in_yml])
def test_a_token_of_a_file_is_shown_nowhere(
    scene: Scene, source: Callable[[Scene], dict[str, str]]
) -> None:
    """Output, locals, junit XML, debug log, log file, cache, git trace: only the server has it."""
    result = scene.run(**source(scene))

    assert result.returncode == 1, result.stdout
    assert "1 failed, 7 passed" in result.stdout
    assert "secrets    = ([secret]," in result.stdout
    assert (scene.folder / "debug.log").stat().st_size > 10_000
    assert "test_that_fails_with_locals" in (scene.folder / "junit.xml").read_text()
    assert [job["repo_token"] for job in scene.server.jobs] == [CANARY]
    scene.assert_silent(result)


REMOTES = {
    "password": ("https://user:{}@github.com/octo/a.git", "https://github.com/octo/a.git"),
    "token": ("https://{}@github.com/octo/b.git", "https://github.com/octo/b.git"),
    "query": ("https://github.com/octo/c.git?t={}#{}", "https://github.com/octo/c.git"),
    "ssh": ("ssh://git:{}@host.example.org/x", "ssh://host.example.org/x"),
}
OTHERS = {
    "AWS_SECRET_ACCESS_KEY": "aws-5521-canary",
    "CI_JOB_TOKEN": "job-5521-canary",
    "COVERALLS_GITLAB_TOKEN": "status-5521-canary",
    "COVERALLS_REPO_TOKENS": "misspelled-5521-canary",
    "COVERALLS_TOKEN": "other-5521-canary",
}


def test_no_secret_of_the_environment_or_of_git_is_shown_or_sent(scene: Scene) -> None:
    """The token goes to the server, other variables and the passwords of remotes go nowhere."""
    for name, (url, _) in REMOTES.items():
        address = url.replace("{}", f"{name}-5521-of-a-remote")
        subprocess.run(["git", "remote", "add", name, address], cwd=scene.folder, check=True)
    scene.allowed.append(scene.folder / ".git" / "config")
    address = "https://gitlab-ci-token:job-5521-canary@gitlab.example.org/x.git"

    result = scene.run(**in_variable(scene), **OTHERS, CI_REPOSITORY_URL=address, GITLAB_CI="true")

    (job,) = scene.server.jobs
    assert job["repo_token"] == CANARY
    shown = {remote["name"]: remote["url"] for remote in job["git"]["remotes"]}
    assert {name: shown[name] for name in REMOTES} == {n: url for n, (_, url) in REMOTES.items()}
    assert "5521" not in json.dumps(job)
    assert "unknown setting COVERALLS_REPO_TOKENS" in result.stdout
    scene.assert_silent(
        result, CANARY, *OTHERS.values(), *(f"{name}-5521-of-a-remote" for name in REMOTES)
    )


def test_the_github_token_is_shown_nowhere(scene: Scene) -> None:
    """GitHub's own token may have the right to write."""
    env = {"GITHUB_ACTIONS": "true", "GITHUB_TOKEN": GITHUB_CANARY, "GITHUB_RUN_ID": "9001"}
    result = scene.run(**env, GITHUB_REPOSITORY="octo/sample", CI_NAME="")

    assert [job["repo_token"] for job in scene.server.jobs] == [GITHUB_CANARY]
    assert (scene.out / "summary.md").read_text()
    assert (scene.out / "output").read_text()
    scene.assert_silent(result, GITHUB_CANARY)


@needs_xdist
def test_workers_do_not_get_the_token_by_their_options(scene: Scene) -> None:
    """Xdist hands options and arguments to each worker; the saved job holds no token either."""
    result = scene.run("-n1", "--coveralls-save=saved.json", **in_token_file(scene))

    assert [job["repo_token"] for job in scene.server.jobs] == [CANARY], result.stdout
    assert json.loads((scene.folder / "saved.json").read_bytes())["source_files"]
    scene.assert_silent(result)


# --- what goes wrong -------------------------------------------------------------------------


def test_a_port_without_a_server_shows_nothing(scene: Scene) -> None:
    """The exception of a failed connection names the URL: there is no token in it."""
    with Faulty("refuse") as faulty:
        result = scene.run(**in_variable(scene), COVERALLS_HOST=faulty.url)

    assert "coveralls: failed: connection refused" in result.stdout
    scene.assert_silent(result)


@pytest.mark.skipif(sys.platform != "linux", reason="sends SIGINT and looks into /proc")
def test_ctrl_c_while_sending_shows_nothing(scene: Scene) -> None:
    """Nor does any argument list while the server has the job."""
    with Faulty("hang") as faulty:
        env = {**in_variable(scene), "COVERALLS_HOST": faulty.url}
        run = start(scene.runner, *LOUD, **env)
        with ended(run) as wait:
            assert faulty.wait_for(requests=1, timeout=60)
            arguments = [
                path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if readable(path)
            ]
            run.send_signal(signal.SIGINT)
            output, _ = wait()

    assert run.returncode == 2, output
    assert "interrupted while sending" in output
    assert any(b"pytest_coveralls_submit.delivery.transport" in line for line in arguments)
    assert not any(CANARY.encode() in line for line in arguments)
    scene.assert_silent(output)


def readable(path: Path) -> bool:
    """Whether a process is still there."""
    try:
        return bool(path.read_bytes())
    except OSError:
        return False


BREAKER = """
import importlib, os

def broken(*arguments, **keywords):
    raise RuntimeError(f"broken with {arguments} {keywords} {os.environ.get('ECHO', '')}")

module, _, name = os.environ["BREAK"].rpartition(".")
setattr(importlib.import_module("pytest_coveralls_submit." + module), name, broken)
"""


FAULTS = importable(
    "settings.sources.resolve",
    "job.identity.compose",
    "upload.post",
    "delivery.answers.judge_job",
)


@pytest.mark.parametrize(
    ("where", "source"), list(zip(FAULTS, [in_yml, in_ini, in_variable, in_variable], strict=True))
)
def test_a_fault_of_ours_shows_nothing(
    scene: Scene, where: str, source: Callable[[Scene], dict[str, str]]
) -> None:
    """Neither locals of our frames nor the exception's text: redaction goes by value."""
    (scene.folder / "breaker.py").write_text(BREAKER)
    echo = f"<{CANARY}>" if where == "delivery.answers.judge_job" else ""

    result = scene.run(
        *("-p", "breaker"), **source(scene), BREAK=where, ECHO=echo, PYTHONPATH=str(scene.folder)
    )

    assert "internal error: RuntimeError" in result.stdout
    assert ("<[secret]>" in result.stdout) == bool(echo)
    scene.assert_silent(result)


def test_a_setting_that_cannot_be_used_shows_nothing(scene: Scene) -> None:
    """A usage error names the setting at fault, and shows no other."""
    result = scene.run(**in_variable(scene), COVERALLS_HOST="ftp://example.org")

    assert result.returncode == 4, result.stdout
    assert "COVERALLS_HOST" in result.stdout
    scene.assert_silent(result)


@pytest.mark.parametrize("name", [".coveralls.yml", "mounted"])
def test_a_broken_file_that_holds_the_token_is_not_quoted(scene: Scene, name: str) -> None:
    """The parser's message may hold the line at fault, a decoding error the bytes."""
    path = scene.folder / name
    path.write_bytes(f"repo_token: {CANARY}\n\tbad\xff".encode("latin-1"))
    scene.allowed.append(path)

    result = scene.run(**{"COVERALLS_REPO_TOKEN_FILE": name} if name == "mounted" else {})

    assert result.returncode == 4, result.stdout
    assert name in result.stdout
    scene.assert_silent(result)


# --- a server that repeats it ----------------------------------------------------------------


def test_a_refusal_that_repeats_the_token_is_not_quoted(scene: Scene) -> None:
    """In the line of the attempt, in message and trace id, also where the message is cut."""
    said = {"message": "x" * 290 + CANARY, "error": True}
    scene.server.respond(503, {"message": CANARY}, headers={"Retry-After": "0", "cf-ray": CANARY})
    scene.server.respond(422, said, headers={"cf-ray": CANARY})
    env = {"GITHUB_ACTIONS": "true", "GITHUB_RUN_ID": "9001", "COVERALLS_RETRIES": "1"}

    result = scene.run(**in_variable(scene), **env)

    assert any("attempt 1 of 2: 503" in line for line in told(result.stdout))
    (line,) = [line for line in told(result.stdout) if "422 xxx" in line and "failed" in line]
    assert "[secret]" in line
    assert "xc" not in line
    assert "xc" not in (scene.out / "summary.md").read_text()
    (kept,) = (scene.folder / ".pytest_cache").rglob("job-*.json")
    assert kept.name in result.stdout
    scene.assert_silent(result)


@pytest.mark.parametrize("status", [200, 302])
def test_an_address_that_repeats_the_token_is_not_quoted(scene: Scene, status: int) -> None:
    """The page of a job, and the target of a redirect."""
    place = f"https://{quote(CANARY, safe='')}.example.org/{CANARY}"
    said = {"url": f"https://coveralls.io/jobs/1?token={quote(CANARY, safe='')}"}
    scene.server.respond(status, said, headers={"Location": place} if status == 302 else None)

    result = scene.run(**in_variable(scene))

    assert any("redirects" in line or "sent 5 files" in line for line in told(result.stdout))
    scene.assert_silent(result)


# --- the commands ----------------------------------------------------------------------------


def test_finish_shows_nothing(scene: Scene) -> None:
    """Neither when it is refused nor when the server repeats the token."""
    refused = scene.command("finish", **in_variable(scene))
    scene.server.respond(422, {"error": f"no {CANARY}"})
    repeated = scene.command("finish", **in_variable(scene))

    assert "No build matching" in refused.stdout
    assert "no [secret]" in repeated.stdout
    assert (refused.returncode, repeated.returncode) == (1, 1)
    assert all("token" not in received.query for received in scene.server.requests)
    scene.assert_silent(refused.stdout + repeated.stdout)


def test_send_shows_nothing_and_takes_no_token_from_a_file(scene: Scene) -> None:
    """Another tool's file may hold a token: it is neither sent nor shown."""
    other = "another-tools-token-5521"
    job = {"repo_token": other, "service_name": "x", "source_files": []}
    path = scene.folder.parent / "job.json"
    path.write_text(json.dumps(job))
    result = scene.command("send", "-v", str(path), **in_variable(scene))

    assert result.returncode == 0, result.stdout
    assert [job["repo_token"] for job in scene.server.jobs] == [CANARY]
    scene.assert_silent(result, CANARY, other)


def test_a_fault_in_a_command_shows_nothing(scene: Scene) -> None:
    """The command line has no pytest around it that would catch what we raise."""
    program = """
        import os, sys
        from pytest_coveralls_submit import __main__
        from pytest_coveralls_submit.delivery import sender

        def broken(*arguments, **keywords):
            raise RuntimeError(os.environ["COVERALLS_REPO_TOKEN"])

        sender.send = broken
        sys.exit(__main__.main(["finish"]))
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=scene.folder,
        env={**scene.runner.env, **in_variable(scene)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert "coveralls: failed: internal error: RuntimeError" in result.stdout
    scene.assert_silent(result)
