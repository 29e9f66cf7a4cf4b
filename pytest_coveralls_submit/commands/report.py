"""``report``: build a job from coverage data files and send it, without a test run."""

from dataclasses import replace
from pathlib import Path

from ..changed_lines import count_changed_lines, needs_counting
from ..commands import Console, exit_status
from ..context import RunContext, startup_problems, why_no_job
from ..errors import JobError, MeasurementError
from ..job.builder import build_job, names_in, read_files, sum_up
from ..measurement.data_files import measure_data_files
from ..outcome import NotSent, Outcome
from ..output import header
from ..submit import folders_for_jobs, submit, without_job

HELP = "build a job from coverage data files and send it"
ARGUMENTS: dict[str, dict[str, object]] = {
    "data": {
        "metavar": "DATA",
        "nargs": "*",
        "type": Path,
        "help": "data files, or folders of them; by default those in coverage's configuration",
    },
    "--rcfile": {"type": Path, "help": "coverage's configuration file"},
}


def run(console: Console) -> int:
    """Build the job and send it; return the exit status."""
    context = console.context
    problems: tuple[str, ...] = ()
    if why_no_job(context) is None:
        problems = tuple(startup_problems(context))
        console.print(*header(context, problems))
    outcome = _submit(console, context)
    console.report(outcome, known=problems)
    return exit_status(outcome, context)


def _submit(console: Console, context: RunContext) -> Outcome:
    skip = why_no_job(context)
    if skip is not None and not needs_counting(context.base, context.settings):
        return skip
    names = names_in(context)
    try:
        coverage = measure_data_files(
            console.options.data,
            # Under workflow_run the files here may come from a fork.
            config_file=not context.build.is_workflow_run and (console.options.rcfile or True),
            start=context.start,
            top=context.top,
            names=names.files,
        )
    except MeasurementError as error:
        if skip is not None and context.settings.changed_fail_under is None:
            return skip
        return NotSent(reason=str(error))  # a gate must not pass unseen
    files = read_files(coverage, names, context)
    changed = count_changed_lines(context.base, files.files, context.settings)
    findings = sum_up(coverage, files, changed)
    if skip is not None:
        return replace(skip, **vars(findings))
    try:
        job, notices = build_job(context, files)
    except (JobError, MeasurementError) as error:
        return without_job(findings, error)
    folders = folders_for_jobs(context)
    return submit(job, findings.plus(*notices), context, say=console.say, keep_in=folders)
