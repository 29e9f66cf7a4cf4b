"""The sources of settings: which one wins, what a message says, where a token may be."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_coveralls_submit.errors import SettingsError
from pytest_coveralls_submit.secret import Environment, Secret
from pytest_coveralls_submit.settings import table
from pytest_coveralls_submit.settings.sources import from_variables, gather, read_yml, resolve
from pytest_coveralls_submit.settings.table import OPTIONS, Parser, Settings

# Parser -> a text that it accepts, and its value; a Path is relative to the text's folder.
ACCEPTED: Mapping[Parser, tuple[str, object]] = {
    table.TEXT: ("any text", "any text"),
    table.BASE_URL: ("cov.example.com/prefix/", "https://cov.example.com/prefix"),
    table.TOKEN: ("t0ken-of-a-test", "t0ken-of-a-test"),
    table.LINK: ("https://ci/b/42", "https://ci/b/42"),
    table.PULL_REQUEST: ("https://github.com/o/r/pull/17", "17"),
    table.COMMIT: ("5E837CC", "5e837cc"),
    table.TIME: ("2026-02-18T00:52:48+01:00", "2026-02-18T00:52:48+01:00"),
    table.SECONDS: ("0.5", 0.5),
    table.WAIT: ("20", 20.0),
    table.PERCENT: ("87.5%", 87.5),
    table.RETRIES: ("7", 7),
    table.PATH: ("a.txt", Path("a.txt")),
    table.PATHS: ("a.txt, b.txt", (Path("a.txt"), Path("b.txt"))),
    OPTIONS["on_partial"].parser: ("Skip", "skip"),
    OPTIONS["on_failure"].parser: ("skip", "skip"),
}
SAMPLES = {
    name: ("no", False) if option.default is True else ACCEPTED.get(option.parser, ("Yes", True))
    for name, option in OPTIONS.items()
}
IN_FILE = "t0ken-in-the-file"


@pytest.fixture
def folder(pytester: pytest.Pytester) -> Path:
    """Return a directory with the files that the sample texts name."""
    for name in ("a.txt", "b.txt"):
        (pytester.path / name).write_text(f"{IN_FILE}\n")
    return pytester.path


def settings_of(
    pytester: pytest.Pytester, *arguments: str, env: Mapping[str, str] | None = None
) -> Settings:
    """Return the settings of a pytest run that starts with ``arguments``."""
    config = pytester.parseconfig("-p", "no:cacheprovider", *arguments)
    return gather(config, config.option, Environment(env or {}))


def of_variables(**texts: str) -> Settings:
    """Return the settings of a variable each, relative to the current directory."""
    variables = {f"COVERALLS_{name.upper()}": text for name, text in texts.items()}
    return resolve(from_variables(variables, Path.cwd()))


def error_of(**texts: str) -> str:
    """Return the message for variables that cannot be used."""
    with pytest.raises(SettingsError) as caught:
        of_variables(**texts)
    return str(caught.value)


def plain(value: Any, folder: Path) -> object:
    """Return a value that compares: secrets revealed, paths relative to ``folder``."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Path):
        return value.relative_to(folder)
    return tuple(plain(one, folder) for one in value) if isinstance(value, tuple) else value


def set_in(settings: Settings, folder: Path) -> dict[str, object]:
    """Return each setting that somebody set, by name."""
    return {name: plain(getattr(settings, name), folder) for name in settings.origins}


def labels(settings: Settings) -> dict[str, str]:
    """Return where each setting comes from, as messages say it."""
    return {name: str(origin) for name, origin in settings.origins.items()}


def token_of(settings: Settings) -> str | None:
    """Return the token that Coveralls would get."""
    return settings.repo_token.reveal() if settings.repo_token else None


def typed(name: str) -> str:
    """Return the flag that gives a setting its sample."""
    (text, value), flag = SAMPLES[name], OPTIONS[name].flag
    if isinstance(value, bool):
        return flag if value else flag.replace("--", "--no-", 1)
    return f"{flag}={text}"


# Source -> the settings that it cannot hold, and the name of one that it can.
SOURCES: Mapping[str, tuple[set[str], str]] = {
    "flag": ({"repo_token", "gitlab_token"}, "--coveralls-retries"),
    "variable": (set(), "COVERALLS_RETRIES"),
    "ini": ({"gitlab_token"}, "coveralls_retries in tox.ini"),
    "yml": ({"gitlab_token", "repo_token_file"}, "retries in .coveralls.yml"),
}


