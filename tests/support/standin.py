"""A server that takes jobs as Coveralls does, refuses what Coveralls refuses, and shows what came.

`StandIn` is the server; `check` compares a job with the documented fields, field by field. Texts
and statuses are those seen from coveralls.io; where none is known a comment says so.
"""

from __future__ import annotations

import gzip
import itertools
import json
import logging
import re
import threading
import zlib
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from pytest_httpserver import HTTPServer
from werkzeug.datastructures import Headers
from werkzeug.wrappers import Response

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping

    from werkzeug.wrappers import Request

COVERALLS_TOKEN = "c0fee" * 6 + "42"  # made up, of the length Coveralls gives out
CF_RAY = "8f00aa11bb22cc33-FRA"

NOT_PARSED = "JSON file not found or failed to parse."
NO_REPOSITORY = "Couldn't find a repository matching this job."

Job: TypeAlias = "dict[str, Any]"
Body: TypeAlias = "str | bytes | Mapping[str, Any] | None"

# A test's output is not a web server's log.
logging.getLogger("werkzeug").setLevel(logging.ERROR)


class Part(NamedTuple):
    """One part of a multipart form; `filename` is None for a plain form field."""

    name: str
    filename: str | None
    headers: Headers
    body: bytes


class Received(NamedTuple):
    """One request as it arrived, before anything was decided about it."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    parts: list[Part]

    @classmethod
    def of(cls, request: Request) -> Received:
        """Keep what the tests look at."""
        body = request.get_data()
        parts = [Part(name, None, Headers(), text.encode()) for name, text in request.form.items()]
        for name, file in request.files.items():
            with file.stream:
                parts.append(Part(name, file.filename, file.headers, file.stream.read()))
        query = request.query_string.decode("latin-1")
        return cls(request.method, request.path, query, Headers(request.headers), body, parts)


@dataclass
class Build:
    """The jobs that share a build number; open until the webhook closes it."""

    number: str
    jobs: list[Job] = field(default_factory=list)
    closed: bool = False
    carryforward: str | None = None


class StandIn(HTTPServer):
    """Coveralls on loopback; a context manager that needs no pytest.

    Attributes:
        requests: every request in the order of arrival, refused ones included.
        jobs: every accepted job, decoded, in the order of arrival.
        builds: the builds by number, with the jobs that are in them now.
        tokens: that are known, besides all that look like GitHub's.
        pages: what `/builds/ID.json` and the like say by their path, one after the other, the last
            one again and again; what is not there is only for who has logged in.
        webhook_refusal_status: 200 and 404 were both seen for an unknown build.
        findings: what `check` and the server found wrong in what was accepted; to be empty.
    """

    def __init__(self, *, ssl_context: ssl.SSLContext | None = None) -> None:
        """Prepare the server; it listens from entering the context."""
        super().__init__("127.0.0.1", 0, ssl_context, threaded=True)
        self.tokens = {COVERALLS_TOKEN}
        self.webhook_refusal_status = 200
        self.requests: list[Received] = []
        self.jobs: list[Job] = []
        self.builds: dict[str, Build] = {}
        self.pages: dict[str, list[Any]] = {}
        self.findings: list[str] = []
        self._scripted: deque[tuple[int, Body, Mapping[str, str], bool]] = deque()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """The address to give to a client as its host."""
        return self.url_for("").rstrip("/")

    def thread_target(self) -> None:
        """Serve, and stop soon after being told to."""
        assert self.server is not None
        self.server.serve_forever(poll_interval=0.01)

    def respond(
        self,
        status: int,
        body: Body = None,
        *,
        headers: Mapping[str, str] | None = None,
        times: int = 1,
        stored: bool = False,
    ) -> None:
        """Give the next answers by hand; afterwards the normal behaviour goes on.

        Args:
            status: the status of the answer.
            body: a mapping is sent as JSON, text as HTML; None is the web server's own page.
            headers: sent besides the usual ones.
            times: how many answers.
            stored: take in what is sent nevertheless, as behind a gateway that timed out.
        """
        self._scripted.extend([(status, body, headers or {}, stored)] * times)

    def dispatch(self, request: Request) -> Response:
        """Answer one request; every request passes here."""
        received = Received.of(request)
        with self._lock:
            self.requests.append(received)
            if "token" in received.query:
                self.findings.append(f"{received.path}: the token is in the URL")
            if "Authorization" in received.headers:
                self.findings.append(f"{received.path}: an Authorization header was sent")
            if not self._scripted:
                return self._usual(received)
            status, body, headers, stored = self._scripted.popleft()
            if stored:
                self._usual(received)
            return _answer(status, body, headers)

    def _usual(self, received: Received) -> Response:
        match received.method, received.path:
            case "POST", "/api/v1/jobs":
                return self._take_job(received)
            case "POST", "/webhook":
                return self._take_webhook(received)
            case "GET", path if path in self.pages:
                said = self.pages[path]
                return _answer(200, said.pop(0) if len(said) > 1 else said[0])
        return _answer(404)

    def _take_job(self, received: Received) -> Response:
        """Refuse in the order in which Coveralls does."""
        if 'boundary="' in received.headers.get("Content-Type", ""):
            return _answer(400)
        files = [part for part in received.parts if part.name == "json_file" and part.filename]
        job = _decoded(_plain(files[0])) if files else None
        # That there are source files is required by the documentation; the text is a guess.
        if not isinstance(job, dict) or not isinstance(job.get("source_files"), list):
            return _refused(NOT_PARSED)
        for_github = job.get("service_name") == "github"
        if not self._knows(job) or for_github != _is_githubs(job["repo_token"]):
            return _refused(NO_REPOSITORY)
        known = self.builds.get(str(job.get("service_number")))
        if known is not None and known.closed:
            closed = "Can't add a job to a build that is already closed. "
            more = f"Build {known.number} is closed. See docs.coveralls.io/parallel-builds"
            return _refused(closed + more)
        build = self._store(job)
        url = f"{self.url}/jobs/{105971881 + len(self.jobs)}"
        return _answer(200, {"message": f"Job #{build.number}.{len(build.jobs)}", "url": url})

    def _knows(self, document: Job) -> bool:
        """Tell if the token is known; GitHub's does not say of what repository it is."""
        token = str(document.get("repo_token"))
        return bool(document.get("repo_name")) if _is_githubs(token) else token in self.tokens

    def _store(self, job: Job) -> Build:
        self.jobs.append(job)
        self.findings += [f"job {len(self.jobs)}: {finding}" for finding in check(job)]
        # A job without a number is a build of its own, numbered chronologically.
        free = (str(number) for number in itertools.count(1) if str(number) not in self.builds)
        number = str(job.get("service_number") or next(free))
        build = self.builds.setdefault(number, Build(number))
        build.jobs = [earlier for earlier in build.jobs if not _replaces(job, earlier)] + [job]
        return build

    def _take_webhook(self, received: Received) -> Response:
        document = _decoded(received.body)
        if not isinstance(document, dict) or not isinstance(document.get("payload"), dict):
            return _answer(400, {"error": "no payload"})  # neither status nor text is documented
        if not self._knows(document):
            return _answer(422, {"error": NO_REPOSITORY})  # likewise
        number = str(document["payload"].get("build_num"))
        self.findings += [f"webhook: {finding}" for finding in check_webhook(document)]
        build = self.builds.get(number)
        if build is None:
            error = f"No build matching CI build number {number} found"
            return _answer(self.webhook_refusal_status, {"error": error})
        if build.closed:  # that it is an error is known, its text is not
            return _answer(self.webhook_refusal_status, {"error": f"Build {number} is closed"})
        build.closed, build.carryforward = True, document.get("carryforward")
        url = f"{self.url}/builds/{number}"
        return _answer(200, {"done": True, "url": url, "jobs": len(build.jobs)})


