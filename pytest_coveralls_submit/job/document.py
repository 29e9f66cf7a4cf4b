"""The job as a value, as the dictionary that hooks get, and as JSON text.

Where the values come from is left to others; which fields there may be, to ``fields``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from json import JSONEncoder
from typing import Any, cast

from ..errors import JobError
from ..outcome import FileTotal
from ..secret import Secret
from .fields import Job, check_fields
from .source_files import SourceFile


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

    @property
    def commit_sha(self) -> str | None:
        """Id of the commit that was tested."""
        head = self.identity.get("git", {}).get("head", {})
        commit: str | None = self.identity.get("commit_sha") or head.get("id")
        return commit

    def as_job(self) -> Job:
        """Return the job as a dictionary that may be changed without changing this."""
        files = [
            {name: value.copy() if isinstance(value, list) else value for name, value in file}
            for file in (entry.as_json().items() for entry in self.files)
        ]
        return cast("Job", {**deepcopy(dict(self.identity)), "source_files": files})


def check(document: Document) -> None:
    """Check all values against the documented fields.

    Raises:
        JobError: the first that is not as documented, with its place and value.
    """
    check_fields(document.identity, (file.as_json() for file in document.files))


def from_job(job: Mapping[str, Any]) -> Document:
    """Check a job, without its token, and return it as values of its own.

    Raises:
        JobError: the first field that is not as documented, with its place and value.
    """
    identity = dict(job)
    files = identity.pop("source_files", None)
    if not isinstance(files, list):
        raise JobError('the job has no "source_files" list')
    check_fields(identity, files)
    return Document(deepcopy(identity), tuple(map(_source_file, files)))


def _source_file(file: Mapping[str, Any]) -> SourceFile:
    return SourceFile(
        name=file["name"],
        digest=file.get("source_digest"),
        coverage=list(file["coverage"]),
        branches=list(file.get("branches", ())),
        source=file.get("source"),
    )


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
