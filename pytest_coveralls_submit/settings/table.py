"""The settings: a row for each, with its default, parser, help and other names.

Every run of pytest imports this module, so parsers import what they need when they are called.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from ..secret import Secret
    from .sources import Origin

COVERALLS = "https://coveralls.io"
EVERYWHERE = ("flag", "variable", "ini", "yml")
DAY = 86400
SHORTEST_TOKEN = 8
TRUE, FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


class Parser:
    """Turn a text into a value.

    Args:
        parse: raises ValueError for a text that is not accepted.
        accepts: these texts in words.
    """

    # A NamedTuple would cost half a millisecond of every run of pytest.
    def __init__(self, parse: Callable[[str], Any], accepts: str, metavar: str) -> None:
        self.parse, self.accepts, self.metavar = parse, accepts, metavar


def _parse_text(text: str) -> str:
    text.encode()  # raises ValueError for a lone surrogate, which no job can hold
    return text


def _parse_boolean(text: str) -> bool:
    if text.lower() not in TRUE + FALSE:
        raise ValueError
    return text.lower() in TRUE


def _parse_base_url(text: str) -> str:
    from urllib.parse import urlsplit

    parts = urlsplit(text if "://" in text else f"https://{text}")
    unwanted = "@" in parts.netloc or parts.query or parts.fragment
    if parts.scheme not in {"http", "https"} or not parts.hostname or unwanted:
        raise ValueError
    if not re.fullmatch(r"[A-Za-z0-9._:-]+", parts.hostname) or re.search(r"\s|\\", text):
        raise ValueError
    _ = parts.port  # raises ValueError if it is not a number
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _parse_link(text: str) -> str:
    from ..text import public_url

    address, mark, query = text.partition("?")
    return _required(public_url(address) if "@" not in query else None) + mark + query


def _parse_pull_request(text: str) -> str:
    from ..text import pull_request_number

    return _required(pull_request_number(text))


def _parse_commit(text: str) -> str:
    from ..text import commit_id

    return _required(commit_id(text))


def _required(text: str | None) -> str:
    if not text:
        raise ValueError
    return text


def _parse_time(text: str) -> str:
    from datetime import datetime

    # RFC 3339, or as in https://docs.coveralls.io/api-jobs-endpoint: "2013-02-18 00:52:48 -0800"
    iso = re.sub(r" ?([+-]\d\d)(\d\d)$", r"\1:\2", re.sub("[Zz]$", "+00:00", text))
    if datetime.fromisoformat(iso).tzinfo is None:
        raise ValueError
    return text


def _number_from(least: float, most: float, convert: Callable[[str], Any] = float) -> Any:
    def parse(text: str) -> Any:
        number = convert(text)
        if not least <= number <= most:  # also refuses "nan" and "inf"
            raise ValueError
        return number

    return parse


def _one_of(*words: str) -> Parser:
    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError
        return text.lower()

    return Parser(parse, ", ".join(words[:-1]) + f" or {words[-1]}", "WORD")


def _parse_paths(text: str) -> tuple[Path, ...]:
    return tuple(Path(part.strip()) for part in re.split("[,\n]", text) if part.strip())


def _parse_token(text: str) -> Secret:
    from ..secret import Secret

    # A header, a URL and a line of a log can hold it.
    if not re.fullmatch(f"[!-~]{{{SHORTEST_TOKEN},4096}}", text):
        raise ValueError
    return Secret(text)


TEXT = Parser(_parse_text, "any text", "TEXT")
BOOLEAN = Parser(_parse_boolean, "1/true/yes/on or 0/false/no/off", "BOOL")
BASE_URL = Parser(_parse_base_url, "a URL like https://coveralls.example.com or a host name", "URL")
LINK = Parser(_parse_link, "the URL of a page, without user and password", "URL")
PULL_REQUEST = Parser(_parse_pull_request, "a number, or a path or URL that ends in one", "NUMBER")
COMMIT = Parser(_parse_commit, "a commit id of 7 to 64 hexadecimal digits", "SHA")
TIME = Parser(_parse_time, "a time like 2026-02-18T00:52:48+01:00", "TIME")
SECONDS = Parser(_number_from(0.001, DAY), "a number of seconds above 0", "SECONDS")
WAIT = Parser(_number_from(0, DAY), "a number of seconds from 0 to 86400", "SECONDS")
PERCENT = Parser(
    lambda text: _number_from(0, 100)(text.removesuffix("%")), "a number from 0 to 100", "PERCENT"
)
RETRIES = Parser(_number_from(0, 10, int), "a whole number from 0 to 10", "COUNT")
PATH = Parser(Path, "a file name", "PATH")
PATHS = Parser(_parse_paths, "file names separated by commas", "PATHS")
TOKEN = Parser(_parse_token, "one line of 8 to 4,096 visible ASCII characters", "TOKEN")


class Option:
    """Describe a setting: a row of the table.

    Args:
        also: another variable.
        accepted_from: see ``Origin.kind``.
        in_help: whether ``pytest --help`` describes its flag.
    """

    def __init__(
        self,
        parser: Parser,
        help: str,  # noqa: A002  as argparse calls it
        default: Any = None,
        *,
        also: str = "",
        accepted_from: tuple[str, ...] = EVERYWHERE,
        in_help: bool = False,
    ) -> None:
        self.parser, self.help, self.default = parser, help, default
        self.also, self.accepted_from, self.in_help = also, accepted_from, in_help

    def __set_name__(self, _: type, name: str) -> None:
        self.name = name
        self.flag = "--coveralls-" + name.replace("_", "-")
        self.ini = f"coveralls_{name}"
        own = f"COVERALLS_{name.upper()}"
        self.variables = tuple(filter(None, (own, self.also)))  # the strongest first

    def arguments(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield its flags with their keywords for argparse."""
        if "flag" not in self.accepted_from:
            yield self.flag, {"dest": self.ini, "type": self._refuse, "help": argparse.SUPPRESS}
        elif self.parser is BOOLEAN:
            constant = {"dest": self.ini, "action": "store_const"}
            yield self.flag, {**constant, "const": "true", "help": self.help}
            no = self.flag.replace("--", "--no-", 1)
            yield no, {**constant, "const": "false", "help": f"the opposite of {self.flag}"}
        else:
            yield self.flag, {"dest": self.ini, "metavar": self.parser.metavar, "help": self.help}

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
    def __init__(
        self,
        values: Mapping[str, Any] | None = None,
        origins: Mapping[str, Origin] | None = None,
        notices: tuple[str, ...] = (),
    ) -> None:
        vars(self).update({name: option.default for name, option in OPTIONS.items()})
        vars(self).update(values or {})
        self.origins: Mapping[str, Origin] = origins or {}
        self.notices = notices

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Return the tokens."""
        return tuple(token for token in (self.repo_token, self.gitlab_token) if token is not None)

    host: str = described_row(
        BASE_URL, "URL of Coveralls or Coveralls Enterprise", COVERALLS, also="COVERALLS_ENDPOINT"
    )
    repo_token: Secret | None = row(
        TOKEN,
        "secret token of the repository",
        also="COVERALLS_TOKEN",
        accepted_from=("variable", "ini", "yml"),
    )
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
    gitlab_token: Secret | None = row(
        TOKEN, "GitLab token that may set a status", accepted_from=("variable",)
    )


OPTIONS: Mapping[str, Option] = {
    name: option for name, option in vars(Settings).items() if isinstance(option, Option)
}
