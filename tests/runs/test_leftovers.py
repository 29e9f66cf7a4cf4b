"""Whatever tests leave behind, the job arrives, and the run ends as it would without the plugin."""

from __future__ import annotations

import importlib.util
import json
import re
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from running import NAMES, Runner, outcomes, told
from standin import COVERALLS_TOKEN, StandIn

pytestmark = pytest.mark.slow
posix = pytest.mark.skipif(sys.platform == "win32", reason="not on Windows")


def leave(run: Runner, body: str) -> None:
    """Add a test, the first of all to run, that does something and does not undo it."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    text = f"KEPT = []\n\ndef test_a_leftover(tmp_path):\n{lines}"
    (run.folder / "tests/test_a_leftover.py").write_text(text, "utf-8")


LEFTOVERS = {
    "responses": "import responses\nresponses.RequestsMock().start()",
    "a session's send": (
        "import requests\n"
        "def fail(*_, **__):\n    raise requests.ConnectionError('patched')\n"
        "requests.Session.send = fail\nrequests.adapters.HTTPAdapter.send = fail"
    ),
    "a blocked socket": (
        "import socket, _socket\n"
        "class Blocked(socket.socket):\n"
        "    def __new__(cls, *_, **__):\n        raise RuntimeError('no sockets')\n"
        "socket.socket = Blocked\n"
        "socket.create_connection = socket.getaddrinfo = Blocked"
    ),
    "freezegun": "import freezegun\nfreezegun.freeze_time('1999-12-31').start()",
    "a clock that stands": (
        "import time\ntime.time = time.monotonic = time.perf_counter = lambda: 0.0"
    ),
    "no sleep": "import time\ndef fail(_):\n    raise RuntimeError('no sleep')\ntime.sleep = fail",
    "no environment": "import os\nos.environ.clear()",
    "proxies": (
        "import os\nfor name in ('HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY'):\n"
        "    os.environ[name] = os.environ[name.lower()] = 'http://127.0.0.1:9'\n"
        "os.environ['NO_PROXY'] = os.environ['no_proxy'] = ''"
    ),
    "certificates": (
        "import os\nfor name in ('REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE', 'SSL_CERT_FILE'):\n"
        "    os.environ[name] = '/nonexistent/ca.pem'"
    ),
    "our variables": (
        "import os\nos.environ.update(COVERALLS_HOST='http://127.0.0.1:9', COVERALLS_DRY_RUN='1',\n"
        "    COVERALLS_REPO_TOKEN='of-a-test', COVERALLS_SERVICE_NUMBER='1', CI_NAME='other')"
    ),
    "no PATH": "import os\nos.environ['PATH'] = ''\nos.environ['PYTHONHOME'] = '/nonexistent'",
    "git's variables": "import os\nos.environ.update(GIT_DIR='/nonexistent', GIT_WORK_TREE='/')",
    "another directory": "import os\nos.chdir(tmp_path)",
    "a deleted directory": (
        "import os\ngone = tmp_path / 'gone'\ngone.mkdir()\nos.chdir(gone)\ngone.rmdir()"
    ),
    "another temporary directory": "import tempfile\ntempfile.tempdir = '/nonexistent'",
    "warnings as errors": "import warnings\nwarnings.simplefilter('error')",
    "a locale": "import locale\nlocale.setlocale(locale.LC_ALL, 'C')",
    "few descriptors": (
        "import os, resource\nlowest = os.open(os.devnull, os.O_RDONLY)\nos.close(lowest)\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 12, hard))"
    ),
    "gevent": "from gevent import monkey\nmonkey.patch_all()",
    "no open": (
        "import builtins\ndef fail(*_, **__):\n    raise OSError('no open')\nbuiltins.open = fail"
    ),
    "no Popen": (
        "import subprocess\ndef fail(*_, **__):\n    raise OSError('no Popen')\n"
        "subprocess.Popen = subprocess.run = subprocess.check_output = fail"
    ),
    "no threads": (
        "import threading\ndef fail(*_, **__):\n    raise RuntimeError('no threads')\n"
        "threading.Thread.start = fail"
    ),
    "no json": (
        "import json\ndef fail(*_, **__):\n    raise ValueError('no json')\njson.loads = fail"
    ),
    "a default timeout": "import socket\nsocket.setdefaulttimeout(0.000001)",
    "a closed stdout": "import sys\nsys.stdout = sys.__stdout__ = sys.stderr = None",
    "a path object": "import sys\nsys.path.insert(0, tmp_path)",
    "a module of a name of ours": (
        "import sys\nfor name in ('requests', 'json', 'urllib3', 'pytest_coveralls_submit'):\n"
        "    (tmp_path / f'{name}.py').write_text('1 / 0')\n"
        "sys.path.insert(0, str(tmp_path))"
    ),
    "no imports": "import sys\nsys.meta_path.clear()",
    "no modules": (
        "import sys\nfor name in list(sys.modules):\n"
        "    if name.startswith(('pytest_coveralls', 'requests', 'urllib3', 'subprocess')):\n"
        "        del sys.modules[name]"
    ),
    "ignored children": "import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    "an open event loop": "import asyncio\nKEPT.append(asyncio.new_event_loop())",
    "recursion": "import sys\nsys.setrecursionlimit(220)",
}
WITH_A_TOOL = {"responses": "responses", "freezegun": "freezegun", "gevent": "gevent"}
TOUCHES_TIME = {"freezegun", "a clock that stands", "no sleep", "gevent", "no threads"}
POSIX_ONLY = {"few descriptors", "a deleted directory", "ignored children"}


@pytest.mark.parametrize("leftover", LEFTOVERS)
def test_a_job_arrives_whatever_a_test_leaves_behind(run: Runner, leftover: str) -> None:
    """Sending starts from the environment of session start, and what waits can still wait."""
    if tool := WITH_A_TOOL.get(leftover):
        pytest.importorskip(tool)
    if leftover in POSIX_ONLY and sys.platform == "win32":
        pytest.skip("not on Windows")
    leave(run, LEFTOVERS[leftover])
    refusals = int(leftover in TOUCHES_TIME)
    run.server.respond(503, times=refusals)

    result = run("--coveralls", env={"COVERALLS_RETRIES": "1"})

    if result.returncode == pytest.ExitCode.INTERNAL_ERROR:  # pytest-cov 5 opens files itself
        assert run("-p", "no:coveralls_submit", "--cov").returncode == result.returncode
        pytest.skip("pytest-cov of this version does not survive it either")
    if result.returncode or outcomes(result.stdout) != {"passed": "8"}:
        plain = run("-p", "no:coveralls_submit", "-p", "no:pytest_cov")
        assert result.returncode == plain.returncode, result.stdout
        assert outcomes(result.stdout) == outcomes(plain.stdout)
    assert outcomes(result.stdout)["passed"] == "8"
    assert len(run.server.requests) == refusals + 1, result.stdout
    (job,) = run.server.jobs
    assert [file["name"] for file in job["source_files"]] == NAMES
    assert (job["service_name"], job["service_number"]) == ("test-ci", "77")
    assert job["repo_token"] == COVERALLS_TOKEN
    assert re.match("20[2-9]", job["run_at"])
    lines = told(result.stdout)
    assert len([line for line in lines if "coveralls: attempt 1 of 2: " in line]) == refusals
    assert re.match(r"coveralls: sent 5 files, \d+\.\d\d% covered -> ", lines[-1])
    assert list((run.folder / ".pytest_cache/d/coveralls").iterdir()) == []


NO_PROCESSES = """
import gc, types

