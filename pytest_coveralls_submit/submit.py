"""The story: what is known before the tests becomes a plan, what was measured becomes a job.

The job is kept, sent and judged; how, is left to the other modules.
"""

from __future__ import annotations

import shlex
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from . import ci, diagnosis, git, gitlab, job, names, outbox, saved, sender, source_files
from .calls import Answer, Call, Policy, Progress
from .errors import GitLabError, JobError, MeasurementError, ProcessError
from .measurement import Measurement
from .outcome import Built, Failed, FileTotal, Interrupted, NotSent, Outcome, Sent
from .secret import Environment, Secret
from .settings import COVERALLS, Settings
from .source_files import Reading

GITLAB = "gitlab-ci"
NAMED = 5
"""How many of the files that were left out are named."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is known before the first test runs."""

    settings: Settings
    env: Environment
    """The environment of session start."""
    start: Path
    """The directory of session start."""
    top: Path
    """What names are relative to: git's top level, else pytest's root directory."""
    token: job.Token | None
    head: dict[str, Any]
    """The job without its source files."""
    build: ci.Build
    git: git.Git
    temporary: Path
    notices: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """All that must not be shown."""
        token = () if self.token is None else (self.token.secret,)
        own = (self.settings.repo_token, self.settings.gitlab_token)
        return (*token, *(secret for secret in own if secret is not None))

    @property
    def facts(self) -> dict[str, str]:
        """Values for advice."""
        parts = urlsplit(self.settings.host)
        is_github = self.token is not None and self.token.is_github
        return {
            "server": parts.netloc + parts.path,
            "path": self.settings.host,
            "number": self.head.get("service_number", "without a number"),
            "repo_name": self.head.get("repo_name", "this repository"),
            "token_kind": "GITHUB" if is_github else "",
        }


def plan(
    settings: Settings, env: Environment, *, root: Path, start: Path, notices: Iterable[str] = ()
) -> Plan:
    """Ask CI service and git what is tested, before the tests can change anything.

    Args:
        settings: of the user.
        env: the environment of session start.
        root: pytest's root directory.
        start: the directory of session start.
        notices: what was already found worth telling.

    Raises:
        SettingsError: the flag's template has a placeholder that is not known.
    """
    build = ci.detect(env)
    commit = settings.commit_sha or build.commit_sha
    found = git.read(root, env, commit=commit, merge=build.merge_sha)
    token = job.choose_token(settings, build, env)
    flag = job.flag_name(settings, build, env)
    from_gitlab = _ask_gitlab(commit, build, found, env)
    run_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return Plan(
        settings=settings,
        env=env,
        start=start,
        top=found.top or root,
        token=token,
        head=job.compose(
            settings, build, found, token, flag=flag, run_at=run_at, from_gitlab=from_gitlab
        ),
        build=build,
        git=found,
        temporary=Path(tempfile.gettempdir()),
        notices=(*notices, *build.problems, *_token_in_git(settings, found, root, env)),
    )


def _token_in_git(
    settings: Settings, found: git.Git, root: Path, env: Environment
) -> tuple[str, ...]:
    """Return a notice where the token stands in a file that git tracks."""
    _, is_in_file, name = settings.sources.get("repo_token", "").rpartition(" in ")
    path = settings.repo_token_file if settings.token_is_from_file else root / name
    if found.top is None or path is None or not (is_in_file or settings.token_is_from_file):
        return ()
    naming = names.Names(found.top, git.tracked(found.top, env))
    in_repository = naming.of(str(path))
    if in_repository is None or not naming.is_tracked(in_repository):
        return ()
    return (f"the token stands in {in_repository}, which git tracks: everybody can read it there",)


def _ask_gitlab(
    commit: str | None, build: ci.Build, found: git.Git, env: Environment
) -> git.Commit | None:
    """Ask GitLab who wrote the commit, where neither git nor the job's variables say."""
    said = job.written_by(commit, build, found)
    if build.service_name != GITLAB or commit is None or all(said.values()):
        return None
    return gitlab.fill(commit, env, _asker(env))


