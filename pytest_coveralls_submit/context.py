"""Everything known before the tests: settings, CI service, git and token, as values."""

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import git
from .changed_lines import Base, find_base
from .ci.detect import Build, detect
from .delivery.answers import RunFacts, token_mismatch
from .job.identity import build_identity, flag_name
from .job.tested_commit import find_tested_commit, of_tested_commit
from .outcome import NotSent
from .secret import Environment, Secret
from .settings.table import Settings
from .settings.token import GITHUB_ACTIONS, Token, choose_token, why_github_token_stays


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """Hold settings, CI service, git and token of a run."""

    settings: Settings
    env: Environment
    start: Path  # the current directory when the session started
    build: Build
    token: Token | None
    withheld: str | None  # why a token is not used
    started: float  # seconds since the epoch
    root: Path  # pytest's root directory
    top: Path  # git's top level, else pytest's root directory
    git: git.Git
    identity: dict[str, Any]  # the fields of the job but its files
    base: Base | str  # what the changed lines are compared with, or why there is none
    temporary: Path | None  # before tests change it
    notices: tuple[str, ...] = ()

    @property
    def will_send(self) -> bool:
        """Tell if a job will be sent."""
        return self.token is not None and not self.settings.dry_run

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Return all values never to be printed."""
        token = () if self.token is None else (self.token.secret,)
        return (*token, *self.settings.secrets)

    def facts(self, job: Mapping[str, Any]) -> RunFacts:
        """Return the facts to explain an answer with."""
        token, settings = self.token, self.settings
        name, bundle = (settings.origins.get(key) for key in ("service_name", "ca_bundle"))
        return RunFacts(
            host=settings.host,
            service_number=job.get("service_number"),
            ci=self.build.service_name,
            service_name=job.get("service_name"),
            service_name_source=str(name) if name is not None else None,
            has_github_token=token is not None and token.is_github,
            token_source=token.origin if token else None,
            token_prefix=token.github_prefix if token else "",
            may_use_github_token=why_github_token_stays(settings, self.env) is None,
            ca_bundle=f"{settings.ca_bundle} (from {bundle})" if bundle is not None else None,
            secrets=self.secrets,
        )


def make_context(
    settings: Settings, env: Environment, start: Path, root: Path, *, with_base: bool = False
) -> RunContext:
    """Read CI service and git, before tests can change anything.

    Args:
        with_base: look for a base to count changed lines from.

    Raises:
        SettingsError: the flag's template has an unknown placeholder.
    """
    build = detect(env)
    token, withheld = choose_token(settings, build.service_name, env)
    flag = flag_name(settings, build, env)
    found = find_tested_commit(git.read((start, root), env), build, settings.commit_sha)
    build, other = of_tested_commit(build, found)
    notices = (*settings.notices, *build.problems, *other, *_token_in_git(settings, found))
    started = time.time()
    run_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started))
    temporary = None
    with suppress(OSError):  # nothing is writable
        temporary = Path(tempfile.gettempdir())
    identity = build_identity(settings, build, found, token, flag=flag, run_at=run_at)
    return RunContext(
        settings=settings,
        env=env,
        start=start,
        build=build,
        token=token,
        withheld=withheld,
        started=started,
        root=root,
        top=found.top or root,
        git=found,
        identity=identity,
        base=find_base(settings, build, found) if with_base else "",
        temporary=temporary,
        notices=notices,
    )


def _token_in_git(settings: Settings, found: git.Git) -> tuple[str, ...]:
    """Warn of a token in a tracked file."""
    origin = settings.origins.get("repo_token")
    name = git.name_if_tracked(origin.file, found) if origin and origin.file else None
    return (f"the token is in {name}, which git tracks: keep it elsewhere",) if name else ()


def is_job_wanted(settings: Settings, token: Token | None) -> bool:
    """Tell if a job will be sent, saved or built."""
    return token is not None or settings.dry_run or settings.save is not None


def startup_warnings(context: RunContext) -> Iterator[str]:
    """Yield warnings about settings and token."""
    yield from context.notices
    if context.settings.skip_ssl_verify:
        yield f"TLS is not verified for {context.settings.host}: others can read the token"


def startup_problems(context: RunContext) -> Iterator[str]:
    """Yield all problems known before the first test."""
    yield from startup_warnings(context)
    identity, settings = context.identity, context.settings
    is_fork = _may_lack_secrets(context.build)  # nothing can be done about it there
    if context.token is None and not settings.dry_run and not is_fork:
        yield why_no_token(context).full_reason
    elif hidden := _hidden_by_tox(context):
        yield hidden
    if mismatch := token_mismatch(context.facts(identity)):
        yield mismatch
    if settings.parallel and "service_number" not in identity:
        yield "parallel needs a build number for `finish`: set service_number"


def why_no_job(context: RunContext) -> NotSent | None:
    """Return the outcome of a run without a job."""
    return None if is_job_wanted(context.settings, context.token) else why_no_token(context)


def why_no_token(context: RunContext) -> NotSent:
    """Return the outcome of a run without a token."""
    return NotSent(reason="no token", remedy=_token_remedy(context))


def _token_remedy(context: RunContext) -> str:
    build = context.build
    on_github = build.service_name == GITHUB_ACTIONS
    if hidden := _hidden_by_tox(context):
        return hidden
    if context.withheld:
        return context.withheld
    if _may_lack_secrets(build):
        hint = "; GITHUB_TOKEN: ${{ github.token }} works there" if on_github else ""
        return f"pull requests from forks and Dependabot get no secrets{hint}"
    also = " or GITHUB_TOKEN: ${{ github.token }}" if on_github else ""
    return f"set COVERALLS_REPO_TOKEN (from the repository's page on Coveralls){also}"


def _may_lack_secrets(build: Build) -> bool:
    return build.service_pull_request is not None and not build.is_workflow_run


def _hidden_by_tox(context: RunContext) -> str | None:
    """Return the remedy if tox seems to hide the service's variables."""
    build = context.build
    if build.service_name or build.service_number or not context.env.get("TOX_ENV_NAME"):
        return None
    return (
        "tox hides the variables of a CI service; let them through in tox.ini: "
        "pass_env = CI, CI_*, GITHUB_*, GITLAB_*, COVERALLS_*"
    )
