"""Whole runs of pytest, as a user starts them, against the stand-in server."""

from __future__ import annotations

import json
import shutil
import stat
from collections import Counter
from pathlib import Path
from typing import Any

import coverage
import pytest
from running import NAMES, NO_TOKEN, SPREADS, Runner, add_to_ini, only_job, percent, told
from standin import COVERALLS_TOKEN, Job

pytestmark = pytest.mark.slow


def names(job: Job) -> list[str]:
    """Return the names of a job's source files, in their order."""
    return [file["name"] for file in job["source_files"]]


def closing(output: str) -> list[str]:
    """Return the lines of ours that follow the tests."""
    lines = output.splitlines()
    last = max((n for n, line in enumerate(lines) if "[100%]" in line), default=0)
    return told("\n".join(lines[last:]))


def total(output: str) -> list[str]:
    """Return pytest-cov's sum: statements, missed, perhaps branches, percent."""
    return next(line.split() for line in output.splitlines() if line.startswith("TOTAL"))


def coverage_json(run: Runner) -> dict[str, Any]:
    """Return what coverage.py itself reports of the data that the run left."""
    run("json", "-q", "-o", "coverage.json", module="coverage")
    report = json.loads((run.folder / "coverage.json").read_text("utf-8"))
    cov = coverage.Coverage(data_file=run.folder / ".coverage", config_file=False)
    cov.load()
    for name, file in report["files"].items():
        if (
            len(file["executed_lines"]) + len(file["missing_lines"])
            > file["summary"]["num_statements"]
        ):
            # Before 7.16 docstrings stand among the executed lines, but count as no statements.
            statements = cov.analysis2(str(run.folder / name))[1]
            file["executed_lines"] = sorted({*file["executed_lines"]}.intersection(statements))
    return {Path(name).as_posix(): file for name, file in report["files"].items()}


def lines_of(file: dict[str, Any], length: int) -> list[int | None]:
    """Return hits as a job has them, made from coverage.py's own report of a file."""
    hits = dict.fromkeys(file["missing_lines"], 0) | dict.fromkeys(file["executed_lines"], 1)
    return [hits.get(number) for number in range(1, length + 1)]


def branches_of(file: dict[str, Any]) -> tuple[Counter[int], Counter[int]]:
    """Return line -> number of branches and of taken ones, from coverage.py's report of a file."""
    taken = Counter(line for line, _ in file["executed_branches"])
    return taken + Counter(line for line, _ in file["missing_branches"]), taken


def sent_branches(file: dict[str, Any]) -> tuple[Counter[int], Counter[int]]:
    """Return the same from a file of a job."""
    flat = file.get("branches", [])
    taken = Counter(line for line, hits in zip(flat[0::4], flat[3::4], strict=True) if hits)
    return Counter(flat[0::4]), taken


# --- switching on ----------------------------------------------------------------------------


def test_one_flag_measures_and_submits_one_job(run: Runner) -> None:
    """``--coveralls`` alone measures as ``--cov`` would, and sends one job."""
    result = run("--coveralls")

    assert result.returncode == 0, result.stdout
    assert len(run.server.jobs) == 1
    assert f"sent 5 files, {percent(run)}% covered -> " in told(result.stdout)[-1]


@pytest.mark.parametrize("arguments", [(), ("--coveralls", "--no-coveralls")], ids=["none", "both"])
def test_nothing_is_printed_and_sent_unless_it_is_switched_on(
    run: Runner, arguments: tuple[str, ...]
) -> None:
    """An installed plugin is silent: no line, no request, no measuring, no marker."""
    result = run(*arguments)

    assert result.returncode == 0, result.stdout
    assert "coveralls:" not in result.stdout
    assert run.server.requests == []
    assert not (run.folder / ".coverage").exists()
    assert not (run.folder / ".pytest_cache/d/coveralls").exists()


