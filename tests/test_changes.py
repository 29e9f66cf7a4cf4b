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
NOT_KNOWN = (
    "changed lines: not known, git could not compare the commits; a partial clone (`filter`) lacks "
    "what they hold"
)
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
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, ()),
        ({"service_pull_request": "7"}, (NOT_KNOWN,)),
        ({"changed_fail_under": "1"}, (f"{NOT_KNOWN}; changed_fail_under is not heeded",)),
    ],
)
def test_a_comparison_that_fails_costs_a_line_where_somebody_asks_for_it(
    since: Since, tmp_path: Path, settings: dict[str, str], said: tuple[str, ...]
) -> None:
    """Of a pull request, or for the gate; the job is sent all the same."""
    script = f'case "$*" in *diff-*) exit 1;; *) exec {GIT} "$@";; esac'
    since.story.env |= fake_git(tmp_path / "bin", script)

    outcome = since.submit(**settings)

    assert outcome.changed is None
    assert outcome.notices == said


def test_a_file_that_was_edited_since_the_commit_is_left_out(since: Since) -> None:
    """On a CI service: git has compared commits, and the lines are others by now."""
    since.story.env["CI_NAME"] = "my-ci"
    (since.story.top / "a.py").write_text("# stamped\na = 1\nb = 2\nc = 3\n")
    (since.story.top / "b.py").write_bytes(b"a = 1\r\nb = 2\r\nc = 3\r\n")

    outcome = since.submit()

    assert outcome.changed is not None
    assert [file.name for file in outcome.changed.files] == ["b.py"]
    assert "changed lines: without what was edited since the commit: a.py" in outcome.notices


def test_changes_of_another_file_of_the_same_name_in_the_job_do_not_count(since: Since) -> None:
    """``base_dir`` may give two files one name."""
    story = since.story
    story.files = [story.file("api/a.py", [1], [2, 3])]
    story.commit("api/a.py")

    changed = since.submit(base_dir="api").changed

    assert changed is not None
    (file,) = changed.files
    assert (file.name, file.repository_name, file.covered, file.total) == ("a.py", "api/a.py", 1, 3)


def test_a_base_that_was_named_in_vain_is_told(since: Since) -> None:
    """A misspelt branch, a commit that was not cloned."""
    since.story.env.pop("CI_NAME")  # a laptop
    since.repository.git("update-ref", "refs/remotes/origin/main", since.base)

    outcome = since.submit(compare_sha="0123456789abcdef")

    assert outcome.changed == CHANGED
    assert "compare_sha 0123456789abcdef is not in this clone" in outcome.notices
    since.repository.git("update-ref", "-d", "refs/remotes/origin/main")
    outcome = since.story.submit(since.story.plan(dry_run="1", compare_ref="mian"))
    assert "changed lines: not known, compare_ref mian is not in this clone" in outcome.notices


@pytest.mark.xfail(strict=True, reason='it says "is not"')
def test_two_settings_named_in_vain_are_told_in_the_plural(since: Since) -> None:
    """Neither is in the clone."""
    names = {"compare_sha": "0123456789abcdef", "compare_ref": "mian"}

    outcome = since.submit("dry run", **names)

    notice = "compare_sha 0123456789abcdef and compare_ref mian are not in this clone"
    assert any(notice in line for line in outcome.notices)


def test_what_is_not_sent_on_purpose_is_counted_and_fails_nothing(since: Since) -> None:
    """``on_partial = skip``: less was run than could have been."""
    plan = since.story.plan(changed_fail_under="100", compare_sha=since.base)
    measured = Measurement(tuple(since.story.files), {})
    run = Ran(lambda: measured, since.story.said.append, skipped="narrowed by -k a")

    outcome = submit(plan, run)

    assert isinstance(outcome, NotSent)
    assert (outcome.reason, outcome.changed, outcome.shortfall) == ("narrowed by -k a", CHANGED, "")
    (notice,) = outcome.notices
    assert notice.startswith("changed_fail_under is not heeded: 2 of 3 changed lines are covered")
