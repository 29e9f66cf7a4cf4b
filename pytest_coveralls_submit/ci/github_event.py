"""The files that CI services name in their variables: GitHub's event, TeamCity's parameters.

Raises nothing: what is wrong with a file becomes a problem to tell.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

More: TypeAlias = "tuple[dict[str, str], tuple[str, ...]]"
_LARGEST_FILE = 32 * 1024 * 1024
"""Bytes; GitHub's own limit for an event is 25 MB."""
_EVENTS_ON_THE_BASE = ("pull_request_target", "workflow_run")


def github_event(env: Mapping[str, str], names: Iterable[str]) -> More:
    """Return the value of the event file for each ``event.a.b`` of the names.

    Where GITHUB_SHA and GITHUB_REF are those of the target branch they are blank.
    """
    path = env.get("GITHUB_EVENT_PATH", "").strip()
    event, problems = _load(path, json.loads)
    if not problems and path and not isinstance(event, dict):
        problems = (f"the file {path!r} holds no JSON object",)
    if (run := _run_before(event)) is not None:
        event = {**event, "workflow_run": run}
    wanted = (name for name in names if name.startswith("event."))
    said = {name: text for name in wanted if (text := _dig({"event": event}, name)) is not None}
    if _names_the_base(env):
        said.update(GITHUB_SHA="", GITHUB_REF="", GITHUB_REF_NAME="")
    return said, problems


def _run_before(event: Any) -> dict[str, Any] | None:
    """The run that this one follows: its branch as a whole ref, this repository's pull requests.

    GitHub lists no pull request of a fork; its ``main`` would be filed as the repository's own.
    """
    run = event.get("workflow_run") if isinstance(event, dict) else None
    if not isinstance(run, dict):
        return None
    repository, listed = _dig(event, "repository.id"), run.get("pull_requests")
    own = [
        pull
        for pull in (listed if isinstance(listed, list) else [])
        if _dig(pull, "base.repo.id") in {None, repository}
    ]
    branch, fork = _dig(run, "head_branch"), _dig(run, "head_repository.full_name")
    is_own = fork is not None and fork == _dig(event, "repository.full_name")
    default = _dig(event, "repository.default_branch")
    if not is_own and not own and branch in ({default} if default else {"main", "master"}):
        branch = f"{(fork or 'fork').partition('/')[0]}/{branch}"
    return {**run, "pull_requests": own, "head_branch": branch and f"refs/heads/{branch}"}


def _names_the_base(env: Mapping[str, str]) -> bool:
    """Whether GITHUB_SHA and GITHUB_REF are the target's, not those of what is tested."""
    if env.get("GITHUB_EVENT_NAME", "").strip() in _EVENTS_ON_THE_BASE:
        return True
    is_pull_request = bool(env.get("GITHUB_HEAD_REF", "").strip())
    ref = env.get("GITHUB_REF", "").strip()
    return is_pull_request and ref.startswith(("refs/heads/", "refs/tags/"))


def _dig(document: object, path: str) -> str | None:
    """The text or number at ``a.b.0.c``, as text; None where the document has another shape."""
    for key in path.split("."):
        if isinstance(document, list) and key.isdecimal():
            document = document[int(key)] if int(key) < len(document) else None
        else:
            document = document.get(key) if isinstance(document, dict) else None
    if isinstance(document, int) and not isinstance(document, bool):
        # Python refuses to write an integer of thousands of digits; no id has more than twenty.
        return str(document) if abs(document) < 10**20 else None
    return document if isinstance(document, str) else None


def _load(path: str, parse: Callable[[bytes], Any]) -> tuple[Any, tuple[str, ...]]:
    """The parsed file, and why there is none; both empty without a path."""
    if not path:
        return None, ()
    try:
        return parse(_read(Path(path))), ()
    except OSError as error:
        reason = error.strerror or str(error)
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
    return None, (f"the file {path!r} cannot be read: {reason}",)


def _read(path: Path) -> bytes:
    """The content of a regular file; a pipe or a device could keep us waiting for ever."""
    if not path.is_file():
        raise OSError("there is no such file")
    with path.open("rb") as file:
        content = file.read(_LARGEST_FILE + 1)
    if len(content) > _LARGEST_FILE:
        raise OSError(f"it has more than {_LARGEST_FILE} bytes")
    return content
