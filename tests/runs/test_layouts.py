"""Wherever pip put the packages a job is sent, and nothing of the tested project is imported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from running import NAMES, Runner, write

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PACKAGE = "pytest_coveralls_submit"
SHADOWS = (
    *("requests", "urllib3", "certifi", "idna", "charset_normalizer", "chardet", "socks"),
    *("simplejson", "brotli", "zstandard", "sitecustomize", "pytest_coveralls_submit"),
)
SHOUT = "import os\nos.write(2, b'IMPORTED FROM THE PROJECT\\n')\nos._exit(9)\n"


def pip(*words: str | Path, **env: str) -> None:
    """Run the pip that runs the tests."""
    ended = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", *map(str, words)],
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout


def install(python: Path, wheels: Path, *words: str | Path, **env: str) -> None:
    """Install from the shared download."""
    index = ("--no-compile", "--no-index", "--find-links", wheels)
    pip("--python", python, "install", *index, *words, **env)


def bare(folder: Path) -> Path:
    """Make an empty virtual environment; return its interpreter."""
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    return folder / ("Scripts" if os.name == "nt" else "bin") / "python"


def in_user_site(folder: Path, wheels: Path) -> tuple[Path, dict[str, str]]:
    """Install with ``--user``, which no virtual environment sees."""
    python = Path(sys.base_prefix) / ("python.exe" if os.name == "nt" else "bin/python3")
    env = {"PYTHONUSERBASE": str(folder / "base"), "PIP_BREAK_SYSTEM_PACKAGES": "1"}
    install(python, wheels, "--user", "--ignore-installed", "pytest-coveralls-submit", **env)
    return python, env


def in_target(folder: Path, wheels: Path) -> tuple[Path, dict[str, str]]:
    """Install with ``--target`` into a folder that PYTHONPATH names."""
    python = bare(folder / "venv")
    install(python, wheels, "--target", folder / "lib", "pytest-coveralls-submit")
    return python, {"PYTHONPATH": str(folder / "lib")}


def editable(folder: Path, wheels: Path) -> tuple[Path, dict[str, str]]:
    """Install a checkout that has modules of its own beside the package."""
    python, checkout = bare(folder / "venv"), folder / "checkout"
    for name in (PACKAGE, ".ci"):
        shutil.copytree(ROOT / name, checkout / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    for name in ("urllib3", "certifi"):
        (checkout / f"{name}.py").write_text(SHOUT)
    install(python, wheels, "--editable", checkout)
    return python, {}


def test_a_job_is_sent_from_wherever_pip_put_it(run: Runner, tmp_path: Path) -> None:
    """The process that sends finds what this one has found.

    All other tests run in a virtual environment. Modules named like what they need lie beside the
    tests; not in the current directory, from which `python -m pytest` imports even before there is
    a plugin.
    """
    wheels = tmp_path / "wheels"
    pip("wheel", "--wheel-dir", wheels, ROOT, "hatchling", "editables")
    for name in SHADOWS:
        write(run, f"tests/{name}.py", SHOUT)

    for layout in (in_user_site, in_target, editable):
        run.server.jobs.clear()
        run.python, env = layout(tmp_path / layout.__name__, wheels)
        result = run("--coveralls", env=env)

        assert "IMPORTED FROM THE PROJECT" not in result.stdout
        assert result.returncode == 0, result.stdout
        (job,) = run.server.jobs
        assert [file["name"] for file in job["source_files"]] == NAMES
