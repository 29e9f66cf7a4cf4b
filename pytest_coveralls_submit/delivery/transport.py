"""Makes one call, again where that is safe, and reads a bounded answer; the only user of requests.

Runs in the sender's child process. What an answer means is left to ``answers``.
"""

from __future__ import annotations

import gzip
import io
import os
import random
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from http.client import BadStatusLine, HTTPException, RemoteDisconnected
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from urllib3.connection import CertificateError  # type: ignore[attr-defined]
from urllib3.exceptions import (
    LocationValueError,
    NewConnectionError,
    ProtocolError,
)

from .. import __version__
from ..text import is_loopback
from .sender import BODY_LIMIT, Answer, Call, Policy

# Statuses that say "not now": https://docs.coveralls.io has none; these were seen in public
# threads (lemurheavy/coveralls-public#1583, #1821, rgerum/saenopy#87) and at Cloudflare.
RETRIED = frozenset({408, 429, 500, 502, 503, 504, *range(520, 525), 527, 530})
# A gateway gave up waiting: the job may have been stored (mattn/goveralls#42).
AMBIGUOUS = frozenset({504, *range(520, 525)})
# https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/
CLOUDFLARE = {
    520: "Web Server Returned an Unknown Error",
    521: "Web Server Is Down",
    522: "Connection Timed Out",
    523: "Origin Is Unreachable",
    524: "A Timeout Occurred",
    525: "SSL Handshake Failed",
    526: "Invalid SSL Certificate",
    527: "Railgun Error",
    530: "Origin Error",
}
RETRY_AFTER_LIMIT = 30.0
KEPT_HEADERS = (
    *("cf-ray", "x-request-id", "x-amzn-requestid", "x-amzn-trace-id", "x-trace-id"),
    *("cf-mitigated", "link", "x-next-page"),
)
UNPARSABLE = re.compile("failed to parse", re.IGNORECASE)
HOST_LIMIT = 260
"""Letters of a scheme and the longest host name: RFC 1035, 2.3.4."""
GZIP_LEVEL = 6
"""Level 9 takes twelve times as long for a tenth less."""


@dataclass(frozen=True)
class Attempt:
    """The outcome of one attempt: an answer, and whether another may be made."""

    answer: Answer
    retriable: bool = False
    retry_after: float = 0.0


@dataclass(frozen=True)
class Fault:
    """What an exception means."""

    kind: type[BaseException]
    problem: str
    """For people; may name the time-outs and the ``cause``."""
    retriable: bool = True
    ambiguous: bool = False
    """Whether the server may have taken the request, once it was begun to be sent."""


