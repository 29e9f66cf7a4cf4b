"""Values that must not be shown, however somebody looks at them."""

from __future__ import annotations

import copy
import json
import pickle
import pprint
import string
import subprocess
import sys
import textwrap
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pytest_coveralls_submit.secret import HIDDEN, Environment, Secret, redact

TOKEN = "c0ffee11hunter22c0ffee"


@dataclass
class Holder:
    """Something that has a secret among its fields."""

    name: str
    secret: Secret


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        ascii,
        "{}".format,
        "{!r:>40}".format,
        lambda secret: f"{secret}",
        lambda secret: f"{secret!r} {secret!s}",
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031  people write it
        lambda secret: str([secret, {"a": secret}, (secret,)]),
        lambda secret: repr(Holder("a", secret)),
        lambda secret: pprint.pformat({"a": [secret, Holder("a", secret)]}),
        lambda secret: repr(dir(secret)) + repr(secret.reveal) + repr(secret._reveal),
        lambda secret: json.dumps({"a": secret}, default=str),
        lambda secret: repr(secret.forms()),
    ],
)
def test_a_secret_is_not_shown(show: Callable[[Secret], str]) -> None:
    """repr, str, formatting, containers and dataclasses show a mark in its place."""
    shown = show(Secret(TOKEN))

    assert TOKEN not in shown
    assert shown


def test_what_is_shown_says_that_something_is_hidden() -> None:
    """A reader sees that there is a value."""
    assert f"{Secret(TOKEN)}" == repr(Secret(TOKEN)) == HIDDEN == "[secret]"


@pytest.mark.parametrize("spec", ["s", ">40", ".3", "x"])
def test_a_format_never_shows_a_part(spec: str) -> None:
    """A width or a precision is an error or applies to the mark, never to the value."""
    try:
        shown = format(Secret(TOKEN), spec)
    except TypeError as error:
        shown = str(error)

    assert TOKEN[:3] not in shown


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_is_not_pickled(protocol: int) -> None:
    """Neither into a cache nor to the workers of xdist."""
    with pytest.raises(TypeError, match="not pickled") as caught:
        pickle.dumps(Secret(TOKEN), protocol)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda s: asdict(Holder("a", s))])
def test_a_copy_shows_no_more_than_the_secret(duplicate: Callable[[Secret], object]) -> None:
    """It is refused or it is a secret again."""
    try:
        shown = repr(duplicate(Secret(TOKEN)))
    except TypeError as error:
        shown = "".join(traceback.format_exception(error))

    assert TOKEN not in shown
    assert shown


def test_a_secret_has_no_dictionary_to_list() -> None:
    """``vars`` is what debuggers and error reporters walk through."""
    with pytest.raises(TypeError):
        vars(Secret(TOKEN))


def test_two_secrets_do_not_tell_whether_they_are_the_same() -> None:
    """Comparison is by identity, so that a failed assertion has nothing to explain."""
    assert Secret(TOKEN) != Secret(TOKEN)


def test_the_text_itself_comes_from_reveal_alone() -> None:
    """The few lines that put it on the wire call one method."""
    assert Secret(TOKEN).reveal() == TOKEN


