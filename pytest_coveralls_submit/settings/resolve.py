"""Texts from flags, variables and files -> checked settings; the strongest layer wins."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from ..errors import SettingsError
from ..secret import Secret, redact
from ..text import is_loopback
from .kinds import read_token, reading
from .origin import Origin
from .table import COVERALLS, OPTIONS, SECRET, Settings, known_variables

TOKEN_FILE_SIZE = 8192
"""Bytes that a token file may have: twice the longest token."""


OF_ENVIRONMENT = ("variable", "plugin")


class Text(NamedTuple):
    """A setting's text as somebody wrote it."""

    text: str
    origin: Origin
    folder: Path
    """What a relative file name is relative to."""

    def __repr__(self) -> str:
        return f"<text from {self.origin}>"  # it may be a token


def texts_of_variables(
    env: Mapping[str, str], folder: Path, before: Mapping[str, str] | None = None
) -> dict[str, Text]:
    """Return the settings that the environment gives; a blank variable is an unset one.

    Args:
        env: of session start.
        folder: what relative file names are relative to.
        before: the environment before plugins could set variables by what a file says; by default
            the same.
    """
    first = env if before is None else before
    return {
        name: Text(env[variable], Origin(_kind(variable, env, first), variable), folder)
        for name, option in OPTIONS.items()
        for variable in reversed(option.variables)
        if env.get(variable, "").strip()
    }


def _kind(
    variable: str, env: Mapping[str, str], before: Mapping[str, str]
) -> Literal["variable", "plugin"]:
    return "variable" if env[variable] == before.get(variable) else "plugin"


