"""pytest-cov's state at the end of a session: whose data, and is it whole."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import coverage
import pytest

from pytest_coveralls_submit.errors import MeasurementError
from pytest_coveralls_submit.measurement.measure import current
from pytest_coveralls_submit.session.pytest_cov import controller_of, finished, reported_by


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
    like_config = SimpleNamespace(pluginmanager=manager, option=SimpleNamespace(**options))
    return cast("pytest.Config", like_config)


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
    measuring = controller()

    assert controller_of(config(SimpleNamespace(cov_controller=measuring))) is measuring
    assert controller_of(config(SimpleNamespace(_disabled=True, cov_controller=measuring))) is None
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
    unmeasured: list[coverage.Coverage],
) -> None:
    """``coverage run -m pytest``: the Coverage object that is already on."""
    cov = coverage.Coverage(data_file=None, config_file=False)
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
        (config(None), "nothing was measured: add --cov"),
    ],
)
def test_where_nothing_measured_the_reason_is_given(
    unmeasured: list[coverage.Coverage], of: pytest.Config, expected: str
) -> None:
    """In the user's words."""
    assert reason(of) == expected
