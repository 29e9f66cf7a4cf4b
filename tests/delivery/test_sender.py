"""The process that sends: clean, silent about the token, and gone when its time is up."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from faulty import Behaviour, Faulty
from scripted import Scripted, http
from standin import COVERALLS_TOKEN, StandIn

from pytest_coveralls_submit import children
from pytest_coveralls_submit.delivery import sender
from pytest_coveralls_submit.delivery.messages import Answer, Call, Policy, Progress
from pytest_coveralls_submit.errors import ProcessError
from pytest_coveralls_submit.secret import Secret

TOKEN = COVERALLS_TOKEN
BODY = json.dumps({"repo_token": TOKEN, "service_name": "test-ci", "source_files": []}).encode()
SLACK = 5.0  # seconds that a busy machine may take on top

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
posix = pytest.mark.skipif(sys.platform == "win32", reason="starts a shell script")


def send(
    url: str,
    *,
    env: Mapping[str, str] | None = None,
    progress: Callable[[Progress], None] | None = None,
    body: tuple[bytes, ...] = (BODY,),
    **policy: Any,
) -> Answer:
    """Send a job as a run does."""
    return sender.send(
        Call(method="POST", url=f"{url}/api/v1/jobs", form="json_file", compress=True),
        body,
        Policy(**{"connect_timeout": 5.0, "read_timeout": 5.0, "deadline": 30.0, **policy}),
        dict(os.environ) if env is None else env,
        progress or (lambda _: None),
        (Secret(TOKEN),),
    )


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """No child and no thread outlives a sending."""
    threads = threading.enumerate()
    yield
    assert threading.enumerate() == threads
    if sys.platform == "linux":
        assert children_of() == []


def children_of(parent: int | None = None) -> list[int]:
    """The processes that one, by default this one, started and has not collected."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # ended meanwhile
                continue
            if int(fields[1]) == (parent or os.getpid()):
                found.append(int(entry.name))
    return found


@contextmanager
def held(env: Mapping[str, str], **policy: Any) -> Iterator[tuple[int, Any]]:
    """Send to a server that has the whole job and says nothing: the child, and its result to be."""
    # The server stops first, and with it what the pool waits for.
    with ThreadPoolExecutor(1) as pool, Faulty("hang") as faulty:
        result = pool.submit(send, faulty.url, env=env, **policy)
        assert faulty.wait_for(requests=1)
        (child,) = children_of()
        yield child, result


# --- what the child is given -----------------------------------------------------------------


@linux
def test_the_child_gets_the_environment_it_was_given_and_no_more(tmp_path: Path) -> None:
    """Proxies and CA files of session start go along; coverage's, pytest's and Python's do not."""
    unwanted = {
        "COVERAGE_PROCESS_START": str(tmp_path / "coveragerc"),
        "COVERAGE_PROCESS_CONFIG": "x",
        "COV_CORE_SOURCE": "x",
        "PYTEST_CURRENT_TEST": "x",
        "PYTEST_ADDOPTS": "-x",
        "PYTHONWARNINGS": "error",
        "PYTHONPATH": str(tmp_path),
        "PYTHONSTARTUP": "x",
    }
    wanted = {"PATH": os.environ["PATH"], "no_proxy": "127.0.0.1", "SSL_CERT_DIR": "/nowhere"}
    with held({**unwanted, **wanted}) as (child, _):
        found = environment(child)

    assert found == wanted


@linux
def test_no_variable_of_the_child_holds_the_token() -> None:
    """Other processes of the user can read a process's environment."""
    env = {
        "COVERALLS_REPO_TOKEN": TOKEN,
        "COVERALLS_TOKEN": TOKEN,
        "MY_SECRETS": f"a=b;token={TOKEN};c=d",
        "KEPT": "x",
    }
    with held(env) as (child, _):
        found = environment(child)

    assert found == {"KEPT": "x"}


def environment(pid: int) -> dict[str, str]:
    """The environment of a process."""
    content = Path(f"/proc/{pid}/environ").read_text()
    return dict(entry.split("=", 1) for entry in content.split("\0") if entry)


@linux
def test_the_argument_list_of_no_process_holds_the_token() -> None:
    """The token goes through a pipe: whoever lists processes does not see it."""
    with held({"COVERALLS_REPO_TOKEN": TOKEN}) as (child, _):
        arguments = Path(f"/proc/{child}/cmdline").read_bytes()

    assert arguments.startswith(sys.executable.encode())
    assert TOKEN.encode() not in arguments


@linux
def test_the_child_leads_a_group_of_its_own() -> None:
    """Ctrl-C of the terminal reaches the run alone, which then decides."""
    with held({}) as (child, _):
        assert os.getpgid(child) == child


