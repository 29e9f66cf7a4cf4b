"""The settings: where each may stand, which source wins, what is accepted, what is said if not."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_coveralls_submit.errors import SettingsError
from pytest_coveralls_submit.secret import Environment, Secret
from pytest_coveralls_submit.settings.read import gather
from pytest_coveralls_submit.settings.resolve import (
    Origin,
    Text,
    resolve,
    texts_of_variables,
    unknown_variables,
)
from pytest_coveralls_submit.settings.table import (
    OPTIONS,
    Settings,
    known_variables,
    read_base_url,
    read_boolean,
    read_pull_request,
)
from pytest_coveralls_submit.values import is_loopback

# Setting -> a text that it takes and its value; a Path is relative to where the text stands.
SAMPLES: Mapping[str, tuple[str, object]] = {
    "host": ("cov.example.com/prefix/", "https://cov.example.com/prefix"),
    "repo_token": ("t0ken", "t0ken"),
    "repo_token_file": ("token.txt", Path("token.txt")),
    "service_name": ("my-ci", "my-ci"),
    "service_number": ("0042", "0042"),
    "service_job_id": ("42.1", "42.1"),
    "service_job_number": ("py 3", "py 3"),
    "service_build_url": ("https://ci/b/42", "https://ci/b/42"),
    "service_job_url": ("https://ci/j/1", "https://ci/j/1"),
    "service_attempt": ("2", "2"),
    "service_pull_request": ("https://github.com/o/r/pull/17", "17"),
    "service_branch": ("topic/y", "topic/y"),
    "service_event_type": ("manual", "manual"),
    "commit_sha": ("5E837CC", "5e837cc"),
    "repo_name": ("octo/sample", "octo/sample"),
    "run_at": ("2026-02-18T00:52:48+01:00", "2026-02-18T00:52:48+01:00"),
    "flag_name": ("unit {python}", "unit {python}"),
    "parallel": ("Yes", True),
    "carryforward": ("unit,web", "unit,web"),
    "compare_ref": ("main", "main"),
    "compare_sha": ("abcdef0", "abcdef0"),
    "base_dir": ("backend", "backend"),
    "src_dir": ("services/api", "services/api"),
    "include_source": ("on", True),
    "merge": ("js.json, go.json", (Path("js.json"), Path("go.json"))),
    "dry_run": ("1", True),
    "save": ("job.json", Path("job.json")),
    "strict": ("TRUE", True),
    "allow_empty": ("true", True),
    "on_partial": ("Skip", "skip"),
    "on_failure": ("skip", "skip"),
    "retries": ("7", 7),
    "connect_timeout": ("0.5", 0.5),
    "read_timeout": ("20", 20.0),
    "deadline": ("90", 90.0),
    "ca_bundle": ("ca.pem", Path("ca.pem")),
    "skip_ssl_verify": ("yes", True),
    "compress": ("off", False),
    "changed_lines": ("no", False),
    "changed_fail_under": ("87.5%", 87.5),
    "annotate": ("yes", True),
    "wait": ("0", 0.0),
    "gitlab_status": ("1", True),
    "gitlab_token": ("gl-t0ken", "gl-t0ken"),
}
A_TOKEN = "one line of 1 to 4,096 visible ASCII characters"
NO_TOKEN = f"does not hold a token; that is {A_TOKEN}"
TOO_LONG = "cannot be read: it is longer than a token"
NO_FILE = "cannot be read: it is neither a file nor a pipe"
FILES = ("token.txt", "js.json", "go.json", "ca.pem")


@pytest.fixture
def folder(pytester: pytest.Pytester) -> Path:
    """A directory with the files that the sample texts name."""
    for name in FILES:
        (pytester.path / name).write_text("from-the-file\n")
    return pytester.path


def gathered(
    pytester: pytest.Pytester, *arguments: str, env: Mapping[str, str] | None = None
) -> tuple[Settings, list[str]]:
    """Settings and notices of a pytest run that was started with ``arguments``."""
    config = pytester.parseconfig("-p", "no:cacheprovider", *arguments)
    return gather(config, config.option, Environment(env or {}))


def plain(value: Any, folder: Path) -> object:
    """A value that compares: secrets revealed, paths relative to where their texts stand."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Path):
        return value.relative_to(folder)
    if isinstance(value, tuple):
        return tuple(plain(one, folder) for one in value)
    return value


