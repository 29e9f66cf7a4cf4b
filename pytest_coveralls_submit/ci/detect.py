"""Read a build from the variables of its CI service."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, TypeAlias
from urllib.parse import quote

from ..text import commit_id, public_url, pull_request_number
from .github_event import github_event
from .services import GENERIC, PLACEHOLDER, SERVICES, Service

_Cleaner: TypeAlias = Callable[[str], str | None]
_Rows: TypeAlias = list[tuple[Service, dict[str, str]]]  # each with the variables it may read


@dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """Hold the facts about a build, texts stripped, never empty."""

    service_name: str | None = None
    service_number: str | None = None  # shared by all jobs of a build, also sent by ``finish``
    service_job_id: str | None = None  # differs between the jobs of one build
    service_job_number: str | None = None  # a label
    service_pull_request: str | None = None  # digits only
    service_branch: str | None = None  # without prefix, never HEAD; of a pull request its source
    target_branch: str | None = None  # that a pull request goes into
    service_build_url: str | None = None
    service_job_url: str | None = None
    service_attempt: str | None = None
    event_name: str | None = None  # GitHub's name of the event that started the run
    tag: str | None = None
    commit_sha: str | None = None  # the head commit, never a synthetic merge
    merge_sha: str | None = None  # checked out for a pull request whose head is unknown
    head_ref: str | None = None  # the branch of ``origin`` that is a pull request's head
    diff_base_sha: str | None = None  # the service compares a pull request with it
    repo_name: str | None = None  # ``owner/repo``
    job_name: str | None = None
    node_index: str | None = None
    author_name: str | None = None
    author_email: str | None = None
    committer_name: str | None = None
    committer_email: str | None = None
    message: str | None = None
    remote_url: str | None = None  # without userinfo, query and fragment
    remote_name: str | None = None
    problems: tuple[str, ...] = ()  # notices on the service's file

    @property
    def is_workflow_run(self) -> bool:
        """Tell if this GitHub run follows the measured one."""
        return self.event_name == "workflow_run"


_FROM_ROWS = {field.name for field in fields(Build)} - {"service_name", "merge_sha", "problems"}


def detect(env: Mapping[str, str]) -> Build:
    """Return the build by its row and the generic variables.

    No file is read but GitHub's event. A value that cannot be used is skipped for the next cell.
    """
    service = SERVICES[_running(env)]
    variables = service.variables()
    event, problems = github_event(env, variables)
    rows = [(service, {**env, **event})]
    if service is not GENERIC:
        # A variable that the row reads or ignores was judged there.
        judged = variables.union(service.ignored)
        rows.append((GENERIC, {name: env[name] for name in env if name not in judged}))
    return Build(service_name=service_name(env), problems=problems, **_values(rows))


def service_name(env: Mapping[str, str]) -> str | None:
    """Return the name of the service, without reading its file."""
    return _filled(_running(env), env, _plain)


def _running(env: Mapping[str, str]) -> str:
    """Return the name of the first row that fits."""

    def holds(condition: str) -> bool:
        name, _, wanted = condition.partition("=")
        value = _variable(env, name).strip().lower()
        return value == wanted if wanted else value not in ("", "0", "false", "no", "off")

    def fits(row: Service) -> bool:
        return any(all(map(holds, conditions.split())) for conditions in row.when)

    return next(name for name, row in SERVICES.items() if fits(row))


def _values(rows: _Rows) -> dict[str, Any]:
    """Return the fields that the rows fill."""
    number = _first(rows, "service_pull_request")
    push = number is None
    values = {column: _first(rows, column, push=push) for column in _FROM_ROWS}
    if values["tag"] is None:
        values["tag"] = _first(rows, "service_branch", push=push, clean=_tag_of_ref)
    if number is None:
        values.update(dict.fromkeys(("target_branch", "head_ref", "diff_base_sha")))
    else:
        clean = partial(_branch, pull_request=number)
        values["service_branch"] = _first(rows, "service_branch", clean=clean)
        if values["commit_sha"] is None:
            values["merge_sha"] = _first(rows, "commit_sha", push=True)
    if values["service_branch"] == values["tag"]:  # several services call the tag a branch
        values["service_branch"] = None
    return values


def _first(
    rows: _Rows, column: str, *, push: bool = False, clean: _Cleaner | None = None
) -> str | None:
    """Return the first usable value of a column."""
    tidy = _message if column == "message" else _plain
    clean = clean or _CLEANERS.get(column, str)
    for service, env in rows:
        for cell in service.cells(column):
            if cell.unless_pull_request and not push:
                continue
            text = _filled(cell.template, env, tidy)
            match = re.fullmatch(cell.pattern, text, re.DOTALL) if text else None
            value = clean("".join(filter(None, match.groups())).strip()) if match else None
            if value:
                return value
    return None


def _filled(template: str, env: Mapping[str, str], tidy: _Cleaner) -> str | None:
    """Fill in a template, unless a variable is not usable."""
    values = {}
    for name, optional in PLACEHOLDER.findall(template):
        values[name] = tidy(_variable(env, name)) or ""
        if not values[name] and not optional:
            return None
    return PLACEHOLDER.sub(lambda match: values[match[1]], template)


def _variable(env: Mapping[str, str], name: str) -> str:
    return env.get(name) or env.get(name.upper(), "")  # Windows knows no lower case


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# A macro of Azure, Google, a shell or Harness that nothing was put in for.
_UNRESOLVED = re.compile(r"\$\(.*\)|\$\{.*\}|\$[A-Z_][A-Z0-9_]*|<\+.*>|null|undefined")


def _message(value: str) -> str:
    return value.encode("utf-8", "replace").decode("utf-8").replace("\0", "").strip()


def _plain(value: str) -> str:
    """Return one line, without the secrets of a URL."""
    text = _message(value)
    if _CONTROL.search(text) or _UNRESOLVED.fullmatch(text):
        return ""
    return public_url(text) if "://" in text else text


# https://git-scm.com/docs/git-check-ref-format
_NO_REF = re.compile(r"[\s~^:?*\[\\]|\.\.|@\{|//|^[/-]|/$")
_TAG_PREFIX = re.compile(r"^(?:refs/tags/|(?:refs/heads/|origin/)?tags/)")
_BRANCH_PREFIX = re.compile(r"^(?:refs/heads/|(?:refs/)?remotes/[^/]+/|origin/(?!tags/))")
_NO_BRANCH = re.compile(r"HEAD|<default>|(?:refs|origin/tags)/.*|[0-9a-f]{40}|[0-9a-f]{64}")
# ``PR-12`` and ``pull/12`` are names that the branch of another pull request may have.
_PULL_REQUEST = re.compile(
    r"(?:pull|pr|pull-requests|merge-requests)/([0-9]+)(?:/.*)?|([0-9]+)/(?:merge|head)"
    r"|[PM]R-([0-9]+)(?:-merge|-head)?"
)


def _branch(text: str, pull_request: str = "") -> str | None:
    """Return a bare name, unless it is that of the pull request."""
    name = _BRANCH_PREFIX.sub("", text)
    if _NO_BRANCH.fullmatch(name) or _NO_REF.search(name):
        return None
    found = _PULL_REQUEST.fullmatch(name)
    return None if found and pull_request in found.groups() else name


def _tag(text: str) -> str | None:
    name = _TAG_PREFIX.sub("", text)
    return None if _NO_BRANCH.fullmatch(name) or _NO_REF.search(name) else name


def _tag_of_ref(text: str) -> str | None:
    return _tag(text) if text.startswith(("refs/tags/", "origin/tags/")) else None


def _identifier(text: str) -> str | None:
    return None if "://" in text else text


def _repo_name(text: str) -> str | None:
    """Return ``owner/repo`` out of a name or an address."""
    name = re.sub(r"^(?:[a-z][\w+.-]*://[^/]+/+|[^/:]+:)|(?:\.git)?/?$", "", text)
    return name if re.fullmatch(r"[\w.-]+(?:/[\w.-]+)+", name) else None


def _page(text: str) -> str | None:
    if "@" in text or not re.match(r"https?://[^/]", text):  # what stands before @ may be secret
        return None
    return quote(re.sub("(?<!:)//+", "/", text), safe=":/?#%[]!$&'()*+,;=~")


def _remote(text: str) -> str | None:
    """Return an address without secrets; of users only ``git@`` stays."""
    url = public_url(text)
    if "://" in url:
        return re.sub("(?<!:)//+", "/", url)
    match = re.fullmatch(r"(git@)?(?:[\w.+-]+@)?([\w.-]{2,}:[\w./~+-]+)", url)
    return "".join(filter(None, match.groups())) if match else None


_CLEANERS: dict[str, _Cleaner] = {
    "service_number": _identifier,
    "service_job_id": _identifier,
    "service_pull_request": pull_request_number,
    "service_branch": _branch,
    "target_branch": _branch,
    "head_ref": _branch,
    "service_build_url": _page,
    "service_job_url": _page,
    "tag": _tag,
    "commit_sha": commit_id,
    "diff_base_sha": commit_id,
    "repo_name": _repo_name,
    "remote_url": _remote,
}
"""How the filled template of a field becomes its value, else as it is."""
