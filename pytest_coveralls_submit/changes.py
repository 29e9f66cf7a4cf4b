"""The changed lines of a run: git's comparison, the measured files, and what they come to.

How a diff is read and counted is left to ``measurement/changed``; which commit is compared with,
to ``identity/base``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from .context import Plan
from .errors import ProcessError
from .git import is_content
from .identity.base import Base, NoBase
from .job.source_files import Reading
from .measurement.changed import Change, Counted, changed_lines, parse
from .outcome import ChangedLines, Outcome
from .text import percentage

Changed = Mapping[str, Change]
"""Name in the repository -> what has changed."""
NAMED = 5
"""How many files a notice names."""


def has_to_tell(plan: Plan) -> bool:
    """Whether a run that measured has something to tell of changed lines, or why it has not."""
    has_remedy = isinstance(plan.base, NoBase) and bool(plan.base.remedy)
    return plan.diff is not None or has_remedy or plan.settings.changed_fail_under is not None


def changed_ranges(plan: Plan) -> tuple[Changed | None, str]:
    """Return which lines have changed, None where that is not known, and why not."""
    if plan.diff is None:
        return None, plan.base.remedy if isinstance(plan.base, NoBase) else ""
    try:
        return parse(plan.diff.read()), ""
    except ProcessError as error:
        is_pull_request = plan.identity.service_pull_request is not None
        is_asked = is_pull_request or plan.settings.changed_fail_under is not None
        return None, f"changed lines: not known, {error}" if is_asked else ""


def with_changed_lines(
    outcome: Outcome, plan: Plan, changed: Changed | None, trouble: str, reading: Reading
) -> Outcome:
    """Return the outcome with how many of the changed lines are covered.

    Args:
        outcome: of the job.
        plan: of session start.
        changed: see :func:`changed_ranges`.
        trouble: why there is nothing to count, to be told.
        reading: the measured files.
    """
    gate = plan.settings.changed_fail_under
    if changed is None:
        if gate is not None:
            trouble = f"{trouble or 'changed lines: not known'}; changed_fail_under is not heeded"
        return replace(outcome, notices=(*outcome.notices, *([trouble] if trouble else [])))
    assert isinstance(plan.base, Base)
    other = sorted(_other_content(plan, changed, reading))
    counted = changed_lines(
        {name: change for name, change in changed.items() if name not in other}, _counted(reading)
    )
    origin = f"changed lines are counted from {plan.base.commit[:7]}: {plan.base.reason}"
    notices = [plan.base.notice] if plan.base.notice else []
    if other:
        names = ", ".join(other[:NAMED]) + ", ..." * (len(other) > NAMED)
        notices.append(f"changed lines: without what was edited since the commit: {names}")
    return replace(
        outcome,
        changed=counted if plan.settings.changed_lines or plan.settings.annotate else None,
        shortfall=_shortfall(counted, gate),
        details=(*outcome.details, origin),
        notices=(*outcome.notices, *notices),
    )


def _counted(reading: Reading) -> Iterator[Counted]:
    for file in reading.files:
        in_repository = file.repository_name or file.name
        yield Counted(file.name, in_repository, file.coverage, file.branches)


def _other_content(plan: Plan, changed: Changed, reading: Reading) -> Iterator[str]:
    """Yield the files whose lines are not those of the commit that git has compared.

    A CI job may stamp a version into a file before the tests.
    """
    for file in _counted(reading):
        change = changed.get(file.repository_name)
        if change is None or change.blob is None:
            continue
        if not is_content(plan.top / file.repository_name, change.blob):
            yield file.repository_name


def _shortfall(changed: ChangedLines, gate: float | None) -> str:
    """Return why the changed lines fail the run; a change of nothing measured never does."""
    if gate is None or not changed.total or changed.percent >= gate:
        return ""
    return (
        f"{changed.covered} of {changed.total} changed lines are covered, "
        f"{percentage(changed.percent)}%; changed_fail_under asks for {gate:.10g}%"
    )
