"""One call to a server, again where that is safe: real servers, and time that is played."""

from __future__ import annotations

import gzip
import itertools
import json
import random
import re
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import pytest
from faulty import ACCEPTED, Behaviour, Faulty
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Scripted, http
from standin import COVERALLS_TOKEN, NOT_PARSED, Received, StandIn

from pytest_coveralls_submit import __version__
from pytest_coveralls_submit.delivery import transport
from pytest_coveralls_submit.delivery.sender import TRACE_HEADERS, Answer, Call, Policy

BODY = json.dumps(
    {
        "repo_token": COVERALLS_TOKEN,
        "service_name": "test-ci",
        "service_number": "77",
        "service_job_id": "77.1",
        "source_files": [
            {"name": "sample/beds.py", "source_digest": "0" * 32, "coverage": [None, 1, 0]}
        ],
    }
).encode()

RETRIED = (408, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 527, 530)
AMBIGUOUS = (504, 520, 521, 522, 523, 524)
REDIRECTS = (300, 301, 302, 303, 307, 308)
FINAL = (*REDIRECTS, 304, 400, 401, 403, 404, 405, 409, 410, 413, 418, 422, 451, 501, 505, 525, 526)


class Played:
    """Time that passes when somebody sleeps; the draw is the greatest number, unless told."""

    def __init__(self, draw: Callable[[float, float], float] | None = None) -> None:
        self.now = 1000.0
        self.sleeps: list[float] = []
        self.bounds: list[tuple[float, float]] = []
        self.told: list[str] = []
        self._draw = draw or (lambda _low, high: high)

    def clock(self) -> float:
        """Seconds, as ``time.monotonic``."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.sleeps.append(seconds)
        self.now += seconds

    def draw(self, low: float, high: float) -> float:
        """Draw between two numbers, as ``random.uniform``."""
        self.bounds.append((low, high))
        return self._draw(low, high)

    def deliver(self, url: str, *, call: Call | None = None, **policy: Any) -> Answer:
        """Deliver the body as a job; short time-outs unless told."""
        times = {
            "retries": 2,
            "connect_timeout": 5.0,
            "read_timeout": 5.0,
            "retry_ambiguous": True,
        }
        return transport.deliver(
            call or job_call(url),
            BODY,
            Policy(**{**times, **policy}),
            self.told.append,
            clock=self.clock,
            sleep=self.sleep,
            draw=self.draw,
        )


def job_call(url: str, *, compress: bool = True) -> Call:
    """The call that hands in a job at ``url``."""
    return Call(method="POST", url=f"{url}/api/v1/jobs", form="json_file", compress=compress)


@pytest.fixture
def played() -> Played:
    """Time that no test has to wait for."""
    return Played()


def json_part(received: Received) -> bytes:
    """The job in a request, unpacked."""
    part = received.part("json_file")
    assert part is not None
    is_gzip = part.headers["Content-Type"] == "application/gzip"
    return gzip.decompress(part.body) if is_gzip else part.body


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


@pytest.mark.parametrize("variable", [True, False], ids=["NETRC", "home"])
@pytest.mark.parametrize("entry", ["machine 127.0.0.1", "default"])
def test_what_a_netrc_file_holds_is_never_sent(
    server: StandIn,
    played: Played,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    entry: str,
    variable: bool,
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text(f"{entry}\nlogin somebody\npassword hunter22\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc)) if variable else monkeypatch.setenv(
        "HOME", str(tmp_path)
    )
    played.deliver(server.url)

    (received,) = server.requests
    assert "Authorization" not in received.headers
    assert b"hunter22" not in received.body


def test_plain_json_is_sent_where_it_is_asked_for(played: Played) -> None:
    call = Call(method="POST", url="", form="json")
    with Scripted(lambda _: http(200, b"{}")) as server:
        played.deliver("", call=Call(**{**vars(call), "url": f"{server.url}/webhook"}))

    head, _, body = server.received[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /webhook HTTP/1.1\r\n")
    assert b"\r\nContent-Type: application/json" in head
    assert body == BODY


def test_a_get_has_no_body_and_the_headers_it_was_given(played: Played) -> None:
    with Scripted(lambda _: http(200, b"{}")) as server:
        url = f"{server.url}/api/v4"
        call = Call(method="GET", url=url, form="none", headers={"PRIVATE-TOKEN": "glpat-1234567"})
        played.deliver("", call=call)

    head, _, body = server.received[0].partition(b"\r\n\r\n")
    assert head.startswith(b"GET /api/v4 HTTP/1.1\r\n")
    assert b"\r\nPRIVATE-TOKEN: glpat-1234567" in head
    assert body == b""
    assert "glpat" not in repr(call)


# --- again or not ----------------------------------------------------------------------------


@pytest.mark.parametrize("status", RETRIED)
def test_a_server_that_says_not_now_is_asked_again(
    server: StandIn, played: Played, status: int
) -> None:
    server.respond(status)
    answer = played.deliver(server.url)

    assert (answer.status, answer.attempts) == (200, 2)
    assert len(server.jobs) == 1
    (told,) = played.told
    assert told.startswith(f"attempt 1 of 3: {status} ")
    how = "uncompressed" if status == 500 else f"in {played.sleeps[0]:.1f} s"
    assert told.endswith(f"; retrying {how}")


@pytest.mark.parametrize("status", FINAL)
def test_a_server_that_means_it_is_asked_once(server: StandIn, played: Played, status: int) -> None:
    server.respond(status, times=3)
    answer = played.deliver(server.url)

    assert (answer.status, answer.attempts, answer.ambiguous) == (status, 1, False)
    assert len(server.requests) == 1
    assert played.told == []
    assert played.sleeps == []


@pytest.mark.parametrize("status", RETRIED)
def test_what_may_have_arrived_is_repeated_only_when_that_is_harmless(
    server: StandIn, played: Played, status: int
) -> None:
    """Without a build number each job that arrives is a build: a gateway's time-out is final."""
    server.respond(status, times=2)
    answer = played.deliver(server.url, retry_ambiguous=False, retries=1)

    repeated = status not in AMBIGUOUS
    assert len(server.requests) == 1 + repeated
    assert answer.ambiguous == (not repeated)


