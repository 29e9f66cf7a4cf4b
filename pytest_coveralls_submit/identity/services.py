"""What the CI service says about the build: one row per service, ``detect(env)`` gives a ``Build``.

Only the given variables are read, and the event or parameter file that they name. What git knows,
what the user set and the names that Coveralls gives to a token are left to other modules.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


@dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """What a CI service says about the build; every text is stripped and non-empty, or None."""

    service_name: str | None = None
    service_number: str | None = None
    """Shared by all jobs of a build; what ``finish`` sends as ``build_num``."""
    service_job_id: str | None = None
    """Differs between the jobs of one build."""
    service_job_number: str | None = None
    """A label."""
    service_pull_request: str | None = None
    """Digits only."""
    service_branch: str | None = None
    """The source branch of a pull request; never ``HEAD``, no ``refs/heads/``, no remote name."""
    service_build_url: str | None = None
    service_job_url: str | None = None
    service_attempt: str | None = None
    tag: str | None = None
    commit_sha: str | None = None
    """The head commit, never a synthetic merge."""
    merge_sha: str | None = None
    """The commit checked out for a pull request when its head is unknown; git finds the head."""
    repo_name: str | None = None
    """``owner/repo``."""
    job_name: str | None = None
    node_index: str | None = None
    author_name: str | None = None
    author_email: str | None = None
    committer_name: str | None = None
    committer_email: str | None = None
    message: str | None = None
    remote_url: str | None = None
    """Without userinfo, query and fragment."""
    remote_name: str | None = None
    problems: tuple[str, ...] = ()
    """Notices worth telling; normally empty."""


def detect(env: Mapping[str, str]) -> Build:
    """Ask the first service that runs this build, then the generic variables, field by field.

    Reads no variable but those of ``env``, and no file but GitHub's event file and TeamCity's
    parameter files. Raises nothing: what cannot be used is skipped, the next source is asked.
    """
    service = next(row for row in SERVICES if _runs(row, env))
    more, problems = service.more(env)
    sources = [_Source(service, {**env, **more})]
    if service is not GENERIC:
        # A variable that the row reads or ignores has been judged there: it has no second say.
        judged = set(_variables(service)).union(service.ignored)
        sources.append(_Source(GENERIC, {name: env[name] for name in env if name not in judged}))
    return Build(**_values(sources), problems=problems)


# --- Rows ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cell:
    """A template with a condition; where none is needed a row has the bare template.

    ``{NAME}`` is a variable, ``{NAME?}`` one that may be missing. The template is skipped when a
    variable is unset, blank or unusable. The filled template must match ``pattern`` as a whole;
    its groups, joined, are the value. With ``unless_pull_request`` it is skipped for pull
    requests, where such a variable tells of the target branch or of the synthetic merge.
    """

    template: str
    pattern: str = "(.*)"
    unless_pull_request: bool = False


Cells = tuple["str | Cell", ...]
More = tuple["dict[str, str]", tuple[str, ...]]


def _push(template: str, pattern: str = "(.*)") -> Cell:
    return Cell(template, pattern, unless_pull_request=True)


def _nothing_more(_: Mapping[str, str]) -> More:
    return {}, ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """A CI service; each column is a tuple of templates, tried in order."""

    name: str
    when: tuple[str, ...]
    """Alternatives; each names the variables that must be set, or NAME=value, between spaces."""
    source: str
    """Where the owner documents the variables, else where they were read."""
    more: Callable[[Mapping[str, str]], More] = _nothing_more
    """Reads the service's file: further variables, and the problems met."""
    ignored: tuple[str, ...] = ()
    """Variables which do not mean here what they mean to the generic row."""
    number: Cells = ()
    job_id: Cells = ()
    job_number: Cells = ()
    pull_request: Cells = ()
    branch: Cells = ()
    tag: Cells = ()
    """Asked before ``refs/tags/`` in the columns of ``branch``."""
    commit: Cells = ()
    merge: Cells = ()
    """Asked for pull requests only, when no cell of ``commit`` knows the head."""
    build_url: Cells = ()
    job_url: Cells = ()
    attempt: Cells = ()
    repo_name: Cells = ()
    job_name: Cells = ()
    node_index: Cells = ()
    author_name: Cells = ()
    author_email: Cells = ()
    committer_name: Cells = ()
    committer_email: Cells = ()
    message: Cells = ()
    remote_url: Cells = ()
    remote_name: Cells = ()


# --- Files of the services ----------------------------------------------------------------------

_LARGEST_FILE = 32 * 1024 * 1024
"""Bytes; GitHub's own limit for an event is 25 MB."""
_EVENTS_ON_THE_BASE = ("pull_request_target", "workflow_run")


def _github_event(env: Mapping[str, str]) -> More:
    """``event.a.b`` for each value of the event file that the row asks for."""
    path = env.get("GITHUB_EVENT_PATH", "").strip()
    event, problems = _load(path, json.loads)
    if not problems and path and not isinstance(event, dict):
        problems = (f"the file {path!r} holds no JSON object",)
    wanted = (name for name in _variables(_GITHUB) if name.startswith("event."))
    said = {name: text for name in wanted if (text := _dig({"event": event}, name)) is not None}
    if _names_the_base(env):
        said.update(GITHUB_SHA="", GITHUB_REF="", GITHUB_REF_NAME="")
    return said, problems


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


def _teamcity_parameters(env: Mapping[str, str]) -> More:
    """The parameters that TeamCity does not put into the environment; all names have a dot."""
    build, problems = _load(env.get("TEAMCITY_BUILD_PROPERTIES_FILE", "").strip(), _properties)
    parameters: dict[str, str] = build or {}
    path = parameters.get("teamcity.configuration.properties.file", "").strip()
    configuration, further = _load(path, _properties)
    parameters = {**(configuration or {}), **parameters}
    dotted = {name: value for name, value in parameters.items() if "." in name}
    return dotted, problems + further


_CONTINUED = re.compile(r"(?<!\\)((?:\\\\)*)\\\r?\n[ \t]*")
_PROPERTY = re.compile(r"\s*(?![#!])((?:\\.|[^\\=:\s])+)\s*[=:\s]\s*(.*)")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)")


def _properties(content: bytes) -> dict[str, str]:
    """Java's ``.properties`` format: latin-1, ``key=value``, escapes and continued lines."""
    lines = _CONTINUED.sub(r"\1", content.decode("latin-1")).splitlines()
    matches = filter(None, map(_PROPERTY.fullmatch, lines))
    return {_unescaped(match[1]): _unescaped(match[2]) for match in matches}


def _unescaped(text: str) -> str:
    def character(match: re.Match[str]) -> str:
        escape = match[1]
        if len(escape) > 1:
            return chr(int(escape[1:], 16))
        return {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}.get(escape, escape)

    return _ESCAPE.sub(character, text)


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


# --- The services -------------------------------------------------------------------------------

