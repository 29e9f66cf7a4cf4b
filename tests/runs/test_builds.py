"""Builds of many jobs, jobs of many tools, and servers other than coveralls.io: whole runs."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from running import CI, NO_TOKEN, Runner, add_to_ini, loading, told
from standin import COVERALLS_TOKEN, StandIn

pytestmark = pytest.mark.slow

MATRIX_TESTS = """\
import os

from sample.seasons import may_sow

PLANT = os.environ["PLANT"]


def test_sowing():
    assert may_sow(PLANT, 5)
"""
SYSTEM = {"linux": "linux", "darwin": "macos", "win32": "windows"}[sys.platform]
LEGS = ("bean", "tomato", "thyme")
MEASURED = ("--cov=sample", "--cov-branch", "--cov-report=")


class Matrix:
    """Several runs of pytest at once, each in a checkout of its own or in the same one."""

    def __init__(self, run: Runner) -> None:
        self.run = run
        (run.folder / "tests" / "test_seasons.py").write_text(MATRIX_TESTS)

    def start(self, plant: str, env: Mapping[str, str], *arguments: str) -> subprocess.Popen[str]:
        """Start one leg."""
        words = ["-p", "no:cacheprovider", "tests/test_seasons.py", *arguments]
        files = {"COVERAGE_FILE": str(self.run.folder / f".coverage.{plant}")}
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", "--coveralls", "--coveralls-parallel", *words],
            cwd=self.run.folder,
            env={**self.run.env, **loading(()), **files, "PLANT": plant, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def outputs(self, legs: list[subprocess.Popen[str]]) -> list[str]:
        """Wait for all legs; what each printed."""
        printed = []
        for leg in legs:
            with leg:
                output, _ = leg.communicate(timeout=120)
            assert "coveralls: sent " in output, output
            printed.append(output)
        return printed


@pytest.fixture
def matrix(run: Runner) -> Matrix:
    """See above."""
    return Matrix(run)


def file_in(job: dict[str, Any], name: str) -> dict[str, Any]:
    """A source file of a job."""
    (file,) = (file for file in job["source_files"] if file["name"] == name)
    return dict(file)


def taken(job: dict[str, Any], name: str) -> dict[tuple[int, int, int], int]:
    """The branches of a file, by line, block and number."""
    flat = file_in(job, name)["branches"]
    quadruples = zip(flat[::4], flat[1::4], flat[2::4], flat[3::4], strict=True)
    return {(line, block, branch): hits for line, block, branch, hits in quadruples}


def test_all_jobs_of_a_matrix_are_in_one_build_and_finish_closes_it(matrix: Matrix) -> None:
    """All lines, branches and flags of all jobs are present, and none has taken another's place.

    A job that comes later is refused, and that is explained.
    """
    server = matrix.run.server
    legs = [matrix.start(plant, {"TOX_ENV_NAME": f"py312-{plant}"}, *MEASURED) for plant in LEGS]

    printed = matrix.outputs(legs)

    (build,) = server.builds.values()
    assert (build.number, build.closed) == ("77", False)
    assert len(build.jobs) == len(LEGS)
    assert server.replaced == []
    assert all(job["parallel"] is True for job in build.jobs)
    assert {job["flag_name"] for job in build.jobs} == {f"py312-{plant}" for plant in LEGS}

    names = {tuple(file["name"] for file in job["source_files"]) for job in build.jobs}
    assert len(names) == 1
    hit = [file_in(job, "sample/seasons.py")["coverage"] for job in build.jobs]
    together = [
        max((h for h in line if h is not None), default=None) for line in zip(*hit, strict=True)
    ]
    assert 0 not in together
    assert all(0 in lines for lines in hit)
    branches = [taken(job, "sample/seasons.py") for job in build.jobs]
    assert branches[0].keys() == branches[1].keys() == branches[2].keys()
    assert len({tuple(sorted(one.items())) for one in branches}) == len(LEGS)

    command = told(printed[0])[-1].partition("close it with: ")[2].split()
    assert command[:3] == ["python", "-m", "pytest_coveralls_submit"]
    finished = matrix.run(*command[3:], module="pytest_coveralls_submit")
    assert finished.returncode == 0, finished.stdout
    closed = f"coveralls: closed build 77 on {server.url}, {len(LEGS)} jobs -> "
    assert finished.stdout == f"{closed}{server.url}/builds/77\n"
    assert build.closed

    late = matrix.run("--coveralls", "--coveralls-parallel", env={"PLANT": LEGS[0]})
    assert late.returncode == 0
    lines = told(late.stdout)
    assert any("Can't add a job to a build that is already closed" in line for line in lines)
    assert any("build 77 takes no more jobs" in line for line in lines)


def test_jobs_that_only_their_runners_tell_apart_have_one_flag_and_ids_of_their_own(
    matrix: Matrix,
) -> None:
    """None takes another's place, as jobs without an id of their own would."""
    env = {
        **dict.fromkeys(CI, ""),
        "GITHUB_ACTIONS": "true",
        "GITHUB_RUN_ID": "77",
        "GITHUB_JOB": "test",
        "GITHUB_REPOSITORY": "octo/sample",
        "GITHUB_SERVER_URL": "https://github.com",
    }
    matrix.outputs(
        [
            matrix.start(plant, {**env, "RUNNER_NAME": f"runner for {plant}"}, *MEASURED)
            for plant in LEGS[:2]
        ]
    )

    (build,) = matrix.run.server.builds.values()
    flag = f"test-{sys.version_info[0]}.{sys.version_info[1]}-{SYSTEM}"
    assert [job["flag_name"] for job in build.jobs] == [flag] * 2
    assert len({job["service_job_id"] for job in build.jobs}) == len(build.jobs)
    assert matrix.run.server.replaced == []


