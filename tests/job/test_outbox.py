"""Jobs on disk: whole or not at all, for the user alone, in nobody's place, and not for ever."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from running import Runner
from standin import COVERALLS_TOKEN

from pytest_coveralls_submit.job import outbox

PIECES = (b'{"source_files":[', b'{"name":"a.py"}', b"]}\n")
TOP = Path("/srv/project")
WHOLE = b"".join(PIECES)
PLUGINS = ("-p", "pytest_cov", "-p", "pytest_coveralls_submit.plugin")
WITH_LETTERS = re.compile(r"job-77-\w{8}\.json")

posix = pytest.mark.skipif(sys.platform == "win32", reason="modes, links and users are POSIX's")


def keep(*folders: Path) -> Path | None:
    """Keep the job in the first folder that takes it."""
    return outbox.keep(PIECES, folders, "job-77")


def listed(folder: Path) -> list[str]:
    """The names of all that is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def aged(path: Path, seconds: float) -> Path:
    """Write a file that is so old."""
    path.write_bytes(b"{}")
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))
    return path


def refused(folder: Path, program: str) -> str:
    """Run a program in ``folder`` as a user whom the disk can refuse something; what it prints."""
    setup = (
        "import os, sys\nfrom pathlib import Path\n"
        "from pytest_coveralls_submit.job import outbox\n"
        "folder = Path()\nif os.geteuid() == 0:\n    os.setgid(65534); os.setuid(65534)\n"
    )
    command = [sys.executable, "-c", setup + textwrap.dedent(program)]
    ended = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    return ended.stdout + ended.stderr


# -- keeping -----------------------------------------------------------------------------------


def test_a_kept_job_is_whole_under_the_name_it_was_given(tmp_path: Path) -> None:
    """The pieces in their order, in a folder that is made, and nothing else there."""
    folder = tmp_path / "one" / "two"
    path = keep(folder)

    assert path == folder / "job-77.json"
    assert path.read_bytes() == WHOLE
    assert listed(folder) == ["job-77.json"]


@pytest.mark.parametrize(
    ("identity", "stem"),
    [
        ({"service_number": "7/../x y"}, "job-7-..-x-y"),
        ({"service_number": "9" * 200}, f"job-{'9' * 80}"),
        ({"service_number": "\u4e03\U0001f980"}, "job---"),
        ({"commit_sha": "5e837cc" + "0" * 33}, "job-5e837cc"),
        ({}, "job-local"),
    ],
)
def test_a_kept_job_is_named_after_its_build(identity: dict[str, str], stem: str) -> None:
    """Else after its commit; nothing in it is a path, and every file system takes it."""
    assert outbox.stem_of(identity) == stem


@posix
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_a_kept_job_is_for_the_user_alone(tmp_path: Path, mask: int) -> None:
    """Mode 0600 in a folder of mode 0700, whatever the umask."""
    before = os.umask(mask)
    try:
        kept = keep(tmp_path / "new")
        outbox.write([WHOLE], tmp_path / "saved.json")
    finally:
        os.umask(before)

    assert kept is not None
    paths = (kept.parent, kept, tmp_path / "saved.json")
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o700, 0o600, 0o600]


def test_no_job_takes_the_place_of_another(tmp_path: Path) -> None:
    """Two runs of one build keep two files; what was there stays as it was."""
    (tmp_path / "job-77.json").write_bytes(b"another's")
    paths = [keep(tmp_path), keep(tmp_path)]

    assert len(set(paths)) == 2
    for path in paths:
        assert path is not None
        assert WITH_LETTERS.fullmatch(path.name)
        assert path.read_bytes() == WHOLE
    assert (tmp_path / "job-77.json").read_bytes() == b"another's"


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
for number in range(5):
    text = f"{os.getpid()} {number}".encode()
    print(outbox.keep([text], [Path(sys.argv[1])], "job-77"))
