"""GitLab's Commits API, in today's form (v4) and in that of the older CI API.

Asks who wrote a commit, and tells GitLab what Coveralls took. How a request is made and how long
that may take is the caller's choice: see `Ask`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal, TypeAlias, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from ..delivery.sender import BODY_LIMIT, Answer, Call
from ..errors import GitLabError
from ..git import Commit
from ..secret import Secret, redact
from ..text import commit_id, is_loopback, json_object

Ask: TypeAlias = Callable[[Call, bytes], Answer]
"""Makes a request with that body, once and without following redirects; shows nobody its URL."""

_Shape = TypeVar("_Shape", dict[str, Any], list[Any])

PER_PAGE = 20  # GitLab's own default; a page of 100 commits seldom fits into BODY_LIMIT
LIMIT = 1000
"""Commits among which the older API is searched."""

_JOB_TOKEN = "CI_JOB_TOKEN"  # noqa: S105  the name of a variable
_OWN_TOKEN = "COVERALLS_GITLAB_TOKEN"  # noqa: S105
_STATUS_VALUE = 255  # characters of a status's name, ref and target_url
_VALUE = 1024  # characters kept of a name or an address
_SAID = 200  # characters shown of what GitLab said
_NOT_FOUND = 404
_ADDRESS = re.compile(r"[!-~]+")  # visible ASCII: what an address and a header can hold

# lib/ci/api/api.rb, mounted at /ci/api; the other one is in older documentation.
_OLDER_PATHS = ("/ci/api/v1/commits", "/ci/commits")

# gitlabhq/gitlabhq: doc/api/commits.md, and gitlabhq/gitlab-ci: doc/api/commits.md
_V4_NAMES = {
    "author_name": "author_name",
    "author_email": "author_email",
    "committer_name": "committer_name",
    "committer_email": "committer_email",
    "message": "message",
}
_V1_NAMES = {
    "author_name": "git_author_name",
    "author_email": "git_author_email",
    "message": "git_commit_message",
}

# What a status means for the user. gitlabhq/gitlabhq: doc/ci/jobs/ci_job_token.md,
# app/services/ci/create_commit_status_service.rb; jenkinsci/gitlab-plugin#883, #1045.
_V4_ADVICE = {
    400: "the commit may have this status already, or a value is not accepted",
    401: (
        "{source} is not accepted: it has to be a token with the api scope that has not expired; "
        "a job token may neither list commits nor set a status"
    ),
    403: (
        "the token in {source} needs the api scope and at least the role Developer, for a "
        "protected branch a role that may push to it"
    ),
    404: (
        "the project (CI_PROJECT_ID), the commit or its pipeline does not exist, or is hidden from "
        "the token in {source}"
    ),
}
# gitlabhq/gitlab-ci: doc/api/README.md, lib/api/helpers.rb
_V1_ADVICE = {
    401: "the server knows no CI API with project tokens",
    403: "{source} has to be the project's CI token, for the project of CI_PROJECT_ID",
    404: "there is no project with the id in CI_PROJECT_ID, or GitLab has no CI API of this form",
}
_UNREACHABLE = "check that GitLab can be reached from here"


@dataclass(frozen=True, kw_only=True)
class _Server:
    """One form of GitLab's API, and the token for it.

    Attributes:
        base: https, or http on this machine.
        token: sent to `base` only.
        token_from: the variable that holds the token.
        ask: makes the requests.
        is_older: whether it is the CI API.

    Raises:
        GitLabError: address or token cannot be used.
    """

    base: str
    token: Secret
    token_from: str
    ask: Ask = field(repr=False)
    is_older: bool = False

    def __post_init__(self) -> None:
        if not _is_safe(self.base):
            variable = "CI_SERVER_URL" if self.is_older else "CI_API_V4_URL"
            raise GitLabError(
                f"{variable} cannot be used: it has to be an https address without user, "
                "query and fragment, so that nobody else can read the token"
            )
        if not _ADDRESS.fullmatch(self.token.reveal()):
            raise GitLabError(
                f"{self.token_from} cannot be used: it has spaces, line ends or letters beyond "
                "ASCII; copy it again from GitLab"
            )

    def read(self, answer: Answer, shape: type[_Shape], doing: str) -> _Shape:
        """Return the JSON of a successful answer; raises GitLabError where it is of no use."""
        document = _document(answer.text)
        failed = answer.status is None or not 200 <= answer.status < 300  # noqa: PLR2004
        if not failed and isinstance(document, shape):
            return document
        problem = self._refusal(answer, document) if failed else _nonsense(answer)
        raise GitLabError(redact(f"GitLab did not {doing}: {problem}", [self.token]))

    def _refusal(self, answer: Answer, document: object) -> str:
        said = _said(document, self.token)
        problem = answer.problem + (f" ({said})" if said and said not in answer.problem else "")
        if answer.status is None:
            return f"{problem}; check that GitLab can be reached from here"
        advice = _V1_ADVICE if self.is_older else _V4_ADVICE
        hint = advice.get(answer.status, "").format(source=self.token_from)
        return f"{problem}; {hint}" if hint else problem


def fill(build_sha: str, env: Mapping[str, str], ask: Ask) -> Commit | None:
    """Return what GitLab knows of the commit that is built, None if that cannot be had.

    At most one request is made. Never raises: a job without its author is still a job.

    Args:
        build_sha: id of the commit.
        env: with CI_API_V4_URL, CI_PROJECT_ID and CI_JOB_TOKEN; nobody is asked without them.
            Source: gitlabhq/gitlabhq: doc/ci/variables/predefined_variables.md.
        ask: makes the request.
    """
    sha = commit_id(build_sha)
    names = ("CI_API_V4_URL", "CI_PROJECT_ID", _JOB_TOKEN)
    base, project, token = (env.get(name, "").strip() for name in names)
    if not (sha and base and project and token):
        return None
    try:
        server = _Server(base=base, token=Secret(token), token_from=_JOB_TOKEN, ask=ask)
        # https://docs.gitlab.com/ci/jobs/ci_job_token/: a job token can read one commit
        call = Call(
            method="GET",
            url=f"{_project(base, project)}/repository/commits/{sha}",
            form="none",
            headers={"JOB-TOKEN": token},
        )
        commit = _commit(server.read(ask(call, b""), dict, "show the commit"), "id", _V4_NAMES)
        return commit if commit.id.startswith(sha) else None
    except Exception:  # noqa: BLE001  refusal, silence or nonsense: all the same here
        return None


def announce(
    env: Mapping[str, str],
    token: Secret,
    ask: Ask,
    head: Commit,
    *,
    coverage: float,
    url: str | None = None,
    ref: str | None = None,
    name: str = "coveralls",
) -> str:
    """Tell GitLab of a job that Coveralls took; return what was done, in one line.

    Where there is CI_API_V4_URL the commit gets a status. The older CI API has none, so there
    the commit itself is announced.

    Args:
        env: of the CI job.
        token: with the api scope; for the older API the project's CI token.
        ask: makes the requests.
        head: the commit that was tested.
        coverage: percentage, 0 to 100.
        url: the job's page on Coveralls.
        ref: the branch or tag that was tested.
        name: of the status.

    Raises:
        GitLabError: GitLab cannot be asked, did not answer, or refused.
    """
    project = env.get("CI_PROJECT_ID", "").strip() or env.get("CI_PROJECT_PATH", "").strip()
    base = env.get("CI_API_V4_URL", "").strip()
    older = env.get("CI_SERVER_URL", "").strip()
    if not project or not (base or older):
        raise GitLabError(
            "GitLab was not told of the job: gitlab_status needs CI_PROJECT_ID and CI_API_V4_URL "
            "(CI_SERVER_URL where GitLab is too old for it), which jobs of GitLab CI have; under "
            "tox add them to pass_env"
        )
    server = _Server(
        base=base or older, token=token, token_from=_OWN_TOKEN, ask=ask, is_older=not base
    )
    if server.is_older:
        return _announce_commit(server, project, _push(env, head, ref))
    return _set_status(server, project, env, head, coverage, url, ref, name)


# --- v4, https://docs.gitlab.com/api/commits/ ----------------------------------------------------


def _project(base: str, project: str) -> str:
    # https://docs.gitlab.com/api/rest/#namespaced-paths: the slash of a path is escaped too
    return f"{base.rstrip('/')}/projects/{quote(project, safe='')}"


def _set_status(
    server: _Server,
    project: str,
    env: Mapping[str, str],
    head: Commit,
    coverage: float,
    url: str | None,
    ref: str | None,
    name: str,
) -> str:
    pipeline = _pipeline(env, head.id)
    values = {
        "state": "success",
        "name": name[:_STATUS_VALUE],
        "coverage": round(coverage, 2) if math.isfinite(coverage) else None,
        "target_url": _short(url),
        # The pipeline of a merge request has another ref than the branch: it would not be found.
        # GitLab makes a pipeline of its own where none matches.
        "ref": _short(ref) if pipeline is None else None,
        "pipeline_id": pipeline,
    }
    body = {key: value for key, value in values.items() if value is not None}
    call = Call(
        method="POST",
        url=f"{_project(server.base, project)}/statuses/{quote(head.id, safe='')}",
        form="json",
        headers={"PRIVATE-TOKEN": server.token.reveal()},
    )
    server.read(server.ask(call, json.dumps(body).encode()), dict, "set the commit's status")
    return f"GitLab: commit {head.id[:8]} has the status {name}, {coverage:.2f}% covered"


def _short(value: str | None) -> str | None:
    return value if value and len(value) <= _STATUS_VALUE else None


def _pipeline(env: Mapping[str, str], sha: str) -> int | None:
    """The pipeline of this job, unless it runs on another commit, such as a merge."""
    number = env.get("CI_PIPELINE_ID", "").strip()
    same = env.get("CI_COMMIT_SHA", "").strip() == sha
    return int(number) if same and re.fullmatch("[0-9]{1,18}", number) else None


# --- The older CI API, gitlabhq/gitlabhq: doc/ci/api/commits.md ----------------------------------
# GitLab 8 has it, and some releases of 9. It wants the token among the parameters. In a GET request
# these stand in the URL: no other place for them is documented.


def _announce_commit(server: _Server, project: str, push: Mapping[str, Any]) -> str:
    """Announce a commit that GitLab does not know.

    GitLab would not create a known one again, but several releases would start its builds once
    more (gitlab-ci: app/services/create_commit_service.rb), so it is looked for first.
    """
    sha = push["after"]
    parameters = {"project_id": project, "project_token": server.token.reveal()}
    for number, known in enumerate(_older_commits(server, parameters)):
        if known.id == sha:
            return f"GitLab: commit {sha[:8]} is known already, nothing to announce"
        if number >= LIMIT:
            raise GitLabError(
                f"GitLab was not told of commit {sha[:8]}: it lists more than {LIMIT} commits, "
                "so whether it knows this one, and would build it again, cannot be told"
            )
    body = json.dumps({**parameters, "data": dict(push)}).encode()
    server.read(_ask_older(server, "POST", "", body), dict, "take the commit")
    return f"GitLab: commit {sha[:8]} was announced"


def _older_commits(server: _Server, parameters: Mapping[str, str]) -> Iterator[Commit]:
    """Yield the commits, page by page as they are needed; GitLab 8 gives the oldest first."""
    for page in count(1):
        query = urlencode({**parameters, "page": page, "per_page": PER_PAGE})
        answer = _ask_older(server, "GET", f"?{query}", b"")
        listed = server.read(answer, list, "list the commits")
        if not listed:
            return
        yield from (_commit(entry, "sha", _V1_NAMES) for entry in listed)


def _ask_older(server: _Server, method: Literal["GET", "POST"], query: str, body: bytes) -> Answer:
    """Ask at the first path that is there; a 404 in JSON is the API's word about a project."""
    answer = Answer()
    for path in _OLDER_PATHS:
        url = server.base.rstrip("/") + path + query
        answer = server.ask(Call(method=method, url=url, form="json" if body else "none"), body)
        if answer.status != _NOT_FOUND or json_object(answer.text) is not None:
            break
    return answer