def set_in(settings: Settings, folder: Path) -> dict[str, object]:
    """Every setting that has a source, by name."""
    return {name: plain(getattr(settings, name), folder) for name in settings.origins}


def shown(settings: Settings) -> dict[str, str]:
    """Where each setting stands, as users are told."""
    return {name: str(origin) for name, origin in settings.origins.items()}


def expected(names: list[str]) -> dict[str, object]:
    """What the sample texts of these settings come to."""
    return {name: SAMPLES[name][1] for name in names}


def of_variables(**texts: str) -> Settings:
    """Resolve settings that environment variables give, relative to the current directory."""
    return resolve(texts_of_variables(texts, Path.cwd()))


# -- the table ---------------------------------------------------------------------------------


def test_flag_ini_key_and_variable_follow_from_the_name() -> None:
    """``base_dir`` is ``--coveralls-base-dir``, ``coveralls_base_dir``, ``COVERALLS_BASE_DIR``."""
    row = OPTIONS["base_dir"]

    assert (row.flag, row.ini, row.variables) == (
        "--coveralls-base-dir",
        "coveralls_base_dir",
        ("COVERALLS_BASE_DIR",),
    )


def test_secrets_have_no_flag() -> None:
    """A command line is seen by every user of a machine, and stands in logs."""
    without = [name for name, option in OPTIONS.items() if "flag" not in option.accepted_from]

    assert without == ["repo_token", "gitlab_token"]


def test_a_boolean_has_a_flag_for_either_value() -> None:
    """``--no-coveralls-compress`` switches off what is on by default."""
    assert [flag for flag, _ in OPTIONS["compress"].arguments()] == [
        "--coveralls-compress",
        "--no-coveralls-compress",
    ]


def test_settings_do_not_change() -> None:
    """What was resolved at session start holds until its end."""
    with pytest.raises(AttributeError, match="settings do not change: retries"):
        Settings().retries = 5


# -- each source -------------------------------------------------------------------------------


def test_every_setting_but_the_secrets_has_a_flag(pytester: pytest.Pytester, folder: Path) -> None:
    """Each flag gives its setting, and is named as its source."""
    names = [name for name in SAMPLES if "token" not in name.split("_") or name.endswith("file")]
    arguments = []
    for name in names:
        text = SAMPLES[name][0]
        if SAMPLES[name][1] is True:
            arguments.append(OPTIONS[name].flag)
        elif SAMPLES[name][1] is False:
            arguments.append(OPTIONS[name].flag.replace("--", "--no-", 1))
        else:
            arguments.append(f"{OPTIONS[name].flag}={text}")

    settings, _ = gathered(pytester, *arguments)

    found = set_in(settings, folder)
    assert found.pop("repo_token") == "from-the-file"
    assert found == expected(names)
    assert all(settings.origins[name] == Origin("flag", OPTIONS[name].flag) for name in names)


def test_every_setting_has_a_variable(pytester: pytest.Pytester, folder: Path) -> None:
    """Each variable gives its setting, and is named as its source."""
    env = {f"COVERALLS_{name.upper()}": SAMPLES[name][0] for name in OPTIONS}

    settings, notices = gathered(pytester, env=env)

    assert set_in(settings, folder) == expected(list(SAMPLES))
    assert shown(settings) == {name: f"COVERALLS_{name.upper()}" for name in SAMPLES}
    assert notices == []


@pytest.mark.parametrize(
    ("name", "variable"), [(name, also) for name, option in OPTIONS.items() for also in option.also]
)
def test_names_that_other_clients_use_are_read_too(name: str, variable: str) -> None:
    """The variables of coveralls-python and coverage-reporter mean the same here."""
    text, value = SAMPLES[name]

    settings = of_variables(**{variable: text})

    assert plain(getattr(settings, name), Path.cwd()) == value
    assert shown(settings) == {name: variable}


@pytest.mark.parametrize("name", [name for name, option in OPTIONS.items() if option.also])
def test_our_own_variable_beats_the_further_one(name: str) -> None:
    """``COVERALLS_HOST`` wins over ``COVERALLS_ENDPOINT``, and so for each pair."""
    own = f"COVERALLS_{name.upper()}"
    (also,) = OPTIONS[name].also

    settings = of_variables(**{also: "11111111", own: SAMPLES[name][0]})

    assert plain(getattr(settings, name), Path.cwd()) == SAMPLES[name][1]
    assert shown(settings) == {name: own}


