"""Data files become what ``coverage combine`` and ``coverage json`` make of them, unchanged."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import coverage
import pytest

from pytest_coveralls_submit.errors import MeasurementError
from pytest_coveralls_submit.measurement.data_files import measure_data_files
from pytest_coveralls_submit.measurement.measure import Measurement

FILES = {
    "src/garden/__init__.py": "",
    "src/garden/beds.py": """\
def bed(flag):
    if flag:
        kind = 1
    else:
        kind = 2
    for _ in range(kind):
        if kind == 3:  # pragma: no cover
            break
    return kind


def never():
    return 3
""",
    "src/garden/paths/__init__.py": "from garden.beds import bed\n",
    "src/garden/paths/beds.py": "def area(size):\n    return size if size > 1 else 1\n",
    "tests/run.py": """\
import sys

from garden.beds import bed


def test_bed():
    if bed(sys.argv[1] == "one") == 2:
        from garden.paths import beds


test_bed()
""",
}


class Scene:
    """A project whose tests ran under ``coverage run``, and what is made of its data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve() / "project"
        for name, text in FILES.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> Path:
        """Write a file of the project."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def coverage(self, *words: str) -> None:
        subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "coverage", *words],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": "src"},
            capture_output=True,
            timeout=60,
            check=True,
        )

    def run(self, config: str = "", tests: Iterable[str] = ("one", "two")) -> None:
        """Run tests, each in a process that writes a data file of its own."""
        self.write(".coveragerc", f"[run]\nparallel = true\nsource = src\n{config}")
        for test in tests:
            self.coverage("run", "tests/run.py", test)

    def measure(self, *arguments: str, config_file: Path | bool = True) -> Measurement:
        """What the package makes of the data; the project's files are what they were."""
        before = self.state()
        names = [path for path in before if not path.startswith((".", "down", "out"))]
        paths = [Path(path) for path in arguments]
        places = {"start": self.folder, "top": self.folder}
        try:
            return measure_data_files(paths, config_file=config_file, names=names, **places)
        finally:
            assert self.state() == before

    def fails(self, reason: str, *arguments: str) -> None:
        """Measure in vain: one line, which names no copy."""
        with pytest.raises(MeasurementError, match=reason) as caught:
            self.measure(*arguments)
        assert "\n" not in str(caught.value)
        assert tempfile.gettempdir() not in str(caught.value)

    def state(self) -> dict[str, tuple[bytes, float]]:
        return {
            path.relative_to(self.folder).as_posix(): (path.read_bytes(), path.stat().st_mtime)
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and path.suffix != ".pyc"
        }

    def expected(self) -> dict[str, Any]:
        """What ``coverage combine`` and ``coverage json`` say of the parallel data files."""
        beside = self.folder.parent / "combined"
        beside.mkdir(exist_ok=True)
        cov = coverage.Coverage(data_file=beside / ".coverage")
        cov.combine(map(str, self.data_files()), keep=True)
        cov.save()
        cov.json_report(outfile=str(beside / "report.json"))
        report: dict[str, Any] = json.loads((beside / "report.json").read_text())
        return report

    def data_files(self) -> list[Path]:
        return sorted({*self.folder.glob(".coverage.*"), *self.folder.glob("out/.measured.*")})


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """The project; it is the current directory."""
    scene = Scene(tmp_path)
    monkeypatch.chdir(scene.folder)
    return scene


def same(measurement: Measurement, report: Mapping[str, Any], folder: Path) -> bool:
    """Compare each file with the lines and branches of coverage's JSON report."""
    assert measurement.percent == pytest.approx(report["totals"]["percent_covered"])
    assert measurement.details == ()
    assert sorted(file.path for file in measurement.files) == sorted(
        str(folder / name) for name in report["files"]
    )
    for name, file in report["files"].items():
        (ours,) = [one for one in measurement.files if one.path == str(folder / name)]
        assert list(ours.missing) == file["missing_lines"]
        assert set(ours.executed) <= set(file["executed_lines"])
        assert len(ours.executed) == file["summary"]["covered_lines"]
        hits = list((ours.branches or [])[1::2])
        assert len(hits) == file["summary"].get("num_branches", 0)
        assert sum(hits) == file["summary"].get("covered_branches", 0)
    return True


