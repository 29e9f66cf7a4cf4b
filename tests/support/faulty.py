"""A server that breaks the rules of HTTP or TCP in one chosen way, on plain sockets.

What a proper web server answers is the business of `standin`; here is everything else that can
happen to a client between connecting and reading the last byte.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import re
import socket
import struct
import sys
import threading
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

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
    "lying short length",  # Content-Length is smaller than what comes
    "slow reader",  # reads PACE bytes an interval, then accepts
    "garbage",  # answers something that is not HTTP
    "html 200",  # answers 200 with a page instead of JSON
    "http on https",  # answers in plain HTTP to whatever comes, a TLS greeting for one
]
BEHAVIOURS: tuple[Behaviour, ...] = get_args(Behaviour)

ACCEPTED = b'{"message": "Job #1.1", "url": "http://127.0.0.1/jobs/1"}'
PAGE = b"<html><head><title>Welcome to nginx!</title></head><body></body></html>\r\n"
BOMB_SIZE = 500 * 2**20
PACE = 1024


class Faulty:
    """One server with one fault; a context manager.

    Attributes:
        behaviour: the name of the fault.
        interval: seconds between two bytes of a drip, or two reads of the slow reader.
        port: of 127.0.0.1.
        connections: how many were made.
        requests: how many arrived whole.
        received: every byte that was read.
    """

    def __init__(self, behaviour: Behaviour, *, interval: float = 0.05) -> None:
        """Take a port; connections are taken from `start` or from entering the context."""
        self.behaviour = behaviour
        self.interval = interval
        self.connections = 0
        self.requests = 0
        self.received = b""
        self.stopped = threading.Event()
        self._changed = threading.Condition()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket()
        if behaviour == "slow reader":  # else the kernel would read ahead
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * PACE)
        self._listener.bind(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        """The address for plain http, without a closing slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def https_url(self) -> str:
        """The same port for clients that expect TLS there, which they never get."""
        return f"https://127.0.0.1:{self.port}"

    def wait_for(self, *, connections: int = 0, requests: int = 0, timeout: float = 10) -> bool:
        """Wait until so many have come; whether they have within `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self.connections >= connections and self.requests >= requests, timeout
            )

    def start(self) -> None:
        """Take connections, unless refusing them is the fault."""
        if self.behaviour != "refuse":
            self._listener.listen()
            self._run(self._take_connections)

    def stop(self) -> None:
        """Stop at once; no thread and no socket is left."""
        self.stopped.set()
        if self._threads:  # wake the thread that waits for a connection
            socket.create_connection(("127.0.0.1", self.port)).close()
            self._threads[0].join()
        for connection in tuple(self._open):
            _shut(connection)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, name=f"faulty {self.behaviour}")
        self._threads.append(thread)
        thread.start()

    def _take_connections(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self.stopped.is_set():
                connection.close()
                return
            self._open.add(connection)
            self._count(connections=1)
            self._run(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):  # the client may leave at any time
            FAULTS[self.behaviour](_Exchange(self, connection))
        self._open.discard(connection)

    def _count(self, *, connections: int = 0, requests: int = 0, received: bytes = b"") -> None:
        with self._changed:
            self.connections += connections
            self.requests += requests
            self.received += received
            self._changed.notify_all()


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Exchange:
    """One connection, as a fault sees it."""

    def __init__(self, server: Faulty, connection: socket.socket) -> None:
        self.server = server
        self.connection = connection

    def read(self, size: int = 2**16) -> bytes:
        """Read what is there, nothing at the end."""
        content = self.connection.recv(size)
        self.server._count(received=content)
        return content

    def read_request(self, *, size: int = 2**16, interval: float = 0) -> None:
        """Read one whole request, perhaps slowly; the end of the connection is an error."""
        request = b""
        while not _is_whole(request):
            if self.server.stopped.wait(interval):
                raise ConnectionAbortedError
            content = self.read(size)
            if not content:
                raise ConnectionResetError
            request += content
        self.server._count(requests=1)

    def answer(self, body: bytes, headers: str = "", *, length: int | None = None) -> None:
        """Send an answer; without a length the end of the connection is the end of the body."""
        if length is not None:
            headers += f"Content-Length: {length}\r\n"
        self.connection.sendall(b"HTTP/1.1 200 OK\r\n" + headers.encode() + b"\r\n" + body)

    def drip(self, content: Iterable[bytes]) -> None:
        """Send piece by piece until the server stops or the client leaves."""
        for piece in content:
            if self.server.stopped.wait(self.server.interval):
                return
            self.connection.sendall(piece)

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        at_once = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        self.connection.close()


def _is_whole(request: bytes) -> bool:
    head, end, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"(?im)^content-length: *(\d+)", head)
    return bool(end) and len(body) >= int(length[1] if length else 0)


def _hang(exchange: _Exchange) -> None:
    exchange.read_request()
    while exchange.read():
        pass


def _reset_before(exchange: _Exchange) -> None:
    exchange.read(1)
    exchange.reset()


def _reset_after(exchange: _Exchange) -> None:
    exchange.read_request()
    exchange.reset()


def _close(exchange: _Exchange) -> None:
    exchange.read_request()


def _header_drip(exchange: _Exchange) -> None:
    exchange.read_request()
    exchange.connection.sendall(b"HTTP/1.1 200 OK\r\nX-Drip: ")
    exchange.drip(itertools.repeat(b"."))


def _body_drip(exchange: _Exchange) -> None:
    exchange.read_request()
    exchange.answer(b"", "Content-Type: application/json\r\n", length=10**9)
    exchange.drip(itertools.repeat(b" "))


def _endless_body(exchange: _Exchange) -> None:
    exchange.read_request()
    exchange.answer(b"", "Content-Type: application/json\r\n")
    while not exchange.server.stopped.is_set():
        exchange.connection.sendall(b" " * 2**16)


def _bomb(exchange: _Exchange) -> None:
    exchange.read_request()
    body = _packed_bomb()
    exchange.answer(
        body, "Content-Type: application/json\r\nContent-Encoding: gzip\r\n", length=len(body)
    )


@cache
def _packed_bomb() -> bytes:
    """Many gzip members in a row are one gzip file, and are made in no time."""
    return gzip.compress(b" " * 10 * 2**20) * (BOMB_SIZE // (10 * 2**20))


def _lying_length(exchange: _Exchange) -> None:
    exchange.read_request()
    exchange.answer(ACCEPTED, length=len(ACCEPTED) + 100)


def _lying_short_length(exchange: _Exchange) -> None:
    exchange.read_request()
    exchange.answer(ACCEPTED, length=len(ACCEPTED) - 10)


def _slow_reader(exchange: _Exchange) -> None:
    exchange.read_request(size=PACE, interval=exchange.server.interval)
    exchange.answer(ACCEPTED, length=len(ACCEPTED))


def _garbage(exchange: _Exchange) -> None:
    exchange.read_request()
    exchange.connection.sendall(b"\x00\xff\xfe this is not HTTP \x1b[31m\r\n\r\n")


def _html_200(exchange: _Exchange) -> None:
    exchange.read_request()
    exchange.answer(PAGE, "Content-Type: text/html\r\n", length=len(PAGE))


def _http_on_https(exchange: _Exchange) -> None:
    exchange.read()
    exchange.connection.sendall(
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )


FAULTS: Mapping[Behaviour, Callable[[_Exchange], None]] = {
    "hang": _hang,
    "reset before": _reset_before,
    "reset after": _reset_after,
    "close": _close,
    "header drip": _header_drip,
    "body drip": _body_drip,
    "endless body": _endless_body,
    "bomb": _bomb,
    "lying length": _lying_length,
    "lying short length": _lying_short_length,
    "slow reader": _slow_reader,
    "garbage": _garbage,
    "html 200": _html_200,
    "http on https": _http_on_https,
}