def test_doubt_stays_when_a_later_attempt_is_refused(server: StandIn, played: Played) -> None:
    server.respond(504)
    server.respond(422, {"message": "must be unique", "error": True})
    answer = played.deliver(server.url)

    assert (answer.status, answer.attempts, answer.ambiguous) == (422, 2, True)


def test_doubt_stays_when_the_job_is_sent_plain(server: StandIn, played: Played) -> None:
    """A gateway's time-out is not forgotten because a later attempt was uncompressed."""
    server.respond(504)
    server.respond(422, {"message": NOT_PARSED, "error": True})
    server.respond(422, {"message": "must be unique", "error": True})
    answer = played.deliver(server.url)

    assert (answer.status, answer.attempts) == (422, 3)
    assert answer.ambiguous


def test_each_attempt_sends_the_same_bytes(server: StandIn, played: Played) -> None:
    server.respond(503, times=3)
    played.deliver(server.url, retries=3)

    assert len(server.requests) == 4
    assert len({received.body for received in server.requests}) == 1
    kinds = {received.headers["Content-Type"] for received in server.requests}
    assert len(kinds) == 1


def test_trace_headers_are_kept(played: Played) -> None:
    traces = {name: f"of-{name}" for name in TRACE_HEADERS}
    lines = [f"{name.title()}: {value}" for name, value in traces.items()]
    with Scripted(lambda _: http(422, b"{}", "Server: x", *lines)) as server:
        assert played.deliver(server.url).headers == traces


