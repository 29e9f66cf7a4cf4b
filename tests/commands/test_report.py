"""``report`` sends from coverage data files what a test run would have sent."""

from __future__ import annotations

import tempfile
from pathlib import Path

import coverage
import pytest
from commanding import GITHUB, Command
from git_repository import Repository, needs_git
from running import CI, NO_TOKEN

BED = "def bed(sunny):\n    if sunny:\n        return 1\n    return 2\n"


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


@needs_git
def test_data_files_become_one_job(command: Command, data: Data) -> None:
    """Neither tests nor a ``conftest.py`` run."""
    (command.folder / "conftest.py").write_text("import no_such_module\n")
    commit = Repository(command.folder).commit_all()
    data.write("artifacts/one/.coverage", lines=(1, 2, 3))
    data.write("artifacts/two/.coverage", lines=(1, 2, 4))
    command.env(**CI)

    status, (header, sent) = command("report", "artifacts")

    (job,) = command.server.jobs
    (file,) = job["source_files"]
    assert (status, file["name"], file["coverage"]) == (0, "garden/beds.py", [1, 1, 1, 1])
    assert job["git"]["head"]["id"] == commit
    url = command.server.url
    place = f"(branch topic/y, commit {commit[:7]}, token from COVERALLS_REPO_TOKEN)"
    assert header == f"coveralls: {url} as test-ci #77 {place}"
    assert sent == f"coveralls: sent 1 file, 100.00% covered -> {url}/jobs/105971882"


def test_coverages_configuration_may_be_named(command: Command, data: Data) -> None:
    (command.folder / "other.ini").write_text("[run]\ndata_file = here/.measured\n")
    data.write("here/.measured")

    status, said = command("report", "--rcfile=other.ini")

    assert (status, len(command.server.jobs)) == (0, 1), said


@pytest.mark.parametrize(("words", "status"), [([], 1), (["--coveralls-allow-empty"], 0)])
def test_a_job_without_files_is_sent_only_if_you_allow_it(
    command: Command, data: Data, words: list[str], status: int
) -> None:
    outside = command.folder.with_name("outside.py")
    outside.write_text("a = 1\n")
    data.write(lines=(1,), file=str(outside))

    ended, said = command("report", *words)

    assert ended == status
    assert any("left out 1 file outside the repository" in line for line in said)
    assert len(command.server.jobs) == (status == 0)


@pytest.mark.parametrize("event", ["push", "workflow_run"])
def test_under_workflow_run_no_configuration_of_coverage_is_read(
    command: Command, data: Data, event: str
) -> None:
    """A plugin that a fork's file names would run with the token in reach."""
    command.env(GITHUB_EVENT_NAME=event, **GITHUB)
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
    command.env(**NO_TOKEN)
    data.write().write_text("damaged")

    ended, (line,) = command("report", *words)

    assert ended == status
    assert line.startswith("coveralls: not sent: no token: set COVERALLS_REPO_TOKEN ")
    assert command.server.requests == []


@pytest.mark.parametrize("refused", [True, False])
def test_a_refused_job_is_kept_and_an_accepted_one_leaves_nothing(
    command: Command, data: Data, refused: bool
) -> None:
    """The printed command sends it."""
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
    assert list(Path(tempfile.gettempdir()).iterdir()) == []


def test_data_that_cannot_be_used_is_one_line(command: Command) -> None:
    status, (_, line) = command("report", "gone")

    assert status == 1
    assert line.startswith("coveralls: not sent: gone cannot be read: No such file")
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
