"""What coverage reports, recorded in passing or through its JSON report: the same either way."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import coverage
import pytest
from generated import CALLED, MODULES, Project, names_in, small, unparsable, vanished

from pytest_coveralls_submit.measurement.measure import Measurement, measure
from pytest_coveralls_submit.measurement.recorder import Recorder, number_branches


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """All modules."""
    return Project(tmp_path_factory.mktemp("project").resolve(), MODULES)


# -- both ways ---------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [(), (True,), (False,), (True, False)])
@pytest.mark.parametrize("branch", [True, False])
def test_both_ways_give_the_same(project: Project, branch: bool, flags: tuple[bool, ...]) -> None:
    cov = project.run(*flags, branch=branch)

    fast = project.measured(cov)

    assert fast == project.measured_slowly(cov)
    assert fast.failed == {}
    assert len(fast.files) == len(MODULES)
    assert all((file.branches is not None) is branch for file in fast.files)


CONFIGURED = {
    "exclude_also": "[report]\nexclude_also =\n    found \\+= 1\n    elif\n",
    "exclude_lines": "[report]\nexclude_lines =\n    def never\n    else:\n",
    "partial_branches": "[report]\npartial_branches =\n    if flag\n",
    "omit all": "[report]\nomit = *\n",
    "omit": "[report]\nomit =\n    */choices.py\n    */empty.py\n",
    "include": "[report]\ninclude =\n    */choices.py\n    */loops.py\n",
    "skip": "[report]\nskip_covered = true\nskip_empty = true\nprecision = 3\n",
    "fail_under": "[report]\nfail_under = 100\n",
    "relative_files": "[run]\nrelative_files = true\n",
    "contexts": "[run]\ndynamic_context = test_function\n[json]\nshow_contexts = true\n",
    "source": "[run]\nsource = .\n",
}


@pytest.mark.parametrize("kind", CONFIGURED)
def test_both_ways_heed_coverages_configuration(
    project: Project, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.folder)
    cov = project.run(True, config=CONFIGURED[kind], branch=True)

    fast = project.measured(cov)

    assert fast == project.measured_slowly(cov)
    expected = {"omit": len(MODULES) - 2, "omit all": 0, "include": 2}
    assert len(fast.files) == expected.get(kind, len(MODULES))
    assert fast.failed == {}
    assert all(Path(file.path).is_file() for file in fast.files)
    assert all(Path(file.path).is_absolute() for file in fast.files)


def test_paths_are_remapped_as_for_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = small(tmp_path, "src/choices", "installed/choices")
    monkeypatch.chdir(tmp_path)
    config = "[paths]\nsource =\n    src\n    */installed\n"
    cov = project.run(True, names=["src/choices"], config=config, branch=True)
    both = project.run(
        False, names=["src/choices", "installed/choices"], config=config, branch=True
    )

    for one in (cov, both):
        fast = project.measured(one)
        assert fast == project.measured_slowly(one)
        assert [file.path for file in fast.files] == [str(tmp_path / "src" / "choices.py")]


def test_a_recorder_of_another_object_is_not_used(project: Project) -> None:
    cov = project.run(True)
    other = Recorder(project.run(False, names=["choices"]))

    assert measure(cov, start=project.folder, recorder=other) == project.measured(cov)


# -- files that fail ---------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [unparsable, vanished])
@pytest.mark.parametrize("branch", [True, False])
def test_a_file_that_fails_is_named_and_stops_no_other(
    tmp_path: Path, damage: Callable[[Path], None], branch: bool
) -> None:
    project = small(tmp_path, "choices", "loops", "straight")
    cov = project.run(True, names=["choices", "loops", "straight"], branch=branch)
    damage(project.folder / "loops.py")

    fast = project.measured(cov)

    assert names_in(fast) == ["choices.py", "straight.py"]
    assert list(fast.failed) == [str(project.folder / "loops.py")]
    assert "\n" not in fast.failed[str(project.folder / "loops.py")]
    assert fast == project.measured_slowly(cov)


def test_code_that_is_no_python_file_is_left_out_alike(tmp_path: Path) -> None:
    if coverage.version_info < (7, 16):
        pytest.skip("coverage of that age takes it for an empty Python file")
    project = small(tmp_path, "choices")
    page = project.folder / "page.tmpl"
    page.write_text("{% if x %}\n")
    cov = coverage.Coverage(data_file=None, config_file=False, include=[f"{project.folder}/*"])
    cov.start()
    exec(compile("a = 1\n", str(page), "exec"), {})
    exec(compile("b = 1\n", str(project.folder / "choices.py"), "exec"), {})
    cov.stop()

    fast = project.measured(cov)
    assert names_in(fast) == ["choices.py"]
    assert fast == project.measured_slowly(cov)


def test_no_data_is_an_empty_measurement(tmp_path: Path) -> None:
    cov = coverage.Coverage(data_file=None, config_file=False)

    assert measure(cov, start=tmp_path) == Measurement((), {})


@pytest.mark.filterwarnings("error")
def test_coverages_warnings_are_not_raised(tmp_path: Path) -> None:
    project = small(tmp_path, "choices", "loops", "straight")
    cov = project.run(True, names=["choices", "loops", "straight"])
    vanished(project.folder / "choices.py")
    unparsable(project.folder / "straight.py")

    assert names_in(project.measured(cov)) == ["loops.py"]
    assert names_in(project.measured_slowly(cov)) == ["loops.py"]


# -- branches ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CALLED)
def test_branches_are_numbered_alike_whatever_was_taken(project: Project, name: str) -> None:
    triples = []
    for flags in ((), (True,), (False,), (True, False)):
        measurement = project.measured(project.run(*flags, names=[name], branch=True))
        triples.append([branch[:3] for branch in project.quadruples(measurement, name)])

    assert triples[0] == triples[1] == triples[2] == triples[3]
    assert len(set(triples[0])) == len(triples[0])


@pytest.mark.parametrize("flags", [(), (True,), (False,), (True, False)])
def test_totals_and_taken_per_line_are_coverages_own(
    project: Project, flags: tuple[bool, ...]
) -> None:
    cov = project.run(*flags, branch=True)
    measurement = project.measured(cov)

    for name in MODULES:
        sums: dict[int, tuple[int, int]] = {}
        for line, _, _, hit in project.quadruples(measurement, name):
            total, taken = sums.get(line, (0, 0))
            sums[line] = (total + 1, taken + hit)
        stats = cov.branch_stats(str(project.folder / f"{name}.py"))
        assert sums == {line: stat for line, stat in stats.items() if stat[0]}


@pytest.mark.parametrize(
    ("stats", "executed", "missing", "excluded", "branches"),
    [
        ({4: (2, 1)}, {4: [5]}, {4: [7]}, set(), [4, 1, 4, 0]),
        ({4: (2, 1)}, {4: [7]}, {4: [5]}, set(), [4, 0, 4, 1]),
        ({4: (2, 1)}, {4: [5]}, {4: [-1]}, set(), [4, 0, 4, 1]),
        ({4: (1, 1)}, {4: [5, 7]}, {}, {7}, [4, 1]),
        ({4: (3, 2)}, {4: [5]}, {4: [7]}, set(), [4, 1, 4, 1, 4, 0]),
        ({4: (2, 2)}, {4: [5]}, {4: [5, 7]}, set(), [4, 1, 4, 1]),
    ],
)
def test_branches_are_ordered_by_destination(
    stats: dict[int, tuple[int, int]],
    executed: dict[int, list[int]],
    missing: dict[int, list[int]],
    excluded: set[int],
    branches: list[int],
) -> None:
    assert list(number_branches(stats, executed, missing, excluded)) == branches


# -- the private name --------------------------------------------------------------------------


class _Frozen(coverage.Coverage):
    """A later coverage.py whose call does not let itself be replaced."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "_analyze":
            raise AttributeError(name)
        super().__setattr__(name, value)


