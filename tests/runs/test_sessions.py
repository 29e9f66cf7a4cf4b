"""However a session ends: one job where it ran whole, else none, and pytest's own exit status."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from faulty import Faulty
from running import (
    NAMES,
    PATIENCE,
    SPREADS,
    Runner,
    add_to_ini,
    ended,
    kept,
    needs_xdist,
    outcomes,
    start,
    told,
    write,
)
from standin import COVERALLS_TOKEN

NO_PLUGIN = ("-p", "no:coveralls_submit")
QUICK = 10.0
"""Seconds after Ctrl-C; far below the deadline of sending, far above what it takes."""

SLACK = 2.0
"""Seconds that a busy machine may add."""

pytestmark = pytest.mark.slow
needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and FIFOs")

RED = "def test_red():\n    assert False\n"
RED_TOO = "def test_red_too():\n    assert False\n"
ERROR = (
    "import pytest\n\n@pytest.fixture\ndef bad():\n    1 / 0\n\ndef test_error(bad):\n    pass\n"
)
EXIT = "import pytest\ndef test_exit():\n    pytest.exit('enough', returncode={})\n"
CRASH = "import os\ndef test_crash():\n    os._exit(3)\n"
BROKEN_PLUGIN = "def pytest_runtest_protocol(item):\n    raise RuntimeError('another plugin')\n"


def assert_whole_and_safe(path: Path) -> dict[str, Any]:
    """Return a kept job, which is valid, without the token, and the user's alone."""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert COVERALLS_TOKEN not in path.read_text("utf-8")
    job: dict[str, Any] = json.loads(path.read_text("utf-8"))
    assert "repo_token" not in job
    assert len(job["source_files"]) == 5
    return job


# --- nothing is sent -------------------------------------------------------------------------

Files = dict[str, str]


def case(
    name: str, status: int, said: str | None, *arguments: str, files: Files | None = None
) -> Any:
    """Make a row: name, files to add, arguments, exit status and the reason that is printed."""
    marks = [needs_xdist] if "-n2" in arguments else []
    return pytest.param(files or {}, arguments, status, said, id=name, marks=marks)


RED_FILES = {"tests/test_a_red.py": RED, "tests/test_b_red.py": RED_TOO}


@pytest.mark.parametrize(
    ("files", "arguments", "status", "said"),
    [
        case("collect-only", 0, "--collect-only runs no tests", "--collect-only"),
        case("no-cov", 0, "--no-cov switched coverage off", "--no-cov"),
        case("no-cov -W error", 0, "--no-cov switched coverage off", "--no-cov", "-W", "error"),
        case("-x", 1, "stopped early: stopping after 1 failures", "-x", files=RED_FILES),
        case("-x under xdist", 2, "stopp.+ 1 failures", "-x", "-n2", files=RED_FILES),
        case("maxfail", 1, "stopp.+ 2 failures", "--maxfail=2", files=RED_FILES),
        case("maxfail under xdist", 2, "stopp.+ 2 f", "--maxfail=2", "-n2", files=RED_FILES),
        case("pytest.exit 7", 7, "interrupted: enough$", files={"tests/test_a.py": EXIT.format(7)}),
        case("pytest.exit 1", 1, "interrupted: enough$", files={"tests/test_a.py": EXIT.format(1)}),
        case("pytest.exit 0", 0, "interrupted: enough$", files={"tests/test_a.py": EXIT.format(0)}),
        case("pytest.exit in a worker", 3, "status 3|internal error", "-n2",
             files={"tests/test_a.py": EXIT.format(7)}),
        case("internal error", 3, "status 3|internal error", files={"conftest.py": BROKEN_PLUGIN}),
        case("collection error", 2, "interrupted: (1 error|not all tests could)",
             files={"tests/test_a.py": "1 / 0\n"}),
        case("nothing collected", 5, "no tests ran", "-k", "nothing_is_called_so"),
        case("crashed worker", 1, "worker crashed", "-n2", files={"tests/test_a.py": CRASH}),
        case("usage error", 4, None, "--no-such-flag"),
        case("missing file", 4, "status 4|usage error", "tests/test_not_there.py"),
    ],
)  # fmt: skip
def test_nothing_is_sent_of_a_session_that_was_not_whole(
    run: Runner, files: Files, arguments: Sequence[str], status: int, said: str | None
) -> None:
    """One line gives the reason; exit status and outcomes are those of the run without us."""
    for name, text in files.items():
        write(run, name, text)

    plain = run("--cov", "--cov-report=", *arguments, *NO_PLUGIN)
    result = run("--cov", "--cov-report=", *arguments, "--coveralls")

    assert result.returncode == plain.returncode == status, result.stdout
    if status in {0, 1, 2, 5}:
        counted = outcomes(result.stdout)
        # Under xdist it is chance how many tests the other worker ends before the stop.
        if "-n2" not in arguments:
            assert counted == outcomes(plain.stdout)
    assert run.server.requests == []
    assert kept(run) == []
    reasons = [line for line in told(result.stdout) if line.startswith("coveralls: not sent: ")]
    assert len(reasons) == (said is not None), result.stdout
    assert re.search(said or "", "".join(reasons)), reasons


