"""Small rules about texts, paths and addresses."""

import ipaddress
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import takewhile
from json import loads
from pathlib import PurePath
from typing import Any

# Runners look for "##vso[", "##[" and "##teamcity[" anywhere in a line, for "::" at its start:
# microsoft/azure-pipelines-agent: Command.cs, actions/runner: ActionCommand.cs,
# https://www.jetbrains.com/help/teamcity/service-messages.html
_RUNNER_COMMAND = re.compile(r"#(?=#\w*\[)|^\s*:(?=:)")
# An "@" in a path may be the end of a password with a raw slash in it.
_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:(?P<user>[^/]*)@)?"
    r"(?P<address>(?:\[[\w:.%]+\]|[\w.~%-]*)(?::[0-9]*)?(?:/[^@]*)?)",
    re.IGNORECASE,
)
# git@host:path, https://git-scm.com/docs/git-clone#_git_urls, or a path
_PLACE = re.compile(
    r"(?:[\w.+-]+@)?(?:\[[\w:.%]+\]|[\w.-]{2,}):[^:@]+|(?:[A-Za-z]:(?=[\\/]))?[^:@]*"
)


def commit_id(text: str | None) -> str | None:
    """Return a commit's id in lower case; zeros are no id."""
    found = re.fullmatch("(?!0+$)[0-9a-f]{7,64}", (text or "").strip().lower())
    return found[0] if found else None


def common_end(one: str, other: str) -> int:
    """Count the components shared by the ends of two paths."""
    pairs = zip(reversed(one.split("/")), reversed(other.split("/")), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def count_of(number: int, noun: str) -> str:
    """Return a number and its noun: ``1 file``, ``5,000 files``."""
    return f"{number:,} {noun}" + "s" * (number != 1)


def ending(path: str, components: int) -> str:
    """Return the last components of a path."""
    return "/".join(path.rsplit("/", components)[-components:])


def escaped(text: str) -> str:
    """Return ``text`` on one line, harmless to terminals and runners."""
    letters = (
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )
    return _RUNNER_COMMAND.sub(r"\g<0>\\", "".join(letters))


def group_by_end(paths: Iterable[str]) -> dict[str, list[str]]:
    """Group paths by their last one and two components."""
    groups: dict[str, list[str]] = defaultdict(list)
    for path in sorted(paths):
        for end in {ending(path, 1), ending(path, 2)}:
            groups[end].append(path)
    return groups


def installed_name(path: str) -> str | None:
    """Return a path's part below ``site-packages``, if any."""
    found = re.fullmatch("(?:.*/)?(?:site|dist)-packages/(.+)", path, re.DOTALL)
    return found[1] if found else None


def is_loopback(host: str) -> bool:
    """Tell if ``host`` names this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_unicode(text: str) -> bool:
    """Tell if ``text`` can be encoded."""
    return text.encode(errors="ignore").decode() == text  # names may hold lone surrogates


def json_object(text: str) -> dict[str, Any] | None:
    """Return the JSON object in a text, if it is one."""
    try:
        value = loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def one_line(error: BaseException) -> str:
    """Return an exception's type and message on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")


def percentage(percent: float) -> str:
    """Return a percentage with two places, as coverage.py."""
    # 0 and 100 only if they are exact.
    if 0 < percent < 100:  # noqa: PLR2004
        percent = min(max(percent, 0.01), 99.99)
    return f"{percent:.2f}"


def public_url(url: str) -> str:
    """Return an address without credentials, query and fragment.

    The user of ``git@host:path`` stays; any other may be a token (``https://TOKEN@github.com``).
    An address that may hold secrets elsewhere becomes empty (``ext::...``).
    """
    url = url.strip()
    place = re.split("[?#]", url, maxsplit=1)[0]
    if not url.isprintable() or "@" in url[len(place) :]:
        return ""
    parts = _URL.fullmatch(place)
    if parts is None:
        return place if _PLACE.fullmatch(place) else ""
    scheme, user, address = parts.group("scheme", "user", "address")
    keeps_user = "ssh" in scheme.lower() and re.fullmatch(r"[\w.+-]+", user or "")
    return f"{scheme}://{user}@{address}" if keeps_user else f"{scheme}://{address}"


def pull_request_number(text: str) -> str | None:
    """Return the integer at the end of a path or URL."""
    # A word that ends in digits (``v12``, ``release-2``) has none.
    found = re.fullmatch("(?:.*[/#!])?0*([1-9][0-9]{0,17})/?", text, re.DOTALL)
    return found[1] if found else None


def shorten_list(texts: Sequence[str], limit: int | None = 5) -> str:
    """Join the first texts and count the rest."""
    rest = f" and {len(texts) - limit} more" if limit and len(texts) > limit else ""
    return ", ".join(texts[:limit]) + rest


def typed_path(path: PurePath, start: PurePath) -> str:
    """Return a path as typed in the directory ``start``.

    With forward slashes: every shell of Windows takes them.
    """
    return (path.relative_to(start) if path.is_relative_to(start) else path).as_posix()
