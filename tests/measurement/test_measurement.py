"""What coverage reports, taken in passing or through its JSON report: the same either way."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NoReturn, cast

import coverage
import pytest
from generated import CALLED, MODULES, Project, names_in, small, unparsable, vanished

from pytest_coveralls_submit.errors import MeasurementError
from pytest_coveralls_submit.measurement.measure import current, measure, quiet
from pytest_coveralls_submit.measurement.recorder import describe, keep_from, number_branches
from pytest_coveralls_submit.measurement.records import FileCoverage, Measurement
from pytest_coveralls_submit.session.pytest_cov import controller_of, finished, reported_by
from pytest_coveralls_submit.session.wholeness import cut_short


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """All modules."""
    return Project(tmp_path_factory.mktemp("project").resolve(), MODULES)


# -- both ways ---------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [(), (True,), (False,), (True, False)])
@pytest.mark.parametrize("branch", [True, False])
def test_both_ways_give_the_same(project: Project, branch: bool, flags: tuple[bool, ...]) -> None:
    """The private call saves time, and nothing else."""
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
    "omit": "[report]\nomit =\n    */choices.py\n    */empty.py\n",
    "include": "[report]\ninclude =\n    */choices.py\n    */loops.py\n",
    "skip": "[report]\nskip_covered = true\nskip_empty = true\nprecision = 3\n",
    "fail_under": "[report]\nfail_under = 100\n",
    "relative_files": "[run]\nrelative_files = true\n",
    "contexts": "[run]\ndynamic_context = test_function\n[json]\nshow_contexts = true\n",
    "source": "[run]\nsource = .\n",
}


@pytest.mark.parametrize("config", CONFIGURED.values(), ids=CONFIGURED)
def test_both_ways_heed_coverages_configuration(
    project: Project, config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exclusions, omissions, names: whatever coverage.py would report."""
    monkeypatch.chdir(project.folder)
    cov = project.run(True, config=config, branch=True)

    fast = project.measured(cov)

    assert fast == project.measured_slowly(cov)
    expected = {"omit": len(MODULES) - 2, "include": 2}
    kind = next(kind for kind in CONFIGURED if CONFIGURED[kind] == config)
    assert len(fast.files) == expected.get(kind, len(MODULES))
    assert all(Path(file.path).is_file() for file in fast.files)
    assert all(Path(file.path).is_absolute() for file in fast.files)


def test_what_is_omitted_from_reports_has_not_failed(project: Project) -> None:
    """It is left out without a word."""
    cov = project.run(True, config=CONFIGURED["omit"])

    assert project.measured(cov).failed == project.measured_slowly(cov).failed == {}


def test_nothing_left_to_report_is_an_empty_measurement(project: Project) -> None:
    """All files are omitted; that is no error."""
    cov = project.run(True, config="[report]\nomit = *\n")

    expected = Measurement((), {})

    assert project.measured_slowly(cov) == expected
    keeper = keep_from(cov)
    assert measure(cov, keeper, project.folder) == expected


def test_paths_are_remapped_as_for_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``[paths]`` gives an installed copy and the source one name, and both ways one file."""
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


def test_what_a_report_analysed_is_kept_and_the_rest_is_added(project: Project) -> None:
    """pytest-cov may report a part; the job has it all, and nothing is analysed twice."""
    cov = project.run(True, branch=True)
    expected = project.measured_slowly(cov)
    keeper = keep_from(cov)
    assert keeper is not None
    analyse, analysed = keeper._analyze, []

    def counted(morf: Any, *arguments: Any, **keywords: Any) -> Any:
        analysed.append(str(morf))
        return analyse(morf, *arguments, **keywords)

    keeper._analyze = counted
    cov.report([str(project.folder / "choices.py")], file=io.StringIO())
    assert list(keeper.files) == [str(project.folder / "choices.py")]

    found = measure(cov, keeper, project.folder)
    keeper.release()

    assert found == expected
    assert sorted(analysed) == sorted(set(analysed))


def test_a_module_that_somebody_asked_about_counts_once(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``Coverage.analysis2`` takes modules too, which are written otherwise than paths."""
    cov = project.run(True)
    expected = project.measured_slowly(cov)
    module = ModuleType("choices")
    module.__file__ = str(project.folder / "choices.py")
    keeper = keep_from(cov)
    assert keeper is not None

    cov.analysis2(module)
    found = measure(cov, keeper, project.folder)
    keeper.release()

    assert found == expected


