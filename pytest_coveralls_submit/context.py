"""What is known before the first test runs, as one value."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

from . import git
from .changed_lines import Base, NoBase, find_base
from .ci import gitlab
from .ci.detect import Build, detect
from .delivery import sender
from .delivery.answers import RunFacts
from .delivery.sender import Answer, Call, Policy
from .identity.token import Token, choose_token, why_github_token_stays
from .job import identity as head
from .job.identity import Identity
from .job.names import Names
from .job.tested_commit import find_tested_commit, other_commit_notices, without_other_commit
from .secret import Environment, Secret
from .settings.table import Settings

GITLAB = "gitlab-ci"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is known before the first test runs."""

    settings: Settings
    env: Environment
    """The environment of session start."""
    start: Path
    """The directory of session start."""
    root: Path
    """Pytest's root directory."""
    started: float
    """When the session began, in seconds since the epoch."""
    top: Path
    """What names are relative to: git's top level, else pytest's root directory."""
    token: Token | None
    identity: Identity
    build: Build
    git: git.Git
    temporary: Path | None
    """Where temporary files lie; None where no directory takes any."""
    base: Base | NoBase = field(default_factory=NoBase)
    """What the changed lines are counted from."""
    notices: tuple[str, ...] = ()

    @cached_property
    def tracked(self) -> frozenset[str] | None:
        """The names of the files that git tracks, None where it cannot say."""
        can_say = self.git.top is not None and self.git.problem is None
        return git.tracked(self.top, self.env) if can_say else None

    @cached_property
    def naming(self) -> Names:
        """Gives measured files their names."""
        settings = self.settings
        return Names(
            self.top,
            self.tracked,
            near=(self.root, self.start),
            base_dir=settings.base_dir,
            src_dir=settings.src_dir,
        )

    @property
    def leads_to_a_job(self) -> bool:
        """Whether a job would be sent, saved or shown."""
        return leads_to_a_job(self.settings, self.token)

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """All that must not be shown."""
        token = () if self.token is None else (self.token.secret,)
        own = (self.settings.repo_token, self.settings.gitlab_token)
        return (*token, *(secret for secret in own if secret is not None))

    @property
    def facts(self) -> RunFacts:
        """What an answer may have to be explained with."""
        token, settings = self.token, self.settings
        name, bundle = (settings.origins.get(key) for key in ("service_name", "ca_bundle"))
        return RunFacts(
            host=settings.host,
            service_number=self.identity.service_number,
            repo_name=self.identity.repo_name or self.build.repo_name,
            ci=self.build.service_name,
            service_name=self.identity.service_name,
            service_name_source=str(name) if name is not None else None,
            has_github_token=token is not None and token.is_github,
            token_source=token.origin if token else None,
            token_prefix=token.github_prefix if token else "",
            may_use_github_token=why_github_token_stays(settings, self.env) is None,
            ca_bundle=f"{settings.ca_bundle} (from {bundle})" if bundle is not None else None,
            parallel=settings.parallel,
            include_source=settings.include_source,
            secrets=self.secrets,
        )


def make_plan(
    settings: Settings,
    env: Environment,
    *,
    root: Path,
    start: Path,
    compares: bool = False,
) -> Plan:
    """Ask CI service and git what is tested, before the tests can change anything.

    Args:
        settings: of the user.
        env: the environment of session start.
        root: pytest's root directory.
        start: the directory of session start.
        compares: whether something is measured whose changed lines can be counted.

    Raises:
        SettingsError: the flag's template has a placeholder that is not known.
    """
    build = detect(env)
    found = git.read((start, root), env)
    found = find_tested_commit(found, env, build, settings.commit_sha)
    notices = (*settings.notices, *build.problems, *other_commit_notices(build, found))
    build = without_other_commit(build, found)
    commit = settings.commit_sha or build.commit_sha
    token = choose_token(settings, build, env)
    flag = head.flag_name(settings, build, env)
    from_gitlab = _ask_gitlab(commit, build, found, env)
    started = time.time()
    run_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started))
    # What git has not answered so far it will not answer now, after another five seconds.
    top = found.top if compares and not found.problem else None
    filed = head.commit_of(settings, build, found)
    return Plan(
        settings=settings,
        env=env,
        start=start,
        root=root,
        started=started,
        top=found.top or root,
        token=token,
        identity=head.compose(
            settings, build, found, token, flag=flag, run_at=run_at, from_gitlab=from_gitlab
        ),
        build=build,
        git=found,
        temporary=_temporary(),
        base=find_base(settings, build, top=top, env=env, commit=filed),
        notices=(*notices, *_token_in_git(settings, found, env)),
    )


def _temporary() -> Path | None:
    try:
        return Path(tempfile.gettempdir())
    except OSError:  # all is read-only
        return None


def _token_in_git(settings: Settings, found: git.Git, env: Environment) -> tuple[str, ...]:
    """Return a notice where the token stands in a file that git tracks."""
    origin = settings.origins.get("repo_token")
    if found.top is None or origin is None or origin.file is None:
        return ()
    in_repository = git.name_if_tracked(origin.file, found.top, env)
    if in_repository is None:
        return ()
    return (f"the token stands in {in_repository}, which git tracks: everybody can read it there",)


def _ask_gitlab(
    commit: str | None, build: Build, found: git.Git, env: Environment
) -> git.Commit | None:
    """Ask GitLab who wrote the commit, where neither git nor the job's variables say."""
    if build.service_name != GITLAB or commit is None:
        return None
    if all(asdict(head.written_by(commit, build, found)).values()):
        return None
    return gitlab.fill(commit, env, asker(env))


def asker(env: Environment, *secrets: Secret) -> gitlab.Ask:
    """Return what asks GitLab: apart from this process, once, and for 5 seconds at most."""
    policy = Policy(connect_timeout=5.0, read_timeout=5.0, deadline=5.0)
    hidden = (*secrets, *(Secret(env[name]) for name in ("CI_JOB_TOKEN",) if env.get(name)))

    def ask(call: Call, body: bytes) -> Answer:
        return sender.send(call, [body], policy, env=env, say=lambda _: None, secrets=hidden)

    return ask


def leads_to_a_job(settings: Settings, token: Token | None) -> bool:
    """Tell whether a job would be sent, saved or shown."""
    return token is not None or settings.dry_run or settings.save is not None


def is_worth_measuring(settings: Settings, token: Token | None) -> bool:
    """Tell whether to measure where nobody else asked for it."""
    return leads_to_a_job(settings, token) or settings.changed_fail_under is not None