def test_a_job_that_an_outage_kept_is_sent_by_the_command_that_was_printed(run: Runner) -> None:
    """Copied from the log into a shell, it sends the very same job."""
    run.server.respond(503)
    failed = run("--coveralls", "--cov-branch")
    (line,) = (line for line in told(failed.stdout) if "send it with: " in line)
    kept = run.folder / line.partition("kept in ")[2].partition(";")[0]
    content = json.loads(kept.read_text())

    sent = run(*line.partition("send it with: ")[2].split()[3:], module="pytest_coveralls_submit")

    assert sent.returncode == 0, sent.stdout
    (job,) = run.server.jobs
    assert job == {"repo_token": COVERALLS_TOKEN, **content}
    assert not kept.exists()


def test_a_saved_job_is_sent_by_another_step(run: Runner) -> None:
    """Tests without a token, sending with one: only the second step has the secret."""
    run("--coveralls", "--coveralls-save=job.json", env=NO_TOKEN)
    assert run.server.requests == []
    assert stat.S_IMODE((run.folder / "job.json").stat().st_mode) == 0o600

    sent = run("send", "job.json", module="pytest_coveralls_submit")

    assert sent.returncode == 0, sent.stdout
    assert len(run.server.jobs[0]["source_files"]) == 5


# -- other servers -----------------------------------------------------------------------------


def test_opencov_takes_a_job_with_source_that_is_not_compressed(project: Path) -> None:
    """``compress = false`` and ``include_source = true``, in the ini file."""
    with StandIn(kind="opencov") as server:
        run = Runner(project, server)
        switched_off = 'coveralls_compress = "false"\ncoveralls_include_source = "true"'
        add_to_ini(run, f'coveralls = "true"\n{switched_off}')
        result = run()

        assert result.returncode == 0
        assert [line for line in told(result.stdout) if "sent 5 files" in line]
        (job,) = server.jobs
        assert (
            file_in(job, "sample/water.py")["source"]
            == (project / "sample" / "water.py").read_text()
        )
        assert server.findings == []


@pytest.mark.parametrize(
    ("options", "env", "reason", "advice"),
    [
        (
            ["--coveralls-include-source"],
            {"COVERALLS_REPO_TOKEN": "abcdefgh12345678"},
            "404 could not find model (trace x-request-id ",
            "the token from COVERALLS_REPO_TOKEN does not belong to a repository on ",
        ),
        (
            [],
            {},
            "422 Server internal error (trace x-request-id ",
            "set include_source = true",
        ),
        (
            ["--coveralls-host=SERVER/x"],
            {},
            "404 no such path (trace x-request-id ",
            "no Coveralls interface at ",
        ),
    ],
    ids=["token", "source", "path"],
)
def test_what_opencov_refuses_is_explained(
    project: Path, options: list[str], env: dict[str, str], reason: str, advice: str
) -> None:
    """A wrong token and a missing source each have a cause of their own; so has a wrong path."""
    with StandIn(kind="opencov") as server:
        run = Runner(project, server)
        words = [option.replace("SERVER", server.url) for option in options]
        result = run("--coveralls", "--no-coveralls-compress", *words, env=env)

        assert server.jobs == []
    lines = told(result.stdout)
    (failed,) = (place for place, line in enumerate(lines) if line.startswith("coveralls: failed"))
    assert lines[failed].startswith(f"coveralls: failed: {reason}")
    assert advice in lines[failed + 1]


def test_an_enterprise_server_may_have_a_path(project: Path) -> None:
    """Jobs and webhook are below it, and the closing command has it."""
    prefix = "/a/b"
    with StandIn(prefix=prefix) as server:
        run = Runner(project, server)
        result = run(
            "--coveralls", "--coveralls-parallel", env={"COVERALLS_HOST": f"{server.url}/"}
        )
        finished = run("finish", module="pytest_coveralls_submit")

        paths = [request.path for request in server.requests]
        assert paths == [f"{prefix}/api/v1/jobs", f"{prefix}/webhook"]
        assert (result.returncode, finished.returncode) == (0, 0)
        assert f"--coveralls-host={server.url}" in result.stdout
        assert server.findings == []