def test_every_setting_has_an_ini_key(pytester: pytest.Pytester, folder: Path) -> None:
    """All but GitLab's token, which has a variable alone, may stand in the ini file."""
    names = [name for name in SAMPLES if name != "gitlab_token"]
    lines = [f"coveralls_{name} = {SAMPLES[name][0]}" for name in names]
    pytester.makeini("\n".join(["[pytest]", *lines]))

    settings, _ = gathered(pytester)

    found = set_in(settings, folder)
    assert found.pop("repo_token") == "from-the-file"  # a file beats the ini file
    assert found == {name: SAMPLES[name][1] for name in names if name != "repo_token"}
    assert str(settings.origins["retries"]) == "coveralls_retries in tox.ini"


def test_every_setting_may_stand_in_coveralls_yml(pytester: pytest.Pytester, folder: Path) -> None:
    """The keys are the settings' names."""
    names = [name for name in SAMPLES if name not in {"gitlab_token", "repo_token_file"}]
    lines = [f"{name}: '{SAMPLES[name][0]}'" for name in names]
    (folder / ".coveralls.yml").write_text("\n".join(lines))

    settings, notices = gathered(pytester)

    assert set_in(settings, folder) == expected(names)
    assert str(settings.origins["retries"]) == "retries in .coveralls.yml"
    assert notices == []


def test_pytests_native_toml_keeps_numbers_booleans_and_lists(
    pytester: pytest.Pytester, folder: Path
) -> None:
    """``[tool.pytest]`` has values with types; each reads as its text would."""
    if pytest.version_tuple < (9,):
        pytest.skip("pytest 9 brought the table")
    pytester.makepyprojecttoml(
        """
        [tool.pytest]
        coveralls_retries = 3
        coveralls_deadline = 1.5
        coveralls_compress = false
        coveralls_merge = ["js.json", "go.json"]
        """
    )

    settings, _ = gathered(pytester)

    assert set_in(settings, folder) == {
        "retries": 3,
        "deadline": 1.5,
        "compress": False,
        "merge": (Path("js.json"), Path("go.json")),
    }
    assert str(settings.origins["compress"]) == "coveralls_compress in pyproject.toml"


TYPED, BY_FILE = "https://typed.example", "https://file.example"


@pytest.mark.parametrize(
    ("addopts", "words", "env", "origin"),
    [
        ("", [f"--coveralls-host={TYPED}"], "", "flag"),
        ("", ["--coveralls-host", TYPED], "", "flag"),
        ("", [], f"--coveralls-host={TYPED}", "flag"),
        (f"--coveralls-host={BY_FILE}", [], "", "addopts"),
        (f"--coveralls-host {BY_FILE}", ["--coveralls-repo-name=--coveralls-host"], "", "addopts"),
        (f"--coveralls-host={BY_FILE}", [f"--coveralls-host={TYPED}"], "", "flag"),
        (f"--coveralls-host={BY_FILE}", [], f"--coveralls-host {TYPED}", "flag"),
        ("", ["-o", f"coveralls_host={TYPED}"], "", "flag"),
        ("", [f"--override-ini=coveralls_host={TYPED}"], "", "flag"),
        ("", [], f"-ocoveralls_host={TYPED}", "flag"),
        (f"-o coveralls_host={BY_FILE}", [], "", "addopts"),
    ],
)
def test_a_flag_is_what_was_typed_and_no_word_of_addopts(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    addopts: str,
    words: list[str],
    env: str,
    origin: str,
) -> None:
    """A pull request can change ``addopts`` as any other line of a file."""
    ini = pytester.makeini(f"[pytest]\naddopts = {addopts}\n")
    monkeypatch.setenv("PYTEST_ADDOPTS", env)

    settings, _ = gathered(pytester, *words, env={"PYTEST_ADDOPTS": env})

    found = settings.origins["host"]
    assert (found.kind, found.is_typed) == (origin, origin == "flag")
    assert found.file == (None if origin == "flag" else ini)
    assert settings.host == (TYPED if origin == "flag" else BY_FILE)