def test_nothing_is_sent_without_pytest_cov(run: Runner) -> None:
    """``-p no:pytest_cov`` is no fault: one line, and pytest's own exit status."""
    plain = run("-p", "no:pytest_cov", *NO_PLUGIN)
    result = run("-p", "no:pytest_cov", "--coveralls")

    assert result.returncode == plain.returncode == 0, result.stdout
    assert outcomes(result.stdout) == outcomes(plain.stdout)
    reason = "pytest-cov is not loaded, so that nothing was measured"
    assert told(result.stdout)[1:] == [f"coveralls: not sent: {reason}"]
    assert run.server.requests == []


@pytest.mark.parametrize("status", [0, 7])
def test_what_pytest_exit_cut_short_is_not_sent(run: Runner, status: int) -> None:
    """Also where coverage.py measures from outside, and pytest's status looks like a whole run."""
    write(run, "tests/test_a.py", EXIT.format(status))

    result = run("run", "-m", "pytest", "--coveralls", module="coverage")

    assert result.returncode == status, result.stdout
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


# --- a job is sent all the same --------------------------------------------------------------


@pytest.mark.parametrize("spread", SPREADS)
def test_failed_tests_are_sent_too(run: Runner, spread: tuple[str, ...]) -> None:
    """Coverage of a red run is coverage; the run stays red."""
    write(run, "tests/test_red.py", RED)

    plain = run("--cov", *NO_PLUGIN, *spread)
    result = run("--cov", "--coveralls", *spread)

    assert result.returncode == plain.returncode == 1, result.stdout
    assert outcomes(result.stdout) == outcomes(plain.stdout) == {"failed": "1", "passed": "7"}
    assert len(run.server.jobs) == len(run.server.requests) == 1


def test_too_little_coverage_is_sent_too(run: Runner) -> None:
    """``--cov-fail-under`` not reached fails the run and keeps no job back."""
    plain = run("--cov", "--cov-fail-under=99", *NO_PLUGIN)
    result = run("--cov", "--cov-fail-under=99", "--coveralls", "--coveralls-on-failure=skip")

    assert result.returncode == plain.returncode == 1, result.stdout
    assert outcomes(result.stdout) == outcomes(plain.stdout)
    assert len(run.server.jobs) == 1


@pytest.mark.parametrize(
    ("flag", "red"),
    [
        ("--coveralls-on-failure=skip", RED),
        ("--coveralls-on-failure=skip", ERROR),
        ("--no-cov-on-fail", RED),
    ],
    ids=["on_failure", "on_failure, an error", "no-cov-on-fail"],
)
def test_failed_tests_are_not_sent_where_that_is_asked_for(
    run: Runner, flag: str, red: str
) -> None:
    """``on_failure = skip``, and pytest-cov's ``--no-cov-on-fail``, keep a red run back."""
    write(run, "tests/test_red.py", red)

    result = run("--cov", "--coveralls", flag)

    assert result.returncode == 1, result.stdout
    assert run.server.requests == []
    assert told(result.stdout)[-1] == "coveralls: not sent: tests failed (on_failure = skip)"


def test_a_green_run_is_sent_with_on_failure_skip(run: Runner) -> None:
    """``on_failure`` is about failed tests alone."""
    result = run("--coveralls", "--coveralls-on-failure=skip")

    assert result.returncode == 0, result.stdout
    assert len(run.server.jobs) == 1


# --- a part of the tests ---------------------------------------------------------------------

SLOW = "import pytest\n@pytest.mark.slow\ndef test_slow():\n    pass\n"
PARTS = [
    pytest.param(("-k", "beds"), "-k beds", id="-k"),
    pytest.param(("-m", "not slow"), "-m 'not slow'", id="-m"),
    pytest.param(("--deselect", "tests/test_beds.py"), "--deselect", id="--deselect"),
    pytest.param(("tests/test_water.py::test_heat_makes_thirsty",), "node ids", id="node id"),
]


