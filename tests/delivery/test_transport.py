"""One call to a server, again where that is safe: real servers, and time that is played."""

from __future__ import annotations

import gzip
import json
import random
import re
import socket
import time
import tracemalloc
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import pytest
from faulty import ACCEPTED, Behaviour, Faulty
from scripted import Scripted, http
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

    def __init__(self) -> None:
        self.drawn = 1.0
        self.sleeps: list[float] = []
        self.told: list[str] = []

    def deliver(self, url: str, *, call: Call | None = None, **policy: Any) -> Answer:
        """Deliver the body as a job; short time-outs unless told."""
        times = {"retries": 2, "connect_timeout": 5.0, "read_timeout": 5.0}
        given = Policy(**{**times, "retry_ambiguous": True, **policy})
        return transport.deliver(call or job_call(url), BODY, given, self.told.append)


def job_call(url: str, *, compress: bool = True) -> Call:
    """The call that hands in a job at ``url``."""
    return Call(method="POST", url=f"{url}/api/v1/jobs", form="json_file", compress=compress)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    played = Played()
    monkeypatch.setattr(time, "sleep", played.sleeps.append)
    monkeypatch.setattr(random, "uniform", lambda _low, high: high * played.drawn)
    return played


# --- the request -----------------------------------------------------------------------------


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
    server: StandIn, played: Played, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("default\nlogin somebody\npassword hunter22\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    played.deliver(server.url)

    (received,) = server.requests
    assert "Authorization" not in received.headers


def test_other_calls_are_plain_json_or_have_no_body(played: Played) -> None:
    secret = {"PRIVATE-TOKEN": "glpat-1234567"}
    with Scripted(lambda _: http(200, b"{}")) as server:
        url = f"{server.url}/api"
        post = Call(method="POST", url=url, form="json")
        get = Call(method="GET", url=url, form="none", headers=secret)
        played.deliver("", call=post)
        played.deliver("", call=get)

    (posted, _, body), (asked, _, nothing) = (
        request.partition(b"\r\n\r\n") for request in server.received
    )
    assert posted.startswith(b"POST /api HTTP/1.1\r\n")
    assert b"\r\nContent-Type: application/json" in posted
    assert asked.startswith(b"GET /api HTTP/1.1\r\n")
    assert b"\r\nPRIVATE-TOKEN: glpat-1234567" in asked
    assert (body, nothing) == (BODY, b"")
    assert "glpat" not in repr(get)


# --- again or not ----------------------------------------------------------------------------


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


@pytest.mark.parametrize("status", [503, *AMBIGUOUS])
def test_what_may_have_arrived_is_repeated_only_when_that_is_harmless(
    server: StandIn, played: Played, status: int
) -> None:
    """Without a build number each job that arrives is a build: a gateway's time-out is final."""
    server.respond(status, times=2)
    answer = played.deliver(server.url, retry_ambiguous=False, retries=1)

    repeated = status not in AMBIGUOUS
    assert len(server.requests) == 1 + repeated
    assert answer.ambiguous == (not repeated)


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
    answer = played.deliver(server.url, retries=retries)

    assert len(server.requests) == answer.attempts == retries + 1
    assert len({(it.body, it.headers["Content-Type"]) for it in server.requests}) == 1
    assert [told.split()[1] for told in played.told] == [str(n) for n in range(1, retries + 1)]


# --- waiting ---------------------------------------------------------------------------------


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


@pytest.mark.parametrize("said", [http(503), http(422, NOT_PARSED.encode())])
def test_no_attempt_begins_after_the_deadline(said: bytes) -> None:
    started = time.monotonic()
    with Scripted(lambda _: said) as server:
        call = job_call(server.url)
        answer = transport.deliver(call, BODY, Policy(retries=99, deadline=0.5), lambda _: None)

        assert answer.attempts == len(server.received) < 20
    assert time.monotonic() - started < 2


# --- uncompressed ----------------------------------------------------------------------------

UNPARSABLE = http(422, json.dumps({"message": NOT_PARSED}).encode())


def kinds(received: Sequence[bytes]) -> list[str]:
    """Return how each request was packed."""
    return ["gzip" if b"application/gzip" in request else "plain" for request in received]


@pytest.mark.parametrize("refusal", [UNPARSABLE, http(500)], ids=["not parsed", "500"])
@pytest.mark.parametrize("retries", [0, 2])
def test_a_server_that_cannot_read_gzip_gets_the_job_plain(
    played: Played, refusal: bytes, retries: int
) -> None:
    """And all that follows: a 503 of the plain job does not go back to gzip."""
    answers = [refusal, http(503), http(200, b"{}")]
    with Scripted(lambda number: answers[number - 1]) as server:
        answer = played.deliver(server.url, retries=retries)

    assert answer.attempts == len(server.received) == (3 if retries else 2)
    assert kinds(server.received) == ["gzip", "plain", "plain"][: answer.attempts]
    assert BODY in server.received[1]
    assert b"Content-Type: application/json" in server.received[1]
    assert played.told[0].startswith(f"attempt 1 of {max(retries + 1, 2)}: ")
    assert played.told[0].endswith("; retrying uncompressed")


@pytest.mark.parametrize(
    ("compress", "refusal", "requests"),
    [
        (True, UNPARSABLE, ["gzip", "plain"]),
        (False, UNPARSABLE, ["plain"]),
        (False, http(500), ["plain"] * 3),
    ],
)
def test_a_job_that_was_plain_is_not_unpacked_again(
    played: Played, compress: bool, refusal: bytes, requests: list[str]
) -> None:
    with Scripted(lambda _: refusal) as server:
        played.deliver("", call=job_call(server.url, compress=compress))

    assert kinds(server.received) == requests


def test_coveralls_io_gets_gzip_after_a_500(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads gzip: a 500 means something else there."""
    with Scripted(lambda _: http(500)) as server:
        monkeypatch.setenv("http_proxy", server.url)
        played.deliver("http://coveralls.io")

    assert kinds(server.received) == ["gzip"] * 3


# --- redirects -------------------------------------------------------------------------------


def test_the_server_that_a_redirect_names_receives_no_byte(server: StandIn, played: Played) -> None:
    """The body holds the token: it goes to the host that was named and to no other."""
    with Faulty("hang") as other:
        server.respond(307, headers={"Location": f"{other.url}/api/v1/jobs"}, times=3)
        answer = played.deliver(server.url)

        assert (answer.status, answer.attempts, len(server.requests)) == (307, 1, 1)
        assert (other.connections, other.received) == (0, b"")


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


# --- servers that break the rules ------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "problem"),
    [
        ("reset after", "the connection was reset"),
        ("close", "the connection was closed without an answer"),
        ("garbage", "the answer is not HTTP"),
        ("hang", "no answer within 0.3 s"),
    ],
)
def test_a_lost_answer_is_in_doubt_and_repeated_only_when_that_is_harmless(
    played: Played, behaviour: Behaviour, problem: str
) -> None:
    with Faulty(behaviour) as faulty:
        once = played.deliver(faulty.url, read_timeout=0.3012, retry_ambiguous=False)
        more = played.deliver(faulty.url, read_timeout=0.3012, retries=1)

        assert faulty.requests == 3
    assert (once.attempts, once.ambiguous) == (1, True)
    assert (more.attempts, more.ambiguous) == (2, True)
    assert once.problem == more.problem == problem


@pytest.mark.parametrize(
    ("behaviour", "scheme", "problem"),
    [
        ("refuse", "http", "connection refused"),
        ("reset before", "https", "the connection was "),
    ],
)
def test_a_connection_that_was_not_made_is_tried_again_without_doubt(
    played: Played, behaviour: Behaviour, scheme: str, problem: str
) -> None:
    with Faulty(behaviour) as faulty:
        url = faulty.url.replace("http:", f"{scheme}:")
        answer = played.deliver(url, retry_ambiguous=False)

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
        call = job_call(f"http://127.0.0.1:{listener.getsockname()[1]}", compress=False)
        started = time.monotonic()
        answer = transport.deliver(call, body, Policy(connect_timeout=0.3), played.told.append)

    assert answer.problem == "the job could not be handed over within 0.3 s"
    assert time.monotonic() - started < 5


def test_a_server_that_reads_slowly_gets_it_all(played: Played) -> None:
    with Faulty("slow reader", interval=0.05) as faulty:
        body = random.Random(1).randbytes(10_000)
        call = job_call(faulty.url, compress=False)
        answer = transport.deliver(call, body, Policy(connect_timeout=0.2), played.told.append)

        assert body in faulty.received
    assert (answer.status, answer.text, answer.attempts) == (200, ACCEPTED.decode(), 1)


@pytest.mark.parametrize("behaviour", ["endless body", "bomb"])
def test_of_an_answer_without_end_64_kib_are_read(played: Played, behaviour: Behaviour) -> None:
    """Neither an endless answer nor one that unpacks to half a gigabyte fills the memory."""
    with Faulty(behaviour) as faulty:
        played.deliver(faulty.url)  # what is made once, here and in the server, is made
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        answer = played.deliver(faulty.url)
        peak = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()

    assert (answer.status, answer.attempts) == (200, 1)
    assert 0 < len(answer.text) <= transport.BODY_LIMIT
    assert peak < 8 * 2**20


def test_an_answer_that_breaks_off_is_in_doubt(played: Played) -> None:
    with Faulty("lying length") as faulty:
        answer = played.deliver(faulty.url)

        assert faulty.requests == 1
    assert (answer.status, answer.text, answer.ambiguous) == (200, ACCEPTED.decode(), True)
    assert answer.problem == "200 OK, and the answer broke off"


def test_a_server_that_speaks_no_tls_is_tried_once(played: Played) -> None:
    with Faulty("http on https") as faulty:
        answer = played.deliver(faulty.https_url)

        assert (faulty.connections, answer.attempts) == (1, 1)
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


# --- proxies ---------------------------------------------------------------------------------


def test_the_proxy_of_the_environment_is_used(
    server: StandIn, played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)

    assert played.deliver("http://coveralls.invalid").status == 200
    assert server.requests[0].headers["Host"] == "coveralls.invalid"


@pytest.mark.parametrize(
    ("variable", "no_proxy"), [("http_proxy", ""), ("all_proxy", ""), ("http_proxy", "127.0.0.1")]
)
def test_this_machine_and_no_proxy_are_reached_without_one(
    server: StandIn,
    played: Played,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    no_proxy: str,
) -> None:
    """Plain http is allowed where nobody can listen; a proxy could."""
    with Faulty("hang") as proxy:
        monkeypatch.setenv(variable, proxy.url)
        monkeypatch.setenv("no_proxy", no_proxy)
        answer = played.deliver(server.url)

        assert proxy.connections == 0
    assert (answer.status, answer.proxy) == (200, "")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_not_there_is_named_without_its_password(
    played: Played, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv(f"{scheme}_proxy", "http://user:hunter22@127.0.0.1:1/x?hunter22")
    answer = played.deliver(f"{scheme}://coveralls.invalid", retry_ambiguous=False, retries=1)

    assert answer.problem.startswith("no connection through the proxy: ")
    assert "refused" in answer.problem
    assert (answer.attempts, answer.ambiguous) == (2, False)
    assert answer.proxy == f"http://127.0.0.1:1 (from {scheme}_proxy)"
    assert "hunter22" not in repr(answer)


@pytest.mark.parametrize(("status", "attempts"), [(407, 1), (403, 1), (404, 1), (502, 2), (503, 2)])
def test_what_a_proxy_answers_to_connect_is_quoted(
    played: Played, monkeypatch: pytest.MonkeyPatch, status: int, attempts: int
) -> None:
    with Scripted(lambda _: http(status, reason="Because")) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        answer = played.deliver("https://coveralls.invalid", retry_ambiguous=False, retries=1)

    tunnel = f"Tunnel connection failed: {status} Because"
    assert answer.problem == f"no connection through the proxy: {tunnel}"
    assert (answer.attempts, answer.ambiguous) == (attempts, False)
    assert all(request.startswith(b"CONNECT ") for request in proxy.received)


@pytest.mark.parametrize(
    ("address", "problem", "shown"),
    [
        (
            "http://user:hunter#22@squid.example:3128",
            "the proxy address is malformed",
            "http://squid.example:3128",
        ),
        ("http://user:hunter22@[::1", "the proxy address is malformed", "http://[::1"),
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
    played: Played, monkeypatch: pytest.MonkeyPatch, address: str, problem: str, shown: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", address)
    answer = played.deliver("https://coveralls.invalid")

    assert problem in answer.problem
    assert (answer.attempts, answer.proxy) == (1, f"{shown} (from HTTPS_PROXY)")
    assert "hunter" not in repr(answer)


NO_PROXY = (b"", b"HTTP/1.1 200 OK\r\n\r\n", b"SSH-2.0-OpenSSH_9.6\r\n\r\n")


@pytest.mark.parametrize("answer", NO_PROXY)
def test_a_proxy_that_is_none_is_blamed(
    played: Played, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    with Scripted(lambda _: answer) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        said = played.deliver("https://coveralls.invalid", retries=0)

    assert said.problem.startswith("no connection through the proxy: ")
