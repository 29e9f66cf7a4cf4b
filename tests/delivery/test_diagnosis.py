"""What an answer means: accepted or not, why, and what to do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_coveralls_submit.delivery import diagnosis
from pytest_coveralls_submit.delivery.diagnosis import JOB_ROWS, WEBHOOK_ROWS, Row, Verdict
from pytest_coveralls_submit.delivery.messages import Answer

FACTS = {
    "server": "coveralls.io",
    "path": "https://coveralls.io",
    "number": "9001",
    "repo_name": "octo/sample",
    "token_kind": "",
}
REASONS = {
    200: "OK",
    302: "Found",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Request Entity Too Large",
    418: "I'm a Teapot",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    520: "Unknown",
}
NO_REPOSITORY = "Couldn't find a repository matching this job."
CLOSED = "Can't add a job to a build that is already closed. Build 9001 is closed."
NOT_UNIQUE = (
    "service_job_id (1) must be unique for Travis Jobs not supplying a Coveralls Repo Token"
)
UNPARSABLE = "JSON file not found or failed to parse."
PAGE = "<html><head><title>503 Service Temporarily Unavailable</title></head></html>"
DOWN = "coveralls.io is overloaded or down; your tests are not affected"
DOUBT = "it may have been accepted all the same: look at coveralls.io before you repeat it"


def judge(
    status: int | None,
    said: object = None,
    *,
    rows: tuple[Row, ...] = JOB_ROWS,
    token_kind: str = "",
    problem: str = "",
    **more: Any,
) -> Verdict:
    """Judge an answer; what is no text is sent as JSON."""
    text = said if isinstance(said, str) else json.dumps(said)
    if status is not None:
        problem = problem or f"{status} {REASONS[status]}"
    answer = Answer(status=status, problem=problem, text=text, **more)
    return diagnosis.judge(answer, rows, {**FACTS, "token_kind": token_kind})


def refusal(message: str) -> dict[str, object]:
    """How Coveralls says no."""
    return {"message": message, "error": True}


# --- accepted --------------------------------------------------------------------------------


def test_a_job_with_a_page_is_accepted() -> None:
    """2xx and a JSON object; its page and message are handed on."""
    said = {"message": "Job #9001.1", "url": "https://coveralls.io/jobs/1"}

    assert judge(200, said) == Verdict(
        True, url="https://coveralls.io/jobs/1", message="Job #9001.1"
    )


@pytest.mark.parametrize(
    "said",
    [
        *({}, {"error": False}, {"error": None}, {"error": ""}, {"url": None}, {"url": ""}),
        *({"url": 5}, {"message": ["x"]}, {"message": {}}, {"done": True}),
    ],
)
def test_an_object_without_a_true_error_is_accepted(said: dict[str, object]) -> None:
    """OpenCov's answer has no page; odd values are as good as none."""
    verdict = judge(200, said)

    assert (verdict.accepted, verdict.url, verdict.message) == (True, None, "")


@pytest.mark.parametrize("error", [True, 1, "no", ["no"], {"a": "b"}])
def test_a_200_with_a_true_error_is_a_refusal(error: object) -> None:
    """Coveralls was seen to refuse with status 200."""
    verdict = judge(200, {"message": NO_REPOSITORY, "error": error})

    assert not verdict.accepted
    assert verdict.reason == f"200 {NO_REPOSITORY}"


