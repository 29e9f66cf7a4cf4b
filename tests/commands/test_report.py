"""``report`` makes of coverage data what a test run would have sent."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import coverage
import pytest
from commanding import DIGEST, GITHUB, Command
from git_repository import Repository, needs_git
from standin import COVERALLS_TOKEN, StandIn

BED = "def bed(sunny):\n    if sunny:\n        return 1\n    return 2\n"
TESTS = "import unittest\nfrom garden.{0} import bed\n\n\nclass Test(unittest.TestCase):\n"
TESTS += "    def test_bed(self):\n        bed({1})\n"
NO_TOKEN = {"COVERALLS_REPO_TOKEN": ""}
EVENT = {
    "workflow_run": {"id": 4242, "head_sha": "5e837cc" + "0" * 33, "head_branch": "topic/y"},
    "repository": {"full_name": "octo/sample", "default_branch": "main"},
}
"""Of GitHub's, that another workflow has ended."""


def written(stored: coverage.CoverageData) -> None:
    """Write a data file and let go of it, which coverage 7.7 does by itself."""
    stored.write()
    if hasattr(stored, "close"):
        stored.close()


class Data:
    """Data files of a project with one measured module."""

    def __init__(self, command: Command) -> None:
        self.folder = command.folder
        (self.folder / "garden").mkdir()
        self.module = self.folder / "garden" / "beds.py"
        self.module.write_text(BED)

    def write(self, name: str = ".coverage", lines: tuple[int, ...] = (1, 2, 3)) -> Path:
        """Write one, with lines that ran."""
        return self.write_of({str(self.module): lines}, name)

    def write_of(self, lines: Mapping[str, tuple[int, ...]], name: str = ".coverage") -> Path:
        """Write one, of any files."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = coverage.CoverageData(str(path))
        stored.add_lines(lines)
        written(stored)
        return path

    def with_branches(self, name: str) -> Path:
        """Write one that measured branches."""
        path = self.folder / name
        stored = coverage.CoverageData(str(path))
        stored.add_arcs({str(self.module): [(-1, 2), (2, 4), (4, -1)]})
        written(stored)
        return path


@pytest.fixture
def data(command: Command) -> Data:
    """See above."""
    return Data(command)


def state(folder: Path) -> dict[str, tuple[bytes, float]]:
    """Every file below a folder, and when it was written."""
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts
    )
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime)
        for path in files
        if path.suffix != ".pyc"
    }


def python(
    folder: Path, *words: str, code: int | None = 0, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m WORDS`` as a user would."""
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert code in {None, done.returncode}, done.stdout + done.stderr
    return done


# -- what is sent ------------------------------------------------------------------------------


@needs_git
@pytest.mark.parametrize("branch", ["true", "false"])
def test_the_job_is_what_coverage_reports_of_the_combined_data(
    tmp_path: Path, server: StandIn, branch: str
) -> None:
    """After unittest in two jobs, whose data lies one level down; neither tests nor pytest run."""
    repository = Repository(tmp_path.resolve() / "project")
    folder = repository.path
    for name, argument in (("beds", "True"), ("paths", "False")):
        (folder / "garden").mkdir(exist_ok=True)
        (folder / "garden" / f"{name}.py").write_text(BED)
        (folder / f"test_{name}.py").write_text(TESTS.format(name, argument))
    (folder / "garden" / "unused.py").write_text(
        "import sys\n\nif sys:\n    pass  # pragma: no cover\n"
    )
    (folder / "conftest.py").write_text("import no_such_module\n")
    (folder / ".coveragerc").write_text(
        f"[run]\nbranch = {branch}\nparallel = true\nsource = garden\n"
    )
    commit = repository.commit_all()
    for name in ("beds", "paths", "beds"):
        artifact = folder / "artifacts" / name
        artifact.mkdir(parents=True, exist_ok=True)
        place = str(artifact / ".coverage")
        python(
            folder, "coverage", "run", "-m", "unittest", "-q", f"test_{name}", COVERAGE_FILE=place
        )
    before = state(folder)

    done = python(
        folder,
        *("pytest_coveralls_submit", "report", "artifacts"),
        COVERALLS_HOST=server.url,
        COVERALLS_REPO_TOKEN=COVERALLS_TOKEN,
        CI_NAME="test-ci",
        CI_BUILD_NUMBER="77",
    )

    assert state(folder) == before
    files = [str(path) for path in folder.glob("artifacts/*/.coverage.*")]
    assert len(files) == 3
    beside = f"--data-file={tmp_path / 'combined'}"
    python(folder, "coverage", "combine", "--keep", beside, *files)
    python(folder, "coverage", "json", beside, f"-o{tmp_path / 'report.json'}")
    report = json.loads((tmp_path / "report.json").read_text())
    (job,) = server.jobs
    assert {file["name"] for file in job["source_files"]} == set(report["files"])
    for file in job["source_files"]:
        assert_same(file, report["files"][file["name"]])
    assert (job["service_name"], job["service_number"]) == ("test-ci", "77")
    assert job["git"]["head"]["id"] == commit
    header, sent = done.stdout.splitlines()
    place = f"(branch main, commit {commit[:7]}, token from COVERALLS_REPO_TOKEN)"
    assert header == f"coveralls: {server.url} as test-ci #77 {place}"
    percent = report["totals"]["percent_covered"]
    assert sent == f"coveralls: sent 3 files, {percent:.2f}% covered -> {server.url}/jobs/105971882"


