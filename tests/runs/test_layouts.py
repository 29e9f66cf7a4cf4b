"""Wherever pip put the packages a job is sent, and nothing of the tested project is imported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import coverage
import pytest
from standin import COVERALLS_TOKEN, StandIn

# In one process of xdist, with ``--dist loadgroup``: the download and the installs are shared.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("layouts")]

ROOT = Path(__file__).parents[2]
PACKAGE = "pytest_coveralls_submit"
SHADOWS = (
    *("requests", "urllib3", "certifi", "idna", "charset_normalizer", "chardet", "socks"),
    *("simplejson", "brotli", "zstandard", "sitecustomize"),
)
SHADOWED_LATER = ("json", "ssl", "gzip", "http", "random")
"""Of the standard library; pytest itself needs them, so that tests put them on the path."""
PLUGINS = ("-p", "pytest_cov", "-p", "pytest_coveralls_submit.plugin")
"""The interpreter itself may have others, which import after the tests."""
SHOUT = "import os\nos.write(2, b'IMPORTED FROM THE PROJECT\\n')\nos._exit(9)\n"
TEST = """
import sys

def test_all():
    sys.path.insert(0, {later!r})
    for n in range({count}):
        __import__(f"many.m{{n}}")
"""
COUNT = 3
"""Files that are measured."""


def call(*words: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a program that has to succeed, and return what it printed."""
    ended = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with our wheel and those of all that it needs; downloaded once."""
    folder = tmp_path_factory.mktemp("wheels")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")
    call(*pip, "wheel", "--wheel-dir", folder, ROOT, "hatchling", "editables")
    return folder


@dataclass
class Place:
    """An interpreter with the packages somewhere."""

    python: Path
    env: dict[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()

    def pip(self, wheels: Path, *words: str | Path) -> None:
        """Install from the shared download, by the pip that runs the tests."""
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", self.python)
        index = ("-q", "install", "--no-compile", "--no-index", "--find-links", wheels)
        call(*pip, *index, *words, env=self.env)


def bare(folder: Path) -> Place:
    """Make an empty virtual environment."""
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    scripts = "Scripts" if os.name == "nt" else "bin"
    return Place(folder / scripts / "python")


def in_venv(folder: Path, wheels: Path) -> Place:
    """Install as most do."""
    place = bare(folder / "venv")
    place.pip(wheels, "pytest-coveralls-submit")
    return place


def in_user_site(folder: Path, wheels: Path) -> Place:
    """Install with ``--user``, which no virtual environment sees."""
    name = "python.exe" if os.name == "nt" else "bin/python3"
    env = {"PYTHONUSERBASE": str(folder / "base"), "PIP_BREAK_SYSTEM_PACKAGES": "1"}
    place = Place(Path(sys.base_prefix) / name, env)
    place.pip(wheels, "--user", "--ignore-installed", "pytest-coveralls-submit")
    return place


def in_target(folder: Path, wheels: Path) -> Place:
    """Install with ``--target`` into a folder that PYTHONPATH names."""
    place = bare(folder / "venv")
    place.pip(wheels, "--target", folder / "lib", "pytest-coveralls-submit")
    place.env["PYTHONPATH"] = str(folder / "lib")
    return place


def in_target_of_the_project(folder: Path, wheels: Path) -> Place:
    """The same, and the folder is the project's own: the packages lie beside its files."""
    place = bare(folder / "venv")
    place.pip(wheels, "--target", folder / "project/lib", "pytest-coveralls-submit")
    place.env["PYTHONPATH"] = str(folder / "project/lib")
    return place


def in_two_targets(folder: Path, wheels: Path) -> Place:
    """Our package alone in one folder, what it needs in another."""
    place = bare(folder / "venv")
    place.pip(wheels, "--target", folder / "ours", "--no-deps", "pytest-coveralls-submit")
    place.pip(wheels, "--target", folder / "theirs", "pytest-cov", "requests")
    place.env["PYTHONPATH"] = os.pathsep.join(str(folder / name) for name in ("ours", "theirs"))
    return place


def editable(folder: Path, wheels: Path) -> Place:
    """Install a checkout that has modules of its own beside the package."""
    place, checkout = bare(folder / "venv"), folder / "checkout"
    checkout.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    for name in (PACKAGE, ".ci"):
        shutil.copytree(ROOT / name, checkout / name)
    (checkout / "urllib3.py").write_text(SHOUT)
    (checkout / "certifi.py").write_text(SHOUT)
    place.pip(wheels, "--editable", checkout)
    return place


def through_pth(folder: Path, other: Place) -> Place:
    """A virtual environment that reaches another one through a ``.pth`` file."""
    place = bare(folder / "venv")
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    there, here = (call(each.python, "-c", ask).strip() for each in (other, place))
    (Path(here) / "other.pth").write_text(f"{there}\n")
    return place


LAYOUTS = {
    "virtual environment": in_venv,
    "user site": in_user_site,
    "target": in_target,
    "target of the project": in_target_of_the_project,
    "two targets": in_two_targets,
    "editable": editable,
}
BY_PTH = "another by .pth"