# --- refused: each known answer --------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "said", "reason", "advice"),
    [
        (
            422,
            refusal(NO_REPOSITORY),
            f"422 {NO_REPOSITORY}",
            (
                (
                    "the token does not belong to a repository on coveralls.io: copy it again from "
                    "the repository's page, or"
                ),
                'use GITHUB_TOKEN with service name "github"',
            ),
        ),
        (
            422,
            refusal(CLOSED),
            f"422 {CLOSED}",
            (
                "build 9001 takes no more jobs: give each job of a matrix parallel = true,",
                (
                    "run `finish` after the last of them, and give a build that is run again a new "
                    "number"
                ),
            ),
        ),
        (
            422,
            refusal(NOT_UNIQUE),
            f"422 {NOT_UNIQUE}",
            ("this Travis job was sent before; set COVERALLS_REPO_TOKEN to send it again",),
        ),
        *(
            (
                status,
                refusal(UNPARSABLE),
                f"{status} {UNPARSABLE}",
                (
                    (
                        "the server could not read the job, compressed or plain: coveralls.io may "
                        "be no Coveralls server,"
                    ),
                    "or one that needs include_source = true",
                ),
            )
            for status in (400, 422)
        ),
        (
            413,
            PAGE,
            "413 Request Entity Too Large",
            (
                (
                    "the job is too large for coveralls.io (1,234,567 bytes): keep compress on and "
                    "include_source off, or measure fewer files"
                ),
            ),
        ),
        (
            302,
            PAGE,
            "302 Found",
            (
                (
                    "redirects are not followed, the token would go along; this one points to "
                    "https://login.example.org:"
                ),
                "set host to where Coveralls is",
            ),
        ),
        *(
            (
                status,
                PAGE,
                f"{status} {REASONS[status]}",
                ("coveralls.io or something in front of it refused the request",),
            )
            for status in (401, 403)
        ),
        (
            404,
            PAGE,
            "404 Not Found",
            ("coveralls.io has no Coveralls interface at https://coveralls.io: check host",),
        ),
        (
            405,
            PAGE,
            "405 Method Not Allowed",
            ("coveralls.io is down for maintenance; your tests are not affected",),
        ),
        (
            429,
            PAGE,
            "429 Too Many Requests",
            ("coveralls.io takes no more for now; your tests are not affected",),
        ),
        (
            500,
            refusal("Build processing error."),
            "500 Build processing error.",
            (
                "coveralls.io had trouble with this job; your tests are not affected",
                "if it stays so, send support the job and the trace id",
            ),
        ),
        (500, PAGE, "500 Internal Server Error", (DOWN,)),
        (502, "", "502 Bad Gateway", (DOWN,)),
        (503, PAGE, "503 Service Unavailable", (DOWN,)),
        (520, PAGE, "520 Unknown", (DOWN,)),
        (
            200,
            PAGE,
            "200 with no JSON in the answer",
            ("coveralls.io may be no Coveralls server, or a log-in page stands in front of it",),
        ),
        (418, refusal("I am a teapot"), "418 I am a teapot", ()),
        (418, PAGE, "418 I'm a Teapot", ()),
    ],
)
def test_a_known_refusal_is_explained(
    status: int, said: object, reason: str, advice: tuple[str, ...]
) -> None:
    """The server's message where it has one, what it means, and what to do."""
    headers = {"location": "https://login.example.org"} if status == 302 else {}
    verdict = judge(status, said, size=1_234_567, headers=headers)

    assert (verdict.accepted, verdict.reason, verdict.advice) == (False, reason, advice)


def test_a_github_token_that_opens_nothing_gets_its_own_advice() -> None:
    """With GITHUB_TOKEN the token itself is right: the repository is not on Coveralls."""
    verdict = judge(422, refusal(NO_REPOSITORY), token_kind="GITHUB")

    assert verdict.reason == f"422 {NO_REPOSITORY}"
    assert verdict.advice == (
        "the GitHub token does not open octo/sample on coveralls.io: add the repository there, or",
        "set COVERALLS_REPO_TOKEN to the token from the repository's page",
    )


@pytest.mark.parametrize(
    ("problem", "advice"),
    [
        (
            "the certificate is not trusted: certificate has expired",
            "set ca_bundle to the PEM file of the authority that signed it",
        ),
        *(
            (problem, "check host, network and proxy variables")
            for problem in (
                "the proxy did not connect",
                "the host name cannot be found",
                "no connection within 10 s",
                "connection refused",
                "no connection: [Errno 101] Network is unreachable",
                "no secure connection: wrong version number",
            )
        ),
        *(
            (problem, DOWN)
            for problem in (
                "no answer within 30 s",
                "no result within 60 s",
                "the connection was reset",
                "the connection was closed without an answer",
                "the job could not be handed over within 10 s",
                "the connection failed",
            )
        ),
    ],
)
def test_a_server_that_said_nothing_is_explained(problem: str, advice: str) -> None:
    """What kept the answer from coming is the reason, and each kind has its remedy."""
    verdict = judge(None, "", problem=problem)

    assert (verdict.accepted, verdict.reason, verdict.advice) == (False, problem, (advice,))