def _replaces(job: Job, earlier: Job) -> bool:
    """Compare job id and flag; without a job id they were seen to pile up."""
    has_id = bool(job.get("service_job_id"))
    return has_id and all(job.get(n) == earlier.get(n) for n in ("service_job_id", "flag_name"))


def _is_githubs(token: str) -> bool:
    return token.startswith(("ghs_", "ghp_", "gho_", "github_pat_"))


def _plain(part: Part) -> bytes:
    """Return the part's content; gzip counts only as gzip by its type and by its first bytes."""
    if part.headers.get("Content-Type") != "application/gzip":
        return part.body
    try:
        return gzip.decompress(part.body)
    except (OSError, EOFError, zlib.error):
        return b""


def _decoded(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _refused(message: str) -> Response:
    return _answer(422, {"message": message, "error": True})


def _answer(status: int, body: Body = None, headers: Mapping[str, str] | None = None) -> Response:
    """Make an answer; without a body it is the page of the web server in front of Coveralls."""
    response = Response(status=status, headers={"cf-ray": CF_RAY}, content_type="text/html")
    if body is None:
        title = response.status.title()
        body = (
            f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}"
            "</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
        )
    elif not isinstance(body, str | bytes):
        body, response.content_type = json.dumps(body), "application/json"
    response.set_data(body)
    response.headers.update(headers or {})
    return response


def check(job: object) -> list[str]:
    """Compare a job with the documented fields; what is wrong with it, path first."""
    wrong = list(_compare(job, _JOB, "job"))
    if isinstance(job, dict):
        by_service = {"service_name", "service_job_id"} <= job.keys()
        if "repo_token" not in job and not by_service:
            wrong.append("job: neither repo_token nor service_name with service_job_id")
        files = job.get("source_files")
        entries = [file for file in files or () if isinstance(file, dict)]
        wrong += [f"source_files: {f.get('name')}" for f in entries if not _is_source_file(f)]
        names = Counter(file.get("name") for file in entries)
        wrong += [f"source_files: {name} comes {n} times" for name, n in names.items() if n > 1]
    return wrong


def check_webhook(document: object) -> list[str]:
    """Compare what closes a build with the documented fields."""
    return list(_compare(document, _WEBHOOK, "webhook"))


