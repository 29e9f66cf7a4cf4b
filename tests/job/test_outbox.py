"""Jobs on disk: whole or not at all, for the user alone, and never in another's place."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from running import Runner
from standin import COVERALLS_TOKEN

from pytest_coveralls_submit.job import outbox

PIECES = (b'{"source_files":[', b'{"name":"a.py"}', b"]}\n")
WHOLE = b"".join(PIECES)
PLUGINS = ("-p", "pytest_cov", "-p", "pytest_coveralls_submit.plugin")

posix = pytest.mark.skipif(sys.platform == "win32", reason="modes and limits are POSIX's")


def keep(*folders: Path, stem: str = "job-77") -> Path | None:
    """Keep the job in the first folder that takes it."""
    return outbox.keep(lambda: PIECES, folders, stem)


def listed(folder: Path) -> list[str]:
    """The names of all that is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_a_kept_job_is_whole_under_the_name_it_was_given(tmp_path: Path) -> None:
    """The pieces in their order, and nothing else in the folder."""
    path = keep(tmp_path)

    assert path == tmp_path / "job-77.json"
    assert path.read_bytes() == WHOLE
    assert listed(tmp_path) == ["job-77.json"]


@posix
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_a_kept_job_is_for_the_user_alone(tmp_path: Path, mask: int) -> None:
    """Mode 0600, whatever the umask, from the first byte on."""
    modes: list[int] = []

    def pieces() -> Iterator[bytes]:
        (part,) = tmp_path.iterdir()
        modes.append(stat.S_IMODE(part.stat().st_mode))
        yield WHOLE

    before = os.umask(mask)
    try:
        kept = outbox.keep(pieces, [tmp_path], "job-77")
        outbox.write([WHOLE], tmp_path / "saved.json")
    finally:
        os.umask(before)
    assert kept is not None
    modes += [stat.S_IMODE(path.stat().st_mode) for path in (kept, tmp_path / "saved.json")]
    assert modes == [0o600] * 3


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    """Pytest's cache may not be there yet."""
    path = keep(tmp_path / "one" / "two")

    assert path == tmp_path / "one" / "two" / "job-77.json"
    assert path.read_bytes() == WHOLE


def test_no_job_takes_the_place_of_another(tmp_path: Path) -> None:
    """Two runs of one build keep two files; what was there stays as it was."""
    (tmp_path / "job-77.json").write_bytes(b"another's")
    paths = [keep(tmp_path), keep(tmp_path)]

    assert paths == [tmp_path / "job-77-2.json", tmp_path / "job-77-3.json"]
    assert (tmp_path / "job-77.json").read_bytes() == b"another's"


@posix
def test_a_link_that_points_nowhere_is_not_followed(tmp_path: Path) -> None:
    """In a temporary directory that others can write to, a link may wait under the name."""
    (tmp_path / "job-77.json").symlink_to(tmp_path / "elsewhere")
    path = keep(tmp_path)

    assert path == tmp_path / "job-77-2.json"
    assert not (tmp_path / "elsewhere").exists()


# --- folders that take nothing ---------------------------------------------------------------


def test_the_next_folder_is_tried_where_one_takes_nothing(tmp_path: Path) -> None:
    """A file in place of the cache directory, above it, and a path that cannot be."""
    file = tmp_path / "file"
    file.write_bytes(b"")
    good = tmp_path / "good"
    path = keep(file, file / "below", tmp_path / ("x" * 300), good)

    assert path == good / "job-77.json"
    assert path.read_bytes() == WHOLE


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system without writing")
def test_a_folder_nobody_can_write_to_is_passed_over(tmp_path: Path) -> None:
    """Even the superuser makes no file in /proc."""
    assert keep(Path("/proc/self"), tmp_path) == tmp_path / "job-77.json"


def test_nothing_is_returned_where_no_folder_takes_it(tmp_path: Path) -> None:
    """The caller says so; no error, no file."""
    file = tmp_path / "file"
    file.write_bytes(b"")

    assert keep(file) is None
    assert keep() is None
    assert listed(tmp_path) == ["file"]


