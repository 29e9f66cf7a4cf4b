"""A server that breaks the rules of HTTP or TCP in one chosen way, on plain sockets."""

from __future__ import annotations

import contextlib
import gzip
import re
import socket
import socketserver
import struct
import sys
import threading
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from typing_extensions import Self

Behaviour: TypeAlias = Literal[
    "refuse",  # nobody listens on the port
    "hang",  # takes in all that is sent, answers nothing; TLS handshakes too
    "reset before",  # resets the connection at the first byte; cuts a TLS handshake
    "reset after",  # resets it when the whole request is there
    "close",  # closes it properly when the whole request is there, without an answer
    "header drip",  # a header that never ends, one byte at a time
    "body drip",  # a body that never ends, one byte at a time
    "endless body",  # a body that never ends, as fast as it is taken
    "bomb",  # a small gzip body that unpacks to BOMB_SIZE
    "lying length",  # Content-Length is larger than what comes before the end
    "slow reader",  # reads PACE bytes an interval, then accepts
    "garbage",  # answers something that is not HTTP
    "http on https",  # answers in plain HTTP to whatever comes, a TLS greeting for one
]

ACCEPTED = b'{"message": "Job #1.1", "url": "http://127.0.0.1/jobs/1"}'
BOMB_SIZE = 500 * 2**20
PACE = 1024


class Faulty(socketserver.ThreadingTCPServer):
    """One server with one fault; a context manager that stops at once.

    It counts connections and whole requests, and keeps every byte that it has received.
    """

    def __init__(self, behaviour: Behaviour, *, interval: float = 0.05) -> None:
        """Take a port; ``interval`` is the pause of a drip or slow reader in seconds."""
        super().__init__(("127.0.0.1", 0), _Exchange, bind_and_activate=False)
        self.behaviour, self.interval = behaviour, interval
        self.connections = self.requests = 0
        self.received = b""
        self.stopped = threading.Event()
        self.open: set[socket.socket] = set()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        if behaviour == "slow reader":  # else the kernel would read ahead
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * PACE)
        self.server_bind()
        self.port: int = self.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.https_url = f"https://127.0.0.1:{self.port}"

    def wait_for(self, *, requests: int, timeout: float = 10) -> bool:
        """Wait until so many have come; tell whether they have in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self.requests >= requests, timeout)

    def count(self, *, connections: int = 0, requests: int = 0, received: bytes = b"") -> None:
        """Note what has come."""
        with self._changed:
            self.connections += connections
            self.requests += requests
            self.received += received
            self._changed.notify_all()

    def __enter__(self) -> Self:
        if self.behaviour != "refuse":
            self.server_activate()
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join()
        for connection in tuple(self.open):
            shut(connection)
        self.server_close()


def shut(connection: socket.socket) -> None:
    """End a connection that may have ended already."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)  # below TLS, if there is any


def is_whole(request: bytes) -> bool:
    """Tell whether all bytes of a request are there."""
    head, end, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"(?im)^content-length: *(\d+)", head)
    return bool(end) and len(body) >= int(length[1] if length else 0)


class _Exchange(socketserver.BaseRequestHandler):
    """One connection to a server with a fault."""

    server: Faulty
    request: socket.socket

    def setup(self) -> None:
        self.server.open.add(self.request)
        self.server.count(connections=1)
        if self.server.stopped.is_set():
            shut(self.request)

    def finish(self) -> None:
        self.server.open.discard(self.request)

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client may leave at any time
            if self.server.behaviour == "reset before":
                self.read(1)
                self.reset()
            elif self.server.behaviour == "http on https":
                self.read()
                self.request.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            elif self.server.behaviour == "slow reader":
                self.read_request(PACE, self.server.interval)
                self.answer(ACCEPTED, length=len(ACCEPTED))
            else:
                self.read_request()
                self.break_rules()

    def break_rules(self) -> None:
        """Do what is wrong once the whole request is there; "close" is to do nothing."""
        match self.server.behaviour:
            case "hang":
                while self.read():
                    pass
            case "reset after":
                self.reset()
            case "header drip":
                self.request.sendall(b"HTTP/1.1 200 OK\r\nX-Drip: ")
                self.drip(b".", self.server.interval)
            case "body drip":
                self.answer(b"", length=10**9)
                self.drip(b" ", self.server.interval)
            case "endless body":
                self.answer(b"")
                self.drip(b" " * 2**16, 0)
            case "bomb":
                self.answer(_bomb(), "Content-Encoding: gzip\r\n", length=len(_bomb()))
            case "lying length":
                self.answer(ACCEPTED, length=len(ACCEPTED) + 100)
            case "garbage":
                self.request.sendall(b"\x00\xff\xfe this is not HTTP \x1b[31m\r\n\r\n")

    def read(self, size: int = 2**16) -> bytes:
        """Read what is there, nothing at the end."""
        content = self.request.recv(size)
        self.server.count(received=content)
        return content

    def read_request(self, size: int = 2**16, interval: float = 0) -> None:
        """Read one whole request, perhaps slowly."""
        request = b""
        while not is_whole(request):
            content = b"" if self.server.stopped.wait(interval) else self.read(size)
            if not content:
                raise ConnectionAbortedError
            request += content
        self.server.count(requests=1)

    def answer(self, body: bytes, headers: str = "", *, length: int | None = None) -> None:
        """Send an answer; without a length it ends with the connection."""
        headers += "" if length is None else f"Content-Length: {length}\r\n"
        self.request.sendall(b"HTTP/1.1 200 OK\r\n" + headers.encode() + b"\r\n" + body)

    def drip(self, piece: bytes, interval: float) -> None:
        """Send the same again and again until somebody leaves."""
        while not self.server.stopped.wait(interval):
            self.request.sendall(piece)

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        at_once = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        self.request.close()


@cache
def _bomb() -> bytes:
    """Many gzip members in a row are one gzip file, and are made in no time."""
    return gzip.compress(b" " * 10 * 2**20) * (BOMB_SIZE // (10 * 2**20))