def test_words_of_an_argument_file_were_not_typed(pytester: pytest.Pytester) -> None:
    """Pytest 8.2 reads ``@arguments.txt``; that is a file as any other."""
    if pytest.version_tuple < (8, 2):
        pytest.skip("pytest 8.2 reads files of arguments")
    (pytester.path / "arguments.txt").write_text(f"--coveralls-host={BY_FILE}\n")

    settings, _ = gathered(pytester, "@arguments.txt")

    assert settings.host == BY_FILE
    assert settings.origins["host"] == Origin("addopts", "--coveralls-host")


@pytest.mark.parametrize(
    ("words", "file"),
    [
        (["-c", "conf/pytest.ini", "--rootdir=."], "conf/pytest.ini"),
        (["-o", "coveralls_repo_token=c0fee"], None),
    ],
)
def test_a_token_remembers_the_file_that_it_stands_in(
    pytester: pytest.Pytester, words: list[str], file: str | None
) -> None:
    """Not the file of that name in the root directory, and none for what was typed."""
    for folder in (pytester.path, pytester.mkdir("conf")):
        (folder / "pytest.ini").write_text("[pytest]\ncoveralls_repo_token = c0fee\n")

    settings, _ = gathered(pytester, *words)

    assert settings.origins["repo_token"].file == (file and pytester.path / file)


# -- precedence --------------------------------------------------------------------------------


def test_flag_beats_variable_beats_ini_beats_yml_beats_default(
    pytester: pytest.Pytester, folder: Path
) -> None:
    """Take one source away after the other, and the next one holds."""
    flag, env = "--coveralls-service-number=flag", {"COVERALLS_SERVICE_NUMBER": "variable"}
    (folder / ".coveralls.yml").write_text("service_number: yml\n")
    ini = folder / "pytest.ini"
    ini.write_text("[pytest]\ncoveralls_service_number = ini\n")

    found = [
        gathered(pytester, flag, env=env)[0].service_number,
        gathered(pytester, env=env)[0].service_number,
        gathered(pytester)[0].service_number,
    ]
    ini.write_text("[pytest]\n")
    found.append(gathered(pytester)[0].service_number)
    (folder / ".coveralls.yml").unlink()
    found.append(gathered(pytester)[0].service_number)

    assert found == ["flag", "variable", "ini", "yml", None]


def test_a_blank_value_is_an_unset_one(pytester: pytest.Pytester, folder: Path) -> None:
    """CI services set variables to nothing; the next source is asked then."""
    pytester.makeini("[pytest]\ncoveralls_service_number = ini\ncoveralls_retries =\n")

    settings, _ = gathered(
        pytester,
        "--coveralls-service-number=",
        "--coveralls-parallel",
        env={"COVERALLS_SERVICE_NUMBER": " \t", "COVERALLS_COMPRESS": ""},
    )

    assert shown(settings) == {
        "service_number": "coveralls_service_number in tox.ini",
        "parallel": "--coveralls-parallel",
    }
    assert (settings.service_number, settings.retries, settings.compress) == ("ini", 2, True)


def test_a_blank_variable_leaves_the_word_to_the_further_one() -> None:
    """``COVERALLS_TOKEN`` counts where ``COVERALLS_REPO_TOKEN`` is set to nothing."""
    settings = of_variables(COVERALLS_REPO_TOKEN=" ", COVERALLS_TOKEN="t")

    assert shown(settings) == {"repo_token": "COVERALLS_TOKEN"}


def test_space_around_a_value_does_not_count() -> None:
    """A newline in a commit id broke the look-up of sources."""
    settings = of_variables(COVERALLS_COMMIT_SHA=" 5e837cc\n", COVERALLS_SERVICE_NAME="\tci ")

    assert (settings.commit_sha, settings.service_name) == ("5e837cc", "ci")


# -- what is accepted --------------------------------------------------------------------------