# --- the webhook -----------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 404])
def test_a_build_that_nobody_knows_is_explained(status: int) -> None:
    """Both statuses were seen; the number is what the user can check."""
    said = {"error": "No build matching CI build number 9001 found"}
    verdict = judge(status, said, rows=WEBHOOK_ROWS)

    assert verdict.reason == f"{status} No build matching CI build number 9001 found"
    assert verdict.advice == (
        "no job was sent under the number 9001: it must be the service number of the jobs,",
        "which the header of each test run shows",
    )


@pytest.mark.parametrize("message", ["Build 9001 is closed", "already done"])
def test_a_build_that_was_closed_before_is_explained(message: str) -> None:
    """``finish`` twice does no harm."""
    verdict = judge(422, {"error": message}, rows=WEBHOOK_ROWS)

    assert not verdict.accepted
    assert verdict.advice == ("the build was closed before",)


def test_a_wrong_token_is_explained_for_the_webhook_too() -> None:
    """The same message as for a job has the same meaning."""
    verdict = judge(422, refusal(NO_REPOSITORY), rows=WEBHOOK_ROWS)

    assert verdict.advice[0].startswith("the token does not belong to a repository")


def test_the_webhook_is_down_when_the_server_is() -> None:
    """The rows that fit any request follow those of the webhook."""
    assert judge(503, PAGE, rows=WEBHOOK_ROWS).advice == (DOWN,)
    assert judge(200, {"done": True}, rows=WEBHOOK_ROWS).accepted


# --- trace ids, doubt, attempts --------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "trace"),
    [
        ({"cf-ray": "8f00aa11bb22cc33"}, " (trace cf-ray 8f00aa11bb22cc33)"),
        ({"x-request-id": "abc"}, " (trace x-request-id abc)"),
        ({"x-request-id": "abc", "cf-ray": "8f00"}, " (trace cf-ray 8f00)"),
        ({"cf-ray": ""}, ""),
        ({}, ""),
    ],
)
def test_a_refusal_names_what_support_asks_for(headers: dict[str, str], trace: str) -> None:
    """Cloudflare's ray first, else the application's own id."""
    assert judge(503, PAGE, headers=headers).reason == "503 Service Unavailable" + trace


def test_several_attempts_are_counted_in_the_reason() -> None:
    """How long it was tried, and how it ended."""
    verdict = judge(503, PAGE, attempts=3, seconds=41.2)

    assert verdict.reason == "3 attempts in 41 s, the last: 503 Service Unavailable"


@pytest.mark.parametrize(
    ("status", "said", "before"),
    [
        (504, PAGE, (DOWN,)),
        (None, "", (DOWN,)),
        (418, PAGE, ()),
        (
            422,
            refusal(NOT_UNIQUE),
            ("this Travis job was sent before; set COVERALLS_REPO_TOKEN to send it again",),
        ),
    ],
)
def test_doubt_is_said_last(status: int | None, said: object, before: tuple[str, ...]) -> None:
    """Where the job may have been stored, the user is told to look before sending it again."""
    verdict = judge(status, said, problem="no answer within 30 s", ambiguous=True)

    assert verdict.advice == (*before, DOUBT)


def test_an_answer_that_broke_off_is_not_taken_for_a_log_in_page() -> None:
    """Half of Coveralls' own answer is a broken connection, not another server."""
    verdict = judge(
        200, '{"message": "Job #9', problem="200 OK, and the answer broke off", ambiguous=True
    )

    assert not verdict.accepted
    assert "broke off" in verdict.reason
    assert verdict.advice[-1] == DOUBT
    assert not any("log-in page" in line for line in verdict.advice)


