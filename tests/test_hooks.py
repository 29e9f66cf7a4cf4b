"""The hooks for ``conftest.py``: changing the job, and being told what became of it."""

from __future__ import annotations

from typing import Any

import pytest
from inner import Ended, Inner
from standin import COVERALLS_TOKEN

from pytest_coveralls_submit.outcome import Built, Failed, NotSent, Outcome, Sent


class Hooked:
    """Runs pytest in this process with the hooks that a test gives, and two files measured."""

    def __init__(self, inner: Inner) -> None:
        self.inner = inner
        self.server = inner.server
        inner.measure("beds.py")

    def __call__(self, conftest: str, *arguments: str) -> Ended:
        """Run with a ``conftest.py``."""
        self.inner.pytester.makeconftest(conftest)
        return self.inner("--coveralls", *arguments)


@pytest.fixture
def hooked(inner: Inner) -> Hooked:
    """See above."""
    return Hooked(inner)


# -- the job -----------------------------------------------------------------------------------


def test_what_the_hook_changes_arrives(hooked: Hooked) -> None:
    """Fields, files, and the lines of files."""
    run = hooked(
        """
        def pytest_coveralls_job(config, job):
            assert config.rootpath
            job["service_event_type"] = "nightly"
            job["git"]["branch"] = "other"
            job["source_files"] = [f for f in job["source_files"] if f["name"] != "beds.py"]
            job["source_files"][0]["coverage"][2] = 5
        """
    )

    (job,) = hooked.server.jobs
    assert job["service_event_type"] == "nightly"
    assert job["git"]["branch"] == "other"
    (file,) = job["source_files"]
    assert (file["name"], file["coverage"]) == ("garden.py", [1, 1, 5, 0])
    assert run.lines[0].startswith("sent 1 file, ")


def test_the_hook_does_not_see_the_token(hooked: Hooked) -> None:
    """It has no use for it."""
    said = hooked(
        'def pytest_coveralls_job(job):\n    print("JOB", "repo_token" in job, job)\n', "-s"
    ).output

    assert "JOB False" in said
    assert COVERALLS_TOKEN not in said


def test_the_hook_is_called_once(hooked: Hooked) -> None:
    """However many attempts there are."""
    hooked.server.respond(503)

    hook = 'def pytest_coveralls_job(job):\n    print("CALLED")\n'
    run = hooked(hook, "-s", "--coveralls-retries=1")

    assert run.output.count("CALLED") == 1
    assert len(hooked.server.jobs) == 1


def test_several_hooks_change_one_job(hooked: Hooked) -> None:
    """That of ``conftest.py`` and that of a plugin."""
    hooked.inner.pytester.makepyfile(
        other="def pytest_coveralls_job(job):\n    job['compare_ref'] = 'main'\n"
    )
    hooked.inner.pytester.syspathinsert()

    hooked("def pytest_coveralls_job(job):\n    job['flag_name'] = 'unit'\n", "-p", "other")

    (job,) = hooked.server.jobs
    assert (job["flag_name"], job["compare_ref"]) == ("unit", "main")


def test_what_the_hook_returns_does_not_count(hooked: Hooked) -> None:
    """The job is changed in place."""
    run = hooked("def pytest_coveralls_job(job):\n    return {'service_name': 'x'}\n")

    assert hooked.server.jobs[0]["service_name"] == "test-ci"
    assert len(run.lines) == 1


DAMAGE = {
    "raises": ("raise LookupError('no luck')", "LookupError: no luck"),
    "asserts": ("assert not job, 'wrong'", "AssertionError: wrong"),
    "unknown": (
        "job['colour'] = 'red'",
        'the job has a field "colour" that Coveralls does not document',
    ),
    "empty": ("job['flag_name'] = ''", "the job: \"flag_name\" cannot be ''"),
    "null": ("job['source_files'][0]['coverage'] = None", '"coverage" cannot be None'),
    "object": ("job['run_at'] = object()", 'the job: "run_at" cannot be <object obj'),
    "nan": ("job['source_files'][0]['coverage'][0] = float('nan')", '"coverage" cannot be [nan'),
    "twice": (
        "job['source_files'] *= 2",
        "source file 3 (beds.py): another file has the same name",
    ),
    "deleted": ("del job['source_files']", 'the job has no "source_files"'),
    "cleared": ("job.clear()", 'the job has no "source_files"'),
    "recursive": ("job['git']['head'] = job", 'the job: "git": "head" has a field "'),
}