_REPO_OF_URL = r"(?:[a-z][\w+.-]*://[^/]+/+|[^/:]+:)(.+?)(?:\.git)?/?"
_PULL_REF = r"refs/pull/([0-9]+)/.+"

_GITHUB = Service(
    name="github-actions",
    when=("GITHUB_ACTIONS",),
    source="github/docs: content/actions/reference/workflows-and-actions/variables.md, "
    "events-that-trigger-workflows.md; webhook-events-and-payloads.md",
    more=_github_event,
    number=("{GITHUB_RUN_ID}",),
    # No variable tells the legs of a matrix apart, all share GITHUB_JOB. Each leg that runs at
    # the same time has a runner of its own; who composes the job adds Python, system and flag.
    job_id=("{GITHUB_JOB}-{RUNNER_NAME}", "{GITHUB_JOB}"),
    pull_request=(
        "{event.pull_request.number}",
        "{event.workflow_run.pull_requests.0.number}",
        Cell("{GITHUB_REF}", _PULL_REF),
        "{event.number}",
    ),
    branch=(
        "{event.pull_request.head.ref}",
        "{event.workflow_run.head_branch}",
        "{GITHUB_HEAD_REF}",
        "{GITHUB_REF}",
        Cell("{GITHUB_REF_TYPE} {GITHUB_REF_NAME}", "branch (.+)"),
    ),
    tag=(Cell("{GITHUB_REF_TYPE} {GITHUB_REF_NAME}", "tag (.+)"),),
    commit=(
        "{event.pull_request.head.sha}",
        "{event.workflow_run.head_sha}",
        # Gitea and Forgejo check out the head of a pull request, GitHub its merge.
        Cell("{GITHUB_REF} {GITHUB_SHA}", r"refs/pull/[0-9]+/head (\S+)"),
        _push("{GITHUB_SHA}"),
        "{event.merge_group.head_sha}",
    ),
    merge=("{GITHUB_SHA}",),
    build_url=("{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}",),
    attempt=("{GITHUB_RUN_ATTEMPT}",),
    repo_name=("{GITHUB_REPOSITORY}",),
    job_name=("{GITHUB_JOB}",),
    author_name=(
        "{event.head_commit.author.name}",
        "{event.workflow_run.head_commit.author.name}",
    ),
    author_email=(
        "{event.head_commit.author.email}",
        "{event.workflow_run.head_commit.author.email}",
    ),
    committer_name=(
        "{event.head_commit.committer.name}",
        "{event.workflow_run.head_commit.committer.name}",
    ),
    committer_email=(
        "{event.head_commit.committer.email}",
        "{event.workflow_run.head_commit.committer.email}",
    ),
    message=("{event.head_commit.message}", "{event.workflow_run.head_commit.message}"),
    remote_url=("{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}.git",),
)

# In a pipeline of merged results the commit, its author and its message are those of the merge.
_GITLAB_HEAD = "{CI_MERGE_REQUEST_EVENT_TYPE?} "

# A job of a matrix project is called "project/axis=value"; its build number is the project's.
# The number alone starts at 1 for each branch of a multibranch project: two builds would share it.
_JENKINS_BUILD = Cell("{JOB_NAME}-{BUILD_NUMBER}", r"(.+?)(?:/[^/]*=[^/]*)?(-[^-]+)")

GENERIC = Service(
    name="{CI_NAME}",
    when=(),
    source="https://docs.coveralls.io/ci-services, https://docs.coveralls.io/mercurial-support, "
    "coverallsapp/coverage-reporter: doc/configuration.md",
    number=("{CI_BUILD_NUMBER}",),
    job_id=("{CI_JOB_ID}",),
    pull_request=("{CI_PULL_REQUEST}",),
    branch=("{GIT_BRANCH}", "{CI_BRANCH}"),
    commit=("{GIT_ID}", "{CI_COMMIT_ID}"),
    build_url=("{CI_BUILD_URL}",),
    job_url=("{CI_JOB_URL}",),
    node_index=("{CI_NODE_INDEX}",),
    author_name=("{GIT_AUTHOR_NAME}", "{CI_AUTHOR_NAME}"),
    author_email=("{GIT_AUTHOR_EMAIL}", "{CI_AUTHOR_EMAIL}"),
    committer_name=("{GIT_COMMITTER_NAME}", "{CI_COMMITTER_NAME}"),
    committer_email=("{GIT_COMMITTER_EMAIL}", "{CI_COMMITTER_EMAIL}"),
    message=("{GIT_MESSAGE}", "{CI_COMMIT_MESSAGE}"),
    remote_url=("{GIT_URL}",),
    remote_name=("{GIT_REMOTE}",),
)

