"""Whatever tests leave behind, the job arrives, and the run ends as it would without the plugin."""

from __future__ import annotations

import importlib.util
import re
import sys
import textwrap

import pytest
from git_repository import posix
from running import NAMES, Runner, kept, outcomes, told, write
from standin import COVERALLS_TOKEN

pytestmark = pytest.mark.slow


def leave(run: Runner, body: str) -> None:
    """Add a test, the first of all to run, that does something and does not undo it."""
    text = f"def test_a_leftover(tmp_path):\n{textwrap.indent(body, '    ')}"
    write(run, "tests/test_a_leftover.py", text)


FAIL = "def fail(*_, **__):\n    raise {}('left by a test')\n"

# What does not touch the same thing is left in one run.
LEFTOVERS = {
    "responses and freezegun": (
        "import freezegun, responses\n"
        "responses.RequestsMock().start()\n"
        "freezegun.freeze_time('1999-12-31').start()"
    ),
    "no environment, no directory": (
        "import os, signal, tempfile\n"
        "os.environ.clear()\ntempfile.tempdir = '/nonexistent'\n"
        "gone = tmp_path / 'gone'\ngone.mkdir()\nos.chdir(gone)\ngone.rmdir()\n"
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)"
    ),
    "other sockets, environment and directory": (
        "import os, requests, socket, _socket\n"
        + FAIL.format("requests.ConnectionError")
        + "requests.Session.send = requests.adapters.HTTPAdapter.send = fail\n"
        "class Blocked(socket.socket):\n"
        "    def __new__(cls, *_, **__):\n        raise RuntimeError('no sockets')\n"
        "socket.setdefaulttimeout(0.000001)\n"
        "socket.socket = socket.create_connection = socket.getaddrinfo = Blocked\n"
        "os.chdir(tmp_path)\n"
        "for name in ('HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY'):\n"
        "    os.environ[name] = os.environ[name.lower()] = 'http://127.0.0.1:9'\n"
        "for name in ('REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE', 'SSL_CERT_FILE'):\n"
        "    os.environ[name] = '/nonexistent/ca.pem'\n"
        "os.environ.update(COVERALLS_HOST='http://127.0.0.1:9', COVERALLS_DRY_RUN='1',\n"
        "    COVERALLS_REPO_TOKEN='of-a-test', COVERALLS_SERVICE_NUMBER='1', CI_NAME='other',\n"
        "    PATH='', PYTHONHOME='/nonexistent', NO_PROXY='', no_proxy='',\n"
        "    GIT_DIR='/nonexistent', GIT_WORK_TREE='/')"
    ),
    "mocked functions": (
        "import builtins, json, os, subprocess\n"
        + FAIL.format("OSError")
        + "json.loads = builtins.open = os.pipe = fail\n"
        "subprocess.Popen = subprocess.run = subprocess.check_output = fail"
    ),
}


@pytest.mark.parametrize("leftover", LEFTOVERS)
def test_a_job_arrives_whatever_a_test_leaves_behind(run: Runner, leftover: str) -> None:
    if leftover == "responses and freezegun":
        pytest.importorskip("responses")
    if leftover == "no environment, no directory" and sys.platform == "win32":
        pytest.skip("not on Windows")
    leave(run, LEFTOVERS[leftover])
    run.server.respond(503, headers={"Retry-After": "0"})

    result = run("--coveralls", env={"COVERALLS_RETRIES": "1"})

    if result.returncode == pytest.ExitCode.INTERNAL_ERROR:  # pytest-cov 5 opens files itself
        assert run("-p", "no:coveralls_submit", "--cov").returncode == result.returncode
        pytest.skip("pytest-cov of this version does not survive it either")
    if result.returncode or outcomes(result.stdout) != {"passed": "8"}:
        plain = run("-p", "no:coveralls_submit", "-p", "no:pytest_cov")
        assert result.returncode == plain.returncode, result.stdout
        assert outcomes(result.stdout) == outcomes(plain.stdout)
    assert outcomes(result.stdout)["passed"] == "8"
    assert len(run.server.requests) == 2, result.stdout
    (job,) = run.server.jobs
    assert [file["name"] for file in job["source_files"]] == NAMES
    assert (job["service_name"], job["service_number"]) == ("test-ci", "77")
    assert job["repo_token"] == COVERALLS_TOKEN
    assert re.match("20[2-9]", job["run_at"])
    lines = told(result.stdout)
    assert len([line for line in lines if "coveralls: attempt 1 of 2: " in line]) == 1
    assert re.match(r"coveralls: sent 5 files, \d+\.\d\d% covered -> ", lines[-1])
    assert kept(run) == []


NO_PROCESSES = """
import gc, types

def fail(*_, **__):
    raise OSError("no processes")

for module in gc.get_objects():
    if isinstance(module, types.ModuleType):
        for name in {"_fork_exec", "fork_exec", "posix_spawn"} & vars(module).keys():
            setattr(module, name, fail)
"""


@posix
def test_a_job_that_no_process_can_send_is_kept(run: Runner) -> None:
    leave(run, NO_PROCESSES)

    result = run("--cov", "--coveralls")

    assert result.returncode == 0, result.stdout
    assert outcomes(result.stdout) == {"passed": "8"}
    assert run.server.requests == []
    failed, keeping = told(result.stdout)[1:3]
    assert re.match(r"coveralls: failed: python\S* could not be started: ", failed)
    (path,) = kept(run)
    assert keeping.startswith(f"coveralls: kept in {path.relative_to(run.folder)}; send it with: ")

    command = re.search(r"python -m (\S+) (send .+)$", keeping)
    assert command is not None
    again = run(*command[2].split(), module=command[1])
    assert again.returncode == 0, again.stdout
    assert len(run.server.jobs) == 1
    assert not path.exists()


GEVENT = """
import gevent
from gevent import monkey

monkey.patch_all()
gevent.spawn(gevent.sleep, 0.01).join()
"""


@pytest.mark.skipif(importlib.util.find_spec("gevent") is None, reason="gevent is missing")
def test_a_job_is_sent_under_gevent(run: Runner) -> None:
    """The other forms are in test_child_process."""
    write(run, "conftest.py", GEVENT)

    result = run("--coveralls", timeout=30)

    assert result.returncode == 0, result.stdout
    assert len(run.server.jobs) == 1