@pytest.mark.parametrize(("seconds", "shown"), [(0.3, "0.3"), (0.12512, "0.1")])
def test_time_outs_are_shown_rounded(played: Played, seconds: float, shown: str) -> None:
    with Faulty("hang") as faulty:
        answer = played.deliver(faulty.url, read_timeout=seconds, retries=0)

    assert answer.problem == f"no answer within {shown} s"


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_no_more_attempts_are_made_than_asked_for(
    server: StandIn, played: Played, retries: int
) -> None:
    server.respond(503, times=10)
    answer = played.deliver(server.url, retries=retries)

    assert len(server.requests) == answer.attempts == retries + 1
    assert len(played.sleeps) == retries
    assert [told.split()[1] for told in played.told] == [str(n) for n in range(1, retries + 1)]
    assert answer.problem.startswith("503 ")


# --- waiting ---------------------------------------------------------------------------------


def test_waits_are_drawn_between_nothing_and_a_doubling_bound(
    server: StandIn, played: Played
) -> None:
    server.respond(503, times=6)
    played.deliver(server.url, retries=5)

    assert played.bounds[:5] == [(0, 2), (0, 4), (0, 8), (0, 8), (0, 8)]
    assert played.sleeps == [2, 4, 8, 8, 8]


@pytest.mark.parametrize(
    ("said", "drawn", "wait"),
    [("7", 0.0, 7), ("30", 0.0, 30), (" 7 ", 0.0, 7), ("1", 1.0, 2), ("0", 0.7, 1.4)],
)
def test_retry_after_is_the_least_wait(
    server: StandIn, said: str, drawn: float, wait: float
) -> None:
    played = Played(lambda _low, high: high * drawn)
    server.respond(429, headers={"Retry-After": said})

    assert played.deliver(server.url).status == 200
    assert played.sleeps == [wait]


def test_retry_after_may_be_a_date(server: StandIn) -> None:
    """RFC 9110, 10.2.3."""
    played = Played(lambda _low, _high: 0.0)
    then = datetime.now(timezone.utc) + timedelta(seconds=20)
    server.respond(503, headers={"Retry-After": format_datetime(then, usegmt=True)})

    assert played.deliver(server.url).status == 200
    assert 15 < played.sleeps[0] <= 20


@pytest.mark.parametrize(
    "said",
    [
        *("soon", "-5", "1.5", "", "\xb2", "nan", "Thu, 01 Jun"),
        "Thu, 01 Jan 1970 00:00:00 GMT",
    ],
)
def test_a_retry_after_that_says_nothing_is_ignored(server: StandIn, said: str) -> None:
    played = Played(lambda _low, high: high / 4)
    server.respond(503, headers={"Retry-After": said})
    answer = played.deliver(server.url)

    assert played.sleeps == [0.5]
    assert answer.status == 200


@pytest.mark.parametrize(
    "said",
    [
        *("31", "3600", "9" * 400),
        format_datetime(datetime.now(timezone.utc) + timedelta(days=2), usegmt=True),
    ],
    ids=["31 s", "an hour", "for ever", "in two days"],
)
def test_a_server_that_wants_long_waits_is_left_alone(
    server: StandIn, played: Played, said: str
) -> None:
    server.respond(503, headers={"Retry-After": said}, times=3)
    answer = played.deliver(server.url)

    assert (answer.status, answer.attempts, len(server.requests)) == (503, 1, 1)
    assert played.sleeps == []


def test_a_wait_beyond_the_deadline_is_not_begun(server: StandIn, played: Played) -> None:
    server.respond(503, headers={"Retry-After": "10"}, times=3)
    answer = played.deliver(server.url, deadline=9.0)

    assert (answer.attempts, len(server.requests)) == (1, 1)
    assert played.sleeps == []
    assert answer.seconds == 0


