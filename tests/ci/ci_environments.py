"""What each CI service puts into the environment, as documented, and the build that it means.

A case has its name, the variables, an arrow and the fields of the build, all others None, written
as in a shell; ``[case < other]`` changes another one, and what is blank there is unset.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from typing import Any

from pytest_coveralls_submit.ci.detect import Build

HEAD = "ffac537e6cbbf934b08745a378932722df287a53"
BASE = "0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c"
MERGE = "eba09b46064473a1d345da7abf28b477468e8dbd"
_IDS = {"@HEAD": HEAD, "@SHORT": HEAD[:7], "@BASE": BASE, "@MERGE": MERGE}

_CASES = r"""
[github push] GITHUB_ACTIONS=true GITHUB_EVENT_NAME=push GITHUB_JOB=tests
GITHUB_REF=refs/heads/topic-1 GITHUB_REF_NAME=topic-1 GITHUB_HEAD_REF= GITHUB_BASE_REF=
GITHUB_REPOSITORY=o/r GITHUB_RUN_ATTEMPT=3 GITHUB_RUN_ID=4711 GITHUB_RUN_NUMBER=17
GITHUB_SERVER_URL=https://github.com GITHUB_SHA=@HEAD RUNNER_NAME='GitHub Actions 12'
=> service_name=github-actions service_number=4711 service_job_id='tests-GitHub Actions 12'
service_branch=topic-1 service_build_url=https://github.com/o/r/actions/runs/4711
service_job_url=https://github.com/o/r/actions/runs/4711 service_attempt=3 event_name=push
commit_sha=@HEAD repo_name=o/r job_name=tests remote_url=https://github.com/o/r.git
[github tag < github push] GITHUB_REF=refs/tags/v1 GITHUB_REF_NAME=v1 => service_branch= tag=v1
[github pull request < github push] GITHUB_EVENT_NAME=pull_request GITHUB_REF=refs/pull/12/merge
GITHUB_REF_NAME=12/merge GITHUB_HEAD_REF=topic/y GITHUB_BASE_REF=main GITHUB_SHA=@MERGE
=> service_pull_request=12 service_branch=topic/y target_branch=main event_name=pull_request
commit_sha= merge_sha=@MERGE
[forgejo pull request < github pull request] GITHUB_REF=refs/pull/12/head
GITHUB_SERVER_URL=https://codeberg.org GITHUB_SHA=@HEAD RUNNER_NAME=runner-1 FORGEJO_ACTIONS=true
GITEA_ACTIONS=true
=> service_name=forgejo-actions service_job_id=tests-runner-1
service_build_url=https://codeberg.org/o/r/actions/runs/17
service_job_url=https://codeberg.org/o/r/actions/runs/17 commit_sha=@HEAD merge_sha=
remote_url=https://codeberg.org/o/r.git
[gitea push < github push] GITHUB_SERVER_URL=https://gitea.example/ GITEA_ACTIONS=true
=> service_name=gitea-actions service_build_url=https://gitea.example/o/r/actions/runs/17
service_job_url=https://gitea.example/o/r/actions/runs/17 remote_url=https://gitea.example/o/r.git

[gitlab push] GITLAB_CI=true CI_COMMIT_AUTHOR='Jane <the> Doe <jane@example.com>'
CI_COMMIT_BRANCH=topic/y CI_COMMIT_MESSAGE='Subject\n\nBody\n' CI_COMMIT_REF_NAME=topic/y
CI_COMMIT_SHA=@HEAD CI_JOB_ID=50 CI_JOB_NAME='test: [3.12]'
CI_JOB_URL=https://gitlab.example/group/sub/p/-/jobs/50 CI_NODE_INDEX=2 CI_PIPELINE_ID=1000
CI_PIPELINE_IID=10 CI_PIPELINE_URL=https://gitlab.example/group/sub/p/-/pipelines/1000
CI_PROJECT_PATH=group/sub/p CI_PROJECT_URL=https://gitlab.example/group/sub/p
CI_REPOSITORY_URL=https://gitlab-ci-token:s3cret@gitlab.example/group/sub/p.git
GITLAB_USER_NAME='Somebody Else'
=> service_name=gitlab-ci service_number=10 service_job_id=50 service_branch=topic/y
service_build_url=https://gitlab.example/group/sub/p/-/pipelines/1000
service_job_url=https://gitlab.example/group/sub/p/-/jobs/50 commit_sha=@HEAD repo_name=group/sub/p
job_name='test: [3.12]' node_index=2 author_name='Jane <the> Doe' author_email=jane@example.com
message='Subject\n\nBody' remote_url=https://gitlab.example/group/sub/p.git
[gitlab tag < gitlab push] CI_COMMIT_BRANCH= CI_COMMIT_REF_NAME=v1 CI_COMMIT_TAG=v1
=> service_branch= tag=v1
[gitlab merge request < gitlab push] CI_COMMIT_BRANCH= CI_COMMIT_REF_NAME=refs/merge-requests/7/head
CI_MERGE_REQUEST_IID=7 CI_MERGE_REQUEST_EVENT_TYPE=detached
CI_MERGE_REQUEST_SOURCE_BRANCH_NAME=topic/y CI_MERGE_REQUEST_TARGET_BRANCH_NAME=main
CI_MERGE_REQUEST_SOURCE_BRANCH_SHA= CI_MERGE_REQUEST_DIFF_BASE_SHA=@BASE
=> service_pull_request=7 target_branch=main diff_base_sha=@BASE
[gitlab merged results < gitlab merge request] CI_COMMIT_REF_NAME=topic/y CI_COMMIT_SHA=@MERGE
CI_MERGE_REQUEST_EVENT_TYPE=merged_result CI_MERGE_REQUEST_SOURCE_BRANCH_SHA=@HEAD
=> author_name= author_email= message=
[gitlab merged results without the head < gitlab merged results] CI_MERGE_REQUEST_SOURCE_BRANCH_SHA=
=> commit_sha= merge_sha=@MERGE
[gitlab external pull request < gitlab push] CI_COMMIT_BRANCH= CI_EXTERNAL_PULL_REQUEST_IID=8
CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME=topic/z CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_NAME=main
CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_SHA=@HEAD
=> service_pull_request=8 service_branch=topic/z target_branch=main

