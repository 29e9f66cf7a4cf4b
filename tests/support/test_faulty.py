"""The broken server stops at once, whatever it breaks."""

from __future__ import annotations

import gc
import socket
import threading
import time
from contextlib import ExitStack, closing

import pytest
from faulty import BEHAVIOURS, FAULTS, Behaviour, Faulty

REQUEST = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"


def connect(server: Faulty, sent: bytes = REQUEST) -> closing[socket.socket]:
    """A raw connection over which something has been sent."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=5)
    connection.sendall(sent)
    return closing(connection)


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
