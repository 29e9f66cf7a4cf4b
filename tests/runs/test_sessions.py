"""However a session ends: one job of a whole run, else none, and pytest's own exit status."""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import textwrap
from collections.abc import Sequence

import pytest
from faulty import Faulty
from git_repository import posix
from inner import Inner
from running import (
    AUTOLOAD,
    NAMES,
    PATIENCE,
    Runner,
    kept,
    needs_xdist,
    outcomes,
    started,
    told,
    write,
)

pytestmark = pytest.mark.slow

RED = "def test_red():\n    assert False\n"
CRASH = "import os\ndef test_crash():\n    os._exit(3)\n"


@needs_xdist
@pytest.mark.parametrize(
    ("text", "arguments", "status", "said"),
    [(RED, ("-x",), 2, "stopp.+ 1 f"), (CRASH, (), 1, "a worker crashed")],
    ids=["stopped", "crashed"],
)
def test_nothing_is_sent_of_a_session_that_did_not_end_well_on_xdist(
    run: Runner, text: str, arguments: Sequence[str], status: int, said: str
) -> None:
    write(run, "tests/test_a.py", text)

    result = run("--cov", "--cov-report=", "-n1", *arguments, "--coveralls")

    assert result.returncode == status, result.stdout
    assert run.server.requests == []
    assert kept(run) == []
    (reason,) = [line for line in told(result.stdout) if line.startswith("coveralls: not sent: ")]
    assert re.search(said, reason)


def test_no_cov_on_fail_sends_nothing_of_failed_tests(inner: Inner) -> None:
    inner.pytester.makepyfile(test_garden=RED)

    run = inner("-p", "pytest_cov", "--cov", "--no-cov-on-fail", "--coveralls")

    assert (run.status, run.lines) == (1, ["not sent: tests failed (on_failure = skip)"])


@posix
@needs_xdist
def test_workers_behind_a_launcher_measure(run: Runner) -> None:
    """As in Windows' virtual environments, where a worker's parent is not the controller."""
    launcher = run.folder.parent / "launcher"
    launcher.write_text(f'#!/bin/sh\n"{sys.executable}" "$@"\n')
    launcher.chmod(0o755)

    result = run("-p", "xdist", f"--tx=popen//python={launcher}", "--dist=load", "--coveralls")

    assert result.returncode == 0, result.stdout
    assert [file["name"] for file in run.server.jobs[0]["source_files"]] == NAMES
    assert [line[:26] for line in told(result.stdout)[1:]] == ["coveralls: sent 5 files, 7"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_that_comes_to_the_end_sends_nothing(run: Runner) -> None:
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
    "pytester": """
        def test_nested(pytester, request):
            pytester.makepyfile("def test_inner(): pass")
            inner = pytester.runpytest_inprocess("-p", "coveralls_submit", "--coveralls")
            log = request.config.rootpath / "pytester.log"
            log.write_text(inner.stdout.str())
            assert inner.ret == 0
        """,
}


@pytest.mark.parametrize(
    ("spread", "kinds"),
    [
        pytest.param((), list(NESTED), id="plain"),
        pytest.param(("-n1",), ["subprocess"], id="worker", marks=needs_xdist),
    ],
)
def test_a_run_inside_a_run_sends_and_measures_nothing(
    run: Runner, spread: tuple[str, ...], kinds: list[str]
) -> None:
    write(run, "conftest.py", "pytest_plugins = 'pytester'\n")
    write(run, "inner/test_inner.py", "def test_inner():\n    pass\n")
    for kind in kinds:
        write(run, f"tests/test_{kind}.py", textwrap.dedent(NESTED[kind]))

    result = run("--coveralls", *spread, env={"COVERALLS_STRICT": "1"})

    assert result.returncode == 0, result.stdout
    assert len(run.server.requests) == 1
    assert [file["name"] for file in run.server.jobs[0]["source_files"]] == NAMES
    for kind in kinds:
        inner = (run.folder / f"{kind}.log").read_text("utf-8")
        assert told(inner)[-1] == INNER
        assert "1 passed" in inner
        assert "TOTAL" not in inner


@posix
def test_a_loop_sends_nothing(run: Runner) -> None:
    pytest.importorskip("xdist.looponfail")
    words = ("-f", "--cov", "--coveralls")
    with started(run, *words, PYTHONUNBUFFERED="1", **AUTOLOAD) as process:
        output = b""
        assert process.stdout is not None
        while b" passed in " not in output:
            assert select.select([process.stdout], [], [], PATIENCE)[0], output
            output += (block := os.read(process.stdout.fileno(), 65536))
            assert block, output
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)

    said = "coveralls: not sent: --looponfail runs the tests again and again"
    assert told(output.decode())[-1] == said
    assert run.server.requests == []
    assert kept(run) == []


@posix
def test_ctrl_c_while_sending_ends_the_run_and_keeps_the_job(run: Runner) -> None:
    """The summary is printed, and no child is left."""
    with (
        Faulty("hang") as server,
        started(run, "--coveralls", "-v", COVERALLS_HOST=server.url) as process,
    ):
        assert server.asked.wait(PATIENCE)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 2, output
    assert outcomes(output) == {"passed": "7"}
    assert "Traceback" not in output
    (path,) = kept(run)
    where = path.relative_to(run.folder)
    command = f"python -m pytest_coveralls_submit send --coveralls-host={server.url} {where}"
    assert told(output)[1:4] == [
        "coveralls: failed: interrupted while sending",
        f"coveralls: it may have been accepted: check {server.url} first",
        f"coveralls: kept in {where}; send it with: {command}",
    ]
    assert len(server.received) == 1