def test_a_released_object_is_as_it_was(project: Project) -> None:
    """Its method is its class's own again."""
    cov = project.run(True)
    keeper = keep_from(cov)
    assert keeper is not None
    assert "_analyze" in vars(cov)

    keeper.release()
    keeper.release()

    assert "_analyze" not in vars(cov)


def test_a_report_is_the_same_with_and_without_a_keeper(project: Project) -> None:
    """pytest-cov's own report does not notice."""
    texts = []
    for keeps in (False, True):
        cov = project.run(True, branch=True)
        if keeps:
            assert keep_from(cov) is not None
        texts.append(io.StringIO())
        cov.report(file=texts[-1], show_missing=True)

    assert texts[0].getvalue() == texts[1].getvalue()
    assert "choices.py" in texts[0].getvalue()


def test_several_processes_are_asked_where_no_report_was_made(project: Project) -> None:
    """What they found is the measurement; where it does not pay, it is made here."""
    cov = project.run(True, branch=True)
    expected = project.measured(cov)
    one = expected.files[0]
    asked = []

    def together(of: coverage.Coverage) -> tuple[dict[str, FileCoverage], dict[str, str]] | None:
        asked.append(of)
        return ({one.path: one}, {"/gone.py": "NoSource"}) if len(asked) == 1 else None

    found = measure(cov, keep_from(cov), project.folder, together)
    again = measure(cov, keep_from(cov), project.folder, together)

    assert asked == [cov, cov]
    assert found == Measurement((one,), {"/gone.py": "NoSource"})
    assert again == expected


def test_several_processes_are_not_asked_after_a_report(project: Project) -> None:
    """Each file is analysed once."""
    cov = project.run(True)
    expected = project.measured(cov)
    keeper = keep_from(cov)
    cov.report(file=io.StringIO())

    def together(_: coverage.Coverage) -> NoReturn:
        raise AssertionError("asked")

    assert measure(cov, keeper, project.folder, together) == expected


def test_a_second_report_is_the_same_as_the_first(project: Project) -> None:
    """What was analysed is kept for it, whatever the precision."""
    cov = project.run(True, branch=True)
    plain = [io.StringIO() for _ in range(3)]
    kept = [io.StringIO() for _ in range(3)]
    for streams in (plain, kept):
        if streams is kept:
            assert keep_from(cov) is not None
        for precision, stream in zip((0, 2, 0), streams, strict=True):
            cov.report(file=stream, show_missing=True, precision=precision)

    assert [stream.getvalue() for stream in kept] == [stream.getvalue() for stream in plain]
    assert plain[0].getvalue() != plain[1].getvalue()


# -- files that fail ---------------------------------------------------------------------------


def null_bytes(path: Path) -> None:
    """The file holds what no source may."""
    path.write_bytes(b"a = 1\0\n")


def undecodable(path: Path) -> None:
    """The file is no UTF-8 and says nothing of another encoding."""
    path.write_bytes(b"a = '\xe9'\n")


def emptied(path: Path) -> None:
    """The file has lost its lines."""
    path.write_text("")


@pytest.mark.parametrize("damage", [unparsable, null_bytes, undecodable, vanished])
@pytest.mark.parametrize("branch", [True, False])
def test_a_file_that_fails_is_named_and_stops_no_other(
    tmp_path: Path, damage: Callable[[Path], None], branch: bool
) -> None:
    """Both ways give the same files and the same reasons."""
    project = small(tmp_path, "choices", "loops", "straight")
    cov = project.run(True, names=["choices", "loops", "straight"], branch=branch)
    damage(project.folder / "loops.py")

    fast = project.measured(cov)

    assert names_in(fast) == ["choices.py", "straight.py"]
    assert list(fast.failed) == [str(project.folder / "loops.py")]
    assert "\n" not in fast.failed[str(project.folder / "loops.py")]
    assert fast == project.measured_slowly(cov)


