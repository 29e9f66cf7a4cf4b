"""Servers on plain sockets: one answers with given bytes, one breaks the rules in one way."""

from __future__ import annotations

import contextlib
import re
import socket
import socketserver
import struct
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from typing_extensions import Self

Behaviour: TypeAlias = Literal[
    "hang",  # takes in all that is sent, answers nothing; TLS handshakes too
    "reset before",  # resets the connection at the first byte; cuts a TLS handshake
    "reset after",  # resets it when the whole request is there
    "header drip",  # a header that never ends, one byte at a time
    "body drip",  # a body that never ends, one byte at a time
    "endless body",  # a body that never ends, 64 KiB at a time
    "slow reader",  # reads PACE bytes after each pause, then accepts
    "http on https",  # answers in plain HTTP to whatever comes, a TLS greeting for one
]

ENDLESS = {
    "header drip": (b"HTTP/1.1 200 OK\r\nX-Drip: ", b"."),
    "body drip": (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n", b" "),
    "endless body": (b"HTTP/1.1 200 OK\r\n\r\n", b" " * 2**16),
}
ACCEPTED = b'{"message": "Job #1.1", "url": "http://127.0.0.1/jobs/1"}'
PACE, PAUSE = 1024, 0.05  # seconds


def http(status: int, body: bytes = b"", *headers: str, reason: str = "Said") -> bytes:
    """Return the bytes of an answer."""
    lines = (f"HTTP/1.1 {status} {reason}", f"Content-Length: {len(body)}", "Connection: close")
    return "\r\n".join((*lines, *headers, "", "")).encode("latin-1") + body


class Scripted(socketserver.ThreadingTCPServer):
    """Answers each request with the bytes that a function gives, and closes the connection."""

    request_queue_size = 64

    def __init__(self, answer: Callable[[int], bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.received: list[bytes] = []  # whole requests
        self.connections: list[socket.socket] = []
        self.stopped = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.shutdown()
        self._thread.join()
        for connection in self.connections:
            with contextlib.suppress(OSError):  # it may have ended already
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def exchange(self, connection: socket.socket) -> None:
        """Read one request and answer it."""
        self.read_request(connection)
        connection.sendall(self.answer(len(self.received)))

    def read_request(
        self, connection: socket.socket, size: int = 2**16, interval: float = 0
    ) -> None:
        """Read one whole request, perhaps slowly."""
        request = b""
        while not _is_whole(request):
            content = b"" if self.stopped.wait(interval) else connection.recv(size)
            if not content:
                raise ConnectionAbortedError
            request += content
        self.received.append(request)


class _Handler(socketserver.BaseRequestHandler):
    server: Scripted

    def handle(self) -> None:
        self.server.connections.append(self.request)
        with contextlib.suppress(OSError):  # the client may leave at any time
            self.server.exchange(self.request)


class Faulty(Scripted):
    """A server with one fault."""

    def __init__(self, behaviour: Behaviour) -> None:
        super().__init__(lambda _: b"")
        self.behaviour = behaviour
        self.asked = threading.Event()  # a whole request has come
        if behaviour == "slow reader":  # else the kernel would read ahead
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * PACE)

    def exchange(self, connection: socket.socket) -> None:
        """Do what is wrong."""
        if self.behaviour == "reset before":
            connection.recv(1)
            reset(connection)
        elif self.behaviour == "http on https":
            connection.recv(2**16)
            connection.sendall(http(400))
        elif self.behaviour == "slow reader":
            self.read_request(connection, PACE, PAUSE)
            connection.sendall(http(200, ACCEPTED))
        else:
            self.read_request(connection)
            self.asked.set()
            self.break_rules(connection)

    def break_rules(self, connection: socket.socket) -> None:
        """Do what is wrong once the whole request is there."""
        if self.behaviour == "hang":
            self.stopped.wait()
        elif self.behaviour == "reset after":
            reset(connection)
        else:
            head, piece = ENDLESS[self.behaviour]
            connection.sendall(head)
            while not self.stopped.wait(PAUSE):
                connection.sendall(piece)


def reset(connection: socket.socket) -> None:
    """Close with RST instead of FIN."""
    at_once = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    connection.close()


def _is_whole(request: bytes) -> bool:
    head, end, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"(?im)^content-length: *(\d+)", head)
    return bool(end) and len(body) >= int(length[1] if length else 0)
