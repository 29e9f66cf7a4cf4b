"""Each refusal as it was met in public: through the real transport, to the lines that are printed.

A server or a proxy plays what was seen; the rows in `refusals` name where.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from scripted import Scripted, http

from pytest_coveralls_submit.delivery import diagnosis, transport
from pytest_coveralls_submit.delivery.case import Facts, Row
from pytest_coveralls_submit.delivery.messages import Answer, Call, Policy
from pytest_coveralls_submit.delivery.refusals import CLOSE_AGAIN, JOB_ROWS, WEBHOOK_ROWS

RAY = "CF-RAY: 8f00aa11bb22cc33-FRA"
PAGE = b"<html><head><title>Just a moment...</title></head></html>"
NO_REPOSITORY = "Couldn't find a repository matching this job."
CLOSED = "Can't add a job to a build that is already closed. Build 9001 is closed."
NOT_UNIQUE = (
    "service_job_id (1) must be unique for Travis Jobs not supplying a Coveralls Repo Token"
)
TRAVIS_ERROR = 'Travis API error: #<Coveralls::Mash error="not found">'
UNPARSABLE = "JSON file not found or failed to parse."
UNAFFECTED = "your tests are not affected"
STATE = "whether it is down for everybody: https://status.coveralls.io"
DOWN = (f"coveralls.io is overloaded or down; {UNAFFECTED}", STATE)
SUPPORT = "if it stays so, send support the trace id"
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
GITHUB = {"ci": "github-actions", "service_name": "github-actions", "may_use_github_token": True}
GITHUB_TOKEN = {
    **GITHUB,
    "service_name": "github",
    "token_kind": "github",
    "token_prefix": "ghs_",
    "token_origin": "GITHUB_TOKEN",
}
ON_TRAVIS = (
    OWN_TOKEN[0],
    "(not a personal API token), and the repository switched on there; a private one has",
    "COVERALLS_SERVICE_NAME: travis-pro, a public one has not",
    MOVED,
)
NO_TRAVIS = (
    (
        'service name "travis-pro" (from COVERALLS_SERVICE_NAME) lets Coveralls ask Travis for the '
        "job, and this run is none of Travis': take the name away"
    ),
)
TRAVIS_OFF = {"service_name": "travis-pro", "service_origin": "COVERALLS_SERVICE_NAME"}
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
        *either(422, NO_REPOSITORY), ON_TRAVIS, {"ci": "travis-ci", "service_name": "travis-pro"}
    ),
    **{
        f"Travis' name elsewhere, {words[:10]}": Refusal(*either(422, words), NO_TRAVIS, TRAVIS_OFF)
        for words in (NO_REPOSITORY, TRAVIS_ERROR)
    },
    **{
        f"not known to Travis, {words[:10]}": Refusal(
            *either(422, words),
            (
                "coveralls.io asked Travis for this job, and was told of none, as of private ones:",
                "COVERALLS_SERVICE_NAME: travis-pro, and the token from the repository's page",
            ),
            {"ci": "travis-ci", "service_name": "travis-ci"},
        )
        for words in (TRAVIS_ERROR, "The commit wasn't found on the repo")
    },
    "no repository, on GitHub": Refusal(
        *either(422, NO_REPOSITORY),
        (
            (
                "the token does not belong to a repository on coveralls.io: copy it again from the "
                "repository's page, or"
            ),
            'use GITHUB_TOKEN with service name "github"',
            (
                "(GITHUB_TOKEN: ${{ github.token }}, and the token from COVERALLS_REPO_TOKEN taken "
                "away; a personal API token opens nothing)"
            ),
            MOVED,
        ),
        GITHUB,
    ),
    "no repository, on another GitHub": Refusal(
        *either(422, NO_REPOSITORY), OWN_TOKEN, {**GITHUB, "may_use_github_token": False}
    ),
    "no repository, a person's token": Refusal(
        *either(422, NO_REPOSITORY),
        (
            (
                "the token from COVERALLS_REPO_TOKEN is a person's on GitHub, which does not open "
                "octo/sample on coveralls.io:"
            ),
            (
                "take it away and set GITHUB_TOKEN: ${{ github.token }}, or the token from the "
                "repository's page"
            ),
        ),
        {**GITHUB_TOKEN, "token_prefix": "ghp_", "token_origin": "COVERALLS_REPO_TOKEN"},
    ),
    "GITHUB_TOKEN is none": Refusal(
        *either(422, NO_REPOSITORY),
        (
            (
                "the token (from GITHUB_TOKEN) does not look like GitHub's, perhaps it is "
                "Coveralls' own: set GITHUB_TOKEN: ${{ github.token }}, or put it into "
                "COVERALLS_REPO_TOKEN"
            ),
        ),
        {**GITHUB_TOKEN, "token_prefix": ""},
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
            "where it worked an hour ago, GitHub may be down: https://www.githubstatus.com",
        ),
        GITHUB_TOKEN,
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
    "closed, with the attempt in the number": Refusal(
        *either(422, CLOSED),
        (
            "build 9001-2 takes no more jobs: give each job of a matrix parallel = true,",
            "run `finish` after the last of them, and give a build that is run again a new number",
        ),
        {**GITHUB, "number": "9001-2"},
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
    **{
        f"a page, 400, {host}": Refusal(
            http(400, PAGE, RAY, reason="Bad Request"),
            "400 Bad Request (trace cf-ray 8f00aa11bb22cc33-FRA)",
            (
                (
                    f"{host} or something on the way could not read the request: send it again "
                    "later;"
                ),
                SUPPORT,
                *state,
            ),
            facts,
        )
        for host, state, facts in (
            ("coveralls.io", (STATE,), {}),
            ("coveralls.example.org/path", (), OWN_HOST),
        )
    },
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
    "no interface for now": Refusal(
        http(404, PAGE),
        "404 Said",
        ("coveralls.io did not find its own interface: send it again later", STATE),
    ),
    "maintenance": Refusal(
        http(405, PAGE),
        "405 Said",
        (f"coveralls.io is down for maintenance; {UNAFFECTED}", STATE),
    ),
    "too many": Refusal(
        http(429, PAGE), "429 Said", (f"coveralls.io takes no more for now; {UNAFFECTED}", STATE)
    ),
    **{
        f"processing error, {status}": Refusal(
            *either(status, "Build processing error."),
            (
                f"coveralls.io had trouble with this job; {UNAFFECTED}",
                "if it stays so, send support the job and the trace id",
                STATE,
            ),
        )
        for status in (200, 500)
    },
    **{
        f"down, {status}": Refusal(http(status, PAGE), f"{status} Said", DOWN)
        for status in (408, 500, 503)
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
        (
            "this is no answer of coveralls.io's: a log-in page or a proxy stands between,",
            "or send it again later",
            STATE,
        ),
    ),
    "page elsewhere": Refusal(
        http(200, PAGE),
        "200 with no JSON in the answer",
        (
            (
                "coveralls.example.org/path may be no Coveralls server, or a log-in page stands in "
                "front of it"
            ),
        ),
        OWN_HOST,
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
    "a name that does not fit": Refusal(
        *either(422, "Invalid github token"),
        MISFIT_OWN,
        {**GITHUB, "service_name": "github", "service_origin": "COVERALLS_SERVICE_NAME"},
    ),
    "GitHub's token": Refusal(
        *either(422, "Invalid repo token"),
        (
            (
                "coveralls.io did not take the token from GITHUB_TOKEN, which ends with its job "
                "and opens its own repository alone:"
            ),
            "set GITHUB_TOKEN: ${{ github.token }} in the step of `finish`",
        ),
        GITHUB_TOKEN,
    ),
    "another token": Refusal(
        *either(422, "Invalid repo token"),
        (
            (
                "the token from COVERALLS_REPO_TOKEN is not the repository's: copy it again from "
                "its page,"
            ),
            "it is the one that the jobs are sent with",
        ),
    ),
    "closed, with the attempt in the number": Refusal(
        *either(422, "already done"),
        ("the build was closed before",),
        {**GITHUB, "number": "9001-2"},
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


def test_a_build_that_may_be_closed_is_to_be_closed_again() -> None:
    """Unlike a job, which would be there twice."""
    verdict = diagnosis.judge(
        Answer(status=504, problem="504 Gateway Time-out", ambiguous=True),
        WEBHOOK_ROWS,
        FACTS,
        doubt=CLOSE_AGAIN,
    )

    assert verdict.advice == (*DOWN, CLOSE_AGAIN)


@pytest.mark.parametrize(
    "words", [CLOSED, NOT_UNIQUE, NO_REPOSITORY, "Build processing error."], ids=lambda it: it[:12]
)
def test_an_answer_that_was_lost_before_explains_a_refusal_or_leaves_it_explained(
    words: str,
) -> None:
    """The job of the first attempt may have closed the build, or be the one that is there."""
    again = Answer(status=422, problem="422", text=json.dumps({"message": words, "error": True}))
    alone = diagnosis.judge(again, JOB_ROWS, FACTS).advice
    verdict = diagnosis.judge(replace(again, ambiguous=True, attempts=2), JOB_ROWS, FACTS)

    is_explained = words in {CLOSED, NOT_UNIQUE}
    earlier = ("an attempt before this one may have arrived, and be the reason",)
    assert verdict.advice == (*(earlier if is_explained else alone), DOUBT)


WRITTEN = "http://USER:PASSWORD@HOST:PORT, special letters of the password as %XX"
CREDENTIALS = "put user and password into the variable of <proxy>: http://USER:PASSWORD@..."
PROXIES = {
    "407": Refusal(
        http(407, b"", reason="Proxy Authentication Required"),
        "the proxy did not take user name and password: 407 Proxy Authentication Required",
        (f"<proxy> wants others than the variable has, or another way than Basic: {WRITTEN}",),
    ),
    **{
        f"a web server, {status}": Refusal(
            http(status, PAGE),
            f"the proxy answers as a web server: {status} Said",
            ("<proxy> is no proxy: check address and port in the variable",),
        )
        for status in (400, 404, 405, 501)
    },
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


def through(monkeypatch: pytest.MonkeyPatch, proxy: str, *, connect_timeout: float = 5) -> Answer:
    """Deliver a job to coveralls.io through a proxy."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    call = Call(method="POST", url="https://coveralls.io/api/v1/jobs", form="json_file")
    policy = Policy(connect_timeout=connect_timeout)
    return transport.deliver(call, b"{}", policy, lambda _: None)