@pytest.mark.parametrize(("body", "said"), DAMAGE.values(), ids=DAMAGE)
def test_a_hook_that_damages_the_job_costs_one_line(hooked: Hooked, body: str, said: str) -> None:
    """The job is sent as it was before; the run ends as it would have."""
    run = hooked(f"def pytest_coveralls_job(job):\n    job['flag_name'] = 'x'\n    {body}\n")

    assert run.status == 0
    (job,) = hooked.server.jobs
    assert "flag_name" not in job
    assert len(job["source_files"]) == 2
    notices = [line for line in run.lines if "the hook pytest_coveralls_job is ignored" in line]
    assert len(notices) == 1
    assert said in notices[0]
    assert "INTERNALERROR" not in run.output


# pytest's own outcomes and the end of a program are no "Exception" to Python.
NO_EXCEPTIONS = {
    "fails": ("import pytest; pytest.fail('no luck')", "Failed: no luck"),
    "skips": ("import pytest; pytest.skip('no luck')", "Skipped: no luck"),
    "exits": ("raise SystemExit(3)", "SystemExit: 3"),
}


@pytest.mark.parametrize(("body", "said"), NO_EXCEPTIONS.values(), ids=NO_EXCEPTIONS)
@pytest.mark.parametrize("hook", ["job", "outcome"])
def test_a_hook_that_ends_the_program_costs_one_line(
    hooked: Hooked, hook: str, body: str, said: str
) -> None:
    """``pytest.fail`` in a ``conftest.py`` takes neither the job nor the run's end with it."""
    run = hooked(f"def pytest_coveralls_{hook}({hook}):\n    {body}\n")

    assert (run.status, run.passed, len(hooked.server.jobs)) == (0, 2, 1)
    assert [line for line in run.lines if "sent 2 files" in line]
    assert len([line for line in run.lines if line.endswith(said)]) == 1
    assert "INTERNALERROR" not in run.output


def test_a_hook_that_removes_every_file_sends_nothing(hooked: Hooked) -> None:
    """As if nothing had been measured."""
    run = hooked("def pytest_coveralls_job(job):\n    job['source_files'].clear()\n")

    assert hooked.server.requests == []
    assert run.lines[0] == "not sent: no files of the repository were measured"


def test_an_interruption_in_the_hook_interrupts(hooked: Hooked) -> None:
    """Ctrl-C is the user's."""
    run = hooked("def pytest_coveralls_job(job):\n    raise KeyboardInterrupt\n")

    assert run.status == pytest.ExitCode.INTERRUPTED
    assert hooked.server.requests == []


def test_no_hook_is_called_where_no_job_is_built(hooked: Hooked) -> None:
    """Without a token there is none."""
    hooked.inner.env(COVERALLS_REPO_TOKEN="")

    run = hooked("def pytest_coveralls_job(job):\n    print('CALLED')\n", "-s")

    assert "CALLED" not in run.output


def test_a_hook_with_a_wrong_argument_is_pytests_own_error(hooked: Hooked) -> None:
    """The hooks are specified, so that a typing error is seen at once."""
    run = hooked("def pytest_coveralls_job(jbo):\n    pass\n")

    assert run.status != 0
    assert "jbo" in run.output + run.errors


# -- the outcome -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        ("sent", Sent),
        ("dry run", Built),
        ("no token", NotSent),
        ("no tests", NotSent),
        ("down", Failed),
    ],
)
def test_the_outcome_hook_is_told_what_became_of_the_job(
    hooked: Hooked, case: str, kind: type[Outcome]
) -> None:
    """One of the four classes of the package."""
    arguments = {"dry run": ["--coveralls-dry-run"], "no tests": ["-k", "nothing"]}.get(case, [])
    if case == "no token":
        hooked.inner.env(COVERALLS_REPO_TOKEN="")
    if case == "down":
        hooked.server.respond(503)
    seen: list[Any] = []
    hooked.inner.monkeypatch.setattr("builtins.seen", seen, raising=False)

    hooked("def pytest_coveralls_outcome(config, outcome):\n    seen.append(outcome)\n", *arguments)

    (told_outcome,) = seen
    assert type(told_outcome) is kind


def test_the_outcome_has_link_and_totals(hooked: Hooked) -> None:
    """Enough to post a message with."""
    run = hooked(
        """
        def pytest_coveralls_outcome(outcome):
            print("TOLD", outcome.url, [file[:3] for file in outcome.files])
        """,
        "-s",
    )

    files = "[('beds.py', 4, 6), ('garden.py', 4, 6)]"
    assert f"TOLD {hooked.server.url}/jobs/105971882 {files}" in run.output


def test_an_outcome_hook_that_raises_costs_one_line(hooked: Hooked) -> None:
    """The job was sent, and that is printed."""
    run = hooked("def pytest_coveralls_outcome(outcome):\n    raise ValueError('odd\\nline')\n")

    assert run.status == 0
    assert "the hook pytest_coveralls_outcome failed: ValueError: odd line" in run.lines
    assert [line for line in run.lines if line.startswith("sent 2 files")]
    assert "INTERNALERROR" not in run.output
