"""The table of settings: what each accepts, and how much of it the help shows."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_coveralls_submit.settings.table import OPTIONS

DESCRIBED = {
    *("host", "repo_token_file", "flag_name", "parallel", "include_source", "merge", "dry_run"),
    *("save", "strict", "on_partial", "on_failure", "ca_bundle", "changed_lines"),
    *("changed_fail_under", "annotate", "wait"),
}
ADDRESS = r"(https?://)?[a-z@:\[\]%.0-9]{0,20}(/[a-z]*)?(\?.)?"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        *(("parallel", text, True) for text in ("1", "true", "YES", "On")),
        *(("compress", text, False) for text in ("0", "False", "NO", "off")),
        ("host", "coveralls.example.com", "https://coveralls.example.com"),
        ("host", "coveralls.example.com:8443/a/b/", "https://coveralls.example.com:8443/a/b"),
        ("host", "HTTPS://coveralls.example.com", "https://coveralls.example.com"),
        ("host", "http://[::1]:8080", "http://[::1]:8080"),
        ("service_build_url", "https://ci.example/7?id=5", "https://ci.example/7?id=5"),
        ("service_job_url", "https://user:pa55@ci.example/7?id=5", "https://ci.example/7?id=5"),
        ("service_pull_request", "#7", "7"),
        ("service_pull_request", "pull/7/", "7"),
        ("service_pull_request", "https://gitlab.com/a/b/-/merge_requests/123", "123"),
        ("commit_sha", "ABCDEF0", "abcdef0"),
        ("commit_sha", "a" * 64, "a" * 64),
        ("run_at", "2026-02-18T00:52:48Z", "2026-02-18T00:52:48Z"),
        ("run_at", "2026-02-18T00:52:48.123456+01:00", "2026-02-18T00:52:48.123456+01:00"),
        ("run_at", "2013-02-18 00:52:48 -0800", "2013-02-18 00:52:48 -0800"),
        ("deadline", "0.1", 0.1),
        ("deadline", "86400", 86400.0),
        ("wait", "0", 0.0),
        ("changed_fail_under", "87.5%", 87.5),
        ("retries", "10", 10),
        ("on_partial", "SEND", "send"),
        ("on_failure", "Skip", "skip"),
    ],
)
def test_a_text_becomes_a_value(name: str, text: str, value: object) -> None:
    assert OPTIONS[name].parser.parse(text) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("parallel", text) for text in ("2", "maybe", "y", "on off")),
        *(
            ("host", text)
            for text in (
                *("ftp://host", "https://", "https://host name", "https://host\\evil.example"),
                *("https://host?x=1", "https://host#there", "https://host:port", "https://[::1"),
                *("https://host:99999", "https://hö.example", "https://user:pa55@host"),
            )
        ),
        *(("service_build_url", f"https://user:pa55{mark}word@ci/7") for mark in "?/"),
        *(("service_pull_request", text) for text in ("false", "refs/pull/7/merge", "PR7")),
        *(("commit_sha", text) for text in ("HEAD", "abcdef", "0" * 40, "a" * 65)),
        *(("run_at", text) for text in ("yesterday", "2026-02-18", "2026-02-18T00:52:48")),
        *(("deadline", text) for text in ("0", "-1", "nan", "inf", "1e9", "soon")),
        *(("retries", text) for text in ("-1", "11", "2.0", "many")),
        *(("wait", text) for text in ("-1", "86401", "nan")),
        *(("changed_fail_under", text) for text in ("-1", "100.1", "5%%")),
        *(("on_partial", text) for text in ("fail", "")),
        ("flag_name", "caf\udce9"),
        *(
            ("repo_token", text)
            for text in ("two words", "two\nlines", "caf\xe9-caf\xe9", "x" * 7, "x" * 4097)
        ),
    ],
)
def test_anything_else_is_a_value_error(name: str, text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the caller says what is expected
        OPTIONS[name].parser.parse(text)


@pytest.mark.parametrize("length", [8, 4096])
def test_a_token_is_a_secret(length: int) -> None:
    token = OPTIONS["gitlab_token"].parser.parse("x" * length)

    assert (token.reveal(), str(token)) == ("x" * length, "[secret]")


@given(st.text() | st.from_regex(ADDRESS, fullmatch=True))
def test_any_text_is_a_base_url_or_refused(text: str) -> None:
    parse = OPTIONS["host"].parser.parse
    with contextlib.suppress(ValueError):
        url = parse(text)
        assert url.startswith(("http://", "https://"))
        assert not set(url) & set("@?#\\ \n")
        assert parse(url) == url


def test_the_help_is_short(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    ours = pytester.runpytest_subprocess("--help", "-p", "pytest_coveralls_submit.plugin").outlines
    without = pytester.runpytest_subprocess("--help").outlines

    flags = [line.split()[0].split("=")[0].strip(",") for line in ours if "--coveralls-" in line]

    assert len(ours) - len(without) <= 110
    assert flags == [option.flag for option in OPTIONS.values() if option.in_help]
    assert {name for name, option in OPTIONS.items() if option.in_help} == DESCRIBED
    assert sum("docs/settings.md" in line for line in ours) == 1
    for option in OPTIONS.values():
        assert (f"  {option.ini} (string):" in ours) == option.in_files
        assert len(option.help) <= 56, "it takes two lines of the help"