def _push(env: Mapping[str, str], head: Commit, ref: str | None) -> dict[str, Any]:
    """The push that brought the commit; GitLab finds its author in `commits` only."""
    tag = env.get("CI_BUILD_TAG", "").strip()
    name = tag or ref or env.get("CI_BUILD_REF_NAME", "").strip()
    if not name:
        raise GitLabError(
            "GitLab was not told of the commit: its branch is not known; set CI_BUILD_REF_NAME"
        )
    author = {"name": head.author_name, "email": head.author_email}
    return {
        # Must be there; zeros mean a new branch (gitlabhq/gitlab-ci: app/models/commit.rb).
        "before": env.get("CI_BUILD_BEFORE_SHA", "").strip() or "0" * 40,
        "after": head.id,
        "ref": f"refs/{'tags' if tag else 'heads'}/{name}",
        "commits": [{"id": head.id, "message": head.message, "author": author}],
        "total_commits_count": 1,
    }


# --- Answers and addresses -----------------------------------------------------------------------


def _is_safe(address: str) -> bool:
    """Tell whether a token may be sent there: nobody else can read it."""
    try:
        parts = urlsplit(address)
        _ = parts.port  # raises ValueError for what is no number
    except ValueError:
        return False
    if not parts.hostname or not _ADDRESS.fullmatch(address) or re.search("[?#@]", address):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))


