"""Reads ``.coveralls.yml``, where the extra ``yaml`` is installed: texts and flat lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

from ..errors import SettingsError
from .origin import Origin
from .resolve import Text
from .table import OPTIONS, YML_ALIASES

NAME = ".coveralls.yml"
SIZE = 64 * 1024
"""Bytes that it may have."""
NOTICES, SHOWN = 5, 100
"""Unknown keys that are named, and their letters."""
NULL = frozenset({"", "~", "null", "Null", "NULL"})


def texts(root: Path) -> tuple[dict[str, Text], list[str]]:
    """Return the settings in ``root``'s ``.coveralls.yml`` and what is worth telling of it.

    Raises:
        SettingsError: it is no YAML file of keys with texts or flat lists.
    """
    path = root / NAME
    if not path.exists():
        return {}, []
    try:
        import yaml
    except ImportError:
        return {}, [f"{NAME} is not read: pip install pytest-coveralls-submit[yaml]"]
    try:
        return _known(dict(_pairs(_read(path), yaml)), root)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(f"{path} cannot be read: {reason}") from None
    except yaml.YAMLError as error:
        # Its own words quote the line, where the token may stand.
        mark = getattr(error, "problem_mark", None)
        where = f", see line {mark.line + 1}" if mark is not None else ""
        raise SettingsError(f"{path} cannot be read: it is no YAML{where}") from None


def _read(path: Path) -> str:
    if not path.is_file():
        raise ValueError("it is no regular file")
    with path.open("rb") as file:
        content = file.read(SIZE + 1)
    if len(content) > SIZE:
        raise ValueError(f"it is larger than {SIZE // 1024} KiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None


def _pairs(content: str, yaml: Any) -> Iterator[tuple[str, str]]:
    """Yield each key with its text, a list joined by commas; a null is an empty text.

    Takes event by event and stops at the first that is nested or refers to another: a document
    that is put together first can be endlessly deep, or multiply while it is.
    """
    events = yaml.parse(content, yaml.SafeLoader)
    next(events)  # the start of the stream; then that of a document
    if isinstance(next(events), yaml.StreamEndEvent):
        return
    first = next(events)
    if isinstance(first, yaml.MappingStartEvent) and first.tag is None:
        while not isinstance(key := next(events), yaml.MappingEndEvent):
            value = next(events)
            if isinstance(value, yaml.SequenceStartEvent) and value.tag is None:
                members = takewhile(lambda it: not isinstance(it, yaml.SequenceEndEvent), events)
                yield _text(key, yaml), ",".join(_text(member, yaml) for member in members)
            else:
                yield _text(key, yaml), _text(value, yaml)
    elif not isinstance(first, yaml.ScalarEvent) or _text(first, yaml):
        raise ValueError("it does not hold keys and values")
    if any(isinstance(event, yaml.DocumentStartEvent) for event in events):
        raise ValueError("it holds more than one document")


def _text(event: Any, yaml: Any) -> str:
    if not isinstance(event, yaml.ScalarEvent) or event.tag is not None:
        line = event.start_mark.line + 1
        raise ValueError(f"line {line} holds something else than a text or a flat list of texts")
    is_null = event.style is None and event.value in NULL
    return "" if is_null else str(event.value)


def _known(content: Mapping[str, str], root: Path) -> tuple[dict[str, Text], list[str]]:
    found: dict[str, Text] = {}
    notices = []
    for key, text in content.items():
        name = YML_ALIASES.get(key, key)
        if name not in OPTIONS or "yml" not in OPTIONS[name].accepted_from:
            notices.append(f"{key[:SHOWN]} in {NAME} is no setting")
        elif text:
            found[name] = Text(text, Origin("yml", key, root / NAME), root)
    more = [f"and {len(notices) - NOTICES} more of them"] if len(notices) > NOTICES else []
    return found, [*notices[:NOTICES], *more]