SERVICES: tuple[Service, ...] = (
    # Forgejo and Gitea set GITHUB_ACTIONS too, and Forgejo sets GITEA_ACTIONS. A run's page has
    # the number of the run in its address, not the id.
    replace(
        _GITHUB,
        name="forgejo-actions",
        when=("FORGEJO_ACTIONS",),
        source="https://forgejo.org/docs/latest/user/actions/reference/",
        build_url=("{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_NUMBER}",),
    ),
    replace(
        _GITHUB,
        name="gitea-actions",
        when=("GITEA_ACTIONS",),
        source="https://github.com/go-gitea/gitea/issues/24038",
        build_url=("{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_NUMBER}",),
    ),
    _GITHUB,
    Service(
        name="gitlab-ci",
        when=("GITLAB_CI",),
        source="gitlabhq/gitlabhq: doc/ci/variables/predefined_variables.md",
        number=("{CI_PIPELINE_ID}",),
        job_id=("{CI_JOB_ID}", "{CI_BUILD_ID}"),
        pull_request=("{CI_MERGE_REQUEST_IID}", "{CI_EXTERNAL_PULL_REQUEST_IID}"),
        branch=(
            "{CI_MERGE_REQUEST_SOURCE_BRANCH_NAME}",
            "{CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME}",
            "{CI_COMMIT_BRANCH}",
            "{CI_COMMIT_REF_NAME}",
            "{CI_BUILD_REF_NAME}",
        ),
        tag=("{CI_COMMIT_TAG}", "{CI_BUILD_TAG}"),
        commit=(
            "{CI_MERGE_REQUEST_SOURCE_BRANCH_SHA}",
            "{CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_SHA}",
            Cell(_GITLAB_HEAD + "{CI_COMMIT_SHA}", "(?:detached)? (.+)"),
            _push("{CI_BUILD_REF}"),
        ),
        merge=("{CI_COMMIT_SHA}",),
        build_url=("{CI_PIPELINE_URL}",),
        job_url=("{CI_JOB_URL}",),
        repo_name=("{CI_PROJECT_PATH}",),
        job_name=("{CI_JOB_NAME}", "{CI_BUILD_NAME}"),
        node_index=("{CI_NODE_INDEX}",),
        author_name=(Cell(_GITLAB_HEAD + "{CI_COMMIT_AUTHOR}", "(?:detached)? (.+) <[^<]*"),),
        author_email=(Cell(_GITLAB_HEAD + "{CI_COMMIT_AUTHOR}", "(?:detached)? .* <([^<>]*)>"),),
        message=(Cell(_GITLAB_HEAD + "{CI_COMMIT_MESSAGE}", "(?:detached)? (.+)"),),
        remote_url=("{CI_PROJECT_URL}.git", "{CI_REPOSITORY_URL}", "{CI_BUILD_REPO}"),
    ),
    Service(
        name="circleci",
        when=("CIRCLECI",),
        source="circleci/circleci-docs: docs/reference/modules/ROOT/pages/variables.adoc",
        # CIRCLE_BUILD_NUM is the number of a job, not one that jobs share.
        number=("{CIRCLE_WORKFLOW_ID}",),
        job_id=(
            "{CIRCLE_WORKFLOW_JOB_ID}-{CIRCLE_NODE_INDEX}",
            "{CIRCLE_WORKFLOW_JOB_ID}",
            "{CIRCLE_BUILD_NUM}-{CIRCLE_NODE_INDEX}",
            "{CIRCLE_BUILD_NUM}",
        ),
        job_number=("{CIRCLE_BUILD_NUM}",),
        pull_request=(
            "{CIRCLE_PR_NUMBER}",
            "{CIRCLE_PULL_REQUEST}",
            Cell("{CIRCLE_BRANCH}", "pull/([0-9]+)(?:/.*)?"),
        ),
        branch=("{CIRCLE_BRANCH}",),
        tag=("{CIRCLE_TAG}",),
        commit=("{CIRCLE_SHA1}",),
        job_url=("{CIRCLE_BUILD_URL}",),
        build_url=(
            "https://app.circleci.com/pipelines/workflows/{CIRCLE_WORKFLOW_ID}",
            "{CIRCLE_BUILD_URL}",
        ),
        repo_name=("{CIRCLE_PROJECT_USERNAME}/{CIRCLE_PROJECT_REPONAME}",),
        job_name=("{CIRCLE_JOB}",),
        node_index=("{CIRCLE_NODE_INDEX}",),
        remote_url=("{CIRCLE_REPOSITORY_URL}",),
    ),
    Service(
        name="travis-ci",
        when=("TRAVIS",),
        source="travis-ci/docs-travis-ci-com: user/environment-variables.md, pull-requests.md",
        number=("{TRAVIS_BUILD_NUMBER}", "{TRAVIS_BUILD_ID}"),
        job_id=("{TRAVIS_JOB_ID}",),
        job_number=("{TRAVIS_JOB_NUMBER}",),
        pull_request=("{TRAVIS_PULL_REQUEST}",),
        branch=("{TRAVIS_PULL_REQUEST_BRANCH}", _push("{TRAVIS_BRANCH}")),
        tag=("{TRAVIS_TAG}",),
        commit=("{TRAVIS_PULL_REQUEST_SHA}", _push("{TRAVIS_COMMIT}")),
        merge=("{TRAVIS_COMMIT}",),
        build_url=("{TRAVIS_BUILD_WEB_URL}",),
        job_url=("{TRAVIS_JOB_WEB_URL}",),
        repo_name=("{TRAVIS_REPO_SLUG}",),
        job_name=("{TRAVIS_JOB_NAME}",),
        message=(_push("{TRAVIS_COMMIT_MESSAGE}"),),
    ),
    Service(
        name="jenkins",
        when=("JENKINS_URL", "JENKINS_HOME"),
        source="jenkinsci/jenkins: CoreEnvironmentContributor; branch-api-plugin: "
        "BranchNameContributor; git-plugin and ghprb-plugin: README; gitlab-plugin: README",
        # The identity for commits yet to be made, not that of the commit which is built.
        ignored=(
            "GIT_AUTHOR_NAME",
            "GIT_AUTHOR_EMAIL",
            "GIT_COMMITTER_NAME",
            "GIT_COMMITTER_EMAIL",
        ),
        number=(_JENKINS_BUILD, "{BUILD_TAG}", "{BUILD_NUMBER}"),
        # Parallel stages share all variables but the stage, and the agent's if they have one each.
        job_id=(
            "{JOB_NAME}-{BUILD_NUMBER}-{NODE_NAME}-{EXECUTOR_NUMBER}-{STAGE_NAME}",
            "{JOB_NAME}-{BUILD_NUMBER}-{NODE_NAME}-{EXECUTOR_NUMBER}",
            "{BUILD_TAG}-{STAGE_NAME}",
        ),
        pull_request=(
            "{CHANGE_ID}",
            "{ghprbPullId}",
            "{gitlabMergeRequestIid}",
            Cell("{BRANCH_NAME}", "[PM]R-([0-9]+)(?:-merge|-head)?"),
        ),
        branch=(
            "{CHANGE_BRANCH}",
            "{ghprbSourceBranch}",
            "{gitlabSourceBranch}",
            "{BRANCH_NAME}",
            _push("{GIT_LOCAL_BRANCH}"),
            # The git plugin's word when a tag or a commit is checked out.
            _push("{GIT_BRANCH}", "(?!detached$)(.+)"),
        ),
        tag=("{TAG_NAME}",),
        commit=(
            "{ghprbActualCommit}",
            "{gitlabMergeRequestLastCommit}",
            Cell("{BRANCH_NAME} {GIT_COMMIT}", r"[PM]R-[0-9]+-head (\S+)"),
            _push("{GIT_COMMIT}"),
        ),
        merge=("{GIT_COMMIT}",),
        build_url=("{BUILD_URL}",),
        repo_name=("{ghprbGhRepository}", Cell("{GIT_URL}", _REPO_OF_URL)),
        job_name=(Cell("{JOB_NAME}", ".*/([^/]*=[^/]*)"), "{STAGE_NAME}", "{JOB_NAME}"),
        remote_url=("{GIT_URL}",),
    ),
    Service(
        name="azure-pipelines",
        when=("TF_BUILD",),
        source="MicrosoftDocs/azure-devops-docs: docs/pipelines/build/variables.md and "
        "includes/variables-hosted.md",
        number=("{BUILD_BUILDID}",),
        job_id=("{SYSTEM_JOBID}",),
        pull_request=(
            "{SYSTEM_PULLREQUEST_PULLREQUESTNUMBER}",
            "{SYSTEM_PULLREQUEST_PULLREQUESTID}",
            Cell("{BUILD_SOURCEBRANCH}", _PULL_REF),
        ),
        # BUILD_SOURCEBRANCHNAME has only what follows the last slash.
        branch=("{SYSTEM_PULLREQUEST_SOURCEBRANCH}", _push("{BUILD_SOURCEBRANCH}")),
        commit=("{SYSTEM_PULLREQUEST_SOURCECOMMITID}", _push("{BUILD_SOURCEVERSION}")),
        merge=("{BUILD_SOURCEVERSION}",),
        build_url=(
            (
                "{SYSTEM_TEAMFOUNDATIONCOLLECTIONURI}/{SYSTEM_TEAMPROJECT}/_build/results"
                "?buildId={BUILD_BUILDID}"
            ),
        ),
        attempt=("{SYSTEM_JOBATTEMPT}",),
        repo_name=("{BUILD_REPOSITORY_NAME}",),
        job_name=("{SYSTEM_JOBDISPLAYNAME}", "{AGENT_JOBNAME}"),
        node_index=("{SYSTEM_JOBPOSITIONINPHASE}",),
        message=(_push("{BUILD_SOURCEVERSIONMESSAGE}"),),
        remote_url=("{BUILD_REPOSITORY_URI}",),
    ),
    Service(
        name="bitbucket",
        when=("BITBUCKET_BUILD_NUMBER",),
        source="https://support.atlassian.com/bitbucket-cloud/docs/variables-and-secrets/",
        number=("{BITBUCKET_BUILD_NUMBER}",),
        job_id=("{BITBUCKET_STEP_UUID}",),
        pull_request=("{BITBUCKET_PR_ID}",),
        branch=("{BITBUCKET_BRANCH}",),
        tag=("{BITBUCKET_TAG}",),
        commit=("{BITBUCKET_COMMIT}",),
        build_url=(
            (
                "https://bitbucket.org/{BITBUCKET_REPO_FULL_NAME}/addon/pipelines/home"
                "#!/results/{BITBUCKET_BUILD_NUMBER}"
            ),
        ),
        attempt=("{BITBUCKET_STEP_RUN_NUMBER}",),
        repo_name=("{BITBUCKET_REPO_FULL_NAME}",),
        node_index=("{BITBUCKET_PARALLEL_STEP}",),
        remote_url=("{BITBUCKET_GIT_HTTP_ORIGIN}",),
    ),
    Service(
        name="buildkite",
        when=("BUILDKITE",),
        source="buildkite/docs: data/content/environment_variables.yaml",
        number=("{BUILDKITE_BUILD_NUMBER}",),
        job_id=("{BUILDKITE_JOB_ID}",),
        pull_request=("{BUILDKITE_PULL_REQUEST}",),
        branch=(Cell("{BUILDKITE_BRANCH}", "(?:[^:]*:)?(.+)"),),  # a fork's is "user:branch"
        tag=("{BUILDKITE_TAG}",),
        commit=("{BUILDKITE_COMMIT}",),
        build_url=("{BUILDKITE_BUILD_URL}",),
        job_url=("{BUILDKITE_BUILD_URL}#{BUILDKITE_JOB_ID}",),
        attempt=("{BUILDKITE_RETRY_COUNT}",),
        repo_name=(Cell("{BUILDKITE_REPO}", _REPO_OF_URL),),
        job_name=("{BUILDKITE_LABEL}", "{BUILDKITE_STEP_KEY}"),
        node_index=("{BUILDKITE_PARALLEL_JOB}",),
        author_name=("{BUILDKITE_BUILD_AUTHOR}",),
        author_email=("{BUILDKITE_BUILD_AUTHOR_EMAIL}",),
        message=("{BUILDKITE_MESSAGE}",),
        remote_url=("{BUILDKITE_REPO}",),
    ),
    Service(
        name="appveyor",
        when=("APPVEYOR",),
        source="appveyor/website: src/docs/environment-variables.md",
        number=("{APPVEYOR_BUILD_ID}", "{APPVEYOR_BUILD_NUMBER}"),
        job_id=("{APPVEYOR_JOB_ID}",),
        job_number=("{APPVEYOR_JOB_NUMBER}",),
        pull_request=("{APPVEYOR_PULL_REQUEST_NUMBER}",),
        branch=("{APPVEYOR_PULL_REQUEST_HEAD_REPO_BRANCH}", _push("{APPVEYOR_REPO_BRANCH}")),
        tag=("{APPVEYOR_REPO_TAG_NAME}",),
        commit=("{APPVEYOR_PULL_REQUEST_HEAD_COMMIT}", _push("{APPVEYOR_REPO_COMMIT}")),
        merge=("{APPVEYOR_REPO_COMMIT}",),
        build_url=(
            (
                "{APPVEYOR_URL}/project/{APPVEYOR_ACCOUNT_NAME}/{APPVEYOR_PROJECT_SLUG}"
                "/builds/{APPVEYOR_BUILD_ID}"
            ),
        ),
        job_url=(
            (
                "{APPVEYOR_URL}/project/{APPVEYOR_ACCOUNT_NAME}/{APPVEYOR_PROJECT_SLUG}"
                "/builds/{APPVEYOR_BUILD_ID}/job/{APPVEYOR_JOB_ID}"
            ),
        ),
        repo_name=("{APPVEYOR_REPO_NAME}",),
        job_name=("{APPVEYOR_JOB_NAME}",),
        author_name=(_push("{APPVEYOR_REPO_COMMIT_AUTHOR}"),),
        author_email=(_push("{APPVEYOR_REPO_COMMIT_AUTHOR_EMAIL}"),),
        message=(
            _push(
                "{APPVEYOR_REPO_COMMIT_MESSAGE}\n\n{APPVEYOR_REPO_COMMIT_MESSAGE_EXTENDED}",
            ),
            _push("{APPVEYOR_REPO_COMMIT_MESSAGE}"),
        ),
    ),
    Service(
        name="semaphore-classic",
        when=("SEMAPHORE_EXECUTABLE_UUID", "SEMAPHORE_BUILD_NUMBER"),
        source="TheKevJames/coveralls-python: coveralls/configuration/ci.py; "
        "lemurheavy/coveralls-ruby: lib/coveralls/configuration.rb",
        number=("{SEMAPHORE_EXECUTABLE_UUID}", "{SEMAPHORE_BUILD_NUMBER}"),
        job_id=("{SEMAPHORE_JOB_UUID}",),
        pull_request=("{PULL_REQUEST_NUMBER}",),
        branch=("{BRANCH_NAME}",),
        commit=("{REVISION}",),
        repo_name=("{SEMAPHORE_REPO_SLUG}",),
    ),
    Service(
        name="semaphore",
        when=("SEMAPHORE",),
        source="semaphoreio/semaphore: docs/docs/reference/env-vars.md",
        number=("{SEMAPHORE_WORKFLOW_ID}",),
        job_id=("{SEMAPHORE_JOB_ID}",),
        pull_request=("{SEMAPHORE_GIT_PR_NUMBER}",),
        branch=(
            "{SEMAPHORE_GIT_PR_BRANCH}",
            "{SEMAPHORE_GIT_WORKING_BRANCH}",
            _push("{SEMAPHORE_GIT_BRANCH}"),
        ),
        tag=("{SEMAPHORE_GIT_TAG_NAME}",),
        commit=("{SEMAPHORE_GIT_PR_SHA}", _push("{SEMAPHORE_GIT_SHA}")),
        merge=("{SEMAPHORE_GIT_SHA}",),
        build_url=("{SEMAPHORE_ORGANIZATION_URL}/workflows/{SEMAPHORE_WORKFLOW_ID}",),
        job_url=("{SEMAPHORE_ORGANIZATION_URL}/jobs/{SEMAPHORE_JOB_ID}",),
        repo_name=("{SEMAPHORE_GIT_REPO_SLUG}",),
        job_name=("{SEMAPHORE_JOB_NAME}",),
        node_index=("{SEMAPHORE_JOB_INDEX}",),
        remote_url=("{SEMAPHORE_GIT_URL}",),
    ),
    Service(
        name="harness",
        when=("HARNESS_BUILD_ID",),  # before Drone, whose variables it sets too
        source="https://developer.harness.io/docs/continuous-integration/troubleshoot-ci/"
        "ci-env-var",
        ignored=("CI_COMMIT_MESSAGE",),
        number=("{HARNESS_BUILD_ID}", "{CI_BUILD_NUMBER}"),
        job_id=(
            "{HARNESS_BUILD_ID}-{HARNESS_STAGE_ID}-{HARNESS_NODE_INDEX}",
            "{HARNESS_BUILD_ID}-{HARNESS_STAGE_ID}",
            "{HARNESS_BUILD_ID}-{HARNESS_NODE_INDEX}",
        ),
        pull_request=("{DRONE_PULL_REQUEST}",),
        branch=("{DRONE_SOURCE_BRANCH}", _push("{DRONE_COMMIT_BRANCH}")),
        tag=("{DRONE_TAG}",),
        commit=("{DRONE_COMMIT_SHA}",),
        build_url=("{CI_BUILD_LINK}", "{DRONE_BUILD_LINK}"),
        repo_name=("{CI_REPO}", "{DRONE_REPO}"),
        job_name=("{HARNESS_STAGE_ID}",),
        node_index=("{HARNESS_NODE_INDEX}",),
        author_name=(_push("{DRONE_COMMIT_AUTHOR_NAME}"),),
        author_email=(_push("{DRONE_COMMIT_AUTHOR_EMAIL}"),),
        message=(_push("{DRONE_COMMIT_MESSAGE}"),),
        remote_url=("{DRONE_GIT_HTTP_URL}",),
    ),
    Service(
        name="woodpecker",
        when=("CI=woodpecker", "CI_SYSTEM_NAME=woodpecker"),
        source="woodpecker-ci/woodpecker: docs/docs/20-usage/50-environment.md",
        number=("{CI_PIPELINE_NUMBER}", "{CI_BUILD_NUMBER}"),
        job_id=(
            "{CI_PIPELINE_NUMBER}.{CI_WORKFLOW_NUMBER}.{CI_STEP_NUMBER}",
            "{CI_PIPELINE_NUMBER}.{CI_WORKFLOW_NUMBER}.{CI_STEP_NAME}",
            "{CI_PIPELINE_NUMBER}.{CI_WORKFLOW_NAME}.{CI_STEP_NAME}",
            "{CI_BUILD_NUMBER}.{CI_JOB_NUMBER}",
        ),
        job_number=("{CI_WORKFLOW_NUMBER}", "{CI_JOB_NUMBER}"),
        pull_request=("{CI_COMMIT_PULL_REQUEST}",),
        branch=("{CI_COMMIT_SOURCE_BRANCH}", _push("{CI_COMMIT_BRANCH}")),
        tag=("{CI_COMMIT_TAG}",),
        commit=("{CI_COMMIT_SHA}",),
        build_url=("{CI_PIPELINE_URL}", "{CI_BUILD_LINK}"),
        job_url=("{CI_STEP_URL}",),
        attempt=("{CI_PIPELINE_RERUNS}",),
        repo_name=("{CI_REPO}",),
        job_name=("{CI_WORKFLOW_NAME}", "{CI_STEP_NAME}"),
        # CI_COMMIT_AUTHOR is a log-in, not a name.
        author_email=(_push("{CI_COMMIT_AUTHOR_EMAIL}"),),
        message=(_push("{CI_COMMIT_MESSAGE}"),),
        remote_url=("{CI_REPO_CLONE_URL}",),
    ),
    Service(
        name="drone",
        when=("DRONE",),
        source="drone/docs: content/pipeline/environment/reference",
        number=("{DRONE_BUILD_NUMBER}",),
        job_id=(
            "{DRONE_BUILD_NUMBER}.{DRONE_STAGE_NUMBER}.{DRONE_STEP_NUMBER}",
            "{DRONE_BUILD_NUMBER}.{DRONE_STAGE_NUMBER}.{DRONE_STEP_NAME}",
            "{DRONE_BUILD_NUMBER}.{DRONE_STAGE_NUMBER}",
        ),
        job_number=("{DRONE_STAGE_NUMBER}",),
        pull_request=("{DRONE_PULL_REQUEST}",),
        branch=(
            "{DRONE_SOURCE_BRANCH}",
            _push("{DRONE_BRANCH}"),
            _push("{DRONE_COMMIT_BRANCH}"),
        ),
        tag=("{DRONE_TAG}",),
        commit=("{DRONE_COMMIT_SHA}", "{DRONE_COMMIT}"),
        build_url=("{DRONE_BUILD_LINK}",),
        repo_name=("{DRONE_REPO}",),
        job_name=("{DRONE_STAGE_NAME}", "{DRONE_STEP_NAME}"),
        author_name=(_push("{DRONE_COMMIT_AUTHOR_NAME}"),),
        author_email=(_push("{DRONE_COMMIT_AUTHOR_EMAIL}"),),
        message=(_push("{DRONE_COMMIT_MESSAGE}"),),
        remote_url=("{DRONE_GIT_HTTP_URL}",),
    ),
    Service(
        name="cirrus-ci",
        when=("CIRRUS_CI",),
        source="cirruslabs/cirrus-ci-docs: docs/guide/writing-tasks.md",
        number=("{CIRRUS_BUILD_ID}",),
        job_id=("{CIRRUS_TASK_ID}",),
        pull_request=("{CIRRUS_PR}",),
        branch=("{CIRRUS_BRANCH}",),
        tag=("{CIRRUS_TAG}",),
        commit=("{CIRRUS_CHANGE_IN_REPO}",),
        build_url=("https://cirrus-ci.com/build/{CIRRUS_BUILD_ID}",),
        job_url=("https://cirrus-ci.com/task/{CIRRUS_TASK_ID}",),
        repo_name=("{CIRRUS_REPO_FULL_NAME}",),
        job_name=("{CIRRUS_TASK_NAME}",),
        node_index=("{CI_NODE_INDEX}",),
        message=(_push("{CIRRUS_CHANGE_MESSAGE}"),),  # a pull request's title and text
        remote_url=("{CIRRUS_REPO_CLONE_URL}",),
    ),
    Service(
        name="teamcity",
        when=("TEAMCITY_VERSION",),
        source="JetBrains/teamcity-documentation: topics/predefined-build-parameters.md, "
        "pull-requests.md, parallel-tests.md",
        more=_teamcity_parameters,
        number=("{BUILD_NUMBER}",),
        job_id=("{teamcity.build.id}", "{TEAMCITY_BUILDCONF_NAME}-{BUILD_NUMBER}"),
        pull_request=("{teamcity.pullRequest.number}",),
        branch=(
            "{teamcity.pullRequest.source.branch}",
            _push("{teamcity.build.branch}", "([^<].*)"),
            _push("{teamcity.build.branch} {vcsroot.branch}", "<default> (.+)"),
        ),
        commit=("{BUILD_VCS_NUMBER}", "{build.vcs.number}"),
        build_url=(
            # The old address of a build is nothing without its query, which is cut off.
            Cell("{BUILD_URL}", "(?!.*/viewLog[.]html$)(.+)"),
            "{teamcity.serverUrl}/viewLog.html?buildId={teamcity.build.id}",
        ),
        repo_name=(Cell("{vcsroot.url}", _REPO_OF_URL),),
        job_name=("{TEAMCITY_BUILDCONF_NAME}",),
        node_index=("{teamcity.build.parallelTests.currentBatch}",),
        remote_url=("{vcsroot.url}",),
    ),
    Service(
        name="aws-codebuild",
        when=("CODEBUILD_BUILD_ID", "CODEBUILD_CI"),
        source="https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-env-vars.html",
        number=(
            # The builds of a batch have no documented number in common, only what they build.
            Cell(
                "{CODEBUILD_BATCH_BUILD_IDENTIFIER} {CODEBUILD_RESOLVED_SOURCE_VERSION}",
                r".+ (\S+)",
            ),
            "{CODEBUILD_BUILD_NUMBER}",
        ),
        job_id=("{CODEBUILD_BUILD_ID}",),
        pull_request=(
            Cell("{CODEBUILD_WEBHOOK_TRIGGER}", "pr/([0-9]+)"),
            Cell("{CODEBUILD_SOURCE_VERSION}", "pr/([0-9]+)"),
        ),
        branch=(
            "{CODEBUILD_WEBHOOK_HEAD_REF}",
            Cell("{CODEBUILD_WEBHOOK_TRIGGER}", "branch/(.+)"),
        ),
        tag=(Cell("{CODEBUILD_WEBHOOK_TRIGGER}", "tag/(.+)"),),
        commit=("{CODEBUILD_RESOLVED_SOURCE_VERSION}",),
        build_url=("{CODEBUILD_PUBLIC_BUILD_URL}",),
        repo_name=(Cell("{CODEBUILD_SOURCE_REPO_URL}", _REPO_OF_URL),),
        job_name=("{CODEBUILD_BATCH_BUILD_IDENTIFIER}",),
        remote_url=("{CODEBUILD_SOURCE_REPO_URL}",),
    ),
    Service(
        name="codefresh",
        when=("CF_BUILD_ID", "CF_BUILD_URL"),
        source="https://codefresh.io/docs/docs/pipelines/variables/",
        number=("{CF_BUILD_ID}",),
        job_id=("{CF_BUILD_ID}-{CF_STEP_NAME}",),
        # CF_PULL_REQUEST_ID is the provider's own id, not the number that users see.
        pull_request=("{CF_PULL_REQUEST_NUMBER}",),
        branch=("{CF_BRANCH}",),
        tag=("{CF_RELEASE_TAG}",),
        commit=("{CF_REVISION}",),
        build_url=("{CF_BUILD_URL}",),
        repo_name=("{CF_REPO_OWNER}/{CF_REPO_NAME}",),
        job_name=("{CF_STEP_NAME}",),
        author_name=("{CF_COMMIT_AUTHOR}",),
        message=("{CF_COMMIT_MESSAGE}",),
    ),
    Service(
        name="codeship",
        when=("CI_NAME=codeship",),
        source="codeship/documentation: environment variables of Basic and Pro",
        number=("{CI_BUILD_NUMBER}", "{CI_BUILD_ID}"),
        pull_request=("{CI_PR_NUMBER}", "{CI_PULL_REQUEST}"),
        branch=("{CI_BRANCH}",),
        commit=("{CI_COMMIT_ID}",),
        build_url=("{CI_BUILD_URL}",),
        repo_name=("{CI_REPO_NAME}",),
        committer_name=("{CI_COMMITTER_NAME}",),
        committer_email=("{CI_COMMITTER_EMAIL}",),
        message=("{CI_COMMIT_MESSAGE}", "{CI_MESSAGE}"),
    ),
    Service(
        name="bitrise",
        when=("BITRISE_IO",),
        source="https://docs.bitrise.io: available environment variables; semantic-release/env-ci",
        # The workflows of a pipeline are builds, each with a number and a slug of its own.
        number=("{BITRISEIO_PIPELINE_ID}", "{BITRISE_BUILD_NUMBER}"),
        job_id=("{BITRISE_BUILD_SLUG}",),
        pull_request=("{BITRISE_PULL_REQUEST}",),
        branch=("{BITRISEIO_PULL_REQUEST_HEAD_BRANCH}", "{BITRISE_GIT_BRANCH}"),
        tag=("{BITRISE_GIT_TAG}",),
        # The hash of the clone is that of the merge when the clone step merges a pull request.
        commit=("{BITRISE_GIT_COMMIT}", _push("{GIT_CLONE_COMMIT_HASH}")),
        merge=("{GIT_CLONE_COMMIT_HASH}",),
        build_url=("{BITRISEIO_PIPELINE_BUILD_URL}", "{BITRISE_BUILD_URL}"),
        job_url=("{BITRISE_BUILD_URL}",),
        repo_name=("{BITRISEIO_GIT_REPOSITORY_OWNER}/{BITRISEIO_GIT_REPOSITORY_SLUG}",),
        node_index=("{BITRISE_IO_PARALLEL_INDEX}",),
        author_name=(_push("{GIT_CLONE_COMMIT_AUTHOR_NAME}"),),
        author_email=(_push("{GIT_CLONE_COMMIT_AUTHOR_EMAIL}"),),
    ),
    Service(
        name="xcode-cloud",
        when=("CI_XCODE_CLOUD", "CI_XCODE_PROJECT"),
        source="https://developer.apple.com/documentation/xcode/environment-variable-reference",
        number=("{CI_BUILD_NUMBER}",),
        job_id=("{CI_BUILD_ID}-{CI_XCODEBUILD_ACTION}", "{CI_BUILD_ID}"),
        pull_request=("{CI_PULL_REQUEST_NUMBER}",),
        branch=(
            "{CI_PULL_REQUEST_SOURCE_BRANCH}",
            _push("{CI_BRANCH}"),
            _push("{CI_GIT_REF}"),
        ),
        tag=("{CI_TAG}",),
        commit=("{CI_PULL_REQUEST_SOURCE_COMMIT}", _push("{CI_COMMIT}")),
        merge=("{CI_COMMIT}",),
        build_url=("{CI_BUILD_URL}",),
        repo_name=("{CI_PULL_REQUEST_TARGET_REPO}",),
        job_name=("{CI_WORKFLOW}",),
    ),
    Service(
        name="netlify",
        when=("NETLIFY",),
        source="https://docs.netlify.com/configure-builds/environment-variables/",
        number=("{BUILD_ID}", "{DEPLOY_ID}"),
        pull_request=("{REVIEW_ID}",),
        branch=("{HEAD}", "{BRANCH}"),
        commit=("{COMMIT_REF}",),
        build_url=("https://app.netlify.com/sites/{SITE_NAME}/deploys/{DEPLOY_ID}",),
        repo_name=(Cell("{REPOSITORY_URL}", _REPO_OF_URL),),
        remote_url=("{REPOSITORY_URL}",),
    ),
    Service(
        name="vercel",
        when=("VERCEL",),
        source="https://vercel.com/docs/projects/environment-variables/"
        "system-environment-variables",
        number=("{VERCEL_DEPLOYMENT_ID}",),
        pull_request=("{VERCEL_GIT_PULL_REQUEST_ID}",),
        branch=("{VERCEL_GIT_COMMIT_REF}",),
        commit=("{VERCEL_GIT_COMMIT_SHA}",),
        repo_name=("{VERCEL_GIT_REPO_OWNER}/{VERCEL_GIT_REPO_SLUG}",),
        author_name=("{VERCEL_GIT_COMMIT_AUTHOR_NAME}",),
        message=("{VERCEL_GIT_COMMIT_MESSAGE}",),
    ),
    Service(
        name="rwx",
        when=("RWX",),
        source="coverallsapp/coverage-reporter: src/coverage_reporter/ci/rwx.cr; "
        "cake-build/cake: RwxInfo",
        number=("{RWX_RUN_ID}",),
        job_id=("{RWX_TASK_ID}",),
        pull_request=(Cell("{RWX_GIT_REF}", _PULL_REF),),
        branch=("{RWX_GIT_REF}", "{RWX_GIT_REF_NAME}"),
        commit=("{RWX_GIT_COMMIT_SHA}",),
        build_url=("{RWX_RUN_URL}",),
        job_url=("{RWX_TASK_URL}",),
        attempt=("{RWX_TASK_ATTEMPT_NUMBER}",),
        repo_name=("{RWX_GIT_REPOSITORY_NAME}",),
        committer_name=("{RWX_GIT_COMMITTER_NAME}",),
        committer_email=("{RWX_GIT_COMMITTER_EMAIL}",),
        message=("{RWX_GIT_COMMIT_MESSAGE}",),
    ),
    Service(
        name="wercker",
        when=("WERCKER", "WERCKER_RUN_ID"),
        source="semantic-release/env-ci: services/wercker.js; wercker/wercker: core/environment.go",
        number=("{WERCKER_RUN_ID}", "{WERCKER_BUILD_ID}", Cell("{WERCKER_RUN_URL}", ".*/([^/]+)")),
        branch=("{WERCKER_GIT_BRANCH}",),
        commit=("{WERCKER_GIT_COMMIT}",),
        build_url=("{WERCKER_RUN_URL}",),
        repo_name=("{WERCKER_GIT_OWNER}/{WERCKER_GIT_REPOSITORY}",),
    ),
    Service(
        name="tddium",
        when=("TDDIUM",),
        source="coverallsapp/coverage-reporter: src/coverage_reporter/ci/tddium.cr; "
        "lemurheavy/coveralls-ruby: lib/coveralls/configuration.rb",
        number=("{TDDIUM_SESSION_ID}",),
        job_id=("{TDDIUM_SESSION_ID}-{TDDIUM_TID}",),
        job_number=("{TDDIUM_TID}",),
        pull_request=("{TDDIUM_PR_ID}",),
        branch=("{TDDIUM_CURRENT_BRANCH}",),
        build_url=("https://ci.solanolabs.com/reports/{TDDIUM_SESSION_ID}",),
    ),
    Service(
        name="surf",
        when=("SURF_SHA1",),
        source="surf-build/surf: README.md",
        pull_request=("{SURF_PR_NUM}",),
        branch=("{SURF_REF}",),
        commit=("{SURF_SHA1}",),
        repo_name=("{SURF_NWO}",),
        job_name=("{SURF_BUILD_NAME}",),
        remote_url=("{SURF_REPO}",),
    ),
    Service(
        name="google-cloud-build",
        # Nothing is in the environment but what the user maps from the substitutions.
        when=("BUILDER_OUTPUT", "BUILD_ID PROJECT_ID TRIGGER_NAME"),
        source="https://cloud.google.com/build/docs/configuring-builds/substitute-variable-values",
        number=("{BUILD_ID}",),
        pull_request=("{_PR_NUMBER}",),
        branch=("{_HEAD_BRANCH}", _push("{BRANCH_NAME}")),
        tag=("{TAG_NAME}",),
        commit=("{COMMIT_SHA}", "{REVISION_ID}"),
        build_url=(
            (
                "https://console.cloud.google.com/cloud-build/builds;region={LOCATION}/{BUILD_ID}"
                "?project={PROJECT_ID}"
            ),
        ),
        repo_name=("{REPO_FULL_NAME}",),
        job_name=("{TRIGGER_NAME}",),
    ),
    GENERIC,
)


