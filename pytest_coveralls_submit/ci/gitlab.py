"""Read a commit from GitLab, and give it a status.

Both forms are spoken: today's (v4) and the CI API of GitLab 8 and some releases of 9.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote, urlencode

from ..delivery.sender import Answer, Call, Policy, send
from ..errors import CoverallsError, GitLabError
from ..git import COMMIT_DETAILS
from ..secret import Secret, redact
from ..text import escaped, is_loopback, json_object

Ask: TypeAlias = Callable[[Call, bytes], Answer]  # makes a request with a body, once

PER_PAGE = 20  # GitLab's own default; a page of 100 commits seldom fits into 64 KiB
# gitlabhq/gitlab-ci: lib/ci/api/api.rb is mounted at the first, older documentation has the other.
_OLDER_PATHS = ("/ci/api/v1/commits", "/ci/commits")
_ADDRESS = re.compile(
    r"(?P<scheme>https?)://(?:\[(?P<ip>[0-9a-f:.]+)\]|(?P<name>[\w.-]+))(?::[0-9]+)?(?:/[^\s?#@]*)?"
)
_NAME = "COVERALLS_GITLAB_TOKEN"
_ADVICE = {
    None: "check that GitLab can be reached from here",
    # gitlabhq/gitlabhq: doc/ci/jobs/ci_job_token.md,
    # app/services/ci/create_commit_status_service.rb
    400: "the commit may have this status already, or a value is not accepted",
    401: f"{_NAME} has to be a token with the api scope that has not expired, not a job token",
    403: f"{_NAME} needs the api scope and the role Developer, or more for a protected branch",
    404: f"project (CI_PROJECT_ID), commit or pipeline do not exist, or {_NAME} cannot see them",
}
_OLDER_ADVICE = _ADVICE | {  # gitlabhq/gitlab-ci: doc/api/README.md, lib/api/helpers.rb
    403: f"{_NAME} has to be the project's CI token, for the project of CI_PROJECT_ID",
    404: "there is no project with the id in CI_PROJECT_ID, or GitLab has no CI API of this form",
}


def client(env: Mapping[str, str], secrets: Iterable[Secret]) -> Ask:
    """Return a function that makes a request, within 5 seconds."""
    policy = Policy(connect_timeout=5.0, read_timeout=5.0, deadline=5.0)
    hidden = [*secrets, Secret(env.get("CI_JOB_TOKEN", ""))]

    def ask(call: Call, body: bytes) -> Answer:
        return send(call, [body], policy, env=env, say=lambda _: None, secrets=hidden)

    return ask


class Status(NamedTuple):
    """Hold what GitLab shall know of a tested commit."""

    head: Mapping[str, str]  # the job's: id, author, committer, message
    coverage: float  # percent
    url: str | None
    ref: str | None  # branch or tag
    name: str


@dataclass(frozen=True)
class _Api:
    """Pair a token with the meaning of refusals."""

    ask: Ask
    base: str
    token: Secret
    advice: Mapping[int | None, str]

    def read(self, answer: Answer, shape: type, purpose: str) -> Any:
        """Return the JSON of an answer, or raise GitLabError."""
        try:
            document = json.loads(answer.text)
        except (ValueError, RecursionError):
            document = None
        if answer.status not in range(200, 300):
            problem = self._refusal(answer, document if isinstance(document, dict) else {})
        elif isinstance(document, shape):
            return document
        else:
            problem = "the answer is not the documented JSON; check that the address is GitLab's"
        raise GitLabError(redact(f"GitLab did not {purpose}: {problem}", [self.token]))

    def _refusal(self, answer: Answer, error: Mapping[str, Any]) -> str:
        message = error.get("message") or error.get("error") or ""
        message = redact(message if isinstance(message, str) else json.dumps(message), [self.token])
        problem = answer.problem
        if message not in problem:
            problem += f" ({escaped(message[:200])})"
        advice = self.advice.get(answer.status)
        return f"{problem}; {advice}" if advice else problem


def commit_details(sha: str, env: Mapping[str, str], ask: Ask) -> dict[str, str]:
    """Return author, committer and message that GitLab knows."""
    # gitlabhq/gitlabhq: doc/ci/variables/predefined_variables.md
    variables = ("CI_API_V4_URL", "CI_PROJECT_ID", "CI_JOB_TOKEN")
    base, project, token = (env.get(name, "").strip() for name in variables)
    if not (base and project and token):
        return {}
    # https://docs.gitlab.com/ci/jobs/ci_job_token/: a job token can read one commit
    url = f"{_project(base, project)}/repository/commits/{sha}"
    try:
        _check_address(base, "CI_API_V4_URL")
        answer = ask(Call(method="GET", url=url, form="none", headers={"JOB-TOKEN": token}), b"")
    except CoverallsError:
        return {}
    document = json_object(answer.text) or {}
    if not _text(document.get("id")).startswith(sha):
        return {}
    return {name: text for name in COMMIT_DETAILS if (text := _text(document.get(name)))}


def _text(value: object) -> str:
    # JSON can hold half a character.
    return value.encode("utf-8", "replace").decode().strip() if isinstance(value, str) else ""


def announce(env: Mapping[str, str], token: Secret, ask: Ask, status: Status) -> str:
    """Give the commit a status; return one line about it.

    The older CI API has no statuses, so there the commit itself is announced. Its token is the
    project's CI token, that of v4 has the scope api.

    Raises:
        GitLabError: a variable is missing, or GitLab did not answer or refused.
    """
    variables = ("CI_API_V4_URL", "CI_SERVER_URL", "CI_PROJECT_ID")
    base, older, project = (env.get(name, "").strip() for name in variables)
    if not project or not (base or older):
        raise GitLabError(
            "gitlab_status needs CI_PROJECT_ID and CI_API_V4_URL (CI_SERVER_URL where GitLab is "
            "too old for it), which jobs of GitLab CI have; under tox add them to pass_env"
        )
    _check_address(base or older, "CI_API_V4_URL" if base else "CI_SERVER_URL")
    if base:
        return _set_status(_Api(ask, base, token, _ADVICE), project, status, env)
    return _announce_commit(_Api(ask, older, token, _OLDER_ADVICE), project, status, env)


def _check_address(address: str, variable: str) -> None:
    """Raise GitLabError unless a token is safe on its way."""
    parts = _ADDRESS.fullmatch(address)
    if not parts or (parts["scheme"] == "http" and not is_loopback(parts["ip"] or parts["name"])):
        raise GitLabError(
            f"{variable} cannot be used: it has to be an https address without user, query and "
            "fragment, so that nobody else can read the token"
        )


def _project(base: str, project: str) -> str:
    # https://docs.gitlab.com/api/rest/#namespaced-paths: the slash of a path is escaped too
    return f"{base.rstrip('/')}/projects/{quote(project, safe='')}"


def _set_status(api: _Api, project: str, status: Status, env: Mapping[str, str]) -> str:
    # https://docs.gitlab.com/api/commits/
    sha = status.head["id"]
    number, commit = (env.get(name, "").strip() for name in ("CI_PIPELINE_ID", "CI_COMMIT_SHA"))
    # A pipeline of merged results runs on another commit.
    is_found = commit == sha and re.fullmatch("[0-9]{1,18}", number)
    values = {
        "state": "success",
        "name": status.name,
        "coverage": round(status.coverage, 2),
        "target_url": status.url,
        # The pipeline of a merge request has another ref than the branch: it would not be found.
        # GitLab makes a pipeline of its own where none matches.
        **({"pipeline_id": int(number)} if is_found else {"ref": status.ref}),
    }
    body = json.dumps({name: value for name, value in values.items() if value is not None})
    url = f"{_project(api.base, project)}/statuses/{sha}"
    headers = {"PRIVATE-TOKEN": api.token.reveal()}
    answer = api.ask(Call(method="POST", url=url, form="json", headers=headers), body.encode())
    api.read(answer, dict, "set the commit's status")
    return f"GitLab: commit {sha[:8]} has the status {status.name}, {status.coverage:.2f}% covered"


def _announce_commit(api: _Api, project: str, status: Status, env: Mapping[str, str]) -> str:
    """Announce a commit that GitLab does not know yet.

    Several releases would start the builds of a known one again
    (gitlab-ci: app/services/create_commit_service.rb), so it is looked for first.
    """
    push, sha = _push_event(env, status), status.head["id"]
    # It wants the token among the parameters, of a GET request too: gitlabhq/gitlabhq:
    # doc/ci/api/commits.md
    parameters = {"project_id": project, "project_token": api.token.reveal()}
    for page in range(1, 1000 // PER_PAGE + 2):
        query = urlencode({**parameters, "page": page, "per_page": PER_PAGE})
        listed = api.read(_older_answer(api, f"?{query}", b""), list, "list the commits")
        if not listed:
            break
        if any(entry.get("sha") == sha for entry in listed if isinstance(entry, dict)):
            return f"GitLab: commit {sha[:8]} is known already, nothing to announce"
    else:
        raise GitLabError(
            f"commit {sha[:8]} was not announced: GitLab lists more than 1000 commits, and "
            "would build one that it knows already again"
        )
    body = json.dumps({**parameters, "data": push}).encode()
    api.read(_older_answer(api, "", body), dict, "take the commit")
    return f"GitLab: commit {sha[:8]} was announced"


def _older_answer(api: _Api, query: str, body: bytes) -> Answer:
    """Return the answer of the first path that exists."""
    answer = Answer()
    for path in _OLDER_PATHS:
        url = api.base.rstrip("/") + path + query
        post = Call(method="POST", url=url, form="json")
        answer = api.ask(post if body else Call(method="GET", url=url, form="none"), body)
        # 404 in JSON is about the project.
        if answer.status != 404 or json_object(answer.text) is not None:  # noqa: PLR2004
            break
    return answer


def _push_event(env: Mapping[str, str], status: Status) -> dict[str, Any]:
    """Return the push of the commit, with its author."""
    head = status.head
    if status.ref is None:
        raise GitLabError("the branch of the commit is unknown; set CI_BUILD_REF_NAME")
    kind = "tags" if env.get("CI_BUILD_TAG", "").strip() else "heads"
    author = {"name": head.get("author_name"), "email": head.get("author_email")}
    return {
        # Must be there; zeros mean a new branch (gitlabhq/gitlab-ci: app/models/commit.rb).
        "before": env.get("CI_BUILD_BEFORE_SHA", "").strip() or "0" * 40,
        "after": head["id"],
        "ref": f"refs/{kind}/{status.ref}",
        "commits": [{"id": head["id"], "message": head.get("message"), "author": author}],
        "total_commits_count": 1,
    }
