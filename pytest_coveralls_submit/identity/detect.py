"""What the CI service says about the build: one row per service, ``detect(env)`` gives a ``Build``.

Only the given variables are read, and the event or parameter file that they name. What git knows,
what the user set and the names that Coveralls gives to a token are left to other modules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

from .service import Build, Cell, Service
from .services import GENERIC, SERVICES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


def detect(env: Mapping[str, str]) -> Build:
    """Ask the first service that runs this build, then the generic variables, field by field.

    Reads no variable but those of ``env``, and no file but GitHub's event file and TeamCity's
    parameter files. Raises nothing: what cannot be used is skipped, the next source is asked.
    """
    service = next(row for row in SERVICES if _runs(row, env))
    more, problems = service.more(env, tuple(_variables(service)))
    sources = [_Source(service, {**env, **more})]
    if service is not GENERIC:
        # A variable that the row reads or ignores has been judged there: it has no second say.
        judged = set(_variables(service)).union(service.ignored)
        sources.append(_Source(GENERIC, {name: env[name] for name in env if name not in judged}))
    return Build(**_values(sources), problems=problems)


_PLACEHOLDER = re.compile(r"\{([\w.]+)(\??)\}")


def _runs(service: Service, env: Mapping[str, str]) -> bool:
    return not service.when or any(
        all(_holds(condition, env) for condition in alternative.split())
        for alternative in service.when
    )


def _holds(condition: str, env: Mapping[str, str]) -> bool:
    name, _, wanted = condition.partition("=")
    value = env.get(name, "").strip().lower()
    return value == wanted if wanted else value not in ("", "0", "false", "no", "off")


def _variables(service: Service) -> Iterator[str]:
    """The name of every variable in the cells of the row."""
    for column in fields(service):
        cells = getattr(service, column.name)
        for cell in cells if isinstance(cells, tuple) else ():
            template = cell.template if isinstance(cell, Cell) else cell
            yield from (match[1] for match in _PLACEHOLDER.finditer(template))


@dataclass(frozen=True, slots=True)
class _Source:
    service: Service
    env: Mapping[str, str]


def _values(sources: list[_Source]) -> dict[str, Any]:
    """Every field of a Build except ``problems``."""
    pull_request = _first(sources, "pull_request", _pull_request, push=False)
    push = pull_request is None
    values: dict[str, Any] = {
        field: _first(sources, column, clean, push=push) for field, column, clean in _COLUMNS
    }
    values["service_name"] = _filled(sources[0].service.name, sources[0].env, _plain)
    values["service_pull_request"] = pull_request
    values["tag"] = values["tag"] or _first(sources, "branch", _tag_of_ref, push=push)
    if values["service_branch"] == values["tag"]:  # several services call the tag a branch
        values["service_branch"] = None
    if push or values["commit_sha"]:
        values["merge_sha"] = None
    return values


def _first(
    sources: list[_Source], column: str, clean: Callable[[str], str | None], *, push: bool
) -> str | None:
    """The first usable value of a column, the service's before the generic row's."""
    tidy = _TIDY.get(column, _plain)
    for source in sources:
        for entry in getattr(source.service, column):
            cell = entry if isinstance(entry, Cell) else Cell(entry)
            if push or not cell.unless_pull_request:
                value = clean(_matched(cell, source.env, tidy))
                if value:
                    return value
    return None


def _matched(cell: Cell, env: Mapping[str, str], tidy: Callable[[str], str | None]) -> str:
    """What the cell gives, stripped; empty when a variable is missing or nothing matches."""
    text = _filled(cell.template, env, tidy)
    match = re.fullmatch(cell.pattern, text, re.DOTALL) if text else None
    return "".join(filter(None, match.groups())).strip() if match else ""


def _filled(template: str, env: Mapping[str, str], tidy: Callable[[str], str | None]) -> str | None:
    """The template with its variables in place; None when one that it needs is not usable."""
    values = {}
    for name, optional in _PLACEHOLDER.findall(template):
        value = tidy(env.get(name) or env.get(name.upper(), ""))  # Windows knows no lower case
        if not value and not optional:
            return None
        values[name] = value or ""
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template)


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
    return _safe_url(text) if "://" in text else text


def _safe_url(url: str) -> str | None:
    """Without userinfo, query and fragment; None when it is not sure where these are."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError for the half of a password with a slash in it
    except ValueError:
        return None
    host = parts.netloc.rpartition("@")[2]
    if not parts.scheme or not host or "@" in parts.path:
        return None
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def _in_link(value: str) -> str | None:
    """A variable as a part of a link: the row's own ``?`` and ``#`` stay the only ones."""
    text = _plain(value)
    if not text or "@" in text:  # what stands before it may be secret
        return None
    return _quoted(text) if "://" in text else quote(text, safe="/=")


