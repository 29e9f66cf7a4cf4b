"""The child process that sends: clean, silent about the token, and gone when its time is up."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import textwrap
import threading
import time
import venv
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from faulty import Behaviour, Faulty, Scripted, http
from standin import COVERALLS_TOKEN, StandIn

from pytest_coveralls_submit import SYS_PATH
from pytest_coveralls_submit.delivery import sender
from pytest_coveralls_submit.delivery.sender import Answer, Call, Policy
from pytest_coveralls_submit.errors import ProcessError
from pytest_coveralls_submit.secret import Secret

TOKEN = COVERALLS_TOKEN
BODY = json.dumps({"repo_token": TOKEN, "service_name": "test-ci", "source_files": []}).encode()
SLACK = 5.0  # seconds that a busy machine may take on top

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def send(
    url: str = "http://127.0.0.1:1",
    *,
    body: Iterable[bytes] = (BODY,),
    env: Mapping[str, str] | None = None,
    say: Callable[[str], None] = lambda _: None,
    token: str = TOKEN,
    **policy: Any,
) -> Answer:
    """Send a job as a run does."""
    call = Call(method="POST", url=f"{url}/api/v1/jobs", form="json_file", compress=True)
    given = Policy(**{"connect_timeout": 5.0, "read_timeout": 5.0, "deadline": 30.0, **policy})
    env = os.environ if env is None else env
    return sender.send(call, body, given, env=env, say=say, secrets=(Secret(token),))


def at_start(folder: Path, code: str) -> dict[str, str]:
    """Return an environment in which Python runs ``code`` when it starts."""
    (folder / "sitecustomize.py").write_text(textwrap.dedent(code))
    return {**os.environ, "PYTHONPATH": str(folder)}


def fake(folder: Path, body: str) -> dict[str, str]:
    """Return an environment in which the child does something else."""
    text = "import json, os, sys, time\ndef serve(deadline):\n" + textwrap.indent(body, "    ")
    return at_start(folder, f"{text}\nsys.modules[{sender.__name__!r}] = sys.modules[__name__]\n")


def test_a_job_goes_through_and_the_answer_comes_back(server: StandIn) -> None:
    answer = send(server.url, body=(BODY[:10], b"", BODY[10:]))

    assert len(server.jobs) == 1
    assert (answer.status, answer.attempts, answer.ambiguous) == (200, 1, False)
    assert json.loads(answer.text)["url"].startswith(server.url)
    assert answer.headers == {"cf-ray": "8f00aa11bb22cc33-FRA"}
    assert answer.size == len(server.requests[0].body)
    assert 0 < answer.seconds < 30


def test_failed_attempts_are_told_while_the_child_works(server: StandIn) -> None:
    """An error in telling ends the child before it tries again."""

    def say(text: str) -> None:
        raise LookupError(text)

    server.respond(503, headers={"Retry-After": "9"})
    with pytest.raises(LookupError, match=r"attempt 1 of 2: 503 .*; retrying in 9\.0 s"):
        send(server.url, retries=1, say=say)

    assert len(server.requests) == 1


@pytest.mark.parametrize("echo", [TOKEN, "x" * 290 + TOKEN], ids=["whole", "cut"])
def test_what_a_server_repeats_of_the_token_is_hidden(echo: str) -> None:
    """Not even most letters of it are shown."""
    said: list[str] = []
    with Scripted(lambda _: http(503, b"", f"CF-Ray: {echo}", reason=echo)) as server:
        answer = send(server.url, say=said.append, retries=1)

    for text in (answer.problem, answer.headers["cf-ray"], said[0]):
        assert TOKEN[:12] not in text
    assert len(answer.problem) <= 300


def test_a_token_does_not_change_what_an_answer_means() -> None:
    with Scripted(lambda _: http(200, b'{"acceptance": true}')) as server:
        answer = send(server.url, token="acceptance")

    assert json.loads(answer.text) == {"acceptance": True}


def test_the_child_gets_environment_and_import_path_of_session_start(tmp_path: Path) -> None:
    """Without what coverage uses to measure child processes."""
    say = "print(json.dumps({'answer': {'text': json.dumps([dict(os.environ), sys.path])}}))"
    given = {"PATH": "/bin", "COVERALLS_REPO_TOKEN": "abcdefgh", "HTTPS_PROXY": "http://proxy"}
    given["PYTHONPATH"] = fake(tmp_path, say)["PYTHONPATH"]
    if sys.platform == "win32":
        given["SYSTEMROOT"] = os.environ["SYSTEMROOT"]  # without it no Python starts
    coverages = {"COVERAGE_PROCESS_START": "x", "COV_CORE_SOURCE": "x"}

    env, used = json.loads(send(env={**given, **coverages}, token="-" * 8).text)

    assert given.items() <= env.items()
    assert not coverages.keys() & env.keys()
    assert used == list(SYS_PATH)


def test_nothing_is_imported_from_the_current_directory(
    server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the path names it; a deleted one does no harm."""
    for name in ("json", "requests", "pytest_coveralls_submit", "chardet"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')\n")
    monkeypatch.chdir(tmp_path)

    assert send(server.url).status == 200
    if sys.platform != "win32":  # a directory in use stays there
        shutil.rmtree(tmp_path)
        assert send(server.url).status == 200


def test_what_tests_and_variables_do_does_not_reach_the_child(
    server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("patched by a test")

    env = {**os.environ, "PYTHONWARNINGS": "error"}
    for name in ("socket.socket.connect", "requests.Session.send", "time.sleep"):
        monkeypatch.setattr(name, refuse)
    monkeypatch.setattr("time.monotonic", lambda: 0.0)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    server.respond(503, headers={"Retry-After": "0"})

    assert send(server.url, env=env, retries=1).status == 200


@pytest.mark.parametrize("behaviour", ["header drip", "body drip", "hang"])
def test_whatever_the_server_does_it_is_over_at_the_deadline(behaviour: Behaviour) -> None:
    """Time-outs of single reads do not bound a drip; the child's own timer does."""
    started = time.monotonic()
    with Faulty(behaviour) as faulty:
        answer = send(faulty.url, deadline=1.0, retries=10, retry_ambiguous=True)
        took = time.monotonic() - started

    assert faulty.received
    assert took < 1.0 + 2.0 + SLACK
    assert (answer.status, answer.ambiguous) == (None, True)
    if "drip" in behaviour:
        assert answer.problem == "no result within 1 s"


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start Python by a program that runs it in a process of its own, as on Windows."""
    folder = tmp_path / "launcher"
    if sys.platform == "win32":
        venv.create(folder, symlinks=False)
        path = folder / "Scripts" / "python.exe"
    else:
        folder.mkdir()
        path = folder / "python"
        path.write_text(f'#!/bin/sh\n{shlex.quote(sys.executable)} "$@"\nexit $?\n')
        path.chmod(0o755)
    monkeypatch.setattr(sender, "PYTHON", str(path))


@pytest.mark.usefixtures("launcher")
def test_a_job_goes_through_a_virtual_environments_launcher(server: StandIn) -> None:
    answer = send(server.url, body=[b" " * 500_000, BODY])

    assert (answer.status, len(server.jobs)) == (200, 1)


@pytest.mark.usefixtures("launcher")
def test_a_child_behind_a_launcher_is_not_waited_for(tmp_path: Path) -> None:
    """It holds the pipe although its launcher was killed."""
    started = time.monotonic()
    answer = send(env=fake(tmp_path, "time.sleep(15)"), body=[b"x" * 2**20] * 4, deadline=0.5)

    assert time.monotonic() - started < 0.5 + 2.0 + SLACK
    assert (answer.problem, answer.ambiguous) == ("no result within 0.5 s", True)


@linux
def test_a_child_whose_parent_was_killed_ends_at_the_deadline_too() -> None:
    """Nobody is left to kill it: a server that drips must not hold it, and the token, for ever."""
    program = """
        import os, sys
        from pytest_coveralls_submit.delivery.sender import Call, Policy, send

        call = Call(method="POST", url=sys.argv[1], form="json_file")
        send(call, [os.environb[b"TOKEN"]], Policy(deadline=1.0), env={}, say=print)
    """
    with Faulty("header drip") as faulty:
        command = [sys.executable, "-c", textwrap.dedent(program), faulty.url]
        parent = subprocess.Popen(command, env={**os.environ, "TOKEN": TOKEN})
        assert faulty.asked.wait(10)
        (child,) = children_of(parent.pid)
        assert TOKEN.encode() not in Path(f"/proc/{child}/cmdline").read_bytes()
        parent.kill()
        parent.wait()
        last = time.monotonic() + 1.0 + 2.0 + SLACK
        while Path(f"/proc/{child}/fd").exists() and time.monotonic() < last:
            threading.Event().wait(0.02)

        assert not Path(f"/proc/{child}/exe").exists()


def children_of(parent: int) -> list[int]:
    """Return the processes that one has started and not collected."""
    text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(word) for word in text.split()]


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("pass", r"ended without an answer \(exit status 0\)"),
        ("print('{\"answer\": {'); os._exit(3)", r"ended without an answer \(exit status 3\)"),
        ("print('[1]', 'null', '{}', sep='\\n')", r"ended without an answer \(exit status 0\)"),
        pytest.param(  # the kernel may kill it when memory is short
            "os.kill(os.getpid(), 9)", r"ended without an answer \(signal 9\)", marks=linux
        ),
    ],
)
def test_a_child_that_ends_without_an_answer_is_an_error(
    tmp_path: Path, code: str, problem: str
) -> None:
    with pytest.raises(ProcessError, match=problem):
        send(env=fake(tmp_path, code))


def test_a_child_that_misses_its_library_says_so(tmp_path: Path) -> None:
    env = at_start(tmp_path, "import sys; sys.modules['requests'] = None")

    with pytest.raises(ProcessError, match=r"job failed: .*import of requests halted"):
        send(env=env)


def test_what_others_do_when_python_starts_works_in_the_child(
    server: StandIn, tmp_path: Path
) -> None:
    """As ``.pth`` files of pip-system-certs; half a line on the way does not hide the answer."""
    code = f"import os; os.environ['http_proxy'] = {server.url!r}; print('welcome', end='')"

    assert send("http://coveralls.invalid", env=at_start(tmp_path, code)).status == 200


def test_an_error_while_sending_ends_the_child(server: StandIn) -> None:
    """Half a job is never sent."""

    def pieces() -> Iterator[bytes]:
        yield BODY[:10]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        send(server.url, body=pieces())
    assert server.requests == []
    if sys.platform == "linux":
        assert children_of(os.getpid()) == []
