"""Each refusal as it was met in public: through the real transport, to the lines that are printed.

A server or a proxy plays what was seen; the rows in `refusals` name where.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from scripted import Scripted, http

from pytest_coveralls_submit.delivery import diagnosis, transport
from pytest_coveralls_submit.delivery.case import Facts, Row
from pytest_coveralls_submit.delivery.messages import Answer, Call, Policy
from pytest_coveralls_submit.delivery.refusals import JOB_ROWS, WEBHOOK_ROWS

RAY = "CF-RAY: 8f00aa11bb22cc33-FRA"
PAGE = b"<html><head><title>Just a moment...</title></head></html>"
NO_REPOSITORY = "Couldn't find a repository matching this job."
CLOSED = "Can't add a job to a build that is already closed. Build 9001 is closed."
NOT_UNIQUE = (
    "service_job_id (1) must be unique for Travis Jobs not supplying a Coveralls Repo Token"
)
UNPARSABLE = "JSON file not found or failed to parse."
UNAFFECTED = "your tests are not affected"
STATE = "whether it is down for everybody: https://status.coveralls.io"
DOWN = (f"coveralls.io is overloaded or down; {UNAFFECTED}", STATE)
DOUBT = "it may have been accepted all the same: look at coveralls.io before you repeat it"
MOVED = (
    "where it worked before (repository renamed, moved or with a new owner): press Sync in its "
    "settings on coveralls.io"
)
NUMBER = (
    "a run that is started again needs a new number, the same for the jobs and `finish`:",
    "COVERALLS_SERVICE_NUMBER: ${{ github.run_id }}-${{ github.run_attempt }}",
)
OWN_TOKEN = (
    (
        "the token from COVERALLS_REPO_TOKEN does not belong to a repository on coveralls.io: it "
        "must be the repository's own, from its page"
    ),
    "(not a personal API token), and the repository switched on there",
    MOVED,
)
PAUSED = (
    "the repository is paused on coveralls.io: its owner has to look at the subscription there,",
    "or to ask support@coveralls.io; the token and the job are not the cause",
)
CLOUDFLARE = (
    (
        "Cloudflare, in front of coveralls.io, did not let the request through: the token is not "
        "the cause;"
    ),
    "send it again later, or send support the trace id",
    STATE,
)
FACTS = Facts(
    host="https://coveralls.io",
    number="9001",
    repo_name="octo/sample",
    ci="circleci",
    service_name="circleci",
    token_kind="coveralls",
    token_origin="COVERALLS_REPO_TOKEN",
)
GITHUB = {"ci": "github-actions", "service_name": "github-actions"}
OWN_HOST = {"host": "https://coveralls.example.org/path"}


class Refusal(NamedTuple):
    """What was played, and what is printed."""

    answer: bytes
    reason: str
    advice: tuple[str, ...]
    facts: Mapping[str, Any] = MappingProxyType({})


def refused(status: int, message: str, *headers: str, key: str = "message") -> bytes:
    """How Coveralls says no."""
    body = json.dumps({key: message, **({"error": True} if key == "message" else {})})
    return http(status, body.encode(), *headers)


def either(status: int, message: str) -> tuple[bytes, str]:
    """An answer and how its reason reads."""
    return refused(status, message), f"{status} {message}"


def named(status: int, name: str) -> Refusal:
    """One of Cloudflare's own."""
    return Refusal(
        http(status, PAGE, RAY, reason="<none>"),
        f"{status} {name} (trace cf-ray 8f00aa11bb22cc33-FRA)",
        (
            f"Cloudflare does not reach coveralls.io behind it; {UNAFFECTED}",
            STATE,
            *((DOUBT,) if status < 525 else ()),
        ),
    )


