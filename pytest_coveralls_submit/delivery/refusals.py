"""The refusals: a row each, with what it means and what to do.

Each cites the public thread that it was seen in (cpub is lemurheavy/coveralls-public) or the
documentation it follows.
"""

from __future__ import annotations

from .case import GITHUB_TOKEN, Row

UNAFFECTED = "your tests are not affected"
DOWN = f"{{it.server}} is overloaded or down; {UNAFFECTED}"
STATUS_PAGE = "whether it is down for everybody: https://status.coveralls.io"
DOUBT = "it may have been accepted all the same: look at {it.server} before you repeat it"
CLOSE_AGAIN = "it may be closed all the same: run `finish` again, closing twice does no harm"
REFUSED = range(400, 500)
_NO_REPOSITORY = "Couldn't find a repository"
_MOVED = (
    "where it worked before (repository renamed, moved or with a new owner): press Sync in its "
    "settings on {it.server}"
)
_SET_GITHUB_TOKEN = "GITHUB_TOKEN: ${{{{ github.token }}}}"  # noqa: S105  two braces for format()
PAUSED = Row(
    statuses=REFUSED,
    pattern=r"(?i)repo was paused|^402\b",
    advice=(
        "the repository is paused on {it.server}: its owner has to look at the subscription there,",
        "or to ask support@coveralls.io; the token and the job are not the cause",
    ),
    seen="cpub#1802",
)
MISFIT = Row(
    statuses=REFUSED,
    pattern=rf"{_NO_REPOSITORY}|Travis|wasn't found on the repo",
    when=lambda case: bool(case.misfit),
    advice=("{it.misfit}",),
    seen="cpub#1515, #1710, #1291, coveralls-python#252",
)
AFTER_DOUBT = Row(
    statuses=REFUSED,
    pattern=r"already closed|must be unique",
    when=lambda case: case.answer.ambiguous and case.answer.attempts > 1,
    advice=("an attempt before this one may have arrived, and be the reason",),
    seen="cpub#1583, mattn/goveralls#42",
)
PERSONAL_TOKEN_OPENS_NOTHING = Row(
    statuses=REFUSED,
    pattern=_NO_REPOSITORY,
    when=lambda case: case.on_github and case.facts.token_prefix not in {"", "ghs_"},
    advice=(
        "{it.token} is a person's on GitHub, which does not open {it.repo_name} on {it.server}:",
        f"take it away and set {_SET_GITHUB_TOKEN}, or the token from the repository's page",
    ),
    seen="coverallsapp/github-action#14",
)
GITHUB_TOKEN_OPENS_NOTHING = Row(
    statuses=REFUSED,
    pattern=_NO_REPOSITORY,
    when=lambda case: case.facts.token_kind == GITHUB_TOKEN,
    advice=(
        (
            "the GitHub token does not open {it.repo_name} on {it.server}: add the repository "
            "there, or"
        ),
        "set COVERALLS_REPO_TOKEN to the token from the repository's page",
        _MOVED,
        "where it worked an hour ago, GitHub may be down: https://www.githubstatus.com",
    ),
    seen="cpub#1710, #1721, coverallsapp/github-action#51",
)
TOKEN_OPENS_NOTHING_ON_GITHUB = Row(
    statuses=REFUSED,
    pattern=_NO_REPOSITORY,
    when=lambda case: case.on_github and case.facts.may_use_github_token,
    advice=(
        (
            "the token does not belong to a repository on {it.server}: copy it again from the "
            "repository's page, or"
        ),
        'use GITHUB_TOKEN with service name "github"',
        f"({_SET_GITHUB_TOKEN}, and {{it.token}} taken away; a personal API token opens nothing)",
        _MOVED,
    ),
    seen="cpub#465, #1264, #835, #1567, coveralls-python#219",
)
TOKEN_OPENS_NOTHING_ON_TRAVIS = Row(
    statuses=REFUSED,
    pattern=_NO_REPOSITORY,
    when=lambda case: case.facts.ci == "travis-ci",
    advice=(
        (
            "{it.token} does not belong to a repository on {it.server}: it must be the "
            "repository's own, from its page"
        ),
        "(not a personal API token), and the repository switched on there; a private one has",
        "COVERALLS_SERVICE_NAME: travis-pro, a public one has not",
        _MOVED,
    ),
    seen="cpub#632, #871, mattn/goveralls#39",
)
TOKEN_OPENS_NOTHING = Row(
    statuses=REFUSED,
    pattern=_NO_REPOSITORY,
    advice=(
        (
            "{it.token} does not belong to a repository on {it.server}: it must be the "
            "repository's own, from its page"
        ),
        "(not a personal API token), and the repository switched on there",
        _MOVED,
    ),
    seen="cpub#1264, #614, #835, #899",
)
_REPOSITORY = (
    PAUSED,
    PERSONAL_TOKEN_OPENS_NOTHING,
    GITHUB_TOKEN_OPENS_NOTHING,
    TOKEN_OPENS_NOTHING_ON_GITHUB,
    TOKEN_OPENS_NOTHING_ON_TRAVIS,
    TOKEN_OPENS_NOTHING,
)
_NEW_NUMBER = (
    "a run that is started again needs a new number, the same for the jobs and `finish`:",
    "COVERALLS_SERVICE_NUMBER: ${{{{ github.run_id }}}}-${{{{ github.run_attempt }}}}",
)
JOB_ROWS = (
    MISFIT,  # the webhook is told no service name
    AFTER_DOUBT,
    *_REPOSITORY,
    Row(
        statuses=REFUSED,
        pattern=r"Travis API|wasn't found on the repo",
        advice=(
            "{it.server} asked Travis for this job, and was told of none, as of private ones:",
            "COVERALLS_SERVICE_NAME: travis-pro, and the token from the repository's page",
        ),
        seen="cpub#1711, nickmerwin/node-coveralls#273",
    ),
    Row(
        statuses=REFUSED,
        pattern=r"already closed",
        when=lambda case: case.on_github and case.number.isdigit(),
        advice=(
            "build {it.number} takes no more jobs: {it.closing},",
            "run `finish` after the last of them",
            *_NEW_NUMBER,
        ),
        seen="cpub#1716, stacks-network/stacks-core#7157",
    ),
    Row(
        statuses=REFUSED,
        pattern=r"already closed",
        advice=(
            "build {it.number} takes no more jobs: {it.closing},",
            "run `finish` after the last of them, and give a build that is run again a new number",
        ),
        seen="cpub#1716",
    ),
    Row(
        statuses=REFUSED,
        pattern=r"must be unique",
        advice=(
            "this Travis job was sent before, and {it.token} was not taken for the repository's:",
            "copy it again from the repository's page, or start a new build in place of a restart",
        ),
        seen="cpub#1477, opengovsg/FormSG#228",
    ),
    Row(
        statuses=REFUSED,
        pattern=r"(?i)failed to parse",
        when=lambda case: case.is_public,
        advice=(
            "{it.server} could not read the job, compressed or plain: send it again later;",
            "if it stays so, send support the job and the trace id",
        ),
        is_outage=True,
        seen="cpub#16, #1314",
    ),
    Row(
        statuses=REFUSED,
        pattern=r"(?i)failed to parse",
        advice=(
            (
                "the server could not read the job, compressed or plain: {it.server} may be no "
                "Coveralls server,"
            ),
            "or one that needs include_source = true",
        ),
        seen="https://docs.coveralls.io/api-jobs-endpoint",
    ),
    Row(
        statuses=(413,),
        advice=(
            (
                "the job is too large for {it.server} ({it.size} bytes): keep compress on and "
                "include_source off, or measure fewer files"
            ),
        ),
        seen="cpub#473, #1071",
    ),
)
_NOT_TAKEN = r"(?i)invalid (github|repo) token"
WEBHOOK_ROWS = (
    *_REPOSITORY,
    Row(
        statuses=REFUSED,
        pattern=_NOT_TAKEN,
        when=lambda case: bool(case.misfit),
        advice=("{it.misfit}",),
        seen="coveralls-python#248, cpub#1750",
    ),
    Row(
        statuses=REFUSED,
        pattern=_NOT_TAKEN,
        when=lambda case: case.facts.token_kind == GITHUB_TOKEN,
        advice=(
            (
                "{it.server} did not take {it.token}, which ends with its job and opens its own "
                "repository alone:"
            ),
            f"set {_SET_GITHUB_TOKEN} in the step of `finish`",
        ),
        seen="usc-isi-i2/kgtk#539",
    ),
    Row(
        statuses=REFUSED,
        pattern=_NOT_TAKEN,
        advice=(
            "{it.token} is not the repository's: copy it again from its page,",
            "it is the one that the jobs are sent with",
        ),
        seen="cpub#1461, #1767",
    ),
    Row(
        statuses=REFUSED,
        pattern=r"No build matching",
        advice=(
            (
                "no job was sent under the number {it.number}: it must be the service number of "
                "the jobs,"
            ),
            "which the header of each test run shows",
        ),
        seen="coveralls-python#234, #383, coverallsapp/github-action#49",
    ),
    Row(
        statuses=REFUSED,
        pattern=r"closed|done",
        when=lambda case: case.on_github and case.number.isdigit(),
        advice=("the build was closed before", *_NEW_NUMBER),
        seen="cpub#1716",
    ),
    Row(
        statuses=REFUSED,
        pattern=r"closed|done",
        advice=("the build was closed before",),
        seen="cpub#1716",
    ),
)
_WRITTEN = "http://USER:PASSWORD@HOST:PORT, special letters of the password as %XX"
COMMON_ROWS = (
    Row(
        statuses=range(400, 600),
        pattern=r"processing error",
        advice=(
            f"{{it.server}} had trouble with this job; {UNAFFECTED}",
            "if it stays so, send support the job and the trace id",
        ),
        is_outage=True,
        seen="cpub#1496, #487, #61",
    ),
    Row(
        statuses=range(300, 400),
        advice=(
            (
                "redirects are not followed, the token would go along; this one points to "
                "{it.location}:"
            ),
            "set host to where Coveralls is",
        ),
        seen="coverage-reporter, api/jobs.cr, which follows them",
    ),
    Row(
        statuses=(403, 429, 503),
        when=lambda case: (
            (case.answer.status == 403 and case.is_challenge)  # noqa: PLR2004
            or "cf-mitigated" in case.answer.headers
        ),
        advice=(
            (
                "Cloudflare, in front of {it.server}, did not let the request through: the token "
                "is not the cause;"
            ),
            "send it again later, or send support the trace id",
        ),
        is_outage=True,
        seen="https://developers.cloudflare.com/cloudflare-challenges/ (detect a challenge)",
    ),
    Row(
        statuses=(401, 403),
        advice=("{it.server} or something in front of it refused the request",),
        seen="cpub#1681",
    ),
    Row(
        statuses=(400,),
        when=lambda case: case.is_page,
        advice=(
            "{it.server} or something on the way could not read the request: send it again later;",
            "if it stays so, send support the trace id",
        ),
        is_outage=True,
        seen="cpub#1658, coverallsapp/coveralls.net#110",
    ),
    Row(
        statuses=(404,),
        when=lambda case: case.is_public and "/" not in case.server,
        advice=("{it.server} did not find its own interface: send it again later",),
        is_outage=True,
        seen="coverallsapp/github-action#49",
    ),
    Row(
        statuses=(404,),
        advice=("{it.server} has no Coveralls interface at {it.facts.host}: check host",),
        seen="https://docs.coveralls.io/api-jobs-endpoint",
    ),
    Row(
        statuses=(405,),
        advice=(f"{{it.server}} is down for maintenance; {UNAFFECTED}",),
        is_outage=True,
        seen="mattn/goveralls#204",
    ),
    Row(
        statuses=(407,),
        advice=("put user and password into the variable of {it.proxy}: http://USER:PASSWORD@...",),
        seen="kivy/kivy#6873",
    ),
    Row(
        statuses=(429,),
        advice=(f"{{it.server}} takes no more for now; {UNAFFECTED}",),
        is_outage=True,
        seen="cpub#1583",
    ),
    Row(
        statuses=range(520, 531),
        advice=(f"Cloudflare does not reach {{it.server}} behind it; {UNAFFECTED}",),
        is_outage=True,
        seen="rgerum/saenopy#87, cpub#1821",
    ),
    Row(
        statuses=(408, *range(500, 600)),
        advice=(DOWN,),
        is_outage=True,
        seen="cpub#1582, #1583",
    ),
    Row(
        statuses=range(200, 300),
        pattern=r"no JSON",
        when=lambda case: case.is_public,
        advice=(
            "this is no answer of {it.server}'s: a log-in page or a proxy stands between,",
            "or send it again later",
        ),
        is_outage=True,
        seen="z4r/python-coveralls#32",
    ),
    Row(
        statuses=range(200, 300),
        pattern=r"no JSON",
        advice=("{it.server} may be no Coveralls server, or a log-in page stands in front of it",),
        seen="cpub#1681",
    ),
    Row(
        pattern=r"^the proxy asks",
        advice=("put user and password into the variable of {it.proxy}: http://USER:PASSWORD@...",),
        seen="kivy/kivy#6873",
    ),
    Row(
        pattern=r"^the proxy did not take",
        advice=(
            (
                "{it.proxy} wants others than the variable has, or another way than Basic: "
                f"{_WRITTEN}"
            ),
        ),
        seen="postmanlabs/postman-app-support#9116",
    ),
    Row(
        pattern=r"^the address of the proxy",
        advice=(f"write the variable of {{it.proxy}} as {_WRITTEN}",),
        seen="psf/requests#2703, pypa/pip#6555",
    ),
    Row(
        pattern=r"^the proxy speaks SOCKS",
        advice=("pip install requests[socks], or set an http:// proxy in place of {it.proxy}",),
        seen="psf/requests#3516, pypa/virtualenv#1040",
    ),
    Row(
        pattern=r"^the proxy speaks no TLS",
        advice=("{it.proxy} is spoken to in plain http: write http:// in the variable",),
        seen="pypa/pip#9190, #9216",
    ),
    Row(
        pattern=r"^the proxy answers as a web server",
        advice=("{it.proxy} is no proxy: check address and port in the variable",),
        seen="RFC 9110, 9.3.6",
    ),
    Row(
        pattern=r"^the proxy does not let",
        advice=(
            (
                "{it.proxy} forbids {it.server}: have it allowed there, or put the host into "
                "NO_PROXY where it is reached directly"
            ),
        ),
        seen="mozilla/bugbot#2002",
    ),
    Row(
        pattern=r"^the proxy did not answer",
        advice=("{it.proxy} was connected, and says nothing: ask who runs it",),
        seen="psf/requests#6585",
    ),
    Row(
        pattern=r"^the proxy did not reach",
        advice=("{it.proxy} answered, but does not reach {it.server}: ask who runs it",),
        seen="psf/requests#6585",
    ),
    Row(
        pattern=r"^the (answer of the )?proxy (cannot be reached|cannot be used|is no HTTP)",
        advice=("{it.proxy} does not answer as a proxy: check the variable, or unset it",),
        seen="mozilla/bugbot#1909",
    ),
    Row(
        pattern=r"^the connection through the proxy",
        advice=(
            "{it.proxy} was connected, and the way from there to {it.server} was cut:",
            "a firewall may stand there; ask who runs the proxy",
        ),
        seen="psf/requests#6585",
    ),
    Row(
        pattern=r"certificate.*(expired|not yet valid)",
        advice=(
            (
                "the certificate's time is over or has not come: check the clock of this machine, "
                "or ask who runs {it.server}"
            ),
        ),
        seen="codecov/uploader#828",
    ),
    Row(
        pattern=r"certificate.*(mismatch|not valid for|doesn't match)",
        advice=(
            (
                "another server, or a gateway, answers under this name: check host and proxy; "
                "ca_bundle does not help"
            ),
        ),
        seen="RFC 9110, 4.3.4",
    ),
    Row(
        pattern=r"certificate is not trusted",
        when=lambda case: bool(case.facts.ca_bundle),
        advice=("{it.facts.ca_bundle} lacks the authority that signed it: add it to the file",),
        seen="unioslo/zabbix-cli#31",
    ),
    Row(
        pattern=r"certificate",
        when=lambda case: bool(case.answer.proxy),
        advice=(
            (
                "set ca_bundle to the PEM file of the authority that signed it; {it.proxy} may "
                "open TLS with its own"
            ),
        ),
        seen="https://requests.readthedocs.io/en/latest/user/advanced/#ca-certificates",
    ),
    Row(
        pattern=r"certificate",
        advice=("set ca_bundle to the PEM file of the authority that signed it",),
        seen="https://requests.readthedocs.io/en/latest/user/advanced/#ca-certificates",
    ),
    Row(
        pattern=r"WRONG_VERSION_NUMBER|record layer failure|HTTP_REQUEST",
        advice=("nobody speaks TLS at {it.server}: check host and port",),
        seen="RFC 8446",
    ),
    Row(
        pattern=r"HANDSHAKE_FAILURE|PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL",
        advice=(
            (
                "{it.server} and this Python have no version of TLS in common: a newer one is "
                "needed on the older side"
            ),
        ),
        seen="cpub#1416",
    ),
    Row(
        pattern=r"host name|refused|no connection|no secure",
        advice=("check host, network and proxy variables",),
        seen="cpub#1582",
    ),
    Row(
        statuses=range(100, 600),
        pattern=r"broke off",
        advice=(DOWN,),
        is_outage=True,
        seen="cpub#1583",
    ),
    Row(pattern=r"no HTTP", advice=("{it.server} is no web server: check host",), seen="RFC 9112"),
    Row(
        pattern=r"no answer|no result|reset|closed|failed|handed over",
        advice=(DOWN,),
        is_outage=True,
        seen="cpub#1583, mattn/goveralls#42",
    ),
)
