"""Wherever pip put the packages a job is sent, and nothing of the tested project is imported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from running import Runner
from standin import StandIn

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PACKAGE = "pytest_coveralls_submit"
SHADOWS = (
    *("requests", "urllib3", "certifi", "idna", "charset_normalizer", "chardet", "socks"),
    *("simplejson", "brotli", "zstandard", "sitecustomize", "pytest_coveralls_submit"),
)
PLUGINS = ("-p", "pytest_cov", "-p", "pytest_coveralls_submit.plugin")
"""The interpreter itself may have others, which import after the tests."""
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")
SHOUT = "import os\nos.write(2, b'IMPORTED FROM THE PROJECT\\n')\nos._exit(9)\n"
TEST = "import many.one, many.two\n\ndef test_all():\n    pass\n"


def call(*words: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a program that has to succeed, and return what it printed."""
    ended = subprocess.run(
        list(map(str, words)),
        cwd=cwd,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


class Place(NamedTuple):
    """An interpreter with the packages somewhere, and the variables that it needs."""

    python: Path
    env: dict[str, str]

    def pip_install(self, wheels: Path, *words: str | Path) -> None:
        """Install from the shared download, by the pip that runs the tests."""
        index = ("--no-compile", "--no-index", "--find-links", wheels)
        call(
            *PIP, "--python", self.python, "install", *index, *words, env={**os.environ, **self.env}
        )


def bare(folder: Path) -> Place:
    """Make an empty virtual environment."""
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    return Place(folder / ("Scripts" if os.name == "nt" else "bin") / "python", {})


def in_user_site(folder: Path, wheels: Path) -> Place:
    """Install with ``--user``, which no virtual environment sees."""
    name = "python.exe" if os.name == "nt" else "bin/python3"
    env = {"PYTHONUSERBASE": str(folder / "base"), "PIP_BREAK_SYSTEM_PACKAGES": "1"}
    place = Place(Path(sys.base_prefix) / name, env)
    place.pip_install(wheels, "--user", "--ignore-installed", "pytest-coveralls-submit")
    return place


def in_target(folder: Path, wheels: Path) -> Place:
    """Install with ``--target`` into a folder that PYTHONPATH names."""
    place = bare(folder / "venv")
    place.pip_install(wheels, "--target", folder / "lib", "pytest-coveralls-submit")
    place.env["PYTHONPATH"] = str(folder / "lib")
    return place


def editable(folder: Path, wheels: Path) -> Place:
    """Install a checkout that has modules of its own beside the package."""
    place, checkout = bare(folder / "venv"), folder / "checkout"
    for name in (PACKAGE, ".ci"):
        shutil.copytree(ROOT / name, checkout / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    for name in ("urllib3", "certifi"):
        (checkout / f"{name}.py").write_text(SHOUT)
    place.pip_install(wheels, "--editable", checkout)
    return place


def make_project(folder: Path) -> None:
    """Write a project whose tests lie beside modules named like those that we need."""
    for name in ("many", "tests"):
        (folder / name).mkdir(parents=True)
    for name in ("__init__", "one", "two"):
        (folder / f"many/{name}.py").write_text("A = 1\n")
    (folder / "tests/test_many.py").write_text(TEST)
    for name in SHADOWS:
        (folder / f"tests/{name}.py").write_text(SHOUT)


def run_pytest(place: Place, project: Path, server: StandIn) -> str:
    """Run pytest there and return what it printed."""
    words = ("--coveralls", "--cov=many", "--cov-report=", "-o", "pythonpath=.", "-v", "tests")
    env = {**Runner(project, server).env, **place.env}
    return call(place.python, "-m", "pytest", *PLUGINS, *words, env=env, cwd=project)


def test_a_job_is_sent_from_wherever_pip_put_it(tmp_path: Path, server: StandIn) -> None:
    """The process that sends finds what this one has found.

    All other tests run in a virtual environment. Modules named like what they need lie beside the
    tests; not in the current directory, from which `python -m pytest` imports even before there is
    a plugin.
    """
    wheels, project = tmp_path / "wheels", tmp_path / "project"
    call(*PIP, "wheel", "--wheel-dir", wheels, ROOT, "hatchling", "editables")
    make_project(project)

    for layout in (in_user_site, in_target, editable):
        server.jobs.clear()
        place = layout(tmp_path / layout.__name__, wheels)
        printed = run_pytest(place, project, server)

        assert "IMPORTED FROM THE PROJECT" not in printed
        assert "coveralls: sent 3 files, 100.00% covered" in printed, printed
        (job,) = server.jobs
        assert job["source_files"][0]["name"] == "many/__init__.py"