CONFIGURED = {
    "lines": "",
    "branches": "branch = true\n",
    "relative": "branch = true\nrelative_files = true\n",
    "omit": "branch = true\n[report]\nomit = */paths/*\n",
    "exclude": "branch = true\n[report]\nexclude_also = def never\n",
    "contexts": "branch = true\ndynamic_context = test_function\n",
    "folder": "data_file = out/.measured\n",
    "paths": "branch = true\n[paths]\nsource =\n    src\n    */elsewhere\n",
}


@pytest.mark.parametrize("kind", CONFIGURED)
def test_parallel_data_files_are_combined_as_coverage_combines_them(
    scene: Scene, kind: str
) -> None:
    (scene.folder / "out").mkdir()
    scene.run(CONFIGURED[kind])

    measurement = scene.measure()

    assert same(measurement, scene.expected(), scene.folder)
    assert measurement.notices == ()


def test_the_data_file_of_the_configuration_comes_first(scene: Scene) -> None:
    scene.run("branch = true\n")
    report = scene.expected()
    scene.coverage("combine")
    scene.run("branch = true\n", ["one"])

    assert same(scene.measure(), report, scene.folder)


@pytest.mark.parametrize("arguments", [["down"], ["down/one", "down/two/.coverage"]])
def test_folders_are_searched_one_level_down(scene: Scene, arguments: list[str]) -> None:
    scene.run("branch = true\n")
    report = scene.expected()
    one, two = scene.data_files()
    for path, place in ((one, "down/one"), (two, "down/two")):
        (scene.folder / place).mkdir(parents=True)
        path.rename(scene.folder / place / (".coverage" if path == two else path.name))
    scene.write("down/one/.coverage.x-journal", "SQLite's own")
    shutil.copy("down/two/.coverage", "again.db")

    assert same(scene.measure(*arguments, "again.db"), report, scene.folder)


def test_coverages_configuration_is_found_as_coverage_finds_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(config_file: Path | bool = True) -> set[str]:
        return {Path(file.path).name for file in scene.measure(config_file=config_file).files}

    scene.run("branch = true\n")
    (scene.folder / ".coveragerc").unlink()
    scene.write("pyproject.toml", '[tool.coverage.report]\nomit = ["*/__init__.py"]\n')
    other = scene.write("other.ini", "[report]\nomit =\n    */beds.py\n")

    assert measured() == {"beds.py"}
    assert measured(other) == {"__init__.py"}
    monkeypatch.setenv("COVERAGE_RCFILE", str(other))
    assert measured() == {"__init__.py"}
    monkeypatch.setenv("COVERAGE_FILE", ".other")
    with pytest.raises(MeasurementError, match=r"neither .*\.other nor"):
        measured()


def test_templates_that_a_plugin_traces_are_measured(scene: Scene) -> None:
    pytest.importorskip("django_coverage_plugin")
    scene.write("src/page.html", "{% if garden %}\n  <p>{{ garden }}</p>\n{% endif %}\n")
    scene.write(
        "render.py",
        "import django\nfrom django.conf import settings\n"
        "settings.configure(TEMPLATES=[{'BACKEND': 'django.template.backends.django."
        "DjangoTemplates', 'DIRS': ['src'], 'OPTIONS': {'debug': True}}])\n"
        "django.setup()\nfrom django.template.loader import get_template\n"
        "get_template('page.html').render({'garden': 'Eden'})\n",
    )
    plugin = "[run]\nparallel = true\nplugins = django_coverage_plugin\nsource = src\n"
    scene.write(".coveragerc", plugin)
    scene.coverage("run", "render.py")

    measurement = scene.measure()

    assert same(measurement, scene.expected(), scene.folder)
    assert "page.html" in {Path(file.path).name for file in measurement.files}


def moved(path: Path, rename: Callable[[str], str]) -> None:
    """Write a data file anew as if its sources had lain elsewhere."""
    old, new = coverage.CoverageData(str(path)), coverage.CoverageData(f"{path}-new")
    old.read()
    new.update(old, map_path=rename)
    new.write()
    Path(f"{path}-new").replace(path)