def _from_coverage() -> bool:
    return Path(sys._getframe(2).f_code.co_filename).is_relative_to(Path(coverage.__file__).parent)


class _Odd:
    """An analysis in which nothing has its name any more."""

    def __init__(self, analysis: Any, hidden: str) -> None:
        self.analysis, self.hidden = analysis, hidden

    def __getattr__(self, name: str) -> Any:
        if name == self.hidden and not _from_coverage():
            raise AttributeError(name)
        return getattr(self.analysis, name)


def test_without_the_private_call_the_slow_way_gives_the_same(project: Project) -> None:
    cov = project.run(True, branch=True)
    expected = project.measured(cov)
    frozen = measure(project.run(True, branch=True, kind=_Frozen), start=project.folder)
    recorder = Recorder(cov)
    del cov._analyze  # as if its reports no longer went through the object
    unrecorded = measure(cov, start=project.folder, recorder=recorder)

    assert frozen == unrecorded == expected
    reasons = ("AttributeError: _analyze", "its reports work differently")
    for measurement, reason in zip((frozen, unrecorded), reasons, strict=True):
        assert measurement.details == (
            f"coverage's analyses could not be recorded ({reason}): it took longer",
        )


@pytest.mark.parametrize("where", ["", "loops"])
@pytest.mark.parametrize(
    "hidden", ["filename", "executed", "missing", "has_arcs", "branch_stats", "excluded"]
)
def test_an_analysis_of_another_form_leads_to_the_slow_way(
    project: Project, hidden: str, where: str
) -> None:
    cov = project.run(True, branch=True)
    expected = project.measured(cov)
    analyse = cov._analyze

    def changed(morf: Any, *arguments: Any, **keywords: Any) -> Any:
        analysis = analyse(morf, *arguments, **keywords)
        return _Odd(analysis, hidden) if where in str(morf) else analysis

    cov._analyze = changed  # type: ignore[method-assign]

    measurement = measure(cov, start=project.folder)

    assert measurement == expected
    assert f"(AttributeError: {hidden})" in measurement.details[0]