def test_a_proxy_that_asks_who_it_is_is_told_nothing_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable has no user: unlike one that is not taken."""
    with Scripted(lambda _: http(407, b"", reason="Who?")) as proxy:
        answer = through(monkeypatch, proxy.url)
    advice = CREDENTIALS.replace("<proxy>", f"{proxy.url} (from HTTPS_PROXY)")

    reason = "the proxy asks for a user name and a password: 407 Who?"
    judged(answer, Refusal(b"", reason, (advice,)), JOB_ROWS)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://user:hunter2#x@squid.example:3128", "http://squid.example:3128"),
        ("http://user:hunter2?x@squid.example:3128", "http://squid.example:3128"),
        ("http://user:hunter2/x@squid.example:3128", "http://squid.example:3128"),
        ("htp://user:hunter2@squid.example", "htp://squid.example"),
        ("squid:3128", "http://squid:3128"),
        ("http://squid.example:99999", "http://squid.example:99999"),
    ],
)
def test_an_address_of_a_proxy_that_cannot_be_read_is_not_quoted_with_its_password(
    address: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A raw ``#`` in it is the usual cause: the library's own words have the password."""
    answer = through(monkeypatch, address)
    advice = f"write the variable of {shown} (from HTTPS_PROXY) as {WRITTEN}"

    judged(answer, Refusal(b"", "the address of the proxy cannot be read", (advice,)), JOB_ROWS)
    assert "hunter" not in repr(answer)