def _document(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _nonsense(answer: Answer) -> str:
    if len(answer.text.encode()) >= BODY_LIMIT:
        return f"the answer is longer than {BODY_LIMIT // 1024} KiB"
    return (
        "the answer is not the documented JSON; check that the address is that of GitLab, and "
        "that no log-in page is before it"
    )


def _said(document: object, token: Secret) -> str:
    """What an error's JSON says, in one line of printable characters."""
    if not isinstance(document, dict):
        return ""
    said = document.get("message") or document.get("error") or ""
    text = redact(said if isinstance(said, str) else json.dumps(said), [token])
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _SAID else line[:_SAID] + "..."


def _commit(document: object, id_name: str, names: Mapping[str, str]) -> Commit:
    """Read one commit; a field that is no text is left out.

    Raises:
        GitLabError: it is no object, or has no id.
    """
    sha = document.get(id_name) if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(sha, str) or commit_id(sha) != sha:
        raise GitLabError(f"GitLab answered something else than a commit: no {id_name} is in it")
    texts = {name: _text(document.get(given), name) for name, given in names.items()}
    return Commit(id=sha, **texts)


def _text(value: object, name: str) -> str | None:
    if not isinstance(value, str):
        return None
    text = value.encode("utf-8", "replace").decode().strip()  # JSON can hold half a character
    return (text if name == "message" else text[:_VALUE]) or None