_UNTRUSTED = "the certificate is not trusted: {cause}"
UNTRUSTED = (
    Fault(ssl.SSLCertVerificationError, _UNTRUSTED, False),
    Fault(CertificateError, _UNTRUSTED, False),  # of urllib3 1, for another name
)
# The first that fits; urllib3 1 and 2 wrap the same fault differently.
CLOSED = "the connection was closed without an answer"
FAULTS = (
    *UNTRUSTED,
    Fault(socket.gaierror, "the host name cannot be found"),
    Fault(requests.ConnectTimeout, "no connection within {connect:g} s"),
    Fault(ConnectionRefusedError, "connection refused"),
    Fault(NewConnectionError, "no connection: {cause}"),
    Fault(ssl.SSLError, "no secure connection: {cause}"),
    Fault(requests.ReadTimeout, "no answer within {read:g} s", True, True),
    Fault(TimeoutError, "the job could not be handed over within {connect:g} s", True, True),
    Fault(RemoteDisconnected, CLOSED, True, True),
    Fault(BadStatusLine, "the answer is no HTTP", True, True),
    Fault(ConnectionResetError, "the connection was reset", True, True),
    Fault(ProtocolError, CLOSED, True, True),
    Fault(requests.ConnectionError, "the connection failed", True, True),
)
# Before a byte of the request itself, where a proxy stands between. What a proxy answered to
# CONNECT is in a message alone: http.client, HTTPConnection._tunnel.
TUNNEL = re.compile(r"Tunnel connection failed: (\d+) ?(.*)")
PROXY_AUTHENTICATION_REQUIRED = 407
REFUSED_BY_PROXY = {
    PROXY_AUTHENTICATION_REQUIRED: Fault(
        OSError, "the proxy asks for a user name and a password: {cause}", False
    ),
    403: Fault(OSError, "the proxy does not let this host be reached: {cause}", False),
    **dict.fromkeys(
        (400, 404, 405, 501),
        Fault(OSError, "the proxy answers as a web server: {cause}", False),
    ),
}
NOT_TAKEN_BY_PROXY = Fault(OSError, "the proxy did not take user name and password: {cause}", False)
SPEAKS_PLAIN = "only use HTTP and not HTTPS"
"""What urllib3 says where TLS is begun with a proxy that knows none."""
PLAIN_PROXY = Fault(OSError, "the proxy speaks no TLS", False)
CLOSED_BY_PROXY = "the connection through the proxy was closed"
NOT_REACHED_BY_PROXY = Fault(OSError, "the proxy did not reach the host: {cause}")
# No cause is quoted of what is said of the proxy's address, for its password may be in it.
_NO_ADDRESS = "the address of the proxy cannot be read"
PROXY_FAULTS = (
    Fault(
        requests.exceptions.InvalidSchema, "the proxy speaks SOCKS, and PySocks is missing", False
    ),
    Fault(requests.exceptions.InvalidURL, _NO_ADDRESS, False),
    Fault(LocationValueError, _NO_ADDRESS, False),
    *UNTRUSTED,
    Fault(NewConnectionError, "the proxy cannot be reached"),
    Fault(requests.ConnectTimeout, "the proxy cannot be reached within {connect:g} s"),
    Fault(TimeoutError, "the proxy did not answer within {connect:g} s"),
    Fault(ConnectionRefusedError, "the proxy cannot be reached"),
    Fault(RemoteDisconnected, CLOSED_BY_PROXY),
    Fault(BadStatusLine, "the answer of the proxy is no HTTP"),
    Fault(requests.ConnectionError, CLOSED_BY_PROXY),
)


@dataclass(frozen=True)
class Deliverer:
    """Makes a call until it is answered for good, the attempts are used up or time runs out.

    Each attempt sends the same bytes. A gzip file that the server cannot parse is sent once
    more uncompressed.

    Attributes:
        call: what to ask for.
        body: the JSON text, not compressed.
        policy: attempts and time-outs.
        say: told of each failed attempt that is made again.
        clock, sleep, draw: time in seconds and ``random.uniform``.
    """

    call: Call
    body: bytes
    policy: Policy
    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    draw: Callable[[float, float], float] = random.uniform

    @cached_property
    def end(self) -> float:
        """When the time is up."""
        return self.clock() + self.policy.deadline

    def deliver(self) -> Answer:
        """Return what the server answered at last, or why it did not."""
        started = self.end - self.policy.deadline
        answer = self._repeated(self.call, self.policy.retries)
        refused = answer.status is not None and answer.status >= 400  # noqa: PLR2004
        is_plain = not self.call.compress or self.call.form != "json_file"
        if refused and not is_plain and self._left() > 0 and UNPARSABLE.search(answer.text):
            again = self._repeated(replace(self.call, compress=False), 0)
            answer = replace(
                again,
                attempts=answer.attempts + again.attempts,
                ambiguous=answer.ambiguous or again.ambiguous,
            )
        return replace(answer, seconds=self.clock() - started)

    def _left(self) -> float:
        return self.end - self.clock()

    def _repeated(self, call: Call, retries: int) -> Answer:
        try:
            _check_bundle(self.policy)
            request = _prepare(call, self.body)
        except Exception as error:  # noqa: BLE001  a URL or header that cannot be sent
            return Answer(problem=_explained(error))
        ambiguous = False
        for number in range(1, retries + 2):
            attempt = _attempt(request, self.policy, max(self._left(), 0.1))
            ambiguous = ambiguous or attempt.answer.ambiguous
            answer = replace(attempt.answer, attempts=number, ambiguous=ambiguous)
            if not attempt.retriable or (
                attempt.answer.ambiguous and not self.policy.retry_ambiguous
            ):
                return answer
            wait = max(self.draw(0, min(8.0, 2.0**number)), attempt.retry_after)
            is_too_long = attempt.retry_after > RETRY_AFTER_LIMIT or wait >= self._left()
            if number > retries or is_too_long:
                return answer
            self.say(
                f"attempt {number} of {retries + 1}: {answer.problem}; retrying in {wait:.1f} s"
            )
            self.sleep(wait)
        raise AssertionError("the loop returns at the last attempt")


