"""``report`` sends from coverage data files what a test run would have sent."""

from __future__ import annotations

import json
from pathlib import Path

import coverage
import pytest
from commanding import GITHUB, Command
from git_repository import Repository, needs_git
from running import Runner
from standin import StandIn

BED = "def bed(sunny):\n    if sunny:\n        return 1\n    return 2\n"
TESTS = "import unittest\nfrom garden.{0} import bed\n\n\nclass Test(unittest.TestCase):\n"
TESTS += "    def test_bed(self):\n        bed({1})\n"
NO_TOKEN = {"COVERALLS_REPO_TOKEN": ""}


class Data:
    """A project with one measured module, and its data files."""

    def __init__(self, command: Command) -> None:
        self.folder = command.folder
        (self.folder / "garden").mkdir()
        self.module = self.folder / "garden" / "beds.py"
        self.module.write_text(BED)

    def write(
        self, name: str = ".coverage", lines: tuple[int, ...] = (1, 2, 3), file: str = ""
    ) -> Path:
        """Write a data file, with lines that ran."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = coverage.CoverageData(str(path))
        stored.add_lines({file or str(self.module): lines})
        stored.write()
        if hasattr(stored, "close"):  # coverage 7.7 has none
            stored.close()
        return path


@pytest.fixture
def data(command: Command) -> Data:
    return Data(command)


def state(folder: Path) -> dict[str, tuple[bytes, float]]:
    """Return every file below a folder, and when it was written."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime)
        for path in sorted(files)
        if path.suffix != ".pyc"
    }


@needs_git
def test_the_job_is_what_coverage_reports_of_the_combined_data(
    tmp_path: Path, server: StandIn
) -> None:
    """After unittest in three jobs; neither tests nor pytest run, and no file is changed."""
    repository = Repository(tmp_path.resolve() / "project")
    folder = repository.path
    run = Runner(folder, server)
    (folder / "garden").mkdir()
    for name, argument in (("beds", "True"), ("paths", "False")):
        (folder / "garden" / f"{name}.py").write_text(BED)
        (folder / f"test_{name}.py").write_text(TESTS.format(name, argument))
    (folder / "garden" / "unused.py").write_text("import sys\nif sys:\n    pass\n")
    (folder / "conftest.py").write_text("import no_such_module\n")
    settings = "[run]\nbranch = true\nparallel = true\nsource = garden\n"
    (folder / ".coveragerc").write_text(settings)
    commit = repository.commit_all()
    for name in ("beds", "paths", "beds"):
        artifact = folder / "artifacts" / name
        artifact.mkdir(parents=True, exist_ok=True)
        into = {"COVERAGE_FILE": str(artifact / ".coverage")}
        run("run", "-m", "unittest", "-q", f"test_{name}", module="coverage", env=into)
    before = state(folder)

    printed = run("report", "artifacts", module="pytest_coveralls_submit").stdout

    assert state(folder) == before
    files = [str(path) for path in folder.glob("artifacts/*/.coverage.*")]
    assert len(files) == 3
    beside = f"--data-file={tmp_path / 'combined'}"
    run("combine", "--keep", beside, *files, module="coverage")
    run("json", beside, f"-o{tmp_path / 'report.json'}", module="coverage")
    report = json.loads((tmp_path / "report.json").read_text())
    (job,) = server.jobs
    assert {file["name"] for file in job["source_files"]} == set(report["files"])
    branches = sum(len(file.get("branches", ())) for file in job["source_files"]) // 4
    assert branches == report["totals"].get("num_branches", 0)
    assert job["git"]["head"]["id"] == commit
    header, sent = printed.splitlines()
    place = f"(branch topic/y, commit {commit[:7]}, token from COVERALLS_REPO_TOKEN)"
    assert header == f"coveralls: {server.url} as test-ci #77 {place}"
    percent = report["totals"]["percent_covered"]
    assert sent == f"coveralls: sent 3 files, {percent:.2f}% covered -> {server.url}/jobs/105971882"


@pytest.mark.parametrize("words", [[], ["data"], ["--rcfile=other.ini"]])
def test_data_is_found_and_left_as_it_is(command: Command, data: Data, words: list[str]) -> None:
    """By coverage's configuration or by the arguments."""
    (command.folder / "other.ini").write_text("[run]\ndata_file = here/.measured\n")
    data.write("data/b/.coverage.2" if words == ["data"] else "here/.measured")
    if not words:
        data.write()
    before = state(command.folder)

    status, said = command("report", *words)

    assert (status, len(said)) == (0, 2), said
    (file,) = command.server.jobs[0]["source_files"]
    assert (file["name"], file["coverage"]) == ("garden/beds.py", [1, 1, 1, 0])
    assert state(command.folder) == before