"""


@pytest.mark.parametrize("links", ["with", "without"])
def test_runs_at_the_same_time_keep_a_job_each(tmp_path: Path, links: str) -> None:
    """Parallel tox environments share a cache: every job is there in the end.

    Also on a file system that knows no hard links, as FAT and some network shares.
    """
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

    texts = {path.read_text() for path in tmp_path.iterdir()}
    assert texts == {f"{run.pid} {number}" for run in runs for number in range(5)}
    assert sorted(path for lines in said for path in lines) == sorted(map(str, tmp_path.iterdir()))


@pytest.mark.parametrize("error", [ValueError, MemoryError, KeyboardInterrupt])
def test_a_job_that_is_being_written_is_hidden_and_leaves_nothing(
    tmp_path: Path, error: type[BaseException]
) -> None:
    """``pytest --looponfail`` starts again for any file that does not begin with a dot."""
    names: list[str] = []

    def pieces() -> Iterator[bytes]:
        yield PIECES[0]
        names.extend(listed(tmp_path))
        raise error

    with pytest.raises(error):
        outbox.write(pieces(), tmp_path / "saved.json")
    assert listed(tmp_path) == []
    assert [name[0] for name in names] == ["."]


# -- folders that take nothing -----------------------------------------------------------------


def test_the_next_folder_is_tried_where_one_takes_nothing(tmp_path: Path) -> None:
    """A file in place of the cache directory, above it, a path that cannot be; else None."""
    file = tmp_path / "file"
    file.write_bytes(b"")
    bad = (file, file / "below", tmp_path / ("x" * 300), Path("/proc/self"))

    assert keep(*bad) is None
    assert keep(*bad, tmp_path / "good") == tmp_path / "good" / "job-77.json"
    assert listed(tmp_path) == ["file", "good"]


@posix
def test_a_read_only_folder_is_passed_over(tmp_path: Path) -> None:
    """Neither a new file nor a new folder is made in it, and nothing is raised."""
    tmp_path.chmod(0o555)
    try:
        said = refused(
            tmp_path,
            "print(outbox.keep([b'x'], [folder, folder / 'new'], 'job-1'), outbox.waiting(folder))",
        )
    finally:
        tmp_path.chmod(0o755)

    assert said == "None ()\n"


@posix
def test_a_full_disk_leaves_no_part_and_the_next_folder_is_tried(tmp_path: Path) -> None:
    """What could not be written whole is removed again."""
    program = """
        import resource, sys
        from pathlib import Path
        from pytest_coveralls_submit.job import outbox

        class Pieces(list):
            calls = 0

            def __iter__(self):
                Pieces.calls += 1
                limit = 100_000 if Pieces.calls == 1 else resource.RLIM_INFINITY
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
                return super().__iter__()

        print(outbox.keep(Pieces([b"x" * 1000] * 1000), map(Path, sys.argv[1:]), "job-77"))
    """
    full, roomy = tmp_path / "full", tmp_path / "roomy"
    command = [sys.executable, "-c", textwrap.dedent(program), str(full), str(roomy)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert result.stdout.splitlines() == [str(roomy / "job-77.json")], result.stderr
    assert listed(full) == []
    assert (roomy / "job-77.json").stat().st_size == 1_000_000


# -- a directory that everybody writes to ------------------------------------------------------


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A directory like ``/tmp``."""
    path = tmp_path / "shared"
    path.mkdir()
    path.chmod(0o1777)
    return path


