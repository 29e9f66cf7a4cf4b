"""One call to a server, again where that is safe: real servers, and time that is played."""

from __future__ import annotations

import gzip
import json
import random
import re
import socket
import time
import tracemalloc
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import pytest
from faulty import ACCEPTED, Faulty, Scripted, http
from standin import COVERALLS_TOKEN, NOT_PARSED, StandIn

from pytest_coveralls_submit import __version__
from pytest_coveralls_submit.delivery import transport
from pytest_coveralls_submit.delivery.sender import Answer, Call, Policy

FILE = {"name": "sample/beds.py", "source_digest": "0" * 32, "coverage": [None, 1, 0]}
JOB = {"repo_token": COVERALLS_TOKEN, "service_name": "test-ci", "source_files": [FILE]}
BODY = json.dumps(JOB).encode()

AMBIGUOUS = (504, 520, 521, 522, 523, 524)
RETRIED = (408, 429, 500, 502, 503, 527, 530, *AMBIGUOUS)
FINAL = (301, 302, 304, 307, 308, 400, 401, 403, 404, 405, 413, 418, 422, 451, 501, 525, 526)


class Played:
    """Waits that are noted, not waited; a draw is this part of the greatest number."""

    def __init__(self, setenv: Callable[[str, str], None]) -> None:
        self.setenv = setenv
        self.drawn = 1.0
        self.sleeps: list[float] = []
        self.told: list[str] = []

    def deliver(
        self, url: str, *, compress: bool = True, body: bytes = BODY, **policy: Any
    ) -> Answer:
        """Deliver a job."""
        url = f"{url}/api/v1/jobs"
        call = Call(method="POST", url=url, form="json_file", compress=compress)
        return self.make(call, body, **policy)

    def make(self, call: Call, body: bytes = BODY, **policy: Any) -> Answer:
        """Make a call; short time-outs unless told."""
        times = {"retries": 2, "connect_timeout": 5.0, "read_timeout": 5.0}
        given = Policy(**{**times, "retry_ambiguous": True, **policy})
        return transport.deliver(call, body, given, self.told.append)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    played = Played(monkeypatch.setenv)
    monkeypatch.setattr(time, "sleep", played.sleeps.append)
    monkeypatch.setattr(random, "uniform", lambda _low, high: high * played.drawn)
    return played


def test_a_job_is_one_multipart_file_of_gzip(server: StandIn, played: Played) -> None:
    answer = played.deliver(server.url)

    (received,) = server.requests
    (part,) = received.parts
    assert (received.method, received.path) == ("POST", "/api/v1/jobs")
    assert (part.name, part.filename) == ("json_file", "json_file")
    assert part.headers["Content-Type"] == "application/gzip"
    assert gzip.decompress(part.body) == BODY
    assert (answer.status, answer.attempts, answer.size) == (200, 1, len(received.body))
    headers = received.headers
    # Coveralls' web server answers 400 to a boundary in quotes.
    assert re.fullmatch(r"multipart/form-data; boundary=[0-9A-Za-z]+", headers["Content-Type"])
    assert headers["User-Agent"] == f"pytest-coveralls-submit/{__version__}"
    assert headers["Content-Length"] == str(len(received.body))
    assert headers["Accept-Encoding"] == "identity"
    assert not {"Transfer-Encoding", "Cookie", "Expect", "Authorization"} & set(headers.keys())


