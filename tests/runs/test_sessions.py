"""However a session ends: one job where it ran whole, else none, and pytest's own exit status."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import stat
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from faulty import Faulty
from running import (
    AUTOLOAD,
    NAMES,
    PATIENCE,
    SPREADS,
    Runner,
    ended,
    kept,
    needs_xdist,
    outcomes,
    start,
    told,
    write,
)
from standin import COVERALLS_TOKEN

QUICK = 10.0
"""Seconds after Ctrl-C; far below the deadline of sending, far above what it takes."""

SLACK = 2.0
"""Seconds that a busy machine may add."""

pytestmark = pytest.mark.slow
needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and FIFOs")

RED = "def test_red():\n    assert False\n"
EXIT = "import pytest\ndef test_exit():\n    pytest.exit('enough', returncode={})\n"
CRASH = "import os\ndef test_crash():\n    os._exit(3)\n"


def assert_whole_and_safe(path: Path) -> dict[str, Any]:
    """Return a kept job, which is valid, without the token, and the user's alone."""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert COVERALLS_TOKEN not in path.read_text("utf-8")
    job: dict[str, Any] = json.loads(path.read_text("utf-8"))
    assert "repo_token" not in job
    assert len(job["source_files"]) == 5
    return job


# --- nothing is sent -------------------------------------------------------------------------

ON_XDIST = ("--cov", "--cov-report=", "-n2")


@pytest.mark.parametrize(
    ("text", "arguments", "status", "said"),
    [
        pytest.param("", ("--no-cov", "-W", "error"), 0, "--no-cov switched coverage", id="no-cov"),
        pytest.param(RED, ("--cov", "--no-cov-on-fail"), 1, "tests failed", id="no-cov-on-fail"),
        pytest.param(RED, ("--cov", "-x"), 1, "stopped early: stopping after 1 f", id="-x"),
        pytest.param(RED, (*ON_XDIST, "-x"), 2, "stopp.+ 1 f", id="xdist -x", marks=needs_xdist),
        pytest.param(
            EXIT.format(7), ON_XDIST, 3, "status 3|internal", id="xdist exit", marks=needs_xdist
        ),
        pytest.param(CRASH, ON_XDIST, 1, "worker crashed", id="xdist crash", marks=needs_xdist),
    ],
)
def test_nothing_is_sent_of_a_session_that_was_not_whole(
    run: Runner, text: str, arguments: Sequence[str], status: int, said: str
) -> None:
    """One line gives the reason; the exit status is that of the run without us."""
    write(run, "tests/test_a.py", text)

    result = run(*arguments, "--coveralls")

    assert result.returncode == status, result.stdout
    assert run.server.requests == []
    assert kept(run) == []
    reasons = [line for line in told(result.stdout) if line.startswith("coveralls: not sent: ")]
    assert len(reasons) == 1, result.stdout
    assert re.search(said, reasons[0]), reasons


def test_what_pytest_exit_cut_short_is_not_sent(run: Runner) -> None:
    """Also where coverage.py measures from outside, and pytest's status looks like a whole run."""
    write(run, "tests/test_a.py", EXIT.format(0))

    result = run("run", "-m", "pytest", "--coveralls", module="coverage")

    assert result.returncode == 0, result.stdout
    assert run.server.requests == [], result.stdout
    assert told(result.stdout)[-1] == "coveralls: not sent: the run was interrupted: enough"


@needs_xdist
def test_what_only_the_controller_measured_is_not_sent(run: Runner) -> None:
    """``coverage run`` does not measure xdist's workers: near to 0 % would be a false drop."""
    result = run("run", "-m", "pytest", "--coveralls", "-n2", module="coverage")

    assert result.returncode == 0, result.stdout
    assert run.server.requests == [], result.stdout
    assert told(result.stdout)[-1] == (
        "coveralls: not sent: `coverage run` does not measure the workers of xdist: "
        "use --cov instead"
    )


