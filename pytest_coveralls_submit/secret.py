"""Secrets, and the environment that may hold some: never shown."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from json import dumps
from typing import Any
from urllib.parse import quote

HIDDEN = "[secret]"


class Secret:
    """Hold a text without showing it, in tracebacks too."""

    __slots__ = ("_reveal",)

    def __init__(self, text: str) -> None:
        self._reveal: Callable[[], str] = lambda: text

    def __repr__(self) -> str:
        return HIDDEN

    def reveal(self) -> str:
        """Return the text itself, to be sent."""
        return self._reveal()


class Environment(dict[str, str]):
    """Hold environment variables without showing them."""

    def __repr__(self) -> str:
        return f"<environment of {len(self)} variables>"


def redact(text: str, secrets: Iterable[Secret]) -> str:
    """Replace every secret in ``text``, plain, JSON- or URL-escaped."""
    spellings: set[str] = set()
    for plain in {secret.reveal() for secret in secrets}:
        if len(plain) >= 8:  # noqa: PLR2004  a shorter value may be any word of the output
            spellings |= {plain, dumps(plain)[1:-1], quote(plain, safe="")}
    for spelling in sorted(spellings, key=len, reverse=True):  # one may be the start of another
        text = text.replace(spelling, HIDDEN)
    return text


def redacted(value: Any, secrets: Sequence[Secret]) -> Any:
    """Redact a text, a tuple or a frozen dataclass."""
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple(redacted(member, secrets) for member in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        shown = {
            field.name: redacted(getattr(value, field.name), secrets)
            for field in dataclasses.fields(value)
        }
        return dataclasses.replace(value, **shown)
    return value