MISFIT_OWN = (
    (
        'service name "github" (from COVERALLS_SERVICE_NAME) is for GitHub\'s token, and the token '
        "(from COVERALLS_REPO_TOKEN) is Coveralls' own: take the name away, or set "
        '"github-actions"'
    ),
)
MISFIT_GITHUB = (
    (
        'service name "github-actions" (from --coveralls-service-name) is for Coveralls\' own '
        'token, and the token (from GITHUB_TOKEN) is GitHub\'s: set "github", or use the token '
        "from the repository's page"
    ),
)
JOBS = {
    "paused": Refusal(*either(402, "Repo was paused. Check your subscription."), PAUSED),
    "paused, with 200": Refusal(*either(200, "Repo was paused. Check your subscription."), PAUSED),
    "paused, a page": Refusal(
        http(402, PAGE, reason="Payment Required"), "402 Payment Required", PAUSED
    ),
    **{
        f"no repository, {status}": Refusal(*either(status, NO_REPOSITORY), OWN_TOKEN)
        for status in (200, 422)
    },
    "no repository, on Travis": Refusal(
        *either(422, NO_REPOSITORY), OWN_TOKEN, {"ci": "travis-ci", "service_name": "travis-pro"}
    ),
    "no repository, on GitHub": Refusal(
        *either(422, NO_REPOSITORY),
        (
            (
                "the token does not belong to a repository on coveralls.io: copy it again from the "
                "repository's page, or"
            ),
            'use GITHUB_TOKEN with service name "github"',
            MOVED,
        ),
        GITHUB,
    ),
    "no repository, GitHub's token": Refusal(
        *either(422, NO_REPOSITORY),
        (
            (
                "the GitHub token does not open octo/sample on coveralls.io: add the repository "
                "there, or"
            ),
            "set COVERALLS_REPO_TOKEN to the token from the repository's page",
            MOVED,
        ),
        {"ci": "github-actions", "service_name": "github", "token_kind": "github"},
    ),
    "github with Coveralls' token": Refusal(
        *either(422, NO_REPOSITORY),
        MISFIT_OWN,
        {**GITHUB, "service_name": "github", "service_origin": "COVERALLS_SERVICE_NAME"},
    ),
    "github-actions with GitHub's token": Refusal(
        *either(422, NO_REPOSITORY),
        MISFIT_GITHUB,
        {
            **GITHUB,
            "token_kind": "github",
            "token_origin": "GITHUB_TOKEN",
            "service_origin": "--coveralls-service-name",
        },
    ),
    "closed, on GitHub": Refusal(
        *either(422, CLOSED),
        (
            "build 9001 takes no more jobs: give each job of a matrix parallel = true,",
            "run `finish` after the last of them",
            *NUMBER,
        ),
        GITHUB,
    ),
    "closed, parallel": Refusal(
        *either(422, CLOSED),
        (
            (
                "build 9001 takes no more jobs: `finish` or a job without parallel = true came "
                "before this one,"
            ),
            "run `finish` after the last of them",
            *NUMBER,
        ),
        {**GITHUB, "parallel": True},
    ),
    "closed": Refusal(
        *either(422, CLOSED),
        (
            "build 9001 takes no more jobs: give each job of a matrix parallel = true,",
            "run `finish` after the last of them, and give a build that is run again a new number",
        ),
    ),
    "not unique": Refusal(
        *either(422, NOT_UNIQUE),
        (
            (
                "this Travis job was sent before, and the token from COVERALLS_REPO_TOKEN was not "
                "taken for the repository's:"
            ),
            "copy it again from the repository's page, or start a new build in place of a restart",
        ),
        {"ci": "travis-ci", "service_name": "travis-ci"},
    ),
    **{
        f"not parsed, {status}": Refusal(
            *either(status, UNPARSABLE),
            (
                "coveralls.io could not read the job, compressed or plain: send it again later;",
                "if it stays so, send support the job and the trace id",
                STATE,
            ),
        )
        for status in (200, 400, 422)
    },
    "not parsed elsewhere": Refusal(
        *either(422, UNPARSABLE),
        (
            (
                "the server could not read the job, compressed or plain: "
                "coveralls.example.org/path may be no Coveralls server,"
            ),
            "or one that needs include_source = true",
        ),
        OWN_HOST,
    ),
    "too large": Refusal(
        http(413, PAGE, reason="Request Entity Too Large"),
        "413 Request Entity Too Large",
        (
            (
                "the job is too large for coveralls.io (SIZE bytes): keep compress on and "
                "include_source off, or measure fewer files"
            ),
        ),
    ),
    "redirect": Refusal(
        http(302, b"", "Location: https://login.example.org/x?y", reason="Found"),
        "302 Found",
        (
            (
                "redirects are not followed, the token would go along; this one points to "
                "https://login.example.org:"
            ),
            "set host to where Coveralls is",
        ),
    ),
    "challenge": Refusal(
        http(403, PAGE, RAY, "cf-mitigated: challenge", reason="Forbidden"),
        "403 Forbidden (trace cf-ray 8f00aa11bb22cc33-FRA)",
        CLOUDFLARE,
    ),
    "block page": Refusal(
        http(403, PAGE, RAY, reason="Forbidden"),
        "403 Forbidden (trace cf-ray 8f00aa11bb22cc33-FRA)",
        CLOUDFLARE,
    ),
    **{
        f"refused, {status}": Refusal(
            http(status, PAGE),
            f"{status} Said",
            ("coveralls.io or something in front of it refused the request",),
        )
        for status in (401, 403)
    },
    "refused by the application": Refusal(
        refused(403, "No.", RAY),
        "403 No. (trace cf-ray 8f00aa11bb22cc33-FRA)",
        ("coveralls.io or something in front of it refused the request",),
    ),
    "no interface": Refusal(
        http(404, PAGE),
        "404 Said",
        (
            (
                "coveralls.example.org/path has no Coveralls interface at "
                "https://coveralls.example.org/path: check host"
            ),
        ),
        OWN_HOST,
    ),
    "maintenance": Refusal(
        http(405, PAGE),
        "405 Said",
        (f"coveralls.io is down for maintenance; {UNAFFECTED}", STATE),
    ),
    "too many": Refusal(
        http(429, PAGE), "429 Said", (f"coveralls.io takes no more for now; {UNAFFECTED}", STATE)
    ),
    "processing error": Refusal(
        *either(500, "Build processing error."),
        (
            f"coveralls.io had trouble with this job; {UNAFFECTED}",
            "if it stays so, send support the job and the trace id",
            STATE,
        ),
    ),
    **{
        f"down, {status}": Refusal(http(status, PAGE), f"{status} Said", DOWN)
        for status in (500, 503)
    },
    "down elsewhere": Refusal(
        http(503, PAGE),
        "503 Said",
        (f"coveralls.example.org/path is overloaded or down; {UNAFFECTED}",),
        OWN_HOST,
    ),
    "gateway": Refusal(http(504, PAGE), "504 Said", (*DOWN, DOUBT)),
    **{
        str(status): named(status, name)
        for status, name in {
            520: "Web Server Returned an Unknown Error",
            521: "Web Server Is Down",
            522: "Connection Timed Out",
            523: "Origin Is Unreachable",
            524: "A Timeout Occurred",
            525: "SSL Handshake Failed",
            526: "Invalid SSL Certificate",
            530: "Origin Error",
        }.items()
    },
    "page": Refusal(
        http(200, PAGE),
        "200 with no JSON in the answer",
        ("coveralls.io may be no Coveralls server, or a log-in page stands in front of it",),
    ),
    "no length of a chunk": Refusal(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "200 OK, and the answer broke off",
        (*DOWN, DOUBT),
    ),
    "no HTTP": Refusal(
        b"SSH-2.0-OpenSSH_9.6\r\n",
        "the answer is no HTTP",
        ("coveralls.io is no web server: check host", DOUBT),
    ),
    "closed without an answer": Refusal(
        b"", "the connection was closed without an answer", (*DOWN, DOUBT)
    ),
    "unknown": Refusal(*either(418, "I am a teapot"), ()),
}


