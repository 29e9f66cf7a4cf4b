"""Several processes analyse what one would, or none does and the caller does without."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import coverage
import pytest
from generated import CALLED, MODULES, Project, small, unparsable, vanished

from pytest_coveralls_submit import process
from pytest_coveralls_submit.errors import ProcessError
from pytest_coveralls_submit.measurement import processes as parallel
from pytest_coveralls_submit.measurement.measure import complete, quiet
from pytest_coveralls_submit.measurement.processes import analyse, work
from pytest_coveralls_submit.measurement.recorder import keep_from
from pytest_coveralls_submit.measurement.records import Found

ENV = dict(os.environ)
"""Of session start: it has what a process needs to run."""


@pytest.fixture(autouse=True)
def _worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cores, and two files are many."""
    monkeypatch.setattr(parallel, "FEWEST", 2)
    cores(monkeypatch, 2)


def cores(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Let the machine have so many."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(count)), raising=False)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that are started from now on."""
    found: list[subprocess.Popen[bytes]] = []

    def start(*arguments: Any, **keywords: Any) -> subprocess.Popen[bytes]:
        found.append(start_really(*arguments, **keywords))
        return found[-1]

    start_really = process.start
    monkeypatch.setattr(process, "start", start)
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """All modules."""
    return Project(tmp_path_factory.mktemp("project").resolve(), MODULES)


def alone(cov: coverage.Coverage) -> Found:
    """What one process finds."""
    keeper = keep_from(cov)
    assert keeper is not None
    with quiet():
        cov.get_data()  # as measure() does: it takes over what was traced
        complete(cov, keeper, None)
    keeper.release()
    return keeper.files, keeper.failed


def both(made: Callable[[], coverage.Coverage], folder: Path) -> tuple[Found | None, Found]:
    """What several processes find of a measurement, and what one finds of an equal one."""
    return analyse(made(), folder, ENV), alone(made())


# -- the same ----------------------------------------------------------------------------------


@pytest.mark.parametrize("branch", [True, False])
def test_several_processes_find_what_one_does(
    project: Project, branch: bool, started: list[subprocess.Popen[bytes]]
) -> None:
    """Every file, line and branch, whatever the modules hold; all children are gone."""
    many, one = both(lambda: project.run(True, branch=branch), project.folder)

    assert many == one
    assert len(one[0]) == len(MODULES)
    assert len(started) == 2
    assert all(child.returncode is not None for child in started)


@pytest.mark.parametrize("count", [3, 100])
def test_each_core_has_a_share_up_to_eight(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    started: list[subprocess.Popen[bytes]],
    count: int,
) -> None:
    """Whether the files can be shared out evenly or not."""
    cores(monkeypatch, count)

    many, one = both(lambda: project.run(False, branch=True), project.folder)

    assert many == one
    assert len(started) == min(count, 8)


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

    many = analyse(first, project.folder, ENV)

    assert many == alone(second)
    assert many is not None
    files, failed = many
    assert {Path(path).name for path in files} == {"loops.py", "classes.py"}
    assert {Path(path).name for path in failed} == {"choices.py", "straight.py"}


def test_a_share_of_the_work_can_be_done_anywhere(project: Project) -> None:
    """The same function, in this process."""
    files: dict[str, Any] = {}
    for index in range(3):
        written = io.BytesIO()
        cov = project.run(True, branch=True)
        config = pickle.dumps(vars(cov.config))
        request = (coverage.__version__, config, cov.get_data().dumps(), index, 3)
        work(request, written)
        share, failed = pickle.loads(written.getvalue())
        assert failed == {}
        assert share
        assert not share.keys() & files.keys()
        files.update(share)

    assert files == alone(project.run(True, branch=True))[0]


# -- none --------------------------------------------------------------------------------------


def test_a_few_files_are_not_worth_it(
    project: Project, monkeypatch: pytest.MonkeyPatch, started: list[subprocess.Popen[bytes]]
) -> None:
    """Starting takes longer than they do."""
    monkeypatch.setattr(parallel, "FEWEST", len(CALLED) * 10)

    assert analyse(project.run(True), project.folder, ENV) is None
    assert started == []


def test_one_core_does_the_work_itself(
    project: Project, monkeypatch: pytest.MonkeyPatch, started: list[subprocess.Popen[bytes]]
) -> None:
    """Also where the system counts processors only, or does not know."""
    cov = project.run(True)
    cores(monkeypatch, 1)
    assert analyse(cov, project.folder, ENV) is None

    monkeypatch.delattr(os, "sched_getaffinity")
    for count in (1, None):
        monkeypatch.setattr(os, "cpu_count", lambda count=count: count)
        assert analyse(cov, project.folder, ENV) is None
    assert started == []


def test_plugins_of_coverage_stay_in_this_process(
    project: Project, started: list[subprocess.Popen[bytes]]
) -> None:
    """They may depend on what was imported and configured here."""
    cov = project.run(True)
    cov.config.plugins = ["some_plugin"]

    assert analyse(cov, project.folder, ENV) is None
    assert started == []


def test_another_version_of_coverage_is_not_asked(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test may have changed where imports come from."""
    cov = project.run(True)
    request = ("0.0", pickle.dumps(vars(cov.config)), cov.get_data().dumps(), 0, 1)
    written = io.BytesIO()
    with pytest.raises(ProcessError, match="another version"):
        work(request, written)
    assert written.getvalue() == b""

    monkeypatch.setattr(parallel, "_version", lambda: "0.0")
    assert analyse(cov, project.folder, ENV) is None


DEATHS = {
    "exits": "import sys; sys.exit(3)",
    "exits once it was asked": "import os, sys; sys.stdin.buffer.read(); os._exit(3)",
    "is killed": "import os, signal; os.kill(os.getpid(), getattr(signal, 'SIGKILL', 9))",
    "raises": "raise MemoryError",
    "answers something else": "import sys; sys.stdin.buffer.read(); print('hello')",
    "breaks off": "import sys; sys.stdin.buffer.read(); sys.stdout.buffer.write(b'\\x80\\x04')",
}


@pytest.mark.parametrize("boot", DEATHS.values(), ids=DEATHS)
def test_a_child_that_dies_costs_only_time(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    started: list[subprocess.Popen[bytes]],
    boot: str,
) -> None:
    """There is no answer then, and no child left."""
    monkeypatch.setattr(parallel, "BOOT", boot)

    assert analyse(project.run(True), project.folder, ENV) is None
    assert started
    assert all(child.returncode is not None for child in started)


def test_one_of_the_children_is_enough_to_miss(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of the files would look like a drop in coverage."""
    boots = iter([parallel.BOOT, DEATHS["exits once it was asked"]])
    really = process.start

    def start(command: list[str], **keywords: Any) -> subprocess.Popen[bytes]:
        return really([*command[:-1], next(boots)], **keywords)

    monkeypatch.setattr(process, "start", start)

    assert analyse(project.run(True), project.folder, ENV) is None


def test_a_child_that_stands_still_is_not_waited_for(
    project: Project, monkeypatch: pytest.MonkeyPatch, started: list[subprocess.Popen[bytes]]
) -> None:
    """It is killed once patience is at its end."""
    monkeypatch.setattr(parallel, "BOOT", "import time; time.sleep(60)")
    monkeypatch.setattr(parallel, "PATIENCE", 0.3)
    began = time.monotonic()

    assert analyse(project.run(True), project.folder, ENV) is None
    assert time.monotonic() - began < 20
    assert all(child.returncode is not None for child in started)


def test_a_process_that_does_not_start_costs_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``sys.executable`` may be gone."""
    monkeypatch.setattr("sys.executable", str(project.folder / "gone"))

    assert analyse(project.run(True), project.folder, ENV) is None


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
        "PYTHONHOME": "/gone",
    }

    found = analyse(project.run(True, branch=True), project.folder, {**ENV, **steering})

    assert found == alone(project.run(True, branch=True))
    assert len(given) == 2
    assert all(not steering.keys() & env.keys() for env in given)
