"""Child processes: real ones, that hang, babble, leave others behind or do not start at all."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from pytest_coveralls_submit import process
from pytest_coveralls_submit.errors import ProcessError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KILL = 9  # SIGKILL, which Windows does not have
LONG = 600  # seconds: longer than any test may take
ENDLESS = f"import time; time.sleep({LONG})"
# Starts another process, which keeps the pipe open, and prints its number.
WITH_GRANDCHILD = f"sleep {LONG} & echo $!"

posix = pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX's")


def python(program: str) -> list[str]:
    """The command for a Python program."""
    return [sys.executable, "-c", program]


def run(program: str, *, seconds: float = LONG, limit: int = 1000) -> process.Completed:
    """Run a Python program to its end."""
    return process.output(python(program), env=os.environ, seconds=seconds, limit=limit)


def is_running(pid: int) -> bool:
    """Whether the process exists and has not ended (a zombie has)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
            return stat.read().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return sys.platform != "linux"


def ends(pid: int) -> bool:
    """Whether the process ends; a killed one may still be on its way out."""
    for _ in range(1000):
        if not is_running(pid):
            return True
        threading.Event().wait(0.01)
    return False


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    before = threading.enumerate()
    yield
    assert threading.enumerate() == before


def test_output_is_what_the_child_printed_and_its_status() -> None:
    """Status and standard output come back, standard error does not."""
    completed = run("import sys; print('said'); print('x', file=sys.stderr); sys.exit(3)")
    assert (completed.status, completed.stdout.strip()) == (3, b"said")


def test_a_child_has_only_the_environment_it_is_given(tmp_path: Path) -> None:
    """Environment and working directory are the caller's choice; standard input is empty."""
    program = "import os, sys; print(os.environ.get('ONE'), 'HOME' in os.environ, os.getcwd(), "
    program += "repr(sys.stdin.read()))"
    given = {"ONE": "1", **{k: v for k, v in os.environ.items() if k == "SYSTEMROOT"}}
    completed = process.output(
        python(program), env=given, cwd=tmp_path.resolve(), seconds=LONG, limit=10_000
    )
    assert completed.stdout.decode().split() == ["1", "False", str(tmp_path.resolve()), "''"]


@pytest.mark.parametrize("arguments", [["no-such-program-at-all"], ["nul\0character"]])
def test_what_cannot_start_is_a_process_error(arguments: list[str]) -> None:
    """Whatever keeps a program from starting is one kind of error."""
    with pytest.raises(ProcessError, match="could not be started"):
        process.output(arguments, env=os.environ, seconds=LONG, limit=1)


def test_a_child_that_hangs_is_killed() -> None:
    """When the time is up the child is dead and the error says how long we waited."""
    started = time.monotonic()
    with pytest.raises(ProcessError, match=r"did not answer within 0\.2 s"):
        run(ENDLESS, seconds=0.2)
    assert time.monotonic() - started < LONG / 2


def test_no_time_at_all_is_not_for_ever() -> None:
    """A lock's timeout of -1 would mean to wait for ever; ours means not to wait."""
    with pytest.raises(ProcessError, match="did not answer"):
        run(ENDLESS, seconds=-1)


@posix
def test_what_a_child_leaves_behind_is_not_waited_for_and_ends_with_it(tmp_path: Path) -> None:
    """The child's end counts, whoever still has its output open; the whole group is killed."""
    completed = process.output(
        ["/bin/sh", "-c", WITH_GRANDCHILD], env=os.environ, seconds=LONG, limit=1000
    )
    assert completed.status == 0
    assert ends(int(completed.stdout))


@posix
def test_a_grandchild_that_left_the_group_does_not_hold_us_either() -> None:
    """A daemon in a session of its own cannot be killed with the group, nor can it delay us."""
    program = f"import subprocess; other = subprocess.Popen(['sleep', '{LONG}'], "
    program += "start_new_session=True); print(other.pid)"
    daemon = int(run(program).stdout)
    assert is_running(daemon)
    os.kill(daemon, KILL)


def test_a_child_that_babbles_is_killed_at_the_limit() -> None:
    """No more than the limit is read, however much there is."""
    with pytest.raises(ProcessError, match="printed more than 5000 bytes"):
        run("while True: print('x' * 1000)", limit=5000)


def test_the_limit_itself_is_allowed() -> None:
    """The limit is the greatest number of bytes that is read."""
    assert run("print('x' * 1000, end='')", limit=1000).stdout == b"x" * 1000


def test_a_child_that_closes_its_output_is_waited_for() -> None:
    """The end of the output is not the end of the child: its status counts."""
    program = "import os, time; os.close(1); os.close(2); time.sleep({}); os._exit(7)"
    assert run(program.format(0.2)).status == 7
    with pytest.raises(ProcessError, match="did not answer"):
        run(program.format(LONG), seconds=0.5)


