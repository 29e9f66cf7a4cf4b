"""Describe the CI services, a row each, with their documentation."""

import re
from typing import NamedTuple, TypeAlias

PLACEHOLDER = re.compile(r"\{([\w.]+)(\??)\}")


class Cell(NamedTuple):
    """Hold a template with a condition.

    ``{NAME}`` is a variable, ``{NAME?}`` one that may be missing. The template is skipped when a
    variable is unset, blank or unusable. The filled template must match ``pattern`` as a whole;
    its groups, joined, are the value. With ``unless_pull_request`` it is skipped for pull
    requests, where the variable names the target branch, or as ``commit_sha`` the merge.
    """

    template: str
    pattern: str = "(.*)"
    unless_pull_request: bool = False


Column: TypeAlias = "str | Cell | tuple[str | Cell, ...]"


class Service:
    """Hold the row of a CI service.

    Args:
        documented_at: by the owner of the service, else where the variables were read.
        when: how to recognise it. Alternatives with ``|`` between them; each names the variables
            that must be set, or NAME=value. A blank one always fits.
        ignored: variables that mean something else to the generic row, between spaces.
        columns: for fields of a `Build` one template, or a tuple of them that is tried in order.
            Names like ``event.a.b`` are taken from GitHub's event.
    """

    def __init__(
        self, *, documented_at: str, when: str = "", ignored: str = "", **columns: Column
    ) -> None:
        self.documented_at = documented_at
        self.when = when.split("|")
        self.ignored = ignored.split()
        self._columns = columns

    def cells(self, field: str) -> tuple[Cell, ...]:
        """Return the cells of a field, in order."""
        column = self._columns.get(field, ())
        cells = (column,) if isinstance(column, str | Cell) else column
        return tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in cells)

    def variables(self) -> set[str]:
        """Return the name of every variable that the row reads."""
        cells = [cell for field in self._columns for cell in self.cells(field)]
        return {name for cell in cells for name, _ in PLACEHOLDER.findall(cell.template)}


_PULL_REF = r"refs/pull/([0-9]+)(?:/.+)?"


def _push(template: str, pattern: str = "(.*)") -> Cell:
    return Cell(template, pattern, unless_pull_request=True)


def _actions(when: str, documented_at: str, run: str) -> Service:
    """Return the row of GitHub Actions or its likes."""
    # On Gitea and Forgejo a page has the number of the run in its address, not the id.
    address = "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/" + run
    page = ("{event.workflow_run.html_url}", address)
    return Service(
        when=when,
        documented_at=documented_at,
        service_number=("{event.workflow_run.id}", "{GITHUB_RUN_ID}"),  # of the run that measured
        # Legs of a matrix share GITHUB_JOB; those that run at the same time have other runners.
        service_job_id=("{GITHUB_JOB}-{RUNNER_NAME}", "{GITHUB_JOB}"),
        service_pull_request=("{event.pull_request.number}", Cell("{GITHUB_REF}", _PULL_REF)),
        service_branch=(
            "{event.pull_request.head.ref}",
            "{event.workflow_run.head_branch}",
            "{GITHUB_HEAD_REF}",
            "{GITHUB_REF}",
        ),
        target_branch=("{event.pull_request.base.ref}", "{GITHUB_BASE_REF}"),
        commit_sha=(
            "{event.pull_request.head.sha}",
            "{event.workflow_run.head_sha}",
            # Gitea and Forgejo check out the head of a pull request, GitHub its merge.
            Cell("{GITHUB_REF} {GITHUB_SHA}", r"refs/pull/[0-9]+/head (\S+)"),
            _push("{GITHUB_SHA}"),
        ),
        service_build_url=page,
        service_job_url=page,
        service_attempt=("{event.workflow_run.run_attempt}", "{GITHUB_RUN_ATTEMPT}"),
        event_name="{GITHUB_EVENT_NAME}",
        repo_name="{GITHUB_REPOSITORY}",
        job_name="{GITHUB_JOB}",
        author_name="{event.head_commit.author.name}",
        author_email="{event.head_commit.author.email}",
        committer_name="{event.head_commit.committer.name}",
        committer_email="{event.head_commit.committer.email}",
        message="{event.head_commit.message}",
        remote_url="{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}.git",
    )


# In a pipeline of merged results the commit, its author and its message are those of the merge.
_GITLAB_HEAD = "{CI_MERGE_REQUEST_EVENT_TYPE?} "

# A job of a matrix project is called "project/axis=value"; its build number is the project's.
# The number alone starts at 1 for each branch of a multibranch project.
_JENKINS_BUILD = Cell("{JOB_NAME}-{BUILD_NUMBER}", r"(.+?)(?:/[^/]*=[^/]*)?(-[^-]+)")