def fail(*_, **__):
    raise OSError("no processes")

for module in gc.get_objects():
    if isinstance(module, types.ModuleType):
        for name in {"_fork_exec", "fork_exec"} & vars(module).keys():
            setattr(module, name, fail)
"""


@posix
@pytest.mark.parametrize(
    "body",
    ["import sys\nsys.executable = '/nonexistent/python'", NO_PROCESSES],
    ids=["no python", "no processes"],
)
def test_a_job_that_no_process_can_send_is_kept(run: Runner, body: str) -> None:
    """The outcome says so, the tests' exit status stays, and the job can be sent later."""
    leave(run, body)

    result = run("--cov", "--coveralls")

    assert result.returncode == 0, result.stdout
    assert outcomes(result.stdout) == {"passed": "8"}
    assert run.server.requests == []
    failed, keeping = told(result.stdout)[1:3]
    assert re.match(r"coveralls: failed: python\S* could not be started: ", failed)
    (path,) = (run.folder / ".pytest_cache/d/coveralls").iterdir()
    assert keeping.startswith(f"coveralls: kept in {path.relative_to(run.folder)}; send it with: ")

    command = re.search(r"python -m (\S+) (send \S+)$", keeping)
    assert command is not None
    again = run(*command[2].split(), module=command[1])
    assert again.returncode == 0, again.stdout
    assert len(run.server.jobs) == 1
    assert not path.exists()