def _asker(env: Environment, *secrets: Secret) -> gitlab.Ask:
    """Return what asks GitLab: apart from this process, once, and for 5 seconds at most."""
    policy = Policy(connect_timeout=5.0, read_timeout=5.0, deadline=5.0)
    hidden = (*secrets, *(Secret(env[name]) for name in ("CI_JOB_TOKEN",) if env.get(name)))

    def ask(call: Call, body: bytes) -> Answer:
        return sender.send(call, [body], policy, env, lambda _: None, hidden)

    return ask


def submit(
    plan: Plan,
    measure: Callable[[], Measurement],
    cache: Callable[[], Path | None],
    say: Callable[[str], None],
    edit: Callable[[dict[str, Any]], None] | None = None,
    narrowed: str | None = None,
) -> Outcome:
    """Build the job, keep it on disk, send it, and say what became of it.

    Args:
        plan: of session start.
        measure: gives the measurement or raises MeasurementError with the reason for none.
        cache: gives the directory that jobs are kept in, or None where there is none.
        say: prints a line while the sending goes on.
        edit: lets ``conftest.py`` change the job in place; None where nobody wants to.
        narrowed: what narrowed the run to a part of its tests, to warn of; None for nothing.
    """
    if not can_send(plan.settings, plan.token):
        return NotSent(reason=why_no_token(plan))
    try:
        measured = measure()
    except MeasurementError as error:
        return NotSent(reason=str(error))
    if not measured.files and not measured.failed and not plan.settings.allow_empty:
        return NotSent(reason="no data was collected")
    reading = _read(plan, measured)
    notices = (*_left_out(reading, measured), *reading.notices)
    if narrowed:
        notices = (f"not all tests ran, because of {narrowed}: coverage may look lower", *notices)
    try:
        built, troubles = _build(plan, reading, edit)
    except JobError as error:
        return Failed(reason=str(error), notices=notices)
    notices = (*notices, *troubles)
    if not built["source_files"] and not plan.settings.allow_empty:
        return NotSent(reason="no files of the repository were measured", notices=notices)
    return _settle(plan, built, measured.percent, cache, say, notices)


def can_send(settings: Settings, token: job.Token | None) -> bool:
    """Tell whether building a job leads anywhere."""
    return token is not None or settings.dry_run or settings.save is not None


def _read(plan: Plan, measured: Measurement) -> Reading:
    settings = plan.settings
    tracked = git.tracked(plan.top, plan.env) if plan.git.top else None
    naming = names.Names(plan.top, tracked, base_dir=settings.base_dir, src_dir=settings.src_dir)
    reading = source_files.read(measured.files, naming.of, include_source=settings.include_source)
    untracked = (
        []
        if tracked is None
        else [file.name for file in reading.files if not naming.is_tracked(file.name)]
    )
    if untracked:
        reading.notices.append(
            f"{_count(untracked)} not in git, so that Coveralls cannot show them: "
            + _some(untracked)
        )
    return reading


def _left_out(reading: Reading, measured: Measurement) -> tuple[str, ...]:
    failed = {**measured.failed, **reading.unreadable}
    found = []
    if reading.outside:
        found.append(f"left out {_count(reading.outside)} outside the repository")
    if failed:
        found.append(f"left out {_count(failed)} that cannot be read or parsed: {_some(failed)}")
    return tuple(found)


def _count(things: Any) -> str:
    return f"{len(things)} file" + "s" * (len(things) != 1)


def _some(names: Iterable[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:NAMED]) + (", ..." if len(listed) > NAMED else "")


