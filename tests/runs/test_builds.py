"""Builds of many jobs, jobs of many tools, and servers other than coveralls.io: whole runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from running import Runner, needs_xdist, told
from standin import COVERALLS_TOKEN, StandIn

pytestmark = pytest.mark.slow

MATRIX_TESTS = """\
import os

from sample.seasons import may_sow

PLANT = os.environ["PLANT"]


def test_sowing():
    assert may_sow(PLANT, 5)
"""
LEGS = ("bean", "tomato", "thyme")


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
            env={**self.run.env, **files, "PLANT": plant, **env},
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


def environments(kind: str) -> list[dict[str, str]]:
    """What tells the legs of a matrix apart."""
    if kind == "tox":
        return [{"TOX_ENV_NAME": f"py312-{plant}"} for plant in LEGS]
    if kind == "flags":
        return [{"COVERALLS_FLAG_NAME": f"{{python}} {plant}"} for plant in LEGS]
    github = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_RUN_ID": "77",
        "GITHUB_JOB": "test",
        "GITHUB_REPOSITORY": "octo/sample",
        "GITHUB_SERVER_URL": "https://github.com",
        "CI_NAME": "",
        "CI_BUILD_NUMBER": "",
        "CI_JOB_ID": "",
    }
    return [{**github, "RUNNER_NAME": f"runner {number}"} for number in range(len(LEGS))]


@pytest.mark.parametrize("kind", ["flags", "tox", "runners"])
def test_all_jobs_of_a_matrix_are_in_one_build_and_finish_closes_it(
    matrix: Matrix, kind: str
) -> None:
    """All lines, branches and flags of all jobs are present, and none has taken another's place."""
    server = matrix.run.server
    legs = [
        matrix.start(plant, env, "--cov=sample", "--cov-branch", "--cov-report=")
        for plant, env in zip(LEGS, environments(kind), strict=True)
    ]

    printed = matrix.outputs(legs)

    (build,) = server.builds.values()
    assert (build.number, build.closed) == ("77", False)
    assert len(build.jobs) == len(LEGS)
    assert server.replaced == []
    assert all(job["parallel"] is True for job in build.jobs)
    flags = {job["flag_name"] for job in build.jobs}
    assert len(flags) == (1 if kind == "runners" else len(LEGS))
    if kind == "tox":
        assert flags == {f"py312-{plant}" for plant in LEGS}
    assert len({(job["service_job_id"], job["flag_name"]) for job in build.jobs}) == len(LEGS)

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
    assert finished.stdout == f"coveralls: closed build 77 on {server.url}\n"
    assert build.closed


def test_a_job_after_finish_is_kept_and_explained(run: Runner) -> None:
    """A leg that is run again once the build is closed."""
    run("--coveralls", "--coveralls-parallel")
    run("finish", module="pytest_coveralls_submit")

    result = run("--coveralls", "--coveralls-parallel")

    assert result.returncode == 0
    lines = told(result.stdout)
    assert any("Can't add a job to a build that is already closed" in line for line in lines)
    assert any("build 77 takes no more jobs" in line for line in lines)
    assert any("kept in .pytest_cache/d/coveralls/job-77.json" in line for line in lines)


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
    run("--coveralls", "--coveralls-save=job.json", env={"COVERALLS_REPO_TOKEN": ""})
    assert run.server.requests == []

    sent = run("send", "job.json", module="pytest_coveralls_submit")

    assert sent.returncode == 0, sent.stdout
    assert len(run.server.jobs[0]["source_files"]) == 5


def test_files_of_another_tool_are_merged_in_a_whole_run(run: Runner) -> None:
    """A web front-end's coverage in the same job, and a file that both have measured."""
    beds = (run.folder / "sample" / "beds.py").read_text().count("\n")
    script = {"name": "web/a.js", "source_digest": "0" * 32, "coverage": [7, None, 0]}
    module = {
        "name": "sample/beds.py",
        "source_digest": "1" * 32,
        "coverage": [3, *[None] * (beds - 1)],
    }
    other = {"source_files": [script, module]}
    (run.folder / "js.json").write_text(json.dumps(other))

    result = run("--coveralls", "--coveralls-merge=js.json")

    assert result.returncode == 0
    (job,) = run.server.jobs
    assert file_in(job, "web/a.js") == script
    merged = file_in(job, "sample/beds.py")
    assert merged["coverage"][0] == 3
    assert 1 in merged["coverage"][1:]
    assert merged["source_digest"] != "1" * 32


def test_a_file_to_merge_that_does_not_fit_fails_the_job_and_no_test(run: Runner) -> None:
    """The message names file and name."""
    other = {"source_files": [{"name": "sample/beds.py", "coverage": [1]}]}
    (run.folder / "js.json").write_text(json.dumps(other))

    result = run("--coveralls", "--coveralls-merge=js.json")

    assert result.returncode == 0
    assert run.server.requests == []
    line = told(result.stdout)[1]
    assert line.startswith("coveralls: failed: ")
    assert "js.json: sample/beds.py has 1 lines there" in line


# -- other servers -----------------------------------------------------------------------------


def test_opencov_takes_a_job_with_source_that_is_not_compressed(project: Path) -> None:
    """``compress = false`` and ``include_source = true``, in the ini file."""
    text = (project / "pyproject.toml").read_text()
    ours = "coveralls = true\ncoveralls_compress = 'false'\ncoveralls_include_source = 'true'\n"
    table = "[tool.pytest.ini_options]\n"
    (project / "pyproject.toml").write_text(
        text.replace(table, table + ours.replace("= true", "= 'true'"))
    )
    with StandIn(kind="opencov") as server:
        result = Runner(project, server)()

        assert result.returncode == 0
        assert [line for line in told(result.stdout) if "sent 5 files" in line]
        (job,) = server.jobs
        assert (
            file_in(job, "sample/water.py")["source"]
            == (project / "sample" / "water.py").read_text()
        )
        assert server.findings == []


def test_opencov_refuses_the_usual_job_and_that_is_explained(project: Path) -> None:
    """It answers 500 to gzip; the tests are not affected."""
    with StandIn(kind="opencov") as server:
        result = Runner(project, server)("--coveralls")

        assert result.returncode == 0
        assert server.jobs == []
        assert [line for line in told(result.stdout) if line.startswith("coveralls: failed: 500")]


@pytest.mark.parametrize("prefix", ["/a/b"])
def test_an_enterprise_server_may_have_a_path(project: Path, prefix: str) -> None:
    """Jobs and webhook are below it, and the closing command has it."""
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


@needs_xdist
def test_xdist_sends_one_job_with_all_that_its_workers_measured(run: Runner) -> None:
    """The same lines and branches as without."""
    alone = run("--coveralls", "--cov", "--cov-branch", "--cov-report=")
    many = run("--coveralls", "--cov", "--cov-branch", "--cov-report=", "-n", "2")

    assert (alone.returncode, many.returncode) == (0, 0), many.stdout
    one, other = run.server.jobs
    assert one["source_files"] == other["source_files"]
    assert any(file.get("branches") for file in one["source_files"])
