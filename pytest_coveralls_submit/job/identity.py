"""Build the fields of a job, except its files."""

import platform
import re
import sys
from collections.abc import Mapping
from typing import Any

from ..ci.detect import Build
from ..errors import SettingsError
from ..git import COMMIT_DETAILS, Git
from ..secret import redact
from ..settings.table import Settings
from ..settings.token import GITHUB_ACTIONS, GITHUB_SERVICE, Token
from .document import TEXTS


def flag_name(settings: Settings, build: Build, env: Mapping[str, str]) -> str | None:
    """Return the job's flag; parallel builds have a default.

    Raises:
        SettingsError: the template has an unknown placeholder.
    """
    values = {
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "os": {"darwin": "macos", "win32": "windows"}.get(sys.platform, sys.platform),
        "arch": platform.machine().lower(),
        "toxenv": env.get("TOX_ENV_NAME", ""),
        "job": build.job_name or "",
        "node_index": build.node_index or "",
    }
    template = settings.flag_name or ""
    if not template and settings.parallel:
        template = "{toxenv}" if values["toxenv"] else "{job}-{python}-{os}"
    unknown = [name for name in re.findall(r"\{(.*?)\}", template) if name not in values]
    if unknown:
        known = " ".join(f"{{{name}}}" for name in values)
        problem = redact(f'is "{template}": {{{unknown[0]}}} is unknown', settings.secrets)
        raise SettingsError(f"{settings.origins['flag_name']} {problem}; expected {known}")
    # Separators beside an empty placeholder go; those in a value stay.
    used = re.sub(r"\{(\w+)\}", lambda found: found[0] if values[found[1]] else "", template)
    if used != template:
        used = used.strip(" -_/.:,")
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], used).strip() or None


def build_identity(
    settings: Settings, build: Build, git: Git, token: Token | None, flag: str | None, run_at: str
) -> dict[str, Any]:
    """Return the fields of a job but its files.

    A setting wins over the CI service, and that over git: a checkout of a pull request is often a
    merge that exists nowhere else. Author and message are best known to git.
    """
    fields = {name: getattr(settings, name) or getattr(build, name, None) for name in TEXTS}
    is_github = build.service_name == GITHUB_ACTIONS and token is not None and token.is_github
    if is_github and not settings.service_name:
        fields["service_name"] = GITHUB_SERVICE
    if fields["service_name"] != GITHUB_SERVICE and "repo_name" not in settings.origins:
        fields["repo_name"] = None  # the token names the repository
    branch, head = _branch_name(settings, build, git), _head_details(build, git)
    remotes = git.remotes
    if not remotes and build.remote_url:
        remotes = {build.remote_name or "origin": build.remote_url}
    listed = [{"name": name, "url": url} for name, url in remotes.items()]
    fields |= {
        "service_branch": branch,
        "service_job_id": settings.service_job_id or _job_id(build, flag),
        "commit_sha": head.get("id"),
        "flag_name": flag,
        "run_at": settings.run_at or run_at,
        "parallel": settings.parallel,
        "git": _without_empty({"head": head, "branch": branch, "remotes": listed}),
    }
    return _without_empty(fields)


def _without_empty(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _branch_name(settings: Settings, build: Build, git: Git) -> str | None:
    named = settings.service_branch if settings.service_branch != "HEAD" else None
    # HEAD may be on the target of a pull request, or under ``workflow_run`` on any branch.
    is_here = git.branch != build.target_branch and not build.is_workflow_run
    return named or build.service_branch or build.tag or (git.branch if is_here else None)


def _head_details(build: Build, git: Git) -> dict[str, Any]:
    if git.head is None:
        return {}
    details = {name: getattr(git.head, name) or getattr(build, name) for name in COMMIT_DETAILS}
    return _without_empty({"id": git.head.id, **details})


def _job_id(build: Build, flag: str | None) -> str | None:
    # GitHub, Gitea and Forgejo lack one for the legs of a matrix: job key and runner differ, and
    # where one runner serves several, Python, system and flag do.
    if not build.service_job_id or not (build.service_name or "").endswith("-actions"):
        return build.service_job_id
    parts = [build.service_job_id, platform.python_version(), sys.platform, platform.machine()]
    return "-".join([*parts, *([flag] if flag else [])])
