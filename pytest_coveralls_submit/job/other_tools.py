"""Jobs that stand in files: kept or saved ones, and Coveralls JSON made by other tools."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from json import loads
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import JobError
from ..text import escaped
from .document import Document, from_job
from .source_files import SourceFile, merge

SIZE_LIMIT = 512 * 1024 * 1024
"""Bytes of a job that are read."""
FILES_LIMIT = 100_000
"""Source files of a job; Linux has 80,000."""


def load(path: Path) -> Document:
    """Read a job from ``path``, or from standard input for ``-``; a token in it is dropped.

    The file may be an attacker's: it is bounded, and each value is checked.

    Raises:
        JobError: it cannot be read, is too large, is no job, or has fields that Coveralls does
            not document; in one line that names the file.
    """
    try:
        return from_job(_job(_content(path)))
    except OSError as error:
        problem = f" cannot be read: {error.strerror or error}"
    except (ValueError, RecursionError) as error:
        problem = f" is no JSON file: {error}"
    except MemoryError:
        problem = " does not fit into memory"
    except JobError as error:
        problem = f": {error}"
    raise JobError(escaped(f"{path}{problem}")) from None


def _content(path: Path) -> bytearray:
    if str(path) != "-":
        with path.open("rb", buffering=0) as file:
            return _bounded(file)
    if sys.stdin is None:
        raise JobError("standard input is closed")
    return _bounded(sys.stdin.buffer)


def _bounded(file: BinaryIO) -> bytearray:
    content = bytearray()
    while piece := file.read(1024 * 1024):
        content += piece
        if len(content) > SIZE_LIMIT:
            raise JobError(f"a job has at most {SIZE_LIMIT // 1024**2} MiB")
    return content


def _job(content: bytearray) -> dict[str, Any]:
    job = loads(content, object_pairs_hook=_object)
    if not isinstance(job, dict) or not isinstance(job.get("source_files"), list):
        raise JobError('this is no Coveralls job: it has no list "source_files"')
    if len(job["source_files"]) > FILES_LIMIT:
        raise JobError(f"a job has at most {FILES_LIMIT:,} source files")
    job.pop("repo_token", None)
    return job


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return fields


def merge_file(files: Iterable[SourceFile], path: Path) -> tuple[SourceFile, ...]:
    """Return ``files`` with the source files of ``path`` added, sorted by name.

    Raises:
        JobError: ``path`` cannot be used, or the two disagree on the lines of a file.
    """
    merged = {file.name: file for file in files}
    for file in load(path).files:
        mine = merged.get(file.name)
        try:
            merged[file.name] = file if mine is None else merge(mine, file)
        except JobError as error:
            raise JobError(escaped(f"{path}: {error}")) from None
    return tuple(merged[name] for name in sorted(merged))
