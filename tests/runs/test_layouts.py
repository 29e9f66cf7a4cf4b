"""Wherever pip put the packages a job is sent, and nothing of the tested project is imported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from standin import COVERALLS_TOKEN, StandIn

from pytest_coveralls_submit import children

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SHADOWS = (
    *("requests", "urllib3", "certifi", "idna", "charset_normalizer", "chardet", "socks"),
    *("coverage_shadow", "simplejson", "brotli", "zstandard", "sitecustomize"),
)
SHADOWED_LATER = ("json", "ssl", "gzip", "http", "random", "tempfile_shadow")
"""Of the standard library; pytest itself needs them, so that tests put them on the path."""
PLUGINS = ("-p", "pytest_cov", "-p", "pytest_coveralls_submit.plugin")
"""The interpreter itself may have others, which import after the tests."""
SHOUT = "import os\nos.write(2, b'IMPORTED FROM THE PROJECT\\n')\nos._exit(9)\n"
TEST = """
import sys
import sample

def test_one():
    sys.path.insert(0, {later!r})
    assert sample.one() == 1
"""
MANY = "def test_all():\n    for n in range({count}):\n        __import__(f'many.m{{n}}')\n"


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
        """Install from the shared download."""
        index = ("--no-index", "--find-links", wheels, "--disable-pip-version-check")
        call(self.python, "-m", "pip", "-q", "install", *index, *words, env=self.env)


def bare(folder: Path) -> Place:
    """Make a virtual environment with nothing but pip in it."""
    venv.create(folder, with_pip=True, symlinks=os.name != "nt")
    scripts = "Scripts" if os.name == "nt" else "bin"
    return Place(folder / scripts / "python")


def in_venv(folder: Path, wheels: Path) -> Place:
    """Install as most do."""
    place = bare(folder / "venv")
    place.pip(wheels, "pytest-coveralls-submit")
    return place


def isolated(folder: Path, wheels: Path) -> Place:
    """The same, and the interpreter takes no variables, no user site, no current directory."""
    place = in_venv(folder, wheels)
    place.flags = ("-I",)
    return place


def unsafe_path_off(folder: Path, wheels: Path) -> Place:
    """The same, without the user site; since Python 3.11 also without the current directory."""
    place = in_venv(folder, wheels)
    place.flags = ("-s", "-P") if sys.version_info >= (3, 11) else ("-s",)
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
    shutil.copytree(ROOT / children.PACKAGE, checkout / children.PACKAGE)
    (checkout / "urllib3.py").write_text(SHOUT)
    (checkout / "certifi.py").write_text(SHOUT)
    place.pip(wheels, "--editable", checkout)
    return place


def through_pth(folder: Path, wheels: Path) -> Place:
    """A virtual environment that reaches another one through a ``.pth`` file."""
    other, place = in_venv(folder / "other", wheels), bare(folder / "venv")
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    there, here = (call(each.python, "-c", ask).strip() for each in (other, place))
    (Path(here) / "other.pth").write_text(f"{there}\n")
    return place


LAYOUTS = {
    "virtual environment": in_venv,
    "-I": isolated,
    "-s -P": unsafe_path_off,
    "user site": in_user_site,
    "target": in_target,
    "target of the project": in_target_of_the_project,
    "two targets": in_two_targets,
    "editable": editable,
    "another by .pth": through_pth,
}


@pytest.fixture(scope="module", params=LAYOUTS, ids=lambda name: name.replace(" ", "_"))
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, wheels: Path
) -> tuple[Place, Path]:
    """An installation, and a folder beside it for the project."""
    folder = tmp_path_factory.mktemp("layout")
    layout: Callable[[Path, Path], Place] = LAYOUTS[request.param]
    return layout(folder, wheels), folder / "project"


@pytest.fixture
def sent() -> Iterator[StandIn]:
    """What arrived."""
    with StandIn() as server:
        yield server
        assert server.findings == []


def project(folder: Path, *, is_shadowing: bool, count: int = 0) -> None:
    """Write a project; where it shadows, modules named like what the child needs lie about."""
    for name in ("sample", "tests", "later"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "sample/__init__.py").write_text("def one():\n    return 1\n")
    (folder / "tests/test_one.py").write_text(TEST.format(later=str(folder / "later")))
    for name in SHADOWS:
        for place in (folder / "tests", folder / "later", folder):
            (place / f"{name}.py").unlink(missing_ok=True)
            if is_shadowing:
                (place / f"{name}.py").write_text(SHOUT)
    for name in SHADOWED_LATER:
        (folder / f"later/{name}.py").write_text(SHOUT)
    fake = folder / "tests/pytest_coveralls_submit"
    fake.mkdir(exist_ok=True)
    (fake / "__init__.py").write_text(SHOUT)
    if count:
        (folder / "many").mkdir(exist_ok=True)
        (folder / "many/__init__.py").write_text("")
        for number in range(count):
            (folder / f"many/m{number}.py").write_text(f"A = {number}\n")
        (folder / "tests/test_many.py").write_text(MANY.format(count=count))


def run(place: Place, folder: Path, server: StandIn, *words: str) -> str:
    """Run pytest there, and return what it printed."""
    env = {
        **{name: os.environ[name] for name in os.environ if not name.startswith("PYTEST_")},
        **place.env,
        "COVERALLS_HOST": server.url,
        "COVERALLS_REPO_TOKEN": COVERALLS_TOKEN,
        "COVERALLS_RETRIES": "0",
        "CI_NAME": "test-ci",
        "CI_BUILD_NUMBER": "77",
        "CI_JOB_ID": "77.1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    quick = ("-p", "no:cacheprovider", "-o", "pythonpath=.", *PLUGINS)
    ended = subprocess.run(
        [place.python, *place.flags, "-m", "pytest", "--coveralls", *quick, *words],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    assert "IMPORTED FROM THE PROJECT" not in ended.stdout
    return ended.stdout


@pytest.mark.parametrize("is_shadowing", [False, True], ids=["plain", "shadowed"])
def test_a_job_is_sent_from_wherever_pip_put_it(
    place: tuple[Place, Path], sent: StandIn, is_shadowing: bool
) -> None:
    """The sending process finds what this one found, and takes nothing from the project."""
    installed, folder = place
    project(folder, is_shadowing=False)
    if is_shadowing:
        # Beside the tests and where a test puts itself on the path; not in the current directory,
        # from which `python -m pytest` imports even before there is a plugin.
        project(folder, is_shadowing=True)
        for name in SHADOWS:
            (folder / f"{name}.py").unlink()
    printed = run(installed, folder, sent, "--cov=sample", "tests")

    assert "coveralls: sent 1 file, " in printed
    assert [file["name"] for file in sent.jobs[0]["source_files"]] == ["sample/__init__.py"]


def test_many_files_are_analysed_from_wherever_pip_put_it(
    place: tuple[Place, Path], sent: StandIn
) -> None:
    """The processes that share the work find coverage as the sending one finds its library."""
    installed, folder = place
    project(folder, is_shadowing=False, count=320)
    printed = run(installed, folder, sent, "--cov=many", "--cov-report=", "-v", "tests")

    assert "coveralls: sent 321 files, 100.00% covered" in printed