@pytest.mark.skipif(find_spec("socks") is not None, reason="PySocks is installed")
def test_a_proxy_that_needs_another_package_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither requests nor this package brings it along."""
    answer = through(monkeypatch, "socks5://squid.example:1080")
    shown = "socks5://squid.example:1080 (from HTTPS_PROXY)"
    advice = f"pip install requests[socks], or set an http:// proxy in place of {shown}"

    reason = "the proxy speaks SOCKS, and PySocks is missing"
    judged(answer, Refusal(b"", reason, (advice,)), JOB_ROWS)


def answers_plainly(proxy: socket.socket) -> None:
    """Take whatever comes for a bad request, as a server that knows no TLS does."""
    with suppress(OSError):
        while True:
            connection, _ = proxy.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(http(400, PAGE))


def test_a_proxy_of_plain_http_is_not_spoken_to_by_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """``https://`` is written where ``http://`` is meant."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        address = f"https://127.0.0.1:{proxy.getsockname()[1]}"
        threading.Thread(target=answers_plainly, args=(proxy,), daemon=True).start()
        answer = through(monkeypatch, address)
    shown = f"{address} (from HTTPS_PROXY)"
    advice = f"{shown} is spoken to in plain http: write http:// in the variable"

    judged(answer, Refusal(b"", "the proxy speaks no TLS", (advice,)), JOB_ROWS)


