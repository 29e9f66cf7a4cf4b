"""Each CI service's variables give the right build, and no row can give a wrong kind of value."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_coveralls_submit.identity.detect import detect
from pytest_coveralls_submit.identity.service import Build, Cell, Service
from pytest_coveralls_submit.identity.services import GENERIC, SERVICES

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "ffac537e6cbbf934b08745a378932722df287a53"
MERGE = "eba09b46064473a1d345da7abf28b477468e8dbd"

GITHUB = {
    "CI": "true",
    "GITHUB_ACTIONS": "true",
    "GITHUB_EVENT_NAME": "push",
    "GITHUB_JOB": "tests",
    "GITHUB_REF": "refs/heads/feature-branch-1",
    "GITHUB_REF_NAME": "feature-branch-1",
    "GITHUB_REF_TYPE": "branch",
    "GITHUB_HEAD_REF": "",
    "GITHUB_BASE_REF": "",
    "GITHUB_REPOSITORY": "octocat/Hello-World",
    "GITHUB_RUN_ATTEMPT": "3",
    "GITHUB_RUN_ID": "1658821493",
    "GITHUB_RUN_NUMBER": "17",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_SHA": HEAD,
    "RUNNER_NAME": "GitHub Actions 12",
}
GITHUB_PULL_REQUEST = {
    **GITHUB,
    "GITHUB_EVENT_NAME": "pull_request",
    "GITHUB_REF": "refs/pull/12/merge",
    "GITHUB_REF_NAME": "12/merge",
    "GITHUB_HEAD_REF": "topic/y",
    "GITHUB_BASE_REF": "main",
    "GITHUB_SHA": MERGE,
}
GITHUB_BUILD = Build(
    service_name="github-actions",
    service_number="1658821493",
    service_job_id="tests-GitHub Actions 12",
    service_branch="feature-branch-1",
    service_build_url="https://github.com/octocat/Hello-World/actions/runs/1658821493",
    service_attempt="3",
    commit_sha=HEAD,
    repo_name="octocat/Hello-World",
    job_name="tests",
    remote_url="https://github.com/octocat/Hello-World.git",
)
GITHUB_PULL_REQUEST_BUILD = dataclasses.replace(
    GITHUB_BUILD, service_pull_request="12", service_branch="topic/y"
)
PULL_REQUEST_EVENT = {
    "number": 12,
    "pull_request": {
        "number": 12,
        "head": {"ref": "topic/y", "sha": HEAD, "repo": {"full_name": "fork/Hello-World"}},
        "base": {"ref": "main", "sha": MERGE},
    },
}

GITLAB = {
    "CI": "true",
    "GITLAB_CI": "true",
    "CI_COMMIT_AUTHOR": "Jane <the> Doe <jane@example.com>",
    "CI_COMMIT_BRANCH": "topic/y",
    "CI_COMMIT_MESSAGE": "Subject\n\nBody\n",
    "CI_COMMIT_REF_NAME": "topic/y",
    "CI_COMMIT_SHA": HEAD,
    "CI_JOB_ID": "50",
    "CI_JOB_NAME": "test: [3.12]",
    "CI_JOB_URL": "https://gitlab.example.com/group/sub/project/-/jobs/50",
    "CI_NODE_INDEX": "2",
    "CI_NODE_TOTAL": "3",
    "CI_PIPELINE_ID": "1000",
    "CI_PIPELINE_IID": "10",
    "CI_PIPELINE_URL": "https://gitlab.example.com/group/sub/project/-/pipelines/1000",
    "CI_PROJECT_PATH": "group/sub/project",
    "CI_PROJECT_URL": "https://gitlab.example.com/group/sub/project",
    "CI_REPOSITORY_URL": "https://gitlab-ci-token:s3cret@gitlab.example.com/group/sub/project.git",
    "GITLAB_USER_NAME": "Somebody Else",
}
GITLAB_BUILD = Build(
    service_name="gitlab-ci",
    service_number="1000",
    service_job_id="50",
    service_branch="topic/y",
    service_build_url="https://gitlab.example.com/group/sub/project/-/pipelines/1000",
    service_job_url="https://gitlab.example.com/group/sub/project/-/jobs/50",
    commit_sha=HEAD,
    repo_name="group/sub/project",
    job_name="test: [3.12]",
    node_index="2",
    author_name="Jane <the> Doe",
    author_email="jane@example.com",
    message="Subject\n\nBody",
    remote_url="https://gitlab.example.com/group/sub/project.git",
)
GITLAB_MERGE_REQUEST = {
    **GITLAB,
    "CI_COMMIT_BRANCH": "",
    "CI_COMMIT_REF_NAME": "refs/merge-requests/7/head",
    "CI_MERGE_REQUEST_IID": "7",
    "CI_MERGE_REQUEST_EVENT_TYPE": "detached",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "topic/y",
    "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": "",
}
GITLAB_MERGED_RESULTS = {
    **GITLAB_MERGE_REQUEST,
    "CI_COMMIT_SHA": MERGE,
    "CI_COMMIT_REF_NAME": "topic/y",
    "CI_MERGE_REQUEST_EVENT_TYPE": "merged_result",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": HEAD,
}

JENKINS = {
    "JENKINS_URL": "https://ci.example.com/",
    "BUILD_ID": "5",
    "BUILD_NUMBER": "5",
    "BUILD_TAG": "jenkins-repo-main-5",
    "BUILD_URL": "https://ci.example.com/job/repo/job/main/5/",
    "BRANCH_NAME": "main",
    "EXECUTOR_NUMBER": "0",
    "GIT_AUTHOR_EMAIL": "bot@example.com",
    "GIT_AUTHOR_NAME": "Bot",
    "GIT_BRANCH": "origin/main",
    "GIT_COMMIT": HEAD,
    "GIT_COMMITTER_EMAIL": "bot@example.com",
    "GIT_COMMITTER_NAME": "Bot",
    "GIT_URL": "https://user:s3cret@github.com/octocat/repo.git",
    "JOB_NAME": "repo/main",
    "NODE_NAME": "agent-1",
    "STAGE_NAME": "py312",
}
JENKINS_BUILD = Build(
    service_name="jenkins",
    service_number="repo/main-5",
    service_job_id="repo/main-5-agent-1-0-py312",
    service_branch="main",
    service_build_url="https://ci.example.com/job/repo/job/main/5/",
    commit_sha=HEAD,
    repo_name="octocat/repo",
    job_name="py312",
    remote_url="https://github.com/octocat/repo.git",
)
JENKINS_PULL_REQUEST_BUILD = dataclasses.replace(
    JENKINS_BUILD, service_pull_request="24", service_branch="topic/y"
)

AZURE = {
    "TF_BUILD": "True",
    "AGENT_JOBNAME": "Job",
    "BUILD_BUILDID": "4711",
    "BUILD_BUILDNUMBER": "20261122.1 nightly",
    "BUILD_REPOSITORY_NAME": "octocat/repo",
    "BUILD_REPOSITORY_URI": "https://github.com/octocat/repo",
    "BUILD_REQUESTEDFOR": "Microsoft.VisualStudio.Services.TFS",
    "BUILD_SOURCEBRANCH": "refs/heads/topic/y",
    "BUILD_SOURCEBRANCHNAME": "y",
    "BUILD_SOURCEVERSION": HEAD,
    "BUILD_SOURCEVERSIONMESSAGE": "Subject",
    "SYSTEM_JOBATTEMPT": "1",
    "SYSTEM_JOBDISPLAYNAME": "Test py312",
    "SYSTEM_JOBID": "12f1170f-54f2-53f3-20dd-22fc7dff55f9",
    "SYSTEM_JOBPOSITIONINPHASE": "1",
    "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI": "https://dev.azure.com/fabrikam/",
    "SYSTEM_TEAMPROJECT": "My Project",
}
AZURE_BUILD = Build(
    service_name="azure-pipelines",
    service_number="4711",
    service_job_id="12f1170f-54f2-53f3-20dd-22fc7dff55f9",
    service_branch="topic/y",
    service_build_url="https://dev.azure.com/fabrikam/My%20Project/_build/results?buildId=4711",
    service_attempt="1",
    commit_sha=HEAD,
    repo_name="octocat/repo",
    job_name="Test py312",
    node_index="1",
    message="Subject",
    remote_url="https://github.com/octocat/repo",
)
AZURE_PULL_REQUEST = {
    **AZURE,
    "BUILD_REASON": "PullRequest",
    "BUILD_SOURCEBRANCH": "refs/pull/31/merge",
    "BUILD_SOURCEBRANCHNAME": "merge",
    "BUILD_SOURCEVERSION": MERGE,
    "BUILD_SOURCEVERSIONMESSAGE": "Merge pull request 31 from topic/y into main",
    "SYSTEM_PULLREQUEST_PULLREQUESTID": "987654321",
    "SYSTEM_PULLREQUEST_PULLREQUESTNUMBER": "31",
    "SYSTEM_PULLREQUEST_SOURCEBRANCH": "refs/heads/topic/y",
    "SYSTEM_PULLREQUEST_SOURCECOMMITID": HEAD,
    "SYSTEM_PULLREQUEST_TARGETBRANCH": "refs/heads/main",
}
AZURE_PULL_REQUEST_BUILD = dataclasses.replace(AZURE_BUILD, service_pull_request="31", message=None)

TRAVIS = {
    "CI": "true",
    "TRAVIS": "true",
    "TRAVIS_BRANCH": "main",
    "TRAVIS_BUILD_ID": "99",
    "TRAVIS_BUILD_NUMBER": "4",
    "TRAVIS_BUILD_WEB_URL": "https://app.travis-ci.com/octocat/repo/builds/99",
    "TRAVIS_COMMIT": HEAD,
    "TRAVIS_COMMIT_MESSAGE": "Subject",
    "TRAVIS_JOB_ID": "100",
    "TRAVIS_JOB_NAME": "py312",
    "TRAVIS_JOB_NUMBER": "4.1",
    "TRAVIS_JOB_WEB_URL": "https://app.travis-ci.com/octocat/repo/jobs/100",
    "TRAVIS_PULL_REQUEST": "false",
    "TRAVIS_PULL_REQUEST_BRANCH": "",
    "TRAVIS_PULL_REQUEST_SHA": "",
    "TRAVIS_REPO_SLUG": "octocat/repo",
    "TRAVIS_TAG": "",
}
TRAVIS_BUILD = Build(
    service_name="travis-ci",
    service_number="4",
    service_job_id="100",
    service_job_number="4.1",
    service_branch="main",
    service_build_url="https://app.travis-ci.com/octocat/repo/builds/99",
    service_job_url="https://app.travis-ci.com/octocat/repo/jobs/100",
    commit_sha=HEAD,
    repo_name="octocat/repo",
    job_name="py312",
    message="Subject",
)

CASES: dict[str, tuple[dict[str, str], Build]] = {
    "github push": (GITHUB, GITHUB_BUILD),
    "github tag": (
        {
            **GITHUB,
            "GITHUB_REF": "refs/tags/v1",
            "GITHUB_REF_NAME": "v1",
            "GITHUB_REF_TYPE": "tag",
        },
        dataclasses.replace(GITHUB_BUILD, service_branch=None, tag="v1"),
    ),
    "github schedule": ({**GITHUB, "GITHUB_EVENT_NAME": "schedule"}, GITHUB_BUILD),
    "github branch that ends in a number": (
        {**GITHUB, "GITHUB_REF": "refs/heads/release-2", "GITHUB_REF_NAME": "release-2"},
        dataclasses.replace(GITHUB_BUILD, service_branch="release-2"),
    ),
    "github merge queue": (
        {
            **GITHUB,
            "GITHUB_EVENT_NAME": "merge_group",
            "GITHUB_REF": "refs/heads/gh-readonly-queue/main/pr-12-0123abc",
            "GITHUB_REF_NAME": "gh-readonly-queue/main/pr-12-0123abc",
        },
        dataclasses.replace(GITHUB_BUILD, service_branch="gh-readonly-queue/main/pr-12-0123abc"),
    ),
    "github pull request without its event": (
        GITHUB_PULL_REQUEST,
        dataclasses.replace(GITHUB_PULL_REQUEST_BUILD, commit_sha=None, merge_sha=MERGE),
    ),
    "forgejo pull request": (
        {
            **GITHUB_PULL_REQUEST,
            "FORGEJO_ACTIONS": "true",
            "GITEA_ACTIONS": "true",
            "GITHUB_REF": "refs/pull/12/head",
            "GITHUB_SERVER_URL": "https://codeberg.org",
            "GITHUB_SHA": HEAD,
            "RUNNER_NAME": "runner-1",
        },
        dataclasses.replace(
            GITHUB_PULL_REQUEST_BUILD,
            service_name="forgejo-actions",
            service_job_id="tests-runner-1",
            service_build_url="https://codeberg.org/octocat/Hello-World/actions/runs/17",
            remote_url="https://codeberg.org/octocat/Hello-World.git",
        ),
    ),
    "gitea push": (
        {**GITHUB, "GITEA_ACTIONS": "true", "GITHUB_SERVER_URL": "https://gitea.example.com/"},
        dataclasses.replace(
            GITHUB_BUILD,
            service_name="gitea-actions",
            service_build_url="https://gitea.example.com/octocat/Hello-World/actions/runs/17",
            remote_url="https://gitea.example.com/octocat/Hello-World.git",
        ),
    ),
    "gitlab push": (GITLAB, GITLAB_BUILD),
    "gitlab tag": (
        {**GITLAB, "CI_COMMIT_BRANCH": "", "CI_COMMIT_REF_NAME": "v1", "CI_COMMIT_TAG": "v1"},
        dataclasses.replace(GITLAB_BUILD, service_branch=None, tag="v1"),
    ),
    "gitlab merge request": (
        GITLAB_MERGE_REQUEST,
        dataclasses.replace(GITLAB_BUILD, service_pull_request="7"),
    ),
    "gitlab merged results": (
        GITLAB_MERGED_RESULTS,
        dataclasses.replace(
            GITLAB_BUILD,
            service_pull_request="7",
            author_name=None,
            author_email=None,
            message=None,
        ),
    ),
    "gitlab merged results without the head": (
        {**GITLAB_MERGED_RESULTS, "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": ""},
        dataclasses.replace(
            GITLAB_BUILD,
            service_pull_request="7",
            commit_sha=None,
            merge_sha=MERGE,
            author_name=None,
            author_email=None,
            message=None,
        ),
    ),
    "gitlab external pull request": (
        {
            **GITLAB,
            "CI_COMMIT_BRANCH": "",
            "CI_EXTERNAL_PULL_REQUEST_IID": "8",
            "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME": "topic/z",
            "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_SHA": HEAD,
        },
        dataclasses.replace(GITLAB_BUILD, service_pull_request="8", service_branch="topic/z"),
    ),
    "gitlab 8": (
        {
            "GITLAB_CI": "true",
            "CI_BUILD_ID": "50",
            "CI_BUILD_NAME": "spec:other",
            "CI_BUILD_REF": HEAD,
            "CI_BUILD_REF_NAME": "main",
            "CI_BUILD_REPO": "https://gitlab-ci-token:abcde@gitlab.example.com/group/project.git",
            "CI_PIPELINE_ID": "1000",
        },
        Build(
            service_name="gitlab-ci",
            service_number="1000",
            service_job_id="50",
            service_branch="main",
            commit_sha=HEAD,
            job_name="spec:other",
            remote_url="https://gitlab.example.com/group/project.git",
        ),
    ),
    "circleci": (
        {
            "CI": "true",
            "CIRCLECI": "true",
            "CIRCLE_BRANCH": "pull/34",
            "CIRCLE_BUILD_NUM": "77",
            "CIRCLE_BUILD_URL": "https://circleci.com/gh/octocat/repo/77",
            "CIRCLE_JOB": "test",
            "CIRCLE_NODE_INDEX": "1",
            "CIRCLE_NODE_TOTAL": "2",
            "CIRCLE_PROJECT_REPONAME": "repo",
            "CIRCLE_PROJECT_USERNAME": "octocat",
            "CIRCLE_PULL_REQUEST": "https://github.com/octocat/repo/pull/34",
            "CIRCLE_REPOSITORY_URL": "git@github.com:octocat/repo.git",
            "CIRCLE_SHA1": HEAD,
            "CIRCLE_WORKFLOW_ID": "1c7e2ca1",
            "CIRCLE_WORKFLOW_JOB_ID": "9b1d",
        },
        Build(
            service_name="circleci",
            service_number="1c7e2ca1",
            service_job_id="9b1d-1",
            service_job_number="77",
            service_pull_request="34",
            service_build_url="https://app.circleci.com/pipelines/workflows/1c7e2ca1",
            service_job_url="https://circleci.com/gh/octocat/repo/77",
            commit_sha=HEAD,
            repo_name="octocat/repo",
            job_name="test",
            node_index="1",
            remote_url="git@github.com:octocat/repo.git",
        ),
    ),
    "travis push": (TRAVIS, TRAVIS_BUILD),
    "travis tag": (
        {**TRAVIS, "TRAVIS_BRANCH": "v1", "TRAVIS_TAG": "v1"},
        dataclasses.replace(TRAVIS_BUILD, service_branch=None, tag="v1"),
    ),
    "travis pull request": (
        {
            **TRAVIS,
            "TRAVIS_COMMIT": MERGE,
            "TRAVIS_COMMIT_MESSAGE": "Merge a into b",
            "TRAVIS_PULL_REQUEST": "56",
            "TRAVIS_PULL_REQUEST_BRANCH": "topic/y",
            "TRAVIS_PULL_REQUEST_SHA": HEAD,
        },
        dataclasses.replace(
            TRAVIS_BUILD, service_pull_request="56", service_branch="topic/y", message=None
        ),
    ),
    "jenkins multibranch": (JENKINS, JENKINS_BUILD),
    "jenkins multibranch pull request": (
        {
            **JENKINS,
            "BRANCH_NAME": "PR-24",
            "CHANGE_AUTHOR_DISPLAY_NAME": "Jane Doe",
            "CHANGE_BRANCH": "topic/y",
            "CHANGE_ID": "24",
            "CHANGE_TARGET": "main",
            "GIT_BRANCH": "PR-24",
            "GIT_COMMIT": MERGE,
        },
        dataclasses.replace(JENKINS_PULL_REQUEST_BUILD, commit_sha=None, merge_sha=MERGE),
    ),
    "jenkins multibranch pull request's head": (
        {**JENKINS, "BRANCH_NAME": "PR-24-head", "CHANGE_BRANCH": "topic/y", "CHANGE_ID": "24"},
        JENKINS_PULL_REQUEST_BUILD,
    ),
    "jenkins ghprb": (
        {
            **JENKINS,
            "BRANCH_NAME": "",
            "GIT_BRANCH": "origin/pr/24/merge",
            "GIT_COMMIT": MERGE,
            "ghprbActualCommit": HEAD,
            "ghprbGhRepository": "octocat/repo",
            "ghprbPullId": "24",
            "ghprbSourceBranch": "topic/y",
            "ghprbTargetBranch": "main",
        },
        JENKINS_PULL_REQUEST_BUILD,
    ),
    "jenkins gitlab plugin": (
        {
            **JENKINS,
            "BRANCH_NAME": "",
            "GIT_COMMIT": MERGE,
            "gitlabMergeRequestId": "7654",
            "gitlabMergeRequestIid": "24",
            "gitlabMergeRequestLastCommit": HEAD,
            "gitlabSourceBranch": "topic/y",
            "gitlabTargetBranch": "main",
        },
        JENKINS_PULL_REQUEST_BUILD,
    ),
    "jenkins matrix project": (
        {
            "JENKINS_HOME": "/var/lib/jenkins",
            "BUILD_NUMBER": "5",
            "BUILD_TAG": "jenkins-repo-PYTHON=3.12,label=linux-5",
            "EXECUTOR_NUMBER": "1",
            "GIT_BRANCH": "origin/main",
            "GIT_COMMIT": HEAD,
            "JOB_NAME": "repo/PYTHON=3.12,label=linux",
            "NODE_NAME": "agent-1",
        },
        Build(
            service_name="jenkins",
            service_number="repo-5",
            service_job_id="repo/PYTHON=3.12,label=linux-5-agent-1-1",
            service_branch="main",
            commit_sha=HEAD,
            job_name="PYTHON=3.12,label=linux",
        ),
    ),
    "azure push": (AZURE, AZURE_BUILD),
    "azure tag": (
        {**AZURE, "BUILD_SOURCEBRANCH": "refs/tags/v1", "BUILD_SOURCEBRANCHNAME": "v1"},
        dataclasses.replace(AZURE_BUILD, service_branch=None, tag="v1"),
    ),
    "azure pull request on github": (AZURE_PULL_REQUEST, AZURE_PULL_REQUEST_BUILD),
    "azure pull request on azure repos": (
        {
            **AZURE_PULL_REQUEST,
            "BUILD_REPOSITORY_NAME": "repo",
            "BUILD_REPOSITORY_URI": "https://fabrikam@dev.azure.com/fabrikam/My%20Project/_git/repo",
            "SYSTEM_PULLREQUEST_PULLREQUESTID": "31",
            "SYSTEM_PULLREQUEST_PULLREQUESTNUMBER": "$(System.PullRequest.PullRequestNumber)",
            "SYSTEM_PULLREQUEST_SOURCECOMMITID": "",
        },
        dataclasses.replace(
            AZURE_PULL_REQUEST_BUILD,
            commit_sha=None,
            merge_sha=MERGE,
            repo_name=None,
            remote_url="https://dev.azure.com/fabrikam/My%20Project/_git/repo",
        ),
    ),
    "bitbucket": (
        {
            "CI": "true",
            "BITBUCKET_BRANCH": "topic/y",
            "BITBUCKET_BUILD_NUMBER": "33",
            "BITBUCKET_COMMIT": HEAD,
            "BITBUCKET_GIT_HTTP_ORIGIN": "http://bitbucket.org/team/repo",
            "BITBUCKET_PARALLEL_STEP": "0",
            "BITBUCKET_PARALLEL_STEP_COUNT": "2",
            "BITBUCKET_PIPELINE_UUID": "{11b4}",
            "BITBUCKET_PR_DESTINATION_BRANCH": "main",
            "BITBUCKET_PR_ID": "9",
            "BITBUCKET_REPO_FULL_NAME": "team/repo",
            "BITBUCKET_STEP_RUN_NUMBER": "1",
            "BITBUCKET_STEP_UUID": "{22c5}",
        },
        Build(
            service_name="bitbucket",
            service_number="33",
            service_job_id="{22c5}",
            service_pull_request="9",
            service_branch="topic/y",
            service_build_url="https://bitbucket.org/team/repo/addon/pipelines/home#!/results/33",
            service_attempt="1",
            commit_sha=HEAD,
            repo_name="team/repo",
            node_index="0",
            remote_url="http://bitbucket.org/team/repo",
        ),
    ),
    "buildkite": (
        {
            "CI": "true",
            "BUILDKITE": "true",
            "BUILDKITE_BRANCH": "octocat:topic/y",
            "BUILDKITE_BUILD_AUTHOR": "Carol Danvers",
            "BUILDKITE_BUILD_AUTHOR_EMAIL": "cdanvers@example.com",
            "BUILDKITE_BUILD_ID": "4735ba57",
            "BUILDKITE_BUILD_NUMBER": "1514",
            "BUILDKITE_BUILD_URL": "https://buildkite.com/acme-inc/my-project/builds/1514",
            "BUILDKITE_COMMIT": "HEAD",
            "BUILDKITE_JOB_ID": "e44f9784",
            "BUILDKITE_LABEL": ":python: tests",
            "BUILDKITE_MESSAGE": "Added a great new feature",
            "BUILDKITE_PARALLEL_JOB": "0",
            "BUILDKITE_PULL_REQUEST": "false",
            "BUILDKITE_REPO": "git@github.com:acme-inc/my-project.git",
            "BUILDKITE_RETRY_COUNT": "0",
            "BUILDKITE_TAG": "",
        },
        Build(
            service_name="buildkite",
            service_number="1514",
            service_job_id="e44f9784",
            service_branch="topic/y",
            service_build_url="https://buildkite.com/acme-inc/my-project/builds/1514",
            service_job_url="https://buildkite.com/acme-inc/my-project/builds/1514#e44f9784",
            service_attempt="0",
            repo_name="acme-inc/my-project",
            job_name=":python: tests",
            node_index="0",
            author_name="Carol Danvers",
            author_email="cdanvers@example.com",
            message="Added a great new feature",
            remote_url="git@github.com:acme-inc/my-project.git",
        ),
    ),
    "appveyor": (
        {
            "APPVEYOR": "True",
            "APPVEYOR_ACCOUNT_NAME": "octocat",
            "APPVEYOR_BUILD_ID": "345",
            "APPVEYOR_BUILD_NUMBER": "12",
            "APPVEYOR_JOB_ID": "hy6f",
            "APPVEYOR_JOB_NAME": "Image: Ubuntu",
            "APPVEYOR_JOB_NUMBER": "2",
            "APPVEYOR_PROJECT_SLUG": "repo-x",
            "APPVEYOR_PULL_REQUEST_HEAD_COMMIT": HEAD,
            "APPVEYOR_PULL_REQUEST_HEAD_REPO_BRANCH": "topic/y",
            "APPVEYOR_PULL_REQUEST_NUMBER": "45",
            "APPVEYOR_REPO_BRANCH": "main",
            "APPVEYOR_REPO_COMMIT": MERGE,
            "APPVEYOR_REPO_COMMIT_AUTHOR": "Jane Doe",
            "APPVEYOR_REPO_COMMIT_MESSAGE": "Subject",
            "APPVEYOR_REPO_NAME": "octocat/repo",
            "APPVEYOR_REPO_TAG": "false",
            "APPVEYOR_URL": "https://ci.appveyor.com",
        },
        Build(
            service_name="appveyor",
            service_number="345",
            service_job_id="hy6f",
            service_job_number="2",
            service_pull_request="45",
            service_branch="topic/y",
            service_build_url="https://ci.appveyor.com/project/octocat/repo-x/builds/345",
            service_job_url="https://ci.appveyor.com/project/octocat/repo-x/builds/345/job/hy6f",
            commit_sha=HEAD,
            repo_name="octocat/repo",
            job_name="Image: Ubuntu",
        ),
    ),
    "semaphore": (
        {
            "CI": "true",
            "SEMAPHORE": "true",
            "SEMAPHORE_GIT_BRANCH": "main",
            "SEMAPHORE_GIT_COMMIT_AUTHOR": "octocat",
            "SEMAPHORE_GIT_PR_BRANCH": "topic/y",
            "SEMAPHORE_GIT_PR_NUMBER": "2",
            "SEMAPHORE_GIT_PR_SHA": HEAD,
            "SEMAPHORE_GIT_REF_TYPE": "pull-request",
            "SEMAPHORE_GIT_REPO_SLUG": "octocat/repo",
            "SEMAPHORE_GIT_SHA": MERGE,
            "SEMAPHORE_GIT_URL": "git@github.com:octocat/repo.git",
            "SEMAPHORE_GIT_WORKING_BRANCH": "topic/y",
            "SEMAPHORE_JOB_ID": "a26d42cf",
            "SEMAPHORE_JOB_INDEX": "1",
            "SEMAPHORE_JOB_NAME": "Tests",
            "SEMAPHORE_ORGANIZATION_URL": "https://acme.semaphoreci.com",
            "SEMAPHORE_WORKFLOW_ID": "65c398bb",
            "SEMAPHORE_WORKFLOW_NUMBER": "8",
        },
        Build(
            service_name="semaphore",
            service_number="65c398bb",
            service_job_id="a26d42cf",
            service_pull_request="2",
            service_branch="topic/y",
            service_build_url="https://acme.semaphoreci.com/workflows/65c398bb",
            service_job_url="https://acme.semaphoreci.com/jobs/a26d42cf",
            commit_sha=HEAD,
            repo_name="octocat/repo",
            job_name="Tests",
            node_index="1",
            remote_url="git@github.com:octocat/repo.git",
        ),
    ),
    "semaphore classic": (
        {
            "SEMAPHORE": "true",
            "BRANCH_NAME": "topic/y",
            "PULL_REQUEST_NUMBER": "3",
            "REVISION": HEAD,
            "SEMAPHORE_BUILD_NUMBER": "6",
            "SEMAPHORE_EXECUTABLE_UUID": "3bec",
            "SEMAPHORE_JOB_UUID": "77aa",
            "SEMAPHORE_REPO_SLUG": "octocat/repo",
        },
        Build(
            service_name="semaphore-classic",
            service_number="3bec",
            service_job_id="77aa",
            service_pull_request="3",
            service_branch="topic/y",
            commit_sha=HEAD,
            repo_name="octocat/repo",
        ),
    ),
    "drone": (
        {
            "CI": "true",
            "DRONE": "true",
            "DRONE_BRANCH": "main",
            "DRONE_BUILD_LINK": "https://drone.example.com/octocat/repo/42",
            "DRONE_BUILD_NUMBER": "42",
            "DRONE_COMMIT_AUTHOR": "octocat",
            "DRONE_COMMIT_AUTHOR_NAME": "The Octocat",
            "DRONE_COMMIT_BRANCH": "main",
            "DRONE_COMMIT_MESSAGE": "Updated README.md",
            "DRONE_COMMIT_SHA": HEAD,
            "DRONE_GIT_HTTP_URL": "https://github.com/octocat/repo.git",
            "DRONE_PULL_REQUEST": "42",
            "DRONE_REPO": "octocat/repo",
            "DRONE_SOURCE_BRANCH": "topic/y",
            "DRONE_STAGE_NAME": "py312",
            "DRONE_STAGE_NUMBER": "1",
            "DRONE_STEP_NAME": "test",
            "DRONE_STEP_NUMBER": "2",
            "DRONE_TARGET_BRANCH": "main",
        },
        Build(
            service_name="drone",
            service_number="42",
            service_job_id="42.1.2",
            service_job_number="1",
            service_pull_request="42",
            service_branch="topic/y",
            service_build_url="https://drone.example.com/octocat/repo/42",
            commit_sha=HEAD,
            repo_name="octocat/repo",
            job_name="py312",
            remote_url="https://github.com/octocat/repo.git",
        ),
    ),
    "woodpecker": (
        {
            "CI": "woodpecker",
            "CI_COMMIT_AUTHOR": "john-doe",
            "CI_COMMIT_AUTHOR_EMAIL": "john-doe@example.com",
            "CI_COMMIT_BRANCH": "main",
            "CI_COMMIT_MESSAGE": "Initial commit",
            "CI_COMMIT_SHA": HEAD,
            "CI_PIPELINE_NUMBER": "8",
            "CI_PIPELINE_URL": "https://ci.example.com/repos/7/pipeline/8",
            "CI_REPO": "john-doe/my-repo",
            "CI_REPO_CLONE_URL": "https://git.example.com/john-doe/my-repo.git",
            "CI_STEP_NAME": "build package",
            "CI_STEP_NUMBER": "0",
            "CI_STEP_URL": "https://ci.example.com/repos/7/pipeline/8/1",
            "CI_WORKFLOW_NAME": "release",
            "CI_WORKFLOW_NUMBER": "1",
        },
        Build(
            service_name="woodpecker",
            service_number="8",
            service_job_id="8.1.0",
            service_job_number="1",
            service_branch="main",
            service_build_url="https://ci.example.com/repos/7/pipeline/8",
            service_job_url="https://ci.example.com/repos/7/pipeline/8/1",
            commit_sha=HEAD,
            repo_name="john-doe/my-repo",
            job_name="release",
            author_email="john-doe@example.com",
            message="Initial commit",
            remote_url="https://git.example.com/john-doe/my-repo.git",
        ),
    ),
    "harness": (
        {
            "CI": "true",
            "DRONE": "true",
            "HARNESS_BUILD_ID": "42",
            "HARNESS_NODE_INDEX": "0",
            "HARNESS_STAGE_ID": "build",
            "CI_BUILD_LINK": "https://app.harness.io/ng/pipelines/executions/abc",
            "CI_BUILD_NUMBER": "42",
            "CI_COMMIT_MESSAGE": "Title of the pull request",
            "CI_REPO": "octocat/repo",
            "DRONE_COMMIT_BRANCH": "main",
            "DRONE_COMMIT_SHA": HEAD,
            "DRONE_PULL_REQUEST": "5",
            "DRONE_SOURCE_BRANCH": "<+trigger.sourceBranch>",
        },
        Build(
            service_name="harness",
            service_number="42",
            service_job_id="42-build-0",
            service_pull_request="5",
            service_build_url="https://app.harness.io/ng/pipelines/executions/abc",
            commit_sha=HEAD,
            repo_name="octocat/repo",
            job_name="build",
            node_index="0",
        ),
    ),
    "cirrus": (
        {
            "CI": "true",
            "CIRRUS_CI": "true",
            "CI_NODE_INDEX": "1",
            "CI_NODE_TOTAL": "4",
            "CIRRUS_BASE_BRANCH": "main",
            "CIRRUS_BRANCH": "pull/88",
            "CIRRUS_BUILD_ID": "5678",
            "CIRRUS_CHANGE_IN_REPO": HEAD,
            "CIRRUS_CHANGE_MESSAGE": "Title and text of the pull request",
            "CIRRUS_PR": "88",
            "CIRRUS_REPO_CLONE_URL": "https://github.com/octocat/repo.git",
            "CIRRUS_REPO_FULL_NAME": "octocat/repo",
            "CIRRUS_TASK_ID": "1234",
            "CIRRUS_TASK_NAME": "py312",
        },
        Build(
            service_name="cirrus-ci",
            service_number="5678",
            service_job_id="1234",
            service_pull_request="88",
            service_build_url="https://cirrus-ci.com/build/5678",
            service_job_url="https://cirrus-ci.com/task/1234",
            commit_sha=HEAD,
            repo_name="octocat/repo",
            job_name="py312",
            node_index="1",
            remote_url="https://github.com/octocat/repo.git",
        ),
    ),
    "teamcity": (
        {
            "TEAMCITY_VERSION": "2024.12",
            "TEAMCITY_BUILDCONF_NAME": "Tests",
            "BUILD_NUMBER": "71",
            "BUILD_URL": "https://tc.example.com/buildConfiguration/Repo_Tests/4711",
            "BUILD_VCS_NUMBER": HEAD,
        },
        Build(
            service_name="teamcity",
            service_number="71",
            service_job_id="Tests-71",
            service_build_url="https://tc.example.com/buildConfiguration/Repo_Tests/4711",
            commit_sha=HEAD,
            job_name="Tests",
        ),
    ),
    "codebuild pull request": (
        {
            "CODEBUILD_CI": "true",
            "CODEBUILD_BUILD_ID": "codebuild-demo-project:b1e6661e-e4f2-4156-9ab9-82a19EXAMPLE",
            "CODEBUILD_BUILD_NUMBER": "15",
            "CODEBUILD_PUBLIC_BUILD_URL": "https://eu-west-1.codebuild.aws.amazon.com/project/x",
            "CODEBUILD_RESOLVED_SOURCE_VERSION": HEAD,
            "CODEBUILD_SOURCE_REPO_URL": "https://github.com/octocat/repo.git",
            "CODEBUILD_SOURCE_VERSION": "pr/18",
            "CODEBUILD_WEBHOOK_BASE_REF": "refs/heads/main",
            "CODEBUILD_WEBHOOK_HEAD_REF": "refs/heads/topic/y",
            "CODEBUILD_WEBHOOK_TRIGGER": "pr/18",
        },
        Build(
            service_name="aws-codebuild",
            service_number="15",
            service_job_id="codebuild-demo-project:b1e6661e-e4f2-4156-9ab9-82a19EXAMPLE",
            service_pull_request="18",
            service_branch="topic/y",
            service_build_url="https://eu-west-1.codebuild.aws.amazon.com/project/x",
            commit_sha=HEAD,
            repo_name="octocat/repo",
            remote_url="https://github.com/octocat/repo.git",
        ),
    ),
    "codebuild batch": (
        {
            "CODEBUILD_BATCH_BUILD_IDENTIFIER": "py312",
            "CODEBUILD_BUILD_ID": "demo:b1e6661e",
            "CODEBUILD_BUILD_NUMBER": "15",
            "CODEBUILD_RESOLVED_SOURCE_VERSION": HEAD,
            "CODEBUILD_WEBHOOK_TRIGGER": "branch/release-2",
        },
        Build(
            service_name="aws-codebuild",
            service_number=HEAD,
            service_job_id="demo:b1e6661e",
            service_branch="release-2",
            commit_sha=HEAD,
            job_name="py312",
        ),
    ),
    "google cloud build": (
        {
            "BUILDER_OUTPUT": "/builder/outputs",
            "BUILD_ID": "0a1b",
            "COMMIT_SHA": HEAD,
            "BRANCH_NAME": "topic/y",
            "LOCATION": "europe-west1",
            "PROJECT_ID": "my-project",
            "REPO_FULL_NAME": "octocat/repo",
            "TAG_NAME": "$TAG_NAME",
            "TRIGGER_NAME": "tests",
            "_HEAD_BRANCH": "topic/y",
            "_PR_NUMBER": "19",
        },
        Build(
            service_name="google-cloud-build",
            service_number="0a1b",
            service_pull_request="19",
            service_branch="topic/y",
            service_build_url="https://console.cloud.google.com/cloud-build/builds;"
            "region=europe-west1/0a1b?project=my-project",
            commit_sha=HEAD,
            repo_name="octocat/repo",
            job_name="tests",
        ),
    ),
    "codefresh": (
        {
            "CI": "true",
            "CF_BRANCH": "topic/y",
            "CF_BUILD_ID": "5b3a",
            "CF_BUILD_URL": "https://g.codefresh.io/build/5b3a",
            "CF_COMMIT_AUTHOR": "octocat",
            "CF_COMMIT_MESSAGE": "Subject",
            "CF_PULL_REQUEST_ID": "123456789",
            "CF_PULL_REQUEST_NUMBER": "4",
            "CF_PULL_REQUEST_TARGET": "main",
            "CF_REPO_NAME": "repo",
            "CF_REPO_OWNER": "octocat",
            "CF_REVISION": HEAD,
            "CF_STEP_NAME": "MyUnitTests",
        },
        Build(
            service_name="codefresh",
            service_number="5b3a",
            service_job_id="5b3a-MyUnitTests",
            service_pull_request="4",
            service_branch="topic/y",
            service_build_url="https://g.codefresh.io/build/5b3a",
            commit_sha=HEAD,
            repo_name="octocat/repo",
            job_name="MyUnitTests",
            author_name="octocat",
            message="Subject",
        ),
    ),
    "codeship basic": (
        {
            "CI": "true",
            "CI_NAME": "codeship",
            "CI_BRANCH": "topic/y",
            "CI_BUILD_NUMBER": "101",
            "CI_BUILD_URL": "https://app.codeship.com/projects/1/builds/101",
            "CI_COMMIT_ID": HEAD,
            "CI_COMMITTER_EMAIL": "jane@example.com",
            "CI_COMMITTER_NAME": "Jane Doe",
            "CI_MESSAGE": "Subject",
            "CI_PULL_REQUEST": "false",
        },
        Build(
            service_name="codeship",
            service_number="101",
            service_branch="topic/y",
            service_build_url="https://app.codeship.com/projects/1/builds/101",
            commit_sha=HEAD,
            committer_name="Jane Doe",
            committer_email="jane@example.com",
            message="Subject",
        ),
    ),
    "codeship pro": (
        {
            "CI": "true",
            "CI_NAME": "codeship",
            "CI_BRANCH": "topic/y",
            "CI_BUILD_ID": "2a7c",
            "CI_COMMIT_ID": HEAD,
            "CI_COMMIT_MESSAGE": "Subject",
            "CI_PR_NUMBER": "6",
            "CI_PULL_REQUEST": "https://github.com/octocat/repo/pull/6",
            "CI_REPO_NAME": "octocat/repo",
        },
        Build(
            service_name="codeship",
            service_number="2a7c",
            service_pull_request="6",
            service_branch="topic/y",
            commit_sha=HEAD,
            repo_name="octocat/repo",
            message="Subject",
        ),
    ),
    "bitrise": (
        {
            "CI": "true",
            "BITRISE_IO": "true",
            "BITRISEIO_GIT_BRANCH_DEST": "main",
            "BITRISEIO_GIT_REPOSITORY_OWNER": "octocat",
            "BITRISEIO_GIT_REPOSITORY_SLUG": "repo",
            "BITRISE_BUILD_NUMBER": "55",
            "BITRISE_BUILD_SLUG": "c2f1",
            "BITRISE_BUILD_URL": "https://app.bitrise.io/build/c2f1",
            "BITRISE_GIT_BRANCH": "topic/y",
            "BITRISE_GIT_COMMIT": "",
            "BITRISE_PULL_REQUEST": "21",
            "GIT_CLONE_COMMIT_AUTHOR_NAME": "Jane Doe",
            "GIT_CLONE_COMMIT_HASH": MERGE,
        },
        Build(
            service_name="bitrise",
            service_number="55",
            service_job_id="c2f1",
            service_pull_request="21",
            service_branch="topic/y",
            service_build_url="https://app.bitrise.io/build/c2f1",
            service_job_url="https://app.bitrise.io/build/c2f1",
            merge_sha=MERGE,
            repo_name="octocat/repo",
        ),
    ),
    "xcode cloud": (
        {
            "CI": "TRUE",
            "CI_XCODE_CLOUD": "TRUE",
            "CI_XCODE_PROJECT": "Example.xcodeproj",
            "CI_BRANCH": "main",
            "CI_BUILD_ID": "f0e1",
            "CI_BUILD_NUMBER": "9",
            "CI_BUILD_URL": "https://appstoreconnect.apple.com/teams/x/apps/1/ci/builds/f0e1",
            "CI_COMMIT": MERGE,
            "CI_PULL_REQUEST_NUMBER": "10",
            "CI_PULL_REQUEST_SOURCE_BRANCH": "topic/y",
            "CI_PULL_REQUEST_SOURCE_COMMIT": HEAD,
            "CI_PULL_REQUEST_TARGET_BRANCH": "main",
            "CI_PULL_REQUEST_TARGET_REPO": "octocat/repo",
            "CI_WORKFLOW": "Tests",
            "CI_XCODEBUILD_ACTION": "test",
        },
        Build(
            service_name="xcode-cloud",
            service_number="9",
            service_job_id="f0e1-test",
            service_pull_request="10",
            service_branch="topic/y",
            service_build_url="https://appstoreconnect.apple.com/teams/x/apps/1/ci/builds/f0e1",
            commit_sha=HEAD,
            repo_name="octocat/repo",
            job_name="Tests",
        ),
    ),
    "netlify": (
        {
            "CI": "true",
            "NETLIFY": "true",
            "BRANCH": "pull/11/head",
            "BUILD_ID": "5d4a",
            "COMMIT_REF": HEAD,
            "DEPLOY_ID": "5e5b",
            "HEAD": "topic/y",
            "PULL_REQUEST": "true",
            "REPOSITORY_URL": "https://x-access-token:ghs_s3cret@github.com/octocat/repo",
            "REVIEW_ID": "11",
            "SITE_NAME": "petsof",
        },
        Build(
            service_name="netlify",
            service_number="5d4a",
            service_pull_request="11",
            service_branch="topic/y",
            service_build_url="https://app.netlify.com/sites/petsof/deploys/5e5b",
            commit_sha=HEAD,
            repo_name="octocat/repo",
            remote_url="https://github.com/octocat/repo",
        ),
    ),
    "vercel": (
        {
            "CI": "1",
            "VERCEL": "1",
            "VERCEL_DEPLOYMENT_ID": "dpl_7Gw5",
            "VERCEL_GIT_COMMIT_AUTHOR_NAME": "Jane Doe",
            "VERCEL_GIT_COMMIT_MESSAGE": "Subject",
            "VERCEL_GIT_COMMIT_REF": "improve-about-page",
            "VERCEL_GIT_COMMIT_SHA": HEAD,
            "VERCEL_GIT_PULL_REQUEST_ID": "23",
            "VERCEL_GIT_REPO_OWNER": "acme",
            "VERCEL_GIT_REPO_SLUG": "my-site",
        },
        Build(
            service_name="vercel",
            service_number="dpl_7Gw5",
            service_pull_request="23",
            service_branch="improve-about-page",
            commit_sha=HEAD,
            repo_name="acme/my-site",
            author_name="Jane Doe",
            message="Subject",
        ),
    ),
    "rwx": (
        {
            "CI": "true",
            "RWX": "true",
            "RWX_GIT_COMMITTER_EMAIL": "jane@example.com",
            "RWX_GIT_COMMITTER_NAME": "Jane Doe",
            "RWX_GIT_COMMIT_MESSAGE": "Subject",
            "RWX_GIT_COMMIT_SHA": HEAD,
            "RWX_GIT_REF": "refs/heads/topic/y",
            "RWX_GIT_REF_NAME": "topic/y",
            "RWX_GIT_REPOSITORY_NAME": "octocat/repo",
            "RWX_RUN_ID": "7e1c",
            "RWX_RUN_URL": "https://cloud.rwx.com/mint/acme/runs/7e1c",
            "RWX_TASK_ATTEMPT_NUMBER": "1",
            "RWX_TASK_ID": "9f2d",
            "RWX_TASK_URL": "https://cloud.rwx.com/mint/acme/tasks/9f2d",
        },
        Build(
            service_name="rwx",
            service_number="7e1c",
            service_job_id="9f2d",
            service_branch="topic/y",
            service_build_url="https://cloud.rwx.com/mint/acme/runs/7e1c",
            service_job_url="https://cloud.rwx.com/mint/acme/tasks/9f2d",
            service_attempt="1",
            commit_sha=HEAD,
            repo_name="octocat/repo",
            committer_name="Jane Doe",
            committer_email="jane@example.com",
            message="Subject",
        ),
    ),
    "wercker": (
        {
            "CI": "true",
            "WERCKER": "true",
            "WERCKER_GIT_BRANCH": "topic/y",
            "WERCKER_GIT_COMMIT": HEAD,
            "WERCKER_GIT_OWNER": "octocat",
            "WERCKER_GIT_REPOSITORY": "repo",
            "WERCKER_RUN_URL": "https://app.wercker.com/octocat/repo/runs/build/5f44d73f",
        },
        Build(
            service_name="wercker",
            service_number="5f44d73f",
            service_branch="topic/y",
            service_build_url="https://app.wercker.com/octocat/repo/runs/build/5f44d73f",
            commit_sha=HEAD,
            repo_name="octocat/repo",
        ),
    ),
    "solano": (
        {
            "CI": "true",
            "TDDIUM": "1",
            "TDDIUM_CURRENT_BRANCH": "topic/y",
            "TDDIUM_PR_ID": "13",
            "TDDIUM_SESSION_ID": "654",
            "TDDIUM_TID": "3",
        },
        Build(
            service_name="tddium",
            service_number="654",
            service_job_id="654-3",
            service_job_number="3",
            service_pull_request="13",
            service_branch="topic/y",
            service_build_url="https://ci.solanolabs.com/reports/654",
        ),
    ),
    "surf": (
        {
            "SURF_BUILD_NAME": "surf",
            "SURF_NWO": "octocat/repo",
            "SURF_PR_NUM": "14",
            "SURF_REF": "refs/heads/topic/y",
            "SURF_REPO": "https://github.com/octocat/repo",
            "SURF_SHA1": HEAD,
        },
        Build(
            service_name="surf",
            service_pull_request="14",
            service_branch="topic/y",
            commit_sha=HEAD,
            repo_name="octocat/repo",
            job_name="surf",
            remote_url="https://github.com/octocat/repo",
        ),
    ),
    "generic": (
        {
            "CI_NAME": "my-ci",
            "CI_AUTHOR_EMAIL": "jane@example.com",
            "CI_AUTHOR_NAME": "Jane Doe",
            "CI_BRANCH": "refs/heads/topic/y",
            "CI_BUILD_NUMBER": "123",
            "CI_BUILD_URL": "https://user:s3cret@ci.example.com/123?token=s3cret#top",
            "CI_COMMITTER_EMAIL": "joe@example.com",
            "CI_COMMITTER_NAME": "Joe Bloggs",
            "CI_COMMIT_ID": HEAD,
            "CI_COMMIT_MESSAGE": "Subject",
            "CI_JOB_ID": "123.4",
            "CI_JOB_URL": "https://ci.example.com/123/4",
            "CI_NODE_INDEX": "4",
            "CI_PULL_REQUEST": "https://github.com/octocat/repo/pull/15",
        },
        Build(
            service_name="my-ci",
            service_number="123",
            service_job_id="123.4",
            service_pull_request="15",
            service_branch="topic/y",
            service_build_url="https://ci.example.com/123",
            service_job_url="https://ci.example.com/123/4",
            commit_sha=HEAD,
            node_index="4",
            author_name="Jane Doe",
            author_email="jane@example.com",
            committer_name="Joe Bloggs",
            committer_email="joe@example.com",
            message="Subject",
        ),
    ),
    "no service": (
        {
            "GIT_AUTHOR_EMAIL": "jane@example.com",
            "GIT_AUTHOR_NAME": "Jane Doe",
            "GIT_BRANCH": "default",
            "GIT_COMMITTER_EMAIL": "joe@example.com",
            "GIT_COMMITTER_NAME": "Joe Bloggs",
            "GIT_ID": HEAD,
            "GIT_MESSAGE": "Subject\n\nBody",
            "GIT_REMOTE": "origin",
            "GIT_URL": "https://token@hg.example.com/repo",
        },
        Build(
            service_branch="default",
            commit_sha=HEAD,
            author_name="Jane Doe",
            author_email="jane@example.com",
            committer_name="Joe Bloggs",
            committer_email="joe@example.com",
            message="Subject\n\nBody",
            remote_url="https://hg.example.com/repo",
            remote_name="origin",
        ),
    ),
    "nothing": ({}, Build()),
}


@pytest.mark.parametrize("case", CASES)
def test_a_documented_environment_gives_the_whole_build(case: str) -> None:
    """Every field is as the service's documentation says, and no other field is set."""
    env, build = CASES[case]
    assert detect(env) == build


