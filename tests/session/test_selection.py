"""Reasons to send nothing, and what narrowed a run to a part of its tests."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_coveralls_submit.session.wholeness import (
    narrowed,
    reason_for_nothing,
    reason_to_skip,
    runs_last_failed,
)
from pytest_coveralls_submit.settings.table import Settings

SEND, SKIP_PART = Settings(), Settings({"on_partial": "skip"})
SKIP_FAILURE = Settings({"on_failure": "skip"})


def config(
    *plugins: object, stats: dict[str, list[int]] | None = None, **options: Any
) -> pytest.Config:
    """A configuration with plugins and options; without ``stats`` there is no reporter."""
    named: dict[str, object] = options.pop("named", {})
    if stats is not None:
        named = {**named, "terminalreporter": SimpleNamespace(stats=stats)}
    manager = SimpleNamespace(
        get_plugins=lambda: plugins, get_plugin=named.get, hasplugin=named.__contains__
    )
    arguments = options.pop("args", [])
    option = SimpleNamespace(**options)
    made = SimpleNamespace(pluginmanager=manager, option=option, args=arguments)
    return cast("pytest.Config", made)


def session(of: pytest.Config, *, failed: int = 0) -> pytest.Session:
    """A session that ran to its end."""
    values = {"config": of, "testsfailed": failed, "shouldfail": False, "shouldstop": False}
    return cast("pytest.Session", SimpleNamespace(**values))


class WorkerFailSession:
    """What xdist registers in the session that ``--looponfail`` starts."""


class Other:
    """Some plugin."""


def test_a_whole_run_is_sent() -> None:
    """Nothing narrowed it, nothing failed."""
    assert reason_for_nothing(session(config(Other())), 0) is None
    assert reason_to_skip(session(config(Other())), SEND, None) is None


@pytest.mark.parametrize("of", [config(WorkerFailSession()), config(looponfail=True)])
def test_a_loop_sends_nothing(of: pytest.Config) -> None:
    """Each save of a file would be a build."""
    expected = "--looponfail runs the tests again and again"

    assert reason_for_nothing(session(of), 0) == expected


@pytest.mark.parametrize(
    ("changes", "status", "expected"),
    [
        ({}, 0, None),
        ({}, 1, None),
        ({"config": config(collectonly=True)}, 0, "--collect-only runs no tests"),
        (
            {"shouldfail": "stopping after 1 failures"},
            1,
            "the run was stopped early: stopping after 1 failures",
        ),
        ({}, 2, "the run was interrupted: not all tests could be collected"),
        ({"shouldstop": "2 errors"}, 2, "the run was interrupted: 2 errors"),
        ({"shouldstop": "enough"}, 0, "the run was interrupted: enough"),
        ({}, 3, "pytest ended with exit status 3"),
        ({}, 5, "no tests ran"),
        ({}, 7, "pytest ended with exit status 7"),
    ],
)
def test_a_run_that_was_cut_short_sends_nothing(
    changes: dict[str, object], status: int, expected: str | None
) -> None:
    """Whatever the settings are; tests that failed are no such ending."""
    run = session(config())
    vars(run).update(changes)

    assert reason_for_nothing(run, status) == expected


@pytest.mark.parametrize("stats", [{"failed": [1]}, {"error": [1]}])
def test_failed_tests_are_sent_unless_asked_otherwise(stats: dict[str, list[int]]) -> None:
    """``on_failure = skip`` and pytest-cov's ``--no-cov-on-fail`` ask otherwise."""
    expected = "tests failed (on_failure = skip)"
    run = session(config(stats=stats), failed=1)
    without_report = session(config(stats=stats, no_cov_on_fail=True), failed=1)

    assert reason_to_skip(run, SEND, None) is None
    assert reason_to_skip(run, SKIP_FAILURE, None) == expected
    assert reason_to_skip(without_report, SEND, None) == expected


def test_too_little_coverage_is_no_failed_test() -> None:
    """pytest-cov counts ``--cov-fail-under`` as one more failure; the tests passed."""
    run = session(config(stats={"passed": [1], "failed": []}), failed=1)

    assert reason_to_skip(run, SKIP_FAILURE, None) is None


def test_without_a_reporter_every_failure_counts() -> None:
    """``-p no:terminal`` has no list of what failed."""
    assert reason_to_skip(session(config(), failed=1), SKIP_FAILURE, None) is not None


def test_passing_tests_are_no_failure() -> None:
    """``on_failure = skip`` leaves a good run alone."""
    assert reason_to_skip(session(config()), SKIP_FAILURE, None) is None


def test_a_narrowed_run_is_skipped_where_that_is_asked_for() -> None:
    """And sent otherwise; the warning is the story's."""
    run = session(config())

    assert reason_to_skip(run, SEND, "-k beds") is None
    assert reason_to_skip(run, SKIP_PART, None) is None
    assert reason_to_skip(run, SKIP_PART, "-k beds") == (
        "the run was narrowed by -k beds (on_partial = skip)"
    )


SPREAD = {"named": {"dsession": object()}}


@pytest.mark.parametrize(
    ("options", "deselected", "cause"),
    [
        ({}, 0, None),
        ({"keyword": "", "markexpr": "", "lf": False, "deselect": None}, 2,
         "the deselection of 2 tests"),
        ({"keyword": "a and b"}, 3, "-k 'a and b'"),
        ({"keyword": "a"}, 0, None),
        ({"keyword": "a", **SPREAD}, 0, "-k a"),
        ({"markexpr": "not slow"}, 1, "-m 'not slow'"),
        ({"markexpr": "not slow"}, 0, None),
        ({"markexpr": "slow", **SPREAD}, 0, "-m slow"),
        ({"deselect": ["tests/a.py::b"]}, 1, "--deselect"),
        ({"deselect": ["tests/a.py::b"]}, 0, None),
        ({"deselect": ["tests/a.py::b"], **SPREAD}, 0, "--deselect"),
        ({"args": ["tests/a.py::test_b"]}, 0, "node ids"),
        ({"args": ["tests", "C:\\x"]}, 0, None),
        ({}, 1, "the deselection of 1 test"),
        (SPREAD, 0, None),
        ({"keyword": "a", "markexpr": "b"}, 4, "-k a and -m b"),
    ],
)  # fmt: skip
def test_what_narrowed_a_run_is_told_in_the_users_words(
    options: dict[str, Any], deselected: int, cause: str | None
) -> None:
    """The flags that left some tests out; else how many were deselected by whom ever.

    Under xdist the workers deselect, so that flags count without a number.
    """
    assert narrowed(config(**options), deselected, last_failed=False) == cause


def test_last_failed_narrows_where_it_was_known_to() -> None:
    """The tests change what the flag leaves out: it is asked before them."""
    assert narrowed(config(), 0, last_failed=True) == "--lf"
    assert narrowed(config(keyword="a"), 1, last_failed=True) == "-k a and --lf"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, False),
        ({"lf": False, "named": {"lfplugin": SimpleNamespace(lastfailed={"a": True})}}, False),
        ({"lf": True, "named": {"lfplugin": SimpleNamespace(lastfailed={"a": True})}}, True),
        ({"lf": True, "named": {"lfplugin": SimpleNamespace(lastfailed={})}}, False),
        ({"lf": True}, True),
    ],
)
def test_last_failed_leaves_none_out_unless_some_have_failed(
    options: dict[str, Any], expected: bool
) -> None:
    """``--lf`` may always be in addopts; what is not known is taken for a part."""
    assert runs_last_failed(config(**options)) is expected
