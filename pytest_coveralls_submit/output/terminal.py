"""Writes lines to the streams of a command, whatever they are connected to."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

PATIENCE = 1.0
"""Seconds of work before a counting line is worth showing."""
PAUSE = 0.1
"""Seconds between two changes of it."""


def write(stream: TextIO | None, text: str) -> None:
    r"""Write a line at once; a reader that has gone is no error, nor is a stream that was closed.

    What the stream's encoding lacks becomes an escape (``\u2713``): a terminal on Windows may
    know 200 characters only, and a run must not fail for one of them.
    """
    if stream is None:  # it was closed before Python started
        return
    encoding = getattr(stream, "encoding", None) or "ascii"
    line = text.encode(encoding, "backslashreplace").decode(encoding)
    try:
        stream.write(f"{line}\n")
        stream.flush()
    except ValueError:
        return
    except OSError:
        _give_up(stream)


def _give_up(stream: TextIO) -> None:
    """Let what cannot be written go nowhere: Python would try it again at its end, and fail."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


class Progress:
    """A line that changes in place while work takes more than a second; on a terminal alone.

    Use it as a context; the line is gone when the block is left, so that others can follow.
    """

    def __init__(self, stream: TextIO | None, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the stream, standard error as a rule, and what gives the time in seconds."""
        self._stream = stream
        self._clock = clock
        self._next = clock() + PATIENCE
        self._text = ""
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()
        self._width = 0
        try:
            self._is_terminal = stream is not None and stream.isatty()
        except (ValueError, AttributeError):  # it is closed, or was before Python started
            self._is_terminal = False

    def __enter__(self) -> Callable[[str], None]:
        return self

    def __call__(self, text: str) -> None:
        """Show ``text``, e.g. ``coveralls: analysing 1,000 files``, as soon as it is time to."""
        if not self._is_terminal:
            return
        with self._lock:
            self._text = text
            if self._clock() >= self._next:
                self._show()
            elif self._timer is None:  # nobody may call again before the work is done
                self._timer = threading.Timer(PATIENCE, self._show_first)
                self._timer.daemon = True
                with suppress(RuntimeError):  # no thread is to be had
                    self._timer.start()

    def _show_first(self) -> None:
        with self._lock:
            if not self._width:
                self._show()

    def _show(self) -> None:
        self._next = self._clock() + PAUSE
        self._draw(self._text[: shutil.get_terminal_size().columns - 1])

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
            if self._timer.ident is not None:
                self._timer.join()
        if self._width:
            self._draw("")
            self._draw("")  # the cursor stands at the start of an empty line

    def _draw(self, text: str) -> None:
        assert self._stream is not None
        with suppress(OSError, ValueError):  # also a character that the stream's encoding lacks
            self._stream.write("\r" + text.ljust(self._width))
            self._stream.flush()
        self._width = len(text)
