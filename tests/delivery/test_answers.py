"""What an answer means: accepted or not, why, and what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from pytest_coveralls_submit.delivery import answers
from pytest_coveralls_submit.delivery.answers import (
    RunFacts,
    Verdict,
    judge_job,
    judge_webhook,
    token_mismatch,
)
from pytest_coveralls_submit.delivery.sender import TRACE_HEADERS, Answer

Judge = Callable[[Answer, RunFacts], Verdict]
RAY = {"cf-ray": "8f00aa11bb22cc33-FRA"}
PAGE = "<html><head><title>Just a moment...</title></head></html>"
NO_REPOSITORY = "Couldn't find a repository matching this job."
CLOSED = "Can't add a job to a build that is already closed. Build 9001 is closed."
NOT_UNIQUE = (
    "service_job_id (1) must be unique for Travis Jobs not supplying a Coveralls Repo Token"
)
TRAVIS_ERROR = 'Travis API error: #<Coveralls::Mash error="not found">'
UNPARSABLE = "JSON file not found or failed to parse."
PAUSED = "Repo was paused. Check your subscription."
UNAFFECTED = "your tests are not affected"
STATUS_PAGE = "is it down for everybody? https://status.coveralls.io"
PROXY = "http://squid.example:3128 (from HTTPS_PROXY)"
NO_BUILD = "No build matching CI build number 9001 found"
NOT_ON_REPO = "The commit wasn't found on the repo"

FACTS = RunFacts(
    host="https://coveralls.io",
    service_number="9001",
    ci="circleci",
    service_name="circleci",
    token_source="COVERALLS_REPO_TOKEN",
)
GITHUB = {"ci": "github-actions", "service_name": "github-actions", "may_use_github_token": True}
GITHUB_TOKEN = {
    **GITHUB,
    "service_name": "github",
    "has_github_token": True,
    "token_prefix": "ghs_",
    "token_source": "GITHUB_TOKEN",
}
WRONG_NAME = {**GITHUB, "service_name": "github", "service_name_source": "COVERALLS_SERVICE_NAME"}
ON_TRAVIS = {"ci": "travis-ci", "service_name": "travis-ci"}
PRIVATE_TRAVIS = {"service_name": "travis-pro"}
ELSEWHERE = {"host": "https://cover.example/path"}
OPENCOV = {**GITHUB, **ELSEWHERE}
OWN_BUNDLE = {"ca_bundle": "/etc/ca.pem (from COVERALLS_CA_BUNDLE)"}


class Case(NamedTuple):
    """A refusal, its entry in docs/messages.md, and words of the advice."""

    anchor: str
    answer: Answer
    words: str
    facts: Mapping[str, Any] = MappingProxyType({})


def said(status: int, body: object, **more: Any) -> Answer:
    """An answer in JSON."""
    return Answer(status=status, problem=f"{status} Said", text=json.dumps(body), **more)


def refused(message: str, status: int = 422, **more: Any) -> Answer:
    """How Coveralls says no."""
    return said(status, {"message": message, "error": True}, **more)


def page(status: int, reason: str = "Said", **more: Any) -> Answer:
    """What a web server says."""
    return Answer(status=status, problem=f"{status} {reason}", text=PAGE, **more)


def untrusted(cause: str) -> Answer:
    """A certificate that is not trusted."""
    return Answer(problem=f"the certificate is not trusted: {cause}")


MISMATCH = (
    'service name "github" (from COVERALLS_SERVICE_NAME) needs GitHub\'s token, but the token '
    "(from COVERALLS_REPO_TOKEN) is Coveralls' own: remove the name"
)
OWN_PAGE = "own, from its page (not a personal API token), and the repository must be switched on"
SYNC = "if the repository was renamed or moved, press Sync in its settings"
NO_ACCESS = (
    "GITHUB_TOKEN gives no access to the repository on coveralls.io: add the repository there, "
    "set GITHUB_TOKEN: ${{ github.token }} in this step, or"
)
PERSONAL = "GITHUB_TOKEN is a personal access token without access to the repository: remove it"
TWO_WAYS = (
    "the token does not belong to a repository on coveralls.io: copy it again from the "
    'repository\'s page, or use GITHUB_TOKEN with service name "github" (a personal API token'
)
MATRIX = "build 9001 takes no more jobs: give each job of a matrix parallel = true, run `finish`"
SUPPORT = "look at the subscription, or to ask support@coveralls.io"
THROUGH = f"check the variable of {PROXY}: http://USER:PASSWORD@HOST:PORT, or add coveralls.io to"
BLOCKED = "Cloudflare, in front of coveralls.io, blocked the request, the token is not the cause"
DOWN = f"coveralls.io is overloaded or down; {UNAFFECTED} {STATUS_PAGE}"
MAYBE = "it may have been accepted anyway: look at coveralls.io before you send it again"
CLOSE_AGAIN = "it may be closed anyway: run `finish` again, closing twice does no harm"
NO_INTERFACE = "cover.example/path has no Coveralls interface at https://cover.example/path: check"
FOR_TRAVIS = "if it is private, set COVERALLS_SERVICE_NAME: travis-pro"
NEEDS_SOURCE = "cover.example/path may need the text of the files: set include_source = true"

BOTH = (
    Case("paused", refused(PAUSED, 200), SUPPORT),
    Case("paused", page(402, "Payment Required"), SUPPORT),
    Case("token-mismatch", refused(NO_REPOSITORY), MISMATCH, WRONG_NAME),
    Case("wrong-token", refused(NO_REPOSITORY), OWN_PAGE, {"ci": "github-actions"}),
    Case("wrong-token", refused(NO_REPOSITORY), TWO_WAYS, GITHUB),
    Case("wrong-token", refused(NO_REPOSITORY), NO_ACCESS, GITHUB_TOKEN),
    Case("wrong-token", refused(NO_REPOSITORY), PERSONAL, {**GITHUB_TOKEN, "token_prefix": "ghp_"}),
    Case("wrong-token", said(404, {"error": "could not find model"}), SYNC, OPENCOV),
    Case(
        "processing-error", refused("Build processing error.", 500), f"with this job; {UNAFFECTED}"
    ),
    Case("proxy", page(407, proxy=PROXY), THROUGH),
    Case("proxy", Answer(problem="the proxy address is malformed", proxy=PROXY), THROUGH),
    Case("proxy", Answer(problem="Missing dependencies for SOCKS", proxy=PROXY), THROUGH),
    Case("cloudflare", page(403, headers=RAY), BLOCKED),
    Case("cloudflare", page(503, headers={"cf-mitigated": "challenge"}), STATUS_PAGE),
    Case("cloudflare", page(530), f"Cloudflare cannot reach coveralls.io; {UNAFFECTED}"),
    Case("redirect", page(302, headers={"location": "https://h:84"}), "to https://h:84: set host"),
    Case("request-refused", page(400), "in front of it refused the request"),
    Case("request-refused", refused("Forbidden", 403, headers=RAY), "in front of it refused"),
    Case("wrong-host", page(404), "at https://coveralls.io: send it again later"),
    Case("wrong-host", page(404), NO_INTERFACE, ELSEWHERE),
    Case("wrong-host", page(200), "host is wrong, or a login page or proxy is in front of cover"),
    Case("down", page(405), f"coveralls.io is down for maintenance; {UNAFFECTED} {STATUS_PAGE}"),
    Case("down", page(429), DOWN),
    Case("down", page(500), "cover.example/path is overloaded or down", ELSEWHERE),
    Case("certificate", untrusted("certificate has expired"), "check this machine's clock"),
    Case("certificate", untrusted("Hostname mismatch, certificate is not valid"), "check host and"),
    Case("certificate", untrusted("unable to get issuer"), "to /etc/ca.pem (from COV", OWN_BUNDLE),
    Case(
        "certificate", untrusted("unable to get issuer"), "to a PEM file, and set ca_bundle to it"
    ),
    Case("no-tls", Answer(problem="no secure connection: [SSL: X]"), "speak TLS on that port, or"),
    Case("no-connection", Answer(problem="the host name cannot be found"), "check host, network"),
    Case("no-answer", Answer(problem="the connection was reset"), DOWN),
    Case("", refused("I am a teapot", 418), ""),
)
JOBS = (
    *BOTH,
    Case("token-mismatch", refused(TRAVIS_ERROR), "is for runs on Travis", PRIVATE_TRAVIS),
    Case("unknown-to-travis", refused(NOT_ON_REPO), FOR_TRAVIS, ON_TRAVIS),
    Case("build-closed", refused(CLOSED), f"{MATRIX} after the last of them"),
    Case("build-closed", refused(CLOSED, ambiguous=True, attempts=2), MAYBE),
    Case("already-sent", refused(NOT_UNIQUE), "start a new build, not a restart", ON_TRAVIS),
    Case("not-parsed", refused(UNPARSABLE), "coveralls.io could not read the job, compressed or"),
    Case("not-parsed", refused(UNPARSABLE, 200), f"again later {STATUS_PAGE}"),
    Case("not-parsed", refused(UNPARSABLE, 400), "not be a Coveralls server", ELSEWHERE),
    Case("source-missing", said(422, "Server internal error"), NEEDS_SOURCE, ELSEWHERE),
    Case("", said(422, "Server internal error"), ""),
    Case("too-large", page(413, size=16_000_001), "(16,000,001 bytes): keep compress on and incl"),
    Case("down", page(504, ambiguous=True), f"{DOWN} {MAYBE}"),
    Case("no-answer", Answer(problem="no answer within 30 s", ambiguous=True), f"{DOWN} {MAYBE}"),
)
BUILDS = (
    *BOTH,
    Case("token-mismatch", refused("Invalid github token"), MISMATCH, WRONG_NAME),
    Case("wrong-token", said(422, {"error": "Invalid repo token"}), OWN_PAGE),
    Case("wrong-token", refused("Invalid repo token"), NO_ACCESS, GITHUB_TOKEN),
    Case("no-such-build", said(200, {"error": NO_BUILD}), "no job was sent under the number 9001"),
    Case("closed-before", refused("Build 9001 is closed"), "the build was closed before"),
    Case("no-finish", said(404, {"error": "no such path"}), "on OpenCov leave `fin", ELSEWHERE),
    Case("down", page(504, ambiguous=True), f"{DOWN} {CLOSE_AGAIN}"),
)


CASES = [*((judge_job, case) for case in JOBS), *((judge_webhook, case) for case in BUILDS)]


@pytest.mark.parametrize(("judge", "case"), CASES)
def test_a_refusal_is_explained(judge: Judge, case: Case) -> None:
    verdict = judge(case.answer, replace(FACTS, **case.facts))

    assert (verdict.accepted, verdict.anchor) == (False, case.anchor)
    assert case.words in " ".join(verdict.advice)
    assert bool(verdict.advice) == bool(case.anchor)
    assert len(verdict.advice) <= 3


DOCS = Path(__file__).parents[2] / "docs" / "messages.md"
SECTIONS = {
    title.lower().replace(" ", "-"): " ".join(text.split())
    for title, _, text in (
        part.partition("\n") for part in DOCS.read_text("utf-8").split("\n## ")[1:]
    )
}


def test_every_rule_has_an_entry_and_a_case() -> None:
    source = Path(answers.__file__).read_text("utf-8")
    rules = set(re.findall(r'yield \(?\s*"([a-z-]+)"', source))

    assert len(rules) >= 20
    assert set(SECTIONS) == rules
    assert all("```" in text and "Seen: " in text for text in SECTIONS.values())
    assert {case.anchor for _, case in CASES} == rules | {""}


@pytest.mark.parametrize("case", {case.answer.text: case for _, case in CASES}.values())
def test_an_entry_quotes_the_server(case: Case) -> None:
    message = judge_job(case.answer, FACTS).message
    if case.anchor and "answer" not in message:
        assert re.sub(r"\d+", "N", message) in re.sub(r"\d+", "N", SECTIONS[case.anchor])


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        (
            {**GITHUB_TOKEN, "service_name": "github-actions"},
            "needs Coveralls' own token, but the token (from GITHUB_TOKEN) is GitHub's: set",
        ),
        ({**GITHUB_TOKEN, "token_prefix": ""}, "(from GITHUB_TOKEN) does not look like GitHub's"),
    ],
)
def test_a_service_name_that_does_not_fit_the_token_is_known(
    facts: dict[str, Any], line: str
) -> None:
    assert line in (token_mismatch(replace(FACTS, **facts)) or "")


@pytest.mark.parametrize(
    "facts",
    [
        *(ON_TRAVIS, GITHUB_TOKEN, GITHUB, {}, {"service_name": "github", "token_source": None}),
        {**GITHUB_TOKEN, "service_name": None},
    ],
)
def test_a_service_name_that_fits_is_no_mismatch(facts: dict[str, Any]) -> None:
    assert token_mismatch(replace(FACTS, **facts)) is None


@pytest.mark.parametrize(
    "body",
    [
        *({}, {"error": False}, {"error": None}, {"error": ""}, {"url": None}, {"url": 5}),
        *({"message": ["x"]}, {"done": True}, {"build_id": 70, "coverage": 100.0}),
    ],
)
def test_an_object_without_a_true_error_is_accepted(body: dict[str, object]) -> None:
    assert judge_job(said(201, body), FACTS) == Verdict(True)


@pytest.mark.parametrize("error", [True, "no", ["no"]])
def test_a_true_error_is_a_refusal(error: object) -> None:
    verdict = judge_job(said(200, {"message": NO_REPOSITORY, "error": error}), FACTS)

    assert (verdict.accepted, verdict.reason) == (False, f"200 {NO_REPOSITORY}")


@pytest.mark.parametrize("text", ["", "5", '"text"', "[1]", "NaN", "{", "\0", "[" * 100_000, PAGE])
def test_a_success_without_a_json_object_accepts_nothing(text: str) -> None:
    verdict = judge_job(Answer(status=200, problem="200 OK", text=text), FACTS)

    assert (verdict.accepted, verdict.reason) == (False, "200 with no JSON object in the answer")


def test_an_accepted_job_has_its_page_and_message() -> None:
    body = {"message": "Job #9001.1", "url": "https://coveralls.io/jobs/1"}

    assert judge_job(said(200, body), FACTS) == Verdict(True, **body)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        *((url, True) for url in ("http://[::1]:80/jobs/1", "https://coveralls.io/jobs/1?a=b#c")),
        ("https://coveralls.io/" + "y" * 1900, True),
        ("https://coveralls.io/" + "y" * 1901, False),
        *((url, False) for url in ("javascript:alert(1)", "//x/y", "/jobs/1", "http://", ["x"])),
        *((url, False) for url in ("https://x/\n::error::", "https://x/##vso[a]", "https://x/<b>")),
        *((url, False) for url in ("https://x/\x1b[31m", "https://\u2024/")),
    ],
)
def test_only_a_plain_web_address_is_shown(url: object, shown: bool) -> None:
    assert judge_job(said(200, {"url": url}), FACTS).url == (url if shown else None)


@pytest.mark.parametrize(("jobs", "known"), [(3, 3), (0, 0), (True, None), ("3", None)])
def test_the_jobs_of_a_closed_build_are_counted(jobs: object, known: int | None) -> None:
    assert judge_webhook(said(200, {"done": True, "jobs": jobs}), FACTS).jobs == known


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        *(({"headers": {name: "8f00"}}, f"503 Said (trace {name} 8f00)") for name in TRACE_HEADERS),
        ({"headers": {"x-request-id": "a", "cf-ray": "8f"}}, "503 Said (trace cf-ray 8f)"),
        ({"headers": {"cf-ray": "x" * 5000}}, f"503 Said (trace cf-ray {'x' * 80})"),
        ({"headers": {"cf-ray": ""}}, "503 Said"),
        ({"attempts": 3, "seconds": 41.2}, "3 attempts in 41 s, the last: 503 Said"),
    ],
)
def test_the_reason_counts_attempts_and_names_the_trace_id(
    more: dict[str, Any], reason: str
) -> None:
    assert judge_job(page(503, **more), FACTS).reason == reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"message": "one\r\n::error::two\t three\u2028four"}, "422 one ::error::two three four"),
        ({"message": "x" * 5000}, "422 " + "x" * 300),
        ({"error": "why"}, "422 why"),
        ("why", "422 why"),
        *(({"message": words}, "422 Said") for words in (PAGE, 5, ["x"], None, " ", True)),
        *((body, "422 Said") for body in (PAGE, 5, [1], None)),
    ],
)
def test_a_message_is_one_line_and_never_html(body: object, reason: str) -> None:
    assert judge_job(said(422, body), FACTS).reason == reason
