"""A server that answers each request with given bytes, whatever was asked for."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from faulty import is_whole

if TYPE_CHECKING:
    from typing_extensions import Self


class Scripted(socketserver.ThreadingTCPServer):
    """Answers each request with the bytes that a function gives, and closes the connection."""

    request_queue_size = 64

    def __init__(self, answer: Callable[[int], bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _OneRequest)
        self.answer = answer
        self.received: list[bytes] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _OneRequest(socketserver.BaseRequestHandler):
    server: Scripted

    def handle(self) -> None:
        received = b""
        while not is_whole(received):
            block = self.request.recv(65536)
            if not block:
                return
            received += block
        self.server.received.append(received)
        self.request.sendall(self.server.answer(len(self.server.received)))


def http(status: int, body: bytes = b"", *headers: str, reason: str = "Said") -> bytes:
    """Return the bytes of an answer."""
    lines = (f"HTTP/1.1 {status} {reason}", f"Content-Length: {len(body)}", "Connection: close")
    return "\r\n".join((*lines, *headers, "", "")).encode("latin-1") + body