@posix
def test_jobs_lie_in_a_folder_of_the_users_own(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named after the user, readable by nobody else, also where it was there with another mode."""
    monkeypatch.setenv("LOGNAME", "Ada/../é")
    folder = outbox.own_folder(shared, TOP)
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)

    kept = keep(folder)

    assert kept is not None
    assert re.fullmatch(r"pytest-coveralls-submit-of-Ada-\.\.---project-[0-9a-f]{8}", folder.name)
    assert kept == folder / "job-77.json"
    assert outbox.own_folder(shared, Path("/elsewhere/project")) != folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert outbox.waiting(folder) == (kept,)


@posix
def test_a_user_without_a_name_has_a_folder_too(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container may run as a number alone."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)

    def unknown(_: int) -> NoReturn:
        raise KeyError

    monkeypatch.setattr("pwd.getpwuid", unknown)

    name = outbox.own_folder(shared, TOP).name
    assert name.startswith(f"pytest-coveralls-submit-of-{os.getuid()}-project-")


@posix
def test_a_link_in_place_of_the_folder_is_not_followed(shared: Path, tmp_path: Path) -> None:
    """Who may write beside it could lead the job, and the removing of old ones, elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "job-1.json").touch()
    outbox.own_folder(shared, TOP).symlink_to(elsewhere)

    assert keep(outbox.own_folder(shared, TOP)) is None
    assert outbox.waiting(outbox.own_folder(shared, TOP)) == ()
    assert listed(elsewhere) == ["job-1.json"]


