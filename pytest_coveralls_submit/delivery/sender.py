"""Make one call to a server in a child process.

The child has the environment and the import path of session start, so that nothing that tests
leave behind reaches it: mocked requests, blocked sockets, frozen clocks, other variables, gevent.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from json import dumps, loads
from threading import Timer
from time import monotonic
from typing import Any, Literal

from .. import SYS_PATH, child_process
from ..errors import ProcessError
from ..secret import Secret, redact
from ..text import one_line

PROBLEM_LIMIT = 300  # letters shown of a problem or of a server's message
# Coveralls' support asks for the first; the others are the names that gateways use.
TRACE_HEADERS = ("cf-ray", "x-request-id", "x-amzn-requestid", "x-amzn-trace-id", "x-trace-id")
LAST_ANSWER_AFTER = 0.5  # seconds past the deadline at which the child gives up by itself
KILLED_AFTER = 1.5  # seconds past the deadline at which the child is killed
COVERAGES = ("COV_CORE_", "COVERAGE_PROCESS_")  # variables that measure child processes
PYTHON = sys.executable or "python"
# Without it Python 3.13.0 imports no socket where the current directory is gone.
SAFE_PATH = ("-P",) if sys.version_info >= (3, 11) else ()
BOOT = (
    "import sys; sys.path[:] = sys.argv[2:]; "
    f"from {__name__} import serve; serve(float(sys.argv[1]))"
)


@dataclass(frozen=True, kw_only=True)
class Call:
    """Describe one request, without its body."""

    method: Literal["GET", "POST"]
    url: str = field(repr=False)  # GitLab's older API has its token here
    form: Literal["json_file", "json", "none"]  # the first is multipart, for Coveralls' jobs
    compress: bool = False
    headers: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Set patience, in seconds, and trust."""

    retries: int = 0
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    deadline: float = 60.0
    retry_ambiguous: bool = False  # repeat what the server may have taken
    ca_bundle: str | None = None
    verify: bool = True


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Hold the server's answer, or the problem."""

    status: int | None = None
    problem: str = ""  # status and reason phrase, or the reason for no answer
    text: str = field(default="", repr=False)  # of the body, where a server may repeat secrets
    headers: dict[str, str] = field(default_factory=dict)  # names in lower case
    attempts: int = 1
    seconds: float = 0.0
    size: int = 0  # bytes of the request's body that were sent
    proxy: str = ""  # its address without credentials, and the variable that names it
    ambiguous: bool = False  # the server may have taken the request without saying so
    retriable: bool = False  # it may be otherwise the next time
    retry_after: float = 0.0  # seconds that the server asks to wait


def send(
    call: Call,
    body: Iterable[bytes],
    policy: Policy,
    *,
    env: Mapping[str, str],
    say: Callable[[str], None],
    secrets: Sequence[Secret] = (),
) -> Answer:
    """Make ``call`` in a child process, within ``policy.deadline`` + 2 s.

    Args:
        env: the environment of session start.
        say: prints a line about each attempt that failed and is made again.
        secrets: not to be shown in the answer's problem and headers.

    Raises:
        ProcessError: the child did not start, or ended without an answer.
    """
    first_line = dumps({"call": asdict(call), "policy": asdict(policy)}).encode() + b"\n"
    # PYTHONWARNINGS may be "error".
    command = [PYTHON, *SAFE_PATH, "-Wignore", "-c", BOOT, str(policy.deadline), *SYS_PATH]
    kept = {name: value for name, value in env.items() if not name.startswith(COVERAGES)}
    try:
        with child_process.start(command, env=kept) as child:
            blocks = child.exchange(chain([first_line], body), policy.deadline + KILLED_AFTER)
            for kind, value in _messages(blocks):
                if kind == "answer":
                    answer = Answer(**value)  # its text is parsed before it is redacted
                    headers = {key: redact(text, secrets) for key, text in answer.headers.items()}
                    problem = redact(answer.problem, secrets)[:PROBLEM_LIMIT]
                    return replace(answer, problem=problem, headers=headers)
                if kind == "error":
                    raise ProcessError(f"the process that sends the job failed: {value}")
                say(redact(value, secrets)[:PROBLEM_LIMIT])
    except child_process.ChildTimeoutError:
        return _no_result(policy.deadline)
    how = f"signal {-child.status}" if child.status < 0 else f"exit status {child.status}"
    raise ProcessError(f"the process that sends the job ended without an answer ({how})")


def _messages(blocks: Iterable[bytes]) -> Iterator[tuple[str, Any]]:
    rest = b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            with suppress(ValueError, AttributeError):  # printed by others
                [(kind, value)] = loads(line).items()
                if kind in {"answer", "say", "error"}:
                    yield kind, value


def _no_result(deadline: float) -> Answer:
    return Answer(problem=f"no result within {deadline:g} s", seconds=deadline, ambiguous=True)


def serve(deadline: float) -> None:
    """Make the call on standard input; answer with a JSON object a line."""
    started = monotonic()

    def write(kind: str, value: object) -> None:
        # Others may have printed half a line.
        sys.stdout.buffer.write(b"\n" + dumps({kind: value}).encode() + b"\n")
        sys.stdout.buffer.flush()

    def give_up() -> None:
        try:
            write("answer", asdict(_no_result(deadline)))
        finally:
            os._exit(0)

    # Its reason is all that the parent can show.
    sys.excepthook = lambda _, error, __: write("error", one_line(error))
    timer = Timer(deadline + LAST_ANSWER_AFTER, give_up)
    timer.daemon = True
    timer.start()
    asked = loads(sys.stdin.buffer.readline())
    body = sys.stdin.buffer.read()
    from .transport import deliver

    policy = Policy(**asked["policy"])
    policy = replace(policy, deadline=policy.deadline - (monotonic() - started))
    answer = deliver(Call(**asked["call"]), body, policy, lambda text: write("say", text))
    write("answer", asdict(answer))