@pytest.mark.parametrize("place", ["pyproject.toml", "pytest.ini", "native", "addopts"])
def test_a_file_can_switch_it_on(run: Runner, place: str) -> None:
    """Ini ``coveralls = true`` is the flag, in each kind of file, and so is addopts."""
    if place == "pyproject.toml":
        add_to_ini(run, 'coveralls = "true"')
    elif place == "addopts":
        add_to_ini(run, 'addopts = "--coveralls"')
    elif place == "pytest.ini":
        (run.folder / "pytest.ini").write_text("[pytest]\npythonpath=.\ncoveralls = yes\n")
    elif pytest.version_tuple < (9,):
        pytest.skip("native TOML came with pytest 9")
    else:
        path = run.folder / "pyproject.toml"
        text = path.read_text("utf-8").replace("[tool.pytest.ini_options]", "[tool.pytest]")
        path.write_text(text.replace("[tool.pytest]\n", "[tool.pytest]\ncoveralls = true\n"))

    result = run()

    assert result.returncode == 0, result.stdout
    assert names(only_job(run)) == NAMES


def test_a_flag_switches_off_what_a_file_switches_on(run: Runner) -> None:
    """``--no-coveralls`` wins over the ini file."""
    add_to_ini(run, 'coveralls = "on"')

    result = run("--no-coveralls")

    assert result.returncode == 0, result.stdout
    assert told(result.stdout) == []
    assert run.server.requests == []


# --- measuring -------------------------------------------------------------------------------


@pytest.mark.parametrize("spread", SPREADS)
def test_it_measures_what_cov_measures(run: Runner, spread: tuple[str, ...]) -> None:
    """``--coveralls`` alone has the numbers of ``--cov`` alone, and leaves the same data."""
    plain = run("-p", "no:coveralls_submit", "--cov", *spread)
    report = coverage_json(run)
    result = run("--coveralls", *spread)

    assert result.returncode == plain.returncode == 0
    assert total(result.stdout) == total(plain.stdout)
    assert coverage_json(run) == report
    files = {file["name"]: file["coverage"] for file in only_job(run)["source_files"]}
    assert files == {name: lines_of(report[name], len(files[name])) for name in NAMES}


@pytest.mark.parametrize("spread", SPREADS)
def test_the_job_is_what_coverage_reports_line_by_line(
    run: Runner, spread: tuple[str, ...]
) -> None:
    """Executed 1, missing 0, all else null; branches and taken ones per line as coverage.py's."""
    result = run("--cov", "--cov-branch", "--coveralls", *spread)

    assert result.returncode == 0, result.stdout
    files = {file["name"]: file for file in only_job(run)["source_files"]}
    report = coverage_json(run)
    assert sorted(files) == sorted(report) == NAMES
    for name, file in files.items():
        length = len((run.folder / name).read_bytes().splitlines())
        assert file["coverage"] == lines_of(report[name], length), name
        assert sent_branches(file) == branches_of(report[name]), name
        statistics = report[name]["summary"]
        assert len(file.get("branches", [])) == 4 * statistics["num_branches"], name
        assert sum(file.get("branches", [])[3::4]) == statistics["covered_branches"], name
    excluded = report["sample/beds.py"]["excluded_lines"]
    assert excluded
    assert {files["sample/beds.py"]["coverage"][line - 1] for line in excluded} == {None}
    hits = {hits for file in files.values() for hits in file["coverage"]}
    taken = {hits for file in files.values() for hits in file.get("branches", [])[3::4]}
    assert (hits, taken) == ({0, 1, None}, {0, 1})


def test_what_cov_names_is_what_is_sent(run: Runner) -> None:
    """With ``--cov=X`` given X is measured and nothing else."""
    result = run("--cov=tests", "--coveralls")

    assert result.returncode == 0, result.stdout
    assert names(only_job(run)) == [f"tests/test_{n}.py" for n in ("beds", "seasons", "water")]