@pytest.mark.parametrize("source", SOURCES)
def test_every_setting_is_read(pytester: pytest.Pytester, folder: Path, source: str) -> None:
    missing, label = SOURCES[source]
    texts = {name: text for name, (text, _) in SAMPLES.items() if name not in missing}
    expected = {name: SAMPLES[name][1] for name in texts}
    arguments, env = [], {}
    if source == "flag":
        arguments = [typed(name) for name in texts]
    elif source == "variable":
        env = {f"COVERALLS_{name.upper()}": text for name, text in texts.items()}
    elif source == "ini":
        lines = [f"coveralls_{name} = {text}" for name, text in texts.items()]
        pytester.makeini("\n".join(["[pytest]", *lines]))
    else:
        pytest.importorskip("yaml")
        lines = [f"{name}: '{text}'" for name, text in texts.items()]
        (folder / ".coveralls.yml").write_text("\n".join(lines))
    if source in {"flag", "ini"}:
        expected["repo_token"] = IN_FILE  # the token file comes before the ini file

    settings = settings_of(pytester, *arguments, env=env)

    assert set_in(settings, folder) == expected
    assert labels(settings)["retries"] == label
    assert settings.notices == ()


@pytest.mark.parametrize("name", [name for name, option in OPTIONS.items() if option.also])
def test_names_that_other_clients_use_are_read_too(name: str) -> None:
    text, value = SAMPLES[name]
    own, also = OPTIONS[name].variables

    settings = resolve(from_variables({also: text, own: " "}, Path()))
    assert plain(getattr(settings, name), Path()) == value
    assert labels(resolve(from_variables({also: "11111111", own: text}, Path()))) == {name: own}


@pytest.mark.skipif(pytest.version_tuple < (9,), reason="pytest 9 brought the table")
def test_pytests_native_toml_may_hold_other_types(pytester: pytest.Pytester, folder: Path) -> None:
    pytester.makepyprojecttoml(
        """
        [tool.pytest]
        coveralls_retries = 3
        coveralls_deadline = 1.5
        coveralls_compress = false
        coveralls_merge = ["a.txt", "b.txt"]
        """
    )

    settings = settings_of(pytester)

    assert set_in(settings, folder) == {
        "retries": 3,
        "deadline": 1.5,
        "compress": False,
        "merge": (Path("a.txt"), Path("b.txt")),
    }
    assert labels(settings)["compress"] == "coveralls_compress in pyproject.toml"


def test_an_overridden_ini_key_is_a_flag(pytester: pytest.Pytester) -> None:
    origin = settings_of(pytester, "-ocoveralls_host=x.example").origins["host"]

    assert (origin.kind, str(origin)) == ("flag", "-o coveralls_host")


def test_the_strongest_source_wins(pytester: pytest.Pytester) -> None:
    pytest.importorskip("yaml")
    flag, env = "--coveralls-service-number=flag", {"COVERALLS_SERVICE_NUMBER": "variable"}
    yml = pytester.path / ".coveralls.yml"
    yml.write_text("service_number: yml\n")
    ini = pytester.makeini("[pytest]\ncoveralls_service_number = ini\n")

    assert settings_of(pytester, flag, env=env).service_number == "flag"
    assert settings_of(pytester, env=env).service_number == "variable"
    assert settings_of(pytester).service_number == "ini"
    ini.write_text("[pytest]\n")
    assert settings_of(pytester).service_number == "yml"
    yml.unlink()
    assert settings_of(pytester).service_number is None


def test_blank_means_unset(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\ncoveralls_service_number = ini\ncoveralls_retries =\n")
    env = {"COVERALLS_SERVICE_NUMBER": " \t", "COVERALLS_COMMIT_SHA": " 5e837cc\n"}

    settings = settings_of(pytester, "--coveralls-service-number=", env=env)

    assert labels(settings) == {
        "service_number": "coveralls_service_number in tox.ini",
        "commit_sha": "COVERALLS_COMMIT_SHA",
    }
    assert (settings.service_number, settings.retries) == ("ini", 2)
    assert settings.commit_sha == "5e837cc"


@pytest.mark.parametrize(
    ("flag", "env", "ini", "said"),
    [
        ("--coveralls-retries=x", {}, "", '--coveralls-retries is "x": expected a whole number'),
        ("-q", {"COVERALLS_RETRIES": "x"}, "", 'COVERALLS_RETRIES is "x": expected a whole number'),
        ("-q", {}, "on_partial = no", 'coveralls_on_partial in tox.ini is "no": expected send, '),
    ],
)
def test_an_error_says_where_the_value_is_and_what_is_expected(
    pytester: pytest.Pytester, flag: str, env: dict[str, str], ini: str, said: str
) -> None:
    pytester.makeini(f"[pytest]\n{ini and 'coveralls_'}{ini}\n")

    with pytest.raises(SettingsError) as caught:
        settings_of(pytester, flag, env=env)

    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "hidden"),
    [
        ({"retries": "s3cret-t0ken"}, "s3c"),
        ({"retries": "9" * 5000}, "9"),
        ({"merge": "js.json,s3cret-t0ken"}, "s3c"),
        ({"host": "http://host/s3cret-t0ken"}, "s3c"),
        ({"host": "https://user:pa55word@host"}, "pa55"),
        ({"service_build_url": "https://user:pa55/word@ci/7"}, "pa55"),
        ({"repo_token": "pa55 word"}, "pa55"),
    ],
)
def test_no_secret_and_no_long_value_is_quoted(wrong: dict[str, str], hidden: str) -> None:
    assert hidden not in error_of(**{"repo_token": "s3cret-t0ken", **wrong})


