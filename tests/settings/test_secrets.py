"""Tokens among the settings: where they may stand, what they look like, who quotes none."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_coveralls_submit.errors import SettingsError
from pytest_coveralls_submit.secret import Environment
from pytest_coveralls_submit.settings.origin import Origin
from pytest_coveralls_submit.settings.read import gather
from pytest_coveralls_submit.settings.resolve import Text, resolve, texts_of_variables
from pytest_coveralls_submit.settings.table import Settings

A_TOKEN = "one line of 1 to 4,096 visible ASCII characters"
NO_TOKEN = f"does not hold a token; that is {A_TOKEN}"
TOO_LONG = "cannot be read: it is longer than a token"
NO_FILE = "cannot be read: it is neither a file nor a pipe"


def gathered(pytester: pytest.Pytester, env: Mapping[str, str]) -> Settings:
    """Settings of a pytest run with these variables."""
    config = pytester.parseconfig("-p", "no:cacheprovider")
    return gather(config, config.option, Environment(env))[0]


def of_variables(**texts: str) -> Settings:
    """Resolve settings that environment variables give, relative to the current directory."""
    return resolve(texts_of_variables(texts, Path.cwd()))


# -- token files -------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["t0ken", " t0ken\r\n", "\n\tt0ken", "\ufefft0ken"])
def test_a_token_file_holds_the_token_and_space_around_it(tmp_path: Path, text: str) -> None:
    """Mounted secrets end with a newline, and some editors begin with a mark."""
    path = tmp_path / "token"
    path.write_text(text, "utf-8")

    settings = of_variables(COVERALLS_REPO_TOKEN_FILE=str(path))

    assert settings.repo_token is not None
    assert settings.repo_token.reveal() == "t0ken"
    assert str(settings.origins["repo_token"]) == "COVERALLS_REPO_TOKEN_FILE token"
    assert settings.origins["repo_token"].file == path


def test_an_empty_token_file_leaves_the_word_to_the_ini_file(tmp_path: Path) -> None:
    """A secret that a fork does not get is mounted as an empty file; blank means unset."""
    (tmp_path / "token").write_text("\n")
    ini = {"repo_token": Text("of-ini", Origin("ini", "coveralls_repo_token"), tmp_path)}
    flag = Origin("flag", "--coveralls-repo-token-file")
    flags = {"repo_token_file": Text("token", flag, tmp_path)}

    token = resolve(flags, ini).repo_token

    assert token is not None
    assert token.reveal() == "of-ini"
    assert resolve(flags).repo_token is None


@pytest.mark.skipif(sys.platform == "win32", reason="such files are POSIX")
@pytest.mark.parametrize(
    ("path", "problems"),
    [
        ("/dev/zero", {NO_FILE}),
        ("/dev/null", {NO_FILE}),
        (".", {NO_FILE}),
        ("large", {TOO_LONG}),
        ("two-lines", {NO_TOKEN}),
        ("damaged", {NO_TOKEN}),
        ("/proc/self/environ", {NO_TOKEN, TOO_LONG}),
    ],
)
def test_a_token_file_holds_one_line_and_nothing_else_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, problems: set[str]
) -> None:
    """What a repository's ini file names must not be sent, be endless, or be quoted."""
    if not os.path.lexists(path) and path.startswith("/"):
        pytest.skip("this system has no such file")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "large").write_text("s3cret" + " " * 8192)
    (tmp_path / "two-lines").write_text("s3cret\ns3cret\n")
    (tmp_path / "damaged").write_bytes(b"s3cret\xff\xfe")

    with pytest.raises(SettingsError) as caught:
        of_variables(COVERALLS_REPO_TOKEN_FILE=path)

    start = f"COVERALLS_REPO_TOKEN_FILE: {tmp_path / path} "
    assert str(caught.value).removeprefix(start) in problems


OUTSIDE = r"lies outside of .*, and is not sent to a host that a file names \(coveralls_host in"


