"""Everything private of pytest-cov: is its measurement whole, and which object holds it."""

from __future__ import annotations

from typing import Any

import pytest

from ..errors import MeasurementError
from ..measurement.measure import current


def controller_of(config: pytest.Config) -> Any:
    """Return pytest-cov's controller, or None where it does not measure."""
    plugin = config.pluginmanager.get_plugin("_cov")
    if plugin is None or getattr(plugin, "_disabled", False):
        return None
    return getattr(plugin, "cov_controller", None)


def reported_by(controller: Any) -> Any:
    """Return the Coverage object that pytest-cov will report with once the tests have run."""
    return getattr(controller, "combining_cov", None) or controller.cov


def finished(config: pytest.Config) -> Any:
    """Return the Coverage object whose data is complete.

    Raises:
        MeasurementError: nothing was measured, or the data is not whole; the message is the
            reason in one line.
    """
    controller = controller_of(config)
    if controller is None:
        cov = current()
        if cov is None:
            raise MeasurementError(_why_not_measured(config))
        if config.pluginmanager.hasplugin("dsession"):
            raise MeasurementError(
                "`coverage run` does not measure the workers of xdist: use --cov instead"
            )
        return cov
    if getattr(controller, "failed_workers", None):
        raise MeasurementError("a worker crashed, so that its coverage is missing")
    cov = reported_by(controller)
    if getattr(controller, "started", False) or controller.cov is not cov:
        raise MeasurementError("the run was cut short before pytest-cov combined its data")
    return controller.cov


def _why_not_measured(config: pytest.Config) -> str:
    if getattr(config.option, "no_cov", False):
        return "--no-cov switched coverage off"
    if not config.pluginmanager.hasplugin("pytest_cov"):
        return "pytest-cov is not loaded, so that nothing was measured"
    return "nothing was measured: add --cov"