def assert_same(file: Mapping[str, Any], reported: Mapping[str, Any]) -> None:
    """Assert that a source file says what coverage's JSON report does."""
    hits: dict[int, int] = dict.fromkeys(reported["executed_lines"], 1)
    hits.update(dict.fromkeys(reported["missing_lines"], 0))
    assert {n: h for n, h in enumerate(file["coverage"], 1) if h is not None} == hits
    taken: dict[int, list[int]] = {}
    flat = file.get("branches", [])
    for line, ran in zip(flat[0::4], flat[3::4], strict=True):
        taken.setdefault(line, []).append(ran)
    for kind, ran in (("executed_branches", 1), ("missing_branches", 0)):
        for line, _ in reported.get(kind, ()):
            taken[line].remove(ran)
    assert not any(taken.values())


@pytest.mark.parametrize(
    ("files", "arguments"),
    [
        ([".coverage"], []),
        ([".coverage.a", ".coverage.b"], []),
        (["data/.coverage"], ["data"]),
        (["data/a/.coverage.1", "data/b/.coverage.2"], ["data"]),
        (["one.db", "b/two.db"], ["one.db", "b/two.db"]),
    ],
    ids=["configured", "parallel", "folder", "one level down", "files"],
)
def test_data_is_found_and_left_as_it_is(
    command: Command, data: Data, files: list[str], arguments: list[str]
) -> None:
    """By what coverage is configured with, or where the arguments say."""
    for number, name in enumerate(files):
        data.write(name, [(1, 2, 3), (1, 2, 4)][number])
    before = state(command.folder)

    status, said = command("report", *arguments)

    assert (status, len(said)) == (0, 2), said
    (file,) = command.server.jobs[0]["source_files"]
    assert (file["name"], file["coverage"]) == ("garden/beds.py", [1, 1, 1, int(len(files) > 1)])
    assert state(command.folder) == before


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_coverages_configuration_may_be_named(command: Command, data: Data, how: str) -> None:
    """``--rcfile``, or coverage's own variable."""
    (command.folder / "other.ini").write_text("[run]\ndata_file = here/.measured\n")
    data.write("here/.measured")
    if how == "variable":
        command.env(COVERAGE_RCFILE="other.ini")

    status, said = command("report", *["--rcfile=other.ini"] * (how == "flag"))

    assert status == 0, said
    assert len(command.server.jobs) == 1


def _saved(command: Command, said: list[str]) -> None:
    assert said[-1] == "coveralls: saved in job.json"
    assert json.loads((command.folder / "job.json").read_text())["source_files"]
    assert len(command.server.jobs) == 1


def _dry(command: Command, said: list[str]) -> None:
    assert said[-1] == "coveralls: built 1 file, 75.00% covered; not sent, this is a dry run"
    assert command.server.requests == []


def _names(*names: str) -> Callable[[Command, list[str]], None]:
    def check(command: Command, _: list[str]) -> None:
        assert [file["name"] for file in command.server.jobs[0]["source_files"]] == [*names]

    return check


def _source(command: Command, _: list[str]) -> None:
    assert command.server.jobs[0]["source_files"][0]["source"] == BED