def _compare(value: object, shape: object, path: str) -> Iterator[str]:
    """Yield differences of a value from a shape: fields, a list's entry, a pattern, a test."""
    if isinstance(shape, dict):
        if not isinstance(value, dict) or not value:
            yield f"{path}: {value!r} is not an object with fields"
            return
        yield from (f"{path}: no {name}" for name in shape.get("required", ()) if name not in value)
        for name, content in value.items():
            if name not in shape or name == "required":
                yield f"{path}: {name} is not documented"
            else:
                yield from _compare(content, shape[name], f"{path}: {name}")
    elif isinstance(shape, list):
        may_be_empty = path.endswith(("source_files", "coverage"))
        if not isinstance(value, list) or not (value or may_be_empty):
            yield f"{path}: {value!r} is not an array with entries"
            return
        for place, entry in enumerate(value):
            name = entry.get("name", place) if isinstance(entry, dict) else place
            yield from _compare(entry, shape[0], f"{path}: {name}")
    elif isinstance(shape, str):
        if not isinstance(value, str) or not re.fullmatch(shape, value):
            yield f"{path}: {value!r} does not match {shape}"
    elif callable(shape) and not shape(value):
        yield f"{path}: {value!r} is wrong"


def quadruples(value: Any) -> list[tuple[int, int, int, int]]:
    """Return branches as line, block, branch, hits; nothing for another array."""
    if not isinstance(value, list) or len(value) % 4 or not all(map(_is_count, value)):
        return []
    return list(zip(*(value[start::4] for start in range(4)), strict=True))


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_source_file(value: Any) -> bool:
    """Tell whether the fields of a file fit together."""
    lines = len(value["coverage"]) if isinstance(value.get("coverage"), list) else 0
    branches = quadruples(value.get("branches"))
    return (
        bool({"source_digest", "source"} & value.keys())
        and all(1 <= branch[0] <= lines for branch in branches)
        and len({branch[:3] for branch in branches}) == len(branches)
    )


def _is_time(value: Any) -> bool:
    try:
        return datetime.fromisoformat(re.sub("[Zz]$", "+00:00", value)).tzinfo is not None
    except (TypeError, ValueError):
        return False


_TEXT = r"(?s).*\S.*"
_WORD = r"[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?"
_COMMIT = "[0-9a-f]{7,64}"
_BRANCH = f"(?!HEAD$){_WORD}"
_PAGE_URL = r"https?://\S+"
_REPOSITORY = r"[^\s/]+(/[^\s/]+)+"
# Without a password, for http without a user, without query and fragment.
_REMOTE_URL = r"(?!https?://[^/]*@)(?!\w+://[^/]*:[^/]*@)[^?#\x00-\x1f]*[^\s?#]"
# Relative, with slashes, without a part that is empty or dots.
_NAME = r"(?!/|[A-Za-z]:)(?!(.*/)?\.{0,2}(/|$))[^\\]+"

# https://docs.coveralls.io/api-jobs-endpoint, and the fields that Coveralls' staff and its
# official reporter use beyond that page.
_JOB = {
    "required": ["source_files"],
    "repo_token": _WORD,
    "service_name": _WORD,
    "service_number": _WORD,
    "service_job_id": _WORD,
    "service_job_number": _WORD,
    "service_pull_request": r"\d+",
    "service_branch": _BRANCH,
    "service_build_url": _PAGE_URL,
    "service_job_url": _PAGE_URL,
    "service_attempt": _WORD,
    "service_event_type": _WORD,
    "commit_sha": _COMMIT,
    "repo_name": _REPOSITORY,
    "compare_ref": _WORD,
    "compare_sha": _COMMIT,
    "flag_name": _WORD,
    "parallel": lambda value: isinstance(value, bool),
    "git": {
        "head": {
            "required": ["id"],
            "id": _COMMIT,
            "author_name": _TEXT,
            "author_email": _TEXT,
            "committer_name": _TEXT,
            "committer_email": _TEXT,
            "message": _TEXT,
        },
        "branch": _BRANCH,
        "remotes": [{"required": ["name", "url"], "name": _WORD, "url": _REMOTE_URL}],
    },
    "run_at": _is_time,
    "source_files": [
        {
            "required": ["name", "coverage"],
            "name": _NAME,
            "source_digest": "[0-9a-f]{32}",
            "source": "(?s).*",  # the one text that may be empty: the file is
            "coverage": [lambda hits: hits is None or _is_count(hits)],
            "branches": quadruples,
        }
    ],
}
_WEBHOOK = {
    **_JOB,
    "required": ["payload"],
    "carryforward": _WORD,
    "payload": {"required": ["build_num", "status"], "build_num": _WORD, "status": "done"},
}


def percentage(files: list[Job]) -> float:
    """Return Coveralls' own sum: covered lines and branches of all relevant ones."""
    hits = [hits for file in files for hits in file["coverage"] if hits is not None]
    hits += [branch[3] for file in files for branch in quadruples(file.get("branches"))]
    return 100 * sum(map(bool, hits)) / len(hits) if hits else 100.0