# --- Reading the rows ---------------------------------------------------------------------------

_PLACEHOLDER = re.compile(r"\{([\w.]+)(\??)\}")


def _runs(service: Service, env: Mapping[str, str]) -> bool:
    return not service.when or any(
        all(_holds(condition, env) for condition in alternative.split())
        for alternative in service.when
    )


def _holds(condition: str, env: Mapping[str, str]) -> bool:
    name, _, wanted = condition.partition("=")
    value = env.get(name, "").strip().lower()
    return value == wanted if wanted else value not in ("", "0", "false", "no", "off")


def _variables(service: Service) -> Iterator[str]:
    """The name of every variable in the cells of the row."""
    for column in fields(service):
        cells = getattr(service, column.name)
        for cell in cells if isinstance(cells, tuple) else ():
            template = cell.template if isinstance(cell, Cell) else cell
            yield from (match[1] for match in _PLACEHOLDER.finditer(template))


@dataclass(frozen=True, slots=True)
class _Source:
    service: Service
    env: Mapping[str, str]


def _values(sources: list[_Source]) -> dict[str, Any]:
    """Every field of a Build except ``problems``."""
    pull_request = _first(sources, "pull_request", _pull_request, push=False)
    push = pull_request is None
    values: dict[str, Any] = {
        field: _first(sources, column, clean, push=push) for field, column, clean in _COLUMNS
    }
    values["service_name"] = _filled(sources[0].service.name, sources[0].env, _plain)
    values["service_pull_request"] = pull_request
    values["tag"] = values["tag"] or _first(sources, "branch", _tag_of_ref, push=push)
    if values["service_branch"] == values["tag"]:  # several services call the tag a branch
        values["service_branch"] = None
    if push or values["commit_sha"]:
        values["merge_sha"] = None
    return values


