import re
p='/tmp/w/B/tests/identity/test_gitlab.py'
s=open(p).read()
def part(start,end):
    i=s.index(start); return s[i:s.index(end,i)]
def test(name):
    i=s.index(f'def {name}('); i=s.rindex('\n\n\n',0,i)+3
    j=s.index('\n\n\n',i) if '\n\n\n' in s[i:] else len(s)
    return s[i:j].rstrip()+'\n\n\n'
head=s[:s.index('def v4(')]
head=head.replace('    PRIVATE_TOKEN,\n','    PRIVATE_TOKEN,\n',1).replace('    PROJECT_PATH,\n','    PROJECT_PATH,\n')
head=head.replace('from pytest_coveralls_submit.identity.gitlab import CommitsV1, CommitsV4\n','').replace('    OLDER_PATHS,\n','    OLDER_PATHS,\n').replace('import time\n','')
envs=part('def job_environment(','def a_push(')
server=part('@pytest.fixture\ndef server','# --- v4: one commit')
out=head+envs+'''def announce(env: dict[str, str], token: str = PRIVATE_TOKEN, **options: Any) -> str:
    """Announce `COMMIT` with 96.3125%."""
    wanted = {"ask": ask, "coverage": 96.3125, "url": "https://coveralls.io/jobs/1", "ref": BRANCH}
    return gitlab.announce(env, Secret(token), head=COMMIT, **{**wanted, **options})


'''+server+'''# --- who wrote the commit --------------------------------------------------------------------


@pytest.mark.parametrize("project", [str(PROJECT_ID), PROJECT_PATH])
def test_the_job_token_finds_out_who_wrote_the_commit(server: GitLab, project: str) -> None:
    """Rule: one request; the token is in its header; a project is a number or an escaped path."""
    assert gitlab.fill(SHA.upper(), job_environment(server, CI_PROJECT_ID=project), ask) == COMMIT
    (asked,) = server.requests
    assert asked.headers["JOB-TOKEN"] == JOB_TOKEN
    assert JOB_TOKEN not in asked.target
    assert PROJECT_PATH not in asked.path


def test_fields_that_are_no_text_are_left_out_and_long_ones_cut(server: GitLab) -> None:
    """Rule: a commit may miss all but its id; half a character does no harm."""
    odd: dict[str, object] = {
        "author_name": 1,
        "author_email": None,
        "committer_name": " ",
        "committer_email": "a" * 5000,
    }
    server.respond(200, a_commit(0xC0FFEE, **odd, message="\\ud83c"))

    assert gitlab.fill(SHA, job_environment(server), ask) == Commit(
        id=SHA, committer_email="a" * 1024, message="?"
    )


@pytest.mark.parametrize(
    "variables",
    [
        {"CI_JOB_TOKEN": "wrong"},
        {"CI_PROJECT_ID": "8"},
        {"CI_API_V4_URL": "http://127.0.0.1:1/api/v4"},
    ],
)
def test_a_refused_question_leaves_the_author_unknown(
    server: GitLab, variables: dict[str, str]
) -> None:
    """Rule: 401, 404 and a closed port are no failures."""
    assert gitlab.fill(SHA, {**job_environment(server), **variables}, ask) is None


@pytest.mark.parametrize(
    "body", [PAGE, {}, [1], [a_commit(1)], "null", "[" * 60_000, {"id": "main"}, a_commit(5)]
)
def test_nonsense_leaves_the_author_unknown(server: GitLab, body: object) -> None:
    """Rule: nor are a log-in page, wrong shapes and another commit."""
    server.respond(200, body)

    assert gitlab.fill(SHA, job_environment(server), ask) is None


def test_silence_leaves_the_author_unknown() -> None:
    """Rule: the deadline of the request is the end of it."""
    with Faulty("hang") as silent:
        env = {
            "CI_API_V4_URL": f"http://127.0.0.1:{silent.port}/api/v4",
            "CI_PROJECT_ID": "7",
            "CI_JOB_TOKEN": JOB_TOKEN,
        }
        assert gitlab.fill(SHA, env, ask_briefly) is None


'''+test('test_a_request_that_cannot_be_made_leaves_the_author_unknown')+test('test_nobody_is_asked_where_something_is_missing')+test('test_nobody_is_asked_for_what_is_no_commit')+'''# --- the commit gets a status ----------------------------------------------------------------


'''+test('test_an_accepted_job_gives_the_commit_a_status').replace('''    (asked,) = server.requests
''','''    (asked,) = server.requests
    assert asked.headers["PRIVATE-TOKEN"] == PRIVATE_TOKEN
    assert PRIVATE_TOKEN not in asked.target
''')+test('test_a_status_of_another_commit_than_the_pipelines_names_the_branch')+'''def test_what_is_too_long_for_a_status_is_left_out(server: GitLab) -> None:
    """Rule: a status without link is better than none; GitLab takes 255 characters."""
    announce(job_environment(server), url="https://coveralls.io/" + "x" * 255, name="n" * 300)

    (status,) = server.statuses
    assert status["target_url"] is None
    assert status["name"] == "n" * 255


def test_coverage_that_is_no_number_is_left_out(server: GitLab) -> None:
    """Rule: JSON has no word for it."""
    announce(job_environment(server), coverage=float("nan"))

    assert "coverage" not in server.requests[0].parameters


'''+part('@pytest.mark.parametrize(\n    ("status", "body", "texts")','@pytest.mark.parametrize(\n    "body", [PAGE, []')
out=out.replace('        v4(server).set_status(SHA)\n','        announce(job_environment(server))\n')
i=out.rindex('# --- what no form'); out=out[:i]
out+='''@pytest.mark.parametrize("body", [PAGE, [], "7", "null", "[" * 60_000])
def test_what_is_no_status_is_an_error(server: GitLab, body: object) -> None:
    """Rule: a page, a list, a number or nothing came from somebody else."""
    server.respond(200, body)

    with pytest.raises(GitLabError, match="not the documented JSON; check that the addr") as error:
        announce(job_environment(server))
    assert "html" not in refusal(error)


def test_an_answer_that_is_too_long_to_be_read_is_named_as_such(server: GitLab) -> None:
    """Rule: an answer that was cut is not called broken."""
    server.respond(200, {"name": "x" * BODY_LIMIT})

    with pytest.raises(GitLabError, match="longer than 64 KiB"):
        announce(job_environment(server))


'''
a=part('@pytest.mark.parametrize(\n    "address",','# --- (a): who')
a=a.replace('''    secret = Secret(PRIVATE_TOKEN)
    with pytest.raises(GitLabError, match="CI_API_V4_URL cannot be used") as error:
        CommitsV4(base=address, project="7", header="PRIVATE-TOKEN", token=secret, ask=never_asked)
    assert "secret" not in str(error.value)
    with pytest.raises(GitLabError, match="CI_SERVER_URL cannot be used"):
        CommitsV1(base=address, project_id="7", token=secret, ask=never_asked)
''','''    for variable in ("CI_API_V4_URL", "CI_SERVER_URL"):
        env = {variable: address, "CI_PROJECT_ID": "7"}
        with pytest.raises(GitLabError, match=f"{variable} cannot be used") as error:
            announce(env, ask=never_asked)
        assert "secret" not in str(error.value)
''')
i=a.index('    token = Secret(PRIVATE_TOKEN)\n    CommitsV4('); j=a.index('\n\n\n',i)
a=a[:i]+'''    env = {"CI_API_V4_URL": address, "CI_PROJECT_ID": "7"}

    with pytest.raises(GitLabError, match="nobody is there"):
        announce(env, ask=lambda *_: Answer(problem="nobody is there"))'''+a[j:]