def test_every_service_has_an_example() -> None:
    """A row without a documented environment would be a guess."""
    shown = {build.service_name for _, build in CASES.values()}
    assert {service.name for service in SERVICES} - {GENERIC.name} <= shown


# --- GitHub's event file --------------------------------------------------------------------------


def with_event(env: dict[str, str], path: Path, event: object) -> dict[str, str]:
    """The environment with an event file that holds this document."""
    path = path / "event.json"
    path.write_text(json.dumps(event), encoding="utf-8")
    return {**env, "GITHUB_EVENT_PATH": str(path)}


@pytest.mark.parametrize("repo", [{"full_name": "fork/Hello-World"}, None])
def test_a_pull_request_is_its_head_also_when_the_fork_is_deleted(
    tmp_path: Path, repo: object
) -> None:
    """GITHUB_SHA is a synthetic merge; the event names the head, whatever became of the fork."""
    event: dict[str, Any] = json.loads(json.dumps(PULL_REQUEST_EVENT))
    event["pull_request"]["head"]["repo"] = repo
    env = with_event(GITHUB_PULL_REQUEST, tmp_path, event)
    assert detect(env) == GITHUB_PULL_REQUEST_BUILD


def test_pull_request_target_takes_nothing_from_the_base(tmp_path: Path) -> None:
    """There GITHUB_SHA and GITHUB_REF are the base's: neither head nor merge nor branch."""
    env = {
        **GITHUB_PULL_REQUEST,
        "GITHUB_EVENT_NAME": "pull_request_target",
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_REF_NAME": "main",
    }
    assert detect(with_event(env, tmp_path, PULL_REQUEST_EVENT)) == GITHUB_PULL_REQUEST_BUILD
    for nameless in (env, {**env, "GITHUB_EVENT_NAME": ""}):
        assert detect(nameless) == dataclasses.replace(
            GITHUB_PULL_REQUEST_BUILD, service_pull_request=None, commit_sha=None
        )


