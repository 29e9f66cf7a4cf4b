"""Makes one call, again where that is safe, and reads a bounded answer; the only user of requests.

Runs in the sender's child process. What an answer means is left to ``diagnosis``.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from email.utils import parsedate_to_datetime
from http.client import BadStatusLine, RemoteDisconnected
from pathlib import Path
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from .. import __version__
from .messages import BODY_LIMIT, REASON_LIMIT, Answer, Call, Policy, Progress

# Statuses that say "not now": https://docs.coveralls.io has none; these were seen in public
# threads (lemurheavy/coveralls-public#1583, #1821, rgerum/saenopy#87) and at Cloudflare.
RETRIED = frozenset({408, 429, 500, 502, 503, 504, *range(520, 525), 527, 530})
# A gateway gave up waiting: the job may have been stored (mattn/goveralls#42).
AMBIGUOUS = frozenset({504, *range(520, 525)})
RETRY_AFTER_LIMIT = 30.0
AFTER_DEADLINE = 1.5
"""Seconds after which this process ends itself, should its parent not have killed it before."""
KEPT_HEADERS = ("cf-ray", "x-request-id", "link", "x-next-page")
UNPARSABLE = re.compile("failed to parse", re.IGNORECASE)


@dataclass(frozen=True)
class Attempt:
    """The outcome of one attempt: an answer, and whether another may be made."""

    answer: Answer
    retriable: bool = False
    retry_after: float = 0.0


def deliver(
    call: Call,
    body: bytes,
    policy: Policy,
    progress: Callable[[Progress], None],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    draw: Callable[[float, float], float] = random.uniform,
) -> Answer:
    """Make ``call`` until it is answered for good, the attempts are used up or time runs out.

    Each attempt sends the same bytes. A gzip file that the server cannot parse is sent once
    more uncompressed.

    Args:
        call: what to ask for.
        body: the JSON text, not compressed.
        policy: attempts and time-outs.
        progress: told of each failed attempt that is made again.
        clock, sleep, draw: time in seconds and ``random.uniform``.
    """
    started = clock()
    answer = _deliver(call, body, policy, progress, started, clock, sleep, draw)
    refused = answer.status is not None and answer.status >= 400  # noqa: PLR2004
    is_time_left = clock() - started < policy.deadline
    if call.compress and refused and is_time_left and UNPARSABLE.search(answer.text):
        plain, once = replace(call, compress=False), replace(policy, retries=0)
        again = _deliver(plain, body, once, progress, started, clock, sleep, draw)
        answer = replace(
            again,
            attempts=answer.attempts + again.attempts,
            ambiguous=answer.ambiguous or again.ambiguous,
        )
    return replace(answer, seconds=clock() - started)


def _deliver(
    call: Call,
    body: bytes,
    policy: Policy,
    progress: Callable[[Progress], None],
    started: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    draw: Callable[[float, float], float],
) -> Answer:
    try:
        _check_bundle(policy)
        request = _prepare(call, body)
    except Exception as error:  # noqa: BLE001  a URL or header that cannot be sent
        return Answer(problem=_explained(error))
    ambiguous = False
    for number in range(1, policy.retries + 2):
        left = policy.deadline - (clock() - started)
        attempt = _attempt(request, policy, max(left, 0.1))
        ambiguous = ambiguous or attempt.answer.ambiguous
        answer = replace(attempt.answer, attempts=number, ambiguous=ambiguous)
        if not attempt.retriable or (attempt.answer.ambiguous and not policy.retry_ambiguous):
            return answer
        wait = max(draw(0, min(8.0, 2.0**number)), attempt.retry_after)
        left = policy.deadline - (clock() - started)
        if number > policy.retries or attempt.retry_after > RETRY_AFTER_LIMIT or wait >= left:
            return answer
        progress(Progress(attempt=number, of=policy.retries + 1, problem=answer.problem, wait=wait))
        sleep(wait)
    raise AssertionError("the loop returns at the last attempt")


def _check_bundle(policy: Policy) -> None:
    """Raise OSError for a file of trusted certificates that holds none."""
    if policy.ca_bundle and policy.verify and Path(policy.ca_bundle).is_file():
        try:
            ssl.create_default_context(cafile=policy.ca_bundle)
        except ssl.SSLError as error:
            raise OSError(f"{policy.ca_bundle} holds no certificate: {error.reason}") from None


def _prepare(call: Call, body: bytes) -> requests.PreparedRequest:
    headers = {
        "User-Agent": f"pytest-coveralls-submit/{__version__}",
        "Accept": "application/json",
        "Accept-Encoding": "identity",  # a compressed answer could be a bomb
        **call.headers,
    }
    request = requests.Request(call.method, call.url, headers=headers)
    if call.form == "json_file":
        # Form, file name and types: protocol of coverallsapp/coverage-reporter, api/jobs.cr.
        # urllib3's boundary is 32 hexadecimal digits and needs no quotes.
        content = gzip.compress(body, mtime=0) if call.compress else body
        kind = "application/gzip" if call.compress else "application/json"
        request.files = {"json_file": ("json_file", content, kind)}
    elif call.form == "json":
        request.data = body
        headers["Content-Type"] = "application/json"
    return request.prepare()


def _attempt(request: requests.PreparedRequest, policy: Policy, left: float) -> Attempt:
    # A bytes body is one send() under the connect time-out; a file is one per block.
    body = io.BytesIO(request.body or b"")  # type: ignore[arg-type]
    try:
        return _exchange(request, body, policy, left)
    except Exception as error:  # noqa: BLE001  not only requests' own: LocationParseError, OSError...
        return _failed(error, policy, is_begun=body.tell() > 0)


def _exchange(
    request: requests.PreparedRequest,
    body: io.BytesIO,
    policy: Policy,
    left: float,
) -> Attempt:
    size = body.getbuffer().nbytes
    sent = request.copy()
    if size:
        sent.body = body  # type: ignore[assignment]
    verify = (policy.ca_bundle or True) if policy.verify else False
    timeout = (min(policy.connect_timeout, left), min(policy.read_timeout, left))
    with requests.Session() as session:
        # Proxies and certificates of the environment, but neither .netrc nor redirects: even
        # where it does not follow one, Session.send() reads its whole body.
        settings: dict[str, Any] = dict(
            session.merge_environment_settings(request.url, {}, True, verify, None)
        )
        adapter = session.get_adapter(str(request.url))
        with adapter.send(sent, timeout=timeout, **settings) as response:
            text, whole = _bounded_text(response)
            return _answered(response, text, size, whole=whole)


def _bounded_text(response: requests.Response) -> tuple[str, bool]:
    content = bytearray()
    try:
        while len(content) < BODY_LIMIT:
            block = response.raw.read(min(4096, BODY_LIMIT - len(content)), decode_content=False)
            if not block:
                break
            content += block
    except (urllib3.exceptions.HTTPError, OSError):
        return content.decode("utf-8", "replace"), False
    return content.decode("utf-8", "replace"), True


def _answered(response: requests.Response, text: str, size: int, *, whole: bool) -> Attempt:
    status = response.status_code
    problem = f"{status} {(response.reason or '')[:REASON_LIMIT]}".strip()
    headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    if response.is_redirect or 300 <= status < 400:  # noqa: PLR2004
        headers["location"] = _origin(response.url, response.headers.get("location", ""))
    if not whole:
        problem += ", and the answer broke off"
    answer = Answer(
        status=status,
        problem=problem,
        text=text,
        headers=headers,
        size=size,
        ambiguous=status in AMBIGUOUS or not whole,
    )
    retry_after = _seconds(response.headers.get("retry-after", ""))
    return Attempt(answer, retriable=status in RETRIED, retry_after=retry_after)


def _origin(url: str, location: str) -> str:
    """Return scheme and host of where a redirect points; the rest could hold anything."""
    try:
        is_elsewhere = bool(urlsplit(location).netloc)
        parts = urlsplit(urljoin(url, location))
    except ValueError:
        return "no address"
    return f"{parts.scheme}://{parts.hostname}" if is_elsewhere else "another path"


def _seconds(retry_after: str) -> float:
    """Read a Retry-After header: seconds, or a date (RFC 9110, 10.2.3); 0 where it is neither."""
    try:
        if retry_after.strip().isdigit():
            return float(retry_after)
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return 0.0


def _failed(error: Exception, policy: Policy, *, is_begun: bool) -> Attempt:
    """Say what went wrong; what was not begun to be sent cannot have arrived."""
    causes = list(_causes(error))
    for kind, problem, retriable, ambiguous in _faults(policy):
        cause = next((cause for cause in causes if isinstance(cause, kind)), None)
        if cause is not None:
            text = problem.format(cause=getattr(cause, "verify_message", "") or cause)
            answer = Answer(problem=text, ambiguous=ambiguous and is_begun)
            return Attempt(answer, retriable=retriable)
    return Attempt(Answer(problem=_explained(error)))


def _explained(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _faults(policy: Policy) -> Iterator[tuple[Any, str, bool, bool]]:
    """Yield exception, what it means, whether to try again, whether the job may have arrived."""
    connect, read = policy.connect_timeout, policy.read_timeout
    yield ssl.SSLCertVerificationError, "the certificate is not trusted: {cause}", False, False
    yield requests.exceptions.ProxyError, "the proxy did not connect", True, False
    yield urllib3.exceptions.NameResolutionError, "the host name cannot be found", True, False
    yield requests.ConnectTimeout, f"no connection within {connect:g} s", True, False
    yield ConnectionRefusedError, "connection refused", True, False
    yield urllib3.exceptions.NewConnectionError, "no connection: {cause}", True, False
    yield ssl.SSLError, "no secure connection: {cause}", True, False
    yield requests.ReadTimeout, f"no answer within {read:g} s", True, True
    yield TimeoutError, f"the job could not be handed over within {connect:g} s", True, True
    yield RemoteDisconnected, "the connection was closed without an answer", True, True
    yield BadStatusLine, "the answer is no HTTP", True, True
    yield ConnectionResetError, "the connection was reset", True, True
    yield (
        urllib3.exceptions.ProtocolError,
        "the connection was closed without an answer",
        True,
        True,
    )
    yield requests.ConnectionError, "the connection failed", True, True


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and all that it wraps, as arguments, ``reason`` or context."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        error = waiting.pop(0)
        if isinstance(error, BaseException) and id(error) not in seen:
            seen.add(id(error))
            yield error
            waiting += [*error.args, getattr(error, "reason", None)]
            waiting += [error.__cause__, error.__context__]


def serve(first_line: bytes, stdin: IO[bytes], stdout: IO[bytes]) -> None:
    """Make the call that came over the pipe and write what becomes of it, a JSON object a line."""

    def write(kind: str, value: Answer | Progress) -> None:
        stdout.write(json.dumps({kind: asdict(value)}).encode() + b"\n")
        stdout.flush()

    asked = json.loads(first_line)
    policy = Policy(**asked["policy"])
    # Whoever started us may have been killed: nobody else would end a server's dripping.
    end = threading.Timer(policy.deadline + AFTER_DEADLINE, os._exit, (1,))
    end.daemon = True
    end.start()
    answer = deliver(
        Call(**asked["call"]),
        stdin.read(),
        policy,
        lambda progress: write("progress", progress),
    )
    write("answer", answer)
    end.cancel()