@posix
def test_a_full_disk_leaves_no_part_and_the_next_folder_is_tried(tmp_path: Path) -> None:
    """What could not be written whole is removed again."""
    program = """
        import os, resource, signal, sys
        from pathlib import Path
        from pytest_coveralls_submit.job import outbox

        full, roomy = Path(sys.argv[1]), Path(sys.argv[2])
        calls = []

        def pieces():
            calls.append(1)
            if len(calls) == 2:
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            yield from [b"x" * 1000] * 1000

        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        print(outbox.keep(pieces, [full, roomy], "job-77"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        print(outbox.keep(lambda: [b"x" * 1000] * 1000, [full], "job-77"))
    """
    full, roomy = tmp_path / "full", tmp_path / "roomy"
    command = [sys.executable, "-c", textwrap.dedent(program), str(full), str(roomy)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert result.stdout.splitlines() == [str(roomy / "job-77.json"), "None"], result.stderr
    assert listed(full) == []
    assert (roomy / "job-77.json").stat().st_size == 1_000_000


@pytest.mark.parametrize("error", [ValueError, MemoryError, KeyboardInterrupt])
def test_a_job_that_cannot_be_made_leaves_nothing(
    tmp_path: Path, error: type[BaseException]
) -> None:
    """Under its name the file is there whole or not at all; no part stays either."""
    names: list[list[str]] = []

    def pieces() -> Iterator[bytes]:
        yield PIECES[0]
        names.append(listed(tmp_path))
        raise error

    with pytest.raises(error):
        outbox.keep(pieces, [tmp_path], "job-77")
    with pytest.raises(error):
        outbox.write(pieces(), tmp_path / "saved.json")
    assert listed(tmp_path) == []
    assert not {"job-77.json", "saved.json"} & {name for found in names for name in found}


def test_a_part_is_hidden_from_those_who_watch_the_folder(tmp_path: Path) -> None:
    """``pytest --looponfail`` starts again for any file that does not begin with a dot."""
    names: list[str] = []

    def pieces() -> Iterator[bytes]:
        names.extend(listed(tmp_path))
        yield WHOLE

    outbox.keep(pieces, [tmp_path], "job-77")

    (name,) = names
    assert name.startswith(".")


# --- file systems without hard links ---------------------------------------------------------


@pytest.fixture
def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that knows no hard links, as FAT and some network shares."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)


def test_a_job_is_kept_where_there_are_no_hard_links(tmp_path: Path, no_links: None) -> None:
    """The same file, the same names, and no part left."""
    first, second = keep(tmp_path), keep(tmp_path)

    assert (first, second) == (tmp_path / "job-77.json", tmp_path / "job-77-2.json")
    assert listed(tmp_path) == ["job-77-2.json", "job-77.json"]
    assert (tmp_path / "job-77.json").read_bytes() == WHOLE


def test_no_job_takes_the_place_of_one_that_came_meanwhile(
    tmp_path: Path, no_links: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without hard links too: another run may take the name between looking and writing."""
    look = Path.exists
    taken = tmp_path / "job-77.json"
    came: list[bool] = []

    def exists(path: Path, **more: bool) -> bool:
        found = look(path, **more)
        if path == taken and not found:
            taken.write_bytes(b"another's")
            came.append(True)
        return found

    monkeypatch.setattr(Path, "exists", exists)
    path = keep(tmp_path)
    monkeypatch.undo()

    contents = sorted(path.read_bytes() for path in tmp_path.iterdir())
    assert path is not None
    assert path.read_bytes() == WHOLE
    # Where nothing looked before it wrote, nobody else came.
    assert contents == (sorted([WHOLE, b"another's"]) if came else [WHOLE])


KEEPERS = """
import os, sys
from pathlib import Path
from pytest_coveralls_submit.job import outbox

if sys.argv[2] == "without":
    def refuse(*_, **__):
        raise PermissionError
    os.link = refuse
print("ready", flush=True)
sys.stdin.readline()
for number in range(25):
    text = f"{os.getpid()} {number}".encode()
    print(outbox.keep(lambda: [text], [Path(sys.argv[1])], "job-77"))
"""


@pytest.mark.parametrize("links", ["with", "without"])
def test_runs_at_the_same_time_keep_a_job_each(tmp_path: Path, links: str) -> None:
    """Parallel tox environments share a cache: every job is there in the end."""
    command = [sys.executable, "-c", KEEPERS, str(tmp_path), links]
    pipe = subprocess.PIPE
    runs = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(4)]
    for run in runs:
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
    for run in runs:
        assert run.stdin is not None
        run.stdin.write("go\n")
        run.stdin.flush()
    said = [run.communicate(timeout=60)[0].splitlines() for run in runs]

    paths = [path for lines in said for path in lines]
    texts = {path.read_text() for path in tmp_path.iterdir()}
    assert texts == {f"{run.pid} {number}" for run in runs for number in range(25)}
    assert sorted(paths) == sorted(map(str, tmp_path.iterdir()))


# --- files the user names --------------------------------------------------------------------


def test_a_saved_job_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    """``save`` names one file: the last run's job is in it, whole."""
    path = tmp_path / "job.json"
    path.write_bytes(b"x" * 10_000)
    outbox.write(PIECES, path)

    assert path.read_bytes() == WHOLE
    assert listed(tmp_path) == ["job.json"]


def test_a_save_that_fails_leaves_no_part(tmp_path: Path) -> None:
    """A directory that has come to stand under the name is an error, and nothing else is left."""
    (tmp_path / "job.json").mkdir()
    with pytest.raises(OSError, match=r"job\.json"):
        outbox.write(PIECES, tmp_path / "job.json")

    assert listed(tmp_path) == ["job.json"]


# --- whole runs ------------------------------------------------------------------------------


@pytest.fixture
def quick(run: Runner) -> Runner:
    """Whole runs with no plugins but the two that are needed."""
    run.env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    return run


def kept_jobs(folder: Path) -> list[Path]:
    """The jobs in a project's cache."""
    return sorted((folder / ".pytest_cache").rglob("job-*.json"))


def test_the_job_is_on_disk_without_the_token_while_it_is_sent(quick: Runner) -> None:
    """Kept before the first attempt: a kill at any moment leaves a job that can be sent."""
    on_disk: list[tuple[bytes, int]] = []
    usual = quick.server.dispatch

    def look(request: object) -> object:
        on_disk.extend(
            (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
            for path in kept_jobs(quick.folder)
        )
        return usual(request)  # type: ignore[arg-type]

    quick.server.dispatch = look  # type: ignore[method-assign, assignment]
    result = quick(*PLUGINS, "--coveralls")

    assert "sent 5 files" in result.stdout
    ((content, mode),) = on_disk
    (job,) = quick.server.jobs
    assert json.loads(content) == {k: v for k, v in job.items() if k != "repo_token"}
    assert COVERALLS_TOKEN.encode() not in content
    assert mode == 0o600 or sys.platform == "win32"
    assert kept_jobs(quick.folder) == []


def test_a_refused_job_stays_and_can_be_sent_later(quick: Runner) -> None:
    """The line that is printed is the command; afterwards the file is gone."""
    quick.server.respond(503)
    result = quick(*PLUGINS, "--coveralls")
    (kept,) = kept_jobs(quick.folder)
    later = quick("send", str(kept), module="pytest_coveralls_submit")

    shown = kept.relative_to(quick.folder)
    command = f"python -m pytest_coveralls_submit send {shown}"
    assert f"coveralls: kept in {shown}; send it with: {command}\n" in result.stdout
    assert result.returncode == 0
    assert later.returncode == 0, later.stdout
    assert len(quick.server.jobs) == 1
    assert kept_jobs(quick.folder) == []


def test_without_a_cache_the_job_is_kept_in_the_temporary_directory(
    quick: Runner, tmp_path: Path
) -> None:
    """``-p no:cacheprovider`` leaves nowhere else."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    quick.server.respond(503)
    result = quick(
        *PLUGINS, "--coveralls", "-p", "no:cacheprovider", env={"TMPDIR": str(temporary)}
    )

    assert f"kept in {temporary / 'job-77.json'}" in result.stdout
    assert json.loads((temporary / "job-77.json").read_bytes())["service_number"] == "77"


def test_a_job_that_cannot_be_kept_is_sent_all_the_same(quick: Runner, tmp_path: Path) -> None:
    """The disk is a precaution: without it the job goes out, and one line says so."""
    (quick.folder / ".pytest_cache").write_bytes(b"")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    (quick.folder / "tests" / "test_tidy.py").write_text(
        textwrap.dedent(
            """
            import os, shutil

            def test_that_tidies_too_much():
                shutil.rmtree(os.environ["TMPDIR"])
                open(os.environ["TMPDIR"], "x").close()
            """
        )
    )
    result = quick(*PLUGINS, "--coveralls", "-p", "no:warnings", env={"TMPDIR": str(temporary)})

    assert "the job could not be kept on disk" in result.stdout, result.stdout
    assert "sent 5 files" in result.stdout
    assert result.returncode == 0