@pytest.mark.parametrize(("words", "status"), [([], 1), (["--coveralls-allow-empty"], 0)])
def test_a_job_without_files_is_sent_only_if_you_allow_it(
    command: Command,
    data: Data,
    tmp_path_factory: pytest.TempPathFactory,
    words: list[str],
    status: int,
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "a.py"
    outside.write_text("a = 1\n")
    data.write(lines=(1,), file=str(outside))

    ended, said = command("report", *words)

    assert ended == status
    assert any("left out 1 file outside the repository" in line for line in said)
    assert len(command.server.jobs) == (status == 0)


EVENT = {
    "workflow_run": {"id": 4242, "head_sha": "5e837cc" + "0" * 33, "head_branch": "topic/y"},
    "repository": {"full_name": "octo/sample", "default_branch": "main"},
}


@pytest.mark.parametrize("event", ["push", "workflow_run"])
def test_under_workflow_run_no_configuration_of_coverage_is_read(
    command: Command, data: Data, event: str
) -> None:
    """A plugin that a fork's file names would run with the token in reach."""
    (command.folder / "event.json").write_text(json.dumps(EVENT))
    command.env(GITHUB_EVENT_NAME=event, GITHUB_EVENT_PATH="event.json", **GITHUB)
    (command.folder / "of_the_fork.py").write_text(
        "from pathlib import Path\n\ndef coverage_init(*_):\n    Path('ran').touch()\n"
    )
    (command.folder / ".coveragerc").write_text("[run]\nplugins = of_the_fork\n")
    data.write()

    status, said = command("report")

    assert (status, len(command.server.jobs)) == (0, 1), said
    assert (command.folder / "ran").exists() is (event == "push")


@pytest.mark.parametrize(("words", "status"), [([], 0), (["--coveralls-strict"], 1)])
def test_without_a_token_there_is_one_line(
    command: Command, data: Data, words: list[str], status: int
) -> None:
    """Nothing is read for nothing."""
    command.env(**NO_TOKEN)
    data.write().write_text("damaged")

    ended, (line,) = command("report", *words)

    assert ended == status
    assert line.startswith("coveralls: not sent: no token: set COVERALLS_REPO_TOKEN ")
    assert command.server.requests == []


@pytest.mark.parametrize("refused", [True, False])
def test_a_refused_job_is_kept_and_an_accepted_one_leaves_nothing(
    command: Command, data: Data, tmp_path_factory: pytest.TempPathFactory, refused: bool
) -> None:
    """The printed command sends it."""
    temporary = tmp_path_factory.mktemp("temporary")
    command.monkeypatch.setattr("tempfile.tempdir", str(temporary))
    if refused:
        command.server.respond(503)
    data.write()

    status, said = command("report")

    assert status == refused
    if refused:
        assert said[1].startswith("coveralls: failed: 503 ")
        (kept,) = [line for line in said if line.startswith("coveralls: kept in ")]
        assert command(*kept.partition("python -m pytest_coveralls_submit ")[2].split())[0] == 0
    assert len(command.server.jobs) == 1
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], ["no coverage data", "{folder}/.coverage", "measure first"]),
        (["gone"], ["gone does not exist"]),
        (["a.xml"], ["a.xml is not a coverage data file"]),
        (["--rcfile=gone.ini"], ["coverage cannot be configured", "gone.ini"]),
    ],
)
def test_data_that_cannot_be_used_is_one_line(
    command: Command, words: list[str], said: list[str]
) -> None:
    (command.folder / "a.xml").write_text("<coverage/>")

    status, (_, line) = command("report", *words)

    assert status == 1
    assert line.startswith("coveralls: not sent: ")
    assert all(text.format(folder=command.folder) in line for text in said)
    assert command.server.requests == []


@needs_git
@pytest.mark.parametrize(
    ("env", "gate", "status"),
    [({}, "", 0), ({}, "60", 1), (NO_TOKEN, "60", 1), (NO_TOKEN, "50", 0)],
)
def test_changed_lines_are_printed_with_and_without_a_token(
    command: Command, data: Data, env: dict[str, str], gate: str, status: int
) -> None:
    repository = Repository(command.folder)
    data.module.write_text(BED.partition("        ")[0] + "        pass\n")
    base = repository.commit_all()
    data.module.write_text(BED)
    repository.commit_all()
    data.write()
    command.env(**env, COVERALLS_COMPARE_SHA=base, COVERALLS_CHANGED_FAIL_UNDER=gate)

    ended, said = command("report")

    assert ended == status
    line = "coveralls: changed lines: 1 of 2 covered (50.00%); missed: garden/beds.py:4"
    assert line in said
    assert len(command.server.jobs) == (not env)
    assert sum("changed_fail_under asks for 60%" in line for line in said) == status


def test_a_gate_that_cannot_count_says_why(command: Command, data: Data) -> None:
    """Without a token it is all that there is to do."""
    command.env(**NO_TOKEN, COVERALLS_CHANGED_FAIL_UNDER="60")

    status, (line,) = command("report")
    assert (status, line[:41]) == (1, "coveralls: not sent: no coverage data: ne")

    data.write()
    status, said = command("report")
    assert status == 0
    assert said[-1] == "coveralls: changed lines: unknown; changed_fail_under is ignored"