ANSWERS = st.lists(
    st.tuples(
        st.sampled_from([200, 422, 429, 503, 504]),
        st.none() | st.integers(0, 60),  # Retry-After
        st.floats(0, 40),  # seconds that it takes
        st.booleans(),  # whether the job could not be read
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=100, deadline=None)
@given(
    retries=st.integers(0, 5),
    deadline=st.floats(0.5, 90),
    draws=st.lists(st.floats(0, 1), min_size=1),
    answers=ANSWERS,
)
def test_no_schedule_goes_past_the_deadline(
    retries: int,
    deadline: float,
    draws: list[float],
    answers: list[tuple[int, int | None, float, bool]],
) -> None:
    drawn = itertools.cycle(draws)
    played = Played(lambda low, high: low + (high - low) * next(drawn))
    said = itertools.cycle(answers)
    starts: list[float] = []

    def answer(_: int) -> bytes:
        starts.append(played.now - 1000)
        status, after, seconds, is_unparsable = next(said)
        played.now += seconds
        body = json.dumps({"message": NOT_PARSED}).encode() if is_unparsable else b"{}"
        return http(status, body, *(() if after is None else (f"Retry-After: {after}",)))

    with Scripted(answer) as server:
        played.deliver(server.url, retries=retries, deadline=deadline)

    assert 1 <= len(server.received) <= max(retries, 1) + 1
    assert all(start <= deadline for start in starts)
    assert len(played.told) == len(played.sleeps)
    assert all(0 <= wait <= deadline for wait in played.sleeps)


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
    ("refusal", "requests"), [(UNPARSABLE, ["plain"]), (http(500), ["plain"] * 3)]
)
def test_a_job_that_was_plain_is_not_unpacked_again(
    played: Played, refusal: bytes, requests: list[str]
) -> None:
    with Scripted(lambda _: refusal) as server:
        played.deliver("", call=job_call(server.url, compress=False))

    assert kinds(server.received) == requests


