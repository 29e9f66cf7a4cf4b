"""GitLab's Commits API, in today's form (v4) and in that of the older CI API.

Asks who wrote a commit, and tells GitLab what Coveralls took. How a request is made and how long
that may take is the caller's choice: see `Ask`. What that raises is passed on, by all but `fill`.
"""

from __future__ import annotations

import ipaddress
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any, Literal, TypeAlias, TypeVar
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit

from ..delivery.messages import BODY_LIMIT, Answer, Call
from ..errors import GitLabError
from ..secret import Secret, redact
from .git import Commit

Ask: TypeAlias = Callable[[Call, bytes], Answer]
"""Makes a request with that body, once and without following redirects."""

State: TypeAlias = Literal["pending", "running", "success", "failed", "canceled", "skipped"]
_Shape = TypeVar("_Shape", dict[str, Any], list[Any])

PER_PAGE = 20  # GitLab's own default; a page of 100 commits seldom fits into BODY_LIMIT
LIMIT = 1000
"""Commits that a list gives at most, and among which the older API is searched."""

_STATUS_VALUE = 255  # characters of a status's name, ref and target_url
_VALUE = 1024  # characters kept of a name or an address
_SAID = 200  # characters shown of what GitLab said
_ID = re.compile(r"(?!0+$)[0-9a-f]{7,64}")
_DELETED = re.compile(r"0{40,64}")
_LINK = re.compile(r"<([^>]*)>([^<]*)")
_NEXT = re.compile(r""";\s*rel\s*=\s*["']?next\b""", re.IGNORECASE)
_ADDRESS = re.compile(r"[!-~]+")  # visible ASCII: what an address and a header can hold

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
class CommitsV4:
    """A project's commits in API v4, https://docs.gitlab.com/api/commits/.

    Attributes:
        base: the API's address, as in CI_API_V4_URL; https, or http on this machine.
        project: number, or path such as ``group/project``.
        header: what carries the token. A job token can read one commit, and nothing else here.
        token: sent to `base` only.
        ask: makes the requests.

    Raises:
        GitLabError: address or token cannot be used.
    """

    base: str
    project: str
    header: Literal["PRIVATE-TOKEN", "JOB-TOKEN"]
    token: Secret
    ask: Ask = field(repr=False)

    def __post_init__(self) -> None:
        _check(self.base, "CI_API_V4_URL", self.token, self._source)

    def commit(self, sha: str) -> Commit | None:
        """Return the commit with this id; None where GitLab has none or does not show it.

        Raises:
            GitLabError: GitLab did not answer, refused, or answered another commit.
        """
        answer = self._get(self._url(f"repository/commits/{quote(sha, safe='')}"))
        if answer.status == 404:  # noqa: PLR2004
            return None
        found = _commit(self._read(answer, dict, "show the commit"), "id", _V4_NAMES)
        if not found.id.startswith(sha.lower()):
            raise GitLabError(f"GitLab was asked for commit {sha} and answered {found.id}")
        return found

    def commits(
        self, ref_name: str | None = None, *, per_page: int = PER_PAGE, limit: int = LIMIT
    ) -> Iterator[Commit]:
        """Yield the newest commits first, page by page as they are needed.

        Args:
            ref_name: branch, tag or range; the default branch if None.
            per_page: 1 to 100.
            limit: how many commits at most.

        Raises:
            GitLabError: a page cannot be had, or the next one is said to be on another server.
        """
        wanted = {"ref_name": ref_name, "per_page": per_page}
        query = urlencode({name: value for name, value in wanted.items() if value is not None})
        return islice(self._pages(f"{self._url('repository/commits')}?{query}"), limit)

    def set_status(
        self,
        sha: str,
        *,
        state: State = "success",
        coverage: float | None = None,
        target_url: str | None = None,
        name: str = "coveralls",
        ref: str | None = None,
        pipeline_id: int | None = None,
    ) -> None:
        """Give a commit a status, or change the one of that name.

        Args:
            sha: the whole id of the commit.
            state: what GitLab shows.
            coverage: percentage.
            target_url: where the status leads to; left out where GitLab would refuse its length.
            name: tells the status from those of others.
            ref: branch or tag. GitLab makes a pipeline of its own where none matches.
            pipeline_id: has to be one of this commit, and of `ref` where both are given.

        Raises:
            GitLabError: GitLab did not answer, or refused.
        """
        values = {
            "state": state,
            "name": name[:_STATUS_VALUE],
            "coverage": coverage,
            "target_url": _short(target_url),
            "ref": _short(ref),
            "pipeline_id": pipeline_id,
        }
        body = {key: value for key, value in values.items() if value is not None}
        url = self._url(f"statuses/{quote(sha, safe='')}")
        answer = self.ask(self._call("POST", url), json.dumps(body).encode())
        self._read(answer, dict, "set the commit's status")

    @property
    def _source(self) -> str:
        return "CI_JOB_TOKEN" if self.header == "JOB-TOKEN" else "COVERALLS_GITLAB_TOKEN"

    def _url(self, path: str) -> str:
        # https://docs.gitlab.com/api/rest/#namespaced-paths: the slash of a path is escaped too
        return f"{self.base.rstrip('/')}/projects/{quote(self.project, safe='')}/{path}"

    def _call(self, method: Literal["GET", "POST"], url: str) -> Call:
        form: Literal["json", "none"] = "json" if method == "POST" else "none"
        return Call(method=method, url=url, form=form, headers={self.header: self.token.reveal()})

    def _get(self, url: str) -> Answer:
        return self.ask(self._call("GET", url), b"")

    def _read(self, answer: Answer, shape: type[_Shape], doing: str) -> _Shape:
        advice = {status: text.format(source=self._source) for status, text in _V4_ADVICE.items()}
        return _read(answer, shape, doing, advice, self.token)

    def _pages(self, first: str) -> Iterator[Commit]:
        url: str | None = first
        while url is not None:
            answer = self._get(url)
            page = self._read(answer, list, "list the commits")
            yield from (_commit(entry, "id", _V4_NAMES) for entry in page)
            url = self._next(url, answer.headers) if page else None

    def _next(self, url: str, headers: Mapping[str, str]) -> str | None:
        """The next page's address; the token would go along, so it has to be the same server."""
        linked = _linked(headers.get("link", ""))
        if linked is None:
            number = headers.get("x-next-page", "").strip()
            return _with_page(url, number) if re.fullmatch("[0-9]{1,9}", number) else None
        following = _joined(url, linked)
        if _origin(following) != _origin(self.base):
            raise GitLabError(
                "GitLab did not list all commits: the Link to the next page leads to another "
                "server than CI_API_V4_URL, which the token is not sent to"
            )
        return following


