"""The hooks for ``conftest.py``: changing the job, and being told what became of it."""

from __future__ import annotations

from typing import Any

import coverage
import pytest
from running import CI, Runner, told
from standin import COVERALLS_TOKEN, StandIn

# Loaded here, lest each run inside this process loads them anew: classes must stay the same.
from pytest_coveralls_submit.outcome import Built, Failed, NotSent, Outcome, Sent
from pytest_coveralls_submit.settings import coveralls_yml as yml  # noqa: F401

GARDEN = "def bed(sunny):\n    if sunny:\n        return 1\n    return 2\n"


class Hooked:
    """Runs pytest in this process with hooks that a test gives."""

    def __init__(
        self, pytester: pytest.Pytester, server: StandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.pytester, self.server, self.monkeypatch = pytester, server, monkeypatch
        self.measured: list[coverage.Coverage] = []
        monkeypatch.setattr(coverage.Coverage, "_instances", self.measured)
        pytester.makepyfile(test_garden="def test_bed():\n    pass\n")
        variables = {
            **CI,
            "COVERALLS_HOST": server.url,
            "COVERALLS_REPO_TOKEN": COVERALLS_TOKEN,
            "COVERALLS_RETRIES": "0",
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        for name in ("garden.py", "beds.py"):
            self.measure(name)

    def measure(self, name: str) -> None:
        """Measure a module as ``coverage run`` would, from outside of pytest."""
        path = self.pytester.path.resolve() / name
        path.write_text(GARDEN)
        if not self.measured:
            below = f"{self.pytester.path.resolve()}/*"
            cov = coverage.Coverage(data_file=None, config_file=False, include=[below])
            self.measured.append(cov)
        self.measured[0].start()
        try:
            exec(compile(GARDEN, str(path), "exec"), {})
        finally:
            self.measured[0].stop()

    def __call__(self, conftest: str, *arguments: str) -> list[str]:
        """Run with a ``conftest.py``; return our lines, the header left out."""
        self.pytester.makeconftest(conftest)
        result = self.pytester.runpytest_inprocess(
            "-p", "no:pytest_cov", "--coveralls", *arguments, no_reraise_ctrlc=True
        )
        self.status = result.ret
        self.output = result.stdout.str() + result.stderr.str()
        lines = [line.removeprefix("coveralls: ") for line in told(result.stdout.str())]
        return [line for line in lines if "token from" not in line]


@pytest.fixture
def hooked(pytester: pytest.Pytester, server: StandIn, monkeypatch: pytest.MonkeyPatch) -> Hooked:
    """See above."""
    return Hooked(pytester, server, monkeypatch)


# -- the job -----------------------------------------------------------------------------------


def test_what_the_hook_changes_arrives(hooked: Hooked) -> None:
    """Fields, files, and the lines of files."""
    said = hooked(
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
    assert (file["name"], file["coverage"]) == ("garden.py", [1, 0, 5, 0])
    assert said[0].startswith("sent 1 file, ")


def test_the_hook_does_not_see_the_token(hooked: Hooked) -> None:
    """It has no use for it."""
    hooked('def pytest_coveralls_job(job):\n    print("JOB", "repo_token" in job, job)\n', "-s")

    assert "JOB False" in hooked.output
    assert COVERALLS_TOKEN not in hooked.output


def test_the_hook_is_called_once(hooked: Hooked) -> None:
    """However many attempts there are."""
    hooked.server.respond(503)

    hooked('def pytest_coveralls_job(job):\n    print("CALLED")\n', "-s", "--coveralls-retries=1")

    assert hooked.output.count("CALLED") == 1
    assert len(hooked.server.jobs) == 1


def test_several_hooks_change_one_job(hooked: Hooked) -> None:
    """That of ``conftest.py`` and that of a plugin."""
    hooked.pytester.makepyfile(
        other="def pytest_coveralls_job(job):\n    job['compare_ref'] = 'main'\n"
    )
    hooked.pytester.syspathinsert()

    hooked("def pytest_coveralls_job(job):\n    job['flag_name'] = 'unit'\n", "-p", "other")

    (job,) = hooked.server.jobs
    assert (job["flag_name"], job["compare_ref"]) == ("unit", "main")


def test_what_the_hook_returns_does_not_count(hooked: Hooked) -> None:
    """The job is changed in place."""
    said = hooked("def pytest_coveralls_job(job):\n    return {'service_name': 'x'}\n")

    assert hooked.server.jobs[0]["service_name"] == "test-ci"
    assert len(said) == 1


DAMAGE = {
    "raises": ("raise LookupError('no luck')", "LookupError: no luck"),
    "asserts": ("assert not job, 'wrong'", "AssertionError: wrong"),
    "unknown": (
        "job['colour'] = 'red'",
        'the job has a field "colour" that Coveralls does not document',
    ),
    "empty": ("job['flag_name'] = ''", 'the job: "flag_name" cannot be ""'),
    "null": ("job['source_files'][0]['coverage'] = None", '"coverage" cannot be null'),
    "object": ("job['run_at'] = object()", 'the job: "run_at" cannot be "<object object'),
    "nan": ("job['source_files'][0]['coverage'][0] = float('nan')", '"coverage" cannot be [NaN'),
    "twice": (
        "job['source_files'] *= 2",
        'source file 3: the name "beds.py" stands twice',
    ),
    "deleted": ("del job['source_files']", 'the job has no "source_files"'),
    "cleared": ("job.clear()", 'the job has no "source_files"'),
    "recursive": ("job['git']['head'] = job", '"git" cannot be {"branch"'),
}


@pytest.mark.parametrize(("body", "said"), DAMAGE.values(), ids=DAMAGE)
def test_a_hook_that_damages_the_job_costs_one_line(hooked: Hooked, body: str, said: str) -> None:
    """The job is sent as it was before; the run ends as it would have."""
    lines = hooked(f"def pytest_coveralls_job(job):\n    job['flag_name'] = 'x'\n    {body}\n")

    assert hooked.status == 0
    (job,) = hooked.server.jobs
    assert "flag_name" not in job
    assert len(job["source_files"]) == 2
    notices = [line for line in lines if "the hook pytest_coveralls_job is not heeded" in line]
    assert len(notices) == 1
    assert said in notices[0]
    assert "INTERNALERROR" not in hooked.output


# pytest's own outcomes and the end of a program are no "Exception" to Python.
NO_EXCEPTIONS = {
    "fails": ("import pytest; pytest.fail('no luck')", "Failed: no luck"),
    "skips": ("import pytest; pytest.skip('no luck')", "Skipped: no luck"),
    "exits": ("raise SystemExit(3)", "SystemExit: 3"),
}


@pytest.mark.parametrize(("body", "said"), NO_EXCEPTIONS.values(), ids=NO_EXCEPTIONS)
@pytest.mark.parametrize("hook", ["job", "outcome"])
def test_a_hook_that_ends_the_program_costs_one_line(
    run: Runner, hook: str, body: str, said: str
) -> None:
    """``pytest.fail`` in a ``conftest.py`` takes neither the job nor the run's end with it."""
    text = f"def pytest_coveralls_{hook}({hook}):\n    {body}\n"
    (run.folder / "conftest.py").write_text(text)

    result = run("--coveralls")

    assert result.returncode == 0, result.stdout
    assert len(run.server.jobs) == 1
    lines = told(result.stdout)
    assert [line for line in lines if "sent 5 files" in line]
    assert len([line for line in lines if line.endswith(said)]) == 1
    assert "INTERNALERROR" not in result.stdout


def test_a_hook_that_removes_every_file_sends_nothing(hooked: Hooked) -> None:
    """As if nothing had been measured."""
    lines = hooked("def pytest_coveralls_job(job):\n    job['source_files'].clear()\n")

    assert hooked.server.requests == []
    assert lines[0] == "not sent: no files of the repository were measured"


def test_an_interruption_in_the_hook_interrupts(hooked: Hooked) -> None:
    """Ctrl-C is the user's."""
    hooked("def pytest_coveralls_job(job):\n    raise KeyboardInterrupt\n")

    assert hooked.status == pytest.ExitCode.INTERRUPTED
    assert hooked.server.requests == []


def test_no_hook_is_called_where_no_job_is_built(hooked: Hooked) -> None:
    """Without a token there is none."""
    hooked.monkeypatch.delenv("COVERALLS_REPO_TOKEN")

    hooked("def pytest_coveralls_job(job):\n    print('CALLED')\n", "-s")

    assert "CALLED" not in hooked.output


def test_a_hook_with_a_wrong_argument_is_pytests_own_error(hooked: Hooked) -> None:
    """The hooks are specified, so that a typing error is seen at once."""
    hooked("def pytest_coveralls_job(jbo):\n    pass\n")

    assert hooked.status != 0
    assert "jbo" in hooked.output


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
        hooked.monkeypatch.delenv("COVERALLS_REPO_TOKEN")
    if case == "down":
        hooked.server.respond(503)
    seen: list[Any] = []
    hooked.monkeypatch.setattr("builtins.seen", seen, raising=False)

    hooked("def pytest_coveralls_outcome(config, outcome):\n    seen.append(outcome)\n", *arguments)

    (told_outcome,) = seen
    assert type(told_outcome) is kind


def test_the_outcome_has_link_and_totals(hooked: Hooked) -> None:
    """Enough to post a message with."""
    hooked(
        """
        def pytest_coveralls_outcome(outcome):
            print("TOLD", outcome.url, [file[:3] for file in outcome.files])
        """,
        "-s",
    )

    files = "[('beds.py', 1, 4), ('garden.py', 1, 4)]"
    assert f"TOLD {hooked.server.url}/jobs/105971882 {files}" in hooked.output


def test_an_outcome_hook_that_raises_costs_one_line(hooked: Hooked) -> None:
    """The job was sent, and that is printed."""
    lines = hooked("def pytest_coveralls_outcome(outcome):\n    raise ValueError('odd\\nline')\n")

    assert hooked.status == 0
    assert "the hook pytest_coveralls_outcome failed: ValueError: odd\\nline" in lines
    assert [line for line in lines if line.startswith("sent 2 files")]
    assert "INTERNALERROR" not in hooked.output
