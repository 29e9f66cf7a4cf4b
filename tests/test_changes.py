"""Changed lines are told whatever becomes of the job, and may fail the run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from git_repository import GIT, Repository, fake_git, needs_git, posix
from standin import StandIn
from story import Ran, Story

from pytest_coveralls_submit.errors import MeasurementError
from pytest_coveralls_submit.measurement.records import Measurement
from pytest_coveralls_submit.outcome import (
    Built,
    ChangedFile,
    ChangedLines,
    Failed,
    NotSent,
    Outcome,
    Sent,
)
from pytest_coveralls_submit.submit import submit

pytestmark = needs_git
CHANGED = ChangedLines(
    (ChangedFile("a.py", 1, 2, missed=((3, 3),)), ChangedFile("b.py", 1, 1, partial=(1,)))
)
"""Of the last two lines of a.py one ran; of the new b.py one line is counted."""
KINDS = {"token": Sent, "no token": NotSent, "dry run": Built, "refused": Failed}


class Since:
    """A story whose changes are counted from the first of two commits."""

    def __init__(self, story: Story, server: StandIn) -> None:
        self.story, self.server = story, server
        story.env["PATH"] = os.environ["PATH"]
        (story.top / "a.py").write_text("a = 1\n")
        story.commit("a.py")
        self.repository = Repository(story.top, init=False)
        self.base = self.repository.git("rev-parse", "HEAD")
        (story.top / "a.py").write_text("a = 1\nb = 2\nc = 3\n")
        story.commit("a.py", "b.py")

    def submit(self, case: str = "token", **texts: str) -> Outcome:
        """Submit what was measured, in one of the cases above."""
        texts = {"host": self.server.url, "compare_sha": self.base, **texts}
        if case == "dry run":
            texts["dry_run"] = "1"
        if case == "refused":
            self.server.respond(503)
        has_token = case in {"token", "refused"}
        outcome = self.story.submit(self.story.plan(self.server if has_token else None, **texts))
        assert type(outcome) is KINDS[case], outcome
        assert len(self.server.jobs) == (case == "token")
        return outcome


@pytest.fixture
def since(story: Story, server: StandIn) -> Since:
    """See above."""
    return Since(story, server)


@pytest.mark.parametrize("case", KINDS)
def test_changed_lines_are_told_whatever_becomes_of_the_job(since: Since, case: str) -> None:
    """As measured; with ``-v`` also what they are counted from."""
    outcome = since.submit(case)

    assert outcome.changed == CHANGED
    assert outcome.shortfall == ""
    origin = f"changed lines are counted from {since.base[:7]}: compare_sha"
    assert outcome.details[-1] == origin


def test_changed_files_are_named_as_they_are_sent(since: Since) -> None:
    """``base_dir`` goes, ``src_dir`` comes."""
    story = since.story
    story.files = [story.file("backend/c.py", [1, 2], [3])]
    story.commit("backend/c.py")

    changed = since.submit(base_dir="backend", src_dir="api").changed

    assert changed is not None
    assert [file.name for file in changed.files] == ["api/c.py"]
    assert since.server.jobs[0]["source_files"][0]["name"] == "api/c.py"


@pytest.mark.parametrize("case", KINDS)
@pytest.mark.parametrize(
    ("gate", "shortfall"),
    [
        ("66", ""),
        ("66.7", "2 of 3 changed lines are covered, 66.67%; changed_fail_under asks for 66.7%"),
    ],
)
def test_too_few_covered_changed_lines_are_a_shortfall(
    since: Since, case: str, gate: str, shortfall: str
) -> None:
    """Whatever becomes of the job."""
    assert since.submit(case, changed_fail_under=gate).shortfall == shortfall


def test_a_change_of_nothing_measured_is_no_shortfall(since: Since) -> None:
    """Of a text nothing can be covered."""
    since.base = since.repository.git("rev-parse", "HEAD")
    since.repository.commit("read me", "README.md")

    outcome = since.submit(changed_fail_under="100")

    assert outcome.changed == ChangedLines()
    assert outcome.shortfall == ""


@pytest.mark.parametrize("gate", ["", "100"])
def test_changed_lines_may_be_left_out(since: Since, gate: str) -> None:
    """``changed_lines = false``; a gate goes on."""
    outcome = since.submit(changed_lines="0", changed_fail_under=gate)

    assert outcome.changed is None
    assert bool(outcome.shortfall) == bool(gate)
    assert not any("changed lines" in line for line in outcome.notices)


REMEDY = (
    "changed lines: not known, this clone lacks what the pull request is based on; let the CI "
    "service clone more commits, and set COVERALLS_COMPARE_REF to the branch that the pull "
    "request goes into"
)
UNHEEDED = "changed_fail_under is not heeded"


@pytest.mark.parametrize("case", KINDS)
@pytest.mark.parametrize(
    ("request_number", "gate", "notices"),
    [
        ("5", "", (REMEDY,)),
        ("5", "50", (f"{REMEDY}; {UNHEEDED}",)),
        ("", "50", (f"changed lines: not known; {UNHEEDED}",)),
        ("", "", ()),
    ],
)
def test_without_a_base_there_is_a_line_where_somebody_can_do_something(
    since: Since, case: str, request_number: str, gate: str, notices: tuple[str, ...]
) -> None:
    """For a pull request the remedy; a gate is never passed over in silence."""
    since.story.env["CI_PULL_REQUEST"] = request_number

    outcome = since.submit(case, compare_sha="", changed_fail_under=gate)

    assert (outcome.changed, outcome.shortfall) == (None, "")
    assert outcome.notices == notices


def test_a_run_that_measured_nothing_is_not_told_of_the_base(since: Since) -> None:
    """A fork's run without ``--cov`` has no token, and needs no other clone."""
    since.story.env["CI_PULL_REQUEST"] = "5"

    def measure() -> Measurement:
        raise MeasurementError("nothing was measured")

    outcome = submit(since.story.plan(), Ran(measure, since.story.said.append))

    assert isinstance(outcome, NotSent)
    assert (outcome.reason, outcome.notices) == ("no token", ())


@posix
def test_a_comparison_that_fails_costs_a_line(since: Since, tmp_path: Path) -> None:
    """The job is sent all the same."""
    script = f'case "$*" in *diff-*) exit 1;; *) exec {GIT} "$@";; esac'
    since.story.env |= fake_git(tmp_path / "bin", script)

    outcome = since.submit()

    assert outcome.changed is None
    assert outcome.notices == ("changed lines: not known, git could not compare the commits",)