@pytest.mark.parametrize(
    ("ini", "yml", "env", "is_sent"),
    [
        ({"repo_token_file": "../.npmrc", "host": "evil.example"}, "", {}, False),
        ({"repo_token_file": "link", "host": "evil.example"}, "", {}, False),
        ({"host": "evil.example"}, "repo_token_file: ../.npmrc", {}, False),
        ({"addopts": "--coveralls-repo-token-file=../.npmrc", "host": "evil.example"}, "", {}, 0),
        ({"repo_token_file": "inside", "host": "own.example"}, "", {}, True),
        ({"repo_token_file": "../.npmrc", "host": "coveralls.io"}, "", {}, True),
        ({"repo_token_file": "../.npmrc"}, "", {}, True),
        ({"repo_token_file": "../.npmrc"}, "", {"COVERALLS_HOST": "own.example"}, True),
        ({"host": "own.example"}, "", {"COVERALLS_REPO_TOKEN_FILE": "../.npmrc"}, True),
    ],
)
def test_files_of_a_repository_alone_do_not_send_a_file_of_the_user_elsewhere(
    pytester: pytest.Pytester, ini: dict[str, str], yml: str, env: dict[str, str], is_sent: bool
) -> None:
    """A line like ``//registry.npmjs.org/:_authToken=...`` looks like a token."""
    root = pytester.mkdir("root")
    (pytester.path / ".npmrc").write_text("s3cret\n")
    (root / "inside").write_text("s3cret\n")
    (root / "link").symlink_to("../.npmrc")
    (root / ".coveralls.yml").write_text(yml)
    keys = (key if key == "addopts" else f"coveralls_{key}" for key in ini)
    text = "\n".join(f"{key} = {value}" for key, value in zip(keys, ini.values(), strict=True))
    (root / "pytest.ini").write_text(f"[pytest]\n{text}\n")
    os.chdir(root)

    if is_sent:
        token = gathered(pytester, env).repo_token
        assert token is not None
        assert token.reveal() == "s3cret"
        return
    with pytest.raises(SettingsError, match=OUTSIDE) as caught:
        gathered(pytester, env)
    assert "s3cret" not in str(caught.value)


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="nothing is forbidden to this user"
)
def test_a_token_file_that_is_forbidden_cannot_be_read(tmp_path: Path) -> None:
    """The error names the origin and the path."""
    path = tmp_path / "token"
    path.write_text("t")
    path.chmod(0)

    with pytest.raises(SettingsError, match="cannot be read"):
        of_variables(COVERALLS_REPO_TOKEN_FILE=str(path))


@pytest.mark.skipif(sys.platform == "win32", reason="pipes have names on POSIX")
@pytest.mark.parametrize("has_name", [True, False])
def test_a_token_may_come_through_a_pipe_that_is_read_once(
    pytester: pytest.Pytester, has_name: bool
) -> None:
    """``<(get-the-token)`` of a shell; a session asks for its settings twice."""
    path, (source, sink) = pytester.path / "pipe", os.pipe()
    os.mkfifo(path)
    os.write(sink, b"t0ken\n")
    os.close(sink)
    writer = threading.Thread(target=path.write_text, args=["t0ken\n"])
    if has_name:
        writer.start()
    file = path if has_name else f"/dev/fd/{source}"
    config = pytester.parseconfig(f"--coveralls-repo-token-file={file}")

    tokens = [gather(config, config.option, Environment())[0].repo_token for _ in range(2)]

    os.close(source)
    assert [token and token.reveal() for token in tokens] == ["t0ken", "t0ken"]


# -- secrets -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["two words", "two\nlines", "caf\xe9", "nul\0", "x" * 4097])
@pytest.mark.parametrize("name", ["repo_token", "gitlab_token"])
def test_what_is_no_token_is_refused_and_not_quoted(name: str, text: str) -> None:
    """Whatever it is, somebody took it for a secret."""
    variable = f"COVERALLS_{name.upper()}"

    with pytest.raises(SettingsError) as caught:
        of_variables(**{variable: text})

    assert str(caught.value) == f"{variable}: it takes {A_TOKEN}"
    assert getattr(of_variables(**{variable: "x" * 4096}), name) is not None


@pytest.mark.parametrize("token", ["s3cret-t0ken", "s3cret" * 60])
def test_a_token_in_place_of_its_file_is_not_quoted(token: str) -> None:
    """COVERALLS_REPO_TOKEN_FILE is easily mistaken, and a long name is no file's."""
    with pytest.raises(SettingsError) as caught:
        of_variables(COVERALLS_REPO_TOKEN_FILE=token)

    assert str(caught.value) == "COVERALLS_REPO_TOKEN_FILE: there is no file of that name"


@pytest.mark.parametrize(
    "wrong",
    [
        {"retries": "s3cret-t0ken"},
        {"retries": "9" * 95 + "s3cret-t0ken"},
        {"retries": "s3cret-of-github"},
        {"merge": "js.json,s3cret-t0ken"},
        {"host": "http://host/s3cret-t0ken"},
        {"save": "gone/s3cret-t0ken/x"},
    ],
)
def test_a_token_in_place_of_another_setting_is_not_quoted(
    pytester: pytest.Pytester, wrong: dict[str, str]
) -> None:
    """What is known to be secret is in no message, not even in part."""
    env = {f"COVERALLS_{name.upper()}": text for name, text in wrong.items()}
    env |= {"COVERALLS_REPO_TOKEN": "s3cret-t0ken", "GITHUB_TOKEN": "s3cret-of-github"}

    with pytest.raises(SettingsError) as caught:
        gathered(pytester, env)

    assert "s3c" not in str(caught.value)


