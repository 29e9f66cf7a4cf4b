"""Which of several pytest processes submits: a mark in the environment tells those inside of it."""

from __future__ import annotations

import os

SESSION_MARK = "PYTEST_COVERALLS_SUBMIT_PID"
"""Variable that is set while a session is on that submits."""


def mark(pid: int, *, measures: bool = False) -> str:
    """Return the mark of the session in process ``pid``; whether it asked pytest-cov to measure."""
    return f"{pid} measures" if measures else str(pid)


def outer() -> str | None:
    """Return the mark of the session that this process is inside of; None outside of any."""
    return os.environ.get(SESSION_MARK)


def is_measuring_worker() -> bool:
    """Tell whether this is a worker of xdist whose session asked pytest-cov to measure."""
    is_child = outer() == mark(os.getppid(), measures=True)
    return "PYTEST_XDIST_WORKER" in os.environ and is_child


def enter(*, measures: bool) -> None:
    """Mark this process as the one that submits, unless it is inside of another."""
    os.environ.setdefault(SESSION_MARK, mark(os.getpid(), measures=measures))


def enter_worker() -> None:
    """Mark this worker, so that a run inside of it does not take itself for one."""
    os.environ[SESSION_MARK] = mark(os.getpid())


def leave() -> None:
    """Take the mark away."""
    os.environ.pop(SESSION_MARK, None)
