"""The job without its source files: each field from settings, CI service or git."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Mapping
from typing import Any

from ..errors import SettingsError
from ..settings.table import Settings
from .git import Commit, Git
from .services import Build
from .token import GITHUB_ACTIONS, GITHUB_SERVICE, Token

PLACEHOLDERS = ("python", "os", "arch", "toxenv", "job", "node_index")
SYSTEMS = {"linux": "linux", "darwin": "macos", "win32": "windows", "cygwin": "windows"}


def flag_name(settings: Settings, build: Build, env: Mapping[str, str]) -> str | None:
    """Return the job's flag: the template filled in, or for parallel builds one of its own.

    Raises:
        SettingsError: the template has a placeholder that is not known.
    """
    values = {
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "os": SYSTEMS.get(sys.platform, sys.platform),
        "arch": platform.machine().lower(),
        "toxenv": env.get("TOX_ENV_NAME", ""),
        "job": build.job_name or "",
        "node_index": build.node_index or "",
    }
    template = settings.flag_name
    if template is None and settings.parallel:
        template = "{toxenv}" if values["toxenv"] else "{job}-{python}-{os}"
    if template is None:
        return None
    unknown = [name for name in re.findall(r"\{(.*?)\}", template) if name not in values]
    if unknown:
        known = " ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        raise SettingsError(
            f'{settings.sources["flag_name"]} is "{template}": '
            f"{{{unknown[0]}}} is not known; it takes {known}"
        )
    filled = re.sub(r"\{(\w+)\}", lambda found: values[found[1]], template)
    return filled.strip(" -_/.:,") or None


def compose(
    settings: Settings,
    build: Build,
    git: Git,
    token: Token | None,
    *,
    flag: str | None,
    run_at: str,
    from_gitlab: Commit | None = None,
) -> dict[str, Any]:
    """Return the job without its source files.

    For each field the setting wins over what the CI service says, and that over git: a checkout
    of a pull request is often a merge that exists nowhere else. Who wrote the commit and what
    its message is, git knows best.
    """
    service = service_of(settings, build, token)
    sends_repo = service == GITHUB_SERVICE or "repo_name" in settings.sources
    job = {
        "service_name": service,
        "service_number": settings.service_number or build.service_number,
        "service_job_id": settings.service_job_id or _job_id(build, flag),
        "service_job_number": settings.service_job_number or build.service_job_number,
        "service_pull_request": settings.service_pull_request or build.service_pull_request,
        "service_branch": branch_of(settings, build, git),
        "service_build_url": settings.service_build_url or build.service_build_url,
        "service_job_url": settings.service_job_url or build.service_job_url,
        "service_attempt": settings.service_attempt or build.service_attempt,
        "service_event_type": settings.service_event_type,
        "commit_sha": commit_of(settings, build, git),
        "repo_name": (settings.repo_name or build.repo_name) if sends_repo else None,
        "flag_name": flag,
        "parallel": settings.parallel or None,
        "compare_ref": settings.compare_ref,
        "compare_sha": settings.compare_sha,
        "run_at": settings.run_at or run_at,
        "git": _git(settings, build, git, from_gitlab),
    }
    return {name: value for name, value in job.items() if value}


def service_of(settings: Settings, build: Build, token: Token | None) -> str | None:
    """Return the service name; on GitHub Actions the kind of token decides it."""
    if settings.service_name:
        return settings.service_name
    if build.service_name == GITHUB_ACTIONS and token is not None and token.is_github:
        return GITHUB_SERVICE
    return build.service_name


def branch_of(settings: Settings, build: Build, git: Git) -> str | None:
    """Return the branch that the job belongs to; for a tag its name."""
    named = settings.service_branch if settings.service_branch != "HEAD" else None
    return named or build.service_branch or build.tag or git.branch


def commit_of(settings: Settings, build: Build, git: Git) -> str | None:
    """Return the id of the commit that was tested."""
    return settings.commit_sha or build.commit_sha or (git.head.id if git.head else None)


def _job_id(build: Build, flag: str | None) -> str | None:
    """Return an id that differs between the jobs of a build.

    GitHub, Gitea and Forgejo give the legs of a matrix none: job key and runner tell them apart,
    and where one runner serves several, what the legs differ in.
    """
    if not build.service_job_id or not (build.service_name or "").endswith("-actions"):
        return build.service_job_id
    parts = [build.service_job_id, platform.python_version(), sys.platform, platform.machine()]
    return "-".join([*parts, *([flag] if flag else [])])


def _git(settings: Settings, build: Build, git: Git, from_gitlab: Commit | None) -> dict[str, Any]:
    commit = commit_of(settings, build, git)
    head = {"id": commit, **written_by(commit, build, git, from_gitlab)}
    remotes = [{"name": remote.name, "url": remote.url} for remote in git.remotes]
    if not remotes and build.remote_url:
        remotes = [{"name": build.remote_name or "origin", "url": build.remote_url}]
    found = {
        "head": {name: value for name, value in head.items() if value} if commit else None,
        "branch": branch_of(settings, build, git),
        "remotes": remotes,
    }
    return {name: value for name, value in found.items() if value}


def written_by(
    commit: str | None, build: Build, git: Git, from_gitlab: Commit | None = None
) -> dict[str, str | None]:
    """Return who wrote the commit and its message.

    Each field by itself from git, else from the CI service, else from GitLab's Commits API.
    """
    known = git.head if git.head is not None and git.head.id == commit else None
    return {
        name: getattr(known, name, None) or getattr(build, name) or getattr(from_gitlab, name, None)
        for name in Commit.__slots__
        if name != "id"
    }