@dataclass(frozen=True, kw_only=True)
class CommitsV1:
    """A project's commits in the older CI API, gitlabhq/gitlabhq: doc/ci/api/commits.md.

    GitLab 8 has it, and some releases of 9. It wants the token among the parameters. In a GET
    request these stand in the URL: no other place for them is documented.

    Attributes:
        base: GitLab's address; https, or http on this machine.
        project_id: the project's number.
        token: the project's CI token.
        ask: makes the requests, and shows nobody their URL.

    Raises:
        GitLabError: address or token cannot be used.
    """

    # lib/ci/api/api.rb, mounted at /ci/api; the other one is in older documentation.
    PATHS = ("/ci/api/v1/commits", "/ci/commits")

    base: str
    project_id: str
    token: Secret
    ask: Ask = field(repr=False)

    def __post_init__(self) -> None:
        _check(self.base, "CI_SERVER_URL", self.token, "COVERALLS_GITLAB_TOKEN")

    def commit(self, sha: str) -> Commit | None:
        """Return the commit with this id, None where none of the first `LIMIT` has it.

        Raises:
            GitLabError: as for `commits`.
        """
        return next((commit for commit in self.commits() if commit.id == sha), None)

    def commits(self, *, per_page: int = PER_PAGE, limit: int = LIMIT) -> Iterator[Commit]:
        """Yield the commits, page by page as they are needed; GitLab 8 gives the oldest first.

        Args:
            per_page: commits a request.
            limit: how many commits at most.

        Raises:
            GitLabError: GitLab did not answer, refused, or answered something else than commits.
        """
        return islice(self._pages(per_page), limit)

    def create(self, push: Mapping[str, Any]) -> Commit | None:
        """Announce a commit; return it, or None where there was nothing to create.

        Nothing is created where a branch was deleted or GitLab knows the commit. It would not
        create that one again, but several releases would start its builds once more (gitlab-ci:
        app/services/create_commit_service.rb), so it is looked for first.

        Args:
            push: what GitLab sends to a push hook: `before`, `after`, `ref`, `commits`.

        Raises:
            GitLabError: as for `commits`, or it cannot be told whether GitLab knows the commit.
        """
        sha = str(push.get("checkout_sha") or push.get("after"))
        if _DELETED.fullmatch(sha) or self._knows(sha):
            return None
        body = {**self._parameters(), "data": dict(push)}
        answer = self._answer("POST", "", json.dumps(body).encode())
        return _commit(self._read(answer, dict, "take the commit"), "sha", _V1_NAMES)

    def _knows(self, sha: str) -> bool:
        for number, commit in enumerate(self.commits(limit=LIMIT + 1), start=1):
            if commit.id == sha:
                return True
            if number > LIMIT:
                raise GitLabError(
                    f"GitLab was not told of commit {sha[:8]}: it lists more than {LIMIT} commits, "
                    "so whether it knows this one, and would build it again, cannot be told"
                )
        return False

    def _pages(self, per_page: int) -> Iterator[Commit]:
        for page in count(1):
            query = urlencode({**self._parameters(), "page": page, "per_page": per_page})
            answer = self._answer("GET", f"?{query}", b"")
            listed = self._read(answer, list, "list the commits")
            if not listed:
                return
            yield from (_commit(entry, "sha", _V1_NAMES) for entry in listed)

    def _parameters(self) -> dict[str, str]:
        return {"project_id": self.project_id, "project_token": self.token.reveal()}

    def _answer(self, method: Literal["GET", "POST"], query: str, body: bytes) -> Answer:
        """Ask at the first path that is there; a 404 in JSON is the API's word about a project."""
        form: Literal["json", "none"] = "json" if body else "none"
        answer = Answer()
        for path in self.PATHS:
            url = self.base.rstrip("/") + path + query
            answer = self.ask(Call(method=method, url=url, form=form), body)
            if answer.status != 404 or isinstance(_document(answer.text), dict):  # noqa: PLR2004
                break
        return answer

    def _read(self, answer: Answer, shape: type[_Shape], doing: str) -> _Shape:
        source = "COVERALLS_GITLAB_TOKEN"
        advice = {status: text.format(source=source) for status, text in _V1_ADVICE.items()}
        return _read(answer, shape, doing, advice, self.token)


