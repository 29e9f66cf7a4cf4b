"""A server that takes jobs as Coveralls does, refuses what Coveralls refuses, and shows what came.

`StandIn` is the server; `check` compares a job with the documented fields, field by field. Texts
and statuses are those seen from coveralls.io; where none is known a comment says so.
"""

from __future__ import annotations

import gzip
import itertools
import json
import re
import socket
import threading
import zlib
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from faulty import shut
from pytest_httpserver import HTTPServer
from werkzeug.datastructures import Headers
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.wrappers import Response

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from werkzeug.wrappers import Request

COVERALLS_TOKEN = "c0fee" * 6 + "42"  # made up, of the length Coveralls gives out
GITHUB_TOKEN_STARTS = ("ghs_", "ghp_", "gho_", "github_pat_")
CF_RAY = "8f00aa11bb22cc33-FRA"
REQUEST_ID = "GHx5kV0Yb1Jq0zQAAAAB"

NOT_PARSED = "JSON file not found or failed to parse."
# OpenCov's answer to most faults of a job: JSON, but not an object.
OPENCOV_ERROR = "Server internal error"
NO_REPOSITORY = "Couldn't find a repository matching this job."

Job: TypeAlias = "dict[str, Any]"
Kind: TypeAlias = Literal["coveralls", "opencov"]


@dataclass(frozen=True)
class Part:
    """One part of a multipart form; `filename` is None for a plain form field."""

    name: str
    filename: str | None
    headers: Headers
    body: bytes


