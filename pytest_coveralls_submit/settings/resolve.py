"""Texts from flags, variables and files -> checked settings; the strongest layer wins."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ..errors import SettingsError
from ..secret import Secret
from ..values import is_loopback
from .table import BASE_URL, OPTIONS, PATH, PATHS, SECRET, Kind, Settings, known_variables


class Text(NamedTuple):
    """A setting's text as somebody wrote it."""

    text: str
    source: str
    """Flag, variable, or key and file, as the user would look for it."""
    folder: Path
    """What a relative file name is relative to."""

    def __repr__(self) -> str:
        return f"<text from {self.source}>"  # it may be a token


def texts_of_variables(env: Mapping[str, str], folder: Path) -> dict[str, Text]:
    """Return the settings that the environment gives; a blank variable is an unset one."""
    return {
        name: Text(env[variable], variable, folder)
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
    sources = {name: text.source for name, text in found.items()}
    if "repo_token_file" in found and not sources.get("repo_token", "").startswith("COVERALLS_"):
        values, sources = _with_token_file(values, sources)
    settings = Settings(values, sources)
    _check_transport_security(settings)
    return settings


def _value(name: str, text: Text) -> Any:
    kind = OPTIONS[name].kind
    try:
        value = kind.read(text.text.strip())
    except (ValueError, TypeError):
        shown = "" if kind is SECRET else f' is "{_harmless(text.text.strip(), kind)[:100]}"'
        raise SettingsError(f"{text.source}{shown}: it takes {kind.accepts}") from None
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
        raise SettingsError(f'{text.source} is "{text.text.strip()}": there is no file {path}')
    if name == "save" and text.text.strip() == "-":
        raise SettingsError(f"{text.source}: pytest prints there; it takes a file name")
    if name == "save" and path.is_dir():
        raise SettingsError(f"{text.source}: {path} is a directory, it takes a file name")
    if name == "save" and not path.parent.is_dir():
        raise SettingsError(f"{text.source}: there is no directory {path.parent}")
    return path


def _with_token_file(
    values: dict[str, Any], sources: dict[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    path, source = values["repo_token_file"], sources["repo_token_file"]
    try:
        token = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{source}: {path} cannot be read: {error}") from None
    if not token:
        return values, sources
    values = {**values, "repo_token": Secret(token)}
    return values, {**sources, "repo_token": f"{source} {path.name}"}


def _check_transport_security(settings: Settings) -> None:
    parts = urlsplit(settings.host)
    source = settings.sources.get("host", "host")
    is_coveralls = (parts.hostname or "").rstrip(".") in {"coveralls.io", "www.coveralls.io"}
    if is_coveralls and settings.skip_ssl_verify:
        raise SettingsError(
            f"{settings.sources['skip_ssl_verify']}: TLS is always verified for coveralls.io; "
            "remove the setting, or use ca_bundle for your own certificate authority"
        )
    allowed = settings.skip_ssl_verify or is_loopback(parts.hostname or "")
    if parts.scheme == "http" and not allowed:
        raise SettingsError(
            f'{source} is "{settings.host}": the token would travel in the clear; use https, '
            "or skip_ssl_verify for a host that has none"
        )


def unknown_variables(env: Mapping[str, str]) -> Iterator[str]:
    """Yield a notice for each ``COVERALLS_*`` variable that is not read."""
    import difflib

    known = sorted(known_variables())
    for variable in sorted(env):
        if variable.startswith("COVERALLS_") and variable not in known:
            nearest = difflib.get_close_matches(variable, known, n=1, cutoff=0.0)
            yield f"{variable} is no setting; the nearest is {nearest[0]}"
