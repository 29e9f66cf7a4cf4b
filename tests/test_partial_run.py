"""What counts as a partial run, and whose coverage data is complete."""

from __future__ import annotations

from types import SimpleNamespace

import coverage
import pytest

from pytest_coveralls_submit.errors import MeasurementError
from pytest_coveralls_submit.partial_run import (
    finished_coverage,
    selected_by,
    selection_arguments,
)

# As pytest-testmon and pytest-picked add them.
OTHER_PLUGINS = """
def pytest_addoption(parser):
    parser.addoption("--testmon", action="store_true")
    parser.addoption("--testmon-noselect", action="store_true")
    parser.addoption("--picked", nargs="?", const="only", choices=["first", "only"])
    parser.addoption("--splits", type=int)
"""


def configure(pytester: pytest.Pytester, *arguments: str, xdist: bool = False) -> pytest.Config:
    """Return pytest's own configuration for arguments."""
    pytester.makeconftest(OTHER_PLUGINS)
    config = pytester.parseconfig("-p", "no:xdist", *arguments)
    if xdist:
        config.pluginmanager.register(object(), "dsession")
    return config


def cause(config: pytest.Config, deselected: int = 0) -> str | None:
    """Return what made the run a partial one."""
    return selected_by(config, selection_arguments(config), deselected)


@pytest.mark.parametrize(
    ("arguments", "deselected", "said"),
    [
        ([], 0, None),
        (["-k", "a and b"], 3, "-k 'a and b'"),
        (["-k", "a"], 0, None),
        (["-m", "not slow"], 1, "-m 'not slow'"),
        (["-m", "not slow"], 0, None),
        (["-k", "a", "-m", "b"], 4, "-k a and -m b"),
        (["--deselect=test_a.py::test_b"], 1, "--deselect"),
        (["--deselect=test_a.py::test_b"], 0, None),
        (["test_a.py::test_b"], 0, "node ids"),
        (["test_a.py", "-v", "test_a.py::test_b"], 0, "node ids"),
        (["test_a.py"], 0, None),
        (["--testmon"], 0, "--testmon"),
        (["--testmon", "--testmon-noselect"], 0, None),
        (["--picked"], 0, "--picked"),
        (["--picked=first"], 0, None),
        # pytest-split: the other jobs of a parallel build run what this one leaves out.
        (["--splits=3"], 20, None),
    ],
)
def test_typed_arguments_that_left_tests_out_make_a_partial_run(
    pytester: pytest.Pytester, arguments: list[str], deselected: int, said: str | None
) -> None:
    pytester.makepyfile(test_a="def test_b(): pass")

    assert cause(configure(pytester, *arguments), deselected) == said


@pytest.mark.parametrize("words", ["-m 'not slow'", "-k a", "--testmon", "--picked"])
@pytest.mark.parametrize("place", ["typed", "PYTEST_ADDOPTS", "addopts"])
def test_the_ini_file_makes_no_partial_run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, words: str, place: str
) -> None:
    """Under xdist the workers deselect, so that the arguments alone count."""
    if place == "addopts":
        pytester.makeini(f"[pytest]\naddopts = {words}\n")
    if place == "PYTEST_ADDOPTS":
        monkeypatch.setenv("PYTEST_ADDOPTS", words)
    typed = words.replace("'", "").split(" ", 1) if place == "typed" else []
    config = configure(pytester, *typed, xdist=True)

    assert cause(config) == (None if place == "addopts" else words)


@pytest.mark.parametrize(
    ("arguments", "failed", "said"),
    [(["--lf"], True, "--lf"), (["--lf"], False, None), ([], True, None)],
)
def test_last_failed_leaves_nothing_out_unless_tests_have_failed(
    pytester: pytest.Pytester, arguments: list[str], failed: bool, said: str | None
) -> None:
    if failed:
        pytester.makefile(".py", test_a="def test_b(): pass")
        cache = pytester.path / ".pytest_cache/v/cache"
        cache.mkdir(parents=True)
        (cache / "lastfailed").write_text('{"test_a.py::test_b": true}')

    assert cause(pytester.parseconfigure(*arguments)) == said


def with_controller(config: pytest.Config, **changes: object) -> SimpleNamespace:
    """Register pytest-cov's plugin as it is after a complete run."""
    cov = object()
    state = {"cov": cov, "combining_cov": cov, "started": False, "failed_workers": [], **changes}
    controller = SimpleNamespace(**state)
    plugin = SimpleNamespace(cov_controller=controller, _disabled=False)
    config.pluginmanager.register(plugin, "_cov")
    return controller


def test_a_controller_that_has_combined_has_complete_data(pytester: pytest.Pytester) -> None:
    config = configure(pytester)
    controller = with_controller(config)

    assert finished_coverage(config) is controller.cov


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"failed_workers": ["gw1"]}, "a worker crashed"),
        ({"started": True}, "the run was cut short before pytest-cov combined"),
        ({"cov": object()}, "the run was cut short before pytest-cov combined"),
    ],
)
def test_a_controller_that_has_not_combined_has_no_data(
    pytester: pytest.Pytester, changes: dict[str, object], said: str
) -> None:
    config = configure(pytester)
    with_controller(config, **changes)

    with pytest.raises(MeasurementError, match=said):
        finished_coverage(config)


def test_what_coverage_run_measures_is_reported_but_not_of_workers(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    cov = coverage.Coverage(data_file=None, config_file=False)
    monkeypatch.setattr(coverage.Coverage, "_instances", [cov])

    assert finished_coverage(configure(pytester)) is cov
    with pytest.raises(MeasurementError, match="does not measure the workers of xdist"):
        finished_coverage(configure(pytester, xdist=True))