def test_what_a_netrc_file_holds_is_never_sent(
    server: StandIn, played: Played, tmp_path: Path
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("default\nlogin somebody\npassword hunter22\n")
    netrc.chmod(0o600)
    played.setenv("NETRC", str(netrc))
    played.deliver(server.url)

    assert "Authorization" not in server.requests[0].headers


def test_other_calls_are_plain_json_or_have_no_body(played: Played) -> None:
    secret = {"PRIVATE-TOKEN": "glpat-1234567"}
    with Scripted(lambda _: http(200)) as server:
        get = Call(method="GET", url=f"{server.url}/api", form="none", headers=secret)
        played.make(Call(method="POST", url=f"{server.url}/api", form="json"))
        played.make(get)

    (posted, _, body), (asked, _, nothing) = (
        request.partition(b"\r\n\r\n") for request in server.received
    )
    assert posted.startswith(b"POST /api HTTP/1.1\r\n")
    assert b"\r\nContent-Type: application/json" in posted
    assert asked.startswith(b"GET /api HTTP/1.1\r\n")
    assert b"\r\nPRIVATE-TOKEN: glpat-1234567" in asked
    assert (body, nothing) == (BODY, b"")
    assert "glpat" not in repr(get)


@pytest.mark.parametrize("status", RETRIED)
def test_a_server_that_says_not_now_is_asked_again(
    server: StandIn, played: Played, status: int
) -> None:
    server.respond(status)
    answer = played.deliver(server.url)

    assert (answer.status, answer.attempts, len(server.jobs)) == (200, 2, 1)
    (told,) = played.told
    how = "uncompressed" if status == 500 else f"in {played.sleeps[0]:.1f} s"
    assert told.startswith(f"attempt 1 of 3: {status}")
    assert told.endswith(f"; retrying {how}")


@pytest.mark.parametrize("status", FINAL)
def test_a_server_that_means_it_is_asked_once(server: StandIn, played: Played, status: int) -> None:
    server.respond(status, times=3)
    answer = played.deliver(server.url)

    assert (answer.status, answer.attempts, answer.ambiguous) == (status, 1, False)
    assert (len(server.requests), played.told, played.sleeps) == (1, [], [])


@pytest.mark.parametrize("status", AMBIGUOUS)
def test_what_may_have_arrived_is_not_repeated_where_that_does_harm(
    server: StandIn, played: Played, status: int
) -> None:
    """Without a build number each job that arrives is a build: a gateway's time-out is final."""
    server.respond(status)
    answer = played.deliver(server.url, retry_ambiguous=False)

    assert (answer.status, answer.attempts, answer.ambiguous) == (status, 1, True)


@pytest.mark.parametrize("then", [(), (NOT_PARSED,)], ids=["gzip", "uncompressed"])
def test_doubt_stays_when_a_later_attempt_is_refused(
    server: StandIn, played: Played, then: tuple[str, ...]
) -> None:
    server.respond(504)
    for message in (*then, "must be unique"):
        server.respond(422, {"message": message, "error": True})
    answer = played.deliver(server.url)

    assert (answer.status, answer.attempts, answer.ambiguous) == (422, 2 + len(then), True)


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_as_many_attempts_as_asked_for_send_the_same_bytes(
    server: StandIn, played: Played, retries: int
) -> None:
    server.respond(503, times=10)
    answer = played.deliver(server.url, retries=retries, retry_ambiguous=False)

    assert len(server.requests) == answer.attempts == retries + 1
    assert len({(it.body, it.headers["Content-Type"]) for it in server.requests}) == 1
    assert [told.split()[1] for told in played.told] == [str(n) for n in range(1, retries + 1)]


def test_waits_have_a_doubling_bound(server: StandIn, played: Played) -> None:
    server.respond(503, times=6)
    played.deliver(server.url, retries=5)

    assert played.sleeps == [2, 4, 8, 8, 8]


@pytest.mark.parametrize(
    ("said", "drawn", "wait"),
    [
        *(("7", 0.0, 7), ("30", 0.0, 30), (" 7 ", 0.0, 7), ("1", 1.0, 2), ("0", 0.7, 1.4)),
        *((nothing, 0.25, 0.5) for nothing in ("soon", "-5", "1.5", "", "\xb2", "nan", "Thu")),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.25, 0.5),
    ],
)
def test_retry_after_is_the_least_wait(
    server: StandIn, played: Played, said: str, drawn: float, wait: float
) -> None:
    played.drawn = drawn
    server.respond(429, headers={"Retry-After": said})

    assert played.deliver(server.url).status == 200
    assert played.sleeps == [wait]


def in_future(**time: float) -> str:
    """A moment as HTTP writes it."""
    return format_datetime(datetime.now(timezone.utc) + timedelta(**time), usegmt=True)


@pytest.mark.parametrize(
    ("said", "deadline"),
    [("31", 60), ("9" * 400, 60), (in_future(days=2), 60), ("10", 9)],
    ids=["31 s", "for ever", "in two days", "past the deadline"],
)
def test_a_server_that_wants_long_waits_is_left_alone(
    server: StandIn, played: Played, said: str, deadline: float
) -> None:
    server.respond(503, headers={"Retry-After": said}, times=3)
    answer = played.deliver(server.url, deadline=deadline)

    assert (answer.status, answer.attempts, len(server.requests)) == (503, 1, 1)
    assert played.sleeps == []


