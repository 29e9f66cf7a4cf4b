"""The documented fields of a job, as types for those who write hooks, and as checks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from json import JSONEncoder
from typing import Any, TypedDict, get_type_hints

from ..errors import JobError
from ..text import escaped
from .source_files import SourceFileJson, is_name

SHOWN = 100
"""Letters of a wrong value that a message shows."""
HITS_LIMIT = 2**63
"""No counter of another tool reaches it."""


class HeadJson(TypedDict, total=False):
    """The commit that was tested."""

    id: str
    author_name: str
    author_email: str
    committer_name: str
    committer_email: str
    message: str


class RemoteJson(TypedDict, total=False):
    """A remote of the repository."""

    name: str
    url: str


class GitJson(TypedDict, total=False):
    """What git says."""

    head: HeadJson
    branch: str
    remotes: list[RemoteJson]


class _Identity(TypedDict, total=False):
    service_name: str
    service_number: str
    service_job_id: str
    service_job_number: str
    service_pull_request: str
    service_branch: str
    service_build_url: str
    service_job_url: str
    service_attempt: str
    service_event_type: str
    commit_sha: str
    repo_name: str
    flag_name: str
    parallel: bool
    compare_ref: str
    compare_sha: str
    run_at: str
    git: GitJson


class Job(_Identity):
    """A job without its token: https://docs.coveralls.io/api-jobs-endpoint.

    And the fields that the official client adds (coverallsapp/coverage-reporter,
    doc/configuration.md). All but the source files may be missing.
    """

    source_files: list[SourceFileJson]


_Checks = Mapping[str, Callable[[object], bool]]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and _is_unicode(value)


def _is_unicode(value: object) -> bool:
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False


def _is_name(value: object) -> bool:
    return isinstance(value, str) and is_name(value) and _is_unicode(value)


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{32}", value) is not None


def _is_coverage(value: object) -> bool:
    if not isinstance(value, list) or not set(map(type, value)) <= {int, type(None)}:
        return False
    return all(hits is None or 0 <= hits < HITS_LIMIT for hits in set(value))


def _is_branches(value: object) -> bool:
    if not isinstance(value, list) or not value or len(value) % 4 or set(map(type, value)) != {int}:
        return False
    identities = set(zip(value[0::4], value[1::4], value[2::4], strict=True))
    return 0 <= min(value) <= max(value) < HITS_LIMIT and len(identities) == len(value) // 4


def _is_remotes(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_object(REMOTE), value))


def _is_object(checks: _Checks) -> Callable[[object], bool]:
    return lambda value: (
        isinstance(value, dict)
        and bool(value)
        and all(name in checks and checks[name](value[name]) for name in value)
    )


def _checks(fields: type, **own: Callable[[object], bool]) -> _Checks:
    """Return a check for each field; where none of its own is given it is text."""
    return {name: own.get(name, _is_text) for name in get_type_hints(fields)}


REMOTE = _checks(RemoteJson)
GIT = _checks(
    GitJson,
    head=_is_object(_checks(HeadJson)),
    branch=lambda branch: _is_text(branch) and branch != "HEAD",
    remotes=_is_remotes,
)
FIELDS = _checks(_Identity, parallel=lambda value: isinstance(value, bool), git=_is_object(GIT))
FILE_FIELDS = _checks(
    SourceFileJson,
    name=_is_name,
    source_digest=_is_digest,
    coverage=_is_coverage,
    branches=_is_branches,
    source=_is_unicode,
)


def check_fields(identity: Mapping[str, Any], files: Iterable[object]) -> None:
    """Check the fields of a job and of its source files.

    Raises:
        JobError: the first that is not as documented, with its place and value, in one line.
    """
    try:
        _check_fields(identity, FIELDS)
    except JobError as error:
        raise JobError(f"the job{error}") from None
    names: set[str] = set()
    for place, file in enumerate(files, 1):
        if not isinstance(file, dict):
            raise JobError(f"source file {place} is no object")
        try:
            _check_fields(file, FILE_FIELDS, ("name", "coverage"))
        except JobError as error:
            name = _shown(file.get("name"), quote="")
            raise JobError(f"source file {place} ({name}){error}") from None
        if file["name"] in names:
            raise JobError(f"source file {place}: the name {_shown(file['name'])} stands twice")
        names.add(file["name"])


def _check_fields(
    record: Mapping[str, Any], checks: _Checks, required: tuple[str, ...] = ()
) -> None:
    for name in required:
        if name not in record:
            raise JobError(f' has no "{name}"')
    for name, value in record.items():
        if name not in checks:
            raise JobError(f" has a field {_shown(name)} that Coveralls does not document")
        if not checks[name](value):
            raise JobError(f': "{name}" cannot be {_shown(value)}')


def _shown(value: object, quote: str = '"') -> str:
    """Return the start of a value in one line, however long, deep or odd it is."""
    if isinstance(value, str):
        return f"{quote}{escaped(value[:SHOWN])}{quote}"
    encoder = JSONEncoder(default=repr, check_circular=False, skipkeys=True)
    return escaped("".join(islice(encoder.iterencode(value), SHOWN))[:SHOWN])
