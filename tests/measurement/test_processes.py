"""Several processes analyse what one would, or none does and the caller does without."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import coverage
import pytest
from generated import CALLED, MODULES, Project, small, unparsable, vanished

from pytest_coveralls_submit import children, process
from pytest_coveralls_submit.errors import ProcessError
from pytest_coveralls_submit.measurement import measure, processes
from pytest_coveralls_submit.measurement.processes import share, work
from pytest_coveralls_submit.measurement.recorder import (
    Recorder,
    analyse_by_reporting,
    warnings_unheard,
)
from pytest_coveralls_submit.measurement.records import Analyses

ENV = dict(os.environ)
"""Of session start: it has what a process needs to run."""


@pytest.fixture(autouse=True)
def _worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cores, and two files are many."""
    monkeypatch.setattr(processes, "FEWEST", 2)
    cores(monkeypatch, 2)


def cores(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Let the machine have so many."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(count)), raising=False)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that are started from now on."""
    children: list[subprocess.Popen[bytes]] = []

    def start(*arguments: Any, **keywords: Any) -> subprocess.Popen[bytes]:
        children.append(start_really(*arguments, **keywords))
        return children[-1]

    start_really = process.start
    monkeypatch.setattr(process, "start", start)
    return children


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """All modules."""
    return Project(tmp_path_factory.mktemp("project").resolve(), MODULES)


def alone(cov: coverage.Coverage) -> Analyses:
    """What one process makes of it."""
    with Recorder(cov) as recorder, warnings_unheard():
        cov.get_data()  # it takes over what was traced
        analyse_by_reporting(cov, None)
        measured = cov.get_data().measured_files()
        for path in measured - recorder.files.keys() - recorder.failed.keys():
            analyse_by_reporting(cov, [path])
        assert recorder.trouble is None
    return recorder.files, recorder.failed


def shared(cov: coverage.Coverage, folder: Path, env: Mapping[str, str] = ENV) -> Analyses | None:
    """What several processes make of it; None where they did not."""
    with Recorder(cov) as recorder, warnings_unheard():
        reason = share(cov, recorder, folder, env)
        assert recorder.trouble is None
    return (recorder.files, recorder.failed) if recorder.files and reason is None else None


def both(run: Callable[[], coverage.Coverage], folder: Path) -> tuple[Analyses | None, Analyses]:
    """What several processes make of a measurement, and what one makes of an equal one."""
    return shared(run(), folder), alone(run())


# -- the same ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("branch", "count"), [(True, 2), (False, 3), (True, 100)])
def test_several_processes_make_of_it_what_one_does(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    started: list[subprocess.Popen[bytes]],
    branch: bool,
    count: int,
) -> None:
    """One for each core up to eight, this one among them; all children are gone."""
    cores(monkeypatch, count)

    many, one = both(lambda: project.run(True, branch=branch), project.folder)

    assert many == one
    assert len(one[0]) == len(MODULES)
    assert len(started) == min(count, 8) - 1
    assert all(child.returncode is not None for child in started)


CONFIGURED: Mapping[str, tuple[str, int]] = {
    "exclude_also": ("[report]\nexclude_also =\n    found \\+= 1\n", len(MODULES)),
    "omit": ("[report]\nomit =\n    */choices.py\n    */empty.py\n", len(MODULES) - 2),
    "relative_files": ("[run]\nrelative_files = true\n", len(MODULES)),
    "contexts": ("[run]\ndynamic_context = test_function\n", len(MODULES)),
}


@pytest.mark.parametrize(("config", "count"), CONFIGURED.values(), ids=CONFIGURED)
def test_coverages_configuration_is_heeded(
    project: Project, monkeypatch: pytest.MonkeyPatch, config: str, count: int
) -> None:
    """The children read no file of configuration: they are given it."""
    monkeypatch.chdir(project.folder)

    many, one = both(lambda: project.run(True, config=config, branch=True), project.folder)

    assert many == one
    assert len(one[0]) == count


def test_paths_are_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``[paths]``: an installed copy and the source are one file, whoever has which share."""
    places = ["src/choices", "src/loops", "installed/choices", "installed/straight"]
    project = small(tmp_path, *places, "src/straight")
    monkeypatch.chdir(tmp_path)
    config = "[paths]\nsource =\n    src\n    */installed\n"

    many, one = both(lambda: project.run(True, names=places, config=config, branch=True), tmp_path)

    assert many == one
    assert {Path(path).parent.name for path in one[0]} == {"src"}


def test_files_that_cannot_be_analysed_are_named(tmp_path: Path) -> None:
    """Vanished and unparsable ones; they cost no other file."""
    names = ["choices", "loops", "straight", "classes"]
    project = small(tmp_path, *names)
    first, second = (project.run(True, names=names, branch=True) for _ in range(2))
    vanished(project.folder / "choices.py")
    unparsable(project.folder / "straight.py")

    many = shared(first, project.folder)

    assert many == alone(second)
    assert many is not None
    assert {Path(path).name for path in many[0]} == {"loops.py", "classes.py"}
    assert {Path(path).name for path in many[1]} == {"choices.py", "straight.py"}


def test_a_share_of_the_work_can_be_done_anywhere(project: Project) -> None:
    """The same function, in this process; never with another version of coverage."""
    files: dict[str, Any] = {}
    for index in range(3):
        written = io.BytesIO()
        cov = project.run(True, branch=True)
        config, measured = pickle.dumps(vars(cov.config)), cov.get_data().dumps()
        work((coverage.__version__, config, measured, index, 3), written)
        analysed, failed = pickle.loads(written.getvalue())
        assert failed == {}
        assert analysed
        assert not analysed.keys() & files.keys()
        files.update(analysed)

    assert files == alone(project.run(True, branch=True))[0]
    with pytest.raises(ProcessError, match="another version"):
        work(("0.0", config, measured, 0, 1), io.BytesIO())


def test_they_are_asked_where_no_report_was_made(
    project: Project, started: list[subprocess.Popen[bytes]]
) -> None:
    """Each file is analysed once, wherever."""
    expected = project.measured_slowly(project.run(True, branch=True))
    assert started == []
    assert project.of(project.run(True, branch=True)) == expected
    assert len(started) == 1

    cov = project.run(True, branch=True)
    recorder = Recorder(cov)
    cov.report(file=io.StringIO())
    assert project.of(cov, recorder) == expected
    assert len(started) == 1


# -- none --------------------------------------------------------------------------------------


def one_core(monkeypatch: pytest.MonkeyPatch, _: coverage.Coverage) -> None:
    """There is no second one."""
    cores(monkeypatch, 1)


def unknown_cores(monkeypatch: pytest.MonkeyPatch, _: coverage.Coverage) -> None:
    """The system does not know how many there are."""
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)


def few_files(monkeypatch: pytest.MonkeyPatch, _: coverage.Coverage) -> None:
    """Starting takes longer than they do."""
    monkeypatch.setattr(processes, "FEWEST", len(CALLED) * 10)


def plugins(_: pytest.MonkeyPatch, cov: coverage.Coverage) -> None:
    """They may depend on what was imported and configured in this process."""
    cov.config.plugins = ["some_plugin"]


@pytest.mark.parametrize("change", [one_core, unknown_cores, few_files, plugins])
def test_where_it_would_not_pay_this_process_does_the_work(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    started: list[subprocess.Popen[bytes]],
    change: Callable[[pytest.MonkeyPatch, coverage.Coverage], None],
) -> None:
    """No other is started."""
    cov = project.run(True)
    change(monkeypatch, cov)

    assert shared(cov, project.folder) is None
    assert started == []


DEATHS = {
    "exits": "import sys; sys.exit(3)",
    "exits once it was asked": "import os, sys; sys.stdin.buffer.read(); os._exit(3)",
    "is killed": "import os, signal; os.kill(os.getpid(), getattr(signal, 'SIGKILL', 9))",
    "raises": "raise MemoryError",
    "answers something else": "import sys; sys.stdin.buffer.read(); print('hello')",
    "breaks off": "import sys; sys.stdin.buffer.read(); sys.stdout.buffer.write(b'\\x80\\x04')",
    "stands still": "import time; time.sleep(60)",
}


@pytest.mark.parametrize("boot", DEATHS.values(), ids=DEATHS)
def test_a_child_that_dies_costs_only_time(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    started: list[subprocess.Popen[bytes]],
    boot: str,
) -> None:
    """There is no answer then, and no child left."""
    if "sleep" in boot:
        monkeypatch.setattr(processes, "PATIENCE", 0.3)
    monkeypatch.setattr(processes, "BOOT", boot)

    assert shared(project.run(True), project.folder) is None
    assert started
    assert all(child.returncode is not None for child in started)


def test_one_of_the_children_is_enough_to_miss(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of the files would look like a drop in coverage."""
    cores(monkeypatch, 3)
    boots = iter([processes.BOOT, DEATHS["exits once it was asked"]])
    really = process.start

    def start(command: list[str], **keywords: Any) -> subprocess.Popen[bytes]:
        return really([*command[:-1], next(boots)], **keywords)

    monkeypatch.setattr(process, "start", start)

    assert shared(project.run(True), project.folder) is None


def test_a_process_that_does_not_start_costs_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interpreter may be gone."""
    monkeypatch.setattr(children, "PYTHON", str(project.folder / "gone"))
    cov = project.run(True)

    measurement = measure.of(cov, start=project.folder, env=ENV)

    assert measurement == project.measured_slowly(cov)
    (detail,) = measurement.details
    assert detail.startswith("no other process could share the analysis (ProcessError: ")


def test_children_measure_nothing_and_heed_no_variable(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What steers coverage, pytest and Python in this process is not for them."""
    given: list[Mapping[str, str]] = []
    really = process.start

    def start(command: list[str], **keywords: Any) -> subprocess.Popen[bytes]:
        given.append(keywords["env"])
        return really(command, **keywords)

    monkeypatch.setattr(process, "start", start)
    steering = {
        "COVERAGE_PROCESS_START": "/gone/rc",
        "COV_CORE_SOURCE": "x",
        "COVERALLS_REPO_TOKEN": "hushhush",
        "PYTEST_ADDOPTS": "-x",
        "PYTHONPATH": "/gone",
    }

    analyses = shared(project.run(True, branch=True), project.folder, {**ENV, **steering})

    assert analyses == alone(project.run(True, branch=True))
    assert len(given) == 1
    assert all(not steering.keys() & env.keys() for env in given)
