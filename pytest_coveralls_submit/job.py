"""The job: composed from settings, CI service and git; checked against the documented fields.

Where the values come from is left to ``settings``, ``ci`` and ``git``; sending to ``sender``.
"""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from json import dumps
from typing import Any

from .ci import Build
from .errors import JobError, SettingsError
from .git import Commit, Git
from .secret import Secret
from .settings import Settings

GITHUB_TOKEN = re.compile(r"(ghs_|ghp_|gho_|github_pat_)")
GITHUB_ACTIONS = "github-actions"
# With this name Coveralls takes the token for a GitHub one (lemurheavy/coveralls-public#1515).
GITHUB_SERVICE = "github"
PLACEHOLDERS = ("python", "os", "arch", "toxenv", "job", "node_index")
SYSTEMS = {"linux": "linux", "darwin": "macos", "win32": "windows", "cygwin": "windows"}


@dataclass(frozen=True, slots=True)
class Token:
    """The token that a job is sent with."""

    secret: Secret
    source: str
    is_github: bool
    """Whether it is GitHub's own, which decides the service name."""


def choose_token(settings: Settings, build: Build, env: Mapping[str, str]) -> Token | None:
    """Return the token to use: Coveralls' own, else GitHub's where that is safe.

    ``GITHUB_TOKEN`` is used on GitHub Actions alone, and goes to coveralls.io or to a host that
    the one who runs the tests has named, never to one that a file of the repository names.
    """
    if settings.repo_token is not None:
        is_github = bool(GITHUB_TOKEN.match(settings.repo_token.reveal()))
        return Token(settings.repo_token, settings.sources["repo_token"], is_github)
    github = env.get("GITHUB_TOKEN", "").strip()
    if github and build.service_name == GITHUB_ACTIONS and _host_is_trusted(settings):
        return Token(Secret(github), "GITHUB_TOKEN", is_github=True)
    return None


def _host_is_trusted(settings: Settings) -> bool:
    source = settings.sources.get("host", "")
    return settings.host == "https://coveralls.io" or source.startswith(("--", "COVERALLS_"))


def flag_name(settings: Settings, build: Build, env: Mapping[str, str]) -> str | None:
    """Return the job's flag: the template filled in, or for parallel builds one of its own.

    Raises:
        SettingsError: the template has a placeholder that is not known.
    """
    values = {
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "os": SYSTEMS.get(sys.platform, sys.platform),
        "arch": platform.machine().lower(),
        "toxenv": env.get("TOX_ENV_NAME", ""),
        "job": build.job_name or "",
        "node_index": build.node_index or "",
    }
    template = settings.flag_name
    if template is None and settings.parallel:
        template = "{toxenv}" if values["toxenv"] else "{job}-{python}-{os}"
    if template is None:
        return None
    unknown = [name for name in re.findall(r"\{(.*?)\}", template) if name not in values]
    if unknown:
        known = " ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        raise SettingsError(
            f'{settings.sources["flag_name"]} is "{template}": '
            f"{{{unknown[0]}}} is not known; it takes {known}"
        )
    filled = re.sub(r"\{(\w+)\}", lambda found: values[found[1]], template)
    return filled.strip(" -_/.:,") or None


def compose(
    settings: Settings,
    build: Build,
    git: Git,
    token: Token | None,
    *,
    flag: str | None,
    run_at: str,
    from_gitlab: Commit | None = None,
) -> dict[str, Any]:
    """Return the job without its source files.

    For each field the setting wins over what the CI service says, and that over git: a checkout
    of a pull request is often a merge that exists nowhere else. Who wrote the commit and what
    its message is, git knows best.
    """
    service = service_of(settings, build, token)
    sends_repo = service == GITHUB_SERVICE or "repo_name" in settings.sources
    job = {
        "service_name": service,
        "service_number": settings.service_number or build.service_number,
        "service_job_id": settings.service_job_id or _job_id(build, flag),
        "service_job_number": settings.service_job_number or build.service_job_number,
        "service_pull_request": settings.service_pull_request or build.service_pull_request,
        "service_branch": branch_of(settings, build, git),
        "service_build_url": settings.service_build_url or build.service_build_url,
        "service_job_url": settings.service_job_url or build.service_job_url,
        "service_attempt": settings.service_attempt or build.service_attempt,
        "service_event_type": settings.service_event_type,
        "commit_sha": commit_of(settings, build, git),
        "repo_name": (settings.repo_name or build.repo_name) if sends_repo else None,
        "flag_name": flag,
        "parallel": settings.parallel or None,
        "compare_ref": settings.compare_ref,
        "compare_sha": settings.compare_sha,
        "run_at": settings.run_at or run_at,
        "git": _git(settings, build, git, from_gitlab),
    }
    return {name: value for name, value in job.items() if value}


def service_of(settings: Settings, build: Build, token: Token | None) -> str | None:
    """Return the service name; on GitHub Actions the kind of token decides it."""
    if settings.service_name:
        return settings.service_name
    if build.service_name == GITHUB_ACTIONS and token is not None and token.is_github:
        return GITHUB_SERVICE
    return build.service_name


def branch_of(settings: Settings, build: Build, git: Git) -> str | None:
    """Return the branch that the job belongs to; for a tag its name."""
    named = settings.service_branch if settings.service_branch != "HEAD" else None
    return named or build.service_branch or build.tag or git.branch


def commit_of(settings: Settings, build: Build, git: Git) -> str | None:
    """Return the id of the commit that was tested."""
    return settings.commit_sha or build.commit_sha or (git.head.id if git.head else None)


def _job_id(build: Build, flag: str | None) -> str | None:
    """Return an id that differs between the jobs of a build.

    GitHub, Gitea and Forgejo give the legs of a matrix none: job key and runner tell them apart,
    and where one runner serves several, what the legs differ in.
    """
    if not build.service_job_id or not (build.service_name or "").endswith("-actions"):
        return build.service_job_id
    parts = [build.service_job_id, platform.python_version(), sys.platform, platform.machine()]
    return "-".join([*parts, *([flag] if flag else [])])


def _git(settings: Settings, build: Build, git: Git, from_gitlab: Commit | None) -> dict[str, Any]:
    commit = commit_of(settings, build, git)
    head = {"id": commit, **written_by(commit, build, git, from_gitlab)}
    remotes = [{"name": remote.name, "url": remote.url} for remote in git.remotes]
    if not remotes and build.remote_url:
        remotes = [{"name": build.remote_name or "origin", "url": build.remote_url}]
    found = {
        "head": {name: value for name, value in head.items() if value} if commit else None,
        "branch": branch_of(settings, build, git),
        "remotes": remotes,
    }
    return {name: value for name, value in found.items() if value}


def written_by(
    commit: str | None, build: Build, git: Git, from_gitlab: Commit | None = None
) -> dict[str, str | None]:
    """Return who wrote the commit and its message.

    Each field by itself from git, else from the CI service, else from GitLab's Commits API.
    """
    known = git.head if git.head is not None and git.head.id == commit else None
    return {
        name: getattr(known, name, None) or getattr(build, name) or getattr(from_gitlab, name, None)
        for name in HEAD_FIELDS
        if name != "id"
    }


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
