"""The small rules about texts from outside, each as a table."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_coveralls_submit.text import (
    commit_id,
    count_of,
    escaped,
    is_loopback,
    is_unicode,
    json_object,
    one_line,
    public_url,
    shorten_list,
)

SECRET = "s3cr3t-t0ken"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("c0ffee0" * 5 + "c0ffe", "c0ffee0" * 5 + "c0ffe"),
        (" C0FFEE0\n", "c0ffee0"),
        ("f" * 64, "f" * 64),
        *((text, None) for text in (None, "", "HEAD", "main", "--all", "c0ffee", "f" * 65)),
        *((text, None) for text in ("0" * 7, "0" * 40, "c0ffee0^", "c0ffee0 c0ffee0")),
    ],
)
def test_a_commits_id_is_hexadecimal(text: str | None, shown: str | None) -> None:
    assert commit_id(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü", "plain ü"),
        ("\x1b[31mred\r\n", "\\x1b[31mred\\r\\n"),
        ("\u202egnp", "\\u202egnp"),
        ("::error::x", ":\\:error::x"),
        ("  ::error::x", "  :\\:error::x"),
        ("a::b", "a::b"),
        ("x ##vso[task]", "x #\\#vso[task]"),
        ("##[error]", "#\\#[error]"),
        ("##teamcity[x]", "#\\#teamcity[x]"),
        ("## title", "## title"),
    ],
)
def test_what_is_printed_commands_nobody(text: str, shown: str) -> None:
    assert escaped(text) == shown


@pytest.mark.parametrize(
    ("host", "is_this_machine"),
    [
        *((host, True) for host in ("localhost", "127.0.0.1", "127.9.9.9", "::1")),
        *((host, False) for host in ("", "10.0.0.1", "localhost.example", "coveralls.io", "::2")),
    ],
)
def test_this_machine_has_few_names(host: str, is_this_machine: bool) -> None:
    assert is_loopback(host) is is_this_machine


@pytest.mark.parametrize("text", ["", "[]", "7", "null", "<html>", '{"a": 1', "[" * 100_000])
def test_what_is_no_json_object_is_none(text: str) -> None:
    assert json_object(text) is None
    assert json_object(' {"a": [1]} ') == {"a": [1]}


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ValueError("two\n  lines"), "ValueError: two lines"),
        (KeyError("a"), "KeyError: 'a'"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_an_error_fits_on_a_line(error: Exception, shown: str) -> None:
    assert one_line(error) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://github.com/o/r.git", "https://github.com/o/r.git"),
        ("https://user:pw@github.com/o/r.git", "https://github.com/o/r.git"),
        ("https://pat@github.com/o/r.git", "https://github.com/o/r.git"),
        ("HTTPS://:pw@github.com/o/r.git", "HTTPS://github.com/o/r.git"),
        ("http://u:p@host:8080/o/r?token=x#y", "http://host:8080/o/r"),
        ("https://u:p@[::1]:8080/o/r", "https://[::1]:8080/o/r"),
        ("https://u:p@ss@host/r", "https://host/r"),
        ("https://dev.azure.com/o/My Project/_git/r", "https://dev.azure.com/o/My Project/_git/r"),
        (" https://u:p@host/r\n", "https://host/r"),
        ("ssh://git@github.com/o/r.git", "ssh://git@github.com/o/r.git"),
        ("git+ssh://git@host:22/r", "git+ssh://git@host:22/r"),
        ("ssh://git:pw@github.com/o/r.git", "ssh://github.com/o/r.git"),
        ("ssh://git%3Apw@github.com/o/r.git", "ssh://github.com/o/r.git"),
        ("ftp://u:p@host/r", "ftp://host/r"),
        ("git://host/r", "git://host/r"),
        ("git@github.com:o/r.git", "git@github.com:o/r.git"),
        ("github.com:o/r.git?x", "github.com:o/r.git"),
        ("file:///srv/r.git", "file:///srv/r.git"),
        *((path, path) for path in ("/srv/r.git", r"C:\srv\r", "../r.git", "r.git", "")),
        # Not plainly free of secrets:
        *((url, "") for url in ("https://u:p/a@host/r", "https://u:1/a@host/r")),
        *((url, "") for url in ("https://u:p#a@host/r?x", "https://tok?en@host/r")),
        *((url, "") for url in ("https://host/@scope/r", "/home/me@x/r.git", "https://u:p")),
        *((url, "") for url in ("u:p@github.com:o/r.git", "not a url://u:p@host", "https://a\nb")),
        *((url, "") for url in ("ext::sh -c 'x --password p'", "gcrypt::https://u:p@host/r")),
    ],
)
def test_addresses_lose_their_credentials(url: str, shown: str) -> None:
    assert public_url(url) == shown


@settings(deadline=None)
@given(
    scheme=st.sampled_from(["https", "http", "HTTPS", "ftp", "git", "git+https", "gcrypt::https"]),
    user=st.sampled_from(["", "user", "user%40x", SECRET]),
    # What needs no quoting, and what should have been quoted.
    noise=st.text() | st.text(alphabet=":@%&=+;,!$'()*[]~/?#1\\"),
    is_quoted=st.booleans(),
    rest=st.sampled_from(["", "/", "/o/r.git", "/o/r.git?x", "#y", ":8080/o"]),
)
def test_no_password_survives(
    scheme: str, user: str, noise: str, is_quoted: bool, rest: str
) -> None:
    before, after = quote(noise, safe="") if is_quoted else noise, rest
    for password in (f"{SECRET}{before}", f"{before}{SECRET}"):
        shown = public_url(f"{scheme}://{user}:{password}@host.example{after}")
        assert SECRET not in shown
        assert "host.example" in shown or not is_quoted or "::" in scheme
    assert SECRET not in public_url(f"{scheme}://host/p?t={noise}{SECRET}")


def test_counts_and_lists_are_english_and_names_unicode() -> None:
    assert [count_of(n, "file") for n in (0, 1, 5000)] == ["0 files", "1 file", "5,000 files"]
    assert shorten_list(["b", "a"]) == "b, a"
    assert shorten_list("hgfedcba", 2) == "h, g and 6 more"
    assert [is_unicode(name) for name in ("é.py", "a\udc80.py")] == [True, False]