def _quoted(url: str) -> str:
    return quote(url, safe=":/%[]!$&'()*+,;=~")


_TIDY = {"message": _message, "build_url": _in_link, "job_url": _in_link}


# --- What a column may hold ---------------------------------------------------------------------

# https://git-scm.com/docs/git-check-ref-format
_NO_REF = re.compile(r"[\s~^:?*\[\\]|\.\.|@\{|//|^[/-]|/$")
_BRANCH_PREFIX = re.compile(r"refs/heads/|refs/remotes/[^/]+/|remotes/[^/]+/|origin/")
_NO_BRANCH = re.compile(
    r"HEAD|refs/.*"
    r"|(?:pull|pr|pull-requests|merge-requests)/[0-9]+(?:/.*)?|[0-9]+/(?:merge|head)"
    r"|[PM]R-[0-9]+(?:-merge|-head)?"
    r"|[0-9a-f]{40}|[0-9a-f]{64}"
)


def _branch(text: str) -> str | None:
    prefix = _BRANCH_PREFIX.match(text)
    name = text[prefix.end() :] if prefix else text
    return None if _NO_BRANCH.fullmatch(name) or _NO_REF.search(name) else name


def _tag(text: str) -> str | None:
    name = text.removeprefix("refs/tags/")
    is_other = name == "HEAD" or name.startswith("refs/") or _NO_REF.search(name)
    return None if is_other else name


def _tag_of_ref(text: str) -> str | None:
    return _tag(text) if text.startswith("refs/tags/") else None


def _sha(text: str) -> str | None:
    is_hash = re.fullmatch("[0-9a-fA-F]{7,64}", text) and set(text) != {"0"}
    return text.lower() if is_hash else None


def _pull_request(text: str) -> str | None:
    """The trailing integer of a number, a path or a URL."""
    match = re.search("(?<![0-9])([0-9]{1,18})/?$", text)
    return match[1] if match and int(match[1]) else None


def _count(text: str) -> str | None:
    return text if re.fullmatch("[0-9]+", text) else None


def _identifier(text: str) -> str | None:
    return None if "://" in text else text


def _repo_name(text: str) -> str | None:
    return text if re.fullmatch(r"[\w.-]+(?:/[\w.-]+)+", text) else None


def _link(text: str) -> str | None:
    is_link = re.match(r"https?://[^/]", text)
    return re.sub("(?<!:)//+", "/", text) if is_link else None


def _remote(text: str) -> str | None:
    """A URL, or ``git@host:path``, whose user is no secret; any other user is left out."""
    if "://" in text:
        url = _safe_url(text)
        return re.sub("(?<!:)//+", "/", _quoted(url)) if url else None
    match = re.fullmatch(r"(?:([\w.+-]+)@)?([\w.-]{2,}:[\w./~+-]+)", text)
    if not match:
        return None
    return f"git@{match[2]}" if match[1] == "git" else match[2]


def _text(text: str) -> str | None:
    return text


_COLUMNS: tuple[tuple[str, str, Callable[[str], str | None]], ...] = (
    ("service_number", "number", _identifier),
    ("service_job_id", "job_id", _identifier),
    ("service_job_number", "job_number", _identifier),
    ("service_branch", "branch", _branch),
    ("service_build_url", "build_url", _link),
    ("service_job_url", "job_url", _link),
    ("service_attempt", "attempt", _count),
    ("tag", "tag", _tag),
    ("commit_sha", "commit", _sha),
    ("merge_sha", "merge", _sha),
    ("repo_name", "repo_name", _repo_name),
    ("job_name", "job_name", _text),
    ("node_index", "node_index", _count),
    ("author_name", "author_name", _text),
    ("author_email", "author_email", _text),
    ("committer_name", "committer_name", _text),
    ("committer_email", "committer_email", _text),
    ("message", "message", _text),
    ("remote_url", "remote_url", _remote),
    ("remote_name", "remote_name", _text),
)
"""The field of a Build, the column of a row, and what makes one of the other."""