THREAD = """
import threading
from pathlib import Path

def work(path):
    threading.main_thread().join()
    Path(path).write_text("ended")

threading.Thread(target=work, args=[{path!r}]).start()
"""
WATCH = """
import pytest, threading

@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    others = [thread.name for thread in threading.enumerate()
              if thread is not threading.main_thread()]
    print("THREADS", others)
"""


@pytest.mark.parametrize("status", [200, 503])
def test_no_thread_of_ours_is_left(run: Runner, status: int) -> None:
    """When the session is over, the main thread is alone again."""
    (run.folder / "conftest.py").write_text(WATCH)
    if status != 200:
        run.server.respond(status)

    result = run("--coveralls", "-s")

    assert result.returncode == 0, result.stdout
    assert "\nTHREADS []\n" in result.stdout
    assert len(run.server.requests) == 1


def test_a_tests_own_thread_may_end_in_its_own_time(run: Runner) -> None:
    """A thread that outlives the tests is waited for, as it is without us."""
    path = run.folder / "thread.txt"
    leave(run, THREAD.format(path=str(path)))

    result = run("--coveralls")

    assert result.returncode == 0, result.stdout
    assert len(run.server.jobs) == 1
    assert path.read_text() == "ended"


def test_a_terminal_of_ascii_shows_a_branch_that_is_not(run: Runner) -> None:
    """What the terminal cannot show is escaped there, and whole in the job."""
    result = run("--coveralls", env={"PYTHONIOENCODING": "ascii", "CI_BRANCH": "tópic/ÿ"})

    assert result.returncode == 0, result.stdout
    (job,) = run.server.jobs
    assert job["service_branch"] == "tópic/ÿ"
    assert "(branch t\\xf3pic/\\xff, commit " in told(result.stdout)[0]


@pytest.fixture
def secure(project: Path, tmp_path: Path) -> Iterator[tuple[Runner, Path]]:
    """Return a runner against an https server, and the certificate of its authority."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    with StandIn(ssl_context=context) as server:
        yield Runner(project, server), bundle
        assert server.findings == []


@pytest.mark.skipif(importlib.util.find_spec("gevent") is None, reason="gevent is missing")
def test_gevent_patched_late_does_not_break_tls(secure: tuple[Runner, Path]) -> None:
    """In the same process the handshake would end in a RecursionError."""
    run, bundle = secure
    leave(run, LEFTOVERS["gevent"])

    result = run("--coveralls", env={"COVERALLS_CA_BUNDLE": str(bundle)})

    assert result.returncode == 0, result.stdout
    assert len(run.server.jobs) == 1
    assert told(result.stdout)[-1].startswith("coveralls: sent 5 files, ")


def test_a_proxy_of_session_start_is_used_still(run: Runner) -> None:
    """What a test removes from the environment counts, if it was there when the session began."""
    leave(run, "import os\nos.environ.clear()")
    proxied = {"HTTP_PROXY": run.server.url, "COVERALLS_HOST": "http://coveralls.invalid"}

    result = run("--coveralls", "--coveralls-skip-ssl-verify", env=proxied)

    assert result.returncode == 0, result.stdout
    assert len(run.server.requests) == 1, result.stdout
    assert json.dumps(run.server.requests[0].headers["Host"]) == '"coveralls.invalid"'
