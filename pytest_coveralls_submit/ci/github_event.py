"""Read the event file of GitHub, Gitea and Forgejo."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..text import json_object


def github_event(
    env: Mapping[str, str], names: Iterable[str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the values of names like ``event.a.b``, and problems.

    GITHUB_SHA and GITHUB_REF become blank where they are those of the target branch.
    """
    event, problems = _load(env.get("GITHUB_EVENT_PATH", "").strip())
    if isinstance(event.get("workflow_run"), dict):
        event = _with_run_before(event, event["workflow_run"])
    found = {name: text for name in names if (text := _dig({"event": event}, name)) is not None}
    variables = ("GITHUB_EVENT_NAME", "GITHUB_HEAD_REF", "GITHUB_REF")
    trigger, source, ref = (env.get(name, "").strip() for name in variables)
    is_target = source != "" and ref.startswith(("refs/heads/", "refs/tags/"))
    if is_target or trigger in {"pull_request_target", "workflow_run"}:
        found.update(GITHUB_SHA="", GITHUB_REF="")
    return found, problems


def _load(path: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    try:
        event = json_object(Path(path).read_text("utf-8")) if path else {}
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return {}, (f"the file {path!r} cannot be read: {reason}",)
    if event is None:
        return {}, (f"the file {path!r} holds no JSON object",)
    return event, ()


def _with_run_before(event: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    """Return the event with the facts of the run before.

    GitHub lists no pull request of a fork; its ``main`` would be filed as the repository's own.
    """
    listed, same = run.get("pull_requests"), {None, _dig(event, "repository.id")}
    pulls = [pull for pull in listed if isinstance(pull, dict)] if isinstance(listed, list) else []
    own = [pull for pull in pulls if _dig(pull, "base.repo.id") in same]
    branch, fork = _dig(run, "head_branch"), _dig(run, "head_repository.full_name")
    is_own = fork is not None and fork == _dig(event, "repository.full_name")
    default = _dig(event, "repository.default_branch")
    if not is_own and not own and branch in ({default} if default else {"main", "master"}):
        branch = f"{(fork or 'fork').partition('/')[0]}/{branch}"
    return {
        # The head of the pull request may have moved on since.
        "pull_request": {**own[0], "head": None} if own else None,
        "head_commit": run.get("head_commit"),
        "workflow_run": {**run, "head_branch": branch and f"refs/heads/{branch}"},
    }


def _dig(document: object, path: str) -> str | None:
    """Return the text or number at ``a.b.c`` as text."""
    for key in path.split("."):
        document = document.get(key) if isinstance(document, dict) else None
    is_value = isinstance(document, int | str) and not isinstance(document, bool)
    return str(document) if is_value else None