def test_a_coverage_that_already_measures_is_reported(run: Runner) -> None:
    """``coverage run -m pytest --coveralls`` needs no ``--cov``, and keeps its own data."""
    result = run("run", "--branch", "-m", "pytest", "--coveralls", module="coverage")

    assert result.returncode == 0, result.stdout
    files = {file["name"]: file for file in only_job(run)["source_files"]}
    report = coverage_json(run)
    assert sorted(files) == sorted(report) == NAMES
    for name, file in files.items():
        assert file["coverage"] == lines_of(report[name], len(file["coverage"])), name
        assert sent_branches(file) == branches_of(report[name]), name


def test_the_percentage_is_coverage_pys_own(run: Runner) -> None:
    """What is called covered is coverage.py's total, branches included."""
    result = run("--cov", "--cov-branch", "--cov-report=", "--coveralls")

    assert f" {percent(run)}% covered -> " in closing(result.stdout)[0]


# --- what is printed -------------------------------------------------------------------------


def test_quiet_keeps_one_line(run: Runner) -> None:
    """``-q`` prints the outcome and nothing more."""
    result = run("--coveralls", "-q")

    assert result.returncode == 0, result.stdout
    (line,) = told(result.stdout)
    url = f"{run.server.url}/jobs/105971882"
    assert line == f"coveralls: sent 5 files, {percent(run)}% covered -> {url}"


def test_quiet_keeps_one_line_of_a_failure(run: Runner) -> None:
    """With ``-q`` the line of a failure still says where the job is kept."""
    run.server.respond(503)

    result = run("--coveralls", "-q")

    assert result.returncode == 0, result.stdout
    (line,) = told(result.stdout)
    assert line.lower().startswith("coveralls: failed: 503 service unavailable")
    kept = run.folder / line.rpartition("kept in ")[2]
    assert json.loads(kept.read_text("utf-8"))["service_number"] == "77"


def test_verbose_adds_sizes_and_times(run: Runner) -> None:
    """``-v`` says how much was sent and how long it took; without it nothing of that is said."""
    plain, verbose = run("--coveralls"), run("--coveralls", "-v")

    details = [line for line in closing(verbose.stdout) if "bytes" in line]
    size = len(run.server.requests[1].body)
    assert [f"coveralls: {size:,} bytes sent in " in line for line in details] == [True]
    assert "bytes" not in plain.stdout


@pytest.mark.parametrize("name", ["terminalreporter", "terminal"])
def test_a_job_is_sent_without_a_terminal_reporter(run: Runner, name: str) -> None:
    """The work does not depend on who prints."""
    plain = run("-p", f"no:{name}", "-p", "no:coveralls_submit")
    result = run("--coveralls", "-p", f"no:{name}")

    assert result.returncode == plain.returncode == 0, result.stdout
    assert names(only_job(run)) == NAMES
    assert "Error" not in result.stdout


@pytest.mark.parametrize("status", [200, 503])
def test_nothing_of_ours_warns(run: Runner, status: int) -> None:
    """``-W error`` turns no warning of ours into a failure, and nothing is left unclosed."""
    if status != 200:
        run.server.respond(status)

    result = run("--coveralls", "-W", "error", "-v", env={"PYTHONDEVMODE": "1"})

    assert result.returncode == 0, result.stdout
    assert "Warning:" not in result.stdout
    assert "Exception ignored" not in result.stdout
    assert len(run.server.jobs) == (status == 200)


# --- settings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "number"),
    [("flag variable ini yml", "4"), ("variable ini yml", "3"), ("ini yml", "2"), ("yml", "1")],
)
def test_the_stronger_source_of_a_setting_wins(run: Runner, sources: str, number: str) -> None:
    """Flag, then variable, then ini file, then .coveralls.yml, then what the CI service says."""
    pytest.importorskip("yaml")
    (run.folder / ".coveralls.yml").write_text("service_number: 1\n")
    if "ini" in sources:
        add_to_ini(run, 'coveralls_service_number = "2"')
    variables = {"COVERALLS_SERVICE_NUMBER": "3" if "variable" in sources else " "}
    flags = ["--coveralls-service-number=4"] if "flag" in sources else []

    result = run("--coveralls", "tests/test_beds.py", *flags, env=variables)

    assert result.returncode == 0, result.stdout
    assert only_job(run)["service_number"] == number
    assert f" as test-ci #{number} (" in told(result.stdout)[0]


