"""A GitLab with one project, in both forms of its Commits API, as their documentation has them.

v4: gitlabhq/gitlabhq, doc/api/commits.md, doc/api/rest/_index.md and doc/ci/jobs/ci_job_token.md.
The older CI API: gitlabhq/gitlab-ci and gitlabhq/gitlabhq at 8.0, doc/ci/api/commits.md with the
code it names.
"""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from pytest_httpserver import HTTPServer
from werkzeug.datastructures import Headers
from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from werkzeug.wrappers import Request

# Made up, with the prefixes that GitLab gives out today.
PRIVATE_TOKEN = "glpat-c0ffee-0123456789"
JOB_TOKEN = "glcbt-64_c0ffee-9876543210"
PROJECT_TOKEN = "c0ffee0123456789c0ffee01234567"

PROJECT_ID = 7
PROJECT_PATH = "octo/sample"
BRANCH = "main"
STATES = ("pending", "running", "success", "failed", "canceled", "skipped")
OLDER_PATHS = ("/ci/commits", "/ci/api/v1/commits")
ZEROS = "0" * 40

Json: TypeAlias = "dict[str, Any]"


@dataclass(frozen=True)
class Asked:
    """One request as it arrived; `target` is path and query, nothing of it decoded."""

    method: str
    target: str
    headers: Headers
    body: bytes

    @property
    def path(self) -> str:
        """The path, still encoded."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The parameters in the URL."""
        return dict(parse_qsl(urlsplit(self.target).query))

    @property
    def parameters(self) -> Json:
        """The parameters in the URL and, of a POST, those in its JSON body."""
        body = json.loads(self.body) if self.method == "POST" and self.body else {}
        return {**self.query, **body}


def a_sha(number: int) -> str:
    """The id of the commit with that number."""
    return f"{number:040x}"


def a_commit(number: int, **fields: object) -> Json:
    """A commit as v4 shows it."""
    return {
        "id": a_sha(number),
        "message": f"Water bed {number}\n\nIt was dry.\n",
        "author_name": "Ada Gardener",
        "author_email": "ada@example.com",
        "committer_name": "Carl Keeper",
        "committer_email": "carl@example.com",
        **fields,
    }


class _RefusedError(Exception):
    """Its arguments are status and document of the answer."""