def deliver(
    call: Call,
    body: bytes,
    policy: Policy,
    say: Callable[[str], None],
    **time_of_tests: Callable[..., Any],
) -> Answer:
    """Make ``call`` and return what the server answered; see :class:`Deliverer`."""
    return Deliverer(call, body, policy, say, **time_of_tests).deliver()


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
        content = gzip.compress(body, GZIP_LEVEL, mtime=0) if call.compress else body
        kind = "application/gzip" if call.compress else "application/json"
        request.files = {"json_file": ("json_file", content, kind)}
    elif call.form == "json":
        request.data = body
        headers["Content-Type"] = "application/json"
    return request.prepare()


def _attempt(request: requests.PreparedRequest, policy: Policy, left: float) -> Attempt:
    # A bytes body is one send() under the connect time-out; a file is one per block.
    body = io.BytesIO(request.body or b"")  # type: ignore[arg-type]
    proxies = _proxies(str(request.url))
    proxy = _proxy(str(request.url), proxies)
    policy = replace(
        policy,
        connect_timeout=min(policy.connect_timeout, left),
        read_timeout=min(policy.read_timeout, left),
    )
    try:
        attempt = _exchange(request, body, proxies, policy)
    except Exception as error:  # noqa: BLE001  not only requests' own: LocationParseError, OSError...
        attempt = _failed(error, policy, is_begun=body.tell() > 0, proxy=proxy)
    return replace(attempt, answer=replace(attempt.answer, proxy=proxy.shown if proxy else ""))


def _proxies(url: str) -> dict[str, str]:
    """Return the proxies of the environment; plain http to this machine goes to none of them."""
    parts = urlsplit(url)
    if parts.scheme == "http" and is_loopback(parts.hostname or ""):
        return {}
    return dict(requests.utils.get_environ_proxies(url))


class Proxy(NamedTuple):
    """A proxy that the environment names."""

    shown: str
    """Its address without credentials, and where it is set."""
    has_user: bool


def _proxy(url: str, proxies: dict[str, str]) -> Proxy | None:
    """Return the proxy of a URL."""
    address = requests.utils.select_proxy(url, proxies)
    if not address:
        return None
    scheme, _, rest = address.rpartition("://")
    host = re.split("[/?#]", rest.rpartition("@")[2])[0]
    variables = [
        name
        for name, value in sorted(os.environ.items(), reverse=True)  # lower case wins
        if name.lower().endswith("_proxy") and value == address
    ]
    shown = f"{scheme or 'http'}://{host} (from {variables[0] if variables else 'the system'})"
    return Proxy(shown, has_user="@" in rest)


