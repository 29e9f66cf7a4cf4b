"""The changed lines of a run: git's comparison, the measured files, and what they come to.

How a diff is read and counted is left to ``measurement/changed``; which commit is compared with,
to ``identity/base``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from .errors import ProcessError
from .identity.base import Base, NoBase
from .job.files import Reading
from .measurement.changed import changed_lines, parse
from .outcome import ChangedLines, Outcome
from .plan import Plan

Changed = Mapping[str, Sequence[range]]
"""Name as it is sent -> changed lines."""


def has_to_tell(plan: Plan) -> bool:
    """Whether a run that measured has something to tell of changed lines, or why it has not."""
    has_remedy = isinstance(plan.base, NoBase) and bool(plan.base.remedy)
    return plan.diff is not None or has_remedy or plan.settings.changed_fail_under is not None


def changed_ranges(plan: Plan) -> tuple[Changed | None, str]:
    """Return which lines have changed, None where that is not known, and why not."""
    if plan.diff is None:
        return None, plan.base.remedy if isinstance(plan.base, NoBase) else ""
    try:
        ranges = parse(plan.diff.read())
    except ProcessError as error:
        return None, f"changed lines: not known, {error}"
    named = ((plan.naming.as_sent(name), lines) for name, lines in ranges.items())
    return {name: lines for name, lines in named if name is not None}, ""


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
    counted = changed_lines(
        changed, ((file.name, file.coverage, file.branches) for file in reading.files)
    )
    assert isinstance(plan.base, Base)
    origin = f"changed lines are counted from {plan.base.commit[:7]}: {plan.base.reason}"
    return replace(
        outcome,
        changed=counted if plan.settings.changed_lines or plan.settings.annotate else None,
        shortfall=_shortfall(counted, gate),
        details=(*outcome.details, origin),
    )


def _shortfall(changed: ChangedLines, gate: float | None) -> str:
    """Return why the changed lines fail the run; a change of nothing measured never does."""
    if gate is None or not changed.total or changed.percent >= gate:
        return ""
    return (
        f"{changed.covered} of {changed.total} changed lines are covered, "
        f"{changed.percent:.2f}%; changed_fail_under asks for {gate:g}%"
    )