ACCEPTED = {
    "boolean": "1/true/yes/on or 0/false/no/off",
    "url": "a URL like https://coveralls.example.com or a host name",
    "number": "a number, or a path or URL that ends in one",
    "commit": "a commit id of 7 to 64 hexadecimal digits",
    "time": "a time like 2026-02-18T00:52:48+01:00",
    "seconds": "a number of seconds above 0",
    "retries": "a whole number from 0 to 10",
    "wait": "a number of seconds from 0 to 86400",
    "percent": "a number from 0 to 100",
    "partial": "send, warn or skip",
    "failure": "send or skip",
}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        *(("parallel", text, True) for text in ("1", "true", "YES", "On")),
        *(("compress", text, False) for text in ("0", "False", "NO", "off")),
        ("host", "coveralls.example.com", "https://coveralls.example.com"),
        ("host", "coveralls.example.com:8443/a/b/", "https://coveralls.example.com:8443/a/b"),
        ("host", "HTTPS://coveralls.example.com", "https://coveralls.example.com"),
        ("host", "http://localhost:80", "http://localhost:80"),
        ("host", "http://127.0.0.1:8080/x", "http://127.0.0.1:8080/x"),
        ("host", "http://[::1]:8080", "http://[::1]:8080"),
        ("service_pull_request", "7", "7"),
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
        ("changed_fail_under", "100", 100.0),
        ("changed_fail_under", "0%", 0.0),
        ("retries", "0", 0),
        ("retries", "10", 10),
        ("on_partial", "SEND", "send"),
        ("on_failure", "Skip", "skip"),
    ],
)
def test_every_kind_reads_what_it_says_it_takes(name: str, text: str, value: object) -> None:
    """The accepted texts and what they come to."""
    assert getattr(of_variables(**{f"COVERALLS_{name.upper()}": text}), name) == value


@pytest.mark.parametrize(
    ("name", "text", "accepts"),
    [
        *(("parallel", text, "boolean") for text in ("2", "maybe", "y", "truefalse", "on off")),
        ("host", "ftp://coveralls.example.com", "url"),
        ("host", "https://", "url"),
        ("host", "https://host name", "url"),
        ("host", "https://host\\evil.example", "url"),
        ("host", "https://host?x=1", "url"),
        ("host", "https://host#there", "url"),
        ("host", "https://host:port", "url"),
        ("host", "https://host:99999", "url"),
        ("host", "https://[::1", "url"),
        ("host", "https://hö.example", "url"),
        ("service_pull_request", "false", "number"),
        ("service_pull_request", "refs/pull/7/merge", "number"),
        ("service_pull_request", "PR7", "number"),
        ("commit_sha", "HEAD", "commit"),
        ("commit_sha", "abcdef", "commit"),
        ("commit_sha", "0" * 40, "commit"),
        ("commit_sha", "a" * 65, "commit"),
        ("run_at", "yesterday", "time"),
        ("run_at", "2026-02-30T00:00:00Z", "time"),
        ("run_at", "2026-02-18", "time"),
        ("run_at", "2026-02-18T00:52:48", "time"),
        *(
            (name, text, "seconds")
            for name in ("connect_timeout", "read_timeout", "deadline")
            for text in ("0", "-1", "nan", "inf", "1e9", "soon")
        ),
        *(("retries", text, "retries") for text in ("-1", "11", "2.0", "٣", "many")),
        *(("wait", text, "wait") for text in ("-1", "86401", "nan")),
        *(("changed_fail_under", text, "percent") for text in ("-1", "100.1", "most", "5%%")),
        ("on_partial", "fail", "partial"),
        ("on_failure", "warn", "failure"),
    ],
)
def test_what_is_not_accepted_names_source_value_and_what_is(
    name: str, text: str, accepts: str
) -> None:
    """A usage error says where the value stands, what it is and what would do."""
    variable = f"COVERALLS_{name.upper()}"

    with pytest.raises(SettingsError) as caught:
        of_variables(**{variable: text})

    assert str(caught.value) == f'{variable} is "{text}": it takes {ACCEPTED[accepts]}'


@pytest.mark.parametrize(
    ("source", "arguments", "env", "ini"),
    [
        ("--coveralls-retries", ["--coveralls-retries=x"], {}, ""),
        ("COVERALLS_RETRIES", [], {"COVERALLS_RETRIES": "x"}, ""),
        ("coveralls_retries in tox.ini", [], {}, "coveralls_retries = x"),
    ],
)
def test_an_error_names_the_source_as_the_user_would_look_for_it(
    pytester: pytest.Pytester, source: str, arguments: list[str], env: dict[str, str], ini: str
) -> None:
    """Flag, variable, or ini key and file."""
    pytester.makeini(f"[pytest]\n{ini}\n")

    with pytest.raises(SettingsError, match=rf'^{source} is "x": it takes a whole number'):
        gathered(pytester, *arguments, env=env)