# -- the data of others ------------------------------------------------------------------------


def test_coverage_run_saves_the_same_with_and_without_us(tmp_path: Path) -> None:
    (tmp_path / "garden.py").write_text("def bed(flag):\n    return 1 if flag else 2\n")
    (tmp_path / "test_garden.py").write_text(
        "import garden\n\n\ndef test_bed():\n    assert garden.bed(True) == 1\n"
    )
    (tmp_path / ".coveragerc").write_text(
        "[run]\nbranch = true\nsource = .\n[paths]\nsource =\n    .\n    */site-packages\n"
    )
    saved = []
    for flags in ([], ["--coveralls", "--coveralls-dry-run"]):
        (tmp_path / ".coverage").unlink(missing_ok=True)
        words = ["coverage", "run", "-m", "pytest", "-q", "-p", "no:cacheprovider", *flags]
        ended = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert not flags or "built 2 files" in ended.stdout
        saved.append(arcs_in(tmp_path / ".coverage"))

    assert saved[0]["garden.py"]
    assert saved[0] == saved[1]


def arcs_in(path: Path) -> dict[str, list[tuple[int, int]]]:
    held = coverage.CoverageData(str(path))
    held.read()
    return {Path(name).name: sorted(held.arcs(name) or ()) for name in held.measured_files()}


def test_an_analysis_that_is_interrupted_interrupts(project: Project) -> None:
    cov = project.run(True)

    def interrupted(*_: Any, **__: Any) -> NoReturn:
        raise KeyboardInterrupt

    cov._analyze = interrupted  # type: ignore[method-assign]

    with pytest.raises(KeyboardInterrupt):
        measure(cov, start=project.folder)
