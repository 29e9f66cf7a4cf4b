"""Runs ``transport`` in a clean child process, within the deadline.

The child has the environment of session start: nothing that tests leave behind (mocked
requests, blocked sockets, frozen clocks, other variables) reaches it, and it can be killed.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from json import dumps, loads
from typing import IO

from .. import process
from ..errors import ProcessError
from ..secret import Secret, redact
from .messages import Answer, Call, Policy, Progress

# -I keeps the current directory, where anything may lie, off the child's path. The path of this
# process is added behind its own only where the packages are installed elsewhere.
BOOT = """
import json, sys
line = sys.stdin.buffer.readline()
try:
    from pytest_coveralls_submit.delivery.transport import serve
except ImportError:
    sys.path += [path for path in json.loads(line)["path"] if path not in sys.path]
    from pytest_coveralls_submit.delivery.transport import serve
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
    secrets: Sequence[Secret] = (),
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
        "path": [str(path) for path in sys.path if path],
    }
    child = process.start(
        [sys.executable or "python", "-I", "-c", BOOT],
        env=_clean(env, secrets),
        stdin=subprocess.PIPE,
    )
    with process.watched(child, policy.deadline + GRACE) as watch:
        answer = _converse(child, dumps(asked).encode() + b"\n", body, progress)
    if answer is None and watch.expired:
        problem = f"no result within {policy.deadline:g} s"
        return Answer(problem=problem, seconds=policy.deadline, ambiguous=True)
    if answer is None:
        raise ProcessError("the process that sends the job ended without a word")
    return _redacted(answer, secrets)


def _redacted(answer: Answer, secrets: Iterable[Secret]) -> Answer:
    """Return ``answer`` without what the server repeats of our secrets."""
    return replace(
        answer,
        problem=redact(answer.problem, secrets),
        text=redact(answer.text, secrets),
        headers={name: redact(value, secrets) for name, value in answer.headers.items()},
    )


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
        said = _understood(line)
        if isinstance(said, Answer):
            return said
        if said is not None:
            progress(said)
    return None


def _understood(line: bytes) -> Answer | Progress | None:
    """Return what the child says; None for a line that something else has printed there."""
    try:
        [(kind, fields)] = loads(line).items()
        return Answer(**fields) if kind == "answer" else Progress(**fields)
    except (ValueError, TypeError, AttributeError):
        return None


def _hand_over(pipe: IO[bytes], first_line: bytes, body: Iterable[bytes]) -> None:
    pipe.write(first_line)
    for piece in body:
        pipe.write(piece)
    pipe.close()