@pytest.fixture
def slow(run: Runner) -> None:
    """Let one test of the project be marked slow."""
    add_to_ini(run, 'markers = ["slow"]')
    write(run, "tests/test_slow.py", SLOW)


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize(("arguments", "cause"), PARTS)
def test_a_narrowed_run_is_sent_with_a_warning(
    run: Runner, arguments: tuple[str, ...], cause: str
) -> None:
    """What is not run is not covered: the line names what narrowed the run."""
    result = run("--coveralls", *arguments)

    assert result.returncode == 0, result.stdout
    assert len(run.server.jobs) == 1
    warnings = [line for line in told(result.stdout) if "not all tests ran" in line]
    assert [f"because of {cause}:" in line for line in warnings] == [True]


@pytest.mark.parametrize(("mode", "sent"), [("warn", 1), ("send", 1), ("skip", 0)])
def test_what_becomes_of_a_narrowed_run_can_be_said(run: Runner, mode: str, sent: int) -> None:
    """``on_partial``: ``warn`` says so, ``send`` says nothing, ``skip`` sends nothing."""
    write(run, "tests/test_red.py", RED)
    run("-p", "no:coveralls_submit")
    write(run, "tests/test_red.py", "def test_red():\n    pass\n")

    result = run("--coveralls", "--lf", f"--coveralls-on-partial={mode}")

    assert result.returncode == 0, result.stdout
    assert outcomes(result.stdout)["passed"] == "1"
    assert len(run.server.requests) == len(run.server.jobs) == sent
    about = [line for line in told(result.stdout) if "--lf" in line]
    assert len(about) == (mode != "send")
    if mode == "skip":
        assert about == ["coveralls: not sent: the run was narrowed by --lf (on_partial = skip)"]


@pytest.mark.parametrize("arguments", [("--lf",), ("-m", "not slow"), ("-k", "test")])
def test_a_run_that_nothing_was_left_out_of_is_not_called_narrowed(
    run: Runner, arguments: tuple[str, ...]
) -> None:
    """A flag that is always in addopts and leaves out no test costs neither warning nor job."""
    add_to_ini(run, 'markers = ["slow"]')

    result = run("--coveralls", "--coveralls-on-partial=skip", *arguments)

    assert result.returncode == 0, result.stdout
    assert outcomes(result.stdout) == {"passed": "7"}
    assert len(run.server.jobs) == 1, result.stdout


def test_tests_that_a_conftest_leaves_out_narrow_the_run(run: Runner) -> None:
    """Deselection counts, whoever does it."""
    write(
        run,
        "conftest.py",
        "def pytest_collection_modifyitems(config, items):\n"
        "    config.hook.pytest_deselected(items=items[:2])\n"
        "    del items[:2]\n",
    )

    result = run("--coveralls", "--coveralls-on-partial=skip")

    assert result.returncode == 0, result.stdout
    assert run.server.requests == []
    assert "the deselection of 2 tests" in told(result.stdout)[-1]


# --- more than one process -------------------------------------------------------------------


@needs_xdist
@pytest.mark.parametrize("spread", ["loadscope", "worksteal"])
def test_one_job_is_sent_however_tests_are_spread(run: Runner, spread: str) -> None:
    """The controller sends, no worker does."""
    result = run("--cov", "--coveralls", "-n2", f"--dist={spread}")

    assert result.returncode == 0, result.stdout
    assert len(run.server.requests) == len(run.server.jobs) == 1
    assert len(told(result.stdout)) == 2


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


NESTED = {
    "subprocess": (
        "import subprocess, sys\n"
        "def test_nested():\n"
        "    command = [sys.executable, '-m', 'pytest', '--coveralls', 'inner/test_inner.py']\n"
        "    inner = subprocess.run(command, capture_output=True, text=True)\n"
        "    open('inner.log', 'w').write(inner.stdout)\n"
        "    assert inner.returncode == 0, inner.stdout\n"
    ),
    "in process": (
        "import pytest\n"
        "def test_nested(capfd):\n"
        "    assert pytest.main(['--coveralls', 'inner/test_inner.py']) == 0\n"
        "    open('inner.log', 'w').write(capfd.readouterr().out)\n"
    ),
    "pytester": (
        "pytest_plugins = 'pytester'\n"
        "import os\n"
        "def test_nested(pytester, request):\n"
        "    pytester.makepyfile('def test_inner(): pass')\n"
        "    inner = pytester.runpytest_inprocess('--coveralls')\n"
        "    log = request.config.rootpath / 'inner.log'\n"
        "    log.write_text(inner.stdout.str())\n"
        "    assert inner.ret == 0\n"
    ),
}