def _exchange(
    request: requests.PreparedRequest,
    body: io.BytesIO,
    proxies: dict[str, str],
    policy: Policy,
) -> Attempt:
    size = body.getbuffer().nbytes
    sent = request.copy()
    if size:
        sent.body = body  # type: ignore[assignment]
    verify = (policy.ca_bundle or True) if policy.verify else False
    timeout = (policy.connect_timeout, policy.read_timeout)
    with requests.Session() as session:
        # Certificates of the environment, but neither .netrc nor redirects: even where it does
        # not follow one, Session.send() reads its whole body.
        settings: dict[str, Any] = dict(
            session.merge_environment_settings(request.url, {}, True, verify, None)
        )
        settings["proxies"] = proxies
        adapter = session.get_adapter(str(request.url))
        with adapter.send(sent, timeout=timeout, **settings) as response:
            text, whole = _bounded_text(response)
            return _answered(response, text, size, whole=whole)


def _bounded_text(response: requests.Response) -> tuple[str, bool]:
    """Return what is read of the body, and whether it came to its end or the limit."""
    content = bytearray()
    try:
        while len(content) < BODY_LIMIT:
            block = response.raw.read(min(4096, BODY_LIMIT - len(content)), decode_content=False)
            if not block:
                break
            content += block
    # A ValueError is http.client's for a chunk without a length.
    except (urllib3.exceptions.HTTPError, HTTPException, OSError, ValueError):
        return content.decode("utf-8", "replace"), False
    # urllib3 1 takes an answer for whole that is shorter than it was announced.
    missing = len(content) < BODY_LIMIT and bool(getattr(response.raw, "length_remaining", 0))
    return content.decode("utf-8", "replace"), not missing


def _answered(response: requests.Response, text: str, size: int, *, whole: bool) -> Attempt:
    status = response.status_code
    problem = f"{status} {CLOUDFLARE.get(status) or response.reason or ''}".strip()
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
    return f"{parts.scheme}://{parts.hostname}"[:HOST_LIMIT] if is_elsewhere else "another path"


def _seconds(retry_after: str) -> float:
    """Read a Retry-After header: seconds, or a date (RFC 9110, 10.2.3); 0 where it is neither."""
    try:
        seconds = urllib3.Retry().parse_retry_after(retry_after)
    except (urllib3.exceptions.InvalidHeader, TypeError, ValueError, OverflowError):
        return 0.0
    return float(min(seconds, 86400))


def _failed(error: Exception, policy: Policy, *, is_begun: bool, proxy: Proxy | None) -> Attempt:
    """Say what went wrong; what was not begun to be sent cannot have arrived."""
    causes = list(_causes(error))
    at_proxy = None if is_begun else proxy
    fault, cause = _fault(causes, at_proxy)
    if fault is None:
        shown = f"the proxy cannot be used: {type(error).__name__}" if at_proxy else ""
        return Attempt(Answer(problem=shown or _explained(error), ambiguous=is_begun))
    problem = fault.problem.format(
        connect=policy.connect_timeout, read=policy.read_timeout, cause=cause
    )
    answer = Answer(problem=problem, ambiguous=fault.ambiguous and is_begun)
    return Attempt(answer, retriable=fault.retriable)


def _fault(causes: list[BaseException], proxy: Proxy | None) -> tuple[Fault | None, object]:
    """Find the fault and what caused it; ``proxy`` is what it happened at, None for the host."""
    for tunnel in filter(None, (TUNNEL.match(str(cause)) for cause in causes if proxy)):
        status, said = int(tunnel[1]), f"{tunnel[1]} {tunnel[2]}".strip()
        if status == PROXY_AUTHENTICATION_REQUIRED and proxy and proxy.has_user:
            return NOT_TAKEN_BY_PROXY, said
        return REFUSED_BY_PROXY.get(status, NOT_REACHED_BY_PROXY), said
    if proxy and any(SPEAKS_PLAIN in str(cause) for cause in causes):
        return PLAIN_PROXY, None
    for fault in PROXY_FAULTS if proxy else FAULTS:
        for cause in causes:
            if isinstance(cause, fault.kind):
                return fault, getattr(cause, "verify_message", "") or cause
    return None, None


def _explained(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


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
