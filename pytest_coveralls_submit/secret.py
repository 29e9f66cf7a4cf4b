"""Values that must never be shown, and the environment that may hold them."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NoReturn
from urllib.parse import quote, quote_plus

HIDDEN = "[secret]"


class Secret:
    """A text that ``repr``, ``str``, formatting, pickling and a listing of locals do not show.

    Args:
        text: the value, not empty.
    """

    __slots__ = ("_reveal",)

    def __init__(self, text: str) -> None:
        self._reveal: Callable[[], str] = lambda: text

    def __repr__(self) -> str:
        return HIDDEN

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")

    def reveal(self) -> str:
        """Return the text itself; for the few lines that put it on the wire."""
        return self._reveal()

    def forms(self) -> Iterator[str]:
        """Yield the text as it may appear in output: plain, JSON-escaped and URL-escaped."""
        text = self.reveal()
        yield text
        for escaped in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
            yield escaped
            yield escaped.replace("/", "\\/")
        for escaped in (quote(text, safe=""), quote_plus(text)):
            yield escaped
            yield re.sub("%..", lambda found: found[0].lower(), escaped)


class Environment(dict[str, str]):
    """A snapshot of environment variables whose ``repr`` shows none of them."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<environment of {len(self)} variables>"


def redact(text: str, secrets: Iterable[Secret]) -> str:
    """Return ``text`` with every form of every secret replaced by ``[secret]``."""
    forms = {form for secret in secrets for form in secret.forms() if form}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    return text


def redacted(value: Any, secrets: Sequence[Secret]) -> Any:
    """Return a text, a tuple, or a frozen dataclass of such, with :func:`redact` done to all."""
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
