"""Child processes: real ones, that hang, babble or do not start at all."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_coveralls_submit.child_process import Completed, find_program, run, start
from pytest_coveralls_submit.errors import ProcessError

LONG = 60.0
ENDLESS = "import time; time.sleep(600)"
posix = pytest.mark.skipif(sys.platform == "win32", reason="shell scripts")


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def run_python(code: str, *, seconds: float = LONG, limit: int = 100_000) -> Completed:
    env = {**os.environ, "GIVEN": "kept"}
    return run(python(code), env=env, seconds=seconds, limit=limit)


def test_a_child_gets_its_environment_and_gives_status_and_output() -> None:
    code = "import os, sys; print(os.environ['GIVEN'], len(sys.stdin.read())); sys.exit(3)"

    assert run_python(code) == Completed(3, b"kept 0\n")


def test_too_much_output_is_an_error() -> None:
    with pytest.raises(ProcessError, match="printed more than 1000 bytes"):
        run_python("while True: print('x' * 100)", limit=1000)


@pytest.mark.parametrize(
    "code", [ENDLESS, "import time\nwhile True: print('x', flush=True); time.sleep(0.02)"]
)
@pytest.mark.parametrize("body", [b"", b"x" * 1_000_000], ids=["empty", "large"])
def test_a_child_is_killed_when_its_time_is_up(code: str, body: bytes) -> None:
    started = time.monotonic()

    with (
        pytest.raises(ProcessError, match=r"python.* did not answer within 0\.2 s"),
        start(python(code), env=os.environ) as child,
    ):
        list(child.exchange([body], 0.2))

    assert time.monotonic() - started < 10
    assert child.status != 0


@posix
def test_what_a_child_leaves_running_is_not_waited_for() -> None:
    code = f"import subprocess, sys; subprocess.Popen(['sleep', '{LONG}']); print('done')"
    started = time.monotonic()

    assert run_python(code).stdout == b"done\n"
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("program", ["/nowhere/git", "with\0null"])
def test_a_program_that_cannot_start_is_an_error(program: str) -> None:
    with pytest.raises(ProcessError, match="could not be started"):
        run([program], env={}, seconds=1, limit=1)


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    def lowest() -> int:
        with (tmp_path / "file").open("w") as file:
            return file.fileno()

    before = lowest()
    run_python("pass")
    with pytest.raises(ProcessError):
        run(["/nowhere/git"], env={}, seconds=1, limit=1)

    assert lowest() == before


def test_a_large_body_is_written_while_output_is_read() -> None:
    code = "import sys\nfor line in sys.stdin: sys.stdout.write(line)"
    body = [b"x" * 99_999 + b"\n"] * 20

    with start(python(code), env=os.environ) as child:
        assert b"".join(child.exchange(body, LONG)) == b"".join(body)


def test_a_child_that_ends_without_reading_is_no_error() -> None:
    with start(python("print('no thanks')"), env=os.environ) as child:
        assert b"".join(child.exchange([b"x" * 1_000_000], LONG)).strip() == b"no thanks"


def test_a_timer_ends_a_child_where_pipes_always_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows before Python 3.12."""
    monkeypatch.delattr(os, "set_blocking")

    assert run_python("print('x')").stdout.strip() == b"x"
    with pytest.raises(ProcessError, match=r"did not answer within 0\.2 s"):
        run_python(ENDLESS, seconds=0.2)


def test_replaced_clocks_and_functions_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError

    for clock in ("time", "monotonic", "perf_counter"):
        monkeypatch.setattr(time, clock, lambda: 0.0)
    monkeypatch.setattr("subprocess._time", lambda: 0.0)
    replaced = ("time.sleep", "subprocess.Popen", "subprocess._fork_exec", "threading.Thread.start")
    for name in replaced:
        monkeypatch.setattr(name, refuse, raising=False)

    assert run_python("print('x')").stdout.strip() == b"x"
    with pytest.raises(ProcessError, match="did not answer"):
        run_python(ENDLESS, seconds=0.2)


# `loaded` is where the plugin is loaded; the rest is a conftest.py, the command line, a test.
GEVENT = {
    "conftest.py": "loaded; from gevent import monkey; monkey.patch_all()",
    "without subprocess": "loaded; from gevent import monkey; monkey.patch_all(subprocess=False)",
    "without threads": "loaded; from gevent import monkey; monkey.patch_all(thread=False)",
    "command line": "from gevent import monkey; monkey.patch_all(); loaded",
    "command line, hub made late": (
        "from gevent import monkey; monkey.patch_all(); import gevent.os; "
        "pause = monkey.get_original('time', 'sleep'); "
        "gevent.os.get_hub = lambda: pause(0.5) or gevent.get_hub(); loaded"
    ),
    "hub in a test": (
        "loaded; from gevent import monkey; monkey.patch_all(); import gevent; "
        "gevent.spawn(gevent.sleep, 0.01).join()"
    ),
}
LOADING = (
    "from pytest_coveralls_submit import child_process; "
    "from pytest_coveralls_submit.errors import ProcessError"
)
CHILDREN = """
import os, sys

def ask(code, seconds):
    try:
        said = child_process.run(
            [sys.executable, "-c", code], env=os.environ, seconds=seconds, limit=99
        )
        print(said.status, said.stdout.decode().strip())
    except ProcessError as error:
        print("error:", str(error).partition(" did ")[2])

ask("print('answer')", 60)
ask("import time; time.sleep(600)", 0.3)
ask("import os; os._exit(7)", 60)
"""


@posix
@pytest.mark.skipif(importlib.util.find_spec("gevent") is None, reason="gevent is missing")
@pytest.mark.parametrize("form", GEVENT)
def test_gevent_does_not_make_anything_wait(form: str) -> None:
    ended = subprocess.run(
        python(GEVENT[form].replace("loaded", LOADING) + CHILDREN),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    assert ended.stdout.splitlines() == ["0 answer", "error: not answer within 0.3 s", "7 "]


def make_program(folder: Path, mode: int = 0o755) -> str:
    folder.mkdir(exist_ok=True)
    path = folder / ("tool.exe" if sys.platform == "win32" else "tool")
    path.touch(mode)
    return str(path)


def test_the_first_program_in_an_absolute_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative one may be the repository's own."""
    monkeypatch.chdir(tmp_path)
    _, first, _ = [make_program(tmp_path / name) for name in (".", "first", "second")]
    folders = ["", ".", "second", *(tmp_path / name for name in ("missing", "first", "second"))]

    assert find_program("tool", {"PATH": os.pathsep.join(map(str, folders))}) == first


def test_a_program_of_windows_has_an_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever else is called alike."""
    for name in ("tool", "tool.cmd", "tool.exe"):
        (tmp_path / name).touch(0o755)
    monkeypatch.setattr(sys, "platform", "win32")

    assert find_program("tool", {"PATH": str(tmp_path)}) == str(tmp_path / "tool.exe")


@posix
def test_a_file_that_cannot_be_run_is_no_program(tmp_path: Path) -> None:
    make_program(tmp_path, 0o644)

    with pytest.raises(ProcessError, match="tool is not installed"):
        find_program("tool", {"PATH": str(tmp_path)})