@pytest.mark.parametrize(
    ("here", "there", "separator"), [("src/", "/app/", "/"), ("", "C:\\work\\proj\\", "\\")]
)
def test_data_of_another_machine_finds_its_files(
    scene: Scene, here: str, there: str, separator: str
) -> None:
    scene.run("branch = true\n" if here else "relative_files = true\n")
    report = scene.expected()
    first, second = scene.data_files()

    def rename(path: str) -> str:
        name = path.removeprefix(f"{scene.folder}{os.sep}").replace(os.sep, "/")
        return there + name.removeprefix(here).replace("/", separator)

    moved(first, rename)
    mixed = scene.measure()
    moved(second, rename)
    foreign = scene.measure()

    assert same(mixed, report, scene.folder)
    assert same(foreign, report, scene.folder)
    assert mixed.notices == foreign.notices == ()
    assert mixed.failed == foreign.failed == {}


def stored(path: Path, lines: Mapping[str, Iterable[int]]) -> None:
    """Write a data file."""
    measured = coverage.CoverageData(str(path))
    measured.add_lines({name: set(numbers) for name, numbers in lines.items()})
    measured.write()


GONE = [*(f"/gone/m{number}.py" for number in range(5)), "/app/shed/tool.py"]


@pytest.mark.parametrize(
    ("paths", "named", "fix"),
    [
        (
            GONE,
            "6 files .*: /app/shed/tool.py, /gone/m0.py, .*/gone/m3.py and 1 more",
            "name both .*",
        ),
        (["tool.py"], "1 file .*: tool.py", "move the data file back .*: its paths are relative"),
    ],
)
def test_what_is_not_here_is_left_out_and_named(
    scene: Scene, paths: list[str], named: str, fix: str
) -> None:
    for place in ("src/a", "src/b"):
        scene.write(f"{place}/shed/tool.py", "a = 1\n")
    lines = {path: [1] for path in paths}
    stored(scene.folder / ".coverage", lines)
    with pytest.raises(MeasurementError, match=f"^left out {named}; {fix}$") as caught:
        scene.measure()

    here = str(scene.folder / "src/garden/beds.py")
    stored(scene.folder / ".coverage", {**lines, here: [1]})
    measurement = scene.measure()

    assert [file.path for file in measurement.files] == [here]
    assert (measurement.failed, measurement.notices) == ({}, (str(caught.value),))


def test_paths_of_the_configuration_come_before_what_is_likely(scene: Scene) -> None:
    scene.write("lib/mod.py", "a = 1\nb = 2\n")
    scene.write("src/mod.py", "a = 1\nb = 2\n")
    scene.write(".coveragerc", "[paths]\nsource =\n    src\n    /app/lib\n")
    stored(scene.folder / ".coverage", {"/app/lib/mod.py": [1, 2]})

    (file,) = scene.measure().files

    assert file.path == str(scene.folder / "src/mod.py")


@pytest.mark.parametrize("config", ["", "relative_files = true\n"])
def test_a_relative_path_is_looked_for_beside_its_data_file_first(
    scene: Scene, config: str
) -> None:
    scene.write(".coveragerc", f"[run]\n{config}")
    for service, line in (("api", 1), ("web", 2)):
        scene.write(f"{service}/main.py", "a = 1\nb = 2\n")
        lines = {"main.py": [line], "src/garden/paths/beds.py": [line]}
        stored(scene.folder / service / ".coverage", lines)

    measurement = scene.measure("api", "web")

    executed = {
        file.path.removeprefix(f"{scene.folder}/"): [*file.executed] for file in measurement.files
    }
    assert executed == {
        "api/main.py": [1],
        "web/main.py": [2],
        "src/garden/paths/beds.py": [1, 2],
    }
    assert measurement.notices == ()