@dataclass(frozen=True)
class Received:
    """One request as it arrived, before anything was decided about it."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, request: Request) -> Received:
        """Keep what the tests look at."""
        body = request.get_data()
        parts = [Part(name, None, Headers(), text.encode()) for name, text in request.form.items()]
        for name, file in request.files.items():
            with file.stream:
                parts.append(Part(name, file.filename, file.headers, file.stream.read()))
        query = request.query_string.decode("latin-1")
        headers = Headers(request.headers)
        return cls(request.method, request.path, query, headers, body, tuple(parts))

    def part(self, name: str) -> Part | None:
        """Find a part of the form by its name."""
        return next((part for part in self.parts if part.name == name), None)


@dataclass
class Build:
    """The jobs that share a build number; open until the webhook closes it."""

    number: str
    jobs: list[Job] = field(default_factory=list)
    closed: bool = False
    carryforward: str | None = None


class _RefusedError(Exception):
    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


class StandIn(HTTPServer):
    """Coveralls, or OpenCov, on loopback; a context manager that needs no pytest.

    Attributes:
        requests: every request in the order of arrival, refused ones included.
        jobs: every accepted job, decoded, in the order of arrival.
        builds: the builds by number, with the jobs that are in them now.
        pages: what `/builds/ID.json` and the like say by their path, one after the other, the last
            one again and again; what is not there is only for who has logged in.
        replaced: jobs that a later job with the same job id and flag has put out of its build.
        webhook_refusal_status: 200 and 404 were both seen for an unknown build.
        findings: what `check` and the server found wrong in what was accepted; to be empty.
    """

    def __init__(
        self,
        *,
        kind: Kind = "coveralls",
        prefix: str = "",
        ssl_context: ssl.SSLContext | None = None,
        tokens: Iterable[str] = (COVERALLS_TOKEN,),
    ) -> None:
        """Prepare the server; it listens from entering the context.

        Args:
            kind, ssl_context: which server to be, and whether with https.
            prefix: a path before every address, as an Enterprise server may have.
            tokens: that are known, besides all that look like GitHub's.
        """
        super().__init__("127.0.0.1", 0, ssl_context, threaded=True)
        self.kind = kind
        self.prefix = prefix.rstrip("/")
        self.tokens = set(tokens)
        self.webhook_refusal_status = 200
        self.no_handler_status_code = 404
        self.requests: list[Received] = []
        self.jobs: list[Job] = []
        self.builds: dict[str, Build] = {}
        self.pages: dict[str, list[Any]] = {}
        self.replaced: list[Job] = []
        self.findings: list[str] = []
        self._scripted: deque[tuple[Callable[[], Response], bool]] = deque()
        self._lock = threading.RLock()
        self._open: set[socket.socket] = set()
        self._stopped = threading.Event()

    @property
    def url(self) -> str:
        """The address to give to a client as its host, prefix included, without a closing slash."""
        return self.url_for(self.prefix).rstrip("/")

    def respond(
        self,
        status: int,
        body: str | bytes | Mapping[str, Any] | None = None,
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
        prepared = dict(headers or {})
        with self._lock:
            self._scripted.extend([(lambda: _answer(status, body, prepared), stored)] * times)

    def dispatch(self, request: Request) -> Response:
        """Answer one request; every request passes here."""
        received = Received.of(request)
        with self._lock:
            self.requests.append(received)
            if "token" in received.query:
                self.findings.append(f"{received.path}: the token is in the URL")
            if "Authorization" in received.headers:
                self.findings.append(f"{received.path}: an Authorization header was sent")
            response, stored = self._scripted.popleft() if self._scripted else (None, False)
        if response is None:
            return self._usual(received) or super().dispatch(request)
        if stored:
            self._usual(received)
        return response()

    def _usual(self, received: Received) -> Response | None:
        if received.method == "GET" and (said := self.pages.get(received.path)):
            return _json(200, said.pop(0) if len(said) > 1 else said[0])
        take = {
            ("coveralls", "/api/v1/jobs"): self._take_job,
            ("coveralls", "/webhook"): self._take_webhook,
            ("opencov", "/api/v1/jobs"): self._take_opencov_job,
        }.get((self.kind, received.path.removeprefix(self.prefix)))
        if take is None or received.method != "POST" or not received.path.startswith(self.prefix):
            is_opencov = self.kind == "opencov"
            return _opencov(404, {"error": "no such path"}) if is_opencov else None
        try:
            with self._lock:
                return take(received)
        except _RefusedError as refused:
            return refused.response

    def _take_job(self, received: Received) -> Response:
        """Refuse in the order in which Coveralls does."""
        if 'boundary="' in received.headers.get("Content-Type", ""):
            return _page(400)
        part = received.part("json_file")
        job = _decoded(_plain(part)) if part and part.filename else None
        if not isinstance(job, dict):
            raise _refused(NOT_PARSED)
        if not self._knows(job, job.get("service_name", "")):
            raise _refused(NO_REPOSITORY)
        known = self.builds.get(str(job.get("service_number")))
        if known is not None and known.closed:
            closed = "Can't add a job to a build that is already closed. "
            more = f"Build {known.number} is closed. See docs.coveralls.io/parallel-builds"
            raise _refused(closed + more)
        if not isinstance(job.get("source_files"), list):
            raise _refused(NOT_PARSED)  # required by the documentation; the text is a guess
        build = self._store(job)
        url = f"{self.url}/jobs/{105971881 + len(self.jobs)}"
        return _json(200, {"message": f"Job #{build.number}.{len(build.jobs)}", "url": url})

    def _knows(self, document: Job, service: str | None = None) -> bool:
        """Tell whether token and repository are known, and the token's kind fits the service."""
        token = document.get("repo_token")
        if not isinstance(token, str):
            return False
        is_github = token.startswith(GITHUB_TOKEN_STARTS)
        if service is not None and is_github != (service == "github"):
            return False
        return bool(document.get("repo_name")) if is_github else token in self.tokens

    def _store(self, job: Job) -> Build:
        self.jobs.append(job)
        self.findings += [f"job {len(self.jobs)}: {finding}" for finding in check(job)]
        # A job without a number is a build of its own, numbered chronologically.
        free = (str(number) for number in itertools.count(1) if str(number) not in self.builds)
        number = str(job.get("service_number") or next(free))
        build = self.builds.setdefault(number, Build(number))
        # By job id and flag; without a job id they were seen to pile up.
        key = (job.get("service_job_id"), job.get("flag_name"))
        for earlier in build.jobs:
            if key[0] and key == (earlier.get("service_job_id"), earlier.get("flag_name")):
                build.jobs.remove(earlier)
                self.replaced.append(earlier)
                break
        build.jobs.append(job)
        return build

    def _take_webhook(self, received: Received) -> Response:
        document = _decoded(received.body)
        if not isinstance(document, dict) or not isinstance(document.get("payload"), dict):
            return _json(400, {"error": "no payload"})  # neither status nor text is documented
        if not self._knows(document):
            return _json(422, {"error": NO_REPOSITORY})  # likewise
        number = str(document["payload"].get("build_num"))
        self.findings += [f"webhook: {finding}" for finding in check_webhook(document)]
        build = self.builds.get(number)
        if build is None:
            error = f"No build matching CI build number {number} found"
            return _json(self.webhook_refusal_status, {"error": error})
        if build.closed:  # that it is an error is known, its text is not
            return _json(self.webhook_refusal_status, {"error": f"Build {number} is closed"})
        build.closed, build.carryforward = True, document.get("carryforward")
        url = f"{self.url}/builds/{number}"
        return _json(200, {"done": True, "url": url, "jobs": len(build.jobs)})

    # OpenCov (danhper/opencov at d3983d5), as it answered on loopback.

    def _take_opencov_job(self, received: Received) -> Response:
        part = received.part("json") or received.part("json_file")
        if part is None:
            error = "request should have 'json' or 'json_file' parameter"
            return _opencov(400, {"error": error})
        job = _decoded(part.body)
        if not isinstance(job, dict):  # gzip, for one
            return _opencov(500, OPENCOV_ERROR)
        if "repo_token" not in job:
            return _opencov(400, {"error": "missing 'repo_token' parameter"})
        if job["repo_token"] not in self.tokens:
            return _opencov(404, {"error": "could not find model"})
        files = job.get("source_files")
        if not isinstance(files, list) or not all(map(_is_opencov_file, files)):
            return _opencov(422, OPENCOV_ERROR)
        if not re.search(r"(Z|[+-]\d\d:\d\d)$", job.get("run_at", "Z")):
            return _opencov(422, OPENCOV_ERROR)
        covered = percentage([{**file, "branches": []} for file in files])
        if not files or not covered:  # of the only job of a build
            return _opencov(500, OPENCOV_ERROR)
        build = self._store(job)
        number = 70 + list(self.builds).index(build.number)
        return _opencov(200, {"build_id": number, "coverage": covered, "id": 116 + len(self.jobs)})

    # Starting and stopping without leaving a thread or a socket.

    def thread_target(self) -> None:
        """Serve, with threads that are waited for and connections that can be cut."""
        server = self.server
        assert isinstance(server, ThreadedWSGIServer)
        server.daemon_threads = False
        server.block_on_close = True
        server.RequestHandlerClass = self._handler()
        if self.ssl_context is not None:  # shake hands in the connection's own thread
            server.socket.do_handshake_on_connect = False  # type: ignore[attr-defined]
        server.serve_forever(poll_interval=0.01)

    def _handler(self) -> type[WSGIRequestHandler]:
        standin = self

        class Handler(WSGIRequestHandler):
            def setup(self) -> None:
                standin._open.add(self.request)
                if standin._stopped.is_set():
                    shut(self.request)
                super().setup()

            def finish(self) -> None:
                standin._open.discard(self.request)
                super().finish()

            def log(self, *_: object) -> None:
                """Say nothing: a test's output is not a web server's log."""

        return Handler

    def stop(self) -> None:
        """Stop at once, whatever the clients are doing; no thread and no socket is left."""
        if self.server is not None:
            self.server.shutdown()
        self._stopped.set()
        for connection in tuple(self._open):
            shut(connection)
        super().stop()