@pytest.mark.parametrize(
    ("flags", "variables", "ini", "said"),
    [
        pytest.param(
            ["--coveralls-host=ftp://coveralls.example"],
            {},
            "",
            ["--coveralls-host", '"ftp://coveralls.example"', "it takes a URL like https://"],
            id="host in a flag",
        ),
        pytest.param(
            [],
            {"COVERALLS_ENDPOINT": "http://coveralls.example", "COVERALLS_HOST": ""},
            "",
            ["COVERALLS_ENDPOINT", '"http://coveralls.example"', "use https"],
            id="host in the clear",
        ),
        pytest.param(
            [],
            {"COVERALLS_DRY_RUN": "perhaps"},
            "",
            ["COVERALLS_DRY_RUN", '"perhaps"', "1/true/yes/on or 0/false/no/off"],
            id="boolean in a variable",
        ),
        pytest.param(
            ["--coveralls-ca-bundle=missing.pem"],
            {},
            "",
            ["--coveralls-ca-bundle", "there is no file", "sample/missing.pem"],
            id="path in a flag",
        ),
        pytest.param(
            [],
            {},
            'coveralls_deadline = "soon"',
            ["coveralls_deadline", "pyproject.toml", '"soon"', "a number of seconds above 0"],
            id="number in the ini file",
        ),
        pytest.param(
            [],
            {},
            'coveralls_on_partial = "stop"',
            ["coveralls_on_partial", "pyproject.toml", '"stop"', "send, warn or skip"],
            id="word in the ini file",
        ),
    ],
)
def test_a_bad_value_stops_before_any_test(
    run: Runner, flags: list[str], variables: dict[str, str], ini: str, said: list[str]
) -> None:
    """A usage error names the source, the value and what is accepted; no test runs."""
    add_to_ini(run, ini)

    result = run("--coveralls", *flags, env=variables)

    assert result.returncode == 4, result.stdout
    assert "passed" not in result.stdout
    (error,) = [line for line in result.stdout.splitlines() if line.startswith("ERROR: ")]
    assert error.startswith("ERROR: coveralls: ")
    assert [text for text in said if text not in error] == []
    assert run.server.requests == []


def test_a_switch_that_is_neither_on_nor_off_is_a_usage_error(run: Runner) -> None:
    """Ini ``coveralls`` takes the words of a boolean."""
    add_to_ini(run, 'coveralls = "maybe"')

    result = run()

    assert result.returncode == 4, result.stdout
    assert 'coveralls in pyproject.toml is "maybe"' in result.stdout
    assert "1/true/yes/on or 0/false/no/off" in result.stdout
    assert "Traceback" not in result.stdout


def test_an_unknown_variable_gets_a_notice_with_the_nearest_name(run: Runner) -> None:
    """A misspelt ``COVERALLS_*`` variable is told of at once; its value is not shown."""
    result = run("--coveralls", env={"COVERALLS_REPO_TOKN": "hushhush"})

    said = "coveralls: COVERALLS_REPO_TOKN is no setting; the nearest is COVERALLS_REPO_TOKEN"
    assert told(result.stdout)[1] == said
    assert "hushhush" not in result.stdout
    assert len(run.server.jobs) == 1


def test_a_token_in_a_file_that_git_tracks_gets_a_notice(run: Runner) -> None:
    """Whoever can read the repository can read the token."""
    add_to_ini(run, f'coveralls_repo_token = "{COVERALLS_TOKEN}"')

    result = run("--coveralls", env=NO_TOKEN)

    assert len(run.server.jobs) == 1
    notices = [line for line in told(result.stdout)[1:] if "pyproject.toml" in line]
    assert len(notices) == 1, result.stdout
    assert "token" in notices[0]
    assert COVERALLS_TOKEN not in result.stdout