def _first(
    sources: list[_Source], column: str, clean: Callable[[str], str | None], *, push: bool
) -> str | None:
    """The first usable value of a column, the service's before the generic row's."""
    tidy = _TIDY.get(column, _plain)
    for source in sources:
        for entry in getattr(source.service, column):
            cell = entry if isinstance(entry, Cell) else Cell(entry)
            if push or not cell.unless_pull_request:
                value = clean(_matched(cell, source.env, tidy))
                if value:
                    return value
    return None


def _matched(cell: Cell, env: Mapping[str, str], tidy: Callable[[str], str | None]) -> str:
    """What the cell gives, stripped; empty when a variable is missing or nothing matches."""
    text = _filled(cell.template, env, tidy)
    match = re.fullmatch(cell.pattern, text, re.DOTALL) if text else None
    return "".join(filter(None, match.groups())).strip() if match else ""


def _filled(template: str, env: Mapping[str, str], tidy: Callable[[str], str | None]) -> str | None:
    """The template with its variables in place; None when one that it needs is not usable."""
    values = {}
    for name, optional in _PLACEHOLDER.findall(template):
        value = tidy(env.get(name) or env.get(name.upper(), ""))  # Windows knows no lower case
        if not value and not optional:
            return None
        values[name] = value or ""
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template)