def test_a_workflow_run_is_the_run_that_it_follows(tmp_path: Path) -> None:
    """GITHUB_SHA is the default branch's last commit; the event names the run's head."""
    env = {**GITHUB, "GITHUB_EVENT_NAME": "workflow_run", "GITHUB_SHA": MERGE}
    run = {
        "head_sha": HEAD,
        "head_branch": "topic/y",
        "head_commit": {"message": "Subject", "author": {"name": "Jane", "email": "j@e.org"}},
        "pull_requests": [{"number": 12}],
    }
    build = detect(with_event(env, tmp_path, {"workflow_run": run}))
    assert build == dataclasses.replace(
        GITHUB_PULL_REQUEST_BUILD, author_name="Jane", author_email="j@e.org", message="Subject"
    )
    alone = detect(with_event(env, tmp_path, {"workflow_run": {**run, "pull_requests": []}}))
    assert alone == dataclasses.replace(build, service_pull_request=None)


def test_a_merge_group_is_the_commit_of_the_group(tmp_path: Path) -> None:
    """The group commit is what will be the target branch: it is built, not merged for the build."""
    env = {**CASES["github merge queue"][0], "GITHUB_SHA": ""}
    build = detect(with_event(env, tmp_path, {"merge_group": {"head_sha": HEAD}}))
    assert build == CASES["github merge queue"][1]