@pytest.mark.parametrize(
    "silent", [(), ("-q",), ("--no-header",)], ids=["usual", "-q", "no header"]
)
def test_without_a_token_nothing_is_measured_sent_or_failed(
    run: Runner, silent: tuple[str, ...]
) -> None:
    """One line says what to do: the header's where it is shown, else the closing one."""
    result = run("--coveralls", *silent, env=NO_TOKEN)

    assert result.returncode == 0, result.stdout
    remedy = "no token: set COVERALLS_REPO_TOKEN (from the repository's page on Coveralls)"
    lines = [line.removeprefix("coveralls: ") for line in told(result.stdout)]
    if silent:
        assert lines == [f"not sent: {remedy}"]
    else:
        assert lines[0].endswith(", no token)")
        assert lines[1:] == [remedy, "not sent: no token"]
    assert run.server.requests == []
    assert not list(run.folder.glob(".coverage*"))
    assert "TOTAL" not in result.stdout


def test_a_dry_run_builds_and_sends_nothing(run: Runner) -> None:
    """``dry_run`` needs no token, and makes no request."""
    result = run("--coveralls", "--coveralls-dry-run", "--coveralls-strict", env=NO_TOKEN)

    assert result.returncode == 0, result.stdout
    expected = f"coveralls: built 5 files, {percent(run)}% covered; not sent, this is a dry run"
    assert closing(result.stdout) == [expected]
    assert run.server.requests == []
    assert not (run.folder / ".pytest_cache/d/coveralls").exists()


@pytest.mark.parametrize("token", [COVERALLS_TOKEN, ""], ids=["token", "no token"])
def test_a_saved_job_holds_no_token_and_belongs_to_the_user(run: Runner, token: str) -> None:
    """``save`` writes the job, with a token and without one, for nobody else to read."""
    result = run("--coveralls", "--coveralls-save=job.json", env={"COVERALLS_REPO_TOKEN": token})

    assert result.returncode == 0, result.stdout
    saved = run.folder / "job.json"
    job = json.loads(saved.read_text("utf-8"))
    assert [file["name"] for file in job["source_files"]] == NAMES
    assert "repo_token" not in job
    assert COVERALLS_TOKEN not in saved.read_text("utf-8")
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert "coveralls: saved in job.json" in closing(result.stdout)
    assert len(run.server.jobs) == bool(token)
    if token:
        assert run.server.jobs[0] == {**job, "repo_token": COVERALLS_TOKEN}


@pytest.mark.parametrize(
    ("case", "status"), [("sent", 0), ("refused", 1), ("no token", 1), ("tests failed", 1)]
)
def test_strict_fails_a_run_whose_job_was_not_accepted(run: Runner, case: str, status: int) -> None:
    """``strict`` turns 0 into 1 unless the job was accepted, and touches nothing else."""
    if case == "refused":
        run.server.respond(422, {"message": "no", "error": True})
    if case == "tests failed":
        (run.folder / "tests/test_red.py").write_text("def test_red():\n    assert False\n")
    env = NO_TOKEN if case == "no token" else {}

    result = run("--coveralls", "--coveralls-strict", env=env)

    assert result.returncode == status, result.stdout
    assert len(run.server.jobs) == (case in {"sent", "tests failed"})


def test_strict_touches_no_other_status_than_zero(run: Runner) -> None:
    """``strict`` changes 0 alone: nothing collected stays 5."""
    result = run("--coveralls", "-k", "nothing_is_called_so", "--coveralls-strict")

    assert result.returncode == 5, result.stdout
    assert told(result.stdout)[-1] == "coveralls: not sent: no tests ran"