# --- What a variable may hold -------------------------------------------------------------------

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# A macro of Azure, Google, a shell or Harness that nothing was put in for.
_UNRESOLVED = re.compile(r"\$\(.*\)|\$\{.*\}|\$[A-Z_][A-Z0-9_]*|<\+.*>|null|undefined")


def _message(value: str) -> str | None:
    """The text of a variable, lines and all; what is not Unicode becomes ``?``."""
    text = value.encode("utf-8", "replace").decode("utf-8").replace("\0", "")
    return text.strip() or None


def _plain(value: str) -> str | None:
    """One line, and in a URL nothing that may be secret; None when it cannot be used."""
    text = _message(value)
    if not text or _CONTROL.search(text) or _UNRESOLVED.fullmatch(text):
        return None
    return _safe_url(text) if "://" in text else text


def _safe_url(url: str) -> str | None:
    """Without userinfo, query and fragment; None when it is not sure where these are."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError for the half of a password with a slash in it
    except ValueError:
        return None
    host = parts.netloc.rpartition("@")[2]
    if not parts.scheme or not host or "@" in parts.path:
        return None
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def _in_link(value: str) -> str | None:
    """A variable as a part of a link: the row's own ``?`` and ``#`` stay the only ones."""
    text = _plain(value)
    if not text or "@" in text:  # what stands before it may be secret
        return None
    return _quoted(text) if "://" in text else quote(text, safe="/=")


