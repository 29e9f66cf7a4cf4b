"""The hooks for ``conftest.py``."""

from __future__ import annotations

from typing import Any

import pytest
from inner import Ended, Inner
from standin import COVERALLS_TOKEN

from pytest_coveralls_submit.outcome import Built, Failed, NotSent, Outcome, Sent


def run_with(inner: Inner, conftest: str, *arguments: str) -> Ended:
    """Run with a ``conftest.py`` and two measured files."""
    inner.measure("beds.py")
    inner.pytester.makeconftest(conftest)
    return inner("--coveralls", *arguments)


def test_what_the_hook_changes_is_sent(inner: Inner) -> None:
    """What it returns does not count."""
    run = run_with(
        inner,
        """
        def pytest_coveralls_job(config, job):
            assert config.rootpath
            job["service_event_type"] = "nightly"
            job["source_files"] = [f for f in job["source_files"] if f["name"] != "beds.py"]
            job["source_files"][0]["coverage"][2] = 5
            return {}
        """,
    )

    (job,) = inner.server.jobs
    assert job["service_event_type"] == "nightly"
    (file,) = job["source_files"]
    assert (file["name"], file["coverage"]) == ("garden.py", [1, 1, 5, 0])
    assert [line[:13] for line in run.lines] == ["sent 1 file, "]


def test_the_hook_is_called_once_and_without_the_token(inner: Inner) -> None:
    """However many attempts there are."""
    inner.server.respond(503)
    hook = 'def pytest_coveralls_job(job):\n    print("CALLED", "repo_token" in job, job)\n'

    output = run_with(inner, hook, "-s", "--coveralls-retries=1").output

    assert output.count("CALLED False") == output.count("CALLED") == 1
    assert COVERALLS_TOKEN not in output
    assert len(inner.server.jobs) == 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise LookupError('no luck')", "LookupError: no luck"),
        ("job['colour'] = 'red'", '"colour" that Coveralls does not document'),
        ("job['run_at'] = object()", 'the job: "run_at" cannot be <object obj'),
        ("job.clear()", 'the job has no "source_files"'),
        ("job['git']['head'] = job", 'the job: "git": "head" has a field "'),
        # Neither this nor pytest's own outcomes are an "Exception" to Python.
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_a_hook_that_damages_the_job_costs_one_line(inner: Inner, body: str, said: str) -> None:
    """The job is sent as it was before."""
    hook = f"def pytest_coveralls_job(job):\n    job['flag_name'] = 'x'\n    {body}\n"
    run = run_with(inner, hook)

    assert (run.status, run.passed) == (0, 2)
    (job,) = inner.server.jobs
    assert "flag_name" not in job
    assert len(job["source_files"]) == 2
    (notice,) = [line for line in run.lines if "hook pytest_coveralls_job is ignored" in line]
    assert said in notice


def test_a_hook_that_removes_every_file_sends_nothing(inner: Inner) -> None:
    run = run_with(inner, "def pytest_coveralls_job(job):\n    job['source_files'].clear()\n")

    assert inner.server.requests == []
    assert run.lines[0] == "not sent: no files of the repository were measured"


def test_an_interruption_in_the_hook_interrupts(inner: Inner) -> None:
    run = run_with(inner, "def pytest_coveralls_job(job):\n    raise KeyboardInterrupt\n")

    assert (run.status, run.passed) == (pytest.ExitCode.INTERRUPTED, 2)
    assert run.lines == ["failed: interrupted"]
    assert inner.server.requests == []


@pytest.mark.parametrize(
    ("env", "kind"),
    [
        ({}, Sent),
        ({"COVERALLS_DRY_RUN": "1"}, Built),
        ({"COVERALLS_REPO_TOKEN": ""}, NotSent),
        ({"COVERALLS_HOST": "http://127.0.0.1:9"}, Failed),
    ],
)
def test_the_outcome_hook_is_told_what_became_of_the_job(
    inner: Inner, env: dict[str, str], kind: type[Outcome]
) -> None:
    """And the other hook is called only if a job is built."""
    inner.env(**env)
    seen: list[Any] = []
    inner.monkeypatch.setattr("builtins.seen", seen, raising=False)

    run_with(
        inner,
        "def pytest_coveralls_outcome(config, outcome):\n    seen.append(outcome)\n"
        "def pytest_coveralls_job(job):\n    seen.append('job')\n",
    )

    *built, outcome = seen
    assert type(outcome) is kind
    assert built == ["job"] * (kind is not NotSent)
    if isinstance(outcome, Sent):
        assert outcome.url == f"{inner.server.url}/jobs/105971882"
        assert [file[:3] for file in outcome.files] == [("beds.py", 4, 6), ("garden.py", 4, 6)]


def test_an_outcome_hook_that_raises_costs_one_line(inner: Inner) -> None:
    run = run_with(inner, "def pytest_coveralls_outcome(outcome):\n    raise SystemExit(3)\n")

    assert (run.status, run.passed) == (0, 2)
    assert "the hook pytest_coveralls_outcome failed: SystemExit: 3" in run.lines
    assert [line for line in run.lines if line.startswith("sent 2 files")]