def test_a_push_tells_author_committer_and_message(tmp_path: Path) -> None:
    """What git cannot say without the object is in the event's head commit."""
    commit = {
        "id": HEAD,
        "message": "Subject\n\nBody\n",
        "author": {"name": "Jane Doe", "email": "jane@example.com"},
        "committer": {"name": "GitHub", "email": "noreply@github.com"},
    }
    build = detect(with_event(GITHUB, tmp_path, {"ref": "refs/heads/x", "head_commit": commit}))
    assert build == dataclasses.replace(
        GITHUB_BUILD,
        author_name="Jane Doe",
        author_email="jane@example.com",
        committer_name="GitHub",
        committer_email="noreply@github.com",
        message="Subject\n\nBody",
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not JSON",
        b"\xff\xfe\xff",
        b"[]",
        b"null",
        b'"text"',
        b"[" * 100_000,
        b'{"number": ' + b"9" * 10_000 + b"}",
    ],
    ids=["empty", "text", "binary", "list", "null", "string", "deep", "huge number"],
)
def test_an_unusable_event_file_is_said_and_the_next_source_is_asked(
    tmp_path: Path, content: bytes
) -> None:
    """The payload can be empty or odd; the merge commit is then left to git."""
    path = tmp_path / "event.json"
    path.write_bytes(content)
    build = detect({**GITHUB_PULL_REQUEST, "GITHUB_EVENT_PATH": str(path)})
    (problem,) = build.problems
    assert repr(str(path)) in problem
    assert len(problem.splitlines()) == 1
    assert dataclasses.replace(build, problems=()) == dataclasses.replace(
        GITHUB_PULL_REQUEST_BUILD, commit_sha=None, merge_sha=MERGE
    )