def test_several_files_that_fail_are_all_named(tmp_path: Path) -> None:
    """Coverage's own report would end at the first of them."""
    project = small(tmp_path, "choices", "loops", "straight")
    cov = project.run(True, names=["choices", "loops", "straight"])
    vanished(project.folder / "choices.py")
    unparsable(project.folder / "straight.py")

    fast = project.measured(cov)

    assert names_in(fast) == ["loops.py"]
    assert len(fast.failed) == 2
    assert fast == project.measured_slowly(cov)


def test_every_file_may_fail(tmp_path: Path) -> None:
    """There is a measurement then, of nothing."""
    project = small(tmp_path, "choices")
    cov = project.run(True, names=["choices"])
    vanished(project.folder / "choices.py")
    keeper = keep_from(cov)

    found = measure(cov, keeper, project.folder)

    assert found.files == ()
    assert list(found.failed) == [str(project.folder / "choices.py")]
    assert found == project.measured_slowly(cov)


def test_a_file_that_was_emptied_has_no_lines(tmp_path: Path) -> None:
    """It has not failed."""
    project = small(tmp_path, "choices", "loops")
    cov = project.run(True, names=["choices", "loops"], branch=True)
    emptied(project.folder / "loops.py")

    fast = project.measured(cov)

    assert names_in(fast) == ["choices.py", "loops.py"]
    assert fast == project.measured_slowly(cov)


def test_code_that_is_no_python_file_is_left_out_alike(tmp_path: Path) -> None:
    """Code compiled under the name of a template: coverage reports nothing of it, nor do we."""
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
    """Whether an empty job is sent is the user's choice; no other process is asked."""
    cov = coverage.Coverage(data_file=None, config_file=False)

    def together(_: coverage.Coverage) -> NoReturn:
        raise AssertionError("there is nothing to analyse")

    for keeper in (None, keep_from(cov)):
        assert measure(cov, keeper, tmp_path, together) == Measurement((), {})


@pytest.mark.filterwarnings("error")
def test_coverages_warnings_are_not_raised(tmp_path: Path) -> None:
    """A project whose warnings are errors is measured like any other."""
    project = small(tmp_path, "choices", "loops", "straight")
    cov = project.run(True, names=["choices", "loops", "straight"])
    vanished(project.folder / "choices.py")
    unparsable(project.folder / "straight.py")

    assert names_in(project.measured(cov)) == ["loops.py"]
    assert names_in(project.measured_slowly(cov)) == ["loops.py"]


def test_warnings_are_silent_for_a_while_only() -> None:
    """Afterwards they are what they were."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with quiet():
            warnings.warn("within", stacklevel=1)
        warnings.warn("after", stacklevel=1)

    assert [str(one.message) for one in caught] == ["after"]


def test_an_error_is_described_in_one_line() -> None:
    """Its kind and its message, whatever line ends are in it."""
    assert describe(ValueError("a\n  b\r\nc")) == "ValueError: a b c"


# -- a file tracer -----------------------------------------------------------------------------

PAGE = """\
{% if garden %}
  <p>{{ garden }}</p>
{% else %}
  <p>no garden</p>
{% endif %}
{% for bed in beds %}
  {{ bed }}
{% endfor %}
"""
RENDER = """\
import json
import sys
from pathlib import Path

import coverage
import django
from django.conf import settings

folder = Path(sys.argv[1])
cov = coverage.Coverage(data_file=None, config_file=str(folder / ".coveragerc"))
cov.start()
engine = {
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "DIRS": [str(folder)],
    "OPTIONS": {"debug": True},
}
settings.configure(TEMPLATES=[engine])
django.setup()
from django.template.loader import get_template

get_template("page.html").render({"garden": "Eden", "beds": [1, 2]})
cov.stop()

from pytest_coveralls_submit.measurement.recorder import keep_from
from pytest_coveralls_submit.measurement.measure import measure