UNPARSABLE = http(422, json.dumps({"message": NOT_PARSED}).encode())


@pytest.mark.parametrize("said", [http(503), UNPARSABLE])
def test_no_attempt_begins_after_the_deadline(said: bytes) -> None:
    started = time.monotonic()
    with Scripted(lambda _: said) as server:
        call = Call(method="POST", url=server.url, form="json_file", compress=True)
        answer = transport.deliver(call, BODY, Policy(retries=99, deadline=0.5), lambda _: None)

    assert answer.attempts == len(server.received) < 20
    assert time.monotonic() - started < 2


def kinds(received: Sequence[bytes]) -> list[str]:
    """Return how each request was packed."""
    return ["gzip" if b"application/gzip" in request else "plain" for request in received]


@pytest.mark.parametrize(
    ("answers", "retries", "requests"),
    [
        ([UNPARSABLE, http(200)], 0, ["gzip", "plain"]),
        ([http(500), http(503), http(200)], 2, ["gzip", "plain", "plain"]),
        ([UNPARSABLE] * 3, 2, ["gzip", "plain"]),
    ],
)
def test_a_server_that_cannot_read_gzip_gets_the_job_plain(
    played: Played, answers: list[bytes], retries: int, requests: list[str]
) -> None:
    """And all that follows: a 503 of the plain job does not go back to gzip."""
    with Scripted(lambda number: answers[number - 1]) as server:
        answer = played.deliver(server.url, retries=retries)

    assert answer.attempts == len(server.received)
    assert kinds(server.received) == requests
    assert BODY in server.received[1]
    assert b"Content-Type: application/json" in server.received[1]
    assert played.told[0].startswith(f"attempt 1 of {max(retries + 1, 2)}: ")
    assert played.told[0].endswith("; retrying uncompressed")


@pytest.mark.parametrize(("refusal", "requests"), [(UNPARSABLE, 1), (http(500), 3)])
def test_a_job_that_was_plain_is_not_unpacked_again(
    played: Played, refusal: bytes, requests: int
) -> None:
    with Scripted(lambda _: refusal) as server:
        played.deliver(server.url, compress=False)

    assert kinds(server.received) == ["plain"] * requests


def test_coveralls_io_gets_gzip_after_a_500(played: Played) -> None:
    """It reads gzip: a 500 means something else there."""
    with Scripted(lambda _: http(500)) as server:
        played.setenv("http_proxy", server.url)
        played.deliver("http://coveralls.io")

    assert kinds(server.received) == ["gzip"] * 3


def test_the_server_that_a_redirect_names_receives_no_byte(server: StandIn, played: Played) -> None:
    """The body holds the token: it goes to the host that was named and to no other."""
    with Faulty("hang") as other:
        server.respond(307, headers={"Location": f"{other.url}/api/v1/jobs"}, times=3)
        answer = played.deliver(server.url)

        assert (answer.status, answer.attempts, len(server.requests)) == (307, 1, 1)
        assert other.connections == []


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://user:hunter22@login.example:8443/?x=hunter22", "https://login.example:8443"),
        ("//login.example.org/hunter22", "http://login.example.org"),
        ("http://[broken/", "no address"),
    ],
)
def test_of_a_redirect_scheme_host_and_port_are_shown(
    played: Played, location: str, shown: str
) -> None:
    """User, path and query may be secrets."""
    with Scripted(lambda _: http(302, b"", f"Location: {location}")) as server:
        answer = played.deliver(server.url)

    assert (answer.status, answer.attempts, answer.headers["location"]) == (302, 1, shown)
    assert "hunter22" not in repr(answer)


