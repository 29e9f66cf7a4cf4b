"""Secrets are shown nowhere, however somebody looks at them."""

from __future__ import annotations

import json
import pprint
import string
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pytest_coveralls_submit.secret import HIDDEN, Environment, Secret, redact, redacted

TOKEN = "c0ffee11hunter22c0ffee"
TOKENS = st.text(string.ascii_letters + string.digits + "-_./+=%&\"'\\", min_size=8)
SPELLINGS = st.sampled_from([str, lambda t: json.dumps(t)[1:-1], lambda t: quote(t, safe="")])


@dataclass(frozen=True)
class Holder:
    """Hold a secret, or a text that quotes one."""

    held: object


@pytest.mark.parametrize(
    "show",
    [
        repr,
        "{}".format,
        lambda secret: pprint.pformat({"a": [secret, Holder(secret)]}),
        lambda secret: repr(secret.reveal) + repr(secret._reveal),
        lambda secret: repr([Environment({"A": secret.reveal()})]),
    ],
)
def test_a_secret_is_not_shown(show: Callable[[Secret], str]) -> None:
    assert TOKEN not in show(Secret(TOKEN))


@given(secret=TOKENS, before=st.text(), after=st.text(), spell=SPELLINGS)
@example(secret="abcabcabcabc", before="abc", after="abc", spell=str)
def test_no_output_holds_a_secret(
    secret: str, before: str, after: str, spell: Callable[[str], str]
) -> None:
    assume(HIDDEN not in spell(secret))
    shown = redact(before + spell(secret) + after, [Secret(secret)])

    assert spell(secret) not in shown
    assert HIDDEN in shown


def test_a_secret_inside_another_leaves_no_rest() -> None:
    secrets = [Secret("glpat-12345678"), Secret("glpat-12345678-rest")]

    assert redact("x glpat-12345678-rest y", secrets) == "x [secret] y"


def test_a_short_value_is_not_redacted() -> None:
    assert redact("3 tests failed", [Secret("test")]) == "3 tests failed"


def test_outcomes_are_redacted_to_the_last_field() -> None:
    made = redacted(Holder((f"a {TOKEN}", Holder(TOKEN), 3)), [Secret(TOKEN)])

    assert made == Holder(("a [secret]", Holder("[secret]"), 3))
