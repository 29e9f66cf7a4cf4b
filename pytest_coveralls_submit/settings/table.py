"""The settings: a row for each, with its default, parser, help and other names.

Every run of pytest imports this module, so parsers import what they need when they are called.
"""

from __future__ import annotations

import argparse
import re
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from ..secret import Secret
    from .sources import Origin

COVERALLS = "https://coveralls.io"
SHORTEST_TOKEN = 8
BOOLEANS = dict.fromkeys(("1", "true", "yes", "on"), True)
BOOLEANS |= dict.fromkeys(("0", "false", "no", "off"), False)


class Parser:
    """Turn a text into a value.

    Args:
        convert: returns None or raises ValueError for a text that is not accepted.
    """

    # A NamedTuple would cost half a millisecond of every run of pytest.
    def __init__(self, convert: Callable[[str], Any], accepts: str, metavar: str) -> None:
        self.convert, self.accepts, self.metavar = convert, accepts, metavar

    def parse(self, text: str) -> Any:
        """Return the value of a text, or raise ValueError."""
        value = self.convert(text)
        if value is None:
            raise ValueError(self.accepts)
        return value


def _base_url(text: str) -> str | None:
    from urllib.parse import urlsplit

    parts = urlsplit(text if "://" in text else f"https://{text}")
    unwanted = "@" in parts.netloc or parts.query or parts.fragment
    if parts.scheme not in {"http", "https"} or unwanted or re.search(r"\s|\\", text):
        return None
    if not re.fullmatch(r"[A-Za-z0-9._:-]+", parts.hostname or ""):
        return None
    _ = parts.port  # raises ValueError if it is not a number
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _link(text: str) -> str | None:
    from ..text import public_url

    address, mark, query = text.partition("?")
    address = "" if "@" in query else public_url(address)
    return address + mark + query if address else None


def _pull_request(text: str) -> str | None:
    from ..text import pull_request_number

    return pull_request_number(text)


def _commit(text: str) -> str | None:
    from ..text import commit_id

    return commit_id(text)


def _time(text: str) -> str | None:
    from datetime import datetime

    # RFC 3339, or as in https://docs.coveralls.io/api-jobs-endpoint: "2013-02-18 00:52:48 -0800"
    iso = re.sub(r" ?([+-]\d\d)(\d\d)$", r"\1:\2", re.sub("[Zz]$", "+00:00", text))
    return text if datetime.fromisoformat(iso).tzinfo else None


def _number(least: float, most: float, kind: Callable[[str], Any] = float) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        number = kind(text)
        return number if least <= number <= most else None  # also refuses "nan" and "inf"

    return convert


def _one_of(*words: str) -> Parser:
    accepts = ", ".join(words[:-1]) + f" or {words[-1]}"
    return Parser(lambda text: text.lower() if text.lower() in words else None, accepts, "WORD")


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(Path(part.strip()) for part in re.split("[,\n]", text) if part.strip())


def _token(text: str) -> Secret | None:
    from ..secret import Secret

    # A header, a URL and a line of a log can hold it.
    return Secret(text) if re.fullmatch(f"[!-~]{{{SHORTEST_TOKEN},4096}}", text) else None


# A lone surrogate, which no job can hold, cannot be encoded: that is a ValueError.
TEXT = Parser(lambda text: text.encode() and text, "any text", "TEXT")
BOOLEAN = Parser(lambda text: BOOLEANS.get(text.lower()), "1/true/yes/on or 0/false/no/off", "BOOL")
BASE_URL = Parser(_base_url, "a URL like https://coveralls.example.com or a host name", "URL")
LINK = Parser(_link, "the URL of a page, without user and password", "URL")
PULL_REQUEST = Parser(_pull_request, "a number, or a path or URL that ends in one", "NUMBER")
COMMIT = Parser(_commit, "a commit id of 7 to 64 hexadecimal digits", "SHA")
TIME = Parser(_time, "a time like 2026-02-18T00:52:48+01:00", "TIME")
SECONDS = Parser(_number(0.001, 86400), "a number of seconds above 0", "SECONDS")
WAIT = Parser(_number(0, 86400), "a number of seconds from 0 to 86400", "SECONDS")
PERCENT = Parser(
    lambda text: _number(0, 100)(text.removesuffix("%")), "a number from 0 to 100", "PERCENT"
)
RETRIES = Parser(_number(0, 10, int), "a whole number from 0 to 10", "COUNT")
PATH = Parser(Path, "a file name", "PATH")
PATHS = Parser(_paths, "file names separated by commas", "PATHS")
TOKEN = Parser(_token, "one line of 8 to 4,096 visible ASCII characters", "TOKEN")


class Option:
    """Describe a setting: a row of the table.

    Args:
        in_files: whether the ini file and ``.coveralls.yml`` may hold it.
        in_help: whether ``pytest --help`` describes its flag.
    """

    def __init__(
        self,
        parser: Parser,
        help: str,  # noqa: A002  as argparse calls it
        default: Any = None,
        *,
        also: str = "",
        in_files: bool = True,
        in_help: bool = False,
    ) -> None:
        self.parser, self.help, self.default = parser, help, default
        self.also, self.in_files, self.in_help = also, in_files, in_help

    def __set_name__(self, _: type, name: str) -> None:
        self.name, self.ini = name, f"coveralls_{name}"
        self.flag = "--coveralls-" + name.replace("_", "-")
        self.variables = tuple(filter(None, (self.ini.upper(), self.also)))  # the strongest first

    def keywords(self) -> dict[str, Any]:
        """Return the keywords of its flag for argparse."""
        common = {"dest": self.ini, "help": self.help}
        if self.parser is TOKEN:
            return {**common, "type": self._refuse, "help": argparse.SUPPRESS}
        if self.parser is BOOLEAN:
            return {**common, "action": argparse.BooleanOptionalAction}
        return {**common, "metavar": self.parser.metavar}

    def _refuse(self, _: str) -> NoReturn:
        # argparse and pytest would quote a secret on the command line.
        raise argparse.ArgumentTypeError(
            f"everybody can read it on a command line; set {self.variables[0]}"
        )