COUNTERPARTS = {
    "two components": ({"/app/pkg/a.py": "pkg/a.py", "work/pkg/sub/a.py": "pkg/sub/a.py"}, ""),
    "the longest": ({"/x/src/pkg/sub/a.py": "pkg/sub/a.py"}, "other/sub/a.py"),
    "no package in common": ({"/app/other/a.py": "", "/app/other.py": ""}, ""),
    "a module": ({"/app/mod.py": "mod.py", r"C:\w\mod.py": "mod.py"}, ""),
    "a module, and one in a package": ({"/app/mod.py": "mod.py"}, "lib/mod.py lib/__init__.py"),
    "two modules": ({"/app/mod.py": ""}, "lib/mod.py"),
    "a module of a package": ({"/x/mod.py": "", "/x/__init__.py": ""}, ""),
    "installed": ({"/site-packages/pkg/a.py": "pkg/a.py", "/site-packages/mod.py": "mod.py"}, ""),
    "installed here, and gone": ({"{here}/.tox/site-packages/pkg/a.py": "pkg/a.py"}, ""),
    "measured here, and gone": ({"{here}/pkg/a.py": ""}, ""),
    "two machines": ({"/app/pkg/a.py": "pkg/a.py", "/w/pkg/a.py": "pkg/a.py"}, ""),
}


@pytest.mark.parametrize(("expected", "more"), COUNTERPARTS.values(), ids=COUNTERPARTS)
def test_a_path_that_is_not_here_is_the_one_file_that_ends_alike(
    scene: Scene, expected: dict[str, str], more: str
) -> None:
    for name in ("pkg/__init__.py", "pkg/a.py", "pkg/sub/__init__.py", "pkg/sub/a.py", "mod.py"):
        scene.write(f"src/{name}", "a = 1\n")
    for name in more.split():
        scene.write(name, "a = 1\n")
    paths = [path.format(here=scene.folder) for path in expected]
    beds = str(scene.folder / "src/garden/beds.py")
    stored(scene.folder / ".coverage", {path: [1] for path in (beds, *paths)})

    found = {Path(file.path).relative_to(scene.folder / "src") for file in scene.measure().files}

    assert found == {Path("garden/beds.py"), *(Path(name) for name in expected.values() if name)}


def test_a_plugin_of_coverage_may_lie_in_the_current_directory(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    scene.write("local_plugin.py", "def coverage_init(registry, options):\n    pass\n")
    scene.run("branch = true\n")
    report = scene.expected()
    scene.write(".coveragerc", "[run]\nsource = src\nplugins = local_plugin\n")

    assert same(scene.measure(), report, scene.folder)
    assert sys.path[-1] == str(scene.folder)


def test_what_was_removed_here_needs_no_mapping(scene: Scene) -> None:
    scene.run()
    removed = scene.folder / "src/garden/paths/beds.py"
    removed.unlink()

    measurement = scene.measure()

    assert measurement.notices == ()
    assert list(measurement.failed) == [str(removed)]


@pytest.mark.parametrize(
    ("arguments", "files", "reason"),
    [
        ([], {}, r"no coverage data: neither .*\.coverage nor \.coverage\.\* beside it"),
        (["down"], {}, r"down cannot be read: No such file"),
        (["down"], {"down/a.txt": ""}, r"no coverage data in down: .*`include-hidden-files: true`"),
        (["a.xml"], {"a.xml": "<?xml version='1.0'?>"}, r"a\.xml is not a coverage data file"),
        (
            [],
            {".coveragerc": "[run]\nplugins = no_such_plugin\n"},
            r"coverage cannot be configured: .*no_such_plugin",
        ),
    ],
)
def test_what_cannot_be_used_is_named_with_its_fix(
    scene: Scene, arguments: list[str], files: dict[str, str], reason: str
) -> None:
    for name, text in files.items():
        scene.write(name, text)

    scene.fails(reason, *arguments)


def test_a_data_file_that_is_cut_off_is_named(scene: Scene) -> None:
    scene.run(tests=["one"])
    (path,) = scene.data_files()
    path.write_bytes(path.read_bytes()[:5000])

    scene.fails(re.escape(path.name), path.name)


def test_data_with_and_without_branches_is_not_combined(scene: Scene) -> None:
    scene.run("branch = true\n", ["one"])
    scene.run("", ["two"])

    scene.fails(r"\S+ measured branches and \S+ did not, .* set `\[run\] branch` alike")
