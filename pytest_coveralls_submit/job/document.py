"""The job: as values, as the dictionary that hooks get, and as JSON text.

Every field is checked against the documented ones; where the values come from is left to others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from json import JSONEncoder
from typing import Any, TypedDict, cast, get_type_hints

from ..errors import JobError
from ..outcome import FileTotal
from ..secret import Secret
from ..values import escaped
from .files import SourceFile, SourceFileJson, is_name

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


class _Job(TypedDict):
    source_files: list[SourceFileJson]


class Job(_Job, total=False):
    """A job without its token: https://docs.coveralls.io/api-jobs-endpoint.

    And the fields that the official client adds (coverallsapp/coverage-reporter,
    doc/configuration.md).
    """

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


@dataclass(frozen=True, slots=True)
class Document:
    """A job as values."""

    identity: Mapping[str, Any]
    """All fields but ``source_files``, ready for JSON."""
    files: tuple[SourceFile, ...]

    @property
    def totals(self) -> tuple[FileTotal, ...]:
        """How much of each source file is covered."""
        return tuple(file.total for file in self.files)

    @property
    def percent(self) -> float:
        """How much of all source files is covered, 0 to 100; 100 where there is nothing to."""
        totals = self.totals
        covered, relevant = sum(file.covered for file in totals), sum(file[2] for file in totals)
        return FileTotal("", covered, relevant).percent

    def as_job(self) -> Job:
        """Return the job as a dictionary that may be changed without changing this."""
        fields = deepcopy(dict(self.identity))
        return cast("Job", {**fields, "source_files": [file.as_json() for file in self.files]})


def check(document: Document) -> None:
    """Check all values against the documented fields.

    Raises:
        JobError: the first that is not as documented, with its place and value.
    """
    _check_fields({**document.identity, "source_files": []}, FIELDS, (), "the job")
    _check_files(file.as_json() for file in document.files)


def from_job(job: Mapping[str, Any]) -> Document:
    """Check a job, without its token, and return it as values of its own.

    Raises:
        JobError: the first field that is not as documented, with its place and value.
    """
    _check_fields(job, FIELDS, ("source_files",), "the job")
    _check_files(job["source_files"])
    identity = {name: deepcopy(value) for name, value in job.items() if name != "source_files"}
    return Document(identity, tuple(map(_source_file, job["source_files"])))


def _source_file(file: Mapping[str, Any]) -> SourceFile:
    return SourceFile(
        name=file["name"],
        digest=file.get("source_digest"),
        coverage=list(file["coverage"]),
        branches=list(file.get("branches", ())),
        source=file.get("source"),
    )


# -- the documented fields ---------------------------------------------------------------------

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
FIELDS = _checks(
    Job,
    parallel=lambda value: isinstance(value, bool),
    git=_is_object(GIT),
    source_files=lambda value: isinstance(value, list),
)
FILE_FIELDS = _checks(
    SourceFileJson,
    name=_is_name,
    source_digest=_is_digest,
    coverage=_is_coverage,
    branches=_is_branches,
    source=_is_unicode,
)


def _check_files(files: Iterable[object]) -> None:
    names: set[str] = set()
    for place, file in enumerate(files, 1):
        if not isinstance(file, dict):
            raise JobError(f"source file {place} is no object")
        where = f"source file {place} ({_shown(file.get('name'), quote='')})"
        _check_fields(file, FILE_FIELDS, ("name", "coverage"), where)
        if file["name"] in names:
            raise JobError(f"{where}: the name stands twice")
        names.add(file["name"])


def _check_fields(
    record: Mapping[str, Any], checks: _Checks, required: tuple[str, ...], where: str
) -> None:
    for name in required:
        if name not in record:
            raise JobError(f'{where} has no "{name}"')
    for name, value in record.items():
        if name not in checks:
            raise JobError(f"{where} has a field {_shown(name)} that Coveralls does not document")
        if not checks[name](value):
            raise JobError(f'{where}: "{name}" cannot be {_shown(value)}')


def _shown(value: object, quote: str = '"') -> str:
    """Return the start of a value in one line, however long, deep or odd it is."""
    if isinstance(value, str):
        return f"{quote}{escaped(value[:SHOWN])}{quote}"
    encoder = JSONEncoder(
        default=lambda odd: type(odd).__name__, check_circular=False, skipkeys=True
    )
    return escaped("".join(islice(encoder.iterencode(value), SHOWN))[:SHOWN])


# -- JSON text ---------------------------------------------------------------------------------


class _Hits(dict[int | None, str]):
    """The text of each number of hits; joining it is faster than encoding a list."""

    def __missing__(self, hits: int | None) -> str:
        return str(hits)


_HITS = _Hits({None: "null", 0: "0", 1: "1"})
_json = JSONEncoder(allow_nan=False, separators=(",", ":")).encode


def pieces(document: Document) -> tuple[bytes, ...]:
    """Return the checked job as JSON text, a piece for each source file; the first starts ``{``.

    Made once: the same bytes are for the disk and for the wire.
    """
    opening = _json(dict(document.identity))[:-1] + ("," if document.identity else "")
    files = (_file_text(file) for file in document.files)
    separated = (f"{',' if place else ''}\n{text}".encode() for place, text in enumerate(files))
    return (f'{opening}"source_files":['.encode(), *separated, b"]}\n")


def _file_text(file: SourceFile) -> str:
    hits = ",".join(map(_HITS.__getitem__, file.coverage))
    entry = dict(file.as_json())
    del entry["coverage"]
    return f'{_json(entry)[:-1]},"coverage":[{hits}]}}'


def with_token(job_pieces: Iterable[bytes], token: Secret) -> Iterator[bytes]:
    """Yield the JSON text of a job with the token put in; the only place where they meet."""
    opening, *rest = job_pieces
    yield b'{"repo_token":' + _json(token.reveal()).encode() + b","
    yield opening[1:]
    yield from rest