a=a.replace('        v4(server, token=token, ask=never_asked)\n','        announce(job_environment(server), token, ask=never_asked)\n')
out+=a
out+=test('test_a_job_token_cannot_set_a_status')+test('test_outside_of_gitlab_nothing_can_be_announced')
out+=test('test_silence_is_an_error_when_something_was_to_be_announced')
out+='''# --- the older CI API ------------------------------------------------------------------------


'''
out+=test('test_an_older_gitlab_is_told_of_the_commit').replace('def test_an_older_gitlab_is_told_of_the_commit(server: GitLab)','def test_an_older_gitlab_is_told_of_the_commit(server: GitLab, path: str)').replace('    """Rule: author and message go along; without CI_API_V4_URL the older form is used."""\n','    """Rule: once, with author and message; a path that is a page is not the API\'s."""\n    server.older_paths = {path}\n')
out=out.replace('def test_an_older_gitlab_is_told','@pytest.mark.parametrize("path", OLDER_PATHS)\ndef test_an_older_gitlab_is_told')
out=out.replace('''    assert commit["git_commit_message"] == COMMIT.message
''','''    assert commit["git_commit_message"] == COMMIT.message
    assert len(commit["builds"]) == 1
    (posted,) = (asked for asked in server.requests if asked.method == "POST")
    assert posted.query == {}
    assert posted.parameters["project_token"] == PROJECT_TOKEN
''')
out+='''def test_the_older_list_is_searched_over_all_pages(server: GitLab) -> None:
    """Rule: there are no headers; the first page without a commit ends the list."""
    for number in range(1, 42):
        server.announce(a_sha(number))

    assert announce(older_environment(server), PROJECT_TOKEN).endswith("was announced")
    pages = [asked.query["page"] for asked in server.requests if asked.method == "GET"]
    assert pages == ["1", "2", "3", "4"]


def test_too_long_a_list_announces_nothing(server: GitLab) -> None:
    """Rule: where it cannot be told whether GitLab knows the commit, it is left alone."""
    for number in range(1, gitlab.LIMIT + 2):
        server.announce(a_sha(number))

    with pytest.raises(GitLabError, match="lists more than 1000 commits"):
        announce(older_environment(server), PROJECT_TOKEN)
    assert {asked.method for asked in server.requests} == {"GET"}


@pytest.mark.parametrize("body", [PAGE, {}, [7], [[]], [{"sha": None}], [None]])
def test_what_is_no_list_of_commits_is_an_error(server: GitLab, body: object) -> None:
    """Rule: an array, and a commit in each place."""
    server.respond(200, body)

    with pytest.raises(GitLabError, match=r"not the documented JSON|else than a commit"):
        announce(older_environment(server), PROJECT_TOKEN)


@pytest.mark.parametrize(
    ("project", "token", "texts"),
    [
        (PROJECT_ID, "wrong", ("403 Forbidden", "COVERALLS_GITLAB_TOKEN")),
        (8, PROJECT_TOKEN, ("404", "CI_PROJECT_ID")),
    ],
)
def test_the_older_api_says_why_it_refuses(
    server: GitLab, project: int, token: str, texts: tuple[str, ...]
) -> None:
    """Rule: 404 in JSON is about the project, so no other path is tried."""
    with pytest.raises(GitLabError) as error:
        announce(older_environment(server, CI_PROJECT_ID=str(project)), token)
    assert all(text in refusal(error) for text in texts)
    assert len(server.requests) == 1


def test_an_unreachable_older_api_does_not_show_the_token() -> None:
    """Rule: the URL has the token in it, and is not repeated."""
    env = {"CI_SERVER_URL": "http://127.0.0.1:1", "CI_PROJECT_ID": "7"}

    def echo(call: Call, body: bytes) -> Answer:
        return Answer(problem=f"InvalidURL: {call.url}")

    for asked in (ask, echo):
        with pytest.raises(GitLabError, match="did not list the commits") as error:
            announce({**env, "CI_BUILD_REF_NAME": BRANCH}, PROJECT_TOKEN, ask=asked)
        refusal(error)


'''
i=s.index('@pytest.mark.parametrize(\n    ("variables", "ref"),')
out+=s[i:s.index('\n\n\n',i)]+'\n\n\n'+test('test_a_commit_of_no_known_branch_is_not_announced')
out=out.rstrip()+'\n'
i=out.index('# The older API knows no committer.'); j=out.index('PAGE = "<html>')
out=out[:i]+out[j:]
open(p,'w').write(out)