GENERIC = Service(
    documented_at="https://docs.coveralls.io/ci-services, "
    "https://docs.coveralls.io/mercurial-support; "
    "coverallsapp/coverage-reporter: doc/configuration.md",
    service_number="{CI_BUILD_NUMBER}",
    service_job_id="{CI_JOB_ID}",
    service_pull_request=("{CI_PULL_REQUEST}", Cell("{CI_PULL_REQUEST}", "(?:.* )([0-9]+)")),
    service_branch=("{GIT_BRANCH}", "{CI_BRANCH}"),
    commit_sha=("{GIT_ID}", "{CI_COMMIT_ID}"),
    service_build_url="{CI_BUILD_URL}",
    service_job_url="{CI_JOB_URL}",
    node_index="{CI_NODE_INDEX}",
    author_name=("{GIT_AUTHOR_NAME}", "{CI_AUTHOR_NAME}"),
    author_email=("{GIT_AUTHOR_EMAIL}", "{CI_AUTHOR_EMAIL}"),
    committer_name=("{GIT_COMMITTER_NAME}", "{CI_COMMITTER_NAME}"),
    committer_email=("{GIT_COMMITTER_EMAIL}", "{CI_COMMITTER_EMAIL}"),
    message=("{GIT_MESSAGE}", "{CI_COMMIT_MESSAGE}"),
    remote_url="{GIT_URL}",
    remote_name="{GIT_REMOTE}",
)

