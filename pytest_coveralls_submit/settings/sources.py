"""Where settings come from: flags, variables, pytest's ini file and ``.coveralls.yml``."""

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import pytest

from ..errors import SettingsError
from ..secret import Environment, Secret, redact
from ..text import is_loopback
from .table import BOOLEAN, OPTIONS, SHORTEST_TOKEN, TOKEN, Parser, Settings, ini_text

YML = ".coveralls.yml"
# Keys that coverage-reporter and coveralls-python use.
YML_ALIASES = {"endpoint": "host", "coveralls_host": "host", "repo_secret_token": "repo_token"}
NULLS = ("", "~", "null")  # BaseLoader reads them as texts
PREFIX = "COVERALLS_"
# Variables COVERALLS_... that other Coveralls clients read, and that have no counterpart here.
OTHER_CLIENTS = {
    *("RUN_LOCALLY", "DEBUG", "DEVELOPMENT", "SOURCE_HEADER"),
    *("RCFILE", "TIMEOUT", "NOISY", "SILENT"),
}
MAX_FILE = 64 * 1024  # bytes
MAX_QUOTED = 100  # characters: a longer value is not quoted


class Origin(NamedTuple):
    """Name the place of a value, as messages say it."""

    kind: Literal["flag", "variable", "ini", "yml", "token file"]
    name: str
    file: Path | None = None

    def __str__(self) -> str:
        if self.file is None:
            return self.name
        form = "{} ({})" if self.kind == "token file" else "{} in {}"
        return form.format(self.name, self.file.name)


class RawValue(NamedTuple):
    """Hold the text of a setting before it is parsed."""

    text: str  # without space around it
    origin: Origin
    folder: Path  # for relative file names

    def __repr__(self) -> str:
        return f"<text from {self.origin}>"  # it may be a token


def effective_environment(snapshot: Mapping[str, str]) -> Environment:
    """Return the environment of the start with today's ``COVERALLS_*`` variables."""
    # pytest-env and conftest.py may set ours; their changes to others are for the tests.
    theirs = {name: text for name, text in snapshot.items() if not name.startswith(PREFIX)}
    ours = {name: text for name, text in os.environ.items() if name.startswith(PREFIX)}
    return Environment(theirs | ours)


def is_switched_on(config: pytest.Config) -> bool:
    """Return the boolean of the ini key ``coveralls``, or raise SettingsError."""
    origin = Origin("ini", "coveralls", config.inipath)
    return bool(_parse(RawValue(ini_text(config, "coveralls"), origin, config.rootpath), BOOLEAN))


_GATHERED = pytest.StashKey[tuple[dict[str, str], Settings]]()


def gather(
    config: pytest.Config, options: Any, env: Mapping[str, str], *, reads_files: bool = True
) -> Settings:
    """Return the settings of all sources, or raise SettingsError.

    They are kept in the stash, and read anew if our variables have changed.

    Args:
        options: a namespace with the flags' values.
        reads_files: if the ini file and ``.coveralls.yml`` count.
    """
    variables = {name: text for name, text in env.items() if name.startswith(PREFIX)}
    if _GATHERED in config.stash and config.stash[_GATHERED][0] == variables:
        return config.stash[_GATHERED][1]
    start = config.invocation_params.dir
    layers = [_from_flags(options, start), from_variables(env, start)]
    notices: list[str] = []
    if reads_files:
        from_yml, notices = read_yml(config.rootpath)
        layers += [_from_ini(config, options), from_yml]
    settings = resolve(*layers, notices=[*notices, *_unknown_variables(env)])
    config.stash[_GATHERED] = variables, settings
    return settings


def _from_flags(options: Any, folder: Path) -> dict[str, RawValue]:
    return {
        name: RawValue(str(value).strip(), Origin("flag", option.flag), folder)
        for name, option in OPTIONS.items()
        if (value := getattr(options, option.ini, None)) is not None
    }


def from_variables(env: Mapping[str, str], folder: Path) -> dict[str, RawValue]:
    """Return the texts in the environment; ``folder`` is for paths."""
    return {
        name: RawValue(text, Origin("variable", variable), folder)
        for name, option in OPTIONS.items()
        for variable in reversed(option.variables)
        if (text := env.get(variable, "").strip())
    }


def _from_ini(config: pytest.Config, options: Any) -> dict[str, RawValue]:
    overrides = {word.partition("=")[0] for word in getattr(options, "override_ini", None) or ()}
    found = {}
    for name, option in OPTIONS.items():
        if option.in_files:
            origin = Origin("ini", option.ini, config.inipath)
            if option.ini in overrides:
                origin = Origin("flag", f"-o {option.ini}")
            found[name] = RawValue(ini_text(config, option.ini), origin, config.rootpath)
    return found


def _unknown_variables(env: Mapping[str, str]) -> Iterator[str]:
    known = {name.removeprefix(PREFIX) for option in OPTIONS.values() for name in option.variables}
    for variable in sorted(name for name in env if name.startswith(PREFIX)):
        name = variable.removeprefix(PREFIX)
        if name in OTHER_CLIENTS:
            yield f"{variable} is for other Coveralls clients and not needed here"
        elif name not in known:
            yield f"unknown setting {variable}{_suggestion(name, known, PREFIX)}"


def _suggestion(name: str, names: Iterable[str], prefix: str = "") -> str:
    close = difflib.get_close_matches(name, sorted(names), n=1)
    return f"; did you mean {prefix}{close[0]}?" if close else " is ignored"


