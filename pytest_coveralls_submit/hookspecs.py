"""What a ``conftest.py`` can hook into."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from .job.document import Job
    from .outcome import Outcome


def pytest_coveralls_job(config: pytest.Config, job: Job) -> None:
    """Change ``job`` in place before it is checked and sent.

    Called once, after the tests, where a job is built. The token is not in it. A hook that
    raises, or that leaves a field that Coveralls does not document, costs the job one line:
    what it changed is not sent.

    Args:
        job: a dict, for type checkers ``pytest_coveralls_submit.job.document.Job``, with the fields
            of https://docs.coveralls.io/api-jobs-endpoint; ``job["source_files"]`` is a list of
            dicts with ``name``, ``source_digest``, ``coverage`` (one of None, 0, 1 a
            line) and, where branches were measured, ``branches``.
    """


def pytest_coveralls_outcome(config: pytest.Config, outcome: Outcome) -> None:
    """Be told what became of the job, before it is printed.

    Args:
        outcome: one of ``Sent``, ``Built``, ``NotSent``, ``Failed`` of
            ``pytest_coveralls_submit.outcome``.
    """
