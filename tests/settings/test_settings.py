"""The settings: where each may stand, which source wins, what is accepted, what is said if not."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_coveralls_submit.errors import SettingsError
from pytest_coveralls_submit.secret import Environment, Secret
from pytest_coveralls_submit.settings.kinds import (
    read_base_url,
    read_boolean,
    read_pull_request,
)
from pytest_coveralls_submit.settings.origin import Origin
from pytest_coveralls_submit.settings.read import gather
from pytest_coveralls_submit.settings.resolve import (
    resolve,
    texts_of_variables,
)
from pytest_coveralls_submit.settings.table import OPTIONS, Settings

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


@pytest.mark.parametrize("name", [name for name, option in OPTIONS.items() if option.also])
def test_names_that_other_clients_use_are_read_too(name: str) -> None:
    """Those of coveralls-python and coverage-reporter mean the same; our own are stronger."""
    text, value = SAMPLES[name]
    own, also = OPTIONS[name].variables

    by_other = of_variables(**{also: text})
    by_both = of_variables(**{also: "11111111", own: text})

    assert plain(getattr(by_other, name), Path.cwd()) == value
    assert plain(getattr(by_both, name), Path.cwd()) == value
    assert (shown(by_other), shown(by_both)) == ({name: also}, {name: own})


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
        pytest.param(
            f"-o coveralls_host={BY_FILE}",
            *([], "", "addopts"),
            marks=pytest.mark.skipif(
                pytest.version_tuple < (9, 1), reason="pytest 9.1 heeds it there, older ones do not"
            ),
        ),
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
    ("name", "text"),
    [
        *(("parallel", text) for text in ("2", "maybe", "y", "truefalse", "on off")),
        ("host", "ftp://coveralls.example.com"),
        ("host", "https://"),
        ("host", "https://host name"),
        ("host", "https://host\\evil.example"),
        ("host", "https://host?x=1"),
        ("host", "https://host#there"),
        ("host", "https://host:port"),
        ("host", "https://host:99999"),
        ("host", "https://[::1"),
        ("host", "https://hö.example"),
        ("service_pull_request", "false"),
        ("service_pull_request", "refs/pull/7/merge"),
        ("service_pull_request", "PR7"),
        ("commit_sha", "HEAD"),
        ("commit_sha", "abcdef"),
        ("commit_sha", "0" * 40),
        ("commit_sha", "a" * 65),
        ("run_at", "yesterday"),
        ("run_at", "2026-02-30T00:00:00Z"),
        ("run_at", "2026-02-18"),
        ("run_at", "2026-02-18T00:52:48"),
        *(
            (name, text)
            for name in ("connect_timeout", "read_timeout")
            for text in ("0", "-1", "nan", "inf", "1e9", "soon")
        ),
        *(("retries", text) for text in ("-1", "11", "2.0", "٣", "many")),
        *(("wait", text) for text in ("-1", "86401", "nan")),
        *(("changed_fail_under", text) for text in ("-1", "100.1", "most", "5%%")),
        ("on_partial", "fail"),
        ("on_failure", "warn"),
    ],
)
def test_what_is_not_accepted_names_origin_value_and_what_is(name: str, text: str) -> None:
    """A usage error says where the value stands, what it is and what would do."""
    variable = f"COVERALLS_{name.upper()}"

    with pytest.raises(SettingsError) as caught:
        of_variables(**{variable: text})

    accepts = OPTIONS[name].kind.accepts
    assert str(caught.value) == f'{variable} is "{text}": it takes {accepts}'


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


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("ca_bundle", "gone.txt", "there is no file {}/gone.txt"),
        ("merge", ".,gone.txt", "there is no file {}/gone.txt"),
        ("save", " - ", "pytest prints there; it takes a file name"),
        ("save", ".", "{} is a directory, it takes a file name"),
        ("save", "gone/job.json", "there is no directory {}/gone"),
    ],
)
def test_a_file_that_cannot_be_used_stops_before_the_tests(
    name: str, text: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One to be read is there, one to be written has a directory."""
    monkeypatch.chdir(tmp_path)
    variable = f"COVERALLS_{name.upper()}"

    with pytest.raises(SettingsError) as caught:
        of_variables(**{variable: text})

    said = str(caught.value).replace(os.sep, "/")
    assert said == f"{variable}: {problem.format(tmp_path.as_posix())}"


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

    accepts = OPTIONS["host"].kind.accepts
    assert str(caught.value) == f'COVERALLS_HOST is "{shown}": it takes {accepts}'


