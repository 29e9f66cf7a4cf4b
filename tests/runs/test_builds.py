"""Builds of many jobs, jobs of many tools, and servers other than coveralls.io: whole runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from running import Runner, add_to_ini, told, write
from standin import StandIn

pytestmark = pytest.mark.slow

MATRIX_TESTS = """\
import os

from sample.seasons import may_sow

PLANT = os.environ["PLANT"]


def test_sowing():
    assert may_sow(PLANT, 5)
"""
LEGS = ("bean", "tomato", "thyme")
MEASURED = ("--cov=sample", "--cov-branch", "--cov-report=")


def run_leg(run: Runner, plant: str) -> str:
    """Run one job of a matrix; return what it printed."""
    words = ("-p", "no:cacheprovider", "tests/test_seasons.py", *MEASURED)
    names = {
        "PLANT": plant,
        "TOX_ENV_NAME": f"py312-{plant}",
        "COVERAGE_FILE": f".coverage.{plant}",
    }
    return run("--coveralls", "--coveralls-parallel", *words, env=names).stdout


def file_in(job: dict[str, Any], name: str) -> dict[str, Any]:
    """A source file of a job."""
    (file,) = (file for file in job["source_files"] if file["name"] == name)
    return dict(file)


def taken(job: dict[str, Any], name: str) -> dict[tuple[int, int, int], int]:
    """The branches of a file, by line, block and number."""
    flat = file_in(job, name)["branches"]
    quadruples = zip(flat[::4], flat[1::4], flat[2::4], flat[3::4], strict=True)
    return {(line, block, branch): hits for line, block, branch, hits in quadruples}


def test_all_jobs_of_a_matrix_are_in_one_build_and_finish_closes_it(run: Runner) -> None:
    """All lines, branches and flags of all jobs are present, and none has taken another's place."""
    server = run.server
    write(run, "tests/test_seasons.py", MATRIX_TESTS)

    with ThreadPoolExecutor(len(LEGS)) as pool:
        printed = list(pool.map(partial(run_leg, run), LEGS))

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
    finished = run(*command[3:], module="pytest_coveralls_submit")
    assert finished.returncode == 0, finished.stdout
    closed = f"coveralls: closed build 77 on {server.url}, {len(LEGS)} jobs -> "
    assert finished.stdout == f"{closed}{server.url}/builds/77\n"
    assert build.closed


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


def test_opencovs_refusal_of_a_job_without_source_is_explained(project: Path) -> None:
    with StandIn(kind="opencov") as server:
        result = Runner(project, server)("--coveralls", "--no-coveralls-compress")

        assert server.jobs == []
    lines = told(result.stdout)
    (failed,) = (place for place, line in enumerate(lines) if line.startswith("coveralls: failed"))
    assert "422 Server internal error (trace x-request-id " in lines[failed]
    assert "set include_source = true" in lines[failed + 1]


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