# --- what is never printed -------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 302, 400, 404, 405, 413, 422, 429, 500, 503, 504])
@pytest.mark.parametrize("rows", [JOB_ROWS, WEBHOOK_ROWS], ids=["job", "webhook"])
def test_html_is_never_printed(status: int, rows: tuple[Row, ...]) -> None:
    """A page says nothing on a terminal, whatever the status."""
    verdict = judge(status, f"\n\n{PAGE}", rows=rows)

    said = " ".join((verdict.reason, verdict.message, *verdict.advice))
    assert not verdict.accepted
    assert "<" not in said
    assert "html" not in said.lower()


@pytest.mark.parametrize("key", ["message", "error"])
def test_html_inside_of_json_is_not_printed_either(key: str) -> None:
    """A proxy may wrap its page into JSON."""
    verdict = judge(503, {key: PAGE})

    assert "<html" not in verdict.reason


@pytest.mark.parametrize("key", ["message", "error"])
def test_a_long_message_is_cut(key: str) -> None:
    """300 characters are enough for any message."""
    verdict = judge(422, {key: "x" * 5000})

    assert verdict.reason == "422 " + "x" * 300


def test_a_long_reason_phrase_is_cut() -> None:
    """The status line is the server's text as well."""
    assert len(judge(503, PAGE, problem="503 " + "x" * 5000).reason) <= 310


def test_a_long_trace_id_is_cut() -> None:
    """A header can be anything."""
    reason = judge(503, PAGE, headers={"cf-ray": "x" * 5000}).reason

    assert reason == "503 Service Unavailable (trace cf-ray " + "x" * 80 + ")"


def test_a_message_is_one_line() -> None:
    """Line ends and tabs of the server become spaces."""
    verdict = judge(422, refusal("one\r\n::error::two\t three\u2028four"))

    assert verdict.reason == "422 one ::error::two three four"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "null",
            "true",
            "5",
            '"text"',
            "[]",
            "[1]",
            '[{"url": "x"}]',
            "NaN",
            "{",
            "\x00",
        ),
        *("[" * 100_000, '{"a":' * 100_000, "1" * 50_000, '{"message": "Job', "\ufffd" * 100),
    ],
    ids=lambda text: repr(text[:12]),
)
def test_json_that_is_no_object_accepts_nothing(text: str) -> None:
    """A list, a number, nesting without end: a 200 with any of them is a failure in words."""
    verdict = judge(200, text)

    assert (verdict.accepted, verdict.url, verdict.message) == (
        False,
        None,
        "with no JSON in the answer",
    )
    assert verdict.reason == "200 with no JSON in the answer"


@pytest.mark.parametrize("value", [5, ["x"], {"a": "b"}, None, " ", True])
def test_a_message_that_is_no_text_gives_way_to_the_status(value: object) -> None:
    """The status line says at least something."""
    assert judge(422, {"message": value, "error": True}).reason == "422 Unprocessable Entity"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from(["message", "error", "url", "x"]), JSON)


@given(
    status=st.none() | st.integers(100, 999),
    text=st.text() | JSON.map(json.dumps) | OBJECTS.map(json.dumps),
    problem=st.text(max_size=100),
    kind=st.sampled_from([JOB_ROWS, WEBHOOK_ROWS]),
)
def test_any_answer_at_all_has_a_verdict(
    status: int | None, text: str, problem: str, kind: tuple[Row, ...]
) -> None:
    """Nothing that a server says makes the judge raise; only a 2xx object is an acceptance."""
    answer = Answer(status=status, problem=problem, text=text)
    verdict = diagnosis.judge(answer, kind, FACTS)

    if verdict.accepted:
        said = json.loads(text)
        assert status is not None
        assert 200 <= status < 300
        assert isinstance(said, dict)
        assert not said.get("error")
    assert len(verdict.message) <= 300
    assert not any("{" in line and "}" in line for line in verdict.advice)
