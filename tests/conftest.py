"""What every test gets: a clean environment, no network but loopback, and things to run."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sample_project
from inner import Inner
from running import Runner
from standin import StandIn

from pytest_coveralls_submit.partial_run import SESSION_MARK

pytest_plugins = ["pytester", "commanding"]

# All else could be a CI service's, a proxy, a certificate store or a setting.
PASSED_ON = (
    *("PATH", "PATHEXT", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "SYSTEMROOT", "COMSPEC"),
    *("TMPDIR", "TEMP", "TMP", "LANG", "LC_ALL", "PYENV_VERSION", "PYTHONDONTWRITEBYTECODE"),
)

# What pytest and xdist say of the test that runs; how this run was started matters to none inside.
OF_PYTEST = ("PYTEST_CURRENT_TEST", "PYTEST_VERSION", "PYTEST_XDIST_")


def _refuse_the_network(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = str(arguments[1][0])
        if not host.startswith("127.") and host not in {"::1", "localhost"}:
            raise ConnectionRefusedError(f"the tests connect to loopback alone, not to {host}")


sys.addaudithook(_refuse_the_network)


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give folders that are not there yet, one after another.

    pytest's own factory looks through all that it has made so far, for each one more.
    """
    folder = tmp_path_factory.mktemp("places")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, places: Iterator[Path]) -> None:
    """Leave of the environment only what a process needs to run."""
    for name in os.environ:
        if name not in PASSED_ON and not name.startswith(OF_PYTEST):
            monkeypatch.delenv(name)
    # A run inside of a test may leave this; the next test is not nested for it.
    monkeypatch.setenv(SESSION_MARK, "")
    monkeypatch.delenv(SESSION_MARK)
    home, temporary = next(places), next(places)
    for folder in (home, temporary):
        folder.mkdir(0o700)
    monkeypatch.setenv("HOME", str(home))
    # Jobs are kept there if there is no cache; a test must not see those of another.
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(name, str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def server() -> Iterator[StandIn]:
    """A server that accepts jobs as Coveralls does; at the end none of them was odd."""
    with StandIn() as standin:
        yield standin
        assert standin.findings == []


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small project, which is copied for each test."""
    return sample_project.make(tmp_path_factory.mktemp("template") / "sample")


@pytest.fixture
def project(tmp_path: Path, template: Path) -> Path:
    """A small project with tests and a git history."""
    return Path(shutil.copytree(template, tmp_path / "sample"))


@pytest.fixture
def run(project: Path, server: StandIn) -> Runner:
    """Run pytest in the sample project against the stand-in, on a CI service called test-ci."""
    return Runner(project, server)


@pytest.fixture
def inner(pytester: pytest.Pytester, server: StandIn, monkeypatch: pytest.MonkeyPatch) -> Inner:
    """Run pytest inside of this process against the stand-in, with a module measured."""
    return Inner(pytester, server, monkeypatch)
