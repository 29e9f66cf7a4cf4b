"""A plugin that notes in the file BENCH_NOTES how long reports and the session's end took."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import coverage
import pytest

SECONDS = {"report": 0.0, "finish": 0.0}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish() -> Generator[None, object, object]:
    """Time the end of the session; xdist's workers say nothing."""
    started = time.perf_counter()
    try:
        return (yield)
    finally:
        SECONDS["finish"] = time.perf_counter() - started
        if "PYTEST_XDIST_WORKER" not in os.environ:
            Path(os.environ["BENCH_NOTES"]).write_text(json.dumps(SECONDS))


def _timed(report: Callable[..., float]) -> Callable[..., float]:
    def timed(*arguments: Any, **keywords: Any) -> float:
        started = time.perf_counter()
        try:
            return report(*arguments, **keywords)
        finally:
            SECONDS["report"] += time.perf_counter() - started

    return timed


coverage.Coverage.report = _timed(coverage.Coverage.report)  # type: ignore[method-assign]