# --- more than one process -------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_that_comes_to_the_end_sends_nothing(run: Runner) -> None:
    """A child that unwinds runs all that is left of the session, hooks included."""
    write(
        run,
        "tests/test_fork.py",
        "import os\n\ndef test_fork():\n    child = os.fork()\n"
        "    if child:\n        os.waitpid(child, 0)\n",
    )

    result = run("--cov", "--coveralls", "-W", "ignore")

    assert result.returncode == 0, result.stdout
    assert result.stdout.count(" passed in ") == 2, result.stdout
    assert len(run.server.requests) == len(run.server.jobs) == 1
    assert [line[:16] for line in told(result.stdout)[1:]] == ["coveralls: sent "]


INNER = "coveralls: not sent: this pytest run is inside another one that submits"
NESTED = {
    "subprocess": """
        import subprocess, sys
        def test_nested():
            command = [sys.executable, "-m", "pytest", "--coveralls", "inner/test_inner.py"]
            inner = subprocess.run(command, stdout=-1, text=True)
            open("subprocess.log", "w").write(inner.stdout)
            assert inner.returncode == 0, inner.stdout
        """,
    "process": """
        import pytest
        def test_nested(capfd):
            assert pytest.main(["--coveralls", "inner/test_inner.py"]) == 0
            open("process.log", "w").write(capfd.readouterr().out)
        """,
    "pytester": """
        def test_nested(pytester, request):
            pytester.makepyfile("def test_inner(): pass")
            inner = pytester.runpytest_inprocess("-p", "coveralls_submit", "--coveralls")
            log = request.config.rootpath / "pytester.log"
            log.write_text(inner.stdout.str())
            assert inner.ret == 0
        """,
}


def nest(run: Runner, *kinds: str) -> None:
    """Add tests that run pytest."""
    write(run, "conftest.py", "pytest_plugins = 'pytester'\n")
    write(run, "inner/test_inner.py", "def test_inner():\n    pass\n")
    for kind in kinds:
        write(run, f"tests/test_{kind}.py", textwrap.dedent(NESTED[kind]))


def test_a_run_inside_a_run_sends_nothing(run: Runner) -> None:
    """The inner runs say so and keep their exit status; the outer one sends its job."""
    nest(run, *NESTED)

    result = run("--coveralls", env={"COVERALLS_STRICT": "1"})

    assert result.returncode == 0, result.stdout
    assert len(run.server.requests) == 1
    assert [file["name"] for file in run.server.jobs[0]["source_files"]] == NAMES
    for kind in NESTED:
        inner = (run.folder / f"{kind}.log").read_text("utf-8")
        assert told(inner)[-1] == INNER
        assert "1 passed" in inner


@needs_xdist
def test_a_run_inside_a_worker_sends_and_measures_nothing(run: Runner) -> None:
    """The workers of the outer run are measured with ``--coveralls`` alone, their runs are not."""
    nest(run, "subprocess")
    without = ("--deselect", "tests/test_subprocess.py", "--coveralls-on-partial=send")

    alone = run("--coveralls", *without)
    result = run("--coveralls", "-n2")

    assert alone.returncode == result.returncode == 0, result.stdout
    assert len(run.server.requests) == 2
    expected, job = run.server.jobs
    assert job["source_files"] == expected["source_files"]
    inner = (run.folder / "subprocess.log").read_text("utf-8")
    assert told(inner)[-1] == INNER
    assert "TOTAL" not in inner


@needs_signals
def test_a_loop_sends_nothing(run: Runner) -> None:
    """``--looponfail`` runs the tests after each change: that is no build."""
    pytest.importorskip("xdist.looponfail")
    process = start(run, "-f", "--cov", "--coveralls", PYTHONUNBUFFERED="1", **AUTOLOAD)
    with ended(process) as wait:
        output = b""
        assert process.stdout is not None
        while b" passed in " not in output:
            assert select.select([process.stdout], [], [], PATIENCE)[0], output
            output += (block := os.read(process.stdout.fileno(), 65536))
            assert block, output
        process.send_signal(signal.SIGINT)
        wait()

    said = "coveralls: not sent: --looponfail runs the tests again and again"
    assert told(output.decode())[-1] == said
    assert run.server.requests == []
    assert kept(run) == []


