"""Runs ``transport`` in a clean child process, within the deadline.

The child has the environment of session start: nothing that tests leave behind (mocked
requests, blocked sockets, frozen clocks, other variables) reaches it, and it can be killed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from errno import EINVAL, EPIPE
from json import dumps, loads
from typing import IO, TYPE_CHECKING

from .. import children, process
from ..errors import ProcessError
from ..secret import Secret, redact
from ..text import json_object
from .messages import PROBLEM_LIMIT, Answer, Call, Policy, Progress

if TYPE_CHECKING:
    import subprocess

BOOT = """
import sys
from pytest_coveralls_submit.delivery.transport import serve
serve(sys.stdin.buffer, sys.stdout.buffer)
"""
GRACE = 1.0
"""Seconds past the deadline at which the child is killed; it starts and ends within them."""


class Waiting:
    """A child that loads its HTTP library and waits for the one call that it makes.

    It has no token before :meth:`send`, and ends by itself when this process does.
    """

    def __init__(
        self, child: subprocess.Popen[bytes], stderr: IO[bytes], secrets: Sequence[Secret]
    ) -> None:
        self._child = child
        self._stderr = stderr
        self._secrets = secrets

    def send(
        self,
        call: Call,
        body: Iterable[bytes],
        policy: Policy,
        progress: Callable[[Progress], None],
    ) -> Answer:
        """Make ``call`` and return what the server answered; the child has ended by then.

        Args:
            call: the request without its body.
            body: the body in pieces.
            policy: attempts and time-outs; from now on it takes at most ``policy.deadline`` + 2 s.
            progress: told of each failed attempt that is made again, while it happens.

        Raises:
            ProcessError: the child did not say what became of the call.
        """
        first_line = dumps({"call": asdict(call), "policy": asdict(policy)}).encode() + b"\n"
        with process.watched(self._child, policy.deadline + GRACE) as watch:
            answer = self._converse(first_line, body, progress)
            status = None if answer is not None else process.status(self._child)
        if answer is not None:
            return answer
        if watch.expired:
            problem = f"no result within {policy.deadline:g} s"
            return Answer(problem=problem, seconds=policy.deadline, ambiguous=True)
        said = children.last_words(self._stderr, self._secrets)
        raise ProcessError(f"the process that sends the job ended {_ending(status, said)}")

    def _converse(
        self, first_line: bytes, body: Iterable[bytes], progress: Callable[[Progress], None]
    ) -> Answer | None:
        stdin, stdout = self._child.stdin, self._child.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(first_line)
            stdin.writelines(body)
            stdin.close()
        except OSError as error:
            if error.errno not in {EPIPE, EINVAL}:  # the latter is Windows'
                raise
            return None
        for line in stdout:
            message = _understood(line)
            if isinstance(message, Answer):
                return self._redacted_answer(message)
            if message is not None:
                progress(replace(message, problem=self._redacted(message.problem)))
        return None

    def _redacted_answer(self, answer: Answer) -> Answer:
        """Return ``answer`` without what the server repeats of our secrets."""
        return replace(
            answer,
            problem=self._redacted(answer.problem),
            text=redact(_plain(answer.text), self._secrets),
            headers={name: redact(text, self._secrets) for name, text in answer.headers.items()},
        )

    def _redacted(self, problem: str) -> str:
        # What was cut before could still show most letters of a secret.
        return redact(problem, self._secrets)[:PROBLEM_LIMIT]


def _ending(status: int | None, said: str) -> str:
    """Say how a child ended, and its last words."""
    if status is not None and status < 0:
        return f"by signal {-status}" + (f": {said}" if said else "")
    if said:
        return f"with: {said}"
    return "without a word" if status is None else f"without a word, with exit status {status}"


def _plain(text: str) -> str:
    """Return JSON without needless escapes, which a secret could be hidden by."""
    said = json_object(text)
    return text if said is None else dumps(said, ensure_ascii=False)


@contextmanager
def ready(env: Mapping[str, str], secrets: Sequence[Secret] = ()) -> Iterator[Waiting]:
    """Start the child early; where nothing is sent in the block, it is killed at its end.

    Args:
        env: the environment of session start.
        secrets: values that the child's environment must not hold, and that no answer shows.

    Raises:
        ProcessError: the child did not start.
    """
    with process.scratch() as stderr:
        child = children.start(BOOT, env=children.environment(env, secrets), stderr=stderr)
        try:
            yield Waiting(child, stderr, secrets)
        finally:
            process.kill(child)


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
        call, body, policy, progress: as for :meth:`Waiting.send`.
        env, secrets: as for :func:`ready`.

    Raises:
        ProcessError: the child did not start or did not say what became of the call.
    """
    with ready(env, secrets) as waiting:
        return waiting.send(call, body, policy, progress)


def _understood(line: bytes) -> Answer | Progress | None:
    """Return what the child says; None for a line that something else has printed there."""
    try:
        [(kind, fields)] = loads(line).items()
        return Answer(**fields) if kind == "answer" else Progress(**fields)
    except (ValueError, TypeError, AttributeError):
        return None