def test_a_secret_on_the_command_line_is_refused_unquoted(pytester: pytest.Pytester) -> None:
    ended = pytester.runpytest("--coveralls-repo-token=s3cret-t0ken")

    assert ended.ret == pytest.ExitCode.USAGE_ERROR
    ended.stderr.fnmatch_lines(["*--coveralls-repo-token*set COVERALLS_REPO_TOKEN*"])
    assert "s3cret" not in ended.stderr.str() + ended.stdout.str()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("RUN_LOCALLY", " is for other Coveralls clients and not needed here"),
        ("DRYRUN", "; did you mean COVERALLS_DRY_RUN?"),
        ("FLAG", "; did you mean COVERALLS_FLAG_NAME?"),
        ("XYZZY", " is ignored"),
    ],
)
def test_an_unknown_variable_gets_one_line(name: str, hint: str, pytester: pytest.Pytester) -> None:
    others = dict.fromkeys(["PATH", "MY_COVERALLS_X", "COVERAGE_FILE", "COVERALLS_STRICT"], "1")

    (told,) = settings_of(pytester, env={f"COVERALLS_{name}": "1", **others}).notices

    assert told.removeprefix("unknown setting ") == f"COVERALLS_{name}{hint}"


def test_a_path_is_relative_to_its_source(
    pytester: pytest.Pytester, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = pytester.mkdir("below")
    (below / "a.txt").write_text("below")
    pytester.makeini("[pytest]\ncoveralls_ca_bundle = a.txt\n")
    monkeypatch.chdir(below)

    assert settings_of(pytester).ca_bundle == folder / "a.txt"
    assert settings_of(pytester, "--coveralls-ca-bundle=a.txt").ca_bundle == below / "a.txt"


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("ca_bundle", "gone.txt", "there is no file {}/gone.txt"),
        ("merge", ".,gone.txt", "there is no file {}/gone.txt"),
        ("save", " - ", "expected a file name, not a directory or standard output"),
        ("save", ".", "expected a file name, not a directory or standard output"),
        ("save", "gone/job.json", "there is no directory {}/gone"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error(
    name: str, text: str, problem: str, folder: Path
) -> None:
    said = error_of(**{name: text}).replace(os.sep, "/")

    assert said == f"COVERALLS_{name.upper()}: {problem.format(folder.as_posix())}"


@pytest.mark.parametrize("text", [IN_FILE, f" {IN_FILE}\r\n", f"\ufeff{IN_FILE}"])
def test_a_token_file_may_have_space_around_the_token(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text, "utf-8")

    settings = of_variables(repo_token_file=str(tmp_path / "token"))

    assert token_of(settings) == IN_FILE
    assert labels(settings)["repo_token"] == "COVERALLS_REPO_TOKEN_FILE (token)"
    assert settings.origins["repo_token"].file == tmp_path / "token"


@pytest.mark.parametrize("content", [None, "", "test\n"], ids=["missing", "empty", "short"])
@pytest.mark.parametrize("ini", ["", "coveralls_repo_token = t0ken-of-ini\n"])
def test_a_token_file_without_a_token_stops_nothing(
    pytester: pytest.Pytester, content: str | None, ini: str
) -> None:
    pytester.makeini(f"[pytest]\ncoveralls_repo_token_file = a/token\n{ini}")
    if content is not None:
        (pytester.mkdir("a") / "token").write_text(content)

    settings = settings_of(pytester)

    assert token_of(settings) == ("t0ken-of-ini" if ini else None)
    assert len(settings.notices) == 1
    assert all("coveralls_repo_token_file in tox.ini" in line for line in settings.notices)
    assert "a/token" not in str(settings.notices)  # it may be the token itself


def test_a_variable_comes_before_the_token_file(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\ncoveralls_repo_token_file = .\n")

    settings = settings_of(pytester, env={"COVERALLS_REPO_TOKEN": "t0ken-of-variable"})

    assert token_of(settings) == "t0ken-of-variable"
    assert settings.notices == ()


@pytest.mark.parametrize("name", ["repo_token", "gitlab_token"])
def test_a_short_token_counts_as_none(name: str) -> None:
    settings = of_variables(**{name: "test"})

    assert settings.secrets == ()
    (notice,) = settings.notices
    assert notice == f"COVERALLS_{name.upper()} is ignored: a token has at least 8 characters"


@pytest.mark.skipif(sys.platform == "win32", reason="such files are POSIX")
@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/dev/zero", ": {} cannot be read: it is not a regular file"),
        ("large", ": {} cannot be read: it is larger than 64 KiB"),
        ("two-lines", " (two-lines): expected one line of 8 to 4,096 visible ASCII characters"),
    ],
)
def test_an_odd_token_file_is_an_error(folder: Path, path: str, problem: str) -> None:
    (folder / "large").write_text("s3cret" + " " * 65536)
    (folder / "two-lines").write_text("s3cret\ns3cret\n")

    said = error_of(repo_token_file=path)

    assert said == "COVERALLS_REPO_TOKEN_FILE" + problem.format(folder / path)


@pytest.mark.parametrize(
    ("host", "skip", "problem"),
    [
        ("http://127.9.9.9", "no", ""),
        ("http://cov.example.com", "yes", ""),
        ("http://cov.example.com", "no", "the token would be sent unencrypted"),
        ("", "yes", "TLS is always verified for coveralls.io"),
        ("www.coveralls.io", "yes", "TLS is always verified for coveralls.io"),
        ("https://coveralls.io./x", "yes", "TLS is always verified for coveralls.io"),
        ("COVERALLS.IO:443", "yes", "TLS is always verified for coveralls.io"),
    ],
)
def test_no_token_is_sent_unsafely_by_accident(host: str, skip: str, problem: str) -> None:
    if problem:
        assert problem in error_of(host=host, skip_ssl_verify=skip)
    else:
        assert of_variables(host=host, skip_ssl_verify=skip).host == host


def from_yml(folder: Path, content: str) -> tuple[dict[str, str], list[str]]:
    """Return what the file sets, and the notices."""
    pytest.importorskip("yaml")
    (folder / ".coveralls.yml").write_text(content, "utf-8")
    found, notices = read_yml(folder)
    return {name: raw.text for name, raw in found.items() if raw.text}, notices


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("endpoint: x", {"host": "x"}),
        ("coveralls_host: x", {"host": "x"}),
        ("repo_secret_token: x", {"repo_token": "x"}),
        ("merge: [a.json, b.json]", {"merge": "a.json,b.json"}),
        ("repo_token:\nservice_name: ~\n", {}),
        ("flag_name: 3.10", {"flag_name": "3.10"}),
        *((text, {}) for text in ("", "# nothing yet\n", "---\n")),
        ("service_name: !!python/object/apply:os.getcwd []\n", {}),
    ],
)
def test_a_yml_file_holds_texts_and_flat_lists(
    tmp_path: Path, content: str, found: dict[str, str]
) -> None:
    assert from_yml(tmp_path, content) == (found, [])