keeper = keep_from(cov)
fast = measure(cov, keeper, folder)
keeper.release()
slow = measure(cov, None, folder)
pages = [file for file in fast.files if file.path.endswith("page.html")]
print(
    json.dumps(
        {
            "same": fast == slow,
            "kept": len(keeper.files),
            "pages": [[list(page.executed), list(page.missing)] for page in pages],
        }
    )
)
"""


def test_templates_that_a_plugin_traces_are_measured(tmp_path: Path) -> None:
    """A file tracer of others: lines of a Django template, the same both ways."""
    pytest.importorskip("django_coverage_plugin")
    (tmp_path / "page.html").write_text(PAGE)
    (tmp_path / ".coveragerc").write_text(
        f"[run]\nplugins = django_coverage_plugin\nsource = {tmp_path}\n"
    )
    (tmp_path / "render.py").write_text(RENDER)

    ended = subprocess.run(
        [sys.executable, "-W", "ignore", str(tmp_path / "render.py"), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout)
    assert said["same"]
    ((executed, missing),) = said["pages"]
    assert {1, 2, 6, 7} <= set(executed)
    assert 4 in missing


# -- branches ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CALLED)
def test_branches_are_numbered_alike_whatever_was_taken(project: Project, name: str) -> None:
    """Two jobs that took different branches are laid over each other by these numbers."""
    triples = []
    for flags in ((), (True,), (False,), (True, False)):
        found = project.measured(project.run(*flags, names=[name], branch=True))
        triples.append([branch[:3] for branch in project.quadruples(found, name)])

    assert triples[0] == triples[1] == triples[2] == triples[3]
    assert len(set(triples[0])) == len(triples[0])


def test_the_branch_that_was_taken_keeps_its_number(project: Project) -> None:
    """The two ways of one ``if`` are 0 and 1, whichever was taken."""
    taken = {}
    for flag in (True, False):
        found = project.measured(project.run(flag, names=["choices"], branch=True))
        taken[flag] = [hit for line, _, _, hit in project.quadruples(found, "choices") if line == 2]

    assert taken == {True: [1, 0], False: [0, 1]}


@pytest.mark.parametrize("flags", [(), (True,), (False,), (True, False)])
def test_totals_and_taken_per_line_are_coverages_own(
    project: Project, flags: tuple[bool, ...]
) -> None:
    """Line by line what ``Coverage.branch_stats`` says, of every module."""
    cov = project.run(*flags, branch=True)
    found = project.measured(cov)

    for name in MODULES:
        sums: dict[int, tuple[int, int]] = {}
        for line, _, _, hit in project.quadruples(found, name):
            total, taken = sums.get(line, (0, 0))
            sums[line] = (total + 1, taken + hit)
        stats = cov.branch_stats(str(project.folder / f"{name}.py"))
        assert sums == {line: stat for line, stat in stats.items() if stat[0]}


@pytest.mark.parametrize("branch", [True, False])
@pytest.mark.parametrize("config", ["", CONFIGURED["omit"], CONFIGURED["exclude_also"]])
def test_the_total_is_coverages_own(project: Project, branch: bool, config: str) -> None:
    """The percentage that is printed is the one that ``coverage report`` prints."""
    cov = project.run(True, config=config, branch=branch)

    own = cov.report(file=io.StringIO())

    assert 0 < own < 100
    assert project.measured(cov).percent == pytest.approx(own, abs=1e-9)


def test_nothing_to_cover_is_covered() -> None:
    """As coverage.py has it."""
    assert Measurement((), {}).percent == 100.0


@pytest.mark.parametrize(
    ("stats", "executed", "missing", "excluded", "branches"),
    [
        ({}, {}, {}, set(), []),
        ({4: (2, 1)}, {4: [5]}, {4: [7]}, set(), [4, 1, 4, 0]),
        ({4: (2, 1)}, {4: [7]}, {4: [5]}, set(), [4, 0, 4, 1]),
        ({4: (2, 1)}, {4: [5]}, {4: [-1]}, set(), [4, 0, 4, 1]),
        ({9: (1, 1), 4: (2, 2)}, {4: [5, 7], 9: [1]}, {}, set(), [4, 1, 4, 1, 9, 1]),
        ({4: (1, 1)}, {4: [5, 7]}, {}, {7}, [4, 1]),
        ({4: (1, 0)}, {}, {4: [5, 7]}, {7}, [4, 0]),
        ({4: (2, 1)}, {4: [5]}, {}, set(), [4, 1, 4, 0]),
        ({4: (3, 2)}, {4: [5]}, {4: [7]}, set(), [4, 1, 4, 1, 4, 0]),
        ({4: (2, 0)}, {}, {}, set(), [4, 0, 4, 0]),
        ({4: (2, 2)}, {4: [5]}, {4: [5, 7]}, set(), [4, 1, 4, 1]),
    ],
)
def test_branches_are_ordered_by_destination_and_counted_by_statistics(
    stats: dict[int, tuple[int, int]],
    executed: dict[int, list[int]],
    missing: dict[int, list[int]],
    excluded: set[int],
    branches: list[int],
) -> None:
    """Where destinations and statistics disagree, the statistics rule."""
    assert list(number_branches(stats, executed, missing, excluded)) == branches


# -- the private name --------------------------------------------------------------------------


class _Frozen(coverage.Coverage):
    """A later coverage.py whose call does not let itself be replaced."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "_analyze":
            raise AttributeError(name)
        super().__setattr__(name, value)


