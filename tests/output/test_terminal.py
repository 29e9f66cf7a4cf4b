"""How the commands write to whatever their streams are connected to."""

from __future__ import annotations

import io
import threading

import pytest

from pytest_coveralls_submit.output.terminal import Progress, write


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


class Clock:
    """Seconds that pass when the test says so."""

    now = 100.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [
        ("utf-8", "é ✓ 😀"),
        ("cp1252", "é \\u2713 \\U0001f600"),
        ("ascii", "\\xe9 \\u2713 \\U0001f600"),
    ],
)
def test_what_an_encoding_lacks_is_escaped(encoding: str, printed: str) -> None:
    """A terminal on Windows has a code page, one in a bare container ASCII."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict", newline="\n")

    write(stream, "é ✓ 😀")

    assert stream.buffer.getvalue().decode(encoding) == f"{printed}\n"


def test_a_stream_that_was_closed_before_python_started_is_no_error() -> None:
    """``>&-`` leaves None in its place; nothing is shown there."""
    write(None, "said")
    with Progress(None) as show:
        show("working")


def test_a_reader_that_has_gone_is_no_error() -> None:
    """``... | head -1`` closes the pipe; what was done stays done."""
    closed = io.StringIO()
    closed.close()

    write(closed, "sent")
    with Progress(closed) as show:
        show("working")


def test_long_work_shows_a_line_that_changes_and_goes() -> None:
    """Nothing within the first second, ten changes a second at most, and no trace afterwards."""
    stream, clock = Terminal(), Clock()

    with Progress(stream, clock) as show:
        show("1 of 9 files")
        assert stream.getvalue() == ""
        clock.now += 1
        show("8 of 9 files")
        show("8½ of 9 files")
        clock.now += 0.1
        show("done")

    assert stream.getvalue() == "\r8 of 9 files\rdone        \r    \r"


def test_long_work_that_says_so_once_is_shown_too() -> None:
    """Nobody calls again while coverage analyses a thousand files."""
    drawn = threading.Event()

    class Drawn(Terminal):
        def flush(self) -> None:
            drawn.set()

    with Progress(stream := Drawn()) as show:
        show("9 files")
        assert drawn.wait(30)

    assert stream.getvalue() == "\r9 files\r       \r"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_short_work_and_a_log_show_nothing(is_terminal: bool) -> None:
    """A CI's log would have a line for each change."""
    stream, clock = Terminal() if is_terminal else io.StringIO(), Clock()

    with Progress(stream, clock) as show:
        clock.now += 0.9 if is_terminal else 60
        show("1 of 9 files")

    assert stream.getvalue() == ""
