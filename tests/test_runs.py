"""Whole runs of pytest, as a user starts them, against the stand-in server."""

from __future__ import annotations

from running import Runner, told


def test_one_flag_measures_and_submits_one_job(run: Runner) -> None:
    """``--coveralls`` alone measures as ``--cov`` would, and sends one job."""
    result = run("--coveralls")

    assert result.returncode == 0, result.stdout
    assert len(run.server.jobs) == 1
    assert "sent 5 files, 78.72% covered -> " in told(result.stdout)[-1]