def _quoted(url: str) -> str:
    return quote(url, safe=":/%[]!$&'()*+,;=~")


_TIDY = {"message": _message, "build_url": _in_link, "job_url": _in_link}


# --- What a column may hold ---------------------------------------------------------------------

# https://git-scm.com/docs/git-check-ref-format
_NO_REF = re.compile(r"[\s~^:?*\[\\]|\.\.|@\{|//|^[/-]|/$")
_BRANCH_PREFIX = re.compile(r"refs/heads/|refs/remotes/[^/]+/|remotes/[^/]+/|origin/")
_NO_BRANCH = re.compile(
    r"HEAD|refs/.*"
    r"|(?:pull|pr|pull-requests|merge-requests)/[0-9]+(?:/.*)?|[0-9]+/(?:merge|head)"
    r"|[PM]R-[0-9]+(?:-merge|-head)?"
    r"|[0-9a-f]{40}|[0-9a-f]{64}"
)


def _branch(text: str) -> str | None:
    prefix = _BRANCH_PREFIX.match(text)
    name = text[prefix.end() :] if prefix else text
    return None if _NO_BRANCH.fullmatch(name) or _NO_REF.search(name) else name


def _tag(text: str) -> str | None:
    name = text.removeprefix("refs/tags/")
    is_other = name == "HEAD" or name.startswith("refs/") or _NO_REF.search(name)
    return None if is_other else name