def test_the_source_is_sent_where_it_is_asked_for(run: Runner) -> None:
    """``include_source`` sends the text besides the digest; otherwise no text leaves."""
    result = run("--coveralls", "--coveralls-include-source")

    assert result.returncode == 0, result.stdout
    sources = {file["name"]: file["source"] for file in only_job(run)["source_files"]}
    assert sources == {name: (run.folder / name).read_text("utf-8") for name in NAMES}

    run("--coveralls")
    assert [file for file in run.server.jobs[-1]["source_files"] if "source" in file] == []


@pytest.mark.parametrize("kind", ["no data", "no files"])
@pytest.mark.parametrize("flags", [(), ("--coveralls-allow-empty",)], ids=["usual", "allowed"])
def test_an_empty_job_is_sent_only_where_it_is_allowed(
    run: Runner, tmp_path: Path, kind: str, flags: tuple[str, ...]
) -> None:
    """Without data or files nothing is sent, with ``allow_empty`` a job without files is."""
    empty = tmp_path / "elsewhere"
    empty.mkdir()
    if kind == "no files":
        (empty / "far.py").write_text("x = 1\n")
    (run.folder / "tests/test_far.py").write_text(
        f"import sys\nsys.path.append({str(empty)!r})\n"
        "def test_far():\n    sys.modules.pop('far', None)\n    "
        + ("import far\n" if kind == "no files" else "pass\n")
    )

    result = run(f"--cov={empty}", "--coveralls", "tests/test_far.py", *flags)

    assert result.returncode == 0, result.stdout
    if flags:
        assert only_job(run)["source_files"] == []
    else:
        assert run.server.requests == []
        assert closing(result.stdout)[0].startswith("coveralls: not sent: no ")


def test_the_job_is_gzip_unless_that_is_switched_off(run: Runner) -> None:
    """``compress`` off sends the same job as plain JSON."""
    run("--coveralls")
    run("--coveralls", "--no-coveralls-compress")

    packed, plain = (request.part("json_file") for request in run.server.requests)
    assert packed is not None
    assert plain is not None
    assert packed.headers["Content-Type"] == "application/gzip"
    assert plain.headers.get("Content-Type") != "application/gzip"
    assert json.loads(plain.body)["source_files"] == run.server.jobs[0]["source_files"]


# --- where the project lies ------------------------------------------------------------------


def test_names_are_relative_to_the_top_of_the_repository(run: Runner) -> None:
    """A project in a subdirectory of the repository has that directory in its names."""
    (run.folder / "backend").mkdir()
    for name in ("sample", "tests", "pyproject.toml"):
        shutil.move(run.folder / name, run.folder / "backend" / name)
    run.folder /= "backend"

    result = run("--coveralls")

    assert result.returncode == 0, result.stdout
    assert names(only_job(run)) == [f"backend/{name}" for name in NAMES]


def test_a_project_without_git_is_sent_all_the_same(run: Runner) -> None:
    """Names are relative to pytest's root directory, the branch is what the CI service says."""
    shutil.rmtree(run.folder / ".git")

    result = run("--coveralls")

    assert result.returncode == 0, result.stdout
    job = only_job(run)
    assert names(job) == NAMES
    assert job["git"] == {"branch": "topic/y"}
    source = "COVERALLS_REPO_TOKEN"
    header = f"coveralls: {run.server.url} as test-ci #77 (branch topic/y, token from {source})"
    assert told(result.stdout)[0] == header


def test_the_session_leaves_no_variable_behind(run: Runner) -> None:
    """What marks a session for runs inside of it is gone when the session is over."""
    (run.folder / "runs.py").write_text(
        "import os, pytest\n"
        "before = dict(os.environ)\n"
        "assert pytest.main(['--coveralls']) == 0\n"
        "print('LEFT', set(os.environ.items()) ^ set(before.items()))\n"
    )

    result = run(module="runs")

    assert len(run.server.jobs) == 1
    assert result.stdout.splitlines()[-1] == "LEFT set()", result.stdout
