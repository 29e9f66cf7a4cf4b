"""``report`` builds a job from coverage data files and sends it, without a run of pytest."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..measurement.data_files import measure_data_files
from ..measurement.measure import Measurement
from ..outcome import NotSent, Outcome
from ..submit import Edit, submit
from .console import ACCEPTED, REFUSED, Console, status_of

HELP = "build a job from coverage data files and send it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes beside settings."""
    parser.add_argument(
        "data",
        metavar="DATA",
        nargs="*",
        type=Path,
        help="data files, or folders of them; by default what coverage's configuration names",
    )
    parser.add_argument("--rcfile", type=Path, help="coverage's configuration file")


def run(console: Console) -> int:
    """Build the job and send it; return the exit status."""
    known = console.introduce() if console.plan.leads_to_a_job else ()
    outcome = submit(console.plan, DataRun(console.options, console.plan))
    console.tell(outcome, known=known)
    return _exit_status(outcome, console)


def _exit_status(outcome: Outcome, console: Console) -> int:
    if outcome.shortfall:
        return REFUSED
    if isinstance(outcome, NotSent) and console.plan.token is None and outcome.remedy:
        return REFUSED if console.plan.settings.strict else ACCEPTED
    return status_of(outcome)


class DataRun(Console):
    """What was measured before, as a submission asks for it."""

    narrowed: str | None = None
    skipped: str | None = None
    edit: Edit | None = None

    def measure(self) -> Measurement:
        """Combine the data files and let coverage analyse what they name.

        Raises:
            MeasurementError: a data file cannot be used, or there is none.
        """
        options, plan = self.options, self.plan
        with self.progress() as show:
            return measure_data_files(
                options.data,
                # Under workflow_run what lies here may be a fork's.
                config_file=not plan.build.is_workflow_run and (options.rcfile or True),
                start=plan.start,
                top=plan.top,
                list_names=lambda: plan.naming.files,
                allow_empty=plan.settings.allow_empty,
                begin=lambda count: show(
                    f"coveralls: analysing {count:,} file" + "s" * (count > 1)
                ),
            )

    def folder(self) -> Path | None:
        """Return None: without pytest there is no cache of its."""
        return None
