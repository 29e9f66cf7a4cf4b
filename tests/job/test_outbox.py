"""Jobs on disk: whole, for the user alone, in nobody's place, not for ever."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from pytest_coveralls_submit.job import outbox

JOB = b'{"source_files":[{"name":"a.py"}]}'
TOP = Path("/srv/project")
NOW = 2_000_000_000.0
DAY = 24 * 60 * 60.0

posix = pytest.mark.skipif(sys.platform == "win32", reason="modes, links and users are POSIX's")


def keep(*folders: Path) -> Path | None:
    return outbox.keep(JOB, folders, "job-77")


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def aged(path: Path, seconds: float) -> Path:
    path.write_bytes(b"{}")
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))
    return path


@pytest.mark.parametrize(
    ("job", "stem"),
    [
        ({"service_number": "7/../x y"}, "job-7-..-x-y"),
        ({"service_number": "9" * 200}, f"job-{'9' * 80}"),
        ({"commit_sha": "5e837cc" + "0" * 33}, "job-5e837cc"),
        ({}, "job-local"),
    ],
)
def test_a_kept_job_is_named_after_its_build(job: dict[str, str], stem: str) -> None:
    assert outbox.job_stem(job) == stem


@posix
@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_a_kept_job_is_whole_and_for_the_user_alone(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        kept = keep(tmp_path / "one" / "two")
        outbox.write(JOB, tmp_path / "saved.json")
    finally:
        os.umask(before)

    assert kept == tmp_path / "one" / "two" / "job-77.json"
    assert kept.read_bytes() == (tmp_path / "saved.json").read_bytes() == JOB
    paths = (kept.parent, kept, tmp_path / "saved.json")
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o700, 0o600, 0o600]
    assert listed(kept.parent) == ["job-77.json"]


def test_no_job_takes_the_place_of_another(tmp_path: Path) -> None:
    (tmp_path / "job-77.json").write_bytes(b"another's")
    for number in (1, 2):
        path = keep(tmp_path)
        assert path is not None
        assert re.fullmatch(r"job-77-\w{8}\.json", path.name)
        assert path.read_bytes() == JOB
        assert len(listed(tmp_path)) == 1 + number
    assert (tmp_path / "job-77.json").read_bytes() == b"another's"


def test_the_next_folder_is_tried_where_one_takes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    bad = (file, file / "below", tmp_path / ("x" * 300))

    assert keep(*bad) is None
    assert keep(*bad, tmp_path / "good") == tmp_path / "good" / "job-77.json"
    assert listed(tmp_path) == ["file", "good"]


@posix
def test_each_repository_has_a_folder_that_only_the_user_can_read(tmp_path: Path) -> None:
    folder = outbox.own_folder(tmp_path, Path("/srv/my project"))
    folder.mkdir()
    folder.chmod(0o777)

    assert keep(folder) == folder / "job-77.json"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert re.fullmatch(r"pytest-coveralls-submit-of-\d+-my-project-[0-9a-f]{8}", folder.name)
    assert outbox.own_folder(tmp_path, Path("/elsewhere/my project")) != folder


@posix
@pytest.mark.parametrize("attack", ["owner", "link"])
def test_a_folder_that_another_user_made_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attack: str
) -> None:
    """Its jobs are not advertised either: they would be sent with our token."""
    folder, elsewhere = outbox.own_folder(tmp_path, TOP), tmp_path / "elsewhere"
    if attack == "link":
        elsewhere.mkdir()
        folder.symlink_to(elsewhere)
    else:
        folder.mkdir()
        monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    aged(folder / "job-1.json", 0)

    assert keep(folder) is None
    assert outbox.kept_jobs(folder, before=NOW) == ()
    assert listed(folder) == ["job-1.json"]


def test_the_newest_jobs_of_a_folder_stay(tmp_path: Path) -> None:
    """Twenty, the new one among them; other files stay."""
    jobs = [aged(tmp_path / f"job-{n}.json", 100 + n) for n in range(25)]
    for name in ("notes.json", "job-1.txt"):
        aged(tmp_path / name, 90 * DAY)

    keep(tmp_path)

    kept = {"job-77.json", *(path.name for path in jobs[:19])}
    assert {*listed(tmp_path)} == kept | {"notes.json", "job-1.txt"}


def test_jobs_are_removed_after_fourteen_days(tmp_path: Path) -> None:
    for name, days in (("job-1.json", 13.9), ("job-2.json", 14.1)):
        aged(tmp_path / name, days * DAY)

    keep(tmp_path)

    assert listed(tmp_path) == ["job-1.json", "job-77.json"]


def test_jobs_of_earlier_runs_are_advertised_for_fourteen_days(tmp_path: Path) -> None:
    for number, days in ((1, 14.1), (2, 13.9), (3, 1), (4, -0.1)):
        path = aged(tmp_path / f"job-{number}.json", 0)
        os.utime(path, (NOW - days * DAY, NOW - days * DAY))

    kept = outbox.kept_jobs(tmp_path, before=NOW)

    assert [path.name for path in kept] == ["job-2.json", "job-3.json"]
    assert outbox.kept_jobs(tmp_path / "nothing", before=NOW) == ()


def test_a_folder_holds_its_jobs_the_oldest_first(tmp_path: Path) -> None:
    """Also one level down, as downloads of artifacts leave them; a file is itself."""
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    old, new = aged(tmp_path / "job-9.json", 9), aged(tmp_path / "job-10.json", 1)
    down = aged(tmp_path / "sub" / "job-1.json", 5)
    for name in (".job-x", "notes.json", "sub/deep/job-1.json"):
        (tmp_path / name).touch()
    if sys.platform != "win32":
        (tmp_path / "job-link.json").symlink_to(old)

    assert outbox.jobs_in(tmp_path) == (old, down, new)
    assert outbox.jobs_in(new) == (new,)
    assert outbox.jobs_in(tmp_path / "nothing") == (tmp_path / "nothing",)


@posix
def test_an_accepted_job_is_removed_if_it_is_a_regular_file(tmp_path: Path) -> None:
    job, link = tmp_path / "job.json", tmp_path / "link"
    job.touch()
    link.symlink_to(job)

    for path in (link, tmp_path, Path("/dev/stdin")):
        assert outbox.remove(path) is None
    assert listed(tmp_path) == ["job.json", "link"]
    assert outbox.remove(job) is None
    assert outbox.remove(job) is None
    assert listed(tmp_path) == ["link"]


def refuse(*_: object, **__: object) -> NoReturn:
    """Fail as on Windows where another program has the file open."""
    raise PermissionError(errno.EACCES, "Permission denied")


def test_a_job_that_cannot_be_removed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = aged(tmp_path / "job.json", 0)
    monkeypatch.setattr(Path, "unlink", refuse)

    assert outbox.remove(path) == f"{path} was accepted but cannot be removed: Permission denied"


@pytest.mark.parametrize("place", [outbox.own_folder(Path(), TOP), Path("d/coveralls")])
def test_no_empty_folder_of_ours_stays(tmp_path: Path, place: Path) -> None:
    """In the temporary directory and in pytest's cache; the user's own folder stays."""
    for job in (keep(tmp_path / "saved"), keep(tmp_path / place), keep(tmp_path / place)):
        assert job is not None
        assert (tmp_path / place).is_dir()
        assert outbox.remove(job) is None

    assert listed(tmp_path) == ["saved"]


def test_a_file_that_cannot_be_replaced_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "job.json").write_bytes(b"old")
    monkeypatch.setattr(Path, "replace", refuse)

    with pytest.raises(PermissionError):
        outbox.write(JOB, tmp_path / "job.json")

    assert keep(tmp_path) is None
    assert listed(tmp_path) == ["job.json"]
    assert (tmp_path / "job.json").read_bytes() == b"old"


@posix
def test_a_saved_job_follows_links_and_replaces_no_device(tmp_path: Path) -> None:
    link, null = tmp_path / "link.json", tmp_path / "null"
    (tmp_path / "job.json").write_bytes(b"x" * 10_000)
    link.symlink_to(tmp_path / "job.json")
    null.symlink_to("/dev/null")

    for path in (link, null):
        outbox.write(JOB, path)
        assert path.is_symlink()
    assert (tmp_path / "job.json").read_bytes() == JOB
    assert not Path("/dev/null").is_file()