class _Nameless(coverage.Coverage):
    """A later coverage.py that has no such call."""

    def __getattribute__(self, name: str) -> Any:
        if name == "_analyze" and not _from_coverage():
            raise AttributeError(name)
        return super().__getattribute__(name)


def _from_coverage() -> bool:
    return "coverage" in Path(sys._getframe(2).f_code.co_filename).parent.parts


class _Elsewhere(coverage.Coverage):
    """A later coverage.py whose reports do not go through the call on the object."""

    def __getattribute__(self, name: str) -> Any:
        if name == "_analyze" and _from_coverage():
            return super().__getattribute__("_its_own")
        return super().__getattribute__(name)

    def _its_own(self, *arguments: Any, **keywords: Any) -> Any:
        return coverage.Coverage._analyze(self, *arguments, **keywords)


class _Odd:
    """An analysis in which nothing has its name any more."""

    def __init__(self, analysis: Any, hidden: str) -> None:
        self.analysis, self.hidden = analysis, hidden

    def __getattr__(self, name: str) -> Any:
        if name == self.hidden and not _from_coverage():
            raise AttributeError(name)
        return getattr(self.analysis, name)


@pytest.mark.parametrize("kind", [_Frozen, _Nameless, _Elsewhere])
def test_without_the_private_call_the_json_report_gives_the_same(
    project: Project, kind: type[coverage.Coverage]
) -> None:
    """Whatever a later coverage.py does to it, the job is the same."""
    expected = project.measured(project.run(True, branch=True))
    rc = project.folder / "coveragerc"
    cov = kind(data_file=None, config_file=str(rc), branch=True, source=[str(project.folder)])
    cov.start()
    for name in CALLED:
        path = project.folder / f"{name}.py"
        space: dict[str, Any] = {"__name__": name}
        exec(compile(path.read_bytes(), str(path), "exec"), space)
        space["run"](True)
    cov.stop()
    keeper = keep_from(cov)

    found = measure(cov, keeper, project.folder)

    assert (keeper is None) is (kind is not _Elsewhere)
    assert keeper is None or not keeper.files
    assert found == expected


@pytest.mark.parametrize(
    "hidden", ["filename", "executed", "missing", "has_arcs", "branch_stats", "excluded"]
)
def test_an_analysis_of_another_form_leads_to_the_json_report(
    project: Project, hidden: str
) -> None:
    """A name that is gone is noticed, coverage's own report goes on, the job is the same."""
    cov = project.run(True, branch=True)
    expected = project.measured(cov)
    analyse = cov._analyze

    def changed(*arguments: Any, **keywords: Any) -> Any:
        return _Odd(analyse(*arguments, **keywords), hidden)

    cov._analyze = changed  # type: ignore[method-assign]
    keeper = keep_from(cov)
    assert keeper is not None

    found = measure(cov, keeper, project.folder)

    assert keeper.files == {}
    assert found == expected


