"""Small rules about texts that come from outside; each stands here once."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from itertools import takewhile
from json import loads
from pathlib import Path
from typing import Any

from . import DOCUMENTATION

_PULL_REQUEST = re.compile(r"(?:.*[/#!])?0*([1-9][0-9]{0,17})/?", re.DOTALL)
_COMMIT_ID = re.compile(r"(?!0+$)[0-9a-f]{7,64}")
# Runners look for "##vso[", "##[" and "##teamcity[" anywhere in a line, for "::" at its start:
# microsoft/azure-pipelines-agent: Command.cs, actions/runner: ActionCommand.cs,
# https://www.jetbrains.com/help/teamcity/service-messages.html
_RUNNER_COMMAND = re.compile(r"#(?=#\w*\[)|^\s*:(?=:)")
# An "@" after the host may be the end of a password with a raw slash, question mark or hash in it.
_AFTER = r"(?:[?#][^@]*)?"
_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:(?P<user>[^/?#]*)@)?"
    rf"(?P<address>(?:\[[\w:.%]+\]|[\w.~%-]*)(?::[0-9]*)?(?:/[^@?#]*)?){_AFTER}",
    re.IGNORECASE,
)
_SSH_USER = re.compile(r"[\w.+-]+")
# git@host:path, https://git-scm.com/docs/git-clone#_git_urls
_SCP = re.compile(rf"((?:[\w.+-]+@)?(?:\[[\w:.%]+\]|[\w.-]{{2,}}):[^:@?#]+){_AFTER}")
_INSTALLED = re.compile(r"(?:.*/)?(?:site|dist)-packages/(?P<name>.+)", re.DOTALL)
_PATH = re.compile(rf"((?:[A-Za-z]:(?=[\\/]))?[^:@?#]*){_AFTER}")


def commit_id(text: str | None) -> str | None:
    """Return a commit's id, whole or abbreviated, in lower case; None for anything else.

    Never a name or an option, and not the zeros that stand for no commit.
    """
    found = _COMMIT_ID.fullmatch((text or "").strip().lower())
    return found[0] if found else None


def common_end(one: str, other: str) -> int:
    """Count the components at the end that two paths share."""
    pairs = zip(reversed(one.split("/")), reversed(other.split("/")), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def count_of(number: int, noun: str) -> str:
    """Return a number and its noun: ``1 file``, ``5,000 files``."""
    return f"{number:,} {noun}" + "s" * (number != 1)


def ending(path: str, components: int) -> str:
    """Return the last components of a path."""
    return "/".join(path.rsplit("/", components)[-components:])


def escaped(text: str) -> str:
    r"""Return ``text`` on one line, harmless to terminals and to the runners of CI services.

    Control characters become escapes (``\x1b``), and what a runner would take for a command
    gets a backslash inside (``#\#vso[``).
    """
    if not text.isprintable():
        text = "".join(
            letter if letter.isprintable() else letter.encode("unicode_escape").decode()
            for letter in text
        )
    return _RUNNER_COMMAND.sub(r"\g<0>\\", text)


def group_by_end(paths: Iterable[str]) -> dict[str, list[str]]:
    """Group paths by their last component, and by their last two.

    By two, because there may be thousands of ``__init__.py``.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for path in sorted(paths):
        for end in {ending(path, 1), ending(path, 2)}:
            groups[end].append(path)
    return groups


def installed_name(path: str) -> str | None:
    """Return what follows ``site-packages`` in a path; None without it."""
    found = _INSTALLED.fullmatch(path)
    return found["name"] if found else None


def is_loopback(host: str) -> bool:
    """Tell whether ``host`` names this machine."""
    import ipaddress  # only once something is sent

    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_unicode(text: str) -> bool:
    """Tell whether ``text`` can be encoded: names on disk may hold lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def json_object(text: str) -> dict[str, Any] | None:
    """Return the JSON object that ``text`` is; None where it is none."""
    try:
        value = loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def more_about(anchor: str) -> str:
    """Return where to read about a message, empty without documentation.

    Args:
        anchor: of the message's entry in ``docs/messages.md``.
    """
    return f"more about this: {DOCUMENTATION}/messages.md#{anchor}" if DOCUMENTATION else ""


def message_of(error: BaseException) -> str:
    """Return an exception's message on one line, else its type."""
    return " ".join(str(error).split()) or type(error).__name__


def one_line(error: BaseException) -> str:
    """Return an exception's type and message on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")


def percentage(percent: float) -> str:
    """Return a percentage with two places; 0 and 100 only where they are exact, as coverage.py."""
    if 0 < percent < 100:  # noqa: PLR2004
        percent = min(max(percent, 0.01), 99.99)
    return f"{percent:.2f}"


def public_url(url: str) -> str:
    """Return the address of a repository or page without user, password, query and fragment.

    The user of ``git@host:path`` and ``ssh://git@host/path`` stays: it is part of the address;
    any other may be a token (``https://TOKEN@github.com/...``). What is not plainly free of
    secrets is left out, so that the result is empty: commands and helpers (``ext::...``), raw
    slashes in passwords, an ``@`` in a path.
    """
    url = url.strip()
    if not url.isprintable():
        return ""
    parts = _URL.fullmatch(url)
    if parts is None:
        place = _SCP.fullmatch(url) or _PATH.fullmatch(url)
        return place[1] if place else ""
    scheme, user, address = parts.group("scheme", "user", "address")
    keeps_user = "ssh" in scheme.lower() and _SSH_USER.fullmatch(user or "")
    return f"{scheme}://{user}@{address}" if keeps_user else f"{scheme}://{address}"


def pull_request_number(text: str) -> str | None:
    """Return the trailing integer of a number, a path or a URL (``12``, ``#12``, ``pull/12``).

    None for a word that ends in digits (``v12``, ``MR12``, ``release-2``) and for 0, which no
    pull request has; leading zeros are left out.
    """
    found = _PULL_REQUEST.fullmatch(text)
    return found[1] if found else None


def shorten_list(names: Iterable[str], limit: int = 5) -> str:
    """Return the first names in order, ``...`` for the rest."""
    listed = sorted(names)
    return ", ".join(listed[:limit]) + ", ..." * (len(listed) > limit)


def typed_path(path: Path, start: Path) -> str:
    """Return a path as the user would type it in the directory ``start``."""
    try:
        return str(path.relative_to(start))
    except ValueError:
        return str(path)
