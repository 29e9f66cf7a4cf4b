"""What the CI service says about the build: ``detect(env)`` reads the rows and gives a ``Build``.

Only the given variables are read, and the event or parameter file that they name. What git knows,
what the user set and the names that Coveralls gives to a token are left to other modules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from ..text import commit_id, public_url, pull_request_number
from .services import GENERIC, PLACEHOLDER, SERVICES, Cell, Service

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    _Cleaner = Callable[[str], str | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """What a CI service says about the build; every text is stripped and non-empty, or None."""

    service_name: str | None = None
    service_number: str | None = None
    """Shared by all jobs of a build; what ``finish`` sends as ``build_num``."""
    service_job_id: str | None = None
    """Differs between the jobs of one build."""
    service_job_number: str | None = None
    """A label."""
    service_pull_request: str | None = None
    """Digits only."""
    service_branch: str | None = None
    """The source branch of a pull request; never ``HEAD``, no ``refs/heads/``, no remote name."""
    target_branch: str | None = None
    """The branch that a pull request goes into; for pull requests only."""
    service_build_url: str | None = None
    service_job_url: str | None = None
    service_attempt: str | None = None
    event_name: str | None = None
    """GitHub's name of what started the run."""
    tag: str | None = None
    commit_sha: str | None = None
    """The head commit, never a synthetic merge."""
    merge_sha: str | None = None
    """The commit checked out for a pull request when its head is unknown; git finds the head."""
    head_ref: str | None = None
    """The branch of the remote that is the pull request's head in the clone."""
    diff_base_sha: str | None = None
    """The commit with which the service compares a pull request; for pull requests only."""
    repo_name: str | None = None
    """``owner/repo``."""
    job_name: str | None = None
    node_index: str | None = None
    author_name: str | None = None
    author_email: str | None = None
    committer_name: str | None = None
    committer_email: str | None = None
    message: str | None = None
    remote_url: str | None = None
    """Without userinfo, query and fragment."""
    remote_name: str | None = None
    problems: tuple[str, ...] = ()
    """Notices worth telling; normally empty."""

    @property
    def is_workflow_run(self) -> bool:
        """Whether the run follows another one, which measured: all but the job is that one's."""
        return self.event_name == "workflow_run"


_FROM_ROWS = [field.name for field in fields(Build)][1:-1]  # all but service_name and problems
_OF_PULL_REQUESTS = ("target_branch", "merge_sha", "head_ref", "diff_base_sha")


def detect(env: Mapping[str, str]) -> Build:
    """Ask the first service that runs this build, then the generic variables, field by field.

    Reads no variable but those of ``env``, and no file but GitHub's event file and TeamCity's
    parameter files. Raises nothing: what cannot be used is skipped, the next cell is asked.
    """
    service = _running(env)
    read = service.read_file or _read_nothing
    more, problems = read(env, tuple(service.variables()))
    asked = [_Asked(service, {**env, **more})]
    if service is not GENERIC:
        # A variable that the row reads or ignores has been judged there: it has no second say.
        judged = {*service.variables(), *service.ignored}
        asked.append(_Asked(GENERIC, {name: env[name] for name in env if name not in judged}))
    return Build(service_name=service_name(env), problems=problems, **_values(asked))


def service_name(env: Mapping[str, str]) -> str | None:
    """Return the name of the service that runs this build, without a look into its files."""
    return _filled(_running(env).name, env, _plain)


def _read_nothing(*_: object) -> tuple[dict[str, str], tuple[str, ...]]:
    return {}, ()


def _running(env: Mapping[str, str]) -> Service:
    return next(service for service in SERVICES if _runs(service, env))


def _runs(service: Service, env: Mapping[str, str]) -> bool:
    alternatives = (service.when,) if isinstance(service.when, str) else service.when
    return not alternatives or any(
        all(_holds(condition, env) for condition in alternative.split())
        for alternative in alternatives
    )


def _holds(condition: str, env: Mapping[str, str]) -> bool:
    name, _, wanted = condition.partition("=")
    value = _variable(env, name).strip().lower()
    return value == wanted if wanted else value not in ("", "0", "false", "no", "off")


class _Asked(NamedTuple):
    """A row and the variables that it may read."""

    service: Service
    env: Mapping[str, str]


def _values(asked: list[_Asked]) -> dict[str, Any]:
    """Every field of a Build that rows give."""
    number = _first(asked, "service_pull_request", push=False)
    push = number is None
    values = {
        column: _first(asked, column, push=push)
        for column in _FROM_ROWS
        if not push or column not in _OF_PULL_REQUESTS
    }
    if number is not None:
        values["service_branch"] = _first(
            asked, "service_branch", push=False, accept=_branch_of_pull_request(number)
        )
    if values["tag"] is None:
        values["tag"] = _first(asked, "service_branch", push=push, accept=_tag_of_ref)
    if values["service_branch"] == values["tag"]:  # several services call the tag a branch
        values["service_branch"] = None
    if values["commit_sha"]:
        values["merge_sha"] = None
    return values


def _first(
    asked: list[_Asked],
    column: str,
    *,
    push: bool,
    accept: _Cleaner | None = None,
) -> str | None:
    """The first usable value of a column, the service's before the generic row's."""
    tidy, accepts = _CLEANERS.get(column, (_plain, str))
    for row in asked:
        for cell in row.service.cells(column):
            if push or not cell.unless_pull_request:
                value = (accept or accepts)(_matched(cell, row.env, tidy))
                if value:
                    return value
    return None


def _matched(cell: Cell, env: Mapping[str, str], tidy: _Cleaner) -> str:
    """What the cell gives, stripped; empty when a variable is missing or nothing matches."""
    text = _filled(cell.template, env, tidy)
    match = re.fullmatch(cell.pattern, text, re.DOTALL) if text else None
    return "".join(filter(None, match.groups())).strip() if match else ""