Installed = Callable[[str], tuple[Place, Path]]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Installed:
    """Install in one of the layouts, once; an interpreter, and a folder for the project."""

    @cache
    def install(layout: str) -> tuple[Place, Path]:
        folder = tmp_path_factory.mktemp("layout")
        if layout == BY_PTH:
            return through_pth(folder, install("virtual environment")[0]), folder / "project"
        return LAYOUTS[layout](folder, wheels), folder / "project"

    return install


@pytest.fixture
def sent() -> Iterator[StandIn]:
    """What arrived."""
    with StandIn() as server:
        yield server
        assert server.findings == []


def project(folder: Path) -> None:
    """Write a project of many modules, in which modules named like what is needed lie about."""
    for name in ("many", "tests", "later"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "many/__init__.py").write_text("")
    for number in range(COUNT - 1):
        (folder / f"many/m{number}.py").write_text(f"A = {number}\n")
    later = str(folder / "later")
    (folder / "tests/test_many.py").write_text(TEST.format(later=later, count=COUNT - 1))
    for name in SHADOWS:
        for place in ("tests", "later"):
            (folder / place / f"{name}.py").write_text(SHOUT)
    for name in SHADOWED_LATER:
        (folder / f"later/{name}.py").write_text(SHOUT)
    fake = folder / "tests/pytest_coveralls_submit"
    fake.mkdir(exist_ok=True)
    (fake / "__init__.py").write_text(SHOUT)


def run(place: Place, folder: Path, server: StandIn, *words: str) -> tuple[int, str]:
    """Run ``python -m WORDS`` there; the exit status, and what was printed."""
    env = {
        **{name: os.environ[name] for name in os.environ if not name.startswith("PYTEST_")},
        **place.env,
        "COVERALLS_HOST": server.url,
        "COVERALLS_REPO_TOKEN": COVERALLS_TOKEN,
        "COVERALLS_RETRIES": "0",
        "CI_NAME": "test-ci",
        "CI_BUILD_NUMBER": "77",
        "CI_JOB_ID": "77.1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    ended = subprocess.run(
        [place.python, *place.flags, "-m", *words],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert "IMPORTED FROM THE PROJECT" not in ended.stdout
    return ended.returncode, ended.stdout


PYTEST = (
    *("pytest", "--coveralls", "-p", "no:cacheprovider", "-o", "pythonpath=.", *PLUGINS),
    *("--cov=many", "--cov-report=", "-v", "tests"),
)


@pytest.mark.parametrize("layout", [*LAYOUTS, BY_PTH])
def test_a_job_is_sent_from_wherever_pip_put_it(
    installed: Installed, sent: StandIn, layout: str
) -> None:
    """The process that sends finds what this one has found.

    Modules named like what they need lie beside the tests, and where a test puts itself on the
    path; not in the current directory, from which `python -m pytest` imports even before there is
    a plugin.
    """
    place, folder = installed(layout)
    project(folder)
    status, printed = run(place, folder, sent, *PYTEST)

    assert status == 0, printed
    assert f"coveralls: sent {COUNT} files, 100.00% covered" in printed
    (job,) = sent.jobs
    assert job["source_files"][0]["name"] == "many/__init__.py"


@pytest.mark.parametrize("flags", ["-I", "-s -P -E -X utf8"])
def test_a_job_is_sent_however_python_was_started(
    installed: Installed, sent: StandIn, flags: str
) -> None:
    """Without variables, the user site or the current directory; in another mode."""
    place, folder = installed("virtual environment")
    project(folder)
    words = [word for word in flags.split() if word != "-P" or sys.version_info >= (3, 11)]
    status, printed = run(replace(place, flags=(*words,)), folder, sent, *PYTEST)

    assert status == 0, printed
    assert f"coveralls: sent {COUNT} files, 100.00% covered" in printed


@pytest.mark.parametrize(
    ("words", "status"), [(("finish",), 1), (("send", "job.json"), 0), (("report",), 0)]
)
def test_the_commands_send_from_there_too(
    installed: Installed, sent: StandIn, words: tuple[str, ...], status: int
) -> None:
    """They import nothing of the current directory, where everything has its namesake."""
    place, folder = installed("target")
    project(folder)
    for name in (*SHADOWS, *SHADOWED_LATER, "argparse", "coverage", "__future__"):
        (folder / f"{name}.py").write_text(SHOUT)
    (folder / "job.json").write_text('{"source_files": [], "service_number": "77"}')
    stored = coverage.CoverageData(str(folder / ".coverage"))
    stored.add_lines({str(folder / "many/m0.py"): [1]})
    stored.write()
    ended, printed = run(place, folder, sent, PACKAGE, *words)
    for name in (*SHADOWS, *SHADOWED_LATER, "argparse", "coverage", "__future__"):
        (folder / f"{name}.py").unlink()

    assert ended == status, printed  # there is no build to close
    assert len(sent.requests) == 1
