"""The job as JSON: its documented fields, built, checked, written, read."""

import json
import reprlib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from ..errors import JobError
from ..git import COMMIT_DETAILS
from ..outcome import FileTotal
from ..secret import Secret
from ..text import escaped, is_unicode
from .source_files import SourceFile, add_text, merge

Job: TypeAlias = "dict[str, Any]"

SIZE_LIMIT = 512 * 1024 * 1024  # bytes
MAY_BE_EMPTY = ("source_files", "coverage", "source")
# https://docs.coveralls.io/api-jobs-endpoint, coverallsapp/coverage-reporter doc/configuration.md
TEXTS = (
    *("service_name", "service_number", "service_job_id", "service_job_number"),
    *("service_pull_request", "service_branch", "service_build_url", "service_job_url"),
    *("service_attempt", "service_event_type", "repo_name", "commit_sha", "flag_name"),
    *("compare_ref", "compare_sha", "run_at"),
)
# The type of each field; a dict means an object, a list means a list of these types.
_COMMIT = dict.fromkeys(("id", *COMMIT_DETAILS), str)
_JOB = {
    **dict.fromkeys(TEXTS, str),
    "parallel": bool,
    "git": {"head": _COMMIT, "branch": str, "remotes": [dict]},
    "source_files": [dict],
}
_SOURCE_FILE = {
    "name": str,
    "source_digest": str,
    "coverage": [int, type(None)],
    "branches": [int],
    "source": str,
}


def check_job(job: Any) -> Job:
    """Return a job with fields checked and files sorted.

    Raises:
        JobError: names the first field that is unknown, missing, empty or of another type.
    """
    files = job.get("source_files") if isinstance(job, dict) else None
    if not isinstance(files, list):
        raise JobError('the job has no "source_files" list')
    _check_fields({**job, "source_files": []}, _JOB, "the job")
    for remote in job.get("git", {}).get("remotes", ()):
        _check_fields(remote, {"name": str, "url": str}, 'the job: "git": "remotes"')
    names: set[str] = set()
    for number, file in enumerate(files, 1):
        place = f"source file {number}"
        if isinstance(file, dict) and isinstance(file.get("name"), str):
            place = f"{place} ({escaped(file['name'][:100])})"
        _check_fields(file, _SOURCE_FILE, place)
        if missing := {"name", "coverage"} - file.keys():
            raise JobError(f'{place} has no "{max(missing)}"')
        if file["name"] in names:
            raise JobError(f"{place}: another file has the same name")
        names.add(file["name"])
    return {**job, "source_files": sorted(files, key=lambda file: file["name"])}


def _check_fields(record: Any, kinds: Mapping[str, Any], place: str) -> None:
    if not isinstance(record, dict):
        raise JobError(f"{place} is not an object")
    for name, value in record.items():
        if name not in kinds:
            shown = escaped(f"{name!s:.100}")
            raise JobError(f'{place} has a field "{shown}" that Coveralls does not document')
        kind = kinds[name]
        if isinstance(kind, dict):
            _check_fields(value, kind, f'{place}: "{name}"')
        is_empty = value is not False and not (value.strip() if isinstance(value, str) else value)
        if not _has_type(value, kind) or (is_empty and name not in MAY_BE_EMPTY):
            raise JobError(f'{place}: "{name}" cannot be {reprlib.repr(value)}')


def _has_type(value: Any, kind: Any) -> bool:
    if isinstance(kind, list):
        return isinstance(value, list) and set(map(type, value)) <= set(kind)
    if kind is str:
        return isinstance(value, str) and is_unicode(value)
    return isinstance(kind, dict) or isinstance(value, kind)


def file_totals(job: Job) -> tuple[FileTotal, ...]:
    """Return the covered lines and branches of each file."""
    return tuple(SourceFile(**file).total for file in job["source_files"])


def total_percent(job: Job) -> float:
    """Return the percentage of covered lines and branches."""
    totals = file_totals(job)
    covered, relevant = sum(file.covered for file in totals), sum(file.relevant for file in totals)
    return FileTotal("", covered, relevant).percent


def tested_commit(job: Mapping[str, Any]) -> str | None:
    """Return the id of a job's commit."""
    commit: str | None = job.get("commit_sha") or job.get("git", {}).get("head", {}).get("id")
    return commit


def to_json(job: Job) -> bytes:
    """Return a job as JSON to keep and send."""
    return json.dumps(job, allow_nan=False, separators=(",", ":")).encode()


def with_token(job_bytes: bytes, token: Secret) -> bytes:
    """Return a job's JSON text with the token added."""
    return b'{"repo_token":' + json.dumps(token.reveal()).encode() + b"," + job_bytes[1:]


def load_job(path: Path) -> Job:
    """Read and check a saved job, without its token.

    Args:
        path: ``-`` is standard input.

    Raises:
        JobError: it is not a job; names the file.
    """
    try:
        with sys.stdin.buffer if str(path) == "-" else path.open("rb") as file:
            content = file.read(SIZE_LIMIT + 1)
        if len(content) <= SIZE_LIMIT:
            job = json.loads(content)
            if isinstance(job, dict):
                job.pop("repo_token", None)
            return check_job(job)
        problem = f": a job has at most {SIZE_LIMIT // 1024**2} MiB"
    except OSError as error:
        problem = f" cannot be read: {error.strerror or error}"
    except (ValueError, RecursionError) as error:
        problem = f" is not a JSON file: {error}"
    except JobError as error:
        problem = f": {error}"
    raise JobError(escaped(f"{path}{problem}")) from None


def merge_file(
    files: Iterable[SourceFile], path: Path, checkout: Path | None = None
) -> tuple[SourceFile, ...]:
    """Add the files of another tool's job, sorted.

    Args:
        checkout: where to read the text to send, if any.

    Raises:
        JobError: ``path`` cannot be used, or the two disagree on the lines of a file.
    """
    merged = {file.name: file for file in files}
    for entry in load_job(path)["source_files"]:
        file = SourceFile(**entry)
        if checkout is not None:
            file = add_text(file, checkout)
            if file.is_blank:
                continue
        try:
            merged[file.name] = merge(merged.get(file.name), file)
        except JobError as error:
            raise JobError(escaped(f"{path}: {error}")) from None
    return tuple(merged[name] for name in sorted(merged))
