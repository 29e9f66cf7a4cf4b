"""Jobs that stand in files: kept or saved ones, and Coveralls JSON made by other tools."""

from __future__ import annotations

import sys
from json import loads
from pathlib import Path
from typing import Any

from ..errors import JobError
from .document import check
from .files import larger


def load(path: Path) -> dict[str, Any]:
    """Read a job from ``path``, or from standard input for ``-``; a token in it is dropped.

    Raises:
        JobError: it cannot be read, is no job, or has fields that Coveralls does not document.
    """
    try:
        content = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        job = loads(content)
    except OSError as error:
        raise JobError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise JobError(f"{path} is no JSON file: {error}") from None
    if not isinstance(job, dict) or not isinstance(job.get("source_files"), list):
        raise JobError(f'{path} is no Coveralls job: it has no list "source_files"')
    job.pop("repo_token", None)
    try:
        check(job)
    except JobError as error:
        raise JobError(f"{path}: {error}") from None
    return job


def merge(files: list[dict[str, Any]], path: Path) -> list[dict[str, Any]]:
    """Return ``files`` with the source files of ``path`` added, sorted by name.

    A name in both gets the larger hits of each line, and each branch its larger hits.

    Raises:
        JobError: ``path`` cannot be used, or the two disagree on the lines of a file.
    """
    merged = {file["name"]: file for file in files}
    for file in load(path)["source_files"]:
        name = file["name"]
        merged[name] = _merged(merged[name], file, path) if name in merged else file
    return [merged[name] for name in sorted(merged)]


def _merged(one: dict[str, Any], other: dict[str, Any], path: Path) -> dict[str, Any]:
    lengths = len(one["coverage"]), len(other["coverage"])
    if lengths[0] != lengths[1]:
        raise JobError(
            f"{path}: {one['name']} has {lengths[1]} lines there and {lengths[0]} here: "
            "they were measured on different versions of the file"
        )
    hits = [larger(a, b) for a, b in zip(one["coverage"], other["coverage"], strict=True)]
    branches = _branches(one.get("branches", []), other.get("branches", []))
    return {**other, **one, "coverage": hits, **({"branches": branches} if branches else {})}


def _branches(one: list[int], other: list[int]) -> list[int]:
    hits: dict[tuple[int, int, int], int] = {}
    for branches in (one, other):
        for *identity, count in zip(*[iter(branches)] * 4, strict=True):
            line, block, branch = identity
            hits[line, block, branch] = max(count, hits.get((line, block, branch), 0))
    return [number for identity in sorted(hits) for number in (*identity, hits[identity])]
