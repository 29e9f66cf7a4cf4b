"""Builds of many jobs, and servers other than coveralls.io."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from inner import GARDEN, Inner
from running import Runner, told, write
from standin import quadruples

pytestmark = pytest.mark.slow

MATRIX_TESTS = """\
import os

from sample.seasons import may_sow


def test_sowing():
    assert may_sow(os.environ["PLANT"], 5)
"""
LEGS = ("bean", "tomato", "thyme")


def run_leg(run: Runner, plant: str) -> str:
    """Run one job of a matrix; return what it printed."""
    words = ("-p", "no:cacheprovider", "--cov=sample", "--cov-branch", "--cov-report=")
    env = {"PLANT": plant, "TOX_ENV_NAME": plant, "COVERAGE_FILE": f".coverage.{plant}"}
    return run(
        "--coveralls", "--coveralls-parallel", *words, "tests/test_matrix.py", env=env
    ).stdout


def seasons_in(job: dict[str, Any]) -> dict[str, Any]:
    """Return the one file in which the jobs of the matrix differ."""
    (file,) = (file for file in job["source_files"] if file["name"] == "sample/seasons.py")
    return dict(file)


def test_all_jobs_of_a_matrix_are_in_one_build_and_finish_closes_it(run: Runner) -> None:
    """All lines, branches and flags of all jobs are present, and none has taken another's place."""
    write(run, "tests/test_matrix.py", MATRIX_TESTS)

    with ThreadPoolExecutor(len(LEGS)) as pool:
        printed = list(pool.map(partial(run_leg, run), LEGS))

    (build,) = run.server.builds.values()
    assert (build.number, build.closed) == ("77", False)
    assert sorted(job["flag_name"] for job in build.jobs) == sorted(LEGS)
    assert all(job["parallel"] is True for job in build.jobs)
    files = [seasons_in(job) for job in build.jobs]
    hits = [file["coverage"] for file in files]
    together = [max(line) for line in zip(*hits, strict=True) if None not in line]
    assert all(0 in lines for lines in hits)
    assert 0 not in together
    ways = [quadruples(file["branches"]) for file in files]
    assert len({tuple(way[:3] for way in one) for one in ways}) == 1
    assert len(set(map(tuple, ways))) == len(LEGS)

    # A job that another leg is sending may be told to wait.
    (line,) = (line for line in told(printed[0]) if "close it with: " in line)
    command = line.partition("close it with: ")[2].split()
    assert command[:3] == ["python", "-m", "pytest_coveralls_submit"]
    finished = run(*command[3:], module="pytest_coveralls_submit")
    url = run.server.url
    assert finished.returncode == 0, finished.stdout
    assert finished.stdout == f"coveralls: closed build 77 on {url}, 3 jobs -> {url}/builds/77\n"
    assert build.closed


def test_a_job_may_have_source_text_and_no_compression(inner: Inner) -> None:
    """OpenCov takes no other."""
    settings = "coveralls_compress = false\ncoveralls_include_source = true"
    (inner.folder / "pytest.ini").write_text(f"[pytest]\ncoveralls = true\n{settings}\n")

    inner()

    (request,) = inner.server.requests
    (file,) = json.loads(request.parts[0].body)["source_files"]
    assert file["source"] == GARDEN
    assert inner.server.jobs[0]["source_files"] == [file]


def test_an_enterprise_server_may_have_a_path(inner: Inner) -> None:
    """Jobs go below it, and the printed command has it."""
    host = f"{inner.server.url}/a/b"
    inner.env(COVERALLS_HOST=f"{host}/")

    run = inner("--coveralls")

    assert [request.path for request in inner.server.requests] == ["/a/b/api/v1/jobs"]
    assert any(f" send --coveralls-host={host} " in line for line in run.lines)