@pytest.mark.parametrize("name", ["missing.json", ".", "a\0b"])
def test_a_missing_event_file_is_said_and_the_next_source_is_asked(
    tmp_path: Path, name: str
) -> None:
    """A path that names no regular file is a notice, never an exception."""
    build = detect({**GITHUB, "GITHUB_EVENT_PATH": f"{tmp_path}/{name}"})
    assert len(build.problems) == 1
    assert dataclasses.replace(build, problems=()) == GITHUB_BUILD


def test_an_event_file_beyond_the_limit_is_not_parsed(tmp_path: Path) -> None:
    """GitHub sends at most 25 MB; more than 32 MiB is not read."""
    path = tmp_path / "event.json"
    with path.open("wb") as file:
        file.truncate(32 * 1024 * 1024 + 1)
    (problem,) = detect({**GITHUB, "GITHUB_EVENT_PATH": str(path)}).problems
    assert "more than 33554432 bytes" in problem


WRONG: list[object] = [None, True, 1, 1.5, "", " ", "text", [], [[]], {}, {"sha": []}, 10**30]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_wrong_types_deep_in_the_event_are_skipped(tmp_path: Path, wrong: object) -> None:
    """At any depth another type than the documented one is as if it were not there."""
    events: list[object] = [
        {"pull_request": wrong},
        {"pull_request": {"head": wrong}},
        {"pull_request": {"head": {"sha": wrong, "ref": [wrong]}}},
        {"workflow_run": {"pull_requests": wrong, "head_commit": {"author": wrong}}},
        {"head_commit": wrong},
    ]
    for event in events:
        build = detect(with_event(GITHUB_PULL_REQUEST, tmp_path, event))
        assert build == dataclasses.replace(
            GITHUB_PULL_REQUEST_BUILD, commit_sha=None, merge_sha=MERGE
        )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just(HEAD),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "pull_request",
                    "head",
                    "sha",
                    "ref",
                    "number",
                    "workflow_run",
                    "head_commit",
                    "pull_requests",
                    "author",
                    "name",
                    "message",
                    "merge_group",
                    "head_sha",
                ]
            ),
            inner,
        )
    ),
    max_leaves=30,
)


