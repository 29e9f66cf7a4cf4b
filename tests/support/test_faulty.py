"""The broken server breaks what it says it breaks, and nothing else."""

from __future__ import annotations

import gc
import gzip
import socket
import threading
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest
import requests
from faulty import BEHAVIOURS, BOMB_SIZE, FAULTS, PAGE, Behaviour, Faulty

if TYPE_CHECKING:
    from collections.abc import Callable

REQUEST = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"
PATIENCE = (5, 0.3)


def connect(server: Faulty, sent: bytes = REQUEST) -> closing[socket.socket]:
    """A raw connection over which something has been sent."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=5)
    connection.sendall(sent)
    return closing(connection)


def read_until(connection: socket.socket, enough: Callable[[bytes], bool]) -> bytes:
    """Read until there is enough, or the end."""
    content = b""
    while not enough(content):
        piece = connection.recv(2**16)
        if not piece:
            break
        content += piece
    return content


def post(server: Faulty, body: bytes = b"body") -> requests.Response:
    """Send a request as a client would that waits only for a moment."""
    return requests.post(server.url, data=body, timeout=PATIENCE)


def test_a_refusing_server_takes_no_connection() -> None:
    """Rule: "refuse" is a port that is taken, and on which nobody listens."""
    with Faulty("refuse") as server:
        with pytest.raises(requests.ConnectionError):
            post(server)

        assert server.connections == 0


def test_a_hanging_server_takes_all_and_answers_nothing() -> None:
    """Rule: "hang" reads the request and lets the client wait."""
    with Faulty("hang") as server:
        with pytest.raises(requests.ReadTimeout):
            post(server)

        assert (server.connections, server.requests) == (1, 1)
        assert server.received.endswith(b"\r\n\r\nbody")


def test_a_hanging_server_hangs_in_a_tls_handshake_too() -> None:
    """Rule: at its https address "hang" leaves the greeting without an answer."""
    with Faulty("hang") as server:
        with pytest.raises((requests.Timeout, requests.ConnectionError), match="timed out"):
            requests.get(server.https_url, timeout=0.3)

        assert server.connections == 1


def test_a_reset_can_come_before_the_request_was_read() -> None:
    """Rule: "reset before" answers the first byte with RST."""
    with Faulty("reset before") as server:
        with connect(server) as connection, pytest.raises(ConnectionResetError):
            connection.recv(1)

        assert (server.connections, server.requests) == (1, 0)
        assert server.received == REQUEST[:1]


def test_a_reset_can_cut_a_tls_handshake() -> None:
    """Rule: at its https address "reset before" resets instead of greeting."""
    with Faulty("reset before") as server:
        with pytest.raises(requests.ConnectionError):
            requests.get(server.https_url, timeout=5)

        assert server.connections == 1


def test_a_reset_can_come_after_the_request_was_read() -> None:
    """Rule: "reset after" has the whole request before it resets."""
    with Faulty("reset after") as server:
        with connect(server) as connection, pytest.raises(ConnectionResetError):
            connection.recv(1)

        assert server.requests == 1
        assert server.received == REQUEST


def test_a_connection_can_be_closed_without_an_answer() -> None:
    """Rule: "close" reads the request, then ends the connection properly."""
    with Faulty("close") as server:
        with connect(server) as connection:
            assert connection.recv(1) == b""

        assert server.requests == 1


def test_dripping_headers_never_end() -> None:
    """Rule: "header drip" keeps every single read short and the whole endless."""
    with Faulty("header drip", interval=0.001) as server, connect(server) as connection:
        content = read_until(connection, lambda content: len(content) > 100)

        assert content.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\n\r\n" not in content


def test_a_dripping_body_never_ends() -> None:
    """Rule: "body drip" has proper headers and a body that comes byte by byte."""
    with Faulty("body drip", interval=0.001) as server, connect(server) as connection:
        content = read_until(connection, lambda content: content.endswith(b"\r\n\r\n" + b" " * 20))

        assert b"Content-Length: 1000000000\r\n" in content


def test_a_drip_outlasts_the_time_out_of_a_single_read() -> None:
    """Rule: a client that bounds each read only is held for as long as it reads."""
    with Faulty("body drip", interval=0.01) as server:
        answer = requests.post(server.url, data=b"body", timeout=0.3, stream=True)
        with answer:
            began = time.monotonic()
            pieces = zip(range(50), answer.iter_content(1), strict=False)

            assert len(list(pieces)) == 50
            assert time.monotonic() - began > 0.3


def test_an_endless_body_is_as_long_as_one_reads() -> None:
    """Rule: "endless body" gives no length and does not stop."""
    with Faulty("endless body") as server, connect(server) as connection:
        content = read_until(connection, lambda content: len(content) > 2**20)

        assert len(content) > 2**20
        assert b"Content-Length" not in content


def test_a_bomb_is_small_until_it_is_unpacked() -> None:
    """Rule: "bomb" sends under a megabyte that unpacks to BOMB_SIZE."""
    with Faulty("bomb") as server:
        answer = requests.post(server.url, data=b"body", timeout=5, stream=True)
        with answer, gzip.open(answer.raw) as unpacked:
            size = sum(map(len, iter(lambda: unpacked.read(2**20), b"")))

            assert answer.headers["Content-Encoding"] == "gzip"
            assert int(answer.headers["Content-Length"]) < 2**20
            assert size == BOMB_SIZE


def test_a_length_can_promise_too_much() -> None:
    """Rule: after "lying length" the client misses bytes."""
    with Faulty("lying length") as server, pytest.raises(requests.RequestException, match="more"):
        post(server)


def test_a_length_can_promise_too_little() -> None:
    """Rule: after "lying short length" the client holds half of the JSON."""
    with Faulty("lying short length") as server:
        answer = post(server)

        assert answer.status_code == 200
        with pytest.raises(requests.JSONDecodeError):
            answer.json()


def test_a_slow_reader_lets_a_large_request_wait() -> None:
    """Rule: "slow reader" takes so little that sending does not come to an end."""
    with Faulty("slow reader") as server, connect(server, b"") as connection:
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.sendall(b"x" * 2**24)

        assert server.requests == 0


def test_a_slow_reader_accepts_a_small_request() -> None:
    """Rule: who waits for "slow reader" is accepted."""
    with Faulty("slow reader", interval=0.001) as server:
        answer = post(server, b"x" * 5000)

        assert answer.json()["message"] == "Job #1.1"
        assert server.requests == 1


def test_garbage_is_not_http() -> None:
    """Rule: "garbage" is an answer that no HTTP client can read."""
    with Faulty("garbage") as server:
        with pytest.raises(requests.ConnectionError, match="BadStatusLine"):
            post(server)

        assert server.requests == 1


def test_a_page_can_come_with_status_200() -> None:
    """Rule: "html 200" looks like success to who reads only the status."""
    with Faulty("html 200") as server:
        answer = post(server)

        assert (answer.status_code, answer.content) == (200, PAGE)
        assert answer.headers["Content-Type"] == "text/html"


def test_an_https_port_can_speak_plain_http() -> None:
    """Rule: "http on https" answers a TLS greeting with HTTP."""
    with Faulty("http on https") as server:
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(server.https_url, timeout=5)

        assert server.connections == 1


def test_connections_and_requests_are_counted_apart() -> None:
    """Rule: a connection counts at once, a request when its last byte is there."""
    with Faulty("close") as server:
        with connect(server, REQUEST[:-1]) as connection:
            assert server.wait_for(connections=1)
            assert not server.wait_for(requests=1, timeout=0)
            connection.sendall(REQUEST[-1:])
            assert server.wait_for(requests=1)
        with connect(server):
            assert server.wait_for(connections=2, requests=2)


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_it_stops_at_once_and_leaves_nothing(behaviour: Behaviour) -> None:
    """Rule: whatever a client is doing, no thread and no socket outlives `stop`."""
    threads = set(threading.enumerate())
    server = Faulty(behaviour, interval=60)
    server.start()
    with ExitStack() as clients:
        requests_sent = () if behaviour == "refuse" else (REQUEST, REQUEST[:10], b"")
        for sent in requests_sent:
            clients.enter_context(connect(server, sent))
        assert server.wait_for(connections=len(requests_sent))
        began = time.monotonic()

        server.stop()

        assert time.monotonic() - began < 1
    assert set(threading.enumerate()) == threads
    assert server._listener.fileno() == -1
    assert not server._open
    gc.collect()  # a socket left open would warn here, and a warning fails the test


def test_every_behaviour_has_its_row() -> None:
    """Rule: each name has a function, but for the one that needs none."""
    assert {"refuse", *FAULTS} == set(BEHAVIOURS)