def test_coveralls_io_gets_gzip_after_a_500(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads gzip: a 500 means something else there."""
    with Scripted(lambda _: http(500)) as server:
        monkeypatch.setenv("http_proxy", server.url)
        played.deliver("http://coveralls.io")

    assert kinds(server.received) == ["gzip"] * 3


def test_a_job_that_cannot_be_read_at_all_is_sent_twice(played: Played) -> None:
    with Scripted(lambda _: UNPARSABLE) as server:
        assert played.deliver(server.url).attempts == len(server.received) == 2


def test_nothing_is_sent_plain_after_the_deadline(played: Played) -> None:

    def answer(_: int) -> bytes:
        played.now += 100
        return http(422, json.dumps({"message": NOT_PARSED}).encode())

    with Scripted(answer) as server:
        played.deliver(server.url, deadline=60.0)
    assert len(server.received) == 1


# --- redirects -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", REDIRECTS)
def test_the_server_that_a_redirect_names_receives_no_byte(
    server: StandIn, played: Played, status: int
) -> None:
    """The body holds the token: it goes to the host that was named and to no other."""
    with Faulty("hang") as other:
        target = f"{other.url}/api/v1/jobs?token=hunter22#frag"
        server.respond(status, headers={"Location": target}, times=3)
        answer = played.deliver(server.url)

        assert (answer.status, answer.attempts, len(server.requests)) == (status, 1, 1)
        assert (other.connections, other.received) == (0, b"")
    assert answer.headers["location"] == other.url


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        (
            "https://user:hunter22@login.example.org:8443/?x=hunter22",
            "https://login.example.org:8443",
        ),
        ("/hunter22", "another path"),
        ("//login.example.org/hunter22", "http://login.example.org"),
        ("", "another path"),
        ("http://[broken/", "no address"),
        ("http://a]b/", "no address"),
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
        once = played.deliver(faulty.url, read_timeout=0.3, retry_ambiguous=False)
        asked = faulty.requests
        more = played.deliver(faulty.url, read_timeout=0.3, retries=1)

        assert (asked, once.attempts, once.ambiguous) == (1, 1, True)
        assert (faulty.requests, more.attempts, more.ambiguous) == (3, 2, True)
    assert once.problem == more.problem == problem
    assert once.status is None


def test_a_connection_that_is_reset_at_once_is_tried_again(played: Played) -> None:
    with Faulty("reset before") as faulty:
        answer = played.deliver(faulty.url, retries=2)

        assert (faulty.connections, answer.attempts) == (3, 3)
    assert "connection was" in answer.problem


def test_a_port_without_a_server_is_tried_again_without_any_doubt(played: Played) -> None:
    """Nobody was there: nothing can have arrived."""
    with Faulty("refuse") as faulty:
        answer = played.deliver(faulty.url, retry_ambiguous=False)

    assert answer == Answer(
        problem="connection refused", attempts=3, seconds=answer.seconds, ambiguous=False
    )
    assert len(played.told) == 2


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

        assert (answer.status, answer.text) == (200, ACCEPTED.decode())
        assert (faulty.requests, answer.attempts) == (1, 1)
        assert body in faulty.received


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

        assert faulty.requests == 2
    assert answer.status == 200
    assert 0 < len(answer.text) <= transport.BODY_LIMIT
    assert peak < 8 * 2**20


def test_an_answer_that_breaks_off_is_in_doubt(played: Played) -> None:
    with Faulty("lying length") as faulty:
        answer = played.deliver(faulty.url)

        assert faulty.requests == 1
    assert (answer.status, answer.text, answer.ambiguous) == (200, ACCEPTED.decode(), True)
    assert answer.problem == "200 OK, and the answer broke off"


def test_a_cut_tls_handshake_is_tried_again_without_any_doubt(played: Played) -> None:
    with Faulty("reset before") as faulty:
        answer = played.deliver(faulty.https_url, retry_ambiguous=False, retries=1)

        assert faulty.connections == 2
    assert (answer.attempts, answer.ambiguous) == (2, False)


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
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ],
    ids=["500 headers", "long header", "status", "chunks", "blank", "ssh"],
)
def test_no_answer_makes_the_call_raise(played: Played, answer: bytes) -> None:
    with Scripted(lambda _: answer) as server:
        said = played.deliver(server.url, retries=0)

    assert said.attempts == 1
    assert said.problem
    assert len(said.problem) < 400


@pytest.mark.parametrize(
    "url",
    [
        "http://.example.org",
        f"http://{'a' * 70}.example.org",
        "http://*.example.org",
        "ftp://example.org",
        "http://",
    ],
)
def test_an_address_that_cannot_be_used_is_told_and_not_tried_again(
    played: Played, url: str
) -> None:
    """A bad URL is an answer like any other problem, not an exception."""
    answer = played.deliver(url)

    assert (answer.status, answer.attempts, answer.ambiguous) == (None, 1, False)
    assert answer.problem


# --- proxies ---------------------------------------------------------------------------------


def test_the_proxy_of_the_environment_is_used(
    server: StandIn, played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    answer = played.deliver("http://coveralls.invalid")

    (received,) = server.requests
    assert answer.status == 200
    assert received.headers["Host"] == "coveralls.invalid"
    assert json_part(received) == BODY


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
@pytest.mark.parametrize("user", ["", "user:hunter22@"])
def test_a_proxy_that_is_not_there_is_named_without_its_password(
    played: Played, monkeypatch: pytest.MonkeyPatch, scheme: str, user: str
) -> None:
    monkeypatch.setenv(f"{scheme}_proxy", f"http://{user}127.0.0.1:1/x?hunter22")
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
    ("address", "problem"),
    [
        ("http://user:hunter#22@127.0.0.1:1", "the proxy address is malformed"),
        ("http://user:hunter22@[::1", "the proxy address is malformed"),
        pytest.param(
            "socks5://user:hunter22@127.0.0.1:1",
            "Missing dependencies for SOCKS support.",
            marks=pytest.mark.skipif(find_spec("socks") is not None, reason="PySocks is here"),
        ),
    ],
)
def test_a_proxy_that_cannot_be_used_is_tried_once(
    played: Played, monkeypatch: pytest.MonkeyPatch, address: str, problem: str
) -> None:
    monkeypatch.setenv("https_proxy", address)
    answer = played.deliver("https://coveralls.invalid")

    assert (answer.problem, answer.attempts) == (problem, 1)
    assert "hunter" not in repr(answer)


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    before = threading.enumerate()
    yield
    assert threading.enumerate() == before