def test_waiting_is_counted_without_a_clock() -> None:
    """The seconds waited are counted in pauses; a child that takes long shows in them."""
    waited = run("import time; time.sleep(0.5)").seconds
    assert 0.2 <= waited < LONG


def test_frozen_clocks_and_a_mocked_sleep_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests leave clocks frozen and `sleep` replaced; a deadline still comes."""

    def refuse(*_: object) -> None:
        raise AssertionError

    frozen = time.monotonic()
    for clock in ("time", "monotonic", "perf_counter"):
        monkeypatch.setattr(time, clock, lambda: frozen)
        monkeypatch.setattr(f"subprocess._{clock}", lambda: frozen, raising=False)
        monkeypatch.setattr(f"threading._{clock}", lambda: frozen, raising=False)
    monkeypatch.setattr("subprocess._time", lambda: frozen)
    monkeypatch.setattr("threading._time", lambda: frozen)
    monkeypatch.setattr(time, "sleep", refuse)
    monkeypatch.setattr("subprocess.Popen", refuse)
    # What gevent's patch_all() leaves of the module.
    monkeypatch.setattr("subprocess._fork_exec", None, raising=False)
    monkeypatch.setattr("subprocess._posixsubprocess", None, raising=False)
    monkeypatch.setattr("threading.Thread", refuse)
    with pytest.raises(ProcessError, match="did not answer"):
        run(ENDLESS, seconds=0.1)
    child = process.start(python(ENDLESS), env=os.environ)
    with process.watched(child, 0.1) as watch:
        assert child.stdout is not None
        assert child.stdout.read() == b""
    assert watch.expired


def test_watched_leaves_a_quick_child_alone() -> None:
    """A child that ends in time is read to its end and not reported as expired."""
    child = process.start(python("print('done')"), env=os.environ)
    with process.watched(child, LONG) as watch:
        assert child.stdout is not None
        assert child.stdout.read().strip() == b"done"
        child.wait()
    assert not watch.expired
    assert child.returncode == 0


@posix
def test_watched_ends_a_read_that_blocks() -> None:
    """When the time is up the reader sees the end of the output, grandchildren or not."""
    child = process.start(["/bin/sh", "-c", f"{WITH_GRANDCHILD}; wait"], env=os.environ)
    with process.watched(child, 1) as watch:
        assert child.stdout is not None
        said = child.stdout.read()
    assert watch.expired
    assert child.returncode == -KILL
    assert ends(int(said))


@posix
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_watched_leaves_nothing_behind_when_interrupted(error: type[BaseException]) -> None:
    """However the block is left: group dead, child reaped, pipes closed, the error goes on."""
    command = ["/bin/sh", "-c", f"{WITH_GRANDCHILD}; wait"]
    child = process.start(command, env=os.environ, stdin=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdin is not None
    grandchild = int(child.stdout.readline())
    with pytest.raises(error), process.watched(child, LONG):
        raise error
    assert child.returncode == -KILL
    assert child.stdout.closed
    assert child.stdin.closed
    assert ends(grandchild)


def test_input_for_a_dead_child_does_not_hinder_the_end() -> None:
    """What could not be written to the child is dropped when its pipe is closed."""
    child = process.start(python("pass"), env=os.environ, stdin=subprocess.PIPE)
    assert child.stdin is not None
    child.wait()
    child.stdin.write(b"too late")
    process.kill(child)
    assert child.stdin.closed


def test_kill_may_be_called_again() -> None:
    """A second call finds nothing to do and does not raise."""
    child = process.start(python(ENDLESS), env=os.environ)
    process.kill(child)
    process.kill(child)
    assert child.returncode != 0


@posix
def test_a_child_is_out_of_reach_of_the_terminals_interrupt() -> None:
    """A child leads a group of its own, so Ctrl-C reaches us alone."""
    child = process.start(python(ENDLESS), env=os.environ)
    try:
        group = os.getpgid(child.pid)  # type: ignore[attr-defined,unused-ignore]
        assert group == child.pid
    finally:
        process.kill(child)


def test_no_thread_no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be started the child is killed and the reason given."""

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    child = process.start(python(ENDLESS), env=os.environ)
    monkeypatch.setattr(process, "start_new_thread", refuse)
    with pytest.raises(ProcessError, match="can't start new thread"), process.watched(child, LONG):
        pass
    assert child.returncode is not None


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="Linux has files without a folder")
def test_what_a_child_prints_needs_no_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A container may be read-only as a whole."""
    monkeypatch.setattr(process, "_TEMPORARY", str(tmp_path / "gone"))

    assert run("print('said')").stdout.strip() == b"said"


def test_no_temporary_file_no_child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where no folder takes what a child prints, the error says so."""
    monkeypatch.setattr(process, "_TEMPORARY", str(tmp_path / "gone"))
    monkeypatch.delattr(os, "memfd_create", raising=False)
    with pytest.raises(ProcessError, match=r"no temporary file could be made: .*gone"):
        run("pass")
