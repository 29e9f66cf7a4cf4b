"""Judge a server's answer: accepted, or the reason and advice.

Each rule has an entry of its name in ``docs/messages.md``; a test holds them equal.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from json import loads  # by name: tests replace json.loads
from typing import Any
from urllib.parse import urlsplit

from .. import DOCUMENTATION
from ..secret import Secret, redact
from .sender import PROBLEM_LIMIT, TRACE_HEADERS, Answer

GITHUB_ACTIONS, GITHUB, TRAVIS = "github-actions", "github", "travis-ci"
# RFC 3986, without brackets outside of an IPv6 address.
URL = re.compile(
    r"https?://(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:\d+)?([/?#][\w.~:/?#@!$&'()*+,;=%-]{,1900})?", re.ASCII
)
SET_GITHUB_TOKEN = "GITHUB_TOKEN: ${{ github.token }}"  # noqa: S105
WRONG_TOKEN = r"Couldn't find a repository|could not find model|(?i:invalid (github|repo) token)"  # noqa: S105
NOT_ON_TRAVIS = "Travis API error|wasn't found on the repo"
OUTAGES = ("not-parsed", "processing-error", "cloudflare", "down", "no-answer")
UNAFFECTED = "your tests are not affected"
SUCCESS = range(200, 300)

Advice = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """Hold the facts that an explanation may need."""

    host: str
    service_number: str | None = None
    ci: str | None = None  # the service that was detected
    service_name: str | None = None  # in the job
    service_name_source: str | None = None  # None where it was detected
    has_github_token: bool = False
    token_source: str | None = None  # None without a token
    token_prefix: str = ""  # how GitHub's tokens start, if this one does
    may_use_github_token: bool = False
    ca_bundle: str | None = None  # the user's own, with its source
    secrets: tuple[Secret, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """Say whether an answer accepts, and if not, why."""

    accepted: bool
    reason: str = ""
    advice: Advice = ()
    anchor: str = ""  # of the entry in docs/messages.md
    url: str | None = None  # the page of the job or the build
    message: str = ""
    jobs: int | None = None  # of a build that was closed


def judge_job(answer: Answer, facts: RunFacts) -> Verdict:
    """Tell whether ``answer`` accepts a job, and if not, why."""
    doubt = "it may have been accepted anyway: look at {} before you send it again"
    return _judge(answer, facts, _job_rules, doubt)


def judge_webhook(answer: Answer, facts: RunFacts) -> Verdict:
    """Tell whether ``answer`` closes a build, and if not, why."""
    doubt = "it may be closed anyway: run `finish` again, closing twice does no harm"
    return _judge(answer, facts, _webhook_rules, doubt)


def token_mismatch(facts: RunFacts) -> str | None:
    """Return why service name and token do not fit together."""
    # With the name "github" Coveralls takes the token for GitHub's, with any other for its own.
    source = f" (from {facts.service_name_source})" if facts.service_name_source else ""
    name = f'service name "{facts.service_name}"{source}'
    token = f"the token (from {facts.token_source})"
    if facts.has_github_token and facts.service_name not in {None, GITHUB}:
        other = f'set "{GITHUB}", or ' if facts.ci == GITHUB_ACTIONS else ""
        own = f"{other}use the token from the repository's page"
        return f"{name} needs Coveralls' own token, but {token} is GitHub's: {own}"
    if facts.has_github_token and not facts.token_prefix:
        own = f"set {SET_GITHUB_TOKEN}, or put it into COVERALLS_REPO_TOKEN"
        return f"{token} does not look like GitHub's, perhaps it is Coveralls' own: {own}"
    if facts.service_name == GITHUB and facts.token_source and not facts.has_github_token:
        return f"{name} needs GitHub's token, but {token} is Coveralls' own: remove the name"
    if (facts.service_name or "").startswith("travis-") and facts.ci != TRAVIS:
        return f"{name} is for runs on Travis, where Coveralls looks for the job: remove the name"
    return None


@dataclass(frozen=True)
class _Refusal:
    """Hold an answer that does not accept, and its circumstances."""

    answer: Answer
    facts: RunFacts
    message: str
    is_object: bool
    status: int  # 422 for a success that is a refusal, 0 without an answer

    @property
    def server(self) -> str:
        parts = urlsplit(self.facts.host)
        return parts.netloc + parts.path

    @property
    def is_public(self) -> bool:
        return urlsplit(self.facts.host).hostname == "coveralls.io"

    @property
    def token(self) -> str:
        return f"the token from {self.facts.token_source}"

    def has(self, *statuses: int) -> bool:
        return self.status in statuses

    def says(self, pattern: str) -> bool:
        """Match the words of a 4xx, or the reason for no answer."""
        words = self.message or self.answer.problem
        return self.has(0, *range(400, 500)) and bool(re.search(pattern, words))


def _job_rules(it: _Refusal) -> Iterator[Advice]:
    # Each rule that matches yields its name and the advice; the first counts.
    yield from _repository_rules(it)
    if it.says(NOT_ON_TRAVIS):
        name = "COVERALLS_SERVICE_NAME: travis-pro"
        yield "unknown-to-travis", f"Travis did not return this job; if it is private, set {name}"
    if it.says("already closed"):
        build = f"build {it.facts.service_number or 'without a number'}"
        yield (
            "build-closed",
            f"{build} takes no more jobs: give each job of a matrix parallel = true,",
            "run `finish` after the last of them, and give a build that is run again a new number",
        )
    if it.says("must be unique"):
        advice = "copy it again, or start a new build, not a restart"
        yield "already-sent", f"this job was sent before, and {it.token} is wrong: {advice}"
    if it.says("(?i)failed to parse"):
        other = "it may not be a Coveralls server, or it needs include_source = true"
        advice = "send it again later" if it.is_public else other
        yield "not-parsed", f"{it.server} could not read the job, compressed or plain: {advice}"
    # OpenCov says "Server internal error", no matter why.
    if it.has(422) and not it.is_object and not it.is_public:
        advice = "set include_source = true, or look into the server's log"
        yield "source-missing", f"{it.server} may need the text of the files: {advice}"
    if it.has(413):
        advice = "keep compress on and include_source off, or measure fewer files"
        yield "too-large", f"the job is too large ({it.answer.size:,} bytes): {advice}"
    yield from _common_rules(it)


def _webhook_rules(it: _Refusal) -> Iterator[Advice]:
    yield from _repository_rules(it)
    if it.says("No build matching"):
        advice = f"no job was sent under the number {it.facts.service_number}: it must be"
        yield "no-such-build", advice, "the service number in the header of the test runs"
    if it.says("is closed|already done"):
        yield "closed-before", "the build was closed before"
    if it.says("no such path"):
        yield "no-finish", f"{it.server} cannot close builds; on OpenCov leave `finish` out"
    yield from _common_rules(it)


def _repository_rules(it: _Refusal) -> Iterator[Advice]:
    if it.says("(?i)repo was paused|^402"):
        owner = "its owner has to look at the subscription, or to ask support@coveralls.io"
        yield "paused", f"the repository is paused on {it.server}: {owner}"
    if it.says(f"{WRONG_TOKEN}|{NOT_ON_TRAVIS}") and (mismatch := token_mismatch(it.facts)):
        yield "token-mismatch", mismatch
    if it.says(WRONG_TOKEN):
        yield "wrong-token", *_wrong_token(it)


def _wrong_token(it: _Refusal) -> Advice:
    facts = it.facts
    if facts.has_github_token and facts.token_prefix != "ghs_":  # noqa: S105  a workflow's own
        return (
            f"{it.token} is a personal access token without access to the repository:",
            f"remove it and set {SET_GITHUB_TOKEN}, or use the token from the repository's page",
        )
    if facts.has_github_token:
        return (
            f"{it.token} gives no access to the repository on {it.server}: add the repository",
            f"there, set {SET_GITHUB_TOKEN} in this step, or use the token from its page;",
            "if it worked before, press Sync there, and look at https://www.githubstatus.com",
        )
    wrong = f"does not belong to a repository on {it.server}:"
    moved = "if the repository was renamed or moved, press Sync in its settings"
    if facts.ci == GITHUB_ACTIONS and facts.may_use_github_token and it.is_public:
        return (
            f"the token {wrong} copy it again from the repository's page, or",
            f'use GITHUB_TOKEN with service name "{GITHUB}"',
            f"(a personal API token does not work; {moved})",
        )
    return (
        f"{it.token} {wrong} it must be the repository's own, from its page",
        f"(not a personal API token), and the repository must be switched on there; {moved}",
    )


def _common_rules(it: _Refusal) -> Iterator[Advice]:
    if "processing error" in it.message:
        yield "processing-error", f"{it.server} had trouble with this job; {UNAFFECTED}"
    if it.has(407) or (it.answer.proxy and it.says("(?i)proxy|SOCKS")):
        variable = f"the variable of {it.answer.proxy or 'the proxy'}"
        without = f"add {urlsplit(it.facts.host).hostname} to NO_PROXY"
        yield "proxy", f"check {variable}: http://USER:PASSWORD@HOST:PORT, or {without}"
    yield from _fault_rules(it) if it.has(0) else _status_rules(it)


def _status_rules(it: _Refusal) -> Iterator[Advice]:
    headers = it.answer.headers
    if "cf-mitigated" in headers or (it.has(403) and "cf-ray" in headers and not it.is_object):
        advice = "blocked the request, the token is not the cause: send it again later"
        yield "cloudflare", f"Cloudflare, in front of {it.server}, {advice}"
    if it.has(*range(520, 531)):
        yield "cloudflare", f"Cloudflare cannot reach {it.server}; {UNAFFECTED}"
    if it.has(*range(300, 400)):
        advice = f"this one points to {headers['location']}: set host to Coveralls' own address"
        yield "redirect", f"redirects are not followed, or the token would go along; {advice}"
    if it.has(401, 403) or (it.has(400) and not it.is_object):
        yield "request-refused", f"{it.server} or something in front of it refused the request"
    if it.has(404):
        advice = "send it again later" if it.is_public else "check host"
        yield "wrong-host", f"{it.server} has no Coveralls interface at {it.facts.host}: {advice}"
    if it.has(*SUCCESS) and not it.answer.ambiguous:
        advice = f"host is wrong, or a login page or proxy is in front of {it.server}"
        yield "wrong-host", f"this answer is not from Coveralls: {advice}"
    if it.has(405):
        yield "down", f"{it.server} is down for maintenance; {UNAFFECTED}"
    if it.has(408, 429, *range(500, 600)) or it.answer.ambiguous:
        yield "down", f"{it.server} is overloaded or down; {UNAFFECTED}"


def _fault_rules(it: _Refusal) -> Iterator[Advice]:
    if it.says("certificate.*(expired|not yet valid)"):
        yield "certificate", f"check this machine's clock, then the certificate of {it.server}"
    if it.says("certificate.*(mismatch|not valid for|doesn't match)"):
        yield "certificate", "another server answers under this name: check host and proxy"
    if it.says("certificate"):
        bundle = it.facts.ca_bundle or "a PEM file, and set ca_bundle to it"
        yield "certificate", f"add the authority that signed it to {bundle}"
    if it.says("no secure"):
        advice = "or none of the versions that this Python does: check host"
        yield "no-tls", f"{it.server} does not speak TLS on that port, {advice}"
    if it.says("host name|refused|no connection|not HTTP"):
        yield "no-connection", "check host, network and proxy variables"
    if it.says("no answer|no result|reset|closed|connection failed|handed over"):
        yield "no-answer", f"{it.server} is overloaded or down; {UNAFFECTED}"


def _judge(
    answer: Answer, facts: RunFacts, rules: Callable[[_Refusal], Iterator[Advice]], doubt: str
) -> Verdict:
    said: Any = None
    with suppress(ValueError, RecursionError):
        said = loads(answer.text)
    # What was cut before could still show most letters of a secret.
    message = redact(_server_words(said), facts.secrets)[:PROBLEM_LIMIT]
    status, is_object = answer.status or 0, isinstance(said, dict)
    if status in SUCCESS and is_object:
        if not said.get("error"):
            url, jobs = said.get("url"), said.get("jobs")
            if not isinstance(url, str) or not URL.fullmatch(url):
                url = None
            return Verdict(True, url=url, message=message, jobs=jobs if type(jobs) is int else None)
        status = 422
    elif status in SUCCESS and not answer.ambiguous:
        message = "with no JSON object in the answer"
    refusal = _Refusal(answer, facts, message, is_object, status)
    anchor, *advice = next(rules(refusal), ("",))
    if anchor in OUTAGES and refusal.is_public:
        advice.append("is it down for everybody? https://status.coveralls.io")
    if answer.ambiguous:
        advice.append(doubt.format(refusal.server))
    if anchor and DOCUMENTATION:
        advice.append(f"more about this: {DOCUMENTATION}/messages.md#{anchor}")
    reason = _reason_with_trace(answer, message)
    return Verdict(False, reason, tuple(advice), anchor, message=message)


def _server_words(said: Any) -> str:
    """Return the server's words, but never HTML."""
    texts = (said.get("message"), said.get("error")) if isinstance(said, dict) else (said,)
    for text in texts:
        # Ruby's #<Class ...> is not HTML.
        if isinstance(text, str) and text.strip() and not re.search("(?<!#)<[a-zA-Z!/]", text):
            return " ".join(text.split())
    return ""


def _reason_with_trace(answer: Answer, message: str) -> str:
    last = f"{answer.status} {message}" if message else answer.problem
    if answer.attempts > 1:
        last = f"{answer.attempts} attempts in {answer.seconds:.0f} s, the last: {last}"
    for name in TRACE_HEADERS:
        if answer.headers.get(name):
            return f"{last} (trace {name} {answer.headers[name][:80]})"
    return last
