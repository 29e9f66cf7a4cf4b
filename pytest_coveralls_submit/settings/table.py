"""The settings: a row for each, with its default, parser, help and other names.

Every run of pytest imports this module, so parsers import what they need when they are called.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from ..secret import Secret
    from .sources import Origin

COVERALLS = "https://coveralls.io"
EVERYWHERE = ("flag", "variable", "ini", "yml")
DAY = 86400.0
SHORTEST_TOKEN = 8


class Parser:
    """Turn a text into a value; say in words what is accepted.

    Args:
        parse: raises ValueError for what is not accepted.
        accepts: what is, for messages and docs.
        metavar: the value's name in the help.
        quotes: whether messages may quote the text; False where it may be secret.
    """

    def __init__(
        self, parse: Callable[[str], Any], accepts: str, metavar: str, *, quotes: bool = True
    ) -> None:
        self.parse = parse
        self.accepts = accepts
        self.metavar = metavar
        self.quotes = quotes


def accepts(words: str, metavar: str, **more: bool) -> Callable[[Callable[[str], Any]], Parser]:
    """Make a parser of a parse function."""
    return lambda parse: Parser(parse, words, metavar, **more)


@accepts("any text", "TEXT")
def _text(text: str) -> str:
    text.encode()  # a lone surrogate, which no job can hold, is a ValueError
    return text


@accepts("1/true/yes/on or 0/false/no/off", "BOOL")
def parse_boolean(text: str) -> bool:
    """Parse the words for true and false, in any case."""
    word = text.lower()
    if word not in {"1", "true", "yes", "on", "0", "false", "no", "off"}:
        raise ValueError
    return word in {"1", "true", "yes", "on"}


@accepts("a URL like https://coveralls.example.com or a host name", "URL")
def _base_url(text: str) -> str:
    from urllib.parse import urlsplit

    parts = urlsplit(text if "://" in text else f"https://{text}")
    unwanted = "@" in parts.netloc or parts.query or parts.fragment
    if parts.scheme not in {"http", "https"} or not parts.hostname or unwanted:
        raise ValueError
    if not re.fullmatch(r"[A-Za-z0-9._:-]+", parts.hostname) or re.search(r"\s|\\", text):
        raise ValueError
    _ = parts.port  # raises ValueError if it is not a number
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


@accepts("the URL of a page, without user and password", "URL", quotes=False)
def _link(text: str) -> str:
    from ..text import public_url

    address, mark, query = text.partition("?")
    return _known(public_url(address) if "@" not in query else None) + mark + query


@accepts("a number, or a path or URL that ends in one", "NUMBER")
def parse_pull_request(text: str) -> str:
    """Parse a number, or the number that a path or URL ends in."""
    from ..text import pull_request_number

    return _known(pull_request_number(text))


@accepts("a commit id of 7 to 64 hexadecimal digits", "SHA")
def _commit(text: str) -> str:
    from ..text import commit_id

    return _known(commit_id(text))


def _known(text: str | None) -> str:
    if not text:
        raise ValueError
    return text


@accepts("a time like 2026-02-18T00:52:48+01:00", "TIME")
def _time(text: str) -> str:
    from datetime import datetime

    try:
        # The form of Coveralls' own example: https://docs.coveralls.io/api-jobs-endpoint
        datetime.strptime(text, "%Y-%m-%d %H:%M:%S %z")
    except ValueError:
        if datetime.fromisoformat(re.sub("[Zz]$", "+00:00", text)).tzinfo is None:
            raise
    return text


def _number(text: str, most: float) -> float:
    number = float(text)
    if not 0 <= number <= most:  # also refuses "nan" and "inf"
        raise ValueError
    return number


@accepts("a number of seconds above 0", "SECONDS")
def _seconds(text: str) -> float:
    if float(text) == 0:
        raise ValueError
    return _number(text, DAY)


@accepts("a number of seconds from 0 to 86400", "SECONDS")
def _wait(text: str) -> float:
    return _number(text, DAY)


@accepts("a number from 0 to 100", "PERCENT")
def _percent(text: str) -> float:
    return _number(text.removesuffix("%"), 100)


@accepts("a whole number from 0 to 10", "COUNT")
def _retries(text: str) -> int:
    if not re.fullmatch("[0-9]|10", text):
        raise ValueError
    return int(text)


@accepts("file names separated by commas", "PATHS")
def _paths(text: str) -> tuple[Path, ...]:
    return tuple(Path(part.strip()) for part in re.split("[,\n]", text) if part.strip())


@accepts("one line of 8 to 4,096 visible ASCII characters", "TOKEN", quotes=False)
def parse_token(text: str) -> Secret:
    """Parse what a header, a URL or a line of a log can hold."""
    from ..secret import Secret

    if not re.fullmatch(f"[!-~]{{{SHORTEST_TOKEN},4096}}", text):
        raise ValueError
    return Secret(text)


_PATH = Parser(Path, "a file name", "PATH")
_TOKEN_FILE = Parser(Path, "a file name", "PATH", quotes=False)  # it may be the token itself


def _one_of(*words: str) -> Parser:
    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError
        return text.lower()

    return Parser(parse, ", ".join(words[:-1]) + f" or {words[-1]}", "WORD")


class Option:
    """A row of the table of settings.

    Args:
        default: the value of a setting that nobody sets.
        parser: turns its text into its value.
        help: what it means, in one short line.
        also: further variables that set it.
        accepted_from: the kinds of source that may set it.
        in_help: whether ``pytest --help`` describes its flag.
    """

    def __init__(
        self,
        default: Any,
        parser: Parser,
        help: str,  # noqa: A002  the name that argparse and pytest use for it
        *,
        also: tuple[str, ...] = (),
        accepted_from: tuple[str, ...] = EVERYWHERE,
        in_help: bool = False,
    ) -> None:
        self.name = ""
        self.default = default
        self.parser = parser
        self.help = help
        self.also = also
        self.accepted_from = accepted_from
        self.in_help = in_help

    def __set_name__(self, _: type, name: str) -> None:
        self.name = name

    @property
    def flag(self) -> str:
        """Return the flag: ``base_dir`` is ``--coveralls-base-dir``."""
        return "--coveralls-" + self.name.replace("_", "-")

    @property
    def ini(self) -> str:
        """Return the ini key: ``base_dir`` is ``coveralls_base_dir``."""
        return f"coveralls_{self.name}"

    @property
    def variables(self) -> tuple[str, ...]:
        """Return the environment variables, the strongest first."""
        return (f"COVERALLS_{self.name.upper()}", *self.also)

    def arguments(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield its flags with their keywords for argparse."""
        if "flag" not in self.accepted_from:
            yield self.flag, {"dest": self.ini, "type": self._refuse, "help": argparse.SUPPRESS}
        elif self.parser is parse_boolean:
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