def from_environment(env: Mapping[str, str], ask: Ask) -> CommitsV4 | None:
    """Return the project of this CI job, to be read with the job's own token.

    Args:
        env: with CI_API_V4_URL, CI_PROJECT_ID and CI_JOB_TOKEN; None is returned without them.
            Source: gitlabhq/gitlabhq: doc/ci/variables/predefined_variables.md.
        ask: makes the requests.

    Raises:
        GitLabError: a value cannot be used; the token is sent over https only.
    """
    names = ("CI_API_V4_URL", "CI_PROJECT_ID", "CI_JOB_TOKEN")
    base, project, token = (env.get(name, "").strip() for name in names)
    if not (base and project and token):
        return None
    return CommitsV4(base=base, project=project, header="JOB-TOKEN", token=Secret(token), ask=ask)


def fill(build_sha: str, env: Mapping[str, str], ask: Ask) -> Commit | None:
    """Return what GitLab knows of the commit that is built, None if that cannot be had.

    At most one request is made. Never raises: a job without its author is still a job.

    Args:
        build_sha: id of the commit.
        env: see `from_environment`.
        ask: makes the request.
    """
    try:
        client = from_environment(env, ask) if _ID.fullmatch(build_sha.lower()) else None
        return client.commit(build_sha) if client is not None else None
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
    if not base:
        client = CommitsV1(base=older, project_id=project, token=token, ask=ask)
        return _announce_commit(client, env, head, ref)
    statuses = CommitsV4(base=base, project=project, header="PRIVATE-TOKEN", token=token, ask=ask)
    return _announce_status(statuses, env, head, coverage, url, ref, name)