@pytest.mark.parametrize(
    ("key", "hint"),
    [("paralel", "; did you mean parallel?"), ("gitlab_token", ""), ("2024", " is ignored")],
)
def test_an_unknown_key_of_the_yml_file_gets_one_line(tmp_path: Path, key: str, hint: str) -> None:
    found, (notice,) = from_yml(tmp_path, f"{key}: x\nretries: 1\n")

    assert found == {"retries": "1"}
    assert notice.startswith(f"unknown setting {key} in .coveralls.yml{hint}")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        *((text, "it does not hold keys and values") for text in ("- a\n", "just text\n")),
        ('repo_token: "s3cret-t0ken\n', "it is not valid YAML, see line 2"),
        ("a: \0\n", "it is not valid YAML"),
        ("a: [1, [s3cret]]\n", "a is neither text nor a list of texts"),
        pytest.param("a: b\n" * 20_000, "it is larger than 64 KiB", id="large"),
    ],
)
def test_an_odd_yml_file_is_an_error(tmp_path: Path, content: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        from_yml(tmp_path, content)

    assert str(caught.value) == f"{tmp_path / '.coveralls.yml'} cannot be read: {problem}"


def test_without_the_extra_the_yml_file_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert read_yml(tmp_path) == ({}, [])
    (tmp_path / ".coveralls.yml").write_text("service_name: my-ci\n")

    assert read_yml(tmp_path) == (
        {},
        [".coveralls.yml is ignored: pip install pytest-coveralls-submit[yaml]"],
    )