@settings(deadline=None)  # a slow disk is no fault
@given(event=JSON)
def test_no_event_raises_or_gives_a_wrong_kind_of_value(
    tmp_path_factory: pytest.TempPathFactory, event: object
) -> None:
    """The invariants of the rows hold whatever the event file says."""
    env = with_event(GITHUB_PULL_REQUEST, tmp_path_factory.getbasetemp(), event)
    assert_sound(detect(env))


# --- TeamCity's parameter files -------------------------------------------------------------------


def teamcity(path: Path, configuration: str) -> dict[str, str]:
    """An agent's environment, with its two files in Java's format."""
    parameters = path / "configuration.properties"
    parameters.write_text(configuration, encoding="latin-1")
    build = path / "build.properties"
    escaped = str(parameters).replace("\\", "\\\\").replace(":", "\\:")
    build.write_text(
        f"#TeamCity build properties\nteamcity.configuration.properties.file={escaped}\n"
        "teamcity.build.id=4711\nBUILD_NUMBER=1\n",
        encoding="latin-1",
    )
    return {
        "TEAMCITY_VERSION": "2024.12",
        "TEAMCITY_BUILDCONF_NAME": "Tests",
        "TEAMCITY_BUILD_PROPERTIES_FILE": str(build),
        "BUILD_NUMBER": "71",
        "BUILD_URL": "https://tc.example.com/viewLog.html?buildId=4711&buildTypeId=Repo_Tests",
        "BUILD_VCS_NUMBER": HEAD,
    }


