"""Runs ``transport`` in a clean child process, within the deadline.

The child has the environment of session start: nothing that tests leave behind (mocked
requests, blocked sockets, frozen clocks, other variables) reaches it, and it can be killed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import IO

from . import process
from .calls import Answer, Call, Policy, Progress
from .errors import ProcessError
from .secret import Secret

# -I keeps the current directory, where anything may lie, off the child's path; the path of
# this process is added behind its own, so that it finds what is installed elsewhere.
BOOT = """
import json, sys
line = sys.stdin.buffer.readline()
sys.path += [path for path in json.loads(line)["path"] if path not in sys.path]
from pytest_coveralls_submit.transport import serve
serve(line, sys.stdin.buffer, sys.stdout.buffer)
"""
SCRUBBED = ("COVERAGE_", "COV_CORE_", "PYTEST_", "PYTHON")
GRACE = 1.0
"""Seconds past the deadline at which the child is killed; it starts and ends within them."""


def send(
    call: Call,
    body: Iterable[bytes],
    policy: Policy,
    env: Mapping[str, str],
    progress: Callable[[Progress], None],
    secrets: Iterable[Secret] = (),
) -> Answer:
    """Make ``call`` in a child process and return what the server answered.

    Args:
        call: the request without its body.
        body: the body in pieces.
        policy: attempts and time-outs; the whole takes at most ``policy.deadline`` + 2 seconds.
        env: the environment of session start.
        progress: told of each failed attempt that is made again, while it happens.
        secrets: values that the child's environment must not hold.

    Raises:
        ProcessError: the child did not start or did not say what became of the call.
    """
    asked = {
        "call": asdict(call),
        "policy": asdict(policy),
        "path": [path for path in sys.path if path],
    }
    child = process.start(
        [sys.executable, "-I", "-c", BOOT], env=_clean(env, secrets), stdin=subprocess.PIPE
    )
    with process.watched(child, policy.deadline + GRACE) as watch:
        answer = _converse(child, json.dumps(asked).encode() + b"\n", body, progress)
    if answer is None and watch.expired:
        problem = f"no result within {policy.deadline:g} s"
        return Answer(problem=problem, seconds=policy.deadline, ambiguous=True)
    if answer is None:
        raise ProcessError("the process that sends the job ended without a word")
    return answer


def _clean(env: Mapping[str, str], secrets: Iterable[Secret]) -> dict[str, str]:
    hidden = [secret.reveal() for secret in secrets]
    return {
        name: value
        for name, value in env.items()
        if not name.startswith(SCRUBBED) and not any(secret in value for secret in hidden)
    }


def _converse(
    child: subprocess.Popen[bytes],
    first_line: bytes,
    body: Iterable[bytes],
    progress: Callable[[Progress], None],
) -> Answer | None:
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        _hand_over(child.stdin, first_line, body)
    except BrokenPipeError:
        return None
    for line in child.stdout:
        said = json.loads(line)
        if "answer" in said:
            return Answer(**said["answer"])
        progress(Progress(**said["progress"]))
    return None


def _hand_over(pipe: IO[bytes], first_line: bytes, body: Iterable[bytes]) -> None:
    pipe.write(first_line)
    for piece in body:
        pipe.write(piece)
    pipe.close()
