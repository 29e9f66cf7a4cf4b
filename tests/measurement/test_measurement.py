"""What coverage reports, recorded in passing or through its JSON report: the same either way."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import coverage
import pytest
from running import Runner, write

from pytest_coveralls_submit.job.names import Names
from pytest_coveralls_submit.job.source_files import read_source_files
from pytest_coveralls_submit.measurement.measure import (
    Measurement,
    Recorder,
    measure,
    number_branches,
)

# Modules with all that branches and exclusions can be; each has `run(flag)`.
MODULES: Mapping[str, str] = {
    "choices": """\
        def run(flag):
            if flag:
                found = 1
            else:
                found = 2
            if flag and found:
                found += 1
            return found if flag else -found
        """,
    "excluded": """\
        def run(flag):
            if flag:
                a = 1
            else:  # pragma: no cover
                a = 2
            if not flag:
                a = 3  # pragma: no cover
            return a


        def never():  # pragma: no cover
            return 3


        if __name__ == "__main__":  # pragma: no cover
            run(True)
        """,
    "finally_": """\
        import contextlib


        def run(flag):
            try:
                if flag:
                    raise ValueError
                a = 1
            except ValueError:
                a = 2
            except OSError:
                a = 3
            else:
                a += 1
            finally:
                a += 1
            with contextlib.suppress(KeyError):
                if not flag:
                    raise KeyError
                return a
            for n in range(2):
                try:
                    if n:
                        continue
                finally:
                    a += 1
            return a
        """,
    "loops": """\
        def run(flag):
            for n in range(2):
                if n == 5:
                    break
            else:
                n = 6
            while n:
                n -= 1
                if flag:
                    break
                continue
            for n in ():
                n += 1
            while flag:
                flag = False
            return n
        """,
    "decorated": '''\
        """A docstring.

        With lines."""


        def keep(function): return function


        @keep
        @keep
        def run(
            flag,
            more=(1,
                  2),
        ):
            """And here."""
            assert flag or not flag
            if flag: return 1
            del more; return 2
        ''',
    "empty": "",
}
CALLED = [name for name in MODULES if "def run(" in MODULES[name]]


class Project:
    """Generated modules in a directory of their own, run under coverage.py."""

    def __init__(self, folder: Path, modules: Mapping[str, str]) -> None:
        self.folder = folder
        for name, text in modules.items():
            path = folder / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = text.splitlines(keepends=True)
            path.write_text("".join(line.removeprefix(" " * 8) for line in lines))

    def run(
        self,
        *flags: bool,
        names: list[str] | None = None,
        config: str = "",
        kind: type[coverage.Coverage] = coverage.Coverage,
        branch: bool = True,
    ) -> coverage.Coverage:
        """Run modules under a new Coverage object, in a call of ``run`` for each flag."""
        rcfile = self.folder / "coveragerc"
        rcfile.write_text(config)
        source = None if "source" in config else [str(self.folder)]
        cov = kind(data_file=None, config_file=str(rcfile), source=source, branch=branch)
        cov.start()
        try:
            for name in CALLED if names is None else names:
                path = self.folder / f"{name}.py"
                space: dict[str, Any] = {"__name__": name, "__file__": str(path)}
                exec(compile(path.read_bytes(), str(path), "exec"), space)
                for flag in flags:
                    space["run"](flag)
        finally:
            cov.stop()
        return cov

    def measured(self, cov: coverage.Coverage) -> Measurement:
        """What the package makes of it: the same through the JSON report alone."""
        measurement = measure(cov, start=self.folder)
        recorder = Recorder(cov)
        recorder.trouble = "as if the private call were gone"
        assert measurement.details == ()
        assert measurement == measure(cov, start=self.folder, recorder=recorder)
        return measurement

    def quadruples(self, found: Measurement, name: str) -> list[tuple[int, int, int, int]]:
        """The branches of a module as they are sent."""
        files = [file for file in found.files if file.path == str(self.folder / f"{name}.py")]
        (entry,) = read_source_files(files, Names(self.folder), include_source=False).files
        flat = entry.branches
        return list(zip(flat[::4], flat[1::4], flat[2::4], flat[3::4], strict=True))


def small(folder: Path, *names: str) -> Project:
    """A project of a few of the modules, or of names alone, for tests that change files."""
    texts = {name: MODULES.get(name.rpartition("/")[2], MODULES["choices"]) for name in names}
    return Project(folder.resolve(), texts)


def names_in(found: Measurement) -> list[str]:
    return [Path(file.path).name for file in found.files]


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """All modules."""
    return Project(tmp_path_factory.mktemp("modules").resolve(), MODULES)


@pytest.mark.parametrize("flags", [(), (True,), (False,), (True, False)])
@pytest.mark.parametrize("branch", [True, False])
def test_both_ways_give_the_same(modules: Project, branch: bool, flags: tuple[bool, ...]) -> None:
    cov = modules.run(*flags, branch=branch)

    found = modules.measured(cov)

    assert found.failed == {}
    assert len(found.files) == len(MODULES)
    assert all((file.branches is not None) is branch for file in found.files)


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
    modules: Project, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(modules.folder)
    cov = modules.run(True, config=CONFIGURED[kind])

    found = modules.measured(cov)

    expected = {"omit": len(MODULES) - 2, "omit all": 0, "include": 2}
    assert len(found.files) == expected.get(kind, len(MODULES))
    assert found.failed == {}
    assert all(Path(file.path).is_file() for file in found.files)
    assert all(Path(file.path).is_absolute() for file in found.files)


@pytest.mark.parametrize("names", [["src/choices"], ["src/choices", "installed/choices"]])
def test_paths_are_remapped_as_for_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    modules = small(tmp_path, "src/choices", "installed/choices")
    monkeypatch.chdir(tmp_path)
    config = "[paths]\nsource =\n    src\n    */installed\n"
    cov = modules.run(True, names=names, config=config)

    (file,) = modules.measured(cov).files

    assert file.path == str(tmp_path / "src" / "choices.py")


def test_a_recorder_of_another_object_is_not_used(modules: Project) -> None:
    cov = modules.run(True)
    other = Recorder(modules.run(False, names=["choices"]))

    assert measure(cov, start=modules.folder, recorder=other) == modules.measured(cov)


def unparsable(path: Path) -> None:
    path.write_text("def run(:\n")


@pytest.mark.parametrize("damage", [unparsable, Path.unlink])
@pytest.mark.parametrize("branch", [True, False])
def test_a_file_that_fails_is_named_and_stops_no_other(
    tmp_path: Path, damage: Callable[[Path], None], branch: bool
) -> None:
    modules = small(tmp_path, "choices", "decorated", "loops")
    cov = modules.run(True, names=["choices", "decorated", "loops"], branch=branch)
    # Not the last one, which coverage 7.7 takes for empty when it is asked again.
    damage(modules.folder / "decorated.py")

    found = modules.measured(cov)

    assert names_in(found) == ["choices.py", "loops.py"]
    ((path, reason),) = found.failed.items()
    assert path == str(modules.folder / "decorated.py")
    assert "\n" not in reason


def test_code_that_is_no_python_file_is_left_out_alike(tmp_path: Path) -> None:
    if coverage.version_info < (7, 16):
        pytest.skip("coverage of that age takes it for an empty Python file")
    modules = small(tmp_path, "choices")
    page = modules.folder / "page.tmpl"
    page.write_text("{% if x %}\n")
    cov = coverage.Coverage(data_file=None, config_file=False, include=[f"{modules.folder}/*"])
    cov.start()
    exec(compile("a = 1\n", str(page), "exec"), {})
    exec(compile("b = 1\n", str(modules.folder / "choices.py"), "exec"), {})
    cov.stop()

    assert names_in(modules.measured(cov)) == ["choices.py"]


def test_no_data_is_an_empty_measurement(tmp_path: Path) -> None:
    cov = coverage.Coverage(data_file=None, config_file=False)

    assert measure(cov, start=tmp_path) == Measurement((), {})


@pytest.mark.parametrize("name", CALLED)
def test_branches_are_numbered_alike_whatever_was_taken(modules: Project, name: str) -> None:
    triples = []
    for flags in ((), (True,), (False,), (True, False)):
        measurement = modules.measured(modules.run(*flags, names=[name]))
        triples.append([branch[:3] for branch in modules.quadruples(measurement, name)])

    assert triples[0] == triples[1] == triples[2] == triples[3]
    assert len(set(triples[0])) == len(triples[0])


@pytest.mark.parametrize("flags", [(), (True,), (True, False)])
def test_totals_and_taken_per_line_are_coverages_own(
    modules: Project, flags: tuple[bool, ...]
) -> None:
    cov = modules.run(*flags)
    measurement = modules.measured(cov)

    for name in MODULES:
        sums: dict[int, tuple[int, int]] = {}
        for line, _, _, hit in modules.quadruples(measurement, name):
            total, taken = sums.get(line, (0, 0))
            sums[line] = (total + 1, taken + hit)
        stats = cov.branch_stats(str(modules.folder / f"{name}.py"))
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


def test_without_the_private_call_the_slow_way_gives_the_same(modules: Project) -> None:
    cov = modules.run(True)
    expected = modules.measured(cov)
    frozen = measure(modules.run(True, branch=True, kind=_Frozen), start=modules.folder)
    recorder = Recorder(cov)
    del cov._analyze  # as if its reports no longer went through the object
    unrecorded = measure(cov, start=modules.folder, recorder=recorder)

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
    modules: Project, hidden: str, where: str
) -> None:
    cov = modules.run(True)
    expected = modules.measured(cov)
    analyse = cov._analyze

    def changed(morf: Any, *arguments: Any, **keywords: Any) -> Any:
        analysis = analyse(morf, *arguments, **keywords)
        return _Odd(analysis, hidden) if where in str(morf) else analysis

    cov._analyze = changed  # type: ignore[method-assign]

    measurement = measure(cov, start=modules.folder)

    assert measurement == expected
    assert f"(AttributeError: {hidden})" in measurement.details[0]


def test_coverage_run_saves_the_same_with_and_without_us(run: Runner) -> None:
    """Although a report maps paths in memory."""
    config = "[run]\nbranch = true\nsource = .\n[paths]\nsource =\n    .\n    */site-packages\n"
    write(run, ".coveragerc", config)
    saved = []
    for flags in ((), ("--coveralls",)):
        (run.folder / ".coverage").unlink(missing_ok=True)
        run("run", "-m", "pytest", *flags, module="coverage")
        held = coverage.CoverageData(str(run.folder / ".coverage"))
        held.read()
        saved.append({name: sorted(held.arcs(name) or ()) for name in held.measured_files()})

    assert any(saved[0].values())
    assert saved[0] == saved[1]
    assert len(run.server.jobs) == 1


def test_an_analysis_that_is_interrupted_interrupts(modules: Project) -> None:
    cov = modules.run(True)

    def interrupted(*_: Any, **__: Any) -> NoReturn:
        raise KeyboardInterrupt

    cov._analyze = interrupted  # type: ignore[method-assign]

    with pytest.raises(KeyboardInterrupt):
        measure(cov, start=modules.folder)