def _announce_status(
    client: CommitsV4,
    env: Mapping[str, str],
    head: Commit,
    coverage: float,
    url: str | None,
    ref: str | None,
    name: str,
) -> str:
    pipeline = _pipeline(env, head.id)
    client.set_status(
        head.id,
        coverage=round(coverage, 2) if math.isfinite(coverage) else None,
        target_url=url,
        name=name,
        # The pipeline of a merge request has another ref than the branch: it would not be found.
        ref=ref if pipeline is None else None,
        pipeline_id=pipeline,
    )
    return f"GitLab: commit {head.id[:8]} has the status {name}, {coverage:.2f}% covered"


def _pipeline(env: Mapping[str, str], sha: str) -> int | None:
    """The pipeline of this job, unless it runs on another commit, such as a merge."""
    number = env.get("CI_PIPELINE_ID", "").strip()
    same = env.get("CI_COMMIT_SHA", "").strip() == sha
    return int(number) if same and re.fullmatch("[0-9]{1,18}", number) else None


def _announce_commit(
    client: CommitsV1, env: Mapping[str, str], head: Commit, ref: str | None
) -> str:
    created = client.create(_push(env, head, ref))
    if created is None:
        return f"GitLab: commit {head.id[:8]} is known already, nothing to announce"
    return f"GitLab: commit {head.id[:8]} was announced"


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


def _check(address: str, variable: str, token: Secret, source: str) -> None:
    """Refuse what would show the token to others, or to nobody because it cannot be sent."""
    if not _is_safe(address):
        raise GitLabError(
            f"{variable} cannot be used: it has to be an https address without user, query and "
            "fragment, so that nobody else can read the token"
        )
    if not _ADDRESS.fullmatch(token.reveal()):
        raise GitLabError(
            f"{source} cannot be used: it has spaces, line ends or letters beyond ASCII; copy it "
            "again from GitLab"
        )


def _is_safe(address: str) -> bool:
    origin = _origin(address)
    if origin is None or not _ADDRESS.fullmatch(address) or re.search("[?#@]", address):
        return False
    scheme, host, _ = origin
    return scheme == "https" or (scheme == "http" and _is_loopback(host))


def _origin(address: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None if the text is no address on the web."""
    try:
        parts = urlsplit(address)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (ValueError, KeyError):
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname else None


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _linked(header: str) -> str | None:
    """The address with ``rel="next"`` in a Link header (RFC 8288)."""
    links = _LINK.finditer(header)
    return next((link[1] for link in links if _NEXT.search(link[2])), None)


def _joined(url: str, linked: str) -> str:
    try:
        return urljoin(url, linked)
    except ValueError:  # a half-open IPv6 address
        return ""


def _with_page(url: str, number: str) -> str:
    parts = urlsplit(url)
    query = {**dict(parse_qsl(parts.query)), "page": number}
    return parts._replace(query=urlencode(query)).geturl()


def _short(value: str | None) -> str | None:
    return value if value and len(value) <= _STATUS_VALUE else None


def _read(
    answer: Answer, shape: type[_Shape], doing: str, advice: Mapping[int, str], token: Secret
) -> _Shape:
    """Return the JSON of a successful answer, which has to be an object or an array as asked."""
    document = _document(answer.text)
    failed = answer.status is None or not 200 <= answer.status < 300  # noqa: PLR2004
    if not failed and isinstance(document, shape):
        return document
    if failed:
        said = _said(document, token)
        problem = answer.problem + (f" ({said})" if said and said not in answer.problem else "")
        hint = advice.get(answer.status or 0, _UNREACHABLE if answer.status is None else "")
    elif len(answer.text.encode()) >= BODY_LIMIT:
        problem = f"the answer is longer than {BODY_LIMIT // 1024} KiB"
        hint = "ask for fewer commits a page"
    else:
        problem = "the answer is not the documented JSON"
        hint = "check that the address is that of GitLab, and that no log-in page is before it"
    message = f"GitLab did not {doing}: {problem}" + (f"; {hint}" if hint else "")
    raise GitLabError(redact(message, [token]))


def _document(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


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
    if not isinstance(document, dict) or not isinstance(sha, str) or not _ID.fullmatch(sha):
        raise GitLabError(f"GitLab answered something else than a commit: no {id_name} is in it")
    texts = {field: _text(document.get(name), field) for field, name in names.items()}
    return Commit(id=sha, **texts)


def _text(value: object, name: str) -> str | None:
    if not isinstance(value, str):
        return None
    text = value.encode("utf-8", "replace").decode().strip()  # JSON can hold half a character
    return (text if name == "message" else text[:_VALUE]) or None