@posix
def test_a_folder_that_another_user_made_is_not_used(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies in it is not offered to be sent either: it would go out with our token."""
    folder = shared / "of-us"
    folder.mkdir()
    (folder / "job-1.json").touch()
    folder.chmod(0o777)
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)

    assert keep(folder) is None
    assert outbox.waiting(folder) == ()
    assert listed(folder) == ["job-1.json"]


@posix
def test_a_link_under_the_jobs_name_is_not_followed(tmp_path: Path) -> None:
    """It may wait for the job, and points nowhere."""
    (tmp_path / "job-77.json").symlink_to(tmp_path / "elsewhere")
    path = keep(tmp_path)

    assert path is not None
    assert WITH_LETTERS.fullmatch(path.name)
    assert not (tmp_path / "elsewhere").exists()


# -- how many wait -----------------------------------------------------------------------------


def test_the_newest_jobs_of_a_folder_stay(tmp_path: Path) -> None:
    """Twenty, the one just kept among them; what is no job of ours stays whatever its age."""
    jobs = [aged(tmp_path / f"job-{n}.json", 100 + n) for n in range(25)]
    other = {aged(tmp_path / name, 9e6).name for name in ("notes.json", "job-1.txt", ".part")}
    (tmp_path / "job-of-a-folder.json").mkdir()

    kept = keep(tmp_path)

    assert outbox.waiting(tmp_path) == (kept, *jobs[:19])
    assert {*listed(tmp_path)} - {path.name for path in jobs} == (
        other | {"job-77.json", "job-of-a-folder.json"}
    )


def test_half_written_jobs_go_after_a_day(tmp_path: Path) -> None:
    """Killed runs leave them; one that is being written is younger."""
    aged(tmp_path / ".job-old.part", outbox.DAY + 60)
    writing = aged(tmp_path / ".job-new.part", outbox.DAY - 60)
    ahead = aged(tmp_path / ".job-ahead.part", -9e6)

    keep(tmp_path)

    assert listed(tmp_path) == sorted([writing.name, ahead.name, "job-77.json"])


def test_the_job_that_was_just_kept_stays(tmp_path: Path) -> None:
    """Whatever the others claim: a clock may have been wrong, or a disk comes from elsewhere."""
    for number in range(25):
        aged(tmp_path / f"job-{number}.json", -86_400 - number)

    kept = keep(tmp_path)

    assert kept is not None
    assert kept.exists()
    assert len(listed(tmp_path)) == 20


def test_a_folder_holds_its_jobs_the_oldest_first(tmp_path: Path) -> None:
    """``send FOLDER`` sends them in the order of the runs, one level down too; a file is itself."""
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    elsewhere.mkdir()
    (elsewhere / "job-1.json").touch()
    with contextlib.suppress(OSError):
        (tmp_path / "link").symlink_to(elsewhere)
    old, new = aged(tmp_path / "job-9.json", 9), aged(tmp_path / "job-10.json", 1)
    down = aged(tmp_path / "sub" / "job-1.json", 5)
    for name in (".job-x.part", "notes.json", "sub/deep/job-1.json"):
        (tmp_path / name).touch()
    with contextlib.suppress(OSError):
        (tmp_path / "job-link.json").symlink_to(old)

    assert outbox.jobs_in(tmp_path) == (old, down, new)
    assert outbox.jobs_in(new) == (new,)
    assert outbox.jobs_in(tmp_path / "nothing") == (tmp_path / "nothing",)
    assert outbox.waiting(tmp_path / "nothing") == ()


DAY = 24 * 60 * 60.0
FOR_EVER = pytest.mark.xfail(strict=True, reason="kept jobs stay for ever")


@FOR_EVER
def test_a_kept_job_is_advertised_for_fourteen_days(tmp_path: Path) -> None:
    """Later nobody wants its coverage any more."""
    young = aged(tmp_path / "job-1.json", 13.9 * DAY)
    aged(tmp_path / "job-2.json", 14.1 * DAY)

    assert outbox.waiting(tmp_path, before=time.time()) == (young,)


@FOR_EVER
def test_kept_jobs_are_removed_after_fourteen_days(tmp_path: Path) -> None:
    """By the next job that is kept."""
    aged(tmp_path / "job-1.json", 13.9 * DAY)
    aged(tmp_path / "job-2.json", 14.1 * DAY)

    keep(tmp_path)

    assert listed(tmp_path) == ["job-1.json", "job-77.json"]


# -- once it is accepted -----------------------------------------------------------------------


@posix
def test_an_accepted_job_is_removed_if_it_is_a_regular_file(tmp_path: Path) -> None:
    """Links, as ``/dev/stdin`` is one, and pipes of the shell stay, and that is nothing to tell."""
    job, link, pipe = tmp_path / "job.json", tmp_path / "link", tmp_path / "pipe"
    job.touch()
    link.symlink_to(job)
    os.mkfifo(pipe)

    for path in (link, pipe, tmp_path, Path("/dev/stdin")):
        assert outbox.remove(path) is None
        assert path.exists() or path == Path("/dev/stdin")
    assert job.exists()
    assert outbox.remove(job) is None
    assert outbox.remove(job) is None
    assert listed(tmp_path) == ["link", "pipe"]


@posix
def test_a_job_that_cannot_be_removed_is_told(tmp_path: Path) -> None:
    """In a read-only folder, or another user's; accepted is accepted."""
    (tmp_path / "job.json").touch()
    tmp_path.chmod(0o555)
    try:
        said = refused(tmp_path, "print(outbox.remove(folder / 'job.json'))")
    finally:
        tmp_path.chmod(0o755)

    assert said == "job.json was accepted and cannot be removed: Permission denied\n"


def test_a_file_that_somebody_has_open_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows does not remove it then, nor put another in its place."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise PermissionError(errno.EACCES, "The process cannot access the file")

    path = aged(tmp_path / "job.json", 0)
    for name in ("unlink", "rename", "replace"):
        monkeypatch.setattr(Path, name, refuse)

    assert outbox.remove(path) == (
        f"{path} was accepted and cannot be removed: The process cannot access the file"
    )
    with pytest.raises(PermissionError):
        outbox.write(PIECES, path)
    assert keep(tmp_path) == tmp_path / "job-77.json"
    assert path.read_bytes() == b"{}"


@pytest.mark.xfail(strict=True, reason="the empty folder stays")
@pytest.mark.parametrize("place", [outbox.own_folder(Path(), TOP), Path("cache/d/coveralls")])
def test_no_empty_folder_of_ours_stays(tmp_path: Path, place: Path) -> None:
    """In the temporary directory and in pytest's cache."""
    kept = keep(tmp_path / place)

    assert kept is not None
    assert outbox.remove(kept) is None
    assert not (tmp_path / place).exists()


def test_a_folder_stays_if_it_is_the_users_or_holds_another_job(tmp_path: Path) -> None:
    """The user named the one; the other has something to send."""
    ours = outbox.own_folder(tmp_path, TOP)
    jobs = [keep(ours), keep(ours), keep(tmp_path / "saved")]

    for job in jobs[1:]:
        assert job is not None
        assert outbox.remove(job) is None
    assert listed(ours) == ["job-77.json"]
    assert listed(tmp_path / "saved") == []


# -- files the user names ----------------------------------------------------------------------


def test_a_saved_job_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    """``save`` names one file: the last run's job is in it, whole."""
    path = tmp_path / "job.json"
    path.write_bytes(b"x" * 10_000)
    outbox.write(PIECES, path)

    assert path.read_bytes() == WHOLE
    assert listed(tmp_path) == ["job.json"]


def test_a_save_that_fails_leaves_no_part(tmp_path: Path) -> None:
    """A directory that has come to stand under the name is an error, a missing one as well."""
    (tmp_path / "job.json").mkdir()
    for path in (tmp_path / "job.json", tmp_path / "missing" / "job.json"):
        with pytest.raises(OSError, match=r"missing|job\.json"):
            outbox.write(PIECES, path)

    assert listed(tmp_path) == ["job.json"]


@posix
@pytest.mark.parametrize("there", [True, False])
def test_of_a_link_the_target_is_replaced(tmp_path: Path, there: bool) -> None:
    """Whole or not at all as well; the link stays."""
    target, link = tmp_path / "folder" / "job.json", tmp_path / "link.json"
    target.parent.mkdir()
    if there:
        target.write_bytes(b"old")
    link.symlink_to(target)

    outbox.write(PIECES, link)

    assert link.is_symlink()
    assert target.read_bytes() == WHOLE
    assert (listed(tmp_path), listed(target.parent)) == (["folder", "link.json"], ["job.json"])


@posix
def test_into_a_pipe_the_job_is_written(tmp_path: Path) -> None:
    """Whoever reads gets it, however large; without a reader it is an error, and no wait."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="No such device or address"):
        outbox.write(PIECES, pipe)

    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
    writing = threading.Thread(target=_until_read, args=(pipe, [b"x" * 1000] * 1000))
    writing.start()
    assert reader.communicate(timeout=60)[0] == b"x" * 1_000_000
    writing.join()
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def _until_read(pipe: Path, pieces: list[bytes]) -> None:
    while True:
        with contextlib.suppress(OSError):
            return outbox.write(pieces, pipe)


@posix
def test_into_a_device_the_job_is_written(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """A superuser's run must not leave a file in its place, nor cut off what was printed before.

    Here the standard output is a file.
    """
    link = tmp_path / "link"
    link.symlink_to("/dev/null")
    os.write(1, b"before\n")

    for path in (Path("/dev/stdout"), Path("/dev/stderr"), link):
        before = path.lstat()
        outbox.write(PIECES, path)
        assert (path.lstat().st_mode, path.lstat().st_ino) == (before.st_mode, before.st_ino)

    os.write(1, b"after\n")
    assert capfdbinary.readouterr() == (b"before\n" + WHOLE + b"after\n", WHOLE)
    assert listed(tmp_path) == ["link"]


# -- a whole run -------------------------------------------------------------------------------


def kept_jobs(folder: Path) -> list[Path]:
    """The jobs in a project's cache."""
    return sorted((folder / ".pytest_cache").rglob("job-*.json"))


def test_the_job_is_on_disk_without_the_token_while_it_is_sent(run: Runner) -> None:
    """Kept before the first attempt: a kill at any moment leaves a job that can be sent."""
    on_disk: list[tuple[bytes, int]] = []
    usual = run.server.dispatch

    def look(request: object) -> object:
        on_disk.extend(
            (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) for path in kept_jobs(run.folder)
        )
        return usual(request)  # type: ignore[arg-type]

    run.server.dispatch = look  # type: ignore[method-assign, assignment]
    result = run(*PLUGINS, "--coveralls", env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})

    assert "sent 5 files" in result.stdout
    ((content, mode),) = on_disk
    (job,) = run.server.jobs
    assert json.loads(content) == {k: v for k, v in job.items() if k != "repo_token"}
    assert COVERALLS_TOKEN.encode() not in content
    assert mode == 0o600 or sys.platform == "win32"
    assert kept_jobs(run.folder) == []