def test_a_link_to_another_projects_settings_sends_its_token_nowhere(
    pytester: pytest.Pytester,
) -> None:
    """Its token is of another repository, and the host of whoever wrote the link."""
    other, root = pytester.mkdir("other"), pytester.mkdir("root")
    (other / ".coveralls.yml").write_text("repo_token: s3cret\n")
    (root / ".coveralls.yml").symlink_to("../other/.coveralls.yml")
    (root / "pytest.ini").write_text("[pytest]\ncoveralls_host = evil.example\n")
    os.chdir(root)

    with pytest.raises(SettingsError, match=OUTSIDE) as caught:
        gathered(pytester, {})
    assert "s3cret" not in str(caught.value)
    assert gathered(pytester, {"COVERALLS_HOST": "own.example"}).repo_token is not None


@pytest.mark.parametrize(
    ("target", "is_refused"),
    [
        ("job.json", False),
        ("sub/job.json", False),
        ("../outside.json", True),
        ("link/outside.json", True),
        (".git/config", True),
    ],
)
@pytest.mark.parametrize("place", ["ini", "yml", "addopts", "variable"])
def test_a_file_of_the_repository_names_no_target_outside_of_it(
    pytester: pytest.Pytester, target: str, is_refused: bool, place: str
) -> None:
    """Who commits it could have any file of the user replaced; what is typed may be anywhere."""
    root = pytester.mkdir("root")
    for name in ("sub", ".git"):
        (root / name).mkdir()
    (root / "link").symlink_to("..")
    key = "addopts = --coveralls-save=" if place == "addopts" else "coveralls_save = "
    (root / "pytest.ini").write_text(f"[pytest]\n{key}{target}\n" * (place in {"ini", "addopts"}))
    (root / ".coveralls.yml").write_text(f"save: {target}\n" if place == "yml" else "")
    os.chdir(root)
    env = {"COVERALLS_SAVE": target} if place == "variable" else {}

    if is_refused and place != "variable":
        with pytest.raises(SettingsError, match="a file may not name such a target"):
            gathered(pytester, env)
    else:
        save = gathered(pytester, env).save
        assert save is not None
        assert save.name == Path(target).name


def test_a_token_of_a_file_is_not_quoted_in_place_of_another_setting(tmp_path: Path) -> None:
    """It is known before the other settings are read."""
    (tmp_path / "token").write_text("s3cret-t0ken")

    with pytest.raises(SettingsError) as caught:
        of_variables(
            COVERALLS_REPO_TOKEN_FILE=str(tmp_path / "token"), COVERALLS_RETRIES="s3cret-t0ken"
        )

    assert str(caught.value).startswith('COVERALLS_RETRIES is "[secret]"')


def test_a_secret_on_the_command_line_is_refused_and_not_quoted(
    pytester: pytest.Pytester,
) -> None:
    """Pytest quotes what it does not know."""
    ended = pytester.runpytest("--coveralls-repo-token=s3cret-t0ken")

    assert ended.ret == pytest.ExitCode.USAGE_ERROR
    ended.stderr.fnmatch_lines(["*--coveralls-repo-token*set COVERALLS_REPO_TOKEN*"])
    assert "s3cret" not in ended.stderr.str() + ended.stdout.str()


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("https://ci.example/7?id=5", "https://ci.example/7?id=5"),
        ("https://user:pa55word@ci.example/7", "https://ci.example/7"),
        ("https://pa55word@ci.example/7?id=5", "https://ci.example/7?id=5"),
        ("https://user:pa55?word@ci.example/7", None),
        ("https://user:pa55/word@ci.example/7", None),
    ],
)
def test_a_link_loses_user_and_password(text: str, link: str | None) -> None:
    """Everybody who sees the build sees the link; what cannot be parted is refused unquoted."""
    if link is not None:
        assert of_variables(COVERALLS_SERVICE_BUILD_URL=text).service_build_url == link
        assert of_variables(COVERALLS_SERVICE_JOB_URL=text).service_job_url == link
        return
    with pytest.raises(SettingsError) as caught:
        of_variables(COVERALLS_SERVICE_BUILD_URL=text)
    assert "pa55" not in str(caught.value)


def test_a_token_variable_beats_the_token_file(tmp_path: Path) -> None:
    """Who sets a variable for one run means this run."""
    (tmp_path / "token").write_text("of-file")

    settings = of_variables(
        COVERALLS_REPO_TOKEN="of-variable", COVERALLS_REPO_TOKEN_FILE=str(tmp_path / "token")
    )

    assert settings.repo_token is not None
    assert settings.repo_token.reveal() == "of-variable"


def test_a_token_is_shown_nowhere(tmp_path: Path) -> None:
    """Settings may stand in a traceback with its locals."""
    settings = of_variables(COVERALLS_REPO_TOKEN="s3cret-t0ken")

    assert "s3cret" not in repr(settings.values) + str(settings.repo_token) + repr(settings)
