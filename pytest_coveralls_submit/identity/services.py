"""The CI services: a row each, with the place where its variables are documented."""

from __future__ import annotations

from dataclasses import replace

from .service import Cell, Service
from .service_files import github_event, teamcity_parameters

_REPO_OF_URL = r"(?:[a-z][\w+.-]*://[^/]+/+|[^/:]+:)(.+?)(?:\.git)?/?"
_PULL_REF = r"refs/pull/([0-9]+)/.+"


def _push(template: str, pattern: str = "(.*)") -> Cell:
    return Cell(template, pattern, unless_pull_request=True)


_GITHUB = Service(
    name="github-actions",
    when=("GITHUB_ACTIONS",),
    source="github/docs: content/actions/reference/workflows-and-actions/variables.md, "
    "events-that-trigger-workflows.md; webhook-events-and-payloads.md",
    more=github_event,
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
        more=teamcity_parameters,
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