def test_a_long_value_is_cut_in_the_message() -> None:
    """A file that landed in a variable does not fill the screen."""
    with pytest.raises(SettingsError) as caught:
        of_variables(COVERALLS_RETRIES="9" * 5000)

    assert str(caught.value).count("9") == 100


# -- files -------------------------------------------------------------------------------------


def test_a_path_is_relative_to_the_place_where_it_stands(
    pytester: pytest.Pytester, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of flags and variables: the directory of the call; of ini and yml: the root directory."""
    below = pytester.mkdir("below")
    for name in ("ca.pem", "token.txt"):
        (below / name).write_text("below")
    pytester.makeini("[pytest]\ncoveralls_ca_bundle = ca.pem\n")
    (folder / ".coveralls.yml").write_text("repo_token_file: token.txt\n")
    monkeypatch.chdir(below)

    of_files, _ = gathered(pytester)
    of_call, _ = gathered(
        pytester, "--coveralls-ca-bundle=ca.pem", env={"COVERALLS_REPO_TOKEN_FILE": "token.txt"}
    )

    assert (of_files.ca_bundle, of_files.repo_token_file) == (
        folder / "ca.pem",
        folder / "token.txt",
    )
    assert (of_call.ca_bundle, of_call.repo_token_file) == (below / "ca.pem", below / "token.txt")


@pytest.mark.parametrize("name", ["ca_bundle", "merge"])
def test_a_file_that_is_missing_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path that cannot be read stops the run before the tests."""
    monkeypatch.chdir(tmp_path)
    variable = f"COVERALLS_{name.upper()}"

    with pytest.raises(SettingsError) as caught:
        of_variables(**{variable: "gone.txt"})

    assert str(caught.value) == f"{variable}: there is no file {tmp_path / 'gone.txt'}"


def test_a_job_is_not_saved_to_standard_output() -> None:
    """A dash means it elsewhere; here it would be a file of that name."""
    with pytest.raises(SettingsError) as caught:
        of_variables(COVERALLS_SAVE=" - ")

    assert str(caught.value) == "COVERALLS_SAVE: pytest prints there; it takes a file name"


def test_a_job_is_saved_to_a_file_in_a_directory_that_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a directory nor a file in one that is missing can be written after the tests."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SettingsError) as of_directory:
        of_variables(COVERALLS_SAVE=".")
    with pytest.raises(SettingsError) as of_missing:
        of_variables(COVERALLS_SAVE="gone/job.json")

    assert str(of_directory.value) == (
        f"COVERALLS_SAVE: {tmp_path} is a directory, it takes a file name"
    )
    assert str(of_missing.value) == f"COVERALLS_SAVE: there is no directory {tmp_path / 'gone'}"


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
@pytest.mark.usefixtures("folder")
def test_a_token_in_place_of_another_setting_is_not_quoted(
    pytester: pytest.Pytester, wrong: dict[str, str]
) -> None:
    """What is known to be secret is in no message, not even in part."""
    env = {f"COVERALLS_{name.upper()}": text for name, text in wrong.items()}
    env |= {"COVERALLS_REPO_TOKEN": "s3cret-t0ken", "GITHUB_TOKEN": "s3cret-of-github"}

    with pytest.raises(SettingsError) as caught:
        gathered(pytester, env=env)

    assert "s3c" not in str(caught.value)


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


# -- the host ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:pa55word@host", "https://[hidden]@host"),
        ("user:pa55word@host", "[hidden]@host"),
        ("https://pa55word@host:8443/a", "https://[hidden]@host:8443/a"),
        ("https://@host", "https://[hidden]@host"),
    ],
)
def test_a_host_with_credentials_is_refused_without_showing_them(text: str, shown: str) -> None:
    """The password is not printed into the log that everybody can read."""
    with pytest.raises(SettingsError) as caught:
        of_variables(COVERALLS_HOST=text)

    assert str(caught.value) == f'COVERALLS_HOST is "{shown}": it takes {ACCEPTED["url"]}'


def test_plain_http_is_refused() -> None:
    """The token would travel in the clear."""
    with pytest.raises(SettingsError) as caught:
        of_variables(COVERALLS_HOST="http://cov.example.com")

    assert str(caught.value) == (
        'COVERALLS_HOST is "http://cov.example.com": the token would travel in the clear; '
        "use https, or skip_ssl_verify for a host that has none"
    )