TEAMCITY_BUILD = Build(
    service_name="teamcity",
    service_number="71",
    service_job_id="4711",
    service_branch="topic/y",
    service_build_url="https://tc.example.com/viewLog.html?buildId=4711",
    commit_sha=HEAD,
    repo_name="octocat/repo",
    job_name="Tests",
    remote_url="https://github.com/octocat/repo.git",
)
TEAMCITY_PARAMETERS = (
    "! a comment\n\nteamcity.serverUrl=https\\://tc.example.com\n"
    "vcsroot.url = https\\://user\\:s3cret@github.com/\\\n    octocat/repo.git\n"
    "vcsroot.branch: refs/heads/main\nno value\n\\\n"
)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ("teamcity.build.branch=topic/y", {}),
        ("teamcity.build.branch=t\\u006fpic/y", {}),
        ("teamcity.build.branch=<default>", {"service_branch": "main"}),
        (
            "teamcity.pullRequest.number=16\nteamcity.pullRequest.source.branch=topic/y",
            {"service_pull_request": "16"},
        ),
    ],
    ids=["branch", "escaped", "default", "pull request"],
)
def test_teamcity_tells_branch_and_pull_request_in_its_files(
    tmp_path: Path, parameters: str, expected: dict[str, str]
) -> None:
    """Its environment has neither; the files that it names have both."""
    env = teamcity(tmp_path, TEAMCITY_PARAMETERS + parameters)
    assert detect(env) == dataclasses.replace(TEAMCITY_BUILD, **expected)  # type: ignore[arg-type]


def test_teamcity_files_that_are_missing_are_said(tmp_path: Path) -> None:
    """Without the files the environment alone is asked."""
    env = {**CASES["teamcity"][0], "TEAMCITY_BUILD_PROPERTIES_FILE": str(tmp_path / "missing")}
    build = detect(env)
    assert build.problems == (
        f"the file {str(tmp_path / 'missing')!r} cannot be read: there is no such file",
    )
    assert dataclasses.replace(build, problems=()) == CASES["teamcity"][1]


# --- Invariants of all rows -----------------------------------------------------------------------

PLACEHOLDER = re.compile(r"\{([\w.]+)\??\}")
BY_NAME = {service.name: service for service in SERVICES}
TEXTS = [field.name for field in dataclasses.fields(Build) if field.name != "problems"]
LINKS = ["service_build_url", "service_job_url"]
# One job at a time, as far as their documentation says.
WITHOUT_NUMBER = {"surf"}
# A column filled from one and the same variable in all jobs would make them overwrite each other.
WITHOUT_JOB_ID = {"codeship", "google-cloud-build", "netlify", "vercel", "wercker", "surf"}


def columns(service: Service) -> dict[str, tuple[str | Cell, ...]]:
    """The columns of a row that hold templates."""
    skipped = ("name", "when", "source", "more", "ignored")
    names = [field.name for field in dataclasses.fields(service) if field.name not in skipped]
    return {name: getattr(service, name) for name in names}


def variables(*cells: str | Cell) -> list[str]:
    """The variables in some cells, in order."""
    templates = (cell.template if isinstance(cell, Cell) else cell for cell in cells)
    return [name for template in templates for name in PLACEHOLDER.findall(template)]


def run_by(service: Service) -> dict[str, str]:
    """The least environment in which the row is the first that runs."""
    conditions = service.when[0].split() if service.when else []
    pairs = (condition.partition("=") for condition in conditions)
    return {name: value or "true" for name, _, value in pairs}


def all_set(service: Service, value: str) -> dict[str, str]:
    """Every variable of the row, and of the generic one, has this value."""
    rows = (service, GENERIC)
    names = [name for row in rows for name in variables(*sum(columns(row).values(), ()))]
    return {name: value for name in names if name != "CI_NAME"} | run_by(service)


def assert_sound(build: Build) -> None:
    """What holds for every build, whatever the variables say."""
    values = {name: getattr(build, name) for name in TEXTS}
    for name, value in values.items():
        assert value is None or (isinstance(value, str) and value == value.strip() != ""), name
        assert name == "message" or value is None or len(value.splitlines()) == 1, name
        assert value is None or value.encode("utf-8"), name
    assert re.fullmatch(r"[0-9]+", build.service_pull_request or "1")
    assert re.fullmatch(r"(?=.*[1-9a-f])[0-9a-f]{7,64}", build.commit_sha or HEAD)
    assert re.fullmatch(r"(?=.*[1-9a-f])[0-9a-f]{7,64}", build.merge_sha or HEAD)
    assert None in (build.commit_sha, build.merge_sha)
    assert build.service_branch is None or not re.search(r"HEAD$|^refs/|\s", build.service_branch)
    for link in filter(None, (values[name] for name in LINKS)):
        assert re.fullmatch(r"https?://[^/\s@{}]+(/[^\s@{}]*)?", link)