def _ini(command: Command, _: list[str]) -> None:
    assert command.server.jobs[0]["service_event_type"] == "nightly"


@pytest.mark.parametrize(
    ("words", "check"),
    [
        (["--coveralls-save=job.json"], _saved),
        (["--coveralls-dry-run"], _dry),
        (["--coveralls-merge=js.json"], _names("garden/beds.py", "web/a.js")),
        (["--coveralls-include-source"], _source),
        (["--coveralls-base-dir=garden", "--coveralls-src-dir=api"], _names("api/beds.py")),
        ([], _ini),
    ],
    ids=["save", "dry_run", "merge", "include_source", "base_dir", "ini"],
)
def test_settings_are_those_of_a_test_run(
    command: Command, data: Data, words: list[str], check: Callable[[Command, list[str]], None]
) -> None:
    """Flags, variables, and the ini file."""
    (command.folder / "pytest.ini").write_text(
        "[pytest]\ncoveralls_service_event_type = nightly\naddopts = --no-such-flag\n"
    )
    other = {"source_files": [{"name": "web/a.js", "source_digest": DIGEST, "coverage": [3]}]}
    (command.folder / "js.json").write_text(json.dumps(other))
    data.write()

    status, said = command("report", *words)

    assert status == 0, said
    check(command, said)


@pytest.mark.parametrize(("words", "status"), [([], 1), (["--coveralls-allow-empty"], 0)])
def test_a_job_without_files_is_sent_where_that_is_wanted(
    command: Command,
    data: Data,
    tmp_path_factory: pytest.TempPathFactory,
    words: list[str],
    status: int,
) -> None:
    """All that was measured lies outside of the repository."""
    outside = tmp_path_factory.mktemp("outside") / "a.py"
    outside.write_text("a = 1\n")
    data.write_of({str(outside): (1,)})

    ended, said = command("report", *words)

    assert ended == status
    assert any("left out 1 file outside the repository" in line for line in said)
    assert len(command.server.jobs) == (status == 0)


# -- files of other places ---------------------------------------------------------------------


def hits(command: Command) -> dict[str, list[int | None]]:
    """The lines of the one job, by name."""
    (job,) = command.server.jobs
    return {file["name"]: file["coverage"] for file in job["source_files"]}


