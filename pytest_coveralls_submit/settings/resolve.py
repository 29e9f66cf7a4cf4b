"""Texts from flags, variables and files -> checked settings; the strongest layer wins."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from ..errors import SettingsError
from ..secret import Secret
from ..values import is_loopback
from .table import BASE_URL, OPTIONS, PATH, PATHS, SECRET, Kind, Settings, known_variables


class Origin(NamedTuple):
    """Where the value of a setting stands; as a text the way the user would look for it."""

    kind: Literal["flag", "addopts", "variable", "ini", "yml", "token file"]
    name: str
    """Flag, variable or key; of a token file the setting that names it."""
    file: Path | None = None
    """The file that it stands in."""

    def __str__(self) -> str:
        if self.file is None:
            return self.name
        between = " " if self.kind == "token file" else " in "
        return f"{self.name}{between}{self.file.name}"

    @property
    def is_typed(self) -> bool:
        """Whether who runs the tests has given it, not a file that a pull request can change."""
        return self.kind in {"flag", "variable"}


class Text(NamedTuple):
    """A setting's text as somebody wrote it."""

    text: str
    origin: Origin
    folder: Path
    """What a relative file name is relative to."""

    def __repr__(self) -> str:
        return f"<text from {self.origin}>"  # it may be a token


def texts_of_variables(env: Mapping[str, str], folder: Path) -> dict[str, Text]:
    """Return the settings that the environment gives; a blank variable is an unset one."""
    return {
        name: Text(env[variable], Origin("variable", variable), folder)
        for name, option in OPTIONS.items()
        for variable in reversed(option.variables)
        if env.get(variable, "").strip()
    }


def resolve(*layers: Mapping[str, Text]) -> Settings:
    """Return the settings that ``layers`` give, the strongest layer first.

    Args:
        layers: setting name -> text, for instance those of flags, variables, ini, yml.

    Raises:
        SettingsError: a value cannot be used; the message names its source and the remedy.
    """
    found: dict[str, Text] = {}
    for layer in reversed(layers):
        found.update({name: text for name, text in layer.items() if text.text.strip()})
    values = {name: _value(name, text) for name, text in found.items()}
    origins = {name: text.origin for name, text in found.items()}
    token = origins.get("repo_token")
    if "repo_token_file" in found and (token is None or token.kind != "variable"):
        values, origins = _with_token_file(values, origins)
    settings = Settings(values, origins)
    _check_transport_security(settings)
    return settings


def _value(name: str, text: Text) -> Any:
    kind = OPTIONS[name].kind
    try:
        value = kind.read(text.text.strip())
    except (ValueError, TypeError):
        shown = "" if kind is SECRET else f' is "{_harmless(text.text.strip(), kind)[:100]}"'
        raise SettingsError(f"{text.origin}{shown}: it takes {kind.accepts}") from None
    if kind is PATH:
        return _existing(name, text, text.folder / value)
    if kind is PATHS:
        return tuple(_existing(name, text, text.folder / path) for path in value)
    return value


def _harmless(text: str, kind: Kind) -> str:
    """Return a text without what may be a password."""
    return re.sub(r"[^/]*@", "[hidden]@", text) if kind is BASE_URL else text


def _existing(name: str, text: Text, path: Path) -> Path:
    if name != "save" and not path.exists():
        raise SettingsError(f'{text.origin} is "{text.text.strip()}": there is no file {path}')
    if name == "save" and text.text.strip() == "-":
        raise SettingsError(f"{text.origin}: pytest prints there; it takes a file name")
    if name == "save" and path.is_dir():
        raise SettingsError(f"{text.origin}: {path} is a directory, it takes a file name")
    if name == "save" and not path.parent.is_dir():
        raise SettingsError(f"{text.origin}: there is no directory {path.parent}")
    return path


def _with_token_file(
    values: dict[str, Any], origins: dict[str, Origin]
) -> tuple[dict[str, Any], dict[str, Origin]]:
    path, named_by = values["repo_token_file"], str(origins["repo_token_file"])
    try:
        token = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{named_by}: {path} cannot be read: {error}") from None
    if not token:
        return values, origins
    values = {**values, "repo_token": Secret(token)}
    return values, {**origins, "repo_token": Origin("token file", named_by, path)}


def _check_transport_security(settings: Settings) -> None:
    parts = urlsplit(settings.host)
    is_coveralls = (parts.hostname or "").rstrip(".") in {"coveralls.io", "www.coveralls.io"}
    if is_coveralls and settings.skip_ssl_verify:
        raise SettingsError(
            f"{settings.origins['skip_ssl_verify']}: TLS is always verified for coveralls.io; "
            "remove the setting, or use ca_bundle for your own certificate authority"
        )
    allowed = settings.skip_ssl_verify or is_loopback(parts.hostname or "")
    if parts.scheme == "http" and not allowed:
        raise SettingsError(
            f'{settings.origins["host"]} is "{settings.host}": the token would travel in the '
            "clear; use https, or skip_ssl_verify for a host that has none"
        )


def unknown_variables(env: Mapping[str, str]) -> Iterator[str]:
    """Yield a notice for each ``COVERALLS_*`` variable that is not read."""
    import difflib

    known = sorted(known_variables())
    for variable in sorted(env):
        if variable.startswith("COVERALLS_") and variable not in known:
            nearest = difflib.get_close_matches(variable, known, n=1, cutoff=0.0)
            yield f"{variable} is no setting; the nearest is {nearest[0]}"