SERVICES = {
    # Forgejo and Gitea set GITHUB_ACTIONS too, and Forgejo sets GITEA_ACTIONS.
    "forgejo-actions": _actions(
        "FORGEJO_ACTIONS",
        "https://forgejo.org/docs/latest/user/actions/reference/",
        "{GITHUB_RUN_NUMBER}",
    ),
    "gitea-actions": _actions(
        "GITEA_ACTIONS", "https://github.com/go-gitea/gitea/issues/24038", "{GITHUB_RUN_NUMBER}"
    ),
    "github-actions": _actions(
        "GITHUB_ACTIONS",
        "github/docs: content/actions/reference/workflows-and-actions/variables.md, "
        "events-that-trigger-workflows.md; webhook-events-and-payloads.md",
        "{GITHUB_RUN_ID}",
    ),
    "gitlab-ci": Service(
        when="GITLAB_CI",
        documented_at="gitlabhq/gitlabhq: doc/ci/variables/predefined_variables.md",
        service_number=("{CI_PIPELINE_IID}", "{CI_PIPELINE_ID}"),  # as coverage-reporter sends it
        service_job_id=("{CI_JOB_ID}", "{CI_BUILD_ID}"),
        service_pull_request=("{CI_MERGE_REQUEST_IID}", "{CI_EXTERNAL_PULL_REQUEST_IID}"),
        service_branch=(
            "{CI_MERGE_REQUEST_SOURCE_BRANCH_NAME}",
            "{CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME}",
            "{CI_COMMIT_BRANCH}",
            "{CI_COMMIT_REF_NAME}",
            "{CI_BUILD_REF_NAME}",
        ),
        target_branch=(
            "{CI_MERGE_REQUEST_TARGET_BRANCH_NAME}",
            "{CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_NAME}",
        ),
        tag=("{CI_COMMIT_TAG}", "{CI_BUILD_TAG}"),
        commit_sha=(
            "{CI_MERGE_REQUEST_SOURCE_BRANCH_SHA}",
            "{CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_SHA}",
            Cell(_GITLAB_HEAD + "{CI_COMMIT_SHA}", "(?:detached)? (.+)"),
            _push("{CI_COMMIT_SHA}"),
            _push("{CI_BUILD_REF}"),
        ),
        diff_base_sha="{CI_MERGE_REQUEST_DIFF_BASE_SHA}",
        service_build_url="{CI_PIPELINE_URL}",
        repo_name="{CI_PROJECT_PATH}",
        job_name=("{CI_JOB_NAME}", "{CI_BUILD_NAME}"),
        author_name=Cell(_GITLAB_HEAD + "{CI_COMMIT_AUTHOR}", "(?:detached)? (.+) <[^<]*"),
        author_email=Cell(_GITLAB_HEAD + "{CI_COMMIT_AUTHOR}", "(?:detached)? .* <([^<>]*)>"),
        message=Cell(_GITLAB_HEAD + "{CI_COMMIT_MESSAGE}", "(?:detached)? (.+)"),
        remote_url=("{CI_PROJECT_URL}.git", "{CI_REPOSITORY_URL}", "{CI_BUILD_REPO}"),
    ),
    "circleci": Service(
        when="CIRCLECI",
        documented_at="circleci/circleci-docs: docs/reference/modules/ROOT/pages/variables.adoc",
        service_number="{CIRCLE_WORKFLOW_ID}",  # CIRCLE_BUILD_NUM is the number of a job
        service_job_id=(
            "{CIRCLE_WORKFLOW_JOB_ID}-{CIRCLE_NODE_INDEX}",
            "{CIRCLE_BUILD_NUM}-{CIRCLE_NODE_INDEX}",
            "{CIRCLE_BUILD_NUM}",
        ),
        service_job_number="{CIRCLE_BUILD_NUM}",
        service_pull_request=(
            "{CIRCLE_PR_NUMBER}",
            "{CIRCLE_PULL_REQUEST}",
            Cell("{CIRCLE_BRANCH}", "pull/([0-9]+)(?:/.*)?"),
        ),
        service_branch="{CIRCLE_BRANCH}",
        tag="{CIRCLE_TAG}",
        commit_sha="{CIRCLE_SHA1}",
        service_job_url="{CIRCLE_BUILD_URL}",
        service_build_url="https://app.circleci.com/pipelines/workflows/{CIRCLE_WORKFLOW_ID}",
        repo_name="{CIRCLE_PROJECT_USERNAME}/{CIRCLE_PROJECT_REPONAME}",
        job_name="{CIRCLE_JOB}",
        node_index="{CIRCLE_NODE_INDEX}",
    ),
    "travis-ci": Service(
        when="TRAVIS",
        documented_at="travis-ci/docs-travis-ci-com: user/environment-variables.md, "
        "pull-requests.md",
        service_number="{TRAVIS_BUILD_NUMBER}",
        service_job_id="{TRAVIS_JOB_ID}",
        service_job_number="{TRAVIS_JOB_NUMBER}",
        service_pull_request="{TRAVIS_PULL_REQUEST}",
        service_branch=("{TRAVIS_PULL_REQUEST_BRANCH}", _push("{TRAVIS_BRANCH}")),
        target_branch="{TRAVIS_BRANCH}",
        tag="{TRAVIS_TAG}",
        commit_sha=("{TRAVIS_PULL_REQUEST_SHA}", _push("{TRAVIS_COMMIT}")),
        service_build_url="{TRAVIS_BUILD_WEB_URL}",
        service_job_url="{TRAVIS_JOB_WEB_URL}",
        repo_name="{TRAVIS_REPO_SLUG}",
        job_name="{TRAVIS_JOB_NAME}",
    ),
    "jenkins": Service(
        when="JENKINS_URL | JENKINS_HOME",
        documented_at="jenkinsci/jenkins: CoreEnvironmentContributor; branch-api-plugin: "
        "BranchNameContributor; git-plugin and ghprb-plugin: README; gitlab-plugin: README",
        # The identity for commits yet to be made, not that of the tested commit.
        ignored="GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL",
        service_number=(_JENKINS_BUILD, "{BUILD_TAG}", "{BUILD_NUMBER}"),
        # Parallel stages share all variables but the stage, and the agent's if they have one each.
        service_job_id=(
            "{JOB_NAME}-{BUILD_NUMBER}-{NODE_NAME}-{EXECUTOR_NUMBER}-{STAGE_NAME}",
            "{JOB_NAME}-{BUILD_NUMBER}-{NODE_NAME}-{EXECUTOR_NUMBER}",
            "{BUILD_TAG}-{STAGE_NAME}",
        ),
        service_pull_request=(
            "{CHANGE_ID}",
            "{ghprbPullId}",
            "{gitlabMergeRequestIid}",
            Cell("{GIT_BRANCH}", "(?:origin/)?pr/([0-9]+)/(?:merge|head)"),
        ),
        service_branch=(
            "{CHANGE_BRANCH}",
            "{ghprbSourceBranch}",
            "{gitlabSourceBranch}",
            "{BRANCH_NAME}",
            _push("{GIT_LOCAL_BRANCH}"),
            _push("{GIT_BRANCH}", "(?!detached$)(.+)"),  # detached: a tag or a commit
        ),
        target_branch=("{CHANGE_TARGET}", "{ghprbTargetBranch}", "{gitlabTargetBranch}"),
        tag="{TAG_NAME}",
        commit_sha=(
            "{ghprbActualCommit}",
            "{gitlabMergeRequestLastCommit}",
            Cell("{BRANCH_NAME} {GIT_COMMIT}", r"[PM]R-[0-9]+-head (\S+)"),
            _push("{GIT_COMMIT}"),
        ),
        head_ref="{BRANCH_NAME}",  # a pull request's head is fetched as origin/PR-12
        service_build_url="{BUILD_URL}",
        service_job_url="{BUILD_URL}",
        repo_name=("{ghprbGhRepository}", "{GIT_URL}", "{GIT_URL_1}"),  # _1: of several remotes
        job_name=(Cell("{JOB_NAME}", ".*/([^/]*=[^/]*)"), "{STAGE_NAME}", "{JOB_NAME}"),
    ),
    "Azure Pipelines": Service(
        when="TF_BUILD",
        documented_at="MicrosoftDocs/azure-devops-docs: docs/pipelines/build/variables.md and "
        "includes/variables-hosted.md",
        service_number="{BUILD_BUILDID}",
        service_job_id="{SYSTEM_JOBID}",
        service_pull_request=(
            "{SYSTEM_PULLREQUEST_PULLREQUESTNUMBER}",
            "{SYSTEM_PULLREQUEST_PULLREQUESTID}",
            Cell("{BUILD_SOURCEBRANCH}", _PULL_REF),
        ),
        # BUILD_SOURCEBRANCHNAME is cut after the last slash.
        service_branch=("{SYSTEM_PULLREQUEST_SOURCEBRANCH}", _push("{BUILD_SOURCEBRANCH}")),
        target_branch="{SYSTEM_PULLREQUEST_TARGETBRANCH}",
        commit_sha=("{SYSTEM_PULLREQUEST_SOURCECOMMITID}", _push("{BUILD_SOURCEVERSION}")),
        service_build_url="{SYSTEM_TEAMFOUNDATIONCOLLECTIONURI}/{SYSTEM_TEAMPROJECT}/_build/results"
        "?buildId={BUILD_BUILDID}",
        service_attempt="{SYSTEM_JOBATTEMPT}",
        repo_name="{BUILD_REPOSITORY_NAME}",
        job_name=("{SYSTEM_JOBDISPLAYNAME}", "{AGENT_JOBNAME}"),
        node_index="{SYSTEM_JOBPOSITIONINPHASE}",
    ),
    "bitbucket": Service(
        when="BITBUCKET_BUILD_NUMBER",
        documented_at="https://support.atlassian.com/bitbucket-cloud/docs/variables-and-secrets/",
        service_number="{BITBUCKET_BUILD_NUMBER}",
        service_job_id="{BITBUCKET_STEP_UUID}",
        service_pull_request="{BITBUCKET_PR_ID}",
        service_branch="{BITBUCKET_BRANCH}",
        target_branch="{BITBUCKET_PR_DESTINATION_BRANCH}",
        tag="{BITBUCKET_TAG}",
        commit_sha="{BITBUCKET_COMMIT}",
        diff_base_sha="{BITBUCKET_PR_DESTINATION_COMMIT}",
        service_build_url="https://bitbucket.org/{BITBUCKET_REPO_FULL_NAME}/addon/pipelines/home"
        "#!/results/{BITBUCKET_BUILD_NUMBER}",
        service_attempt="{BITBUCKET_STEP_RUN_NUMBER}",
        repo_name="{BITBUCKET_REPO_FULL_NAME}",
        node_index="{BITBUCKET_PARALLEL_STEP}",
    ),
    "buildkite": Service(
        when="BUILDKITE",
        documented_at="buildkite/docs: data/content/environment_variables.yaml",
        service_number="{BUILDKITE_BUILD_NUMBER}",
        service_job_id="{BUILDKITE_JOB_ID}",
        service_pull_request="{BUILDKITE_PULL_REQUEST}",
        service_branch=Cell("{BUILDKITE_BRANCH}", "(?:[^:]*:)?(.+)"),  # a fork's: "user:branch"
        target_branch="{BUILDKITE_PULL_REQUEST_BASE_BRANCH}",
        tag="{BUILDKITE_TAG}",
        commit_sha="{BUILDKITE_COMMIT}",
        service_build_url="{BUILDKITE_BUILD_URL}",
        service_job_url="{BUILDKITE_BUILD_URL}#{BUILDKITE_JOB_ID}",
        service_attempt="{BUILDKITE_RETRY_COUNT}",
        repo_name="{BUILDKITE_REPO}",
        job_name=("{BUILDKITE_LABEL}", "{BUILDKITE_STEP_KEY}"),
        node_index="{BUILDKITE_PARALLEL_JOB}",
    ),
    "appveyor": Service(
        when="APPVEYOR",
        documented_at="appveyor/website: src/docs/environment-variables.md",
        service_number="{APPVEYOR_BUILD_VERSION}",  # not the id, as coverage-reporter sends it
        service_job_id="{APPVEYOR_JOB_ID}",
        service_job_number="{APPVEYOR_JOB_NUMBER}",
        service_pull_request="{APPVEYOR_PULL_REQUEST_NUMBER}",
        service_branch=(
            "{APPVEYOR_PULL_REQUEST_HEAD_REPO_BRANCH}",
            _push("{APPVEYOR_REPO_BRANCH}"),
        ),
        target_branch="{APPVEYOR_REPO_BRANCH}",
        tag="{APPVEYOR_REPO_TAG_NAME}",
        commit_sha=("{APPVEYOR_PULL_REQUEST_HEAD_COMMIT}", _push("{APPVEYOR_REPO_COMMIT}")),
        service_build_url="{APPVEYOR_URL}/project/{APPVEYOR_ACCOUNT_NAME}/{APPVEYOR_PROJECT_SLUG}"
        "/builds/{APPVEYOR_BUILD_ID}",
        service_job_url="{APPVEYOR_URL}/project/{APPVEYOR_ACCOUNT_NAME}/{APPVEYOR_PROJECT_SLUG}"
        "/builds/{APPVEYOR_BUILD_ID}/job/{APPVEYOR_JOB_ID}",
        repo_name="{APPVEYOR_REPO_NAME}",
        job_name="{APPVEYOR_JOB_NAME}",
    ),
    "semaphore": Service(
        when="SEMAPHORE",
        documented_at="semaphoreio/semaphore: docs/docs/reference/env-vars.md",
        service_number="{SEMAPHORE_WORKFLOW_ID}",
        service_job_id="{SEMAPHORE_JOB_ID}",
        service_pull_request="{SEMAPHORE_GIT_PR_NUMBER}",
        service_branch=(
            "{SEMAPHORE_GIT_PR_BRANCH}",
            "{SEMAPHORE_GIT_WORKING_BRANCH}",
            _push("{SEMAPHORE_GIT_BRANCH}"),
        ),
        target_branch="{SEMAPHORE_GIT_BRANCH}",
        tag="{SEMAPHORE_GIT_TAG_NAME}",
        commit_sha=("{SEMAPHORE_GIT_PR_SHA}", _push("{SEMAPHORE_GIT_SHA}")),
        service_build_url="{SEMAPHORE_ORGANIZATION_URL}/workflows/{SEMAPHORE_WORKFLOW_ID}",
        service_job_url="{SEMAPHORE_ORGANIZATION_URL}/jobs/{SEMAPHORE_JOB_ID}",
        repo_name="{SEMAPHORE_GIT_REPO_SLUG}",
        job_name="{SEMAPHORE_JOB_NAME}",
        node_index="{SEMAPHORE_JOB_INDEX}",
    ),
    "harness": Service(
        when="HARNESS_BUILD_ID",  # before Drone, whose variables it sets too
        documented_at="https://developer.harness.io/docs/continuous-integration/troubleshoot-ci/ci-env-var",
        ignored="CI_COMMIT_MESSAGE",
        service_number="{HARNESS_BUILD_ID}",
        service_job_id=(
            "{HARNESS_BUILD_ID}-{HARNESS_STAGE_ID}-{HARNESS_NODE_INDEX}",
            "{HARNESS_BUILD_ID}-{HARNESS_STAGE_ID}",
            "{HARNESS_BUILD_ID}-{HARNESS_NODE_INDEX}",
        ),
        service_pull_request="{DRONE_PULL_REQUEST}",
        service_branch=("{DRONE_SOURCE_BRANCH}", _push("{DRONE_COMMIT_BRANCH}")),
        target_branch=("{DRONE_TARGET_BRANCH}", "{DRONE_COMMIT_BRANCH}"),
        tag="{DRONE_TAG}",
        commit_sha="{DRONE_COMMIT_SHA}",
        service_build_url=("{CI_BUILD_LINK}", "{DRONE_BUILD_LINK}"),
        repo_name=("{CI_REPO}", "{DRONE_REPO}"),
        job_name="{HARNESS_STAGE_ID}",
        node_index="{HARNESS_NODE_INDEX}",
    ),
    "woodpecker": Service(
        when="CI=woodpecker | CI_SYSTEM_NAME=woodpecker",
        documented_at="woodpecker-ci/woodpecker: docs/docs/20-usage/50-environment.md",
        ignored="CI_COMMIT_MESSAGE",  # of a pull request its title
        service_number="{CI_PIPELINE_NUMBER}",
        service_job_id=(
            "{CI_PIPELINE_NUMBER}.{CI_WORKFLOW_NUMBER}.{CI_STEP_NUMBER}",
            "{CI_PIPELINE_NUMBER}.{CI_WORKFLOW_NUMBER}.{CI_STEP_NAME}",
            "{CI_PIPELINE_NUMBER}.{CI_WORKFLOW_NAME}.{CI_STEP_NAME}",
        ),
        service_job_number="{CI_WORKFLOW_NUMBER}",
        service_pull_request="{CI_COMMIT_PULL_REQUEST}",
        service_branch=("{CI_COMMIT_SOURCE_BRANCH}", _push("{CI_COMMIT_BRANCH}")),
        target_branch=("{CI_COMMIT_TARGET_BRANCH}", "{CI_COMMIT_BRANCH}"),
        tag="{CI_COMMIT_TAG}",
        commit_sha="{CI_COMMIT_SHA}",
        service_build_url="{CI_PIPELINE_URL}",
        service_job_url="{CI_STEP_URL}",
        service_attempt="{CI_PIPELINE_RERUNS}",
        repo_name="{CI_REPO}",
        job_name=("{CI_WORKFLOW_NAME}", "{CI_STEP_NAME}"),
    ),
    "drone": Service(
        when="DRONE",
        documented_at="drone/docs: content/pipeline/environment/reference",
        service_number="{DRONE_BUILD_NUMBER}",
        service_job_id=(
            "{DRONE_BUILD_NUMBER}.{DRONE_STAGE_NUMBER}.{DRONE_STEP_NUMBER}",
            "{DRONE_BUILD_NUMBER}.{DRONE_STAGE_NUMBER}.{DRONE_STEP_NAME}",
            "{DRONE_BUILD_NUMBER}.{DRONE_STAGE_NUMBER}",
        ),
        service_job_number="{DRONE_STAGE_NUMBER}",
        service_pull_request="{DRONE_PULL_REQUEST}",
        service_branch=("{DRONE_SOURCE_BRANCH}", _push("{DRONE_BRANCH}")),
        target_branch=("{DRONE_TARGET_BRANCH}", "{DRONE_BRANCH}"),
        tag="{DRONE_TAG}",
        commit_sha=("{DRONE_COMMIT_SHA}", "{DRONE_COMMIT}"),
        service_build_url="{DRONE_BUILD_LINK}",
        repo_name="{DRONE_REPO}",
        job_name=("{DRONE_STAGE_NAME}", "{DRONE_STEP_NAME}"),
    ),
    "teamcity": Service(
        when="TEAMCITY_VERSION",  # branch and pull request are in no variable: docs/services.md
        documented_at="JetBrains/teamcity-documentation: topics/predefined-build-parameters.md",
        service_number="{BUILD_NUMBER}",
        service_job_id="{TEAMCITY_BUILDCONF_NAME}-{BUILD_NUMBER}",
        commit_sha="{BUILD_VCS_NUMBER}",
        # The old address of a build does not work without its query, which is cut off.
        service_build_url=Cell("{BUILD_URL}", "(?!.*/viewLog[.]html$)(.+)"),
        job_name="{TEAMCITY_BUILDCONF_NAME}",
    ),
    "aws-codebuild": Service(
        when="CODEBUILD_BUILD_ID | CODEBUILD_CI",
        documented_at="https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-env-vars.html",
        service_number=(
            # The builds of a batch have no documented number in common, only the commit.
            Cell(
                "{CODEBUILD_BATCH_BUILD_IDENTIFIER} {CODEBUILD_RESOLVED_SOURCE_VERSION}",
                r".+ (\S+)",
            ),
            "{CODEBUILD_BUILD_NUMBER}",
        ),
        service_job_id="{CODEBUILD_BUILD_ID}",
        service_pull_request=(
            Cell("{CODEBUILD_WEBHOOK_TRIGGER}", "pr/([0-9]+)"),
            Cell("{CODEBUILD_SOURCE_VERSION}", "pr/([0-9]+)"),
        ),
        service_branch=(
            "{CODEBUILD_WEBHOOK_HEAD_REF}",
            Cell("{CODEBUILD_WEBHOOK_TRIGGER}", "branch/(.+)"),
            # A commit, a branch, or a tag that would pass for one.
            _push("{CODEBUILD_SOURCE_VERSION}", r"(?!pr/|arn:|[0-9a-f]{7,64}$)([^^]+)(?:\^.*)?"),
        ),
        target_branch="{CODEBUILD_WEBHOOK_BASE_REF}",
        tag=Cell("{CODEBUILD_WEBHOOK_TRIGGER}", "tag/(.+)"),
        commit_sha="{CODEBUILD_RESOLVED_SOURCE_VERSION}",
        service_build_url="{CODEBUILD_PUBLIC_BUILD_URL}",
        repo_name="{CODEBUILD_SOURCE_REPO_URL}",
        job_name="{CODEBUILD_BATCH_BUILD_IDENTIFIER}",
    ),
    "Codefresh": Service(
        when="CF_BUILD_ID | CF_BUILD_URL",
        documented_at="https://codefresh.io/docs/docs/pipelines/variables/",
        service_number="{CF_BUILD_ID}",
        service_job_id="{CF_BUILD_ID}-{CF_STEP_NAME}",
        service_pull_request="{CF_PULL_REQUEST_NUMBER}",  # CF_PULL_REQUEST_ID is another one
        service_branch="{CF_BRANCH}",
        target_branch="{CF_PULL_REQUEST_TARGET}",
        tag="{CF_RELEASE_TAG}",
        commit_sha="{CF_REVISION}",
        service_build_url="{CF_BUILD_URL}",
        repo_name="{CF_REPO_OWNER}/{CF_REPO_NAME}",
        job_name="{CF_STEP_NAME}",
    ),
    "bitrise": Service(
        when="BITRISE_IO",
        documented_at="https://docs.bitrise.io/en/bitrise-ci/references/available-environment-variables.html",
        service_number=("{BITRISEIO_PIPELINE_ID}", "{BITRISE_BUILD_NUMBER}"),  # a workflow counts
        service_job_id="{BITRISE_BUILD_SLUG}",
        service_pull_request="{BITRISE_PULL_REQUEST}",
        service_branch=("{BITRISEIO_PULL_REQUEST_HEAD_BRANCH}", "{BITRISE_GIT_BRANCH}"),
        target_branch="{BITRISEIO_GIT_BRANCH_DEST}",
        tag="{BITRISE_GIT_TAG}",
        # The hash of the clone is that of the merge when the clone step merges a pull request.
        commit_sha=("{BITRISE_GIT_COMMIT}", _push("{GIT_CLONE_COMMIT_HASH}")),
        service_build_url=("{BITRISEIO_PIPELINE_BUILD_URL}", "{BITRISE_BUILD_URL}"),
        service_job_url="{BITRISE_BUILD_URL}",
        repo_name="{BITRISEIO_GIT_REPOSITORY_OWNER}/{BITRISEIO_GIT_REPOSITORY_SLUG}",
        node_index="{BITRISE_IO_PARALLEL_INDEX}",
    ),
    "xcode-cloud": Service(
        when="CI_XCODE_CLOUD | CI_XCODE_PROJECT",
        documented_at="https://developer.apple.com/documentation/xcode/environment-variable-reference",
        service_number="{CI_BUILD_NUMBER}",
        service_job_id=("{CI_BUILD_ID}-{CI_XCODEBUILD_ACTION}", "{CI_BUILD_ID}"),
        service_pull_request="{CI_PULL_REQUEST_NUMBER}",
        service_branch=("{CI_PULL_REQUEST_SOURCE_BRANCH}", _push("{CI_BRANCH}")),
        target_branch="{CI_PULL_REQUEST_TARGET_BRANCH}",
        tag="{CI_TAG}",
        commit_sha=("{CI_PULL_REQUEST_SOURCE_COMMIT}", _push("{CI_COMMIT}")),
        repo_name="{CI_PULL_REQUEST_TARGET_REPO}",
        job_name="{CI_WORKFLOW}",
    ),
    "netlify": Service(
        when="NETLIFY",
        documented_at="https://docs.netlify.com/configure-builds/environment-variables/",
        service_number=("{BUILD_ID}", "{DEPLOY_ID}"),
        service_pull_request="{REVIEW_ID}",
        service_branch=("{HEAD}", "{BRANCH}"),
        commit_sha="{COMMIT_REF}",
        service_build_url="https://app.netlify.com/sites/{SITE_NAME}/deploys/{DEPLOY_ID}",
        repo_name="{REPOSITORY_URL}",
    ),
    "vercel": Service(
        when="VERCEL",
        documented_at="https://vercel.com/docs/projects/environment-variables/system-environment-variables",
        service_number="{VERCEL_DEPLOYMENT_ID}",
        service_pull_request="{VERCEL_GIT_PULL_REQUEST_ID}",
        service_branch="{VERCEL_GIT_COMMIT_REF}",
        commit_sha="{VERCEL_GIT_COMMIT_SHA}",
        repo_name="{VERCEL_GIT_REPO_OWNER}/{VERCEL_GIT_REPO_SLUG}",
    ),
    "rwx": Service(
        when="RWX",
        documented_at="coverallsapp/coverage-reporter: src/coverage_reporter/ci/rwx.cr; "
        "cake-build/cake: RwxInfo",
        service_number="{RWX_RUN_ID}",
        service_job_id="{RWX_TASK_ID}",
        service_pull_request=Cell("{RWX_GIT_REF}", _PULL_REF),
        service_branch=("{RWX_GIT_REF}", "{RWX_GIT_REF_NAME}"),
        commit_sha="{RWX_GIT_COMMIT_SHA}",
        service_build_url="{RWX_RUN_URL}",
        service_job_url="{RWX_TASK_URL}",
        service_attempt="{RWX_TASK_ATTEMPT_NUMBER}",
        repo_name="{RWX_GIT_REPOSITORY_NAME}",
    ),
    "surf": Service(
        when="SURF_SHA1",  # one's own server: a build has no number
        documented_at="surf-build/surf: README.md",
        service_pull_request="{SURF_PR_NUM}",
        service_branch="{SURF_REF}",
        commit_sha="{SURF_SHA1}",
        repo_name="{SURF_NWO}",
        job_name="{SURF_BUILD_NAME}",
    ),
    "buddy": Service(
        when="BUDDY",
        documented_at="https://buddy.works/docs/pipelines/variables/default-variables",
        # BUDDY_EXECUTION_* are the older names of BUDDY_RUN_*; an id counts within a pipeline.
        service_number=(
            "{BUDDY_RUN_HASH}",
            "{BUDDY_PIPELINE_ID}-{BUDDY_RUN_ID}",
            "{BUDDY_PIPELINE_ID}-{BUDDY_EXECUTION_ID}",
        ),
        service_job_id=("{BUDDY_ACTION_RUN_HASH}", "{BUDDY_EXECUTION_ID}-{BUDDY_ACTION_ID}"),
        service_pull_request=("{BUDDY_RUN_PR_NO}", "{BUDDY_EXECUTION_PULL_REQUEST_NO}"),
        service_branch=(
            "{BUDDY_RUN_PR_HEAD_BRANCH}",
            "{BUDDY_EXECUTION_PULL_REQUEST_HEAD_BRANCH}",
            _push("{BUDDY_RUN_BRANCH}"),
            _push("{BUDDY_EXECUTION_BRANCH}"),
        ),
        target_branch=("{BUDDY_RUN_PR_BASE_BRANCH}", "{BUDDY_EXECUTION_PULL_REQUEST_BASE_BRANCH}"),
        tag=("{BUDDY_RUN_TAG}", "{BUDDY_EXECUTION_TAG}"),
        commit_sha=("{BUDDY_RUN_COMMIT}", "{BUDDY_EXECUTION_REVISION}"),
        service_build_url=("{BUDDY_RUN_URL}", "{BUDDY_EXECUTION_URL}"),
        repo_name="{BUDDY_REPO_SLUG}",
    ),
    "codemagic": Service(
        when="CM_BUILD_ID",
        documented_at="https://docs.codemagic.io/yaml-basic-configuration/environment-variables/",
        service_number="{CM_BUILD_ID}",
        service_pull_request="{CM_PULL_REQUEST_NUMBER}",
        service_branch="{CM_BRANCH}",
        target_branch="{CM_PULL_REQUEST_DEST}",
        tag="{CM_TAG}",
        commit_sha="{CM_COMMIT}",
        repo_name="{CM_REPO_SLUG}",
    ),
    "gocd": Service(
        when="GO_PIPELINE_NAME GO_PIPELINE_COUNTER",
        documented_at="https://docs.gocd.org/current/faq/dev_use_current_revision_in_build.html; "
        "gocd/gocd: ScmMaterial, GitMaterial",
        service_number="{GO_PIPELINE_NAME}-{GO_PIPELINE_COUNTER}",  # each pipeline counts
        service_job_id="{GO_PIPELINE_NAME}-{GO_PIPELINE_COUNTER}-{GO_STAGE_NAME}-{GO_STAGE_COUNTER}"
        "-{GO_JOB_NAME}",
        service_branch="{GO_MATERIAL_BRANCH}",  # so called for a material without a name
        commit_sha="{GO_REVISION}",
        service_build_url="{GO_SERVER_URL}/pipelines/{GO_PIPELINE_NAME}/{GO_PIPELINE_COUNTER}"
        "/{GO_STAGE_NAME}/{GO_STAGE_COUNTER}",
        service_job_url="{GO_SERVER_URL}/tab/build/detail/{GO_PIPELINE_NAME}/{GO_PIPELINE_COUNTER}"
        "/{GO_STAGE_NAME}/{GO_STAGE_COUNTER}/{GO_JOB_NAME}",
        repo_name="{GO_MATERIAL_URL}",
        job_name="{GO_JOB_NAME}",
    ),
    "heroku-ci": Service(
        when="HEROKU_TEST_RUN_ID",
        documented_at="https://devcenter.heroku.com/articles/heroku-ci",
        service_number="{HEROKU_TEST_RUN_ID}",
        service_job_id="{HEROKU_TEST_RUN_ID}-{CI_NODE_INDEX}",
        service_branch="{HEROKU_TEST_RUN_BRANCH}",
        commit_sha="{HEROKU_TEST_RUN_COMMIT_VERSION}",
        node_index="{CI_NODE_INDEX}",
    ),
    "screwdriver": Service(
        when="SCREWDRIVER",
        documented_at="https://docs.screwdriver.cd/user-guide/environment-variables",
        service_number="{SD_EVENT_ID}",
        service_job_id="{SD_BUILD_ID}",
        service_pull_request="{SD_PULL_REQUEST}",
        # The name of the remote stands before the branch: a fork's is "upstream".
        service_branch=(Cell("{PR_BRANCH_NAME}", "(?:upstream/)?(.+)"), _push("{GIT_BRANCH}")),
        target_branch="{PR_BASE_BRANCH_NAME}",
        commit_sha="{SD_BUILD_SHA}",
        service_build_url="{SD_UI_URL}/pipelines/{SD_PIPELINE_ID}/events/{SD_EVENT_ID}",
        service_job_url="{SD_UI_BUILD_URL}",
        repo_name="{SD_PIPELINE_NAME}",
        job_name="{SD_JOB_NAME}",
    ),
    "sourcehut": Service(
        when="CI_NAME=sourcehut",
        documented_at="https://man.sr.ht/builds.sr.ht/, https://man.sr.ht/builds.sr.ht/manifest.md",
        service_number="{JOB_ID}",  # each manifest of a push is a build by itself
        service_branch="{GIT_REF}",
        service_build_url="{JOB_URL}",
    ),
    "vela": Service(
        when="VELA",
        documented_at="https://go-vela.github.io/docs/reference/environment/variables/",
        service_number="{VELA_BUILD_NUMBER}",
        service_job_id="{VELA_BUILD_NUMBER}.{VELA_STEP_NUMBER}",
        service_pull_request=("{VELA_PULL_REQUEST}", "{VELA_BUILD_PULL_REQUEST}"),
        service_branch=("{VELA_PULL_REQUEST_SOURCE}", _push("{VELA_BUILD_BRANCH}")),
        target_branch="{VELA_PULL_REQUEST_TARGET}",
        tag="{VELA_BUILD_TAG}",
        commit_sha="{VELA_BUILD_COMMIT}",
        service_build_url="{VELA_BUILD_LINK}",
        repo_name="{VELA_REPO_FULL_NAME}",
        job_name="{VELA_STEP_NAME}",
    ),
    "bamboo": Service(
        when="bamboo_buildResultKey",
        documented_at="https://confluence.atlassian.com/bamboo/bamboo-variables-289277087.html",
        service_number="{bamboo_planKey}-{bamboo_buildNumber}",  # a plan branch has its own key
        service_job_id="{bamboo_buildResultKey}",
        service_pull_request="{bamboo_repository_pr_key}",
        service_branch=(
            "{bamboo_repository_pr_sourceBranch}",
            "{bamboo_planRepository_branchName}",
        ),
        target_branch="{bamboo_repository_pr_targetBranch}",
        commit_sha="{bamboo_planRepository_revision}",
        service_build_url=("{bamboo_resultsUrl}", "{bamboo_buildResultsUrl}"),
        service_job_url=("{bamboo_buildResultsUrl}", "{bamboo_resultsUrl}"),
        repo_name="{bamboo_planRepository_repositoryUrl}",
        job_name="{bamboo_shortJobName}",
    ),
    "cloudflare-workers": Service(
        when="WORKERS_CI",
        documented_at="https://developers.cloudflare.com/workers/ci-cd/builds/configuration/",
        service_number="{WORKERS_CI_BUILD_UUID}",
        service_branch="{WORKERS_CI_BRANCH}",
        commit_sha="{WORKERS_CI_COMMIT_SHA}",
    ),
    "google-cloud-build": Service(
        when="BUILDER_OUTPUT | BUILD_ID PROJECT_ID TRIGGER_NAME | "
        "BUILD_ID PROJECT_ID PROJECT_NUMBER LOCATION",  # substitutions that the user maps
        documented_at="https://cloud.google.com/build/docs/configuring-builds/substitute-variable-values",
        service_number="{BUILD_ID}",
        service_pull_request="{_PR_NUMBER}",
        service_branch=("{_HEAD_BRANCH}", _push("{BRANCH_NAME}")),
        target_branch="{_BASE_BRANCH}",
        tag="{TAG_NAME}",
        commit_sha=("{COMMIT_SHA}", "{REVISION_ID}"),
        service_build_url="https://console.cloud.google.com/cloud-build/builds;region={LOCATION}/{BUILD_ID}"
        "?project={PROJECT_ID}",
        repo_name="{REPO_FULL_NAME}",
        job_name="{TRIGGER_NAME}",
    ),
    "{CI_NAME}": GENERIC,
}