# To type checkers a row is the setting's value.
row: Any = Option
described_row: Any = partial(Option, in_help=True)


class Settings:
    """Hold the value of each setting, else its default."""

    # A dataclass of forty fields would cost each run of pytest 8 ms.
    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        vars(self).update({name: option.default for name, option in OPTIONS.items()})
        vars(self).update(values or {})
        self.origins: Mapping[str, Origin] = {}
        self.notices: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Return the tokens."""
        return tuple(token for token in (self.repo_token, self.gitlab_token) if token is not None)

    host: str = described_row(
        BASE_URL, "URL of Coveralls or Coveralls Enterprise", COVERALLS, also="COVERALLS_ENDPOINT"
    )
    repo_token: Secret | None = row(TOKEN, "secret token of the repository", also="COVERALLS_TOKEN")
    repo_token_file: Path | None = described_row(PATH, "file that holds the token")
    service_name: str | None = row(TEXT, "name of the CI service; detected")
    service_number: str | None = row(TEXT, "number of the build; detected")
    service_job_id: str | None = row(TEXT, "id of the job in the build; detected")
    service_job_number: str | None = row(TEXT, "label of the CI job; detected")
    service_build_url: str | None = row(LINK, "link to the build; detected")
    service_job_url: str | None = row(LINK, "link to the CI job; detected")
    service_attempt: str | None = row(TEXT, "attempt of a repeated build; detected")
    service_pull_request: str | None = row(
        PULL_REQUEST, "number of the pull request; detected", also="COVERALLS_PULL_REQUEST"
    )
    service_branch: str | None = row(TEXT, "branch; detected", also="COVERALLS_GIT_BRANCH")
    service_event_type: str | None = row(TEXT, "name of the event", also="COVERALLS_EVENT_TYPE")
    commit_sha: str | None = row(COMMIT, "commit tested; detected", also="COVERALLS_GIT_COMMIT")
    repo_name: str | None = row(TEXT, "owner/repo; detected")
    run_at: str | None = row(TIME, "when the tests ran; start of the session")
    flag_name: str | None = described_row(TEXT, "name of this job in the build, as {os}-{python}")
    parallel: bool = described_row(BOOLEAN, "keep the build open until `finish`", False)
    carryforward: str | None = row(
        TEXT, "flags whose last coverage is kept, for `finish`", also="COVERALLS_CARRYFORWARD_FLAGS"
    )
    compare_ref: str | None = row(TEXT, "branch to compare with")
    compare_sha: str | None = row(TEXT, "commit to compare with")
    base_dir: str | None = row(TEXT, "folder removed from the start of names")
    src_dir: str | None = row(TEXT, "folder put before every name")
    include_source: bool = described_row(BOOLEAN, "send the source text too", False)
    merge: tuple[Path, ...] = described_row(PATHS, "Coveralls JSON files of other tools to add", ())
    dry_run: bool = described_row(BOOLEAN, "build and check the job, send nothing", False)
    save: Path | None = described_row(PATH, "write the job, without the token, to this file")
    strict: bool = described_row(BOOLEAN, "exit status 1 unless the job was accepted", False)
    allow_empty: bool = row(BOOLEAN, "send a job without files", False)
    on_partial: str = described_row(
        _one_of("send", "warn", "skip"), "send, warn or skip if not all tests were selected", "warn"
    )
    on_failure: str = described_row(_one_of("send", "skip"), "send or skip if tests failed", "send")
    retries: int = row(RETRIES, "further attempts after a failed one", 2)
    connect_timeout: float = row(SECONDS, "seconds to wait for a connection", 10.0)
    read_timeout: float = row(SECONDS, "seconds to wait for an answer", 30.0)
    deadline: float = row(SECONDS, "seconds for all attempts and pauses", 60.0)
    ca_bundle: Path | None = described_row(PATH, "PEM file or directory of trusted certificates")
    skip_ssl_verify: bool = row(BOOLEAN, "allow unverified TLS or plain http", False)
    compress: bool = row(BOOLEAN, "gzip the job", True)
    changed_lines: bool = described_row(BOOLEAN, "show how many changed lines are covered", True)
    changed_fail_under: float | None = described_row(
        PERCENT, "exit status 1 below this percentage of changed lines"
    )
    annotate: bool = described_row(BOOLEAN, "GitHub Actions: mark missed changed lines", False)
    wait: float = described_row(WAIT, "seconds to wait for the result of the build", 0.0)
    gitlab_status: bool = row(BOOLEAN, "give the commit on GitLab a status", False)
    gitlab_token: Secret | None = row(TOKEN, "GitLab token that may set a status", in_files=False)


OPTIONS: Mapping[str, Option] = {
    name: option for name, option in vars(Settings).items() if isinstance(option, Option)
}


def ini_text(config: pytest.Config, key: str) -> str:
    """Return the text of a key in pytest's ini file."""
    try:
        value = config.getini(key)
    except (TypeError, pytest.UsageError):  # pytest 9's native TOML: a number, boolean or list
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pytest 9 has another name for it
            value = config.inicfg[key]
        value = getattr(value, "value", value)
    if isinstance(value, list):
        value = "\n".join(map(str, value))
    return "" if value is None else str(value).strip()