def row(default: Any, parser: Parser, help: str, **more: Any) -> Any:  # noqa: A002  as above
    """Declare a setting; the attribute has the type of its annotation."""
    return Option(default, parser, help, **more)


class Settings:
    """Hold the value of each setting.

    A dataclass of forty fields would cost each run of pytest 8 ms.

    Args:
        values: by name; the other settings have their defaults.
        origins: where the values come from that are set, by name.
        notices: what you should know about the sources, a line each.
    """

    def __init__(
        self,
        values: Mapping[str, Any] | None = None,
        origins: Mapping[str, Origin] | None = None,
        notices: tuple[str, ...] = (),
    ) -> None:
        vars(self).update({name: option.default for name, option in OPTIONS.items()})
        vars(self).update(values or {})
        self.origins: Mapping[str, Origin] = dict(origins or {})
        self.notices = notices

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Return the tokens, which must not be shown."""
        return tuple(token for token in (self.repo_token, self.gitlab_token) if token is not None)

    host: str = row(
        COVERALLS,
        _base_url,
        "URL of Coveralls or Coveralls Enterprise",
        also=("COVERALLS_ENDPOINT",),
        in_help=True,
    )
    repo_token: Secret | None = row(
        None,
        parse_token,
        "secret token of the repository",
        also=("COVERALLS_TOKEN",),
        accepted_from=("variable", "ini", "yml"),
    )
    repo_token_file: Path | None = row(None, _TOKEN_FILE, "file that holds the token", in_help=True)
    service_name: str | None = row(None, _text, "name of the CI service; detected")
    service_number: str | None = row(None, _text, "number of the build; detected")
    service_job_id: str | None = row(None, _text, "id of the job in the build; detected")
    service_job_number: str | None = row(None, _text, "label of the CI job; detected")
    service_build_url: str | None = row(None, _link, "link to the build; detected")
    service_job_url: str | None = row(None, _link, "link to the CI job; detected")
    service_attempt: str | None = row(None, _text, "attempt of a repeated build; detected")
    service_pull_request: str | None = row(
        None,
        parse_pull_request,
        "number of the pull request; detected",
        also=("COVERALLS_PULL_REQUEST",),
    )
    service_branch: str | None = row(
        None, _text, "name of the branch; detected", also=("COVERALLS_GIT_BRANCH",)
    )
    service_event_type: str | None = row(
        None, _text, "what started the build", also=("COVERALLS_EVENT_TYPE",)
    )
    commit_sha: str | None = row(
        None, _commit, "commit that was tested; detected", also=("COVERALLS_GIT_COMMIT",)
    )
    repo_name: str | None = row(None, _text, "owner/repo; detected")
    run_at: str | None = row(None, _time, "when the tests ran; start of the session")
    flag_name: str | None = row(
        None, _text, "name of this job in the build, as {os}-{python}", in_help=True
    )
    parallel: bool = row(False, parse_boolean, "keep the build open until `finish`", in_help=True)
    carryforward: str | None = row(
        None,
        _text,
        "flags whose last coverage is kept, for `finish`",
        also=("COVERALLS_CARRYFORWARD_FLAGS",),
    )
    compare_ref: str | None = row(None, _text, "branch to compare with")
    compare_sha: str | None = row(None, _text, "commit to compare with")
    base_dir: str | None = row(None, _text, "folder removed from the start of names")
    src_dir: str | None = row(None, _text, "folder put before every name")
    include_source: bool = row(False, parse_boolean, "send the source text too", in_help=True)
    merge: tuple[Path, ...] = row(
        (), _paths, "Coveralls JSON files of other tools to add", in_help=True
    )
    dry_run: bool = row(False, parse_boolean, "build and check the job, send nothing", in_help=True)
    save: Path | None = row(
        None, _PATH, "write the job, without the token, to this file", in_help=True
    )
    strict: bool = row(
        False, parse_boolean, "exit status 1 unless the job was accepted", in_help=True
    )
    allow_empty: bool = row(False, parse_boolean, "send a job without files")
    on_partial: str = row(
        "warn",
        _one_of("send", "warn", "skip"),
        "send, warn or skip if not all tests were selected",
        in_help=True,
    )
    on_failure: str = row(
        "send", _one_of("send", "skip"), "send or skip if tests failed", in_help=True
    )
    retries: int = row(2, _retries, "further attempts after a failed one")
    connect_timeout: float = row(10.0, _seconds, "seconds to wait for a connection")
    read_timeout: float = row(30.0, _seconds, "seconds to wait for an answer")
    deadline: float = row(60.0, _seconds, "seconds for all attempts and pauses")
    ca_bundle: Path | None = row(
        None, _PATH, "PEM file or directory of trusted certificates", in_help=True
    )
    skip_ssl_verify: bool = row(False, parse_boolean, "allow unverified TLS or plain http")
    compress: bool = row(True, parse_boolean, "gzip the job")
    changed_lines: bool = row(
        True, parse_boolean, "show how many changed lines are covered", in_help=True
    )
    changed_fail_under: float | None = row(
        None,
        _percent,
        "exit status 1 if fewer changed lines are covered",
        in_help=True,
    )
    annotate: bool = row(
        False, parse_boolean, "GitHub Actions: mark missed changed lines", in_help=True
    )
    wait: float = row(0.0, _wait, "how long to wait for the result of the build", in_help=True)
    gitlab_status: bool = row(False, parse_boolean, "give the commit on GitLab a status")
    gitlab_token: Secret | None = row(
        None, parse_token, "GitLab token that may set a status", accepted_from=("variable",)
    )


OPTIONS: Mapping[str, Option] = {
    name: option for name, option in vars(Settings).items() if isinstance(option, Option)
}


def known_variables() -> frozenset[str]:
    """Return the ``COVERALLS_*`` variables that are read."""
    return frozenset(variable for option in OPTIONS.values() for variable in option.variables)