def test_a_traceback_with_locals_does_not_show_it(tmp_path: Path) -> None:
    """``pytest -l -vv --full-trace`` lists secret, holder and environment, and no value."""
    (tmp_path / "test_it.py").write_text(
        textwrap.dedent(
            """
            import os
            from dataclasses import dataclass
            from pytest_coveralls_submit.secret import Environment, Secret

            @dataclass
            class Holder:
                secret: Secret
                env: Environment

            def test_it():
                secret = Secret(os.environ["CANARY"])
                env = Environment(os.environ)
                holder = Holder(secret, env)
                several = [secret, {"a": env, "b": holder}]
                method = secret.reveal
                assert secret == holder
            """
        )
    )
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-l", "-vv", "--full-trace", "--tb=long", "test_it.py"],
        cwd=tmp_path,
        env={"CANARY": TOKEN, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert "1 failed" in result.stdout
    assert "holder     = Holder(secret=[secret], env=<environment of " in result.stdout
    assert TOKEN not in result.stdout


# --- the environment -------------------------------------------------------------------------


def test_an_environment_shows_how_many_variables_it_has() -> None:
    """Names and values are nobody's business: values may be secrets that nobody told us of."""
    env = Environment({"COVERALLS_REPO_TOKEN": TOKEN, "PATH": "/bin"})

    assert env["COVERALLS_REPO_TOKEN"] == TOKEN
    assert repr(env) == str(env) == f"{env}" == "<environment of 2 variables>"
    assert TOKEN not in pprint.pformat([env]) + repr({"a": env}) + repr((env,))


def test_a_copy_of_an_environment_shows_no_more() -> None:
    """A snapshot of a snapshot is one too."""
    env = Environment(A=TOKEN)
    for again in (copy.copy(env), copy.deepcopy(env), Environment(env)):
        assert again == env
        assert TOKEN not in repr(again)


# --- redaction -------------------------------------------------------------------------------

LETTERS = st.characters(exclude_categories=["Cs"])
# A secret that is made of the mark's own letters could be put together by the marks.
SECRETS = st.text(LETTERS, min_size=8).filter(lambda text: HIDDEN not in text * 2)
TOKENS = st.text(string.ascii_letters + string.digits + "-_./+=%&\"'\\ ", min_size=8)
SURROUNDINGS = st.text(LETTERS)


def in_json(text: str) -> str:
    """As it stands in a JSON text."""
    return json.dumps(text)[1:-1]


def in_readable_json(text: str) -> str:
    """As it stands in a JSON text that is not escaped to ASCII."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def in_url(text: str) -> str:
    """As it stands in a URL."""
    return quote(text, safe="")


def in_form(text: str) -> str:
    """As it stands in a form."""
    return quote_plus(text)


FORMS = (str, in_json, in_readable_json, in_url, in_form)


@given(
    secret=SECRETS | TOKENS, before=SURROUNDINGS, after=SURROUNDINGS, form=st.sampled_from(FORMS)
)
@example(secret="abcabcabcabc", before="abc", after="abc", form=str)
@example(secret='quote" and \\', before="\\", after='"', form=in_json)
@example(secret="a/b+c=d&e%20f", before="%", after="20", form=in_url)
@example(secret="t\u00f6k\u00ebn-\u4e2d\u6587", before="\\", after="u", form=in_json)
def test_no_output_holds_a_secret(
    secret: str, before: str, after: str, form: Callable[[str], str]
) -> None:
    """Whatever stands around it, plain, JSON-escaped or URL-quoted."""
    assume(HIDDEN not in form(secret))
    shown = redact(before + form(secret) + after, [Secret(secret)])

    assert form(secret) not in shown
    assert HIDDEN in shown


@given(secrets=st.lists(TOKENS, min_size=2, max_size=4), glue=st.text(LETTERS, max_size=5))
def test_several_secrets_are_all_hidden(secrets: list[str], glue: str) -> None:
    """One may be the start of another: the longest goes first."""
    shown = redact(glue.join(secrets), [Secret(secret) for secret in secrets])

    assert all(secret not in shown for secret in secrets)


def test_a_secret_inside_of_another_leaves_no_rest() -> None:
    """The shorter one must not cut the longer one into a readable rest."""
    shown = redact(
        "x glpat-12345678-rest y", [Secret("glpat-12345678"), Secret("glpat-12345678-rest")]
    )

    assert shown == "x [secret] y"


@given(text=SURROUNDINGS, secret=SECRETS)
def test_text_without_the_secret_stays_as_it_is(text: str, secret: str) -> None:
    """Redaction changes nothing else."""
    assume(all(form(secret) not in text for form in FORMS))

    assert redact(text, [Secret(secret)]) == text
    assert redact(text, []) == text


def test_each_occurrence_is_hidden() -> None:
    """Not the first alone."""
    assert redact(f"{TOKEN} {TOKEN}{TOKEN}", [Secret(TOKEN)]) == "[secret] [secret][secret]"


@pytest.mark.parametrize("quoted", ["a%2fb%2bc%3dd12", "a%2Fb%2Bc%3Dd12"])
def test_a_url_may_be_quoted_in_small_letters(quoted: str) -> None:
    """``%2f`` and ``%2F`` are the same."""
    assert "b%2" not in redact(f"https://example.org/?x={quoted}", [Secret("a/b+c=d12")])


def test_json_may_escape_slashes_too() -> None:
    r"""PHP writes ``\/``; both spellings are the same text."""
    assert "12345678" not in redact(r'"a\/12345678"', [Secret("a/12345678")])
