"""The job: composed from settings, CI service and git; checked against the documented fields.

Where the values come from is left to ``settings``, ``ci`` and ``git``; sending to ``sender``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from json import dumps
from typing import Any

from ..errors import JobError
from ..secret import Secret


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and _is_unicode(value)


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_text_or_empty(value: object) -> bool:
    return isinstance(value, str) and _is_unicode(value)


def _is_name(value: object) -> bool:
    return (
        isinstance(value, str)
        and _is_text(value)
        and not re.match(r"[A-Za-z]:", value)
        and "\\" not in value
        and not {"", ".", ".."}.intersection(value.split("/"))
    )


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and bool(re.fullmatch("[0-9a-f]{32}", value))


def _is_coverage(value: object) -> bool:
    if not isinstance(value, list) or not set(map(type, value)) <= {int, type(None)}:
        return False
    return all(hits is None or hits >= 0 for hits in set(value))


def _is_branches(value: object) -> bool:
    if not isinstance(value, list) or not value or len(value) % 4 or set(map(type, value)) != {int}:
        return False
    identities = set(zip(value[0::4], value[1::4], value[2::4], strict=True))
    return min(value) >= 0 and len(identities) == len(value) // 4


def _is_git(value: object) -> bool:
    fields: dict[str, Callable[[object], bool]] = {
        "head": lambda head: _is_object(head, HEAD_FIELDS),
        "branch": lambda branch: _is_text(branch) and branch != "HEAD",
        "remotes": lambda remotes: (
            isinstance(remotes, list)
            and bool(remotes)
            and all(_is_object(remote, REMOTE_FIELDS) for remote in remotes)
        ),
    }
    return _is_object(value, fields)


def _is_object(value: object, fields: Mapping[str, Callable[[object], bool]]) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(name in fields and fields[name](value[name]) for name in value)
    )


HEAD_FIELDS: dict[str, Callable[[object], bool]] = dict.fromkeys(
    ("id", "author_name", "author_email", "committer_name", "committer_email", "message"), _is_text
)
REMOTE_FIELDS: dict[str, Callable[[object], bool]] = dict.fromkeys(("name", "url"), _is_text)
# https://docs.coveralls.io/api-jobs-endpoint, and the fields that the official client adds
# (coverallsapp/coverage-reporter, doc/configuration.md).
FIELDS: dict[str, Callable[[object], bool]] = {
    **dict.fromkeys(
        (
            "service_name",
            "service_number",
            "service_job_id",
            "service_job_number",
            "service_pull_request",
            "service_branch",
            "service_build_url",
            "service_job_url",
            "service_attempt",
            "service_event_type",
            "commit_sha",
            "repo_name",
            "flag_name",
            "compare_ref",
            "compare_sha",
            "run_at",
        ),
        _is_text,
    ),
    "parallel": lambda value: isinstance(value, bool),
    "git": _is_git,
    "source_files": lambda value: isinstance(value, list),
}
FILE_FIELDS: dict[str, Callable[[object], bool]] = {
    "name": _is_name,
    "source_digest": _is_digest,
    "coverage": _is_coverage,
    "branches": _is_branches,
    "source": _is_text_or_empty,
}


def check(job: Mapping[str, Any]) -> None:
    """Check a job, without its token, against the documented fields.

    Raises:
        JobError: the first field that is not as documented, with its place and value.
    """
    _check_fields(job, FIELDS, ("source_files",), "the job")
    names: set[str] = set()
    for place, file in enumerate(job["source_files"]):
        where = f"source file {place + 1}"
        if not isinstance(file, dict):
            raise JobError(f"{where} is no object")
        _check_fields(file, FILE_FIELDS, ("name", "coverage"), f"{where} ({file.get('name')})")
        if file["name"] in names:
            raise JobError(f'{where}: the name "{file["name"]}" stands twice')
        names.add(file["name"])


def _check_fields(
    record: Mapping[str, Any],
    fields: Mapping[str, Callable[[object], bool]],
    required: tuple[str, ...],
    where: str,
) -> None:
    for name in required:
        if name not in record:
            raise JobError(f'{where} has no "{name}"')
    for name, value in record.items():
        if name not in fields:
            raise JobError(f'{where} has a field "{name}" that Coveralls does not document')
        if not fields[name](value):
            raise JobError(f'{where}: "{name}" cannot be {dumps(value, default=repr)[:100]}')


def copy(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job of which everything may be changed without changing ``job``."""

    def copied(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: copied(member) for name, member in value.items()}
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return [copied(member) for member in value]
        return list(value) if isinstance(value, list) else value

    return {name: copied(value) for name, value in job.items()}


def pieces(job: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield the job as JSON text, a source file at a time; the first piece starts with ``{``."""
    head = {name: value for name, value in job.items() if name != "source_files"}
    opening = _json(head)[:-1]
    yield (opening + ("," if head else "") + '"source_files":[').encode()
    for place, file in enumerate(job["source_files"]):
        yield ((",\n" if place else "\n") + _json(file)).encode()
    yield b"]}\n"


def with_token(job_pieces: Iterator[bytes], token: Secret) -> Iterator[bytes]:
    """Yield the JSON text of a job with the token put in; the only place where they meet."""
    opening = next(job_pieces)
    yield b'{"repo_token":' + _json(token.reveal()).encode() + b","
    yield opening[1:]
    yield from job_pieces


def _json(value: object) -> str:
    return dumps(value, allow_nan=False, separators=(",", ":"))