def tracked(command: Command, files: Mapping[str, str]) -> None:
    """Write files and commit them."""
    for name, text in files.items():
        (command.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (command.folder / name).write_text(text)
    Repository(command.folder).commit_all()


@needs_git
def test_a_relative_path_is_looked_for_beside_its_data_file(command: Command, data: Data) -> None:
    """Two services have a file of one name; what lies at the top is found from there."""
    names = ("services/api/main.py", "services/web/main.py", "shared/core.py")
    tracked(command, dict.fromkeys(names, "a = 1\nb = 2\n"))
    (command.folder / ".coveragerc").write_text("[run]\nrelative_files = true\n")
    data.write_of({"main.py": (1,), "shared/core.py": (2,)}, "services/api/.coverage")
    data.write_of({"main.py": (2,)}, "services/web/.coverage")

    status, said = command("report", "services/api", "services/web")

    assert status == 0, said
    assert hits(command) == {
        "services/api/main.py": [1, 0],
        "services/web/main.py": [0, 1],
        "shared/core.py": [0, 1],
    }


@needs_git
@pytest.mark.parametrize(
    ("place", "names", "name"),
    [
        ("archive-v0/f00/pkg/core.py", ["src/pkg/core.py", "src/other/core.py"], "src/pkg/core.py"),
        ("archive-v0/f00/tool.py", ["src/tool.py"], "src/tool.py"),
        (
            "execroot/web/src/common/core.py",
            ["api/src/common/core.py", "web/src/common/core.py"],
            "web/src/common/core.py",
        ),
        ("archive-v0/f00/pkg/core.py", ["src/other/core.py"], None),
        ("archive-v0/f00/pkg/core.py", ["api/pkg/core.py", "web/pkg/core.py"], None),
        ("archive-v0/f00/pkg/core.py", ["docs.py"], None),
    ],
)
def test_an_installed_copy_outside_has_the_name_of_the_file_with_its_bytes(
    command: Command,
    data: Data,
    tmp_path_factory: pytest.TempPathFactory,
    place: str,
    names: list[str],
    name: str | None,
) -> None:
    """As links to a cache are measured; a path that says too little, or two things, names none."""
    copy = tmp_path_factory.mktemp("cache") / place
    copy.parent.mkdir(parents=True)
    for file in (copy, copy.with_name("__init__.py")):
        file.write_text("a = 1\n")
    if name == "src/tool.py":
        copy.with_name("__init__.py").unlink()
    tracked(command, {**dict.fromkeys(names, "a = 1\n"), "other.py": "b = 1\n"})
    data.write_of({str(copy): (1,), str(command.folder / "other.py"): (1,)})

    status, said = command("report")

    assert status == 0, said
    assert set(hits(command)) == {"other.py", *([name] if name else [])}
    is_named = any(f"left out {copy}, which may be " in line for line in said)
    assert is_named is (len(names) == 2 and name is None)


@needs_git
@pytest.mark.parametrize("project", ["api", "web"])
def test_the_copy_of_one_project_is_not_taken_for_the_others(
    command: Command, data: Data, project: str
) -> None:
    """Both have a module in the same words; the directory of the command decides."""
    names = ["api/src/common/core.py", "web/src/common/core.py"]
    tracked(command, {**dict.fromkeys(names, "a = 1\n"), ".gitignore": ".venv\n"})
    copy = command.folder / project / ".venv/lib/python3.12/site-packages/common/core.py"
    copy.parent.mkdir(parents=True)
    copy.write_text("a = 1\n")
    data.write_of({str(copy): (1,)}, f"{project}/.coverage")
    command.monkeypatch.chdir(command.folder / project)

    status, said = command("report")

    assert status == 0, said
    assert set(hits(command)) == {f"{project}/src/common/core.py"}


@pytest.mark.parametrize("event", ["push", "workflow_run"])
def test_after_a_fork_no_configuration_of_coverage_is_read(
    command: Command, data: Data, event: str
) -> None:
    """Nor a plugin that it names: it would run with the token in reach."""
    (command.folder / "event.json").write_text(json.dumps(EVENT))
    command.env(GITHUB_EVENT_NAME=event, GITHUB_EVENT_PATH="event.json", **GITHUB)
    (command.folder / "of_the_fork.py").write_text(
        "from pathlib import Path\n\ndef coverage_init(*_):\n    Path('ran').touch()\n"
    )
    (command.folder / ".coveragerc").write_text("[run]\nplugins = of_the_fork\n")
    data.write()

    status, said = command("report")

    assert status == 0, said
    assert set(hits(command)) == {"garden/beds.py"}
    assert (command.folder / "ran").exists() is (event == "push")


# -- what is not -------------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "status"), [([], 0), (["--coveralls-strict"], 1)])
def test_without_a_token_there_is_one_line(
    command: Command, data: Data, words: list[str], status: int
) -> None:
    """Forks stay green, unless the user is strict; nothing is read for nothing."""
    command.env(**NO_TOKEN)
    data.write().write_text("damaged")

    said = "coveralls: not sent: no token: set COVERALLS_REPO_TOKEN "
    ended, (line,) = command("report", *words)

    assert ended == status
    assert line.startswith(said)
    assert command.server.requests == []


def test_a_job_that_is_not_accepted_is_kept_and_can_be_sent(
    command: Command, data: Data, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With the words that are printed."""
    command.monkeypatch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("temporary")))
    command.server.respond(503)
    data.write()

    status, said = command("report")

    assert status == 1
    assert said[1].startswith("coveralls: failed: 503 ")
    (kept,) = [line for line in said if line.startswith("coveralls: kept in ")]
    again = kept.partition("python -m pytest_coveralls_submit ")[2].split()
    assert command(*again)[0] == 0
    assert len(command.server.jobs) == 1
    assert not Path(again[-1]).exists()


def _nothing(_: Data) -> list[str]:
    return []


def _gone(_: Data) -> list[str]:
    return ["gone"]


def _empty_folder(data: Data) -> list[str]:
    (data.folder / "artifacts").mkdir()
    return ["artifacts"]


def _damaged(data: Data) -> list[str]:
    (data.folder / "a.xml").write_text("<coverage/>")
    return ["a.xml"]


def _mixed(data: Data) -> list[str]:
    data.write("lines.db")
    data.with_branches("arcs.db")
    return ["lines.db", "arcs.db"]


def _elsewhere(data: Data) -> list[str]:
    data.write_of({"/builds/other/x.py": (1,)})
    return []


def _no_configuration(data: Data) -> list[str]:
    data.write()
    return ["--rcfile=gone.ini"]


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (_nothing, ["no coverage data", "{folder}/.coverage", "measure first"]),
        (_gone, ["gone does not exist"]),
        (_empty_folder, ["no coverage data in artifacts", "include-hidden-files: true"]),
        (_damaged, ["a.xml is not a coverage data file"]),
        (_mixed, ["arcs.db measured branches and", "lines.db did not", "`[run] branch`"]),
        (_elsewhere, ["1 file whose sources are not here: /builds/other/x.py", "relative_files"]),
        (_no_configuration, ["coverage cannot be configured", "gone.ini"]),
    ],
)
def test_what_cannot_be_used_is_one_line_with_file_and_fix(
    command: Command, data: Data, prepare: Callable[[Data], list[str]], said: list[str]
) -> None:
    """After the header; nothing is sent, and no traceback is shown."""
    status, (_, line) = command("report", *prepare(data))

    assert status == 1
    assert line.startswith("coveralls: not sent: ")
    for text in said:
        assert text.format(folder=command.folder) in line
    assert command.server.requests == []


def test_a_setting_that_cannot_be_used_is_a_usage_error(command: Command, data: Data) -> None:
    """Exit status 2, before anything is read."""
    data.write()

    assert command("report", "--coveralls-retries=many")[0] == 2
    assert command.server.requests == []


def test_report_ends_where_it_is_interrupted(command: Command, data: Data) -> None:
    """With the usual status, and the job on disk."""
    command.server.respond(503)
    command.env(COVERALLS_RETRIES="1")
    data.write()

    class Terminal(io.StringIO):
        def write(self, text: str) -> int:
            if "attempt 1" in text:
                raise KeyboardInterrupt
            return super().write(text)

    terminal = Terminal()
    command.monkeypatch.setattr("sys.stdout", terminal)

    assert command("report")[0] == 130
    assert "coveralls: kept in " in terminal.getvalue()


# -- changed lines -----------------------------------------------------------------------------


@needs_git
@pytest.mark.parametrize(
    ("env", "gate", "status"),
    [({}, "", 0), ({}, "60", 1), (NO_TOKEN, "", 0), (NO_TOKEN, "60", 1), (NO_TOKEN, "50", 0)],
)
def test_changed_lines_are_told_whatever_becomes_of_the_job(
    command: Command, data: Data, env: dict[str, str], gate: str, status: int
) -> None:
    """Also without a token; the gate needs none."""
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
    failed = (
        "coveralls: failed: 1 of 2 changed lines are covered, 50.00%; "
        "changed_fail_under asks for 60%"
    )
    assert (failed in said) == bool(status)


def test_a_gate_that_cannot_count_says_why(command: Command, data: Data) -> None:
    """Without a token it is all there is: damaged data is not passed over, nor a missing base."""
    command.env(**NO_TOKEN, COVERALLS_CHANGED_FAIL_UNDER="60")

    status, (line,) = command("report")
    assert (status, line[:41]) == (1, "coveralls: not sent: no coverage data: ne")

    data.write()
    status, said = command("report")
    assert status == 0
    assert said[-1] == "coveralls: changed lines: unknown; changed_fail_under is ignored"


# -- progress ----------------------------------------------------------------------------------

SLOW = """\
import sys
import coverage

class Reporter(coverage.FileReporter):
    def lines(self):
        sys.stdin.read()
        return {1}

class Plugin(coverage.CoveragePlugin):
    def file_reporter(self, filename):
        return Reporter(filename)

def coverage_init(registry, options):
    registry.add_file_tracer(Plugin())
"""


def test_an_accepted_report_leaves_no_folder_behind(
    command: Command, data: Data, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The job was in the temporary directory for as long as it was sent."""
    temporary = tmp_path_factory.mktemp("temporary")
    command.monkeypatch.setattr("tempfile.tempdir", str(temporary))
    data.write(".coverage")

    status, said = command("report")

    assert (status, len(command.server.jobs)) == (0, 1), said
    assert list(temporary.iterdir()) == []