def read_yml(root: Path) -> tuple[dict[str, RawValue], list[str]]:
    """Return the settings of ``.coveralls.yml`` and notices, or raise SettingsError."""
    path = root / YML
    if not path.is_file():
        return {}, []
    try:
        import yaml
    except ImportError:
        return {}, [f"{YML} is ignored: pip install pytest-coveralls-submit[yaml]"]
    try:
        # BaseLoader makes only texts, lists and dicts.
        return _from_yml(yaml.load(_read_text(path), Loader=yaml.BaseLoader) or {}, path)  # noqa: S506
    except yaml.YAMLError as error:
        # Its message quotes the line, which may hold the token.
        mark = getattr(error, "problem_mark", None)
        place = f", see line {mark.line + 1}" if mark else ""
        raise SettingsError(f"{path} cannot be read: it is not valid YAML{place}") from None


def _from_yml(values: Any, path: Path) -> tuple[dict[str, RawValue], list[str]]:
    if not isinstance(values, dict):
        raise SettingsError(f"{path} cannot be read: it does not hold keys and values")
    names = [name for name, option in OPTIONS.items() if option.in_files]
    found, notices = {}, []
    for key, value in values.items():
        members = value if isinstance(value, list) else [value]
        if not all(isinstance(text, str) for text in (key, *members)):
            raise SettingsError(f"{path} cannot be read: {key} is neither text nor a list of texts")
        name = YML_ALIASES.get(key, key)
        if name not in names:
            notices.append(f"unknown setting {key} in {YML}{_suggestion(key, names)}")
        elif value not in NULLS:
            text = ",".join(members).strip()
            found[name] = RawValue(text, Origin("yml", key, path), path.parent)
    return found, notices


def resolve(*layers: Mapping[str, RawValue], notices: Iterable[str] = ()) -> Settings:
    """Return the settings of layers, strongest first, or raise SettingsError."""
    told = list(notices)
    found: dict[str, RawValue] = {}
    for layer in layers:
        for name, raw in layer.items():
            if name not in found and _counts(name, raw, told):
                found[name] = raw
    file, token = found.get("repo_token_file"), found.get("repo_token")
    if file is not None and (token is None or token.origin.kind != "variable"):
        path = file.folder / file.text
        if os.path.exists(path):  # noqa: PTH110  as below
            origin = Origin("token file", str(file.origin), path)
            raw = RawValue(_read_text(path, f"{file.origin}: ").strip(), origin, path.parent)
            if _counts("repo_token", raw, told):
                found["repo_token"] = raw
        else:  # its name may be the token itself, and is not quoted
            told.append(f"{file.origin} names a file that does not exist, so it gives no token")
    secrets = [Secret(found[name].text) for name in found if OPTIONS[name].parser is TOKEN]
    try:
        settings = Settings({name: _value(name, raw) for name, raw in found.items()})
        settings.origins = {name: raw.origin for name, raw in found.items()}
        settings.notices = tuple(told)
        _check_transport_security(settings)
    except SettingsError as error:
        raise SettingsError(redact(str(error), secrets)) from None
    return settings


def _counts(name: str, raw: RawValue, notices: list[str]) -> bool:
    is_short = OPTIONS[name].parser is TOKEN and len(raw.text) < SHORTEST_TOKEN
    if is_short and (raw.text or raw.origin.kind == "token file"):
        notices.append(f"{raw.origin} is ignored: a token has at least {SHORTEST_TOKEN} characters")
    return bool(raw.text) and not is_short


def _read_text(path: Path, prefix: str = "") -> str:
    try:
        if not path.is_file():
            problem = "it is not a regular file"
        elif path.stat().st_size > MAX_FILE:
            problem = f"it is larger than {MAX_FILE // 1024} KiB"
        else:
            return path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        problem = "it is not UTF-8"
    except OSError as error:
        problem = error.strerror or str(error)
    raise SettingsError(f"{prefix}{path} cannot be read: {problem}")


def _value(name: str, raw: RawValue) -> Any:
    value = _parse(raw, OPTIONS[name].parser)
    if isinstance(value, tuple):
        return tuple(_usable_path(name, raw.folder / path, raw.origin) for path in value)
    is_path = isinstance(value, Path)
    return _usable_path(name, raw.folder / value, raw.origin) if is_path else value


def _parse(raw: RawValue, parser: Parser) -> Any:
    try:
        return parser.parse(raw.text)
    except ValueError:
        # An "@" may follow a password.
        shown = re.sub(".*@", "[hidden]@", raw.text, flags=re.DOTALL)
        quoted = f' is "{shown}"' if parser is not TOKEN and len(shown) <= MAX_QUOTED else ""
        raise SettingsError(f"{raw.origin}{quoted}: expected {parser.accepts}") from None


def _usable_path(name: str, path: Path, origin: Origin) -> Path:
    problem = ""
    if name == "save" and (path.name == "-" or path.is_dir()):
        problem = "expected a file name, not a directory or standard output"
    elif name == "save" and not path.parent.is_dir():
        problem = f"there is no directory {path.parent}"
    # Path.exists raises for a text that cannot be the name of a file.
    elif name in {"ca_bundle", "merge"} and not os.path.exists(path):  # noqa: PTH110
        problem = f"there is no file {path}"
    if problem:
        raise SettingsError(f"{origin}: {problem}")
    return path


def _check_transport_security(settings: Settings) -> None:
    parts = urlsplit(settings.host)
    host = parts.hostname or ""
    if settings.skip_ssl_verify and host.rstrip(".") in {"coveralls.io", "www.coveralls.io"}:
        source = settings.origins["skip_ssl_verify"]
        raise SettingsError(
            f"{source}: TLS is always verified for coveralls.io; set ca_bundle instead"
        )
    if parts.scheme == "http" and not settings.skip_ssl_verify and not is_loopback(host):
        raise SettingsError(
            f'{settings.origins["host"]} is "{settings.host}": the token would be sent '
            "unencrypted; use https, or skip_ssl_verify if the host has none"
        )
