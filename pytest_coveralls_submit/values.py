"""Small rules about texts that come from outside; each stands here once."""

from __future__ import annotations

import re
from json import loads
from typing import Any

_COMMIT_ID = re.compile(r"(?!0+$)[0-9a-f]{7,64}")
# Runners look for "##vso[", "##[" and "##teamcity[" anywhere in a line, for "::" at its start:
# microsoft/azure-pipelines-agent: Command.cs, actions/runner: ActionCommand.cs,
# https://www.jetbrains.com/help/teamcity/service-messages.html
_RUNNER_COMMAND = re.compile(r"#(?=#\w*\[)|^\s*:(?=:)")


def commit_id(text: str | None) -> str | None:
    """Return a commit's id, whole or abbreviated, in lower case; None for anything else.

    Never a name or an option, and not the zeros that stand for no commit.
    """
    found = _COMMIT_ID.fullmatch((text or "").strip().lower())
    return found[0] if found else None


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


def is_loopback(host: str) -> bool:
    """Tell whether ``host`` names this machine."""
    import ipaddress  # only once something is sent

    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def json_object(text: str) -> dict[str, Any] | None:
    """Return the JSON object that ``text`` is; None where it is none."""
    try:
        value = loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def one_line(error: BaseException) -> str:
    """Return an exception's type and message on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