# the stand-in
p='/tmp/w/B/tests/support/gitlab_standin.py'
s=open(p).read()
def cut(start,end,new=''):
    global s
    i=s.index(start); j=s.index(end,i); s=s[:i]+new+s[j:]
cut('    def _list(self','    def _set_status')
s=s.replace('        return self._list(asked)\n','        raise _RefusedError(405, {"message": "405 Method Not Allowed"})\n')
s=s.replace('        link_server: put into Link headers in place of this server\'s address.\n        links: whether there are Link headers.\n','')
s=s.replace('        self.link_server: str | None = None\n        self.links = True\n','')
s=s.replace('from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit','from urllib.parse import parse_qsl, unquote, urlsplit')
cut('    def _older_list','    def _older_create','''    def _older_list(self, asked: Asked) -> Response:
        _check_project(asked, "project_id", "project_token")
        page, per_page = (int(asked.query.get(name, first)) for name, first in _PAGE)
        return _json(200, self.announced[(page - 1) * per_page : page * per_page])

''')
cut('def _page_of','def _json')
s=s.replace('Json: TypeAlias','_PAGE = (("page", "1"), ("per_page", "20"))\n\nJson: TypeAlias')
s=s.replace('        commit = known or self.announce(push)\n','        commit = known or self.announce(sha, push)\n')
cut('    def announce(self','        entry: Json','''    def announce(self, sha: str, push: Json | None = None) -> Json:
        """Take in a commit; what git says about it comes from the push's entry with its id."""
        push = push or {"ref": f"refs/heads/{BRANCH}"}
        entries = (entry for entry in push.get("commits", ()) if entry["id"] == sha)
''')
s=s.replace('''    def respond(self, status: int, body: object, headers: Mapping[str, str] | None = None) -> None:''','''    def respond(self, status: int, body: object) -> None:''').replace('        response.headers.extend(dict(headers or {}))\n','').replace('from collections.abc import Mapping\n','')
open(p,'w').write(s)