@pytest.mark.parametrize("host", ["http://127.0.0.1:1", "http://127.9.9.9", "http://localhost"])
def test_plain_http_is_allowed_on_loopback(host: str) -> None:
    """Nobody is in between."""
    assert of_variables(COVERALLS_HOST=host).host == host


def test_plain_http_is_allowed_to_who_asks_for_it() -> None:
    """``skip_ssl_verify`` covers a server in a closed network."""
    settings = of_variables(
        COVERALLS_HOST="http://cov.example.com", COVERALLS_SKIP_SSL_VERIFY="true"
    )

    assert settings.host == "http://cov.example.com"


@pytest.mark.parametrize(
    "host",
    [
        "",
        "https://coveralls.io",
        "http://coveralls.io",
        "www.coveralls.io",
        "COVERALLS.IO:443",
        "https://coveralls.io./x",
    ],
)
def test_tls_is_always_verified_for_coveralls_io(host: str) -> None:
    """Whatever its spelling, the public server's certificate is good."""
    with pytest.raises(SettingsError) as caught:
        of_variables(COVERALLS_HOST=host, COVERALLS_SKIP_SSL_VERIFY="yes")

    assert str(caught.value) == (
        "COVERALLS_SKIP_SSL_VERIFY: TLS is always verified for coveralls.io; "
        "remove the setting, or use ca_bundle for your own certificate authority"
    )


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("localhost", True), ("127.0.0.2", True), ("::1", True), ("10.0.0.1", False), ("x", False)],
)
def test_loopback_is_this_machine_alone(host: str, loopback: bool) -> None:
    """By its name or any of its addresses."""
    assert is_loopback(host) is loopback


# -- unknown variables -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("COVERALLS_PARALEL", "COVERALLS_PARALLEL"),
        ("COVERALLS_REPO_TOKN", "COVERALLS_REPO_TOKEN"),
        ("COVERALLS_FLAG", "COVERALLS_FLAG_NAME"),
        ("COVERALLS_SERVICE_JOBID", "COVERALLS_SERVICE_JOB_ID"),
    ],
)
def test_an_unknown_variable_is_told_with_the_nearest_name(variable: str, nearest: str) -> None:
    """A misspelt setting has no effect; that must be seen."""
    assert list(unknown_variables({variable: "1"})) == [
        f"{variable} is no setting; the nearest is {nearest}"
    ]


def test_known_and_foreign_variables_are_no_news() -> None:
    """No notice for our own, nor for those of other programs."""
    env = dict.fromkeys([*known_variables(), "PATH", "MY_COVERALLS_X", "COVERAGE_FILE"], "1")

    assert list(unknown_variables(env)) == []


def test_unknown_variables_are_told_in_order(pytester: pytest.Pytester) -> None:
    """The same notices in each run, among those of all settings."""
    _, notices = gathered(pytester, env={"COVERALLS_STRICKT": "1", "COVERALLS_DRYRUN": "1"})

    assert notices == [
        "COVERALLS_DRYRUN is no setting; the nearest is COVERALLS_DRY_RUN",
        "COVERALLS_STRICKT is no setting; the nearest is COVERALLS_STRICT",
    ]


# -- any text ----------------------------------------------------------------------------------


@given(st.text())
def test_any_text_is_a_boolean_or_refused(text: str) -> None:
    """No other exception than ValueError, which becomes a usage error."""
    with contextlib.suppress(ValueError):
        assert read_boolean(text) in {True, False}


@given(
    st.text() | st.from_regex(r"(https?://)?[a-z@:\[\]%.0-9]{0,20}(/[a-z]*)?(\?.)?", fullmatch=True)
)
def test_any_text_is_a_base_url_or_refused(text: str) -> None:
    """What is read has a scheme and a host, no user, query or closing slash, and reads again."""
    try:
        url = read_base_url(text)
    except ValueError:
        return
    assert url.startswith(("http://", "https://"))
    assert not set(url) & set("@?#\\ \n")
    assert not url.endswith("/")
    assert read_base_url(url) == url


@given(st.text() | st.from_regex(r".{0,5}[/#]?[0-9]{1,5}/?", fullmatch=True))
def test_any_text_is_a_pull_request_or_refused(text: str) -> None:
    """What is read is digits, as the text ends."""
    try:
        number = read_pull_request(text)
    except ValueError:
        return
    assert number.isascii()
    assert number.isdigit()
    assert text.rstrip("/\n").endswith(number)
