"""Secrets are shown nowhere, however somebody looks at them."""

from __future__ import annotations

import copy
import json
import pickle
import pprint
import string
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pytest_coveralls_submit.secret import HIDDEN, Environment, Secret, redact, redacted

TOKEN = "c0ffee11hunter22c0ffee"
TOKENS = st.text(string.ascii_letters + string.digits + "-_./+=%&\"'\\", min_size=8)


@dataclass(frozen=True)
class Holder:
    """Hold a secret, or a text that quotes one."""

    held: object


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        "{}".format,
        "{!r:>40}".format,
        lambda secret: f"{secret!r} {secret!s} {[secret]} {Holder(secret)}",
        lambda secret: pprint.pformat({"a": [secret, Holder(secret)]}),
        lambda secret: repr(secret.reveal) + repr(secret._reveal),
        lambda secret: json.dumps({"a": secret}, default=str),
        lambda secret: repr([Environment({"A": secret.reveal()})]),
        lambda secret: repr(copy.deepcopy(Environment({"A": secret.reveal()}))),
    ],
)
def test_a_secret_is_not_shown(show: Callable[[Secret], str]) -> None:
    assert TOKEN not in show(Secret(TOKEN))


def test_a_mark_shows_that_something_is_hidden() -> None:
    assert f"{Secret(TOKEN)}" == HIDDEN
    assert repr(Environment({"A": "1", "B": "2"})) == "<environment of 2 variables>"


@pytest.mark.parametrize("spec", ["s", ">40", ".3"])
def test_a_format_shows_no_part_of_it(spec: str) -> None:
    with pytest.raises(TypeError) as caught:
        format(Secret(TOKEN), spec)

    assert TOKEN[:3] not in str(caught.value)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps, vars])
def test_a_secret_cannot_be_copied_or_listed(duplicate: Callable[[Secret], object]) -> None:
    with pytest.raises(TypeError):
        duplicate(Secret(TOKEN))


def test_reveal_returns_the_text() -> None:
    assert Secret(TOKEN).reveal() == TOKEN


def test_a_traceback_with_locals_does_not_show_it(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import os\n"
        "from pytest_coveralls_submit.secret import Environment, Secret\n"
        "def test_it():\n"
        "    secret = Secret(os.environ['CANARY'])\n"
        "    held = [secret, {'a': Environment(os.environ)}, secret.reveal]\n"
        "    assert secret == held\n"
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
    assert "held       = [[secret]," in result.stdout
    assert TOKEN not in result.stdout


@given(
    secret=TOKENS,
    before=st.text(),
    after=st.text(),
    spell=st.sampled_from([str, lambda text: json.dumps(text)[1:-1], lambda t: quote(t, safe="")]),
)
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