@pytest.mark.parametrize(
    ("server", "problem"),
    [
        (lambda: Faulty("reset after"), "the connection was reset"),
        (lambda: Scripted(lambda _: b""), "the connection was closed without an answer"),
        (lambda: Scripted(lambda _: b"\0\xff not HTTP \x1b[31m\r\n\r\n"), "the answer is not HTTP"),
        (lambda: Faulty("hang"), "no answer within 0.3 s"),
    ],
)
def test_a_lost_answer_is_in_doubt_and_repeated_only_when_that_is_harmless(
    played: Played, server: Callable[[], Scripted], problem: str
) -> None:
    with server() as faulty:
        once = played.deliver(faulty.url, read_timeout=0.3012, retry_ambiguous=False)
        more = played.deliver(faulty.url, read_timeout=0.3012, retries=1)

    assert len(faulty.received) == 3
    assert (once.attempts, once.ambiguous) == (1, True)
    assert (more.attempts, more.ambiguous) == (2, True)
    assert once.problem == more.problem == problem


def test_a_connection_that_was_not_made_is_tried_again_without_doubt(played: Played) -> None:
    refused = played.deliver("http://127.0.0.1:1", retry_ambiguous=False)
    with Faulty("reset before") as faulty:
        cut = played.deliver(faulty.url.replace("http", "https"), retry_ambiguous=False)

    for answer, problem in ((refused, "connection refused"), (cut, "the connection was ")):
        assert (answer.attempts, answer.ambiguous, answer.size) == (3, False, 0)
        assert answer.problem.startswith(problem)


def test_a_host_that_does_not_exist_is_tried_again(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    answer = played.deliver("http://coveralls.invalid", retry_ambiguous=False)

    assert (answer.problem, answer.attempts) == ("the host name cannot be found", 3)
    assert not answer.ambiguous


def test_a_host_that_does_not_take_the_connection_is_given_up(played: Played) -> None:
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for waiting in (first, second):  # fill the queue that nobody takes from
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        answer = played.deliver(url, connect_timeout=0.2, retry_ambiguous=False, retries=1)

    assert (answer.problem, answer.attempts) == ("no connection within 0.2 s", 2)
    assert not answer.ambiguous


def test_a_server_that_takes_nothing_in_is_given_up(played: Played) -> None:
    body = random.Random(1).randbytes(8 * 2**20)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        started = time.monotonic()
        answer = played.deliver(url, compress=False, body=body, retries=0, connect_timeout=0.3)

    assert answer.problem == "the job could not be handed over within 0.3 s"
    assert time.monotonic() - started < 5


def test_a_server_that_reads_slowly_gets_it_all(played: Played) -> None:
    body = random.Random(1).randbytes(10_000)
    with Faulty("slow reader") as faulty:
        answer = played.deliver(faulty.url, compress=False, body=body, connect_timeout=0.2)

    assert body in faulty.received[0]
    assert (answer.status, answer.text, answer.attempts) == (200, ACCEPTED.decode(), 1)


# Many gzip members in a row are one gzip file; it unpacks to half a gigabyte.
BOMB = http(200, gzip.compress(b" " * 10 * 2**20) * 50, "Content-Encoding: gzip")


@pytest.mark.parametrize(
    "server", [lambda: Faulty("endless body"), lambda: Scripted(lambda _: BOMB)]
)
def test_of_an_answer_without_end_64_kib_are_read(
    played: Played, server: Callable[[], Scripted]
) -> None:
    with server() as faulty:
        played.deliver(faulty.url)  # what is made once is made
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        answer = played.deliver(faulty.url)
        peak = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()

    assert (answer.status, answer.attempts) == (200, 1)
    assert 0 < len(answer.text) <= transport.BODY_LIMIT
    assert peak < 8 * 2**20


def test_an_answer_that_breaks_off_is_in_doubt(played: Played) -> None:
    said = http(200, ACCEPTED, reason="OK").replace(b"Length: ", b"Length: 1")
    with Scripted(lambda _: said) as server:
        answer = played.deliver(server.url)

    assert len(server.received) == 1
    assert (answer.status, answer.text, answer.ambiguous) == (200, ACCEPTED.decode(), True)
    assert answer.problem == "200 OK, and the answer broke off"


def test_a_server_that_speaks_no_tls_is_tried_once(played: Played) -> None:
    with Faulty("http on https") as faulty:
        answer = played.deliver(faulty.url.replace("http", "https"))

    assert (len(faulty.connections), answer.attempts) == (1, 1)
    assert answer.problem.startswith("no secure connection: ")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 999999 What\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\r\n\r\n",
    ],
    ids=["500 headers", "long header", "status", "chunks", "blank"],
)
def test_no_answer_makes_the_call_raise(played: Played, answer: bytes) -> None:
    with Scripted(lambda _: answer) as server:
        said = played.deliver(server.url, retries=0)

    assert said.attempts == 1
    assert 0 < len(said.problem) < 400