class GitLab(HTTPServer):
    """GitLab on loopback; a context manager that needs no pytest.

    Attributes:
        requests: every request in the order of arrival.
        commits: of the project as v4 shows them, the newest first.
        statuses: that were set, in that order.
        pipelines: commit id by number of pipeline.
        announced: commits as the older API shows them, the oldest first.
        older_paths: where the older API is.
    """

    def __init__(self, *commits: Json) -> None:
        """Prepare the server, with the newest commit first."""
        super().__init__("127.0.0.1", 0)
        self.requests: list[Asked] = []
        self.commits = list(commits)
        self.statuses: list[Json] = []
        self.pipelines: dict[int, str] = {}
        self.announced: list[Json] = []
        self.older_paths = set(OLDER_PATHS)
        self._scripted: deque[Response] = deque()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """The server's address, as in CI_SERVER_URL."""
        return self.url_for("").rstrip("/")

    @property
    def api(self) -> str:
        """The address of API v4, as in CI_API_V4_URL."""
        return f"{self.url}/api/v4"

    def respond(self, status: int, body: object) -> None:
        """Give the next answer by hand: text is sent as a page, anything else as JSON."""
        page = Response(body, status, content_type="text/html") if isinstance(body, str) else None
        self._scripted.append(page or _json(status, body))

    def thread_target(self) -> None:
        """Serve, and notice quickly that it is over."""
        assert self.server is not None
        self.server.serve_forever(poll_interval=0.01)

    def dispatch(self, request: Request) -> Response:
        """Answer one request; every request passes here."""
        asked = Asked(
            request.method,
            request.environ["REQUEST_URI"],  # PATH_INFO has lost the difference of / and %2F
            Headers(request.headers),
            request.get_data(),
        )
        with self._lock:
            self.requests.append(asked)
            if self._scripted:
                return self._scripted.popleft()
            try:
                return self._answer(asked)
            except _RefusedError as refused:
                return _json(*refused.args)

    def _answer(self, asked: Asked) -> Response:
        if asked.path in self.older_paths:
            return self._older_list(asked) if asked.method == "GET" else self._older_create(asked)
        found = re.fullmatch(
            r"/api/v4/projects/([^/]+)/(repository/commits|statuses)(?:/([^/]+))?", asked.path
        )
        if found is None:
            return Response("<html>404</html>", 404, content_type="text/html")
        project, resource, sha = found.groups()
        one = (asked.method, resource, bool(sha)) == ("GET", "repository/commits", True)
        _authenticate(asked, job_token_may=one)
        if project not in {str(PROJECT_ID), PROJECT_PATH.replace("/", "%2F")}:
            raise _RefusedError(404, {"message": "404 Project Not Found"})
        if one:
            return _json(200, self._commit(unquote(sha)))
        if resource == "statuses" and asked.method == "POST" and sha:
            return self._set_status(asked, unquote(sha))
        raise _RefusedError(405, {"message": "405 Method Not Allowed"})

    def _commit(self, name: str) -> Json:
        """The commit by id, shortened id or branch."""
        for commit in self.commits:
            if commit["id"].startswith(name) or name == BRANCH:
                return commit
        raise _RefusedError(404, {"message": "404 Commit Not Found"})

    def _set_status(self, asked: Asked, sha: str) -> Response:
        wanted = asked.parameters
        if wanted.get("state") not in STATES:
            raise _RefusedError(400, {"error": "state does not have a valid value"})
        if len(wanted.get("target_url") or "") > 255:
            too_long = {"target_url": ["is too long (maximum is 255 characters)"]}
            raise _RefusedError(400, {"message": too_long})
        commit = self._commit(sha)
        pipeline = wanted.get("pipeline_id")
        if pipeline is not None and self.pipelines.get(int(pipeline)) != commit["id"]:
            missing = "404 Pipeline for pipeline_id, sha and ref Not Found"
            raise _RefusedError(404, {"message": missing})
        names = ("ref", "name", "target_url", "coverage", "pipeline_id")
        status = {"sha": commit["id"], "status": wanted["state"]}
        status |= {name: wanted.get(name) for name in names}
        self.statuses.append(status)
        return _json(201, status)

    # The older API: lib/api/commits.rb and app/services/create_commit_service.rb

    def _older_list(self, asked: Asked) -> Response:
        _check_project(asked, "project_id", "project_token")
        page = int(asked.parameters.get("page", 1))
        per_page = int(asked.parameters.get("per_page", 20))
        return _json(200, self.announced[(page - 1) * per_page : page * per_page])

    def _older_create(self, asked: Asked) -> Response:
        _check_project(asked, "project_id", "data", "project_token")
        push = asked.parameters["data"]
        sha, ref = push.get("checkout_sha") or push.get("after"), push.get("ref")
        if not sha or not ref or sha == ZEROS:
            # The service returns false, which the API then asks whether it was stored.
            raise _RefusedError(500, {"message": "500 Internal Server Error"})
        known = next((commit for commit in self.announced if commit["sha"] == sha), None)
        commit = known or self.announce(sha, push)
        commit["builds"].append({"id": len(commit["builds"]) + 1, "coverage": None})
        return _json(201, commit)

    def announce(self, sha: str, push: Json | None = None) -> Json:
        """Take in a commit; what git says about it comes from the push's entry with its id."""
        push = push or {"ref": f"refs/heads/{BRANCH}"}
        entry: Json = next((it for it in push.get("commits", ()) if it["id"] == sha), {})
        author = entry.get("author") or {}
        commit: Json = {
            "id": len(self.announced) + 1,
            "ref": re.sub(r"\Arefs/(tags|heads)/", "", push["ref"]),
            "sha": sha,
            "project_id": PROJECT_ID,
            "before_sha": push.get("before"),
            "git_commit_message": entry.get("message"),
            "git_author_name": author.get("name"),
            "git_author_email": author.get("email"),
            "builds": [],
        }
        self.announced.append(commit)
        return commit


def _authenticate(asked: Asked, *, job_token_may: bool) -> None:
    is_known = asked.headers.get("PRIVATE-TOKEN") == PRIVATE_TOKEN
    if not is_known and not (job_token_may and asked.headers.get("JOB-TOKEN") == JOB_TOKEN):
        raise _RefusedError(401, {"message": "401 Unauthorized"})


def _check_project(asked: Asked, *required: str) -> None:
    parameters = asked.parameters
    for name in required:
        if not parameters.get(name):
            raise _RefusedError(400, {"message": f'400 (Bad request) "{name}" not given'})
    if str(parameters["project_id"]) != str(PROJECT_ID):
        raise _RefusedError(404, {"message": "404 Not found"})
    if parameters["project_token"] != PROJECT_TOKEN:
        raise _RefusedError(403, {"message": "403 Forbidden"})


def _json(status: int, document: object) -> Response:
    return Response(json.dumps(document), status, content_type="application/json")