def test_a_proxy_that_says_nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was connected, and does not answer the CONNECT."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        answer = through(monkeypatch, address, connect_timeout=0.2)
    advice = f"{address} (from HTTPS_PROXY) was connected, and says nothing: ask who runs it"

    judged(answer, Refusal(b"", "the proxy did not answer within 0.2 s", (advice,)), JOB_ROWS)


@pytest.mark.parametrize(
    ("cause", "facts", "advice"),
    [
        (
            "certificate has expired",
            {},
            (
                "the certificate's time is over or has not come: check the clock of this machine, "
                "or ask who runs coveralls.io"
            ),
        ),
        (
            "Hostname mismatch, certificate is not valid for 'coveralls.io'.",
            {"ca_bundle": "/etc/ca.pem (from COVERALLS_CA_BUNDLE)"},
            (
                "another server, or a gateway, answers under this name: check host and proxy; "
                "ca_bundle does not help"
            ),
        ),
        (
            "unable to get local issuer certificate",
            {"ca_bundle": "/etc/ca.pem (from COVERALLS_CA_BUNDLE)"},
            (
                "/etc/ca.pem (from COVERALLS_CA_BUNDLE) lacks the authority that signed it: add it "
                "to the file"
            ),
        ),
        (
            "unable to get local issuer certificate",
            {},
            "set ca_bundle to the PEM file of the authority that signed it",
        ),
    ],
)
def test_a_certificate_that_is_not_trusted_has_one_of_several_causes(
    cause: str, facts: dict[str, str], advice: str
) -> None:
    """A file of authorities helps in one of them alone."""
    answer = Answer(problem=f"the certificate is not trusted: {cause}")

    judged(answer, Refusal(b"", answer.problem, (advice,), facts), JOB_ROWS)


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (
            "[SSL: WRONG_VERSION_NUMBER] wrong version number",
            "nobody speaks TLS at coveralls.io: check host and port",
        ),
        (
            "[SSL: SSLV3_ALERT_HANDSHAKE_FAILURE] handshake failure",
            (
                "coveralls.io and this Python have no version of TLS in common: a newer one is "
                "needed on the older side"
            ),
        ),
        ("EOF occurred in violation of protocol", "check host, network and proxy variables"),
    ],
)
def test_tls_that_does_not_come_about_is_explained(words: str, advice: str) -> None:
    """By the words of OpenSSL."""
    answer = Answer(problem=f"no secure connection: {words}")

    judged(answer, Refusal(b"", answer.problem, (advice,)), JOB_ROWS)


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
