"""Read GitHub's event file, which Gitea and Forgejo have as well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

More: TypeAlias = "tuple[dict[str, str], tuple[str, ...]]"
_EVENTS_ON_THE_BASE = ("pull_request_target", "workflow_run")


def github_event(env: Mapping[str, str], names: Iterable[str]) -> More:
    """Return the values of the names ``event.a.b``, and problems with the file.

    GITHUB_SHA and GITHUB_REF become blank where they are those of the target branch.
    """
    event, problems = _read(env.get("GITHUB_EVENT_PATH", "").strip())
    if (run := _run_before(event)) is not None:
        event = {**event, "workflow_run": run}
    wanted = (name for name in names if name.startswith("event."))
    said = {name: text for name in wanted if (text := _dig({"event": event}, name)) is not None}
    if _names_the_base(env):
        said.update(GITHUB_SHA="", GITHUB_REF="", GITHUB_REF_NAME="")
    return said, problems


def _run_before(event: Any) -> dict[str, Any] | None:
    """Return the run that this one follows, with its branch as a whole ref.

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
    """Tell whether GITHUB_SHA and GITHUB_REF are the target's."""
    if env.get("GITHUB_EVENT_NAME", "").strip() in _EVENTS_ON_THE_BASE:
        return True
    is_pull_request = bool(env.get("GITHUB_HEAD_REF", "").strip())
    ref = env.get("GITHUB_REF", "").strip()
    return is_pull_request and ref.startswith(("refs/heads/", "refs/tags/"))


def _dig(document: object, path: str) -> str | None:
    """Return the text or number at ``a.b.0.c`` as text, None for any other type."""
    for key in path.split("."):
        if isinstance(document, list) and key.isdecimal():
            document = document[int(key)] if int(key) < len(document) else None
        else:
            document = document.get(key) if isinstance(document, dict) else None
    if isinstance(document, int) and not isinstance(document, bool):
        # Python refuses to write an integer of thousands of digits; no id has more than twenty.
        return str(document) if abs(document) < 10**20 else None
    return document if isinstance(document, str) else None


def _read(path: str) -> tuple[Any, tuple[str, ...]]:
    """Return the event, and why there is none; both empty without a path."""
    if not path:
        return None, ()
    try:
        event = json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        return None, (f"the file {path!r} cannot be read: {reason}",)
    if not isinstance(event, dict):
        return event, (f"the file {path!r} holds no JSON object",)
    return event, ()
