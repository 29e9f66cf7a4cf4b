"""The stand-in's checker finds every fault."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from standin import COVERALLS_TOKEN, Job, check

SOURCE_FILE: Job = {
    "name": "pkg/a.py",
    "source_digest": "0123456789abcdef" * 2,
    "coverage": [None, 1, 0, 7],
    "branches": [2, 0, 0, 1, 2, 0, 1, 0],
}
RIGHT: Job = {
    "repo_token": COVERALLS_TOKEN,
    "service_number": "9001",
    "service_branch": "topic/y",
    "parallel": True,
    "git": {
        "head": {"id": "5e837cc" + "0" * 33, "message": "Water the garden\n\nLitres a day.\n"},
        "branch": "topic/y",
        "remotes": [
            {"name": "origin", "url": "https://github.com/octo/sample.git"},
            {"name": "fork", "url": "git@github.com:ada/sample.git"},
        ],
    },
    "run_at": "2024-03-02T10:30:00+01:00",
    "source_files": [SOURCE_FILE, {**SOURCE_FILE, "name": "pkg/b.py", "source": ""}],
}


def test_a_right_job_has_no_findings() -> None:
    empty = {"name": "a.py", "source_digest": "0" * 32, "coverage": []}

    assert check(RIGHT) == []
    assert check({"repo_token": "x", "source_files": [empty]}) == []


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("job_id", ["1"]),
        ("service_number", [None, 9001, "", " 1", "a\nb"]),
        ("parallel", ["true", 1]),
        ("run_at", [1709371800, "yesterday", "2024-13-02T10:30:00Z", "2024-03-02T10:30:00"]),
        ("service_branch", ["HEAD"]),
        ("git", [{}]),
        ("git.head", [[], {"message": "x"}]),
        ("git.remotes", [[], [{"name": "x"}]]),
        ("git.remotes.0.url", ["https://user:secret@h/x", "https://token@h/x"]),
        ("git.remotes.0.url", ["ssh://git:secret@h/x", "https://h/x?token=1", "https://h/x#1"]),
        ("source_files", [{}, [1], [SOURCE_FILE, SOURCE_FILE], [{"name": "a", "coverage": []}]]),
        ("source_files.0.name", ["", 1, "/pkg/a.py", "C:/a.py", "pkg\\a.py"]),
        ("source_files.0.name", ["../a.py", "./a.py", "pkg//a.py", "pkg/"]),
        ("source_files.0.source_digest", ["x"]),
        ("source_files.0.coverage", ["1", [1, -1, 1, 1], [1, True, 1, 1], [1, 0.5, 1, 1]]),
        ("source_files.0.branches", [None, [], [2, 0, 0], [2, 0, -1, 1], [[2, 0, 0, 1]]]),
        ("source_files.0.branches", [[2, 0, 1, 1, 2, 0, 1, 0], [5, 0, 0, 1], [0, 0, 0, 1]]),
    ],
)
def test_each_fault_is_found(path: str, values: list[object]) -> None:
    for value in values:
        job = copy.deepcopy(RIGHT)
        *way, last = path.split(".")
        place: Any = job
        for step in way:
            place = place[int(step) if step.isdigit() else step]
        place[last] = value

        assert check(job), value