@pytest.mark.parametrize(
    "module",
    ["json", "requests", "ssl", "urllib3", "http", "certifi", "pytest_coveralls_submit"],
)
def test_a_module_of_the_project_does_not_take_the_place_of_ours(
    server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    """A ``json.py`` in the project is not what the child imports."""
    break_module(tmp_path, monkeypatch, module)
    answer = send(server.url)

    assert answer.status == 200
    assert len(server.jobs) == 1


@pytest.mark.parametrize("module", ["simplejson", "chardet", "brotli", "brotlicffi", "zstandard"])
def test_a_module_that_requests_would_like_is_not_taken_from_the_project(
    server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    """Requests and urllib3 look for helpers: the project's own is not run beside the token."""
    break_module(tmp_path, monkeypatch, module)
    answer = send(server.url)

    assert answer.status == 200
    assert len(server.jobs) == 1


def break_module(folder: Path, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """Put a module that cannot be imported where ``python -m pytest`` would find it."""
    (folder / f"{module}.py").write_text("raise SystemExit('the wrong module')\n")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)


@posix
def test_a_deleted_working_directory_does_not_matter(
    server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test may have removed the directory that it left the run in."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    assert send(server.url).status == 200


def test_what_tests_do_to_requests_and_sockets_does_not_reach_the_child(
    server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child is a new interpreter: patches stay behind."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("patched by a test")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("requests.Session.send", refuse)
    monkeypatch.setattr("time.sleep", refuse)
    monkeypatch.setattr("time.monotonic", lambda: 0.0)
    monkeypatch.setattr("http.client.HTTPConnection.debuglevel", 1)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    server.respond(503, headers={"Retry-After": "0"})
    env = {name: os.environ[name] for name in os.environ if name != "http_proxy"}

    assert send(server.url, env=env, retries=1).status == 200


# --- what comes back -------------------------------------------------------------------------


def test_a_job_goes_through_and_the_answer_comes_back(server: StandIn) -> None:
    """Body in pieces, answer with status, text, headers, size and time."""
    answer = send(server.url, body=(BODY[:10], b"", BODY[10:]))

    assert len(server.jobs) == 1
    assert (answer.status, answer.attempts, answer.ambiguous) == (200, 1, False)
    assert json.loads(answer.text)["url"].startswith(server.url)
    assert answer.headers == {"cf-ray": "8f00aa11bb22cc33-FRA"}
    assert answer.size == len(server.requests[0].body)
    assert 0 < answer.seconds < 30


def test_progress_arrives_while_the_child_works() -> None:
    """The second answer is given only once the first failure has been told."""
    told = threading.Event()
    seen: list[Progress] = []

    class Patient(StandIn):
        def dispatch(self, request: Any) -> Any:
            if len(self.requests) == 1 and not told.wait(20):
                self.respond(418)
            return super().dispatch(request)

    def progress(failed: Progress) -> None:
        seen.append(failed)
        told.set()

    with Patient() as server:
        server.respond(503)
        answer = send(server.url, retries=1, progress=progress)

    assert (answer.status, answer.attempts) == (200, 2)
    assert [(failed.attempt, failed.of) for failed in seen] == [(1, 2)]
    assert seen[0].problem.startswith("503 ")


@pytest.mark.parametrize(
    "behaviour", ["header drip", "body drip", "hang", "slow reader", "close", "reset after"]
)
def test_whatever_the_server_does_it_is_over_at_the_deadline(behaviour: Behaviour) -> None:
    """Time-outs of single reads do not bound a drip; the end of the child does."""
    interval = 2.0 if behaviour == "slow reader" else 0.05
    with Faulty(behaviour, interval=interval) as faulty:
        started = time.monotonic()
        answer = send(faulty.url, deadline=1.0, retries=10, retry_ambiguous=True)
        took = time.monotonic() - started

        assert faulty.connections >= 1
    assert took < 1.0 + 2.0 + SLACK
    assert answer.status is None
    assert answer.ambiguous
    if "drip" in behaviour:
        assert answer.problem == "no result within 1 s"
        assert took >= 1.0


@posix
def test_a_child_that_never_reads_is_killed_at_the_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that does not even fit into the pipe cannot hold the run."""
    monkeypatch.setattr(children, "PYTHON", script(tmp_path, "exec sleep 600"))
    started = time.monotonic()
    answer = send("http://127.0.0.1:1", body=(b"x" * 2**20,) * 4, deadline=0.5)

    assert time.monotonic() - started < 0.5 + 2.0 + SLACK
    assert answer.problem == "no result within 0.5 s"


# --- when it goes wrong ----------------------------------------------------------------------


def script(folder: Path, *lines: str) -> str:
    """A program to be started in place of Python."""
    path = folder / "python"
    path.write_text("\n".join(("#!/bin/sh", *lines, "")))
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("executable", ["/nowhere/python", "", "None"])
def test_an_interpreter_that_is_not_there_is_an_error_in_words(executable: str) -> None:
    """``sys.executable`` may name a file that is gone, nothing at all, or be None."""
    value = None if executable == "None" else executable
    program = f"""
        import sys
        sys.executable = {value!r}
        from pytest_coveralls_submit.delivery import sender
        from pytest_coveralls_submit.delivery.messages import Call, Policy
        from pytest_coveralls_submit.errors import ProcessError

        call = Call(method="POST", url="http://127.0.0.1:1/", form="json")
        try:
            sender.send(call, [b"x"], Policy(), {{}}, print)
        except ProcessError as error:
            print("told:", error)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stdout.startswith("told: "), result.stderr
    assert "could not be started" in result.stdout


@posix
@pytest.mark.parametrize(
    "said",
    ["", "loading...", "{}", '{"answer": {"sta', '{"answer": {}, "x": 1', "[1]", "null", "\\377"],
)
def test_a_child_that_ends_without_an_answer_is_an_error_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    """Silence, noise of an interpreter's start and half a line are all one kind of error."""
    program = script(tmp_path, f"printf '%b\\n' '{said}'", "cat > /dev/null")
    monkeypatch.setattr(children, "PYTHON", program)
    with pytest.raises(ProcessError):
        send("http://127.0.0.1:1")


@posix
def test_noise_of_the_interpreters_start_does_not_hide_the_answer(
    server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ``sitecustomize`` that prints something does not turn a sent job into a failed one."""
    program = script(tmp_path, "echo 'welcome'", f'exec {sys.executable} "$@"')
    monkeypatch.setattr(children, "PYTHON", program)

    assert send(server.url).status == 200
    assert len(server.jobs) == 1


@linux
def test_a_child_that_is_killed_is_an_error_in_words() -> None:
    """The kernel may kill it when memory is short."""
    with held({}) as (child, result):
        os.kill(child, signal.SIGKILL)
        with pytest.raises(ProcessError, match=r"ended by signal 9$"):
            result.result(timeout=20)


@posix
@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("echo 'Fatal: no encodings' >&2", "exit 1"), "Fatal: no encodings"),
        (("cat > /dev/null", "echo 'first' >&2", "echo '  last  ' >&2", "echo >&2"), "last"),
        ((f"echo 'about {TOKEN} here' >&2", "exit 1"), "about [secret] here"),
        (("printf '\\033[31m##vso[x]\\n' >&2", "exit 1"), r"\x1b[31m#\#vso[x]"),
        (("head -c 100000 /dev/zero | tr '\\0' x >&2", "exit 1"), "x" * 300),
    ],
    ids=["at once", "the last line", "a secret", "control", "long"],
)
def test_the_last_words_of_a_child_that_dies_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: tuple[str, ...], said: str
) -> None:
    """A missing library or a broken interpreter can be told apart by them; no secret is told."""
    monkeypatch.setattr(children, "PYTHON", script(tmp_path, *lines))
    with pytest.raises(ProcessError) as raised:
        send("http://127.0.0.1:1")

    assert str(raised.value) == f"the process that sends the job ended with: {said}"


@pytest.mark.parametrize(
    "echo", [TOKEN, json.dumps({"message": TOKEN}), "x" * 290 + TOKEN], ids=["alone", "JSON", "cut"]
)
def test_what_a_server_repeats_of_the_token_is_hidden_before_it_is_cut(echo: str) -> None:
    """Reason phrase, body and headers; not even most letters of it show."""

    def answer(_: int) -> bytes:
        return http(503, echo.encode(), f"CF-Ray: {echo}", reason=echo)

    told: list[Progress] = []
    with Scripted(answer) as server:
        said = send(server.url, progress=told.append, retries=1)

    for text in (said.problem, said.text, said.headers["cf-ray"], told[0].problem):
        assert TOKEN[:12] not in text
        assert len(text) < 400


def test_an_endless_status_line_is_cut() -> None:
    """The reason phrase is the server's text: no more of it is shown than of its message."""
    with Scripted(lambda _: http(503, b"", reason="x" * 20_000)) as server:
        answer = send(server.url)

    assert (answer.status, len(answer.problem)) == (503, 300)


# --- started early ---------------------------------------------------------------------------


@linux
def test_a_child_that_waits_has_its_library_and_no_token(server: StandIn) -> None:
    """It is told what to send when there is something to send, and the time counts from then."""
    call = Call(method="POST", url=f"{server.url}/api/v1/jobs", form="json_file", compress=True)
    env = {"COVERALLS_REPO_TOKEN": TOKEN, "MY_SECRETS": f"a={TOKEN}", "KEPT": "x"}
    with sender.ready(env, (Secret(TOKEN),)) as waiting:
        (child,) = children_of()
        assert loads_its_library(child)
        assert environment(child) == {"KEPT": "x"}
        assert TOKEN.encode() not in Path(f"/proc/{child}/cmdline").read_bytes()
        answer = waiting.send(call, [BODY], Policy(), lambda _: None)

    assert (answer.status, len(server.jobs)) == (200, 1)
    assert (
        "requests"
        not in subprocess.run(
            [sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True
        ).stdout.split()
    )


IMPORTED = "import sys, pytest_coveralls_submit.delivery.sender as s\nprint(*sys.modules)"


def loads_its_library(pid: int) -> bool:
    """Whether a process comes to have OpenSSL in memory, and then waits for its input."""
    for _ in range(1000):
        if "_ssl" in Path(f"/proc/{pid}/maps").read_text():
            return True
        threading.Event().wait(0.01)
    return False


@linux
def test_a_child_that_is_not_used_is_killed(server: StandIn) -> None:
    """Also where the block is left by an error; nothing was sent."""
    with contextlib.suppress(KeyError), sender.ready({}):
        assert len(children_of()) == 1
        raise KeyError
    assert children_of() == []
    assert server.requests == []


@linux
def test_a_child_that_waits_ends_with_its_parent() -> None:
    """It has nothing, and it stays for nobody."""
    program = """
        import os
        from pytest_coveralls_submit.delivery import sender

        with sender.ready({}) as waiting:
            print(waiting._child.pid, flush=True)
            os._exit(9)
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ends(int(ended.stdout), within=SLACK)


@linux
def test_a_child_that_stands_still_is_killed_at_the_deadline() -> None:
    """A stopped process reads and writes nothing, and can still be killed."""
    with held({}, deadline=1.5, read_timeout=20.0) as (child, result):
        os.kill(child, signal.SIGSTOP)
        answer = result.result(timeout=20)

    assert (answer.problem, answer.ambiguous) == ("no result within 1.5 s", True)


@linux
def test_a_child_whose_parent_was_killed_ends_at_the_deadline_too() -> None:
    """Nobody is left to kill it: a server that drips must not hold it, and the token, for ever."""
    program = """
        import sys
        from pytest_coveralls_submit.delivery import sender
        from pytest_coveralls_submit.delivery.messages import Call, Policy

        call = Call(method="POST", url=sys.argv[1], form="json_file")
        sender.send(call, [b"x"], Policy(deadline=1.0), {}, print)
    """
    with Faulty("header drip") as faulty:
        command = [sys.executable, "-c", textwrap.dedent(program), faulty.url]
        parent = subprocess.Popen(command)
        assert faulty.wait_for(requests=1)
        (child,) = children_of(parent.pid)
        parent.kill()
        parent.wait()
        try:
            assert ends(child, within=1.0 + 2.0 + SLACK)
        finally:
            if is_running(child):
                os.kill(child, signal.SIGKILL)


def ends(pid: int, *, within: float) -> bool:
    """Whether a process that is not our child ends in time."""
    last = time.monotonic() + within
    while is_running(pid):
        if time.monotonic() > last:
            return False
        threading.Event().wait(0.02)
    return True


def is_running(pid: int) -> bool:
    """Whether the process exists and is more than an entry in the table."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


def test_an_interrupt_ends_the_child_too(server: StandIn) -> None:
    """Ctrl-C while progress is told goes on to the caller, and no child stays."""

    def interrupt(_: Progress) -> None:
        raise KeyboardInterrupt

    server.respond(503, times=3)
    with pytest.raises(KeyboardInterrupt):
        send(server.url, retries=2, progress=interrupt)
    assert len(server.requests) == 1


@pytest.mark.parametrize("error", [MemoryError, FileNotFoundError])
def test_a_body_that_cannot_be_made_ends_the_child_too(
    server: StandIn, error: type[Exception]
) -> None:
    """An error in the middle of the job goes on to the caller; half a job is never sent."""

    def pieces() -> Iterator[bytes]:
        yield BODY[:10]
        raise error

    with pytest.raises(error):
        send(server.url, body=pieces())  # type: ignore[arg-type]
    assert server.requests == []


def test_a_large_job_passes_through_the_pipe(server: StandIn) -> None:
    """Many times what a pipe holds."""
    noise = random.Random(1).randbytes(2 * 2**20).hex()
    source = {"name": "a.py", "source_digest": "0" * 32, "coverage": [1], "source": noise}
    job = {"repo_token": TOKEN, "service_name": "test-ci", "source_files": [source]}
    body = json.dumps(job).encode()
    answer = send(server.url, body=tuple(body[i : i + 1000] for i in range(0, len(body), 1000)))

    assert answer.status == 200
    assert server.jobs[0]["source_files"][0]["source"] == noise