def _filled(template: str, env: Mapping[str, str], tidy: _Cleaner) -> str | None:
    """The template with its variables in place; None when one that it needs is not usable."""
    values = {}
    for name, optional in PLACEHOLDER.findall(template):
        value = tidy(_variable(env, name))
        if not value and not optional:
            return None
        values[name] = value or ""
    return PLACEHOLDER.sub(lambda match: values[match[1]], template)


def _variable(env: Mapping[str, str], name: str) -> str:
    return env.get(name) or env.get(name.upper(), "")  # Windows knows no lower case


# --- What a variable may hold -------------------------------------------------------------------

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# A macro of Azure, Google, a shell or Harness that nothing was put in for.
_UNRESOLVED = re.compile(r"\$\(.*\)|\$\{.*\}|\$[A-Z_][A-Z0-9_]*|<\+.*>|null|undefined")


def _message(value: str) -> str | None:
    """The text of a variable, lines and all; what is not Unicode becomes ``?``."""
    text = value.encode("utf-8", "replace").decode("utf-8").replace("\0", "")
    return text.strip() or None


def _plain(value: str) -> str | None:
    """One line, and in a URL nothing that may be secret; None when it cannot be used."""
    text = _message(value)
    if not text or _CONTROL.search(text) or _UNRESOLVED.fullmatch(text):
        return None
    return public_url(text) or None if "://" in text else text


def _in_link(value: str) -> str | None:
    """A variable as a part of a link: the row's own ``?`` and ``#`` stay the only ones."""
    text = _plain(value)
    if not text or "@" in text:  # what stands before it may be secret
        return None
    return _quoted(text) if "://" in text else quote(text, safe="/=")


def _quoted(url: str) -> str:
    return quote(url, safe=":/%[]!$&'()*+,;=~@")


# --- What a field may hold ----------------------------------------------------------------------


def _like(pattern: str) -> _Cleaner:
    return lambda text: text if re.fullmatch(pattern, text) else None


# https://git-scm.com/docs/git-check-ref-format
_NO_REF = re.compile(r"[\s~^:?*\[\\]|\.\.|@\{|//|^[/-]|/$")
_TAG_PREFIX = re.compile(r"refs/tags/|(?:refs/heads/|origin/)?tags/")
_BRANCH_PREFIX = re.compile(r"refs/heads/|refs/remotes/[^/]+/|remotes/[^/]+/|origin/")
_NO_BRANCH = re.compile(r"HEAD|<default>|refs/.*|[0-9a-f]{40}|[0-9a-f]{64}")


_count = _like("[0-9]+")
_identifier = _like("(?!.*://).*")
_repo_name = _like(r"[\w.-]+(?:/[\w.-]+)+")


def _branch(text: str) -> str | None:
    if _tag_of_ref(text):
        return None
    prefix = _BRANCH_PREFIX.match(text)
    name = text[prefix.end() :] if prefix else text
    return None if _NO_BRANCH.fullmatch(name) or _NO_REF.search(name) else name


def _branch_of_pull_request(number: str) -> _Cleaner:
    """Refuse what services call a pull request where its branch would stand.

    Of that number alone: ``PR-12`` and ``pull/12`` are names that a branch may have.
    """
    pattern = (
        rf"(?:pull|pr|pull-requests|merge-requests)/{number}(?:/.*)?|{number}/(?:merge|head)"
        rf"|[PM]R-{number}(?:-merge|-head)?"
    )

    def accept(text: str) -> str | None:
        name = _branch(text)
        return None if name is None or re.fullmatch(pattern, name) else name

    return accept


def _tag(text: str) -> str | None:
    prefix = _TAG_PREFIX.match(text)
    name = text[prefix.end() :] if prefix else text
    is_other = name == "HEAD" or name.startswith("refs/") or _NO_REF.search(name)
    return None if is_other else name


def _tag_of_ref(text: str) -> str | None:
    return _tag(text) if text.startswith(("refs/tags/", "origin/tags/")) else None


def _link(text: str) -> str | None:
    is_link = re.match(r"https?://[^/]", text)
    return re.sub("(?<!:)//+", "/", text) if is_link else None


def _remote(text: str) -> str | None:
    """An address without what may be secret: before ``host:path`` only ``git@`` is known not to."""
    url = public_url(text)
    if "://" in url:
        return re.sub("(?<!:)//+", "/", _quoted(url))
    match = re.fullmatch(r"(git@)?(?:[\w.+-]+@)?([\w.-]{2,}:[\w./~+-]+)", url)
    return "".join(filter(None, match.groups())) if match else None


_CLEANERS: dict[str, tuple[_Cleaner, _Cleaner]] = {
    "service_number": (_plain, _identifier),
    "service_job_id": (_plain, _identifier),
    "service_job_number": (_plain, _identifier),
    "service_pull_request": (_plain, pull_request_number),
    "service_branch": (_plain, _branch),
    "target_branch": (_plain, _branch),
    "head_ref": (_plain, _branch),
    "service_build_url": (_in_link, _link),
    "service_job_url": (_in_link, _link),
    "service_attempt": (_plain, _count),
    "tag": (_plain, _tag),
    "commit_sha": (_plain, commit_id),
    "merge_sha": (_plain, commit_id),
    "diff_base_sha": (_plain, commit_id),
    "repo_name": (_plain, _repo_name),
    "node_index": (_plain, _count),
    "message": (_message, str),
    "remote_url": (_plain, _remote),
}
"""For each field what makes its variables usable, and then its value; else one line of text."""