@pytest.mark.parametrize(
    ("kind", "env"),
    [*((kind, {}) for kind in NESTED), ("subprocess", {"COVERALLS_STRICT": "1"})],
    ids=[*NESTED, "strict"],
)
def test_a_run_inside_a_run_sends_nothing(run: Runner, kind: str, env: dict[str, str]) -> None:
    """The inner run says so and keeps its exit status; the outer one sends its job."""
    write(run, "inner/test_inner.py", "def test_inner():\n    pass\n")
    text = NESTED[kind]
    if kind == "pytester":
        write(run, "conftest.py", "pytest_plugins = 'pytester'\n")
        text = text.partition("\n")[2]
    write(run, "tests/test_outer.py", text)

    result = run("--coveralls", env=env)

    assert result.returncode == 0, result.stdout
    assert len(run.server.requests) == len(run.server.jobs) == 1
    names = [file["name"] for file in run.server.jobs[0]["source_files"]]
    assert [name for name in names if name.startswith("sample/")] == names
    inner = (run.folder / "inner.log").read_text("utf-8")
    said = "coveralls: not sent: this pytest run is inside another one that submits"
    assert told(inner)[-1] == said
    assert "1 passed" in inner


@needs_xdist
def test_a_run_inside_a_worker_sends_and_measures_nothing(run: Runner) -> None:
    """The workers of the outer run are measured with ``--coveralls`` alone, their runs are not."""
    write(run, "inner/test_inner.py", "def test_inner():\n    pass\n")
    write(run, "tests/test_outer.py", NESTED["subprocess"])
    without = ("--deselect", "tests/test_outer.py", "--coveralls-on-partial=send")

    alone = run("--coveralls", *without)
    result = run("--coveralls", "-n2")

    assert alone.returncode == result.returncode == 0, result.stdout
    assert len(run.server.requests) == 2
    expected, job = run.server.jobs
    assert job["source_files"] == expected["source_files"]
    assert [file["name"] for file in job["source_files"]] == NAMES
    inner = (run.folder / "inner.log").read_text("utf-8")
    said = "coveralls: not sent: this pytest run is inside another one that submits"
    assert told(inner)[-1] == said
    assert "TOTAL" not in inner


@needs_signals
def test_a_loop_sends_nothing(run: Runner) -> None:
    """``--looponfail`` runs the tests after each change: that is no build."""
    pytest.importorskip("xdist.looponfail")
    process = start(run, "-f", "--cov", "--coveralls", PYTHONUNBUFFERED="1")
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
    assert told(output)[1:3] == [
        "coveralls: failed: interrupted while sending",
        f"coveralls: kept in {where}; send it with: python -m pytest_coveralls_submit send {where}",
    ]
    assert server.requests == 1


@needs_signals
@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_a_run_that_is_killed_while_sending_leaves_the_job(run: Runner, name: str) -> None:
    """What was kept before the first attempt is whole, and can be sent later."""
    number = getattr(signal, name)
    with Faulty("hang") as server:
        process = start(run, "--coveralls", COVERALLS_HOST=server.url)
        with ended(process) as wait:
            assert server.wait_for(requests=1, timeout=PATIENCE)
            process.send_signal(number)
            wait()

    assert process.returncode == -number
    (path,) = kept(run)
    job = assert_whole_and_safe(path)
    again = run("send", str(path), module="pytest_coveralls_submit")
    assert again.returncode == 0, again.stdout
    assert run.server.jobs == [{**job, "repo_token": COVERALLS_TOKEN}]
    assert kept(run) == []


@needs_signals
def test_the_sending_ends_in_time_although_the_run_was_killed(run: Runner) -> None:
    """Nobody is left to stop it, and still it ends within the deadline and two seconds."""
    with Faulty("body drip") as server:
        env = {"COVERALLS_HOST": server.url, "COVERALLS_DEADLINE": "2"}
        process = start(run, "--coveralls", **env)
        with ended(process) as wait:
            assert server.wait_for(requests=1, timeout=PATIENCE)
            (sender,) = children(process.pid)
            process.send_signal(signal.SIGKILL)
            wait()
        assert has_ended(sender, 2 + 2 + SLACK)


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
