"""How the text of each kind of setting becomes its value, and what may be said of one that cannot.

Loaded once the plugin is switched on; what each kind accepts, in words, stands in ``table``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ..secret import Secret
from ..text import commit_id, public_url, pull_request_number
from . import table
from .table import Kind

TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"0", "false", "no", "off"})


class Reading(NamedTuple):
    """How the text of a setting becomes its value."""

    read: Callable[[str], Any]
    """Raises ValueError for what it does not take."""
    shown: Callable[[str], str] = str
    """What a message may quote of a text."""
    complaint: Callable[[Path], str] | None = None
    """What is wrong with the file of that name, empty if nothing is; None where it is no file."""


def reading(kind: Kind) -> Reading:
    """Return how settings of ``kind`` are read."""
    return Reading(read_word(kind)) if kind.words else READINGS[kind]


def read_text(text: str) -> str:
    """Read a text; raise ValueError where it is no Unicode, which no job can hold."""
    text.encode()
    return text


def read_boolean(text: str) -> bool:
    """Read 1/true/yes/on or 0/false/no/off, in any case; raise ValueError for anything else."""
    word = text.lower()
    if word not in TRUE | FALSE:
        raise ValueError(text)
    return word in TRUE


def read_base_url(text: str) -> str:
    """Read a base URL; a bare host name means https, a path prefix is kept.

    Raises:
        ValueError: not http(s), or with a user, a query or a fragment.
    """
    parts = urlsplit(text if "://" in text else f"https://{text}")
    unwanted = "@" in parts.netloc or parts.query or parts.fragment
    if parts.scheme not in {"http", "https"} or not parts.hostname or unwanted:
        raise ValueError(text)
    if not re.fullmatch(r"[A-Za-z0-9._:-]+", parts.hostname) or re.search(r"\s|\\", text):
        raise ValueError(text)
    _ = parts.port  # raises ValueError where it is none
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def read_pull_request(text: str) -> str:
    """Read the trailing integer of a number, a path or a URL."""
    number = pull_request_number(text)
    if number is None:
        raise ValueError(text)
    return number


def read_commit(text: str) -> str:
    """Read a commit id of 7 to 64 hexadecimal digits, which are not all zeros."""
    commit = commit_id(text)
    if commit is None:
        raise ValueError(text)
    return commit


def read_time(text: str) -> str:
    """Read a point in time that both RFC 3339 and Coveralls (Ruby) understand."""
    try:
        # The form of Coveralls' own example: https://docs.coveralls.io/api-jobs-endpoint
        datetime.strptime(text, "%Y-%m-%d %H:%M:%S %z")
    except ValueError:
        if datetime.fromisoformat(re.sub("[Zz]$", "+00:00", text)).tzinfo is None:
            raise
    return text


def read_seconds(text: str) -> float:
    """Read a number of seconds above zero, at most a day."""
    if float(text) == 0:
        raise ValueError(text)
    return read_wait(text)


def read_wait(text: str) -> float:
    """Read a number of seconds, at most a day."""
    return _number(text, 86400)


def read_percent(text: str) -> float:
    """Read a number from 0 to 100, with or without the sign."""
    return _number(text.removesuffix("%"), 100)


def _number(text: str, most: float) -> float:
    number = float(text)
    if not 0 <= number <= most:  # also refuses "nan" and "inf"
        raise ValueError(text)
    return number


def read_retries(text: str) -> int:
    """Read a number of further attempts, 0 to 10."""
    if not re.fullmatch("[0-9]|10", text):
        raise ValueError(text)
    return int(text)


def read_link(text: str) -> str:
    """Read the address of a page; user and password are left out, a query stays."""
    address, mark, query = text.partition("?")
    link = public_url(address)
    if not link or "@" in query:
        raise ValueError(text)
    return f"{link}{mark}{query}"


def read_paths(text: str) -> tuple[Path, ...]:
    """Read file names separated by commas or line ends."""
    return tuple(Path(part.strip()) for part in re.split("[,\n]", text) if part.strip())


def read_token(text: str) -> Secret:
    """Read a token: what a header, a URL or a line of a log can hold, and no whole file."""
    if not re.fullmatch("[!-~]{1,4096}", text):
        raise ValueError(text)
    return Secret(text)


def read_word(kind: Kind) -> Callable[[str], str]:
    """Return what reads one of the words of ``kind``, in any case."""

    def read(text: str) -> str:
        if text.lower() not in kind.words:
            raise ValueError(text)
        return text.lower()

    return read


def missing(path: Path) -> str:
    """Complain of a file that is to be read; Path.exists raises for a name that can be none."""
    return "" if os.path.exists(path) else f"there is no file {path}"  # noqa: PTH110


def missing_token_file(path: Path) -> str:
    """Complain of a token file; what is no file's name may be the token itself."""
    return "there is no file of that name" if missing(path) else ""


def unwritable(path: Path) -> str:
    """Complain of a file that is to be written."""
    if path.name == "-":
        return "pytest prints there; it takes a file name"
    if path.is_dir():
        return f"{path} is a directory, it takes a file name"
    return "" if path.parent.is_dir() else f"there is no directory {path.parent}"


def nothing(_: str) -> str:
    """Quote nothing of a text that may be secret."""
    return ""


def without_password(text: str) -> str:
    """Quote a URL without what may be a password."""
    return re.sub(r"[^/]*@", "[hidden]@", text)


READINGS: Mapping[Kind, Reading] = {
    table.TEXT: Reading(read_text),
    table.BOOLEAN: Reading(read_boolean),
    table.BASE_URL: Reading(read_base_url, without_password),
    table.LINK: Reading(read_link, nothing),
    table.PULL_REQUEST: Reading(read_pull_request),
    table.COMMIT: Reading(read_commit),
    table.TIME: Reading(read_time),
    table.SECONDS: Reading(read_seconds),
    table.WAIT: Reading(read_wait),
    table.PERCENT: Reading(read_percent),
    table.RETRIES: Reading(read_retries),
    table.PATH: Reading(Path, complaint=missing),
    table.PATHS: Reading(read_paths, complaint=missing),
    table.TARGET: Reading(Path, complaint=unwritable),
    table.TOKEN_FILE: Reading(Path, nothing, missing_token_file),
    table.SECRET: Reading(read_token, nothing),
}