def _build(
    plan: Plan, reading: Reading, edit: Callable[[dict[str, Any]], None] | None
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the checked job, and what a hook did wrong."""
    files = [file.as_dict() for file in reading.files]
    for path in plan.settings.merge:
        files = saved.merge(files, path)
    built = {**plan.head, "source_files": files}
    job.check(built)
    if edit is None:
        return built, ()
    try:
        edited = job.copy(built)
        edit(edited)
        job.check(edited)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  a conftest.py may also fail, skip or exit
        kind = "" if isinstance(error, JobError) else f"{type(error).__name__}: "
        return built, (f"the hook pytest_coveralls_job is not heeded: {kind}{error}",)
    return edited, ()


def _settle(
    plan: Plan,
    built: dict[str, Any],
    percent: float,
    cache: Callable[[], Path | None],
    say: Callable[[str], None],
    notices: tuple[str, ...],
) -> Outcome:
    settings = plan.settings
    if settings.save is not None:
        try:
            outbox.write(job.pieces(built), settings.save)
        except OSError as error:
            trouble = f"{settings.save} cannot be written: {error}"
            if settings.dry_run or plan.token is None:
                return Failed(reason=trouble, notices=notices)
            notices = (*notices, trouble)
            plan = replace(plan, settings=settings.without("save"))
    if settings.dry_run:
        totals = file_totals(built)
        return Built(files=totals, percent=percent, saved=settings.save, notices=notices)
    if plan.token is None:
        return NotSent(reason=why_no_token(plan), saved=settings.save, notices=notices)
    folders = [folder for folder in (cache(), plan.temporary) if folder is not None]
    kept = outbox.keep(lambda: job.pieces(built), folders, _stem(built))
    if kept is None:
        notices = (*notices, "the job could not be kept on disk: no directory takes it")
    outcome = deliver(plan, built, percent, kept, say)
    return replace(outcome, notices=(*notices, *outcome.notices))


def _stem(built: dict[str, Any]) -> str:
    number = built.get("service_number") or built.get("commit_sha", "")[:7] or "local"
    safe = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in number)
    return f"job-{safe[:80]}"


def deliver(
    plan: Plan,
    built: dict[str, Any],
    percent: float,
    kept: Path | None,
    say: Callable[[str], None],
) -> Sent | Failed:
    """Send a job that was built and kept, and remove what was kept once it is accepted."""
    assert plan.token is not None
    try:
        body = job.with_token(job.pieces(built), plan.token.secret)
        # Without a number each job that arrives is a build of its own.
        answer = post(plan, "/api/v1/jobs", body, say, is_repeatable="service_number" in built)
        verdict = diagnosis.judge(answer, diagnosis.JOB_ROWS, plan.facts)
        if verdict.accepted:
            return _accepted(plan, built, percent, kept, verdict, answer)
    except KeyboardInterrupt:
        return Interrupted(reason="interrupted while sending", kept=kept, saved=plan.settings.save)
    except (ProcessError, OSError) as error:
        return Failed(reason=str(error), kept=kept, saved=plan.settings.save)
    except Exception as error:  # noqa: BLE001  a fault of ours must not hide where the job is
        return replace(fault(error), kept=kept, saved=plan.settings.save)
    return Failed(
        reason=verdict.reason,
        advice=verdict.advice,
        kept=kept,
        saved=plan.settings.save,
        details=(_measure(answer),),
    )


def fault(error: BaseException) -> Failed:
    """Return the outcome of an error that nobody expected."""
    return Failed(
        reason=f"internal fault: {type(error).__name__}: {error}",
        traceback="".join(traceback.format_exception(error)),
    )


def _accepted(
    plan: Plan,
    built: dict[str, Any],
    percent: float,
    kept: Path | None,
    verdict: diagnosis.Verdict,
    answer: Answer,
) -> Sent:
    if kept is not None:
        kept.unlink(missing_ok=True)
    return Sent(
        files=file_totals(built),
        percent=percent,
        url=verdict.url,
        message=verdict.message,
        saved=plan.settings.save,
        finish=finish_command(plan, built) if built.get("parallel") else None,
        details=(_measure(answer),),
        notices=_tell_gitlab(plan, built, percent, verdict.url),
    )


def _tell_gitlab(
    plan: Plan, built: dict[str, Any], percent: float, url: str | None
) -> tuple[str, ...]:
    """Give the commit a status on GitLab, where the user wants that; say what became of it."""
    settings = plan.settings
    if not settings.gitlab_status:
        return ()
    if settings.gitlab_token is None:
        return ("gitlab_status needs a token with the scope api in COVERALLS_GITLAB_TOKEN",)
    commit = built.get("git", {}).get("head", {})
    if "id" not in commit:
        return ("GitLab was not told: the commit is not known",)
    flag = built.get("flag_name")
    try:
        done = gitlab.announce(
            plan.env,
            settings.gitlab_token,
            _asker(plan.env, *plan.secrets),
            git.Commit(**commit),
            coverage=percent,
            url=url,
            ref=built.get("service_branch"),
            name=f"coveralls/{flag}" if flag else "coveralls",
        )
    except GitLabError as error:
        return (str(error),)
    except ProcessError as error:
        return (f"GitLab was not told: {error}",)
    return (done,)


def post(
    plan: Plan,
    path: str,
    body: Iterable[bytes],
    say: Callable[[str], None],
    *,
    is_repeatable: bool,
) -> Answer:
    """Post ``body`` to ``path`` of the host, as a job where it is the jobs' path.

    Args:
        plan: says where to and how patiently.
        path: of the server's interface.
        body: in pieces.
        say: prints a line while it goes on.
        is_repeatable: whether it does no harm if it arrives twice.

    Raises:
        ProcessError: the sending process did not start or ended without a word.
    """
    settings = plan.settings
    call = Call(
        method="POST",
        url=settings.host + path,
        form="json_file" if path.endswith("/jobs") else "json",
        compress=settings.compress,
    )
    policy = Policy(
        retries=settings.retries,
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        deadline=settings.deadline,
        retry_ambiguous=is_repeatable,
        ca_bundle=str(settings.ca_bundle) if settings.ca_bundle else None,
        verify=not settings.skip_ssl_verify,
    )
    return sender.send(call, body, policy, plan.env, _progress(say), plan.secrets)


def _progress(say: Callable[[str], None]) -> Callable[[Progress], None]:
    def tell(progress: Progress) -> None:
        say(
            f"attempt {progress.attempt} of {progress.of}: {progress.problem}; "
            f"again in {progress.wait:.1f} s"
        )

    return tell


def _measure(answer: Answer) -> str:
    attempts = "1 attempt" if answer.attempts == 1 else f"{answer.attempts} attempts"
    return f"{answer.size:,} bytes sent in {answer.seconds:.2f} s, {attempts}"


def file_totals(built: dict[str, Any]) -> tuple[FileTotal, ...]:
    """Return how much of each source file of a job is covered."""
    totals = []
    for file in built["source_files"]:
        hits = [line for line in file["coverage"] if line is not None] + file.get("branches", [])[
            3::4
        ]
        totals.append(FileTotal(file["name"], sum(map(bool, hits)), len(hits)))
    return tuple(totals)


def finish_command(plan: Plan, built: Mapping[str, Any]) -> str | None:
    """Return the command that closes the build of a job, None where it has no number."""
    number = built.get("service_number")
    if not number:
        return None
    words = ["python", "-m", "pytest_coveralls_submit", "finish"]
    words.append(f"--coveralls-service-number={number}")
    if plan.settings.host != COVERALLS:
        words.append(f"--coveralls-host={plan.settings.host}")
    return shlex.join(words)


def hidden_by_tox(plan: Plan) -> str | None:
    """Return the remedy where tox seems to keep the CI service's variables from us."""
    is_seen = plan.build.service_name or plan.build.service_number
    if is_seen or not plan.env.get("TOX_ENV_NAME"):
        return None
    return (
        "tox hides the variables of a CI service; let them through in tox.ini: "
        "pass_env = CI, CI_*, GITHUB_*, GITLAB_*, COVERALLS_*"
    )


def why_no_token(plan: Plan) -> str:
    """Return in one line why there is no token and what to do."""
    env, build = plan.env, plan.build
    on_github = build.service_name == job.GITHUB_ACTIONS
    hidden = hidden_by_tox(plan)
    if hidden is not None:
        return f"no token: {hidden}"
    if on_github and env.get("GITHUB_TOKEN", "").strip():
        return (
            f"no token: GITHUB_TOKEN is not sent to {plan.settings.host}, which a file names; "
            "set COVERALLS_HOST, or COVERALLS_REPO_TOKEN"
        )
    if build.service_pull_request:
        hint = "; GITHUB_TOKEN: ${{ github.token }} would do" if on_github else ""
        return f"no token: pull requests from forks and Dependabot get no secrets{hint}"
    also = " or GITHUB_TOKEN: ${{ github.token }}" if on_github else ""
    return f"no token: set COVERALLS_REPO_TOKEN (from the repository's page on Coveralls){also}"
