"""A GitLab with one project, in both forms of its Commits API, as their documentation has them.

v4: gitlabhq/gitlabhq, doc/api/commits.md, doc/api/rest/_index.md and doc/ci/jobs/ci_job_token.md.
The older CI API: gitlabhq/gitlab-ci and gitlabhq/gitlabhq at 8.0, doc/ci/api/commits.md with the
code it names.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit

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
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))

    @property
    def parameters(self) -> Json:
        """The parameters in the URL and, of a POST, those in its JSON body."""
        return {**self.query, **(json.loads(self.body) if self.body else {})}


def a_sha(number: int) -> str:
    """The id of the commit with that number."""
    return f"{number:040x}"


def a_commit(number: int) -> Json:
    """A commit as v4 shows it."""
    return {
        "id": a_sha(number),
        "message": f"Water bed {number}\n\nIt was dry.\n",
        "author_name": "Ada Gardener",
        "author_email": "ada@example.com",
        "committer_name": "Carl Keeper",
        "committer_email": "carl@example.com",
    }


class GitLab(HTTPServer):
    """GitLab on loopback; a context manager that needs no pytest."""

    def __init__(self, commit: Json) -> None:
        super().__init__("127.0.0.1", 0)
        self.requests: list[Asked] = []
        self.commit = commit
        self.statuses: list[Json] = []
        self.pipelines: dict[int, str] = {}  # commit id by number of pipeline
        self.announced: list[Json] = []  # as the older API shows them, the oldest first
        self.older_paths = set(OLDER_PATHS)
        self._scripted: list[Response] = []

    @property
    def url(self) -> str:  # as in CI_SERVER_URL
        return self.url_for("").rstrip("/")

    @property
    def api(self) -> str:  # as in CI_API_V4_URL
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
        # PATH_INFO has lost the difference of / and %2F.
        target, headers = request.environ["REQUEST_URI"], Headers(request.headers)
        asked = Asked(request.method, target, headers, request.get_data())
        self.requests.append(asked)
        if self._scripted:
            return self._scripted.pop(0)
        return self._older(asked) if asked.path in self.older_paths else self._v4(asked)

    def _v4(self, asked: Asked) -> Response:
        found = re.fullmatch(
            r"/api/v4/projects/([^/]+)/(repository/commits|statuses)/([^/]+)", asked.path
        )
        if found is None:
            return Response("<html>404</html>", 404, content_type="text/html")
        project, resource, sha = found.groups()
        is_reading = (asked.method, resource) == ("GET", "repository/commits")
        is_owner = asked.headers.get("PRIVATE-TOKEN") == PRIVATE_TOKEN
        if not is_owner and not (is_reading and asked.headers.get("JOB-TOKEN") == JOB_TOKEN):
            return _message(401, "401 Unauthorized")
        if project not in {str(PROJECT_ID), PROJECT_PATH.replace("/", "%2F")}:
            return _message(404, "404 Project Not Found")
        if sha != self.commit["id"]:
            return _message(404, "404 Commit Not Found")
        return _json(200, self.commit) if is_reading else self._set_status(asked.parameters)

    def _set_status(self, wanted: Json) -> Response:
        pipeline = wanted.get("pipeline_id")
        if pipeline is not None and self.pipelines.get(pipeline) != self.commit["id"]:
            return _message(404, "404 Pipeline for pipeline_id, sha and ref Not Found")
        self.statuses.append(wanted)
        return _json(201, wanted)

    def _older(self, asked: Asked) -> Response:
        # lib/api/commits.rb
        parameters = asked.parameters
        if str(parameters["project_id"]) != str(PROJECT_ID):
            return _message(404, "404 Not found")
        if parameters["project_token"] != PROJECT_TOKEN:
            return _message(403, "403 Forbidden")
        if asked.method == "GET":
            page, per_page = (int(parameters[name]) for name in ("page", "per_page"))
            return _json(200, self.announced[(page - 1) * per_page : page * per_page])
        # app/services/create_commit_service.rb: the author comes from the entry with the id
        push = parameters["data"]
        entry: Json = next((it for it in push["commits"] if it["id"] == push["after"]), {})
        commit = {
            "ref": re.sub(r"\Arefs/(tags|heads)/", "", push["ref"]),
            "sha": push["after"],
            "before_sha": push.get("before"),
            "git_commit_message": entry.get("message"),
            "git_author_name": entry.get("author", {}).get("name"),
            "git_author_email": entry.get("author", {}).get("email"),
        }
        self.announced.append(commit)
        return _json(201, commit)


def _message(status: int, message: str) -> Response:
    return _json(status, {"message": message})


def _json(status: int, document: object) -> Response:
    return Response(json.dumps(document), status, content_type="application/json")