# --- signals ---------------------------------------------------------------------------------


@needs_signals
@pytest.mark.parametrize("spread", SPREADS)
def test_ctrl_c_during_a_test_sends_nothing(run: Runner, spread: tuple[str, ...]) -> None:
    """The run ends as pytest ends it, with exit status 2 and a line that says why."""
    ready = run.folder.parent / "ready"
    os.mkfifo(ready)
    write(
        run,
        "tests/test_a_wait.py",
        "import os, threading\n\ndef test_wait():\n"
        "    with open(os.environ['READY'], 'w') as pipe:\n        pipe.write('x')\n"
        "    threading.Event().wait()\n",
    )
    handle = os.open(ready, os.O_RDWR)  # so that neither end waits for the other
    try:
        process = start(run, "--cov", "--coveralls", *spread, READY=str(ready))
        with ended(process) as wait:
            assert select.select([handle], [], [], PATIENCE)[0]
            process.send_signal(signal.SIGINT)
            output, seconds = wait()
    finally:
        os.close(handle)

    assert process.returncode == 2, output
    assert seconds < QUICK
    assert told(output)[-1].startswith("coveralls: not sent: the run was interrupted"), output
    assert "KeyboardInterrupt" in output
    assert run.server.requests == []
    assert kept(run) == []


@needs_signals
def test_ctrl_c_while_sending_ends_the_run_and_keeps_the_job(run: Runner) -> None:
    """The summary is printed, exit status 2, long before the deadline; no child is left."""
    with Faulty("hang") as server:
        process = start(run, "--coveralls", "-v", COVERALLS_HOST=server.url)
        with ended(process) as wait:
            assert server.wait_for(requests=1, timeout=PATIENCE)
            process.send_signal(signal.SIGINT)
            output, seconds = wait()

    assert process.returncode == 2, output
    assert seconds < QUICK
    assert outcomes(output) == {"passed": "7"}
    assert "Traceback" not in output
    (path,) = kept(run)
    assert_whole_and_safe(path)
    where = path.relative_to(run.folder)
    doubt = f"it may have been accepted: check {server.url} first"
    command = f"python -m pytest_coveralls_submit send --coveralls-host={server.url} {where}"
    assert told(output)[1:4] == [
        "coveralls: failed: interrupted while sending",
        f"coveralls: {doubt}",
        f"coveralls: kept in {where}; send it with: {command}",
    ]
    assert server.requests == 1


@needs_signals
def test_a_run_that_is_killed_while_sending_leaves_the_job(run: Runner) -> None:
    """What was kept before the first attempt is whole and can be sent later.

    Nobody is left to stop the sending, and still it ends within the deadline and two seconds.
    """
    with Faulty("body drip") as server:
        env = {"COVERALLS_HOST": server.url, "COVERALLS_DEADLINE": "2"}
        process = start(run, "--coveralls", **env)
        with ended(process) as wait:
            assert server.wait_for(requests=1, timeout=PATIENCE)
            senders = children(process.pid)
            process.send_signal(signal.SIGKILL)
            wait()
        assert all(has_ended(sender, 2 + 2 + SLACK) for sender in senders)

    assert process.returncode == -signal.SIGKILL
    (path,) = kept(run)
    job = assert_whole_and_safe(path)
    again = run("send", str(path), module="pytest_coveralls_submit")
    assert again.returncode == 0, again.stdout
    assert run.server.jobs == [{**job, "repo_token": COVERALLS_TOKEN}]
    assert kept(run) == []


def children(parent: int) -> list[int]:
    """Return the processes that a process has started, on Linux."""
    listed = Path(f"/proc/{parent}/task/{parent}/children")
    if not listed.exists():
        pytest.skip("the system does not list children")
    return [int(word) for word in listed.read_text().split()]


def has_ended(process: int, seconds: float) -> bool:
    """Whether a process that is no child of ours ends within some seconds."""
    if not hasattr(os, "pidfd_open"):
        pytest.skip("the system cannot wait for a process of others")
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)
