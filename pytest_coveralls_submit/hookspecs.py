"""Hooks for ``conftest.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from .job.document import Job
    from .outcome import Outcome


def pytest_coveralls_job(config: pytest.Config, job: Job) -> None:
    """Change ``job`` in place before it is checked and sent.

    Called once, after the tests, if a job is built. The token is not in it. If the hook raises, or
    leaves a field that Coveralls does not document, a line says so, and its changes are not sent.

    Args:
        job: a dict, for type checkers ``pytest_coveralls_submit.job.document.Job``, with the fields
            of https://docs.coveralls.io/api-jobs-endpoint; ``job["source_files"]`` is a list of
            dicts with ``name``, ``source_digest``, ``coverage`` (None, 0 or 1 for each line) and,
            if they were measured, ``branches``.
    """


def pytest_coveralls_outcome(config: pytest.Config, outcome: Outcome) -> None:
    """Be told what became of the job, before it is printed.

    Args:
        outcome: one of ``Sent``, ``Built``, ``NotSent``, ``Failed`` of
            ``pytest_coveralls_submit.outcome``.
    """
