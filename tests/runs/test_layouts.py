"""Wherever pip put the packages a job is sent, and nothing of the tested project is imported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from running import Runner
from standin import StandIn

# In one process of xdist, with ``--dist loadgroup``: the download and the installs are shared.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("layouts")]

ROOT = Path(__file__).parents[2]
PACKAGE = "pytest_coveralls_submit"
SHADOWS = (
    *("requests", "urllib3", "certifi", "idna", "charset_normalizer", "chardet", "socks"),
    *("simplejson", "brotli", "zstandard", "sitecustomize", "pytest_coveralls_submit"),
)
PLUGINS = ("-p", "pytest_cov", "-p", "pytest_coveralls_submit.plugin")
"""The interpreter itself may have others, which import after the tests."""
SHOUT = "import os\nos.write(2, b'IMPORTED FROM THE PROJECT\\n')\nos._exit(9)\n"
TEST = "import many.one, many.two\n\ndef test_all():\n    pass\n"


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


LAYOUTS = {
    "virtual environment": in_venv,
    "user site": in_user_site,
    "target": in_target,
    "editable": editable,
}


def make_project(folder: Path) -> None:
    """Write a project whose tests lie beside modules named like those that we need."""
    for name in ("many", "tests"):
        (folder / name).mkdir(parents=True)
    for name in ("__init__", "one", "two"):
        (folder / f"many/{name}.py").write_text("A = 1\n")
    (folder / "tests/test_many.py").write_text(TEST)
    for name in SHADOWS:
        (folder / f"tests/{name}.py").write_text(SHOUT)


PYTEST = (
    *("pytest", "--coveralls", "-p", "no:cacheprovider", "-o", "pythonpath=.", *PLUGINS),
    *("--cov=many", "--cov-report=", "-v", "tests"),
)


def run(place: Place, folder: Path, server: StandIn) -> tuple[int, str]:
    """Run pytest there; the exit status, and what was printed."""
    ended = subprocess.run(
        [place.python, "-m", *PYTEST],
        cwd=folder,
        env={**Runner(folder, server).env, **place.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert "IMPORTED FROM THE PROJECT" not in ended.stdout
    return ended.returncode, ended.stdout


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_job_is_sent_from_wherever_pip_put_it(
    tmp_path: Path, wheels: Path, server: StandIn, layout: str
) -> None:
    """The process that sends finds what this one has found.

    Modules named like what they need lie beside the tests; not in the current directory, from
    which `python -m pytest` imports even before there is a plugin.
    """
    place = LAYOUTS[layout](tmp_path, wheels)
    make_project(tmp_path / "project")
    status, printed = run(place, tmp_path / "project", server)

    assert status == 0, printed
    assert "coveralls: sent 3 files, 100.00% covered" in printed
    (job,) = server.jobs
    assert job["source_files"][0]["name"] == "many/__init__.py"