def _plain(part: Part) -> bytes:
    """The part's content; gzip counts only as gzip by its type and by its first bytes."""
    if part.headers.get("Content-Type") != "application/gzip":
        return part.body
    try:
        return gzip.decompress(part.body)
    except (OSError, EOFError, zlib.error):
        raise _refused(NOT_PARSED) from None


def _is_opencov_file(file: Job) -> bool:
    """Name, coverage and a source that is not blank are required of each file."""
    return bool(str(file.get("source") or "").strip() and file.get("name")) and "coverage" in file


def _opencov(status: int, body: object) -> Response:
    headers = {"x-request-id": REQUEST_ID}
    return Response(json.dumps(body), status, headers, content_type="application/json")


def _decoded(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _refused(message: str) -> _RefusedError:
    return _RefusedError(_json(422, {"message": message, "error": True}))


def _answer(
    status: int, body: str | bytes | Mapping[str, Any] | None, headers: Mapping[str, str]
) -> Response:
    if body is None:
        response = _page(status)
    elif isinstance(body, str | bytes):
        response = Response(body, status, {"cf-ray": CF_RAY}, content_type="text/html")
    else:
        response = _json(status, body)
    response.headers.update(headers)
    return response


def _json(status: int, body: Mapping[str, Any]) -> Response:
    headers = {"cf-ray": CF_RAY}
    return Response(json.dumps(body), status, headers, content_type="application/json")


def _page(status: int) -> Response:
    """Return the page of the web server in front of Coveralls."""
    response = Response(status=status, headers={"cf-ray": CF_RAY}, content_type="text/html")
    title = response.status.title()
    response.set_data(
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1>"
        "</center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
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
        and ("branches" not in value or len({branch[:3] for branch in branches}) > 0)
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