@pytest.mark.parametrize(
    "url",
    [
        *("http://.example.org", f"http://{'a' * 70}.example.org", "http://*.example.org"),
        *("ftp://example.org", "http://"),
    ],
)
def test_a_bad_address_is_not_tried_again(played: Played, url: str) -> None:
    answer = played.deliver(url)

    assert (answer.status, answer.attempts, answer.ambiguous) == (None, 1, False)
    assert answer.problem


def test_the_proxy_of_the_environment_is_used(server: StandIn, played: Played) -> None:
    played.setenv("http_proxy", server.url)

    assert played.deliver("http://coveralls.invalid").status == 200
    assert server.requests[0].headers["Host"] == "coveralls.invalid"


def test_this_machine_is_reached_without_a_proxy(server: StandIn, played: Played) -> None:
    """Plain http is allowed where nobody can listen; a proxy could."""
    played.setenv("http_proxy", "http://127.0.0.1:1")
    answer = played.deliver(server.url)

    assert (answer.status, answer.proxy) == (200, "")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_not_there_is_named_without_its_password(
    played: Played, scheme: str
) -> None:
    played.setenv(f"{scheme}_proxy", "http://user:hunter22@127.0.0.1:1/x?hunter22")
    answer = played.deliver(f"{scheme}://coveralls.invalid", retry_ambiguous=False, retries=1)

    assert re.match("no connection through the proxy: .*refused", answer.problem)
    assert (answer.attempts, answer.ambiguous) == (2, False)
    assert answer.proxy == f"http://127.0.0.1:1 (from {scheme}_proxy)"
    assert "hunter22" not in repr(answer)


@pytest.mark.parametrize(("status", "attempts"), [(407, 1), (404, 1), (503, 2)])
def test_what_a_proxy_answers_to_connect_is_quoted(
    played: Played, status: int, attempts: int
) -> None:
    with Scripted(lambda _: http(status, reason="Because")) as proxy:
        played.setenv("https_proxy", proxy.url)
        answer = played.deliver("https://coveralls.invalid", retry_ambiguous=False, retries=1)

    tunnel = f"Tunnel connection failed: {status} Because"
    assert answer.problem == f"no connection through the proxy: {tunnel}"
    assert (answer.attempts, answer.ambiguous) == (attempts, False)
    assert all(request.startswith(b"CONNECT ") for request in proxy.received)


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"SSH-2.0-OpenSSH_9.6\r\n\r\n"]
)
def test_a_proxy_that_is_none_is_blamed(played: Played, answer: bytes) -> None:
    with Scripted(lambda _: answer) as proxy:
        played.setenv("https_proxy", proxy.url)
        said = played.deliver("https://coveralls.invalid", retries=0)

    assert said.problem.startswith("no connection through the proxy: ")


MALFORMED = "the proxy address is malformed"


@pytest.mark.parametrize(
    ("address", "problem", "shown"),
    [
        ("http://user:hunter#22@squid.example:3128", MALFORMED, "http://squid.example:3128"),
        ("http://user:hunter22@[::1", MALFORMED, "http://[::1"),
        ("htp://user:hunter22@squid.example", "", "htp://squid.example"),
        pytest.param(
            "socks5://user:hunter22@127.0.0.1:1",
            "Missing dependencies for SOCKS support.",
            "socks5://127.0.0.1:1",
            marks=pytest.mark.skipif(find_spec("socks") is not None, reason="PySocks is here"),
        ),
    ],
)
def test_a_proxy_that_cannot_be_used_is_tried_once(
    played: Played, address: str, problem: str, shown: str
) -> None:
    played.setenv("HTTPS_PROXY", address)
    answer = played.deliver("https://coveralls.invalid")

    assert problem in answer.problem
    assert (answer.attempts, answer.proxy) == (1, f"{shown} (from HTTPS_PROXY)")
    assert "hunter" not in repr(answer)