def test_a_keeper_that_kept_a_part_does_not_hide_the_rest(project: Project) -> None:
    """An analysis that fails us for some files only must not make them vanish."""
    cov = project.run(True, branch=True)
    expected = project.measured(cov)
    analyse = cov._analyze

    def changed(morf: Any, *arguments: Any, **keywords: Any) -> Any:
        analysis = analyse(morf, *arguments, **keywords)
        return _Odd(analysis, "executed") if "loops" in str(morf) else analysis

    cov._analyze = changed  # type: ignore[method-assign]
    keeper = keep_from(cov)

    assert measure(cov, keeper, project.folder) == expected


def test_what_cannot_be_wrapped_is_not_kept() -> None:
    """Anything may stand where pytest-cov's object is expected."""
    assert keep_from(object()) is None
    assert keep_from(None) is None


# -- whose data, and is it whole ---------------------------------------------------------------


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> list[coverage.Coverage]:
    """Nothing measures this process, even where the tests themselves are measured."""
    instances: list[coverage.Coverage] = []
    monkeypatch.setattr(coverage.Coverage, "_instances", instances)
    return instances


def config(plugin: object = None, *, loaded: bool = True, **options: object) -> pytest.Config:
    """A configuration in which pytest-cov's plugin is what is given; ``loaded`` has its module."""
    names = {"pytest_cov"} if loaded else set()
    names |= {"dsession"} if options.pop("spread", False) else set()
    manager = SimpleNamespace(get_plugin=lambda _: plugin, hasplugin=names.__contains__)
    made = SimpleNamespace(pluginmanager=manager, option=SimpleNamespace(**options))
    return cast("pytest.Config", made)


def controller(**changes: object) -> SimpleNamespace:
    """pytest-cov's controller after a run that was whole."""
    cov = object()
    return SimpleNamespace(
        **{"cov": cov, "combining_cov": cov, "started": False, "failed_workers": [], **changes}
    )


def reason(of: pytest.Config) -> str:
    """Why there is no whole measurement."""
    with pytest.raises(MeasurementError) as caught:
        finished(of)
    return str(caught.value)


def test_pytest_covs_controller_is_found_where_it_measures() -> None:
    """It is absent without ``--cov``, and under ``--no-cov`` disabled."""
    found = controller()

    assert controller_of(config(SimpleNamespace(cov_controller=found))) is found
    assert controller_of(config(SimpleNamespace(_disabled=True, cov_controller=found))) is None
    assert controller_of(config(SimpleNamespace())) is None
    assert controller_of(config(None)) is None


def test_the_object_that_reports_is_the_one_that_combines() -> None:
    """Older and other controllers have only one."""
    cov, combining = object(), object()

    assert reported_by(SimpleNamespace(cov=cov, combining_cov=combining)) is combining
    assert reported_by(SimpleNamespace(cov=cov, combining_cov=None)) is cov
    assert reported_by(SimpleNamespace(cov=cov)) is cov


def test_a_controller_that_has_combined_has_whole_data() -> None:
    """Its object is the one to report."""
    whole = controller()

    assert finished(config(SimpleNamespace(cov_controller=whole))) is whole.cov


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"failed_workers": ["gw1"]},
            "a worker crashed, so that its coverage is missing",
        ),
        ({"started": True}, "the run was cut short before pytest-cov combined its data"),
        ({"cov": object()}, "the run was cut short before pytest-cov combined its data"),
    ],
)
def test_a_controller_that_has_not_combined_has_none(
    changes: dict[str, object], expected: str
) -> None:
    """A part of the data would look like a drop in coverage."""
    assert reason(config(SimpleNamespace(cov_controller=controller(**changes)))) == expected


def test_a_process_measured_from_outside_is_reported(
    unmeasured: list[coverage.Coverage], project: Project
) -> None:
    """``coverage run -m pytest``: the Coverage object that is already on."""
    cov = project.run(True)
    unmeasured.append(cov)

    assert current() is cov
    assert finished(config(None)) is cov
    assert reason(config(None, spread=True)) == (
        "`coverage run` does not measure the workers of xdist: use --cov instead"
    )


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (config(None, no_cov=True), "--no-cov switched coverage off"),
        (
            config(None, loaded=False),
            "pytest-cov is not loaded, so that nothing was measured",
        ),
        (config(None), "nothing was measured"),
    ],
)
def test_where_nothing_measured_the_reason_is_given(
    unmeasured: list[coverage.Coverage], of: pytest.Config, expected: str
) -> None:
    """In the user's words."""
    assert reason(of) == expected