def token_in(path: Path) -> Secret | None:
    """Return what a token file holds, without the space around it; None if that is nothing.

    Raises:
        OSError: it is neither a file nor a pipe, holds too much, or cannot be read.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISFIFO(mode):
        raise OSError("it is neither a file nor a pipe")
    with path.open("rb") as file:
        content = file.read(TOKEN_FILE_SIZE + 1)
    if len(content) > TOKEN_FILE_SIZE:
        raise OSError("it is longer than a token")
    text = content.decode("utf-8-sig", "replace").strip()
    return Secret(text) if text else None


def resolve(
    *layers: Mapping[str, Text],
    hidden: Iterable[Secret] = (),
    token_in: Callable[[Path], Secret | None] = token_in,
) -> Settings:
    """Return the settings that ``layers`` give, the strongest layer first.

    Args:
        layers: setting name -> text, for instance those of flags, variables, ini, yml.
        hidden: what no message may quote, beside the tokens among the settings.
        token_in: reads a token file.

    Raises:
        SettingsError: a value cannot be used; the message names its origin and the remedy.
    """
    found: dict[str, Text] = {}
    for layer in reversed(layers):
        found.update({name: text for name, text in layer.items() if text.text.strip()})
    secrets = [*hidden, *_secrets(layers)]
    values: dict[str, Any] = {}
    origins = {name: text.origin for name, text in found.items()}
    token = origins.get("repo_token")
    if token is not None and token.file is not None:
        _check_whose_word(found["repo_token"], token.file, found.get("host"))
    if "repo_token_file" in found and (token is None or token.kind not in OF_ENVIRONMENT):
        named_by, path = found["repo_token_file"], _value("repo_token_file", found, secrets)
        _check_whose_word(named_by, path, found.get("host"))
        secret = _token_of_file(named_by.origin, path, token_in)
        if secret is not None:
            secrets.append(secret)
            found.pop("repo_token", None)
            values["repo_token"] = secret
            origins["repo_token"] = Origin("token file", str(named_by.origin), path)
    values |= {name: _value(name, found, secrets) for name in found}
    if "save" in found:
        _check_where_to(found["save"], values["save"])
    settings = Settings(values, origins)
    _check_transport_security(settings, secrets)
    return settings


def _secrets(layers: Iterable[Mapping[str, Text]]) -> Iterator[Secret]:
    for layer in layers:
        for name, text in layer.items():
            if OPTIONS[name].kind is SECRET and text.text.strip():
                yield Secret(text.text.strip())


def _value(name: str, found: Mapping[str, Text], secrets: Sequence[Secret]) -> Any:
    kind, text = OPTIONS[name].kind, found[name]
    stripped = text.text.strip()
    read, shown_of, complaint_of = reading(kind)
    try:
        value = read(stripped)
    except (ValueError, TypeError):
        shown = redact(shown_of(stripped), secrets)[:100]
        quoted = f' is "{shown}"' if shown else ""
        raise SettingsError(f"{text.origin}{quoted}: it takes {kind.accepts}") from None
    if complaint_of is None:
        return value
    paths = tuple(text.folder / path for path in (value if isinstance(value, tuple) else [value]))
    for path in paths:
        if complaint := complaint_of(path):
            raise SettingsError(f"{text.origin}: {redact(complaint, secrets)}")
    return paths if isinstance(value, tuple) else paths[0]


def _check_whose_word(named_by: Text, path: Path, host: Text | None) -> None:
    """Refuse to send what a repository's files say of a user's file to where they say.

    One line in a home directory or of a system may be a secret of anything; a link is followed.
    """
    if host is None or host.origin.is_typed or named_by.origin.is_typed:
        return
    is_public = host.text.strip().rstrip("/").lower() in {COVERALLS, urlsplit(COVERALLS).netloc}
    folder = os.path.realpath(named_by.folder)
    if not is_public and not _is_below(path, folder):
        raise SettingsError(
            f"{named_by.origin}: {path} lies outside of {folder}, and is not sent to a host that a "
            f"file names ({host.origin}); set COVERALLS_REPO_TOKEN_FILE or COVERALLS_HOST"
        )


def _check_where_to(named_by: Text, path: Path) -> None:
    """Refuse to write where a repository's files say, outside of it or into what git keeps there.

    Who commits them could have any file of the user replaced.
    """
    folder = os.path.realpath(named_by.folder)
    is_kept = ".git" in Path(os.path.realpath(path)).parts
    if not named_by.origin.is_typed and (is_kept or not _is_below(path, folder)):
        raise SettingsError(
            f"{named_by.origin}: {path} lies outside of {folder}, and a file may not name such a "
            "target; use --coveralls-save or COVERALLS_SAVE"
        )


def _is_below(path: Path, folder: str) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(folder)


def _token_of_file(
    named_by: Origin, path: Path, token_in: Callable[[Path], Secret | None]
) -> Secret | None:
    try:
        secret = token_in(path)
        return secret and read_token(secret.reveal())
    except OSError as error:
        reason = error.strerror or error
        raise SettingsError(f"{named_by}: {path} cannot be read: {reason}") from None
    except ValueError:
        what = f"{path} does not hold a token"
        raise SettingsError(f"{named_by}: {what}; that is {SECRET.accepts}") from None


def _check_transport_security(settings: Settings, secrets: Sequence[Secret]) -> None:
    parts, shown = urlsplit(settings.host), redact(settings.host, secrets)
    is_coveralls = (parts.hostname or "").rstrip(".") in {"coveralls.io", "www.coveralls.io"}
    if is_coveralls and settings.skip_ssl_verify:
        raise SettingsError(
            f"{settings.origins['skip_ssl_verify']}: TLS is always verified for coveralls.io; "
            "remove the setting, or use ca_bundle for your own certificate authority"
        )
    allowed = settings.skip_ssl_verify or is_loopback(parts.hostname or "")
    if parts.scheme == "http" and not allowed:
        raise SettingsError(
            f'{settings.origins["host"]} is "{shown}": the token would travel in the clear; '
            "use https, or skip_ssl_verify for a host that has none"
        )


def unknown_variables(env: Mapping[str, str]) -> Iterator[str]:
    """Yield a notice for each ``COVERALLS_*`` variable that is not read."""
    import difflib

    known = sorted(known_variables())
    for variable in sorted(env):
        if variable.startswith("COVERALLS_") and variable not in known:
            nearest = difflib.get_close_matches(variable, known, n=1, cutoff=0.0)
            yield f"{variable} is no setting; the nearest is {nearest[0]}"
