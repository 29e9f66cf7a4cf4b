"""Make one call over HTTP, and repeat it where that is safe.

The only user of requests; runs in the child process of ``sender``.
"""

import gzip
import io
import os
import random
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from http.client import BadStatusLine, HTTPException, RemoteDisconnected
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import CertificateError  # type: ignore[attr-defined]
from urllib3.exceptions import NewConnectionError, ProtocolError

from .. import __version__
from ..text import is_loopback, one_line
from .sender import TRACE_HEADERS, Answer, Call, Policy

# Statuses that say "not now": https://docs.coveralls.io has none; these were seen in public
# threads (lemurheavy/coveralls-public#1583, #1821, rgerum/saenopy#87) and at Cloudflare.
RETRIED = frozenset({408, 429, 500, 502, 503, 504, *range(520, 525), 527, 530})
# A gateway gave up waiting: the job may have been stored (mattn/goveralls#42).
AMBIGUOUS = frozenset({504, *range(520, 525)})
RETRY_AFTER_LIMIT = 30.0
BODY_LIMIT = 64 * 1024  # bytes of an answer that are read
KEPT_HEADERS = (*TRACE_HEADERS, "cf-mitigated", "link", "x-next-page")


# The first that fits; urllib3 1 and 2 wrap the same fault differently.
CERTIFICATE_ERRORS = (ssl.SSLCertVerificationError, CertificateError)  # the latter of urllib3
CLOSED = "the connection was closed without an answer"
FAULTS: dict[type[BaseException], str] = {
    **dict.fromkeys(CERTIFICATE_ERRORS, "the certificate is not trusted: {cause}"),
    socket.gaierror: "the host name cannot be found",
    requests.ConnectTimeout: "no connection within {connect:g} s",
    ConnectionRefusedError: "connection refused",
    NewConnectionError: "no connection: {cause}",
    ssl.SSLError: "no secure connection: {cause}",
    requests.ReadTimeout: "no answer within {read:g} s",
    TimeoutError: "the job could not be handed over within {connect:g} s",
    RemoteDisconnected: CLOSED,
    BadStatusLine: "the answer is not HTTP",
    ConnectionResetError: "the connection was reset",
    ProtocolError: CLOSED,
    requests.ConnectionError: "the connection failed",
}
# No time heals a certificate, a server without TLS or without our versions of it, or a ca_bundle
# without certificates.
HOPELESS = re.compile(
    "certificate is not trusted|WRONG_VERSION_NUMBER|RECORD.LAYER.FAILURE|HTTP_REQUEST"
    "|HANDSHAKE_FAILURE|PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|NO_CERTIFICATE",
    re.IGNORECASE,
)


def deliver(call: Call, body: bytes, policy: Policy, say: Callable[[str], None]) -> Answer:
    """Make ``call`` until a final answer or the deadline.

    Each attempt sends the same bytes, uncompressed after a server that cannot read gzip.
    """
    start = time.monotonic()
    end = start + policy.deadline
    number, of, ambiguous = 0, policy.retries + 1, False
    try:
        request = _prepare(call, body)
    except (OSError, ValueError) as error:  # a URL or header that cannot be sent
        return Answer(problem=one_line(error))
    while True:
        number += 1
        left = max(end - time.monotonic(), 0.1)
        answer = _attempt(request, policy, left)
        ambiguous = ambiguous or answer.ambiguous
        wait = max(random.uniform(0, min(8.0, 2.0**number)), answer.retry_after)  # noqa: S311
        how = f"in {wait:.1f} s"
        if call.compress and _refuses_gzip(answer, call.url):
            call, answer = replace(call, compress=False), replace(answer, retriable=True)
            request = _prepare(call, body)
            of, wait, how = max(of, number + 1), answer.retry_after, "uncompressed"
        is_harmless = policy.retry_ambiguous or not answer.ambiguous
        is_in_time = answer.retry_after <= RETRY_AFTER_LIMIT and wait < end - time.monotonic()
        if not (answer.retriable and is_harmless and is_in_time and number < of):
            seconds = time.monotonic() - start
            return replace(answer, attempts=number, ambiguous=ambiguous, seconds=seconds)
        say(f"attempt {number} of {of}: {answer.problem}; retrying {how}")
        time.sleep(wait)


def _refuses_gzip(answer: Answer, url: str) -> bool:
    if answer.status == 500 and urlsplit(url).hostname != "coveralls.io":  # noqa: PLR2004
        return True  # OpenCov (danhper/opencov at d3983d5) says no more to gzip
    return (answer.status or 0) >= 400 and "failed to parse" in answer.text.lower()  # noqa: PLR2004


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
        # gzip's level 9 takes twelve times as long as 6 for a tenth less.
        content = gzip.compress(body, 6, mtime=0) if call.compress else body
        kind = "application/gzip" if call.compress else "application/json"
        request.files = {"json_file": ("json_file", content, kind)}
    elif call.form == "json":
        request.data = body
        headers["Content-Type"] = "application/json"
    return request.prepare()