[gitlab 8] GITLAB_CI=true CI_BUILD_ID=50 CI_BUILD_NAME=spec:other CI_BUILD_REF=@HEAD
CI_BUILD_REF_NAME=main CI_BUILD_REPO=https://gitlab-ci-token:abcde@gitlab.example/group/project.git
CI_PIPELINE_ID=1000
=> service_name=gitlab-ci service_number=1000 service_job_id=50 service_branch=main commit_sha=@HEAD
job_name=spec:other remote_url=https://gitlab.example/group/project.git

[circleci] CIRCLECI=true CIRCLE_BRANCH=pull/34 CIRCLE_BUILD_NUM=77
CIRCLE_BUILD_URL=https://circleci.com/gh/o/r/77 CIRCLE_JOB=test CIRCLE_NODE_INDEX=1
CIRCLE_PROJECT_REPONAME=r CIRCLE_PROJECT_USERNAME=o
CIRCLE_PULL_REQUEST=https://github.com/o/r/pull/34 CIRCLE_SHA1=@HEAD CIRCLE_WORKFLOW_ID=1c7e2ca1
CIRCLE_WORKFLOW_JOB_ID=9b1d
=> service_name=circleci service_number=1c7e2ca1 service_job_id=9b1d-1 service_job_number=77
service_pull_request=34 service_build_url=https://app.circleci.com/pipelines/workflows/1c7e2ca1
service_job_url=https://circleci.com/gh/o/r/77 commit_sha=@HEAD repo_name=o/r job_name=test
node_index=1

[travis push] TRAVIS=true TRAVIS_BRANCH=main TRAVIS_BUILD_ID=99 TRAVIS_BUILD_NUMBER=4
TRAVIS_BUILD_WEB_URL=https://app.travis-ci.com/o/r/builds/99 TRAVIS_COMMIT=@HEAD TRAVIS_JOB_ID=100
TRAVIS_JOB_NAME=py312 TRAVIS_JOB_NUMBER=4.1
TRAVIS_JOB_WEB_URL=https://app.travis-ci.com/o/r/jobs/100 TRAVIS_PULL_REQUEST=false
TRAVIS_PULL_REQUEST_BRANCH= TRAVIS_PULL_REQUEST_SHA= TRAVIS_REPO_SLUG=o/r TRAVIS_TAG=
=> service_name=travis-ci service_number=4 service_job_id=100 service_job_number=4.1
service_branch=main service_build_url=https://app.travis-ci.com/o/r/builds/99
service_job_url=https://app.travis-ci.com/o/r/jobs/100 commit_sha=@HEAD repo_name=o/r job_name=py312
[travis tag < travis push] TRAVIS_BRANCH=v1 TRAVIS_TAG=v1 => service_branch= tag=v1
[travis pull request < travis push] TRAVIS_COMMIT=@MERGE TRAVIS_PULL_REQUEST=56
TRAVIS_PULL_REQUEST_BRANCH=topic/y TRAVIS_PULL_REQUEST_SHA=@HEAD
=> service_pull_request=56 service_branch=topic/y target_branch=main

