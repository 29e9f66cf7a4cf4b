"""The settings: one row each gives flag, ini key, variable, type, default and help.

Every run of pytest loads it, so it imports nothing of ours: ``kinds`` turns texts into values,
others say where texts come from.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from pathlib import Path

    from ..secret import Secret
    from .origin import Origin

COVERALLS = "https://coveralls.io"
EVERYWHERE = ("flag", "variable", "ini", "yml")
# Keys of .coveralls.yml that other clients use: coverage-reporter, coveralls-python.
YML_ALIASES = {"endpoint": "host", "coveralls_host": "host", "repo_secret_token": "repo_token"}


class Kind:
    """What a setting takes, in words; how it is read stands in ``kinds``."""

    __slots__ = ("accepts", "metavar", "words")

    def __init__(self, accepts: str, metavar: str, words: tuple[str, ...] = ()) -> None:
        self.accepts = accepts
        self.metavar = metavar
        self.words = words


class Option:
    """One row of the table of settings: an attribute of :class:`Settings` that says all about it.

    A descriptor, not a dataclass field: a class of forty dataclass fields costs 8 ms to import,
    and an installed plugin is imported in every pytest run.
    """

    def __init__(
        self,
        default: Any,
        kind: Kind,
        help: str,  # noqa: A002  the name that argparse and pytest use for it
        also: tuple[str, ...],
        accepted_from: tuple[str, ...],
    ) -> None:
        self.name = ""
        self.default = default
        self.kind = kind
        self.help = help
        self.also = also
        self.accepted_from = accepted_from

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, settings: Settings | None, owner: type) -> Any:
        return self if settings is None else settings.values.get(self.name, self.default)

    def __set__(self, settings: Settings, value: object) -> NoReturn:
        raise AttributeError(f"settings do not change: {self.name}")

    @property
    def flag(self) -> str:
        """The command line flag: ``base_dir`` -> ``--coveralls-base-dir``."""
        return "--coveralls-" + self.name.replace("_", "-")

    @property
    def ini(self) -> str:
        """The ini key: ``base_dir`` -> ``coveralls_base_dir``."""
        return f"coveralls_{self.name}"

    def arguments(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield flags and their keywords for argparse.

        A boolean has a second flag for the opposite; that of a secret says that there is none.
        """
        text = f"{self.help} [{', '.join(self.variables)}]"
        if "flag" not in self.accepted_from:
            yield self.flag, {"dest": self.ini, "type": self._refuse, "help": argparse.SUPPRESS}
        elif self.kind is BOOLEAN:
            constant = {"dest": self.ini, "action": "store_const"}
            yield self.flag, {**constant, "const": "true", "help": text}
            no = self.flag.replace("--", "--no-", 1)
            yield no, {**constant, "const": "false", "help": f"the opposite of {self.flag}"}
        else:
            yield self.flag, {"dest": self.ini, "metavar": self.kind.metavar, "help": text}

    def _refuse(self, _: str) -> NoReturn:
        """Stop at a secret on the command line, which argparse and pytest would quote."""
        raise argparse.ArgumentTypeError(
            f"everybody can read it on a command line; set {self.variables[0]}"
        )

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables, the strongest first."""
        return (f"COVERALLS_{self.name.upper()}", *self.also)


TEXT = Kind("any text", "TEXT")
BOOLEAN = Kind("1/true/yes/on or 0/false/no/off", "BOOL")
BASE_URL = Kind("a URL like https://coveralls.example.com or a host name", "URL")
LINK = Kind("the URL of a page, without user and password", "URL")
PULL_REQUEST = Kind("a number, or a path or URL that ends in one", "NUMBER")
COMMIT = Kind("a commit id of 7 to 64 hexadecimal digits", "SHA")
TIME = Kind("a time like 2026-02-18T00:52:48+01:00", "TIME")
SECONDS = Kind("a number of seconds above 0", "SECONDS")
WAIT = Kind("a number of seconds from 0 to 86400", "SECONDS")
PERCENT = Kind("a number from 0 to 100", "PERCENT")
RETRIES = Kind("a whole number from 0 to 10", "COUNT")
PATH = Kind("a file name", "PATH")
PATHS = Kind("file names separated by commas", "PATHS")
TARGET = Kind("a file name", "PATH")
TOKEN_FILE = Kind("a file name", "PATH")
SECRET = Kind("one line of 1 to 4,096 visible ASCII characters", "TOKEN")


def one_of(*words: str) -> Kind:
    """Make the kind that accepts one of ``words``, in any case."""
    return Kind(", ".join(words[:-1]) + f" or {words[-1]}", "WORD", words)


def row(
    default: Any,
    kind: Kind,
    help: str,  # noqa: A002  as above
    *,
    also: tuple[str, ...] = (),
    accepted_from: tuple[str, ...] = EVERYWHERE,
) -> Any:
    """Declare a setting; typed so that the attribute has the type of its annotation."""
    return Option(default, kind, help, also, accepted_from)


class Settings:
    """Every setting with its value; ``origins`` says where those come from that were set.

    Args:
        values: setting name -> value, for the settings that have another value than the default.
        origins: setting name -> where its value stands.
    """

    def __init__(
        self, values: Mapping[str, Any] | None = None, origins: Mapping[str, Origin] | None = None
    ) -> None:
        self.values = dict(values or {})
        self.origins: Mapping[str, Origin] = dict(origins or {})

    def typed_alone(self, names: Collection[str]) -> Settings:
        """Return these settings without what files say of ``names``."""
        kept = {
            name: origin
            for name, origin in self.origins.items()
            if name not in names or origin.is_typed
        }
        dropped = self.origins.keys() - kept.keys()
        values = {name: value for name, value in self.values.items() if name not in dropped}
        return Settings(values, kept)

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The tokens among them, which must not be shown."""
        named = (name for name, option in OPTIONS.items() if option.kind is SECRET)
        return tuple(self.values[name] for name in named if self.values.get(name))

    host: str = row(
        COVERALLS, BASE_URL, "Coveralls or Enterprise base URL", also=("COVERALLS_ENDPOINT",)
    )
    repo_token: Secret | None = row(
        None,
        SECRET,
        "secret token of the repository",
        also=("COVERALLS_TOKEN",),
        accepted_from=("variable", "ini", "yml"),
    )
    repo_token_file: Path | None = row(None, TOKEN_FILE, "file that holds the token")
    service_name: str | None = row(None, TEXT, "name of the CI service; detected")
    service_number: str | None = row(
        None, TEXT, "number of the build, the same for all its jobs; detected"
    )
    service_job_id: str | None = row(
        None, TEXT, "id of the CI job, unique within the build; detected"
    )
    service_job_number: str | None = row(None, TEXT, "label of the CI job; detected")
    service_build_url: str | None = row(None, LINK, "link to the build; detected")
    service_job_url: str | None = row(None, LINK, "link to the CI job; detected")
    service_attempt: str | None = row(None, TEXT, "attempt of a build that was run again; detected")
    service_pull_request: str | None = row(
        None, PULL_REQUEST, "number of the pull request; detected", also=("COVERALLS_PULL_REQUEST",)
    )
    service_branch: str | None = row(
        None, TEXT, "name of the branch; detected", also=("COVERALLS_GIT_BRANCH",)
    )
    service_event_type: str | None = row(
        None, TEXT, "what started the build", also=("COVERALLS_EVENT_TYPE",)
    )
    commit_sha: str | None = row(
        None, COMMIT, "commit that was tested; detected", also=("COVERALLS_GIT_COMMIT",)
    )
    repo_name: str | None = row(None, TEXT, "owner/repo; detected, and sent with a GitHub token")
    run_at: str | None = row(None, TIME, "when the tests ran; the start of the session")
    flag_name: str | None = row(
        None,
        TEXT,
        "name of this job within the build; may hold {python} {os} {arch} {toxenv} {job} "
        "{node_index}",
    )
    parallel: bool = row(False, BOOLEAN, "keep the build open until `finish`")
    carryforward: str | None = row(
        None,
        TEXT,
        "flags whose last coverage is kept, for `finish`",
        also=("COVERALLS_CARRYFORWARD_FLAGS",),
    )
    compare_ref: str | None = row(None, TEXT, "branch to compare with")
    compare_sha: str | None = row(None, TEXT, "commit to compare with")
    base_dir: str | None = row(None, TEXT, "folder removed from the start of every name")
    src_dir: str | None = row(None, TEXT, "folder put before every name")
    include_source: bool = row(False, BOOLEAN, "send the source text too")
    merge: tuple[Path, ...] = row(
        (), PATHS, "Coveralls JSON files of other tools whose source files are added"
    )
    dry_run: bool = row(False, BOOLEAN, "build and check the job, send nothing")
    save: Path | None = row(None, TARGET, "write the job, without the token, to this file")
    strict: bool = row(False, BOOLEAN, "exit status 1 unless the job was accepted")
    allow_empty: bool = row(False, BOOLEAN, "send a job without files")
    on_partial: str = row(
        "warn", one_of("send", "warn", "skip"), "what to do when not all tests were selected"
    )
    on_failure: str = row("send", one_of("send", "skip"), "what to do when tests failed")
    retries: int = row(2, RETRIES, "further attempts after a failed one")
    connect_timeout: float = row(10.0, SECONDS, "seconds to wait for a connection")
    read_timeout: float = row(30.0, SECONDS, "seconds to wait for an answer")
    deadline: float = row(60.0, SECONDS, "seconds for the whole sending, waits included")
    ca_bundle: Path | None = row(None, PATH, "PEM file or directory of trusted certificates")
    skip_ssl_verify: bool = row(
        False, BOOLEAN, "allow unverified TLS or plain http; never for coveralls.io"
    )
    compress: bool = row(True, BOOLEAN, "gzip the job")
    changed_lines: bool = row(True, BOOLEAN, "show how many of the changed lines are covered")
    changed_fail_under: float | None = row(
        None, PERCENT, "percent; exit status 1 when fewer of the changed lines are covered"
    )
    annotate: bool = row(
        False, BOOLEAN, "GitHub Actions: mark the missed changed lines, 10 at most"
    )
    wait: float = row(0.0, WAIT, "seconds to wait for Coveralls' own result of the build")
    gitlab_status: bool = row(
        False, BOOLEAN, "give the commit on GitLab a status with coverage and link"
    )
    gitlab_token: Secret | None = row(
        None, SECRET, "token that may set a commit's status on GitLab", accepted_from=("variable",)
    )


OPTIONS: Mapping[str, Option] = {
    name: option for name, option in vars(Settings).items() if isinstance(option, Option)
}


def known_variables() -> frozenset[str]:
    """Return the ``COVERALLS_*`` variables that are read."""
    return frozenset(variable for option in OPTIONS.values() for variable in option.variables)