def _tag_of_ref(text: str) -> str | None:
    return _tag(text) if text.startswith("refs/tags/") else None


def _sha(text: str) -> str | None:
    is_hash = re.fullmatch("[0-9a-fA-F]{7,64}", text) and set(text) != {"0"}
    return text.lower() if is_hash else None


def _pull_request(text: str) -> str | None:
    """The trailing integer of a number, a path or a URL."""
    match = re.search("(?<![0-9])([0-9]{1,18})/?$", text)
    return match[1] if match and int(match[1]) else None


def _count(text: str) -> str | None:
    return text if re.fullmatch("[0-9]+", text) else None


def _identifier(text: str) -> str | None:
    return None if "://" in text else text


def _repo_name(text: str) -> str | None:
    return text if re.fullmatch(r"[\w.-]+(?:/[\w.-]+)+", text) else None


def _link(text: str) -> str | None:
    is_link = re.match(r"https?://[^/]", text)
    return re.sub("(?<!:)//+", "/", text) if is_link else None


def _remote(text: str) -> str | None:
    """A URL, or ``git@host:path``, whose user is no secret; any other user is left out."""
    if "://" in text:
        url = _safe_url(text)
        return re.sub("(?<!:)//+", "/", _quoted(url)) if url else None
    match = re.fullmatch(r"(?:([\w.+-]+)@)?([\w.-]{2,}:[\w./~+-]+)", text)
    if not match:
        return None
    return f"git@{match[2]}" if match[1] == "git" else match[2]


def _text(text: str) -> str | None:
    return text


_COLUMNS: tuple[tuple[str, str, Callable[[str], str | None]], ...] = (
    ("service_number", "number", _identifier),
    ("service_job_id", "job_id", _identifier),
    ("service_job_number", "job_number", _identifier),
    ("service_branch", "branch", _branch),
    ("service_build_url", "build_url", _link),
    ("service_job_url", "job_url", _link),
    ("service_attempt", "attempt", _count),
    ("tag", "tag", _tag),
    ("commit_sha", "commit", _sha),
    ("merge_sha", "merge", _sha),
    ("repo_name", "repo_name", _repo_name),
    ("job_name", "job_name", _text),
    ("node_index", "node_index", _count),
    ("author_name", "author_name", _text),
    ("author_email", "author_email", _text),
    ("committer_name", "committer_name", _text),
    ("committer_email", "committer_email", _text),
    ("message", "message", _text),
    ("remote_url", "remote_url", _remote),
    ("remote_name", "remote_name", _text),
)
"""The field of a Build, the column of a row, and what makes one of the other."""
