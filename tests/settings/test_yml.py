"""``.coveralls.yml``: its keys, its shapes, and what is said where it cannot be read."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import pytest

from pytest_coveralls_submit.errors import SettingsError
from pytest_coveralls_submit.settings import coveralls_yml as yml
from pytest_coveralls_submit.settings.origin import Origin
from pytest_coveralls_submit.settings.resolve import Text

MORE = "holds something else than a text or a flat list of texts"
LAUGHS = "a: &a [ha]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in pairwise("abcdefghi")
)


@pytest.fixture(autouse=True)
def needs_yaml() -> None:
    """The extra is installed where the tests run."""
    pytest.importorskip("yaml")


def write(folder: Path, text: str) -> Path:
    """Write the file."""
    path = folder / ".coveralls.yml"
    path.write_text(text, "utf-8")
    return path


def test_a_project_without_the_file_has_nothing_to_tell(tmp_path: Path) -> None:
    """Neither a setting nor a notice."""
    assert yml.texts(tmp_path) == ({}, [])


def test_keys_are_settings_and_remember_where_they_stand(tmp_path: Path) -> None:
    """Each text has its source, and the directory that paths are relative to."""
    path = write(tmp_path, "service_name: my-ci\nparallel: true\nretries: 3\n")

    texts, notices = yml.texts(tmp_path)

    assert texts == {
        "service_name": Text("my-ci", Origin("yml", "service_name", path), tmp_path),
        "parallel": Text("true", Origin("yml", "parallel", path), tmp_path),
        "retries": Text("3", Origin("yml", "retries", path), tmp_path),
    }
    assert notices == []


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("endpoint", "host"),
        ("coveralls_host", "host"),
        ("repo_secret_token", "repo_token"),
        ("repo_token", "repo_token"),
    ],
)
def test_keys_of_other_clients_mean_the_same(tmp_path: Path, key: str, name: str) -> None:
    """A file written for coveralls-python or coverage-reporter is read as it is."""
    path = write(tmp_path, f"{key}: value\n")

    texts, notices = yml.texts(tmp_path)

    assert texts == {name: Text("value", Origin("yml", key, path), tmp_path)}
    assert notices == []


def test_a_list_is_its_members(tmp_path: Path) -> None:
    """Files to merge and flags to carry forward are written as lists."""
    write(tmp_path, "merge: [js.json, go.json]\ncarryforward:\n  - unit\n  - web\n")

    texts, _ = yml.texts(tmp_path)

    assert {name: text.text for name, text in texts.items()} == {
        "merge": "js.json,go.json",
        "carryforward": "unit,web",
    }


def test_a_key_without_a_value_is_unset(tmp_path: Path) -> None:
    """``repo_token:`` with nothing behind it is no token called None."""
    write(tmp_path, "repo_token:\nservice_name: ~\n")

    assert yml.texts(tmp_path) == ({}, [])


@pytest.mark.parametrize("key", ["paralel", "gitlab_token", "2024", "true"])
def test_an_unknown_key_is_told_and_stops_nothing(tmp_path: Path, key: str) -> None:
    """A misspelt key has no effect; that must be seen."""
    write(tmp_path, f"{key}: x\nretries: 1\n")

    texts, notices = yml.texts(tmp_path)

    assert list(texts) == ["retries"]
    assert notices == [f"{key} in .coveralls.yml is no setting"]


@pytest.mark.parametrize("content", ["", "# nothing yet\n", "---\n", "~\n"])
def test_an_empty_file_gives_no_settings(tmp_path: Path, content: str) -> None:
    """As if it were not there."""
    write(tmp_path, content)

    assert yml.texts(tmp_path) == ({}, [])


@pytest.mark.parametrize("content", ["- a\n- b\n", "just text\n", "42\n", "false\n", "[]\n"])
def test_a_file_of_another_shape_is_an_error(tmp_path: Path, content: str) -> None:
    """It holds keys and values or it is a mistake."""
    path = write(tmp_path, content)

    with pytest.raises(SettingsError) as caught:
        yml.texts(tmp_path)

    assert str(caught.value) == f"{path} cannot be read: it does not hold keys and values"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("0042", "0042"),
        ("3.10", "3.10"),
        ("'~'", "~"),
        ("2026-02-18T00:52:48Z", "2026-02-18T00:52:48Z"),
    ],
)
def test_a_value_is_the_text_that_stands_there(tmp_path: Path, text: str, read: str) -> None:
    """No number, date or null is made of what was written as a name."""
    write(tmp_path, f"flag_name: {text}\n")

    assert yml.texts(tmp_path)[0]["flag_name"].text == read


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        *(
            (content, "it is no YAML, see line 1")
            for content in ("a: [1", "a: b: c", "\ta: 1", "&")
        ),
        ('repo_token: "s3cret-t0ken\n', "it is no YAML, see line 2"),
        ("repo_token: !s3cret!t0ken x\n", "it is no YAML, see line 1"),
        ("a: \0\n", "it is no YAML"),
        ("a: {s3cret: 1}\n", f"line 1 {MORE}"),
        ("a: b\nc: [1, [s3cret]]\n", f"line 2 {MORE}"),
        ("? [a]\n: b\n", f"line 1 {MORE}"),
        ("a: &s3cret [1]\nb: *s3cret\n", f"line 2 {MORE}"),
        ("service_name: !!python/object/apply:os.getcwd []\n", f"line 1 {MORE}"),
        ("service_name: !!python/name:os.getcwd\n", f"line 1 {MORE}"),
        ("!!python/none x\n", f"line 1 {MORE}"),
        ("a: b\n---\na: c\n", "it holds more than one document"),
        pytest.param("a: b\n" * 20_000, "it is larger than 64 KiB", id="large"),
        pytest.param("a: " + "[" * 60_000, f"line 1 {MORE}", id="deep"),
        pytest.param(LAUGHS, f"line 2 {MORE}", id="laughs"),
    ],
)
def test_what_is_no_key_with_a_text_or_flat_list_stops_with_its_line(
    tmp_path: Path, content: str, problem: str
) -> None:
    """Soon, whatever a repository brings, running nothing of it and quoting nothing."""
    path = write(tmp_path, content)

    with pytest.raises(SettingsError) as caught:
        yml.texts(tmp_path)

    assert str(caught.value) == f"{path} cannot be read: {problem}"


def test_a_file_in_another_encoding_is_an_error(tmp_path: Path) -> None:
    """YAML is UTF-8 here."""
    (tmp_path / ".coveralls.yml").write_bytes(b"service_name: caf\xe9\n")

    with pytest.raises(SettingsError, match="it is not UTF-8"):
        yml.texts(tmp_path)


@pytest.mark.parametrize("target", [".", "/dev/zero"])
def test_what_is_no_regular_file_is_not_read(tmp_path: Path, target: str) -> None:
    """A directory, or a link to what never ends."""
    if not Path(target).exists():
        pytest.skip("this system has no such file")
    (tmp_path / ".coveralls.yml").symlink_to(target)

    with pytest.raises(SettingsError, match="it is no regular file"):
        yml.texts(tmp_path)


def test_without_the_extra_the_file_is_not_read_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyYAML is an extra; a project with the file is told how to get it."""
    write(tmp_path, "service_name: my-ci\n")
    monkeypatch.setitem(sys.modules, "yaml", None)

    assert yml.texts(tmp_path) == (
        {},
        [".coveralls.yml is not read: pip install pytest-coveralls-submit[yaml]"],
    )


def test_without_the_extra_and_without_the_file_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most projects need neither."""
    monkeypatch.setitem(sys.modules, "yaml", None)

    assert yml.texts(tmp_path) == ({}, [])