def judged(answer: Answer, refusal: Refusal, rows: tuple[Row, ...]) -> None:
    """Compare what would be printed."""
    facts = Facts(**{**vars(FACTS), **refusal.facts})
    verdict = diagnosis.judge(answer, rows, facts)

    assert not verdict.accepted
    assert verdict.reason.removeprefix("2 attempts in 0 s, the last: ") == refusal.reason
    assert verdict.advice == tuple(
        line.replace("SIZE", f"{answer.size:,}") for line in refusal.advice
    )


@pytest.mark.parametrize("refusal", JOBS.values(), ids=JOBS)
def test_a_job_that_is_refused_is_explained(refusal: Refusal) -> None:
    """The server's words, what they mean in this run, and what to do."""
    with Scripted(lambda _: refusal.answer) as server:
        call = Call(method="POST", url=f"{server.url}/api/v1/jobs", form="json_file", compress=True)
        answer = transport.deliver(call, b"{}", Policy(), lambda _: None)

    judged(answer, refusal, JOB_ROWS)


NOT_KNOWN = (
    "no job was sent under the number 9001: it must be the service number of the jobs,",
    "which the header of each test run shows",
)
NO_BUILD = "No build matching CI build number 9001 found"
BUILDS = {
    **{
        f"no build, {status}": Refusal(
            refused(status, NO_BUILD, key="error"), f"{status} {NO_BUILD}", NOT_KNOWN
        )
        for status in (200, 404)
    },
    "closed": Refusal(*either(422, "Build 9001 is closed"), ("the build was closed before",)),
    "closed, on GitHub": Refusal(
        *either(422, "already done"), ("the build was closed before", *NUMBER), GITHUB
    ),
    "paused": JOBS["paused"],
    "no repository": JOBS["no repository, 422"],
    "github with Coveralls' token": JOBS["no repository, on GitHub"]._replace(
        facts={**GITHUB, "service_name": "github"}
    ),
    "down": JOBS["down, 503"],
    "challenge": JOBS["challenge"],
}