@pytest.mark.parametrize("service", SERVICES, ids=lambda row: row.name)
class TestEveryRow:
    """What may be in any variable of any service."""

    def test_cites_its_source(self, service: Service) -> None:
        """A fact without a source cannot be checked."""
        assert re.search(r"https://|[\w-]+/[\w-]+: ", service.source)

    def test_is_detected_by_its_own_variables(self, service: Service) -> None:
        """The first row that runs wins, so no earlier row may take a later one's build."""
        name = None if service is GENERIC else service.name
        assert detect(run_by(service)).service_name == name

    def test_has_a_number_that_jobs_share_and_an_id_that_differs(self, service: Service) -> None:
        """Without the number a parallel build cannot be closed; with one id jobs overwrite."""
        assert bool(service.number) == (service.name not in WITHOUT_NUMBER)
        assert bool(service.job_id) == (service.name not in WITHOUT_JOB_ID)
        assert not set(map(str, service.number)) & set(map(str, service.job_id))

    @pytest.mark.parametrize("value", ["", " ", "\n", "\t \r\n"])
    def test_takes_blank_for_unset(self, service: Service, value: str) -> None:
        """An empty string must never be sent: it merges builds on the server."""
        assert detect(all_set(service, value)) == detect(run_by(service))

    @pytest.mark.parametrize("value", ["false", "False", "FALSE", " false\n", "0"])
    def test_takes_false_for_no_pull_request(self, service: Service, value: str) -> None:
        """Travis, Buildkite and Codeship say ``false``."""
        assert detect(all_set(service, value)).service_pull_request is None

    @pytest.mark.parametrize("value", ["HEAD", "refs/heads/HEAD", "origin/HEAD", " HEAD\n"])
    def test_takes_head_for_neither_branch_nor_commit(self, service: Service, value: str) -> None:
        """Buildkite's commit and a detached checkout's branch are called HEAD."""
        build = detect(all_set(service, value))
        assert (build.service_branch, build.commit_sha, build.merge_sha) == (None, None, None)

    @pytest.mark.parametrize("prefix", ["", "refs/heads/", "origin/", "refs/remotes/upstream/"])
    def test_strips_what_is_no_part_of_a_branch(self, service: Service, prefix: str) -> None:
        """Coveralls shows and compares the bare name."""
        env = all_set(service, "")
        for name in variables(*service.branch, *GENERIC.branch):
            env[name] = f"{prefix}topic/y"
        if service.name == "aws-codebuild":
            del env["CODEBUILD_WEBHOOK_TRIGGER"]
        assert detect(env).service_branch == "topic/y"

    @pytest.mark.parametrize(
        "value",
        [
            "refs/pull/7/merge",
            "7/merge",
            "7/head",
            "pull/7",
            "pull/7/head",
            "PR-24",
            "PR-24-head",
            "MR-3",
            "refs/merge-requests/7/head",
            "refs/tags/v1",
            "origin/pr/7/merge",
            HEAD,
            "refs/changes/1/2",
            "a b",
            "(no branch)",
            "a..b",
            "x:y z",
            "-x",
            "$(Build.X)",
        ],
    )
    def test_takes_no_other_ref_for_a_branch(self, service: Service, value: str) -> None:
        """The synthetic refs of pull requests would each be a branch of its own on Coveralls."""
        assert detect(all_set(service, value)).service_branch is None

    def test_takes_a_tag_ref_for_a_tag(self, service: Service) -> None:
        """Several services have one variable for branches and tags."""
        env = all_set(service, "")
        for name in variables(*service.branch, *GENERIC.branch):
            env[name] = "refs/tags/v1"
        assert detect(env).tag == "v1"

    @pytest.mark.parametrize("value", ["0" * 40, "main", "abcdef", "g" * 40, "a" * 65, "v1.2.3"])
    def test_takes_only_a_hash_for_a_commit(self, service: Service, value: str) -> None:
        """Forty zeros mean that there is none; a name is not a commit."""
        build = detect(all_set(service, value))
        assert (build.commit_sha, build.merge_sha) == (None, None)

    @pytest.mark.parametrize("value", ["release-2", "main", "refs/heads/release-2", HEAD])
    def test_takes_no_branch_for_a_pull_request(self, service: Service, value: str) -> None:
        """Only the variables of pull requests are read for their number."""
        env = all_set(service, "")
        for name in variables(*service.branch, *service.tag, *service.commit):
            env[name] = value
        assert detect(env).service_pull_request is None

    @pytest.mark.parametrize(
        "value",
        [
            "https://user:s3cret@host.example/owner/repo?token=s3cret#s3cret",
            "https://s3cret@host.example/owner/repo",
            "ssh://u:s3cret@host.example:22/owner/repo?s3cret",
            "https://user:s/3cret@host.example/s3cret",
            "https://user:4/s3cret@host.example/owner/repo",
            "HTTPS://u:s3cret@[::1/x",
            "see https://u:s3cret@host.example/x",
        ],
    )
    def test_leaks_no_secret_of_a_url(self, service: Service, value: str) -> None:
        """Userinfo, query and fragment of any variable are cut off, or it is skipped."""
        texts = variables(*service.message, *GENERIC.message)
        env = {**all_set(service, value), **dict.fromkeys(texts, "")}
        assert "s3cret" not in repr(detect(env))

    @pytest.mark.parametrize(
        "value", ["s3cret@host.example:owner/repo.git", "user:s3cret@host.example:owner/repo.git"]
    )
    def test_leaks_no_secret_of_a_remote(self, service: Service, value: str) -> None:
        """In ``user@host:path`` only the user ``git`` is known to be no secret."""
        names = variables(*service.remote_url, *service.repo_name, *GENERIC.remote_url)
        env = {**dict.fromkeys(names, value), **run_by(service)}
        assert "s3cret" not in repr(detect(env))

    def test_gives_no_half_filled_link(self, service: Service) -> None:
        """Without any one of its variables a link falls to the next template or to none."""
        for column in ("build_url", "job_url"):
            for cell in getattr(service, column):
                for missing in variables(cell):
                    env = {**all_set(service, "https://host.example"), missing: ""}
                    assert_sound(detect(env))
        assert detect(run_by(service)).service_build_url is None


ODD = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "false",
            "0",
            "HEAD",
            "refs/pull/7/merge",
            "PR-7",
            "release-2",
            HEAD,
            "0" * 40,
            "https://u:p@host/a/b?c#d",
            "git@host:a/b.git",
            "topic/y\n",
            "a\nb",
            "{X}",
            "%s",
            "\uff17",
            "http://",
            "https://[",
            "\udc80",
            "Jane <j@e.org>",
            "\x00",
            "\u2028",
            "detached",
        ]
    ),
    st.text(st.characters(codec=None, exclude_categories=[]), max_size=20),
)


@settings(deadline=None)
@given(st.sampled_from(SERVICES), st.data())
def test_no_values_raise_or_give_a_wrong_kind_of_value(
    service: Service, data: st.DataObject
) -> None:
    """Whatever is in the variables: no exception, no empty text, no half link, no second line."""
    names = sorted(all_set(service, ""))
    values = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys(names, ODD)))
    assert_sound(detect({**values, **run_by(service)}))


def test_names_are_unique_and_the_generic_row_is_last() -> None:
    """The first row that runs wins; the generic one runs always."""
    assert len(BY_NAME) == len(SERVICES)
    assert SERVICES[-1] is GENERIC
    assert [service.name for service in SERVICES if not service.when] == [GENERIC.name]


# --- What the generic variables add ---------------------------------------------------------------


def test_the_generic_variables_fill_what_the_row_does_not_say() -> None:
    """Each field on its own: a user may help where the service is silent."""
    env = {
        **CASES["circleci"][0],
        "CI_BRANCH": "topic/y",
        "GIT_AUTHOR_NAME": "Jane Doe",
        "GIT_ID": MERGE,
        "CI_NAME": "other",
        "CI_BUILD_NUMBER": "1",
    }
    assert detect(env) == dataclasses.replace(
        CASES["circleci"][1], service_branch="topic/y", author_name="Jane Doe"
    )


def test_git_variables_come_before_the_ci_variables() -> None:
    """Whoever sets both means the former for the commit."""
    env = {"CI_COMMIT_ID": MERGE, "GIT_ID": HEAD, "CI_BRANCH": "x", "GIT_BRANCH": "HEAD"}
    assert detect(env) == Build(commit_sha=HEAD, service_branch="x")


def test_jenkins_identity_for_new_commits_is_not_the_author() -> None:
    """The git plugin's GIT_AUTHOR_* and GIT_COMMITTER_* configure commits yet to be made."""
    build = detect({**JENKINS, "CI_AUTHOR_NAME": "Jane Doe"})
    assert (build.author_name, build.author_email, build.committer_name) == ("Jane Doe", None, None)


@pytest.mark.parametrize("case", ["jenkins ghprb", "jenkins gitlab plugin"])
def test_names_in_lower_case_are_found_on_windows(case: str) -> None:
    """There Python has the names of all variables in upper case."""
    env, build = CASES[case]
    assert detect({name.upper(): value for name, value in env.items()}) == build


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", "12"),
        ("#12", "12"),
        ("https://github.com/o/r/pull/12", "12"),
        ("https://github.com/o/r/pull/12/?x=3#issuecomment-4", "12"),
        ("/o/r/pull/12", "12"),
        (" 12\n", "12"),
        ("true", None),
        ("12/merge", None),
        ("", None),
        ("\u0661\u0662", None),
    ],
)
def test_a_pull_request_is_the_trailing_integer(text: str, number: str | None) -> None:
    """CI_PULL_REQUEST may be a number, a path or a URL."""
    assert detect({"CI_PULL_REQUEST": text}).service_pull_request == number


def test_a_url_in_place_of_a_number_is_skipped() -> None:
    """A number is a label of the build; the next source is asked."""
    env = {**TRAVIS, "TRAVIS_BUILD_NUMBER": "https://app.travis-ci.com/o/r/builds/4"}
    assert detect(env).service_number == "99"


def test_detect_leaves_its_argument_alone() -> None:
    """The snapshot of the environment is shared with other modules."""
    env = dict(GITHUB_PULL_REQUEST)
    detect(env)
    assert env == GITHUB_PULL_REQUEST
