"""What an answer means: accepted or not, why, and what to do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_coveralls_submit.delivery import diagnosis
from pytest_coveralls_submit.delivery.case import Case, Facts, Row, misfit
from pytest_coveralls_submit.delivery.diagnosis import Verdict
from pytest_coveralls_submit.delivery.messages import Answer
from pytest_coveralls_submit.delivery.refusals import COMMON_ROWS, JOB_ROWS, WEBHOOK_ROWS

FACTS = Facts(
    host="https://coveralls.example",
    number="9001",
    repo_name="octo/sample",
    ci="github-actions",
    service_name="github-actions",
    token_kind="coveralls",
    token_origin="COVERALLS_REPO_TOKEN",
)
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
PAGE = "<html><head><title>503 Service Temporarily Unavailable</title></head></html>"
DOWN = "coveralls.example is overloaded or down; your tests are not affected"
DOUBT = "it may have been accepted all the same: look at coveralls.example before you repeat it"


def judge(
    status: int | None,
    said: object = None,
    *,
    rows: tuple[Row, ...] = JOB_ROWS,
    facts: Facts = FACTS,
    problem: str = "",
    **more: Any,
) -> Verdict:
    """Judge an answer; what is no text is sent as JSON."""
    text = said if isinstance(said, str) else json.dumps(said)
    if status is not None:
        problem = problem or f"{status} {REASONS[status]}"
    answer = Answer(status=status, problem=problem, text=text, **more)
    return diagnosis.judge(answer, rows, facts)


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


# --- rows ------------------------------------------------------------------------------------


def test_a_row_that_names_what_no_case_has_fails_when_it_is_written() -> None:
    """Not in the middle of a failed upload."""
    with pytest.raises(AttributeError, match="branch"):
        Row(statuses=(422,), advice=("{it.branch} is closed",), seen="nowhere")


@pytest.mark.parametrize("row", [*JOB_ROWS, *WEBHOOK_ROWS, *COMMON_ROWS])
def test_a_row_says_where_it_was_seen(row: Row) -> None:
    """A thread, a document; and what its advice is made of is filled in."""
    case = Case(answer=Answer(), facts=FACTS)

    assert row.seen
    assert row.advice
    assert not any("{it" in line for line in row.lines(case))


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (
            {"service_name": "github", "token_kind": "coveralls", "service_origin": "--x"},
            (
                'service name "github" (from --x) is for GitHub\'s token, and the token is '
                "Coveralls' own: take the name away, or set another"
            ),
        ),
        (
            {
                "service_name": "github",
                "token_kind": "coveralls",
                "ci": "github-actions",
                "token_origin": "COVERALLS_REPO_TOKEN",
            },
            (
                'service name "github" is for GitHub\'s token, and the token (from '
                "COVERALLS_REPO_TOKEN) is Coveralls' own: take the name away, or set "
                '"github-actions"'
            ),
        ),
        (
            {"service_name": "github-actions", "token_kind": "github", "ci": "github-actions"},
            (
                'service name "github-actions" is for Coveralls\' own token, and the token is '
                "GitHub's: set \"github\", or use the token from the repository's page"
            ),
        ),
        (
            {"service_name": "circleci", "token_kind": "github", "ci": "circleci"},
            (
                'service name "circleci" is for Coveralls\' own token, and the token is '
                "GitHub's: use the token from the repository's page"
            ),
        ),
        (
            {"service_name": "github", "token_kind": "github", "token_origin": "GITHUB_TOKEN"},
            (
                "the token (from GITHUB_TOKEN) does not look like GitHub's, perhaps it is "
                "Coveralls' own: set GITHUB_TOKEN: ${{ github.token }}, or put it into "
                "COVERALLS_REPO_TOKEN"
            ),
        ),
        (
            {"service_name": "travis-pro", "service_origin": "COVERALLS_SERVICE_NAME"},
            (
                'service name "travis-pro" (from COVERALLS_SERVICE_NAME) lets Coveralls ask Travis '
                "for the job, and this run is none of Travis': take the name away"
            ),
        ),
        ({"service_name": "travis-pro", "ci": "travis-ci"}, None),
        ({"service_name": "github", "token_kind": "github", "token_prefix": "ghs_"}, None),
        ({"service_name": "github-actions", "token_kind": "coveralls"}, None),
        ({"service_name": "circleci", "token_kind": "coveralls"}, None),
        ({"service_name": "github"}, None),
        ({"token_kind": "github", "token_prefix": "ghs_"}, None),
    ],
)
def test_a_service_name_that_does_not_fit_the_token_is_known_before(
    facts: dict[str, Any], said: str | None
) -> None:
    """With ``github`` Coveralls takes the token for GitHub's, else for its own."""
    assert misfit(Facts(host="https://coveralls.io", **facts)) == said


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        *((url, True) for url in ("http://[::1]:80/jobs/1", "https://coveralls.io/jobs/1?a=b#c")),
        ("https://coveralls.io/builds/1?x=" + "y" * 1968, True),
        ("https://coveralls.io/builds/1?x=" + "y" * 1969, False),
        *(
            (url, False)
            for url in ("javascript:alert(1)", "ftp://x/", "//x/y", "/jobs/1", "http://")
        ),
        *((url, False) for url in ("https://x/\n::error::", "https://x/ y", "https://x/##vso[a]")),
        *(
            (url, False)
            for url in ("https://x/\x1b[31m", "https://x/<b>", "https://\u2024/", ["x"])
        ),
    ],
)
def test_an_address_is_plainly_one_of_the_web_or_none(url: object, shown: bool) -> None:
    """The server's ``url`` is printed and written into files that a CI service obeys."""
    assert judge(200, {"url": url}).url == (url if shown else None)


@pytest.mark.parametrize(
    ("jobs", "known"), [(3, 3), (0, 0), (True, None), (-1, None), ("3", None), (None, None)]
)
def test_the_number_of_jobs_of_a_closed_build_is_handed_on(jobs: object, known: int | None) -> None:
    """The webhook's answer counts them."""
    assert judge(200, {"done": True, "jobs": jobs}, rows=WEBHOOK_ROWS).jobs == known


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