@pytest.mark.parametrize("refusal", BUILDS.values(), ids=BUILDS)
def test_a_build_that_is_not_closed_is_explained(refusal: Refusal) -> None:
    """``finish`` gets the same care as a job."""
    with Scripted(lambda _: refusal.answer) as server:
        call = Call(method="POST", url=f"{server.url}/webhook", form="json", compress=True)
        answer = transport.deliver(call, b"{}", Policy(), lambda _: None)

    judged(answer, refusal, WEBHOOK_ROWS)


CREDENTIALS = "put user and password into the variable of <proxy>: http://USER:PASSWORD@..."
PROXIES = {
    "407": Refusal(
        http(407, b"", reason="Proxy Authentication Required"),
        "the proxy asks for a user name and a password: 407 Proxy Authentication Required",
        (CREDENTIALS,),
    ),
    "403": Refusal(
        http(403, PAGE, reason="Forbidden"),
        "the proxy does not let this host be reached: 403 Forbidden",
        (
            (
                "<proxy> forbids coveralls.io: have it allowed there, or put the host into "
                "NO_PROXY where it is reached directly"
            ),
        ),
    ),
    **{
        str(status): Refusal(
            http(status, PAGE, reason="Bad Gateway"),
            f"the proxy did not reach the host: {status} Bad Gateway",
            ("<proxy> answered, but does not reach coveralls.io: ask who runs it",),
        )
        for status in (502, 504)
    },
    **{
        name: Refusal(
            answer,
            "the connection through the proxy was closed",
            (
                "<proxy> was connected, and the way from there to coveralls.io was cut:",
                "a firewall may stand there; ask who runs the proxy",
            ),
        )
        for name, answer in {"closed": b"HTTP/1.1 200 OK\r\n\r\n", "closed at once": b""}.items()
    },
    "no HTTP": Refusal(
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        "the answer of the proxy is no HTTP",
        ("<proxy> does not answer as a proxy: check the variable, or unset it",),
    ),
}


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("refusal", PROXIES.values(), ids=PROXIES)
def test_a_proxy_that_stands_in_the_way_is_named_with_its_variable(
    refusal: Refusal, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four causes and four remedies; its password is in none of the lines."""
    with Scripted(lambda _: refusal.answer) as proxy:
        monkeypatch.setenv(variable, proxy.url.replace("//", "//user:hunter%2322@"))
        call = Call(method="POST", url="https://coveralls.io/api/v1/jobs", form="json_file")
        answer = transport.deliver(call, b"{}", Policy(), lambda _: None)

    shown = f"{proxy.url} (from {variable})"
    advice = tuple(line.replace("<proxy>", shown) for line in refusal.advice)
    judged(answer, refusal._replace(advice=advice), JOB_ROWS)
    assert not answer.ambiguous
    assert "hunter" not in repr(answer)


def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens at its address."""
    with Scripted(lambda _: b"") as gone:
        url = gone.url
    monkeypatch.setenv("https_proxy", url)
    call = Call(method="POST", url="https://coveralls.io/api/v1/jobs", form="json_file")
    answer = transport.deliver(call, b"{}", Policy(), lambda _: None)
    advice = f"{url} (from https_proxy) does not answer as a proxy: check the variable, or unset it"

    judged(answer, Refusal(b"", "the proxy cannot be reached", (advice,)), JOB_ROWS)


def test_a_proxy_for_plain_http_that_asks_for_credentials_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It answers itself, as the server would."""
    with Scripted(lambda _: http(407, b"")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        call = Call(method="POST", url="http://coveralls.invalid/api/v1/jobs", form="json_file")
        answer = transport.deliver(call, b"{}", Policy(), lambda _: None)
    advice = CREDENTIALS.replace("<proxy>", f"{proxy.url} (from http_proxy)")

    judged(answer, Refusal(b"", "407 Said", (advice,)), JOB_ROWS)