[jenkins multibranch] JENKINS_URL=https://ci.example/ BUILD_ID=5 BUILD_NUMBER=5
BUILD_TAG=jenkins-repo-main-5 BUILD_URL=https://ci.example/job/repo/job/main/5/ BRANCH_NAME=main
EXECUTOR_NUMBER=0 GIT_AUTHOR_EMAIL=bot@example.com GIT_AUTHOR_NAME=Bot GIT_BRANCH=origin/main
GIT_COMMIT=@HEAD GIT_COMMITTER_EMAIL=bot@example.com GIT_COMMITTER_NAME=Bot
GIT_URL=https://user:s3cret@github.com/o/r.git JOB_NAME=repo/main NODE_NAME=agent-1 STAGE_NAME=py312
=> service_name=jenkins service_number=repo/main-5 service_job_id=repo/main-5-agent-1-0-py312
service_branch=main service_build_url=https://ci.example/job/repo/job/main/5/
service_job_url=https://ci.example/job/repo/job/main/5/ commit_sha=@HEAD repo_name=o/r
job_name=py312
[jenkins multibranch pull request < jenkins multibranch] BRANCH_NAME=PR-24 GIT_BRANCH=PR-24
GIT_COMMIT=@MERGE CHANGE_BRANCH=topic/y CHANGE_ID=24 CHANGE_TARGET=main
=> service_pull_request=24 service_branch=topic/y target_branch=main head_ref=PR-24 commit_sha=
merge_sha=@MERGE
[jenkins multibranch pull request's head < jenkins multibranch] BRANCH_NAME=PR-24-head
CHANGE_BRANCH=topic/y CHANGE_ID=24 CHANGE_TARGET=main
=> service_pull_request=24 service_branch=topic/y target_branch=main head_ref=PR-24-head
[jenkins ghprb < jenkins multibranch] BRANCH_NAME= GIT_BRANCH=origin/pr/24/merge GIT_COMMIT=@MERGE
ghprbActualCommit=@HEAD ghprbGhRepository=o/r ghprbPullId=24 ghprbSourceBranch=topic/y
ghprbTargetBranch=main
=> service_pull_request=24 service_branch=topic/y target_branch=main
[jenkins gitlab plugin < jenkins multibranch] BRANCH_NAME= GIT_COMMIT=@MERGE
gitlabMergeRequestId=7654 gitlabMergeRequestIid=24 gitlabMergeRequestLastCommit=@HEAD
gitlabSourceBranch=topic/y gitlabTargetBranch=main
=> service_pull_request=24 service_branch=topic/y target_branch=main
[jenkins with several remotes < jenkins multibranch]
GIT_URL_1=https://user:s3cret@github.com/o/r.git GIT_URL=

[jenkins matrix project] JENKINS_HOME=/var/lib/jenkins BUILD_NUMBER=5
BUILD_TAG=jenkins-repo-PYTHON=3.12,label=linux-5 EXECUTOR_NUMBER=1 GIT_BRANCH=origin/main
GIT_COMMIT=@HEAD JOB_NAME=repo/PYTHON=3.12,label=linux NODE_NAME=agent-1
=> service_name=jenkins service_number=repo-5
service_job_id=repo/PYTHON=3.12,label=linux-5-agent-1-1 service_branch=main commit_sha=@HEAD
job_name=PYTHON=3.12,label=linux

[azure push] TF_BUILD=True AGENT_JOBNAME=Job BUILD_BUILDID=4711
BUILD_BUILDNUMBER='20261122.1 nightly' BUILD_REPOSITORY_NAME=o/r
BUILD_SOURCEBRANCH=refs/heads/topic/y BUILD_SOURCEBRANCHNAME=y BUILD_SOURCEVERSION=@HEAD
SYSTEM_JOBATTEMPT=1 SYSTEM_JOBDISPLAYNAME='Test py312' SYSTEM_JOBID=12f1170f
SYSTEM_JOBPOSITIONINPHASE=1 SYSTEM_TEAMFOUNDATIONCOLLECTIONURI=https://dev.azure.com/fabrikam/
SYSTEM_TEAMPROJECT='My Project'
=> service_name='Azure Pipelines' service_number=4711 service_job_id=12f1170f service_branch=topic/y
service_build_url=https://dev.azure.com/fabrikam/My%20Project/_build/results?buildId=4711
service_attempt=1 commit_sha=@HEAD repo_name=o/r job_name='Test py312' node_index=1
[azure tag < azure push] BUILD_SOURCEBRANCH=refs/tags/v1 BUILD_SOURCEBRANCHNAME=v1
=> service_branch= tag=v1
[azure pull request on github < azure push] BUILD_SOURCEBRANCH=refs/pull/31/merge
BUILD_SOURCEBRANCHNAME=merge BUILD_SOURCEVERSION=@MERGE SYSTEM_PULLREQUEST_PULLREQUESTID=987654321
SYSTEM_PULLREQUEST_PULLREQUESTNUMBER=31 SYSTEM_PULLREQUEST_SOURCEBRANCH=refs/heads/topic/y
SYSTEM_PULLREQUEST_SOURCECOMMITID=@HEAD SYSTEM_PULLREQUEST_TARGETBRANCH=refs/heads/main
=> service_pull_request=31 target_branch=main
[azure pull request on azure repos < azure pull request on github] BUILD_REPOSITORY_NAME=repo
SYSTEM_PULLREQUEST_PULLREQUESTID=31
SYSTEM_PULLREQUEST_PULLREQUESTNUMBER=$(System.PullRequest.PullRequestNumber)
SYSTEM_PULLREQUEST_SOURCECOMMITID=
=> commit_sha= merge_sha=@MERGE repo_name=

[bitbucket] BITBUCKET_BRANCH=topic/y BITBUCKET_BUILD_NUMBER=33 BITBUCKET_COMMIT=@HEAD
BITBUCKET_PARALLEL_STEP=0 BITBUCKET_PIPELINE_UUID={11b4} BITBUCKET_PR_DESTINATION_BRANCH=main
BITBUCKET_PR_DESTINATION_COMMIT=@BASE BITBUCKET_PR_ID=9 BITBUCKET_REPO_FULL_NAME=team/repo
BITBUCKET_STEP_RUN_NUMBER=1 BITBUCKET_STEP_UUID={22c5}
=> service_name=bitbucket service_number=33 service_job_id={22c5} service_pull_request=9
service_branch=topic/y target_branch=main
service_build_url=https://bitbucket.org/team/repo/addon/pipelines/home#!/results/33
service_attempt=1 commit_sha=@HEAD diff_base_sha=@BASE repo_name=team/repo node_index=0

[buildkite] BUILDKITE=true BUILDKITE_BRANCH=fork:topic/y BUILDKITE_BUILD_ID=4735ba57
BUILDKITE_BUILD_NUMBER=1514 BUILDKITE_BUILD_URL=https://buildkite.com/acme/project/builds/1514
BUILDKITE_COMMIT=HEAD BUILDKITE_JOB_ID=e44f9784 BUILDKITE_LABEL=':python: tests'
BUILDKITE_PARALLEL_JOB=0 BUILDKITE_PULL_REQUEST=false BUILDKITE_REPO=git@github.com:acme/project.git
BUILDKITE_RETRY_COUNT=0 BUILDKITE_TAG=
=> service_name=buildkite service_number=1514 service_job_id=e44f9784 service_branch=topic/y
service_build_url=https://buildkite.com/acme/project/builds/1514
service_job_url=https://buildkite.com/acme/project/builds/1514#e44f9784 service_attempt=0
repo_name=acme/project job_name=':python: tests' node_index=0

[appveyor] APPVEYOR=True APPVEYOR_ACCOUNT_NAME=o APPVEYOR_BUILD_ID=345 APPVEYOR_BUILD_NUMBER=12
APPVEYOR_BUILD_VERSION=1.0.12 APPVEYOR_JOB_ID=hy6f APPVEYOR_JOB_NAME='Image: Ubuntu'
APPVEYOR_JOB_NUMBER=2 APPVEYOR_PROJECT_SLUG=x APPVEYOR_PULL_REQUEST_HEAD_COMMIT=@HEAD
APPVEYOR_PULL_REQUEST_HEAD_REPO_BRANCH=topic/y APPVEYOR_PULL_REQUEST_NUMBER=45
APPVEYOR_REPO_BRANCH=main APPVEYOR_REPO_COMMIT=@MERGE APPVEYOR_REPO_NAME=o/r
APPVEYOR_URL=https://ci.appveyor.com
=> service_name=appveyor service_number=1.0.12 service_job_id=hy6f service_job_number=2
service_pull_request=45 service_branch=topic/y target_branch=main
service_build_url=https://ci.appveyor.com/project/o/x/builds/345
service_job_url=https://ci.appveyor.com/project/o/x/builds/345/job/hy6f commit_sha=@HEAD
repo_name=o/r job_name='Image: Ubuntu'

[semaphore] SEMAPHORE=true SEMAPHORE_GIT_BRANCH=main SEMAPHORE_GIT_PR_BRANCH=topic/y
SEMAPHORE_GIT_PR_NUMBER=2 SEMAPHORE_GIT_PR_SHA=@HEAD SEMAPHORE_GIT_REPO_SLUG=o/r
SEMAPHORE_GIT_SHA=@MERGE SEMAPHORE_GIT_WORKING_BRANCH=topic/y SEMAPHORE_JOB_ID=a26d42cf
SEMAPHORE_JOB_INDEX=1 SEMAPHORE_JOB_NAME=Tests
SEMAPHORE_ORGANIZATION_URL=https://acme.semaphoreci.com SEMAPHORE_WORKFLOW_ID=65c398bb
SEMAPHORE_WORKFLOW_NUMBER=8
=> service_name=semaphore service_number=65c398bb service_job_id=a26d42cf service_pull_request=2
service_branch=topic/y target_branch=main
service_build_url=https://acme.semaphoreci.com/workflows/65c398bb
service_job_url=https://acme.semaphoreci.com/jobs/a26d42cf commit_sha=@HEAD repo_name=o/r
job_name=Tests node_index=1

[drone] DRONE=true DRONE_BRANCH=main DRONE_BUILD_LINK=https://drone.example/o/r/42
DRONE_BUILD_NUMBER=42 DRONE_COMMIT_BRANCH=main DRONE_COMMIT_SHA=@HEAD DRONE_PULL_REQUEST=42
DRONE_REPO=o/r DRONE_SOURCE_BRANCH=topic/y DRONE_STAGE_NAME=py312 DRONE_STAGE_NUMBER=1
DRONE_STEP_NAME=test DRONE_STEP_NUMBER=2 DRONE_TARGET_BRANCH=main
=> service_name=drone service_number=42 service_job_id=42.1.2 service_job_number=1
service_pull_request=42 service_branch=topic/y target_branch=main
service_build_url=https://drone.example/o/r/42 commit_sha=@HEAD repo_name=o/r job_name=py312

[woodpecker] CI=woodpecker CI_COMMIT_BRANCH=main CI_COMMIT_MESSAGE='Initial commit'
CI_COMMIT_SHA=@HEAD CI_PIPELINE_NUMBER=8 CI_PIPELINE_URL=https://ci.example/repos/7/pipeline/8
CI_REPO=john/repo CI_STEP_NAME='build package' CI_STEP_NUMBER=0
CI_STEP_URL=https://ci.example/repos/7/pipeline/8/1 CI_WORKFLOW_NAME=release CI_WORKFLOW_NUMBER=1
=> service_name=woodpecker service_number=8 service_job_id=8.1.0 service_job_number=1
service_branch=main service_build_url=https://ci.example/repos/7/pipeline/8
service_job_url=https://ci.example/repos/7/pipeline/8/1 commit_sha=@HEAD repo_name=john/repo
job_name=release

[harness] DRONE=true HARNESS_BUILD_ID=42 HARNESS_NODE_INDEX=0 HARNESS_STAGE_ID=build
CI_BUILD_LINK=https://app.harness.io/abc CI_BUILD_NUMBER=42
CI_COMMIT_MESSAGE='Title of the pull request' CI_REPO=o/r DRONE_COMMIT_BRANCH=main
DRONE_COMMIT_SHA=@HEAD DRONE_PULL_REQUEST=5 DRONE_SOURCE_BRANCH=<+trigger.sourceBranch>
=> service_name=harness service_number=42 service_job_id=42-build-0 service_pull_request=5
target_branch=main service_build_url=https://app.harness.io/abc commit_sha=@HEAD repo_name=o/r
job_name=build node_index=0

[teamcity] TEAMCITY_VERSION=2024.12 TEAMCITY_BUILDCONF_NAME=Tests BUILD_NUMBER=71
BUILD_URL=https://tc.example/b/4711 BUILD_VCS_NUMBER=@HEAD
=> service_name=teamcity service_number=71 service_job_id=Tests-71
service_build_url=https://tc.example/b/4711 commit_sha=@HEAD job_name=Tests
[teamcity with parameters of the user < teamcity] CI_BRANCH=<default>
CI_PULL_REQUEST=%teamcity.pullRequest.number%

[codebuild pull request] CODEBUILD_CI=true CODEBUILD_BUILD_ID=demo:b1e6661e
CODEBUILD_BUILD_NUMBER=15 CODEBUILD_PUBLIC_BUILD_URL=https://eu-west-1.codebuild.aws/project/x
CODEBUILD_RESOLVED_SOURCE_VERSION=@HEAD CODEBUILD_SOURCE_REPO_URL=https://github.com/o/r.git
CODEBUILD_SOURCE_VERSION=pr/18 CODEBUILD_WEBHOOK_BASE_REF=refs/heads/main
CODEBUILD_WEBHOOK_HEAD_REF=refs/heads/topic/y CODEBUILD_WEBHOOK_TRIGGER=pr/18
=> service_name=aws-codebuild service_number=15 service_job_id=demo:b1e6661e service_pull_request=18
service_branch=topic/y target_branch=main
service_build_url=https://eu-west-1.codebuild.aws/project/x commit_sha=@HEAD repo_name=o/r

[codebuild batch] CODEBUILD_BATCH_BUILD_IDENTIFIER=py312 CODEBUILD_BUILD_ID=demo:b1e6661e
CODEBUILD_BUILD_NUMBER=15 CODEBUILD_RESOLVED_SOURCE_VERSION=@HEAD
CODEBUILD_WEBHOOK_TRIGGER=branch/release-2
=> service_name=aws-codebuild service_number=@HEAD service_job_id=demo:b1e6661e
service_branch=release-2 commit_sha=@HEAD job_name=py312

[google cloud build] BUILDER_OUTPUT=/builder/outputs BUILD_ID=0a1b COMMIT_SHA=@HEAD
BRANCH_NAME=topic/y LOCATION=europe-west1 PROJECT_ID=my-project REPO_FULL_NAME=o/r
TAG_NAME=$TAG_NAME TRIGGER_NAME=tests _HEAD_BRANCH=topic/y _PR_NUMBER=19
=> service_name=google-cloud-build service_number=0a1b service_pull_request=19
service_branch=topic/y
service_build_url=https://console.cloud.google.com/cloud-build/builds;region=europe-west1/0a1b?project=my-project
commit_sha=@HEAD repo_name=o/r job_name=tests
[google cloud build with mapped substitutions < google cloud build] BUILDER_OUTPUT=
PROJECT_NUMBER=4711 REPO_FULL_NAME= TRIGGER_NAME= _BASE_BRANCH=main
=> target_branch=main repo_name= job_name=

[codefresh] CF_BRANCH=topic/y CF_BUILD_ID=5b3a CF_BUILD_URL=https://g.codefresh.io/build/5b3a
CF_PULL_REQUEST_ID=123456789 CF_PULL_REQUEST_NUMBER=4 CF_PULL_REQUEST_TARGET=main CF_REPO_NAME=r
CF_REPO_OWNER=o CF_REVISION=@HEAD CF_STEP_NAME=MyUnitTests
=> service_name=Codefresh service_number=5b3a service_job_id=5b3a-MyUnitTests service_pull_request=4
service_branch=topic/y target_branch=main service_build_url=https://g.codefresh.io/build/5b3a
commit_sha=@HEAD repo_name=o/r job_name=MyUnitTests

[bitrise] BITRISE_IO=true BITRISEIO_GIT_BRANCH_DEST=main BITRISEIO_GIT_REPOSITORY_OWNER=o
BITRISEIO_GIT_REPOSITORY_SLUG=r BITRISE_BUILD_NUMBER=55 BITRISE_BUILD_SLUG=c2f1
BITRISE_BUILD_URL=https://app.bitrise.io/build/c2f1 BITRISE_GIT_BRANCH=topic/y BITRISE_GIT_COMMIT=
BITRISE_PULL_REQUEST=21 GIT_CLONE_COMMIT_HASH=@MERGE
=> service_name=bitrise service_number=55 service_job_id=c2f1 service_pull_request=21
service_branch=topic/y target_branch=main service_build_url=https://app.bitrise.io/build/c2f1
service_job_url=https://app.bitrise.io/build/c2f1 merge_sha=@MERGE repo_name=o/r

[bitrise tag in a pipeline] BITRISE_IO=true BITRISEIO_PIPELINE_ID=9d0e BITRISE_BUILD_NUMBER=56
BITRISEIO_PIPELINE_BUILD_URL=https://app.bitrise.io/app/a/pipelines/9d0e BITRISE_BUILD_SLUG=c2f2
BITRISE_BUILD_URL=https://app.bitrise.io/build/c2f2 BITRISE_GIT_BRANCH=v1 BITRISE_GIT_TAG=v1
BITRISE_GIT_COMMIT=@SHORT
=> service_name=bitrise service_number=9d0e service_job_id=c2f2
service_build_url=https://app.bitrise.io/app/a/pipelines/9d0e
service_job_url=https://app.bitrise.io/build/c2f2 tag=v1 commit_sha=@SHORT

[xcode cloud] CI_XCODE_CLOUD=TRUE CI_XCODE_PROJECT=Example.xcodeproj CI_BRANCH=main CI_BUILD_ID=f0e1
CI_BUILD_NUMBER=9 CI_BUILD_URL=https://apple.example/builds/f0e1 CI_COMMIT=@MERGE
CI_PULL_REQUEST_NUMBER=10 CI_PULL_REQUEST_SOURCE_BRANCH=topic/y CI_PULL_REQUEST_SOURCE_COMMIT=@HEAD
CI_PULL_REQUEST_TARGET_BRANCH=main CI_PULL_REQUEST_TARGET_REPO=o/r CI_WORKFLOW=Tests
CI_XCODEBUILD_ACTION=test
=> service_name=xcode-cloud service_number=9 service_job_id=f0e1-test service_pull_request=10
service_branch=topic/y target_branch=main service_build_url=https://apple.example/builds/f0e1
commit_sha=@HEAD repo_name=o/r job_name=Tests

[netlify] NETLIFY=true BRANCH=pull/11/head BUILD_ID=5d4a COMMIT_REF=@HEAD DEPLOY_ID=5e5b
HEAD=topic/y PULL_REQUEST=true REPOSITORY_URL=https://x-access-token:ghs_s3cret@github.com/o/r
REVIEW_ID=11 SITE_NAME=petsof
=> service_name=netlify service_number=5d4a service_pull_request=11 service_branch=topic/y
service_build_url=https://app.netlify.com/sites/petsof/deploys/5e5b commit_sha=@HEAD repo_name=o/r

[vercel] VERCEL=1 VERCEL_DEPLOYMENT_ID=dpl_7Gw5 VERCEL_GIT_COMMIT_REF=topic/y
VERCEL_GIT_COMMIT_SHA=@HEAD VERCEL_GIT_PULL_REQUEST_ID=23 VERCEL_GIT_REPO_OWNER=acme
VERCEL_GIT_REPO_SLUG=my-site
=> service_name=vercel service_number=dpl_7Gw5 service_pull_request=23 service_branch=topic/y
commit_sha=@HEAD repo_name=acme/my-site

[rwx] RWX=true RWX_GIT_COMMIT_SHA=@HEAD RWX_GIT_REF=refs/heads/topic/y RWX_GIT_REF_NAME=topic/y
RWX_GIT_REPOSITORY_NAME=o/r RWX_RUN_ID=7e1c RWX_RUN_URL=https://cloud.rwx.com/mint/acme/runs/7e1c
RWX_TASK_ATTEMPT_NUMBER=1 RWX_TASK_ID=9f2d RWX_TASK_URL=https://cloud.rwx.com/mint/acme/tasks/9f2d
=> service_name=rwx service_number=7e1c service_job_id=9f2d service_branch=topic/y
service_build_url=https://cloud.rwx.com/mint/acme/runs/7e1c
service_job_url=https://cloud.rwx.com/mint/acme/tasks/9f2d service_attempt=1 commit_sha=@HEAD
repo_name=o/r

[surf] SURF_BUILD_NAME=surf SURF_NWO=o/r SURF_PR_NUM=14 SURF_REF=refs/heads/topic/y SURF_SHA1=@HEAD
=> service_name=surf service_pull_request=14 service_branch=topic/y commit_sha=@HEAD repo_name=o/r
job_name=surf

[buddy] BUDDY=true BUDDY_PIPELINE_ID=170873 BUDDY_ACTION_ID=38252 BUDDY_EXECUTION_ID=5d6d49db
BUDDY_RUN_PR_NO=17 BUDDY_RUN_PR_HEAD_BRANCH=topic/y BUDDY_RUN_PR_BASE_BRANCH=main
BUDDY_EXECUTION_BRANCH=pull/17 BUDDY_EXECUTION_REVISION=@HEAD
BUDDY_EXECUTION_URL=https://app.buddy.works/o/r/5d6d BUDDY_REPO_SLUG=o/r
=> service_name=buddy service_number=170873-5d6d49db service_job_id=5d6d49db-38252
service_pull_request=17 service_branch=topic/y target_branch=main
service_build_url=https://app.buddy.works/o/r/5d6d commit_sha=@HEAD repo_name=o/r
[buddy today < buddy] BUDDY_EXECUTION_ID= BUDDY_RUN_ID=12 BUDDY_RUN_PR_NO= BUDDY_RUN_PR_HEAD_BRANCH=
BUDDY_RUN_PR_BASE_BRANCH= BUDDY_EXECUTION_BRANCH= BUDDY_RUN_BRANCH=topic/y BUDDY_RUN_COMMIT=@HEAD
BUDDY_EXECUTION_REVISION=
=> service_number=170873-12 service_job_id= service_pull_request= target_branch=
[buddy tag < buddy today] BUDDY_RUN_HASH=6e7f BUDDY_RUN_BRANCH= BUDDY_RUN_TAG=v1
=> service_number=6e7f service_branch= tag=v1

[cloudflare workers] WORKERS_CI=1 WORKERS_CI_BUILD_UUID=c1d2e3f4 WORKERS_CI_COMMIT_SHA=@HEAD
WORKERS_CI_BRANCH=topic/y
=> service_name=cloudflare-workers service_number=c1d2e3f4 service_branch=topic/y commit_sha=@HEAD

[codemagic] CM_BUILD_ID=5f1c2d3e BUILD_NUMBER=7 CM_BRANCH=topic/y CM_COMMIT=@HEAD
CM_PULL_REQUEST=true CM_PULL_REQUEST_NUMBER=42 CM_PULL_REQUEST_DEST=main CM_REPO_SLUG=o/r
=> service_name=codemagic service_number=5f1c2d3e service_pull_request=42 service_branch=topic/y
target_branch=main commit_sha=@HEAD repo_name=o/r

[gocd] GO_SERVER_URL=https://go.example:8154/go/ GO_PIPELINE_NAME=repo GO_PIPELINE_COUNTER=19
GO_STAGE_NAME=test GO_STAGE_COUNTER=2 GO_JOB_NAME=py312 GO_REVISION=@HEAD GO_FROM_REVISION=@BASE
GO_MATERIAL_BRANCH=topic/y GO_MATERIAL_URL=https://github.com/o/r.git
=> service_name=gocd service_number=repo-19 service_job_id=repo-19-test-2-py312
service_branch=topic/y service_build_url=https://go.example:8154/go/pipelines/repo/19/test/2
service_job_url=https://go.example:8154/go/tab/build/detail/repo/19/test/2/py312 commit_sha=@HEAD
repo_name=o/r job_name=py312

[heroku ci] CI_NODE_INDEX=1 HEROKU_TEST_RUN_BRANCH=topic/y HEROKU_TEST_RUN_COMMIT_VERSION=@HEAD
HEROKU_TEST_RUN_ID=8a1b2c
=> service_name=heroku-ci service_number=8a1b2c service_job_id=8a1b2c-1 service_branch=topic/y
commit_sha=@HEAD node_index=1

[screwdriver] SCREWDRIVER=true SD_BUILD_ID=173 SD_EVENT_ID=91 SD_JOB_ID=55 SD_JOB_NAME=PR-12:main
SD_PIPELINE_ID=259 SD_PIPELINE_NAME=o/r SD_PULL_REQUEST=12 SD_BUILD_SHA=@HEAD
GIT_BRANCH=origin/refs/pull/12/head PR_BASE_BRANCH_NAME=main PR_BRANCH_NAME=upstream/topic/y
SD_UI_URL=https://cd.screwdriver.cd/
SD_UI_BUILD_URL=https://cd.screwdriver.cd/pipelines/259/builds/173
=> service_name=screwdriver service_number=91 service_job_id=173 service_pull_request=12
service_branch=topic/y target_branch=main
service_build_url=https://cd.screwdriver.cd/pipelines/259/events/91
service_job_url=https://cd.screwdriver.cd/pipelines/259/builds/173 commit_sha=@HEAD repo_name=o/r
job_name=PR-12:main

[sourcehut] CI_NAME=sourcehut JOB_ID=484504 JOB_URL=https://builds.sr.ht/~octocat/job/484504
GIT_REF=refs/heads/topic/y
=> service_name=sourcehut service_number=484504 service_branch=topic/y
service_build_url=https://builds.sr.ht/~octocat/job/484504

[vela] VELA=true VELA_BUILD_NUMBER=8 VELA_BUILD_BRANCH=main VELA_BUILD_COMMIT=@HEAD
VELA_BUILD_LINK=https://vela.example/o/r/8 VELA_REPO_FULL_NAME=o/r VELA_STEP_NAME=test
VELA_STEP_NUMBER=3
=> service_name=vela service_number=8 service_job_id=8.3 service_branch=main
service_build_url=https://vela.example/o/r/8 commit_sha=@HEAD repo_name=o/r job_name=test

[bamboo] bamboo_buildNumber=8 bamboo_buildResultKey=REPO-TEST4-PY-8 bamboo_planKey=REPO-TEST4
bamboo_buildResultsUrl=https://bamboo.example/browse/REPO-TEST4-PY-8
bamboo_planRepository_branchName=topic/y bamboo_planRepository_revision=@HEAD
bamboo_planRepository_repositoryUrl=git@github.com:o/r.git bamboo_repository_pr_key=33
bamboo_repository_pr_sourceBranch=topic/y bamboo_repository_pr_targetBranch=main
bamboo_shortJobName=py312
=> service_name=bamboo service_number=REPO-TEST4-8 service_job_id=REPO-TEST4-PY-8
service_pull_request=33 service_branch=topic/y target_branch=main
service_build_url=https://bamboo.example/browse/REPO-TEST4-PY-8
service_job_url=https://bamboo.example/browse/REPO-TEST4-PY-8 commit_sha=@HEAD repo_name=o/r
job_name=py312

[generic] CI_NAME=my-ci CI_AUTHOR_EMAIL=jane@example.com CI_AUTHOR_NAME='Jane Doe'
CI_BRANCH=refs/heads/topic/y CI_BUILD_NUMBER=123
CI_BUILD_URL=https://user:s3cret@ci.example/123?token=s3cret#top CI_COMMITTER_EMAIL=joe@example.com
CI_COMMITTER_NAME='Joe Bloggs' CI_COMMIT_ID=@HEAD CI_COMMIT_MESSAGE=Subject CI_JOB_ID=123.4
CI_JOB_URL=https://ci.example/123/4 CI_NODE_INDEX=4
CI_PULL_REQUEST=' https://github.com/o/r/pull/15/?x=3#issuecomment-4\n'
=> service_name=my-ci service_number=123 service_job_id=123.4 service_pull_request=15
service_branch=topic/y service_build_url=https://ci.example/123
service_job_url=https://ci.example/123/4 commit_sha=@HEAD node_index=4 author_name='Jane Doe'
author_email=jane@example.com committer_name='Joe Bloggs' committer_email=joe@example.com
message=Subject

[no service] GIT_AUTHOR_EMAIL=jane@example.com GIT_AUTHOR_NAME='Jane Doe' GIT_BRANCH=default
GIT_COMMITTER_EMAIL=joe@example.com GIT_COMMITTER_NAME='Joe Bloggs' GIT_ID=@HEAD
GIT_MESSAGE='Subject\n\nBody' GIT_REMOTE=origin GIT_URL=https://token@hg.example.com/repo
=> service_branch=default commit_sha=@HEAD author_name='Jane Doe' author_email=jane@example.com
committer_name='Joe Bloggs' committer_email=joe@example.com message='Subject\n\nBody'
remote_url=https://hg.example.com/repo remote_name=origin
"""


def shell(text: str) -> dict[str, str]:
    r"""Read assignments as a shell does: ``A=1 B='two words'``, and ``\n`` for a line break."""
    for name, commit in _IDS.items():
        text = text.replace(name, commit)
    words = (word.partition("=") for word in shlex.split(text))
    return {name: value.replace(r"\n", "\n") for name, _, value in words}


def _read(text: str) -> dict[str, tuple[dict[str, str], Build]]:
    cases: dict[str, tuple[dict[str, str], Build]] = {"": ({}, Build())}
    for block in re.split(r"^\[", text, flags=re.MULTILINE)[1:]:
        header, _, rest = block.partition("]")
        name, _, base = header.partition(" < ")
        variables, _, changes = rest.partition("=> ")
        env, other = cases[base]
        changed: dict[str, Any] = {field: text or None for field, text in shell(changes).items()}
        cases[name] = ({**env, **shell(variables)}, replace(other, **changed))
    del cases[""]
    return cases


CASES = _read(_CASES)
"""The environment and its build, by the name of the case."""