def _attempt(request: requests.PreparedRequest, policy: Policy, left: float) -> Answer:
    timeout = min(policy.connect_timeout, left), min(policy.read_timeout, left)
    url = str(request.url)
    parts = urlsplit(url)  # plain http is allowed where nobody but this machine can listen
    is_local = parts.scheme == "http" and is_loopback(parts.hostname or "")
    proxies = {} if is_local else requests.utils.get_environ_proxies(url)
    proxy = requests.utils.select_proxy(url, proxies) or ""
    # A bytes body is one send() under the connect time-out; a file is one per block.
    body = io.BytesIO(request.body or b"")  # type: ignore[arg-type]
    sent = request.copy()
    sent.body = body if request.body else None  # type: ignore[assignment]
    bundles = policy.ca_bundle, *map(os.environ.get, ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"))
    verify = policy.verify and next(filter(None, bundles), True)
    try:
        # The adapter alone: a session adds what is in .netrc, and reads a redirect's whole body.
        with closing(HTTPAdapter()) as adapter:
            to: Any = {"timeout": timeout, "verify": verify, "proxies": proxies}
            with adapter.send(sent, stream=True, **to) as response:
                answer = _answered(response)
    except (OSError, ValueError, HTTPException, urllib3.exceptions.HTTPError) as error:
        is_begun = body.tell() > 0
        at_proxy = bool(proxy) and not is_begun
        answer = (_proxy_failed(error) if at_proxy else None) or _failed(error, timeout, is_begun)
    return replace(answer, size=body.tell(), proxy=_shown(proxy))


def _shown(proxy: str) -> str:
    if not proxy:
        return ""
    scheme, _, rest = proxy.rpartition("://")
    host = re.split("[/?#]", rest.rpartition("@")[2])[0]
    variables = (
        name
        for name, value in sorted(os.environ.items(), reverse=True)  # lower case wins
        if name.lower().endswith("_proxy") and value == proxy
    )
    return f"{scheme or 'http'}://{host} (from {next(variables, 'the system')})"


def _bounded_text(response: requests.Response) -> tuple[str, bool]:
    """Return the body up to the limit; tell if whole."""
    content, is_whole, raw = bytearray(), False, response.raw
    # A ValueError is http.client's for a chunk without a length.
    with suppress(urllib3.exceptions.HTTPError, HTTPException, OSError, ValueError):
        while block := raw.read(min(4096, BODY_LIMIT - len(content)), decode_content=False):
            content += block
        # urllib3 1 takes an answer for whole that is shorter than it was announced.
        is_whole = len(content) == BODY_LIMIT or not getattr(raw, "length_remaining", 0)
    return content.decode("utf-8", "replace"), is_whole


def _answered(response: requests.Response) -> Answer:
    text, is_whole = _bounded_text(response)
    status = response.status_code
    problem = f"{status} {response.reason or ''}".strip()
    headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    if 300 <= status < 400:  # noqa: PLR2004
        headers["location"] = _origin(response.url, response.headers.get("location", ""))
    return Answer(
        status=status,
        problem=problem if is_whole else f"{problem}, and the answer broke off",
        text=text,
        headers=headers,
        ambiguous=status in AMBIGUOUS or not is_whole,
        retriable=status in RETRIED,
        retry_after=_retry_after(response),
    )


def _origin(url: str, location: str) -> str:
    with suppress(ValueError):
        parts = urlsplit(urljoin(url, location))
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"[:260]
    return "no address"


def _retry_after(response: requests.Response) -> float:
    """Read seconds or a date (RFC 9110, 10.2.3)."""
    with suppress(urllib3.exceptions.InvalidHeader, TypeError, ValueError, OverflowError):
        seconds = urllib3.Retry().parse_retry_after(response.headers.get("retry-after", ""))
        return float(min(seconds, 86400))
    return 0.0


def _failed(error: Exception, timeout: tuple[float, float], is_begun: bool) -> Answer:
    """Describe a fault; a begun request may have arrived."""
    connect, read = (round(seconds, 1) for seconds in timeout)
    for kind, words in FAULTS.items():
        for cause in _causes(error):
            if isinstance(cause, kind):
                said = getattr(cause, "verify_message", "") or cause
                problem = words.format(connect=connect, read=read, cause=said)
                may_heal = not HOPELESS.search(problem)
                return Answer(problem=problem, ambiguous=is_begun, retriable=may_heal)
    return Answer(problem=one_line(error), ambiguous=is_begun)


def _proxy_failed(error: Exception) -> Answer | None:
    """Quote requests, except on certificates."""
    causes = list(_causes(error))
    words = str(causes[-1])
    if "certificate" in words.lower() or any(isinstance(it, CERTIFICATE_ERRORS) for it in causes):
        return None
    if isinstance(error, ValueError):
        # Only the words about a missing PySocks cannot hold the password.
        is_socks = isinstance(error, requests.exceptions.InvalidSchema)
        return Answer(problem=str(error) if is_socks else "the proxy address is malformed")
    # The only place of a proxy's answer to CONNECT: http.client, HTTPConnection._tunnel.
    answered = re.search(r"Tunnel connection failed: (\d+)", words)
    is_final = int(answered[1]) not in RETRIED if answered else HOPELESS.search(words)
    return Answer(problem=f"no connection through the proxy: {words}", retriable=not is_final)


def _causes(error: object) -> Iterator[BaseException]:
    seen: list[object] = []
    waiting: list[object] = [error]
    while waiting:
        error = waiting.pop(0)
        if isinstance(error, BaseException) and error not in seen:
            seen.append(error)
            yield error
            reason = getattr(error, "reason", None)
            waiting += [*error.args, reason, error.__cause__, error.__context__]