def test_plain_http_is_refused() -> None:
    """The token would travel in the clear."""
    with pytest.raises(SettingsError) as caught:
        of_variables(COVERALLS_HOST="http://cov.example.com")

    assert str(caught.value) == (
        'COVERALLS_HOST is "http://cov.example.com": the token would travel in the clear; '
        "use https, or skip_ssl_verify for a host that has none"
    )


@pytest.mark.parametrize(
    ("host", "skip"),
    [
        ("http://127.0.0.1:1", "no"),
        ("http://127.9.9.9", "no"),
        ("http://localhost", "no"),
        ("http://cov.example.com", "yes"),
    ],
)
def test_plain_http_is_allowed_on_loopback_and_to_who_asks_for_it(host: str, skip: str) -> None:
    """Nobody is in between, or it is a server in a closed network."""
    assert of_variables(COVERALLS_HOST=host, COVERALLS_SKIP_SSL_VERIFY=skip).host == host


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


# -- unknown variables -------------------------------------------------------------------------


def test_unknown_variables_are_told_in_order_with_the_nearest_name(
    pytester: pytest.Pytester,
) -> None:
    """A misspelt setting has no effect; that must be seen. Those of other programs are no news."""
    nearest = {
        "COVERALLS_DRYRUN": "COVERALLS_DRY_RUN",
        "COVERALLS_FLAG": "COVERALLS_FLAG_NAME",
        "COVERALLS_PARALEL": "COVERALLS_PARALLEL",
        "COVERALLS_REPO_TOKN": "COVERALLS_REPO_TOKEN",
        "COVERALLS_SERVICE_JOBID": "COVERALLS_SERVICE_JOB_ID",
    }
    foreign = ("PATH", "MY_COVERALLS_X", "COVERAGE_FILE", "COVERALLS_STRICT")

    _, notices = gathered(pytester, env=dict.fromkeys([*reversed(nearest), *foreign], "1"))

    assert notices == [f"{it} is no setting; the nearest is {nearest[it]}" for it in nearest]


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


# -- what users tripped over --------------------------------------------------------------------


@pytest.mark.xfail(strict=True, reason="a missing token file is a usage error")
def test_a_missing_token_file_means_no_token(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\ncoveralls_repo_token_file = /run/secrets/coveralls\n")

    settings, notices = gathered(pytester)

    assert settings.repo_token is None
    assert len(notices) == 1
    assert "coveralls_repo_token_file in tox.ini" in notices[0]


@pytest.mark.xfail(strict=True, reason="a missing token file is a usage error")
def test_a_token_file_is_not_looked_at_when_a_variable_has_the_token(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeini("[pytest]\ncoveralls_repo_token_file = /run/secrets/coveralls\n")

    settings, notices = gathered(pytester, env={"COVERALLS_REPO_TOKEN": "abcdefgh12345678"})

    assert settings.repo_token is not None
    assert notices == []


@pytest.mark.xfail(strict=True, reason="any length is a token")
def test_a_short_token_counts_as_none(pytester: pytest.Pytester) -> None:
    settings, notices = gathered(pytester, env={"COVERALLS_REPO_TOKEN": "test"})

    assert settings.repo_token is None
    assert len(notices) == 1
    assert "COVERALLS_REPO_TOKEN" in notices[0]


@pytest.mark.xfail(strict=True, reason="a likely name is always given")
@pytest.mark.parametrize("name", ["RUN_LOCALLY", "DEBUG", "SOURCE_HEADER", "DEVELOPMENT"])
def test_variables_of_other_clients_are_not_needed(pytester: pytest.Pytester, name: str) -> None:
    _, notices = gathered(pytester, env={f"COVERALLS_{name}": "1"})

    assert len(notices) == 1
    assert "not needed" in notices[0]
    assert "did you mean" not in notices[0]


@pytest.mark.xfail(strict=True, reason="a likely name is always given")
def test_a_name_like_no_other_gets_no_suggestion(pytester: pytest.Pytester) -> None:
    _, notices = gathered(pytester, env={"COVERALLS_XYZZY": "1"})

    assert notices == ["unknown setting COVERALLS_XYZZY is ignored"]


@pytest.mark.xfail(strict=True, reason="every flag is described")
def test_the_help_is_short(pytester: pytest.Pytester) -> None:
    with_ours = pytester.runpytest_subprocess("--help", "-p", "pytest_coveralls_submit.plugin")
    without = pytester.runpytest_subprocess("--help", "-p", "no:coveralls_submit")

    added = len(with_ours.outlines) - len(without.outlines)

    assert 40 < added <= 110
    assert sum("docs/settings.md" in line for line in with_ours.outlines) == 1