def session(**changes: object) -> pytest.Session:
    """A session that ran whole."""
    values = {"shouldfail": False, "shouldstop": False, "config": config(), **changes}
    return cast("pytest.Session", SimpleNamespace(**values))


@pytest.mark.parametrize(
    ("changes", "status", "expected"),
    [
        ({}, 0, None),
        ({}, 1, None),
        ({"config": config(collectonly=True)}, 0, "--collect-only runs no tests"),
        (
            {"shouldfail": "stopping after 1 failures"},
            1,
            "the run was stopped early: stopping after 1 failures",
        ),
        ({}, 2, "the run was interrupted: not all tests could be collected"),
        ({"shouldstop": "2 errors"}, 2, "the run was interrupted: 2 errors"),
        ({"shouldstop": "enough"}, 0, "the run was interrupted: enough"),
        ({}, 3, "pytest ended with exit status 3"),
        ({}, 4, "pytest ended with exit status 4"),
        ({}, 5, "no tests ran"),
        ({}, 7, "pytest ended with exit status 7"),
    ],
)
def test_a_session_that_was_cut_short_says_how(
    changes: dict[str, object], status: int, expected: str | None
) -> None:
    """Every ending but all passed and some failed."""
    assert cut_short(session(**changes), status) == expected


# -- the data of others ------------------------------------------------------------------------


@contextlib.contextmanager
def counting_files(folder: Path) -> Iterator[list[str]]:
    """The names that stand in a directory afterwards and did not before."""
    before = {path.name for path in folder.iterdir()}
    added: list[str] = []
    yield added
    added += sorted({path.name for path in folder.iterdir()} - before)


def test_measuring_leaves_no_file_behind(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The JSON report is made in the temporary directory, and goes."""
    temporary = project.folder / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    cov = project.run(True)

    with counting_files(temporary) as added:
        project.measured_slowly(cov)

    assert added == []


def test_a_temporary_directory_that_is_full_costs_no_exception(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The story goes on with the reason why there is no measurement."""
    monkeypatch.setattr("tempfile.tempdir", str(project.folder / "gone"))
    cov = project.run(True)

    with pytest.raises(MeasurementError):
        project.measured_slowly(cov)


def test_coverage_run_saves_the_same_with_and_without_us(tmp_path: Path) -> None:
    """``coverage run -m pytest --coveralls``: the data file is the user's, and stays whole."""
    (tmp_path / "garden.py").write_text("def bed(flag):\n    return 1 if flag else 2\n")
    (tmp_path / "test_garden.py").write_text(
        "import garden\n\n\ndef test_bed():\n    assert garden.bed(True) == 1\n"
    )
    saved = []
    for paths in ("", "[paths]\nsource =\n    .\n    */site-packages\n"):
        (tmp_path / ".coveragerc").write_text(f"[run]\nbranch = true\nsource = .\n{paths}")
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
    assert saved == [saved[0]] * 4


def arcs_in(path: Path) -> dict[str, list[tuple[int, int]]]:
    """What a data file holds, by file name."""
    held = coverage.CoverageData(str(path))
    held.read()
    found = {Path(name).name: sorted(held.arcs(name) or ()) for name in held.measured_files()}
    if hasattr(held, "close"):  # it came after coverage 7.7
        held.close()
    return found


def test_an_analysis_that_is_interrupted_interrupts(project: Project) -> None:
    """Ctrl-C is no analysis that failed."""
    cov = project.run(True)

    def interrupted(*_: Any, **__: Any) -> NoReturn:
        raise KeyboardInterrupt

    cov._analyze = interrupted  # type: ignore[method-assign]
    keeper = keep_from(cov)

    with pytest.raises(KeyboardInterrupt):
        measure(cov, keeper, project.folder)
