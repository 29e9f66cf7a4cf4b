"""Jobs in files, which may be an attacker's: what is read of them, and what is added of them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_coveralls_submit.errors import JobError
from pytest_coveralls_submit.job import document, fields, other_tools
from pytest_coveralls_submit.job.other_tools import FILES_LIMIT, load, merge_file
from pytest_coveralls_submit.job.source_files import SourceFile
from pytest_coveralls_submit.text import escaped

DIGEST = "0123456789abcdef" * 2


def entry(name: str = "a.js", **fields: Any) -> dict[str, Any]:
    """A source file as it stands in a job."""
    return {"name": name, "source_digest": DIGEST, "coverage": [1, None, 0], **fields}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a job is saved."""
    return tmp_path / "job.json"


def write(path: Path, *files: dict[str, Any], **fields: Any) -> Path:
    """Save a job."""
    path.write_text(json.dumps({**fields, "source_files": files}))
    return path


def refusal(path: Path) -> str:
    """What is said about a file that is no job."""
    with pytest.raises(JobError) as caught:
        load(path)
    return str(caught.value)


# -- loading -----------------------------------------------------------------------------------


def test_a_saved_job_reads_back_without_its_token(path: Path) -> None:
    """The token to send with comes from the settings; another's is not kept in memory."""
    job = {"service_name": "ci", "parallel": True, "source_files": [entry(), entry("b.js")]}
    path.write_text(json.dumps({**job, "repo_token": "s3cret"}))

    assert load(path).as_job() == job


def test_the_official_reporters_format_is_a_job(path: Path) -> None:
    """``coveralls report --dry-run`` and others write source files alone, without digests.

    With a byte order mark, where they run on Windows.
    """
    path.write_bytes(b'\xef\xbb\xbf{"source_files": [{"name": "a.go", "coverage": [null, 3, 0]}]}')

    job = load(path)

    assert (job.identity, job.files) == ({}, (SourceFile("a.go", None, [None, 3, 0], []),))


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a job can be piped; without one that is said."""
    content = json.dumps({"source_files": [entry()]}).encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert load(Path("-")).as_job() == {"source_files": [entry()]}

    monkeypatch.setattr("sys.stdin", None)
    assert refusal(Path("-")) == "-: standard input is closed"


def test_a_file_that_cannot_be_read_is_named(path: Path, tmp_path: Path) -> None:
    """With the system's reason."""
    assert refusal(path) == f"{path} cannot be read: No such file or directory"
    assert refusal(tmp_path).startswith(f"{tmp_path} cannot be read: ")


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b'{"source_files": [', b"SF:a.js\nDA:1,1\n", b"\xff\xfe", b"[" * 100_000),
        *(b'{"source_files": [' + b"9" * 10_000 + b"]}", b'{"a":' * 100_000),
        *(b'{"source_files": [], "source_files": []}', b'{"git": {"branch": "a", "branch": "b"}}'),
    ],
    ids=["empty", "brace", "cut", "lcov", "bytes", "deep", "digits", "deeper", "twice", "inside"],
)
def test_a_file_that_is_no_json_is_named(path: Path, content: bytes) -> None:
    """A name twice is none either: what is checked must be what another program would read."""
    path.write_bytes(content)

    assert refusal(path).startswith(f"{path} is no JSON file: ")


@pytest.mark.parametrize("content", ["[]", "null", '"x"', "{}", '{"source_files": {}}', "NaN"])
def test_json_of_another_form_is_no_job(path: Path, content: str) -> None:
    """The list of source files is what makes one."""
    path.write_text(content)

    assert refusal(path) == f'{path}: this is no Coveralls job: it has no list "source_files"'


def test_a_field_that_is_not_documented_is_named_with_the_file(path: Path) -> None:
    """A file of another tool can be anything."""
    assert refusal(write(path, entry(), timestamp=1)) == (
        f'{path}: the job has a field "timestamp" that Coveralls does not document'
    )
    for number in ("NaN", "Infinity", "1e999", "-1", "1.0"):
        path.write_text(f'{{"source_files": [{{"name": "a.js", "coverage": [{number}]}}]}}')
        assert '(a.js): "coverage" cannot be [' in refusal(path)


def test_too_many_files_are_no_job(path: Path) -> None:
    """Counted before any of them is looked at."""
    path.write_text('{"source_files": [' + ",".join("0" * (FILES_LIMIT + 1)) + "]}")

    assert refusal(path) == f"{path}: a job has at most 100,000 source files"


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs an endless file")
def test_an_endless_file_ends_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device, or standard input that somebody fills for ever; here with a smaller limit."""
    assert other_tools.SIZE_LIMIT == 512 * 1024**2
    monkeypatch.setattr(other_tools, "SIZE_LIMIT", 8 * 1024**2)
    with Path("/dev/zero").open("rb") as endless:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=endless))

        for name in ("/dev/zero", "-"):
            assert refusal(Path(name)) == f"{name}: a job has at most 8 MiB"


LOADING = """
import resource, sys
from pathlib import Path
from pytest_coveralls_submit.job.other_tools import load

resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))
load(Path(sys.argv[1]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on memory")
def test_a_job_that_does_not_fit_into_memory_is_one_line(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small text may be large values."""
    path.write_text('{"source_files": [' + "[]," * 20_000_000 + "0]}")
    ended = subprocess.run(
        [sys.executable, "-c", LOADING, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.stderr.endswith(f"JobError: {path} does not fit into memory\n")

    def fill(_: int) -> bytes:
        raise MemoryError

    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=SimpleNamespace(read=fill)))
    assert refusal(Path("-")) == "- does not fit into memory"


ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        *("\x1b[2J\n", "##vso[task.setvariable]x", "::set-output::", "\ud800", "a\r\nb", "\0", ""),
        *(2**64, -1, 10**400, 1.5, float("nan"), float("inf"), True, None, [], {}, "../x", "C:x"),
    ]
)
VALUES = st.recursive(
    ODD | st.text() | st.integers() | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from([*fields.FIELDS, "repo_token", "::x", "a\nb"])
FILES = st.dictionaries(st.sampled_from([*fields.FILE_FIELDS, "\x1b"]), VALUES)
NEARLY = st.builds(lambda file: {**entry(), **file}, FILES)
JOBS = st.builds(
    lambda fields, files: {**fields, "source_files": files},
    st.dictionaries(FIELDS, VALUES, max_size=3),
    st.lists(NEARLY | VALUES, max_size=3) | VALUES,
)


@given(JOBS.map(json.dumps) | VALUES.map(json.dumps) | st.text() | st.binary())
@example('{"source_files":[{"name":"\\ud800","coverage":[]}]}')
@example('{"source_files":[{"name":["' + "##vso[x]" * 99 + '"],"coverage":[]}]}')
@example('{"\\u001b]0;x":1,"source_files":[]}')
def test_a_hostile_file_is_a_job_or_one_clean_line(
    tmp_path_factory: pytest.TempPathFactory, content: str | bytes
) -> None:
    """Never another exception; what passes can be sent, and holds no token but ours."""
    path = tmp_path_factory.getbasetemp() / "hostile.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "replace"))
    try:
        job = load(path)
    except JobError as error:
        said = str(error)
        assert said.startswith(str(path))
        assert said == escaped(said)
        assert len(said) < len(str(path)) + 1500
    else:
        again = json.loads(b"".join(document.pieces(job)))
        assert again == job.as_job()
        assert "repo_token" not in again


# -- merging -----------------------------------------------------------------------------------

MINE = SourceFile("a.js", DIGEST, [1, None, 0], [])


def test_files_of_another_tool_are_added_in_order(path: Path) -> None:
    """Sorted by name, with all that the tool said of them; those in both become one."""
    write(path, entry("z.js", source="x\ny\nz\n"), entry(coverage=[0, 5, 0]), service_name="x")

    added = merge_file([SourceFile("c.py", DIGEST, [1], []), MINE], path)

    assert [file.name for file in added] == ["a.js", "c.py", "z.js"]
    assert added[0].coverage == [1, 5, 0]
    assert added[2].source == "x\ny\nz\n"


def test_files_of_different_lengths_are_an_error_that_names_the_file(path: Path) -> None:
    """Half of the coverage would look like a drop."""
    write(path, entry(coverage=[1, 1]))

    with pytest.raises(JobError) as caught:
        merge_file([MINE], path)

    assert str(caught.value) == (
        f"{path}: a.js has 2 lines there and 3 here: "
        "they were measured on different versions of the file"
    )


# -- source text of merged files -----------------------------------------------------------------

TEXTLESS = pytest.mark.xfail(strict=True, reason="merged files get no source text")


def merged(path: Path, top: Path | None, *files: dict[str, Any]) -> dict[str, str | None]:
    """Merge files of another tool; name -> source text."""
    added: Any = merge_file
    return {file.name: file.source for file in added([], write(path, *files), top)}


@TEXTLESS
def test_merged_files_get_their_text_from_the_checkout(path: Path, tmp_path: Path) -> None:
    """Where it is there and the other tool gave none; a blank one is left out."""
    top = tmp_path / "top"
    (top / "web").mkdir(parents=True)
    for name, text in (("web/a.js", "let a\n"), ("own.js", "here\n"), ("blank.js", "\n")):
        (top / name).write_text(text)
    files = [entry("web/a.js"), entry("own.js", source="its\n"), entry("gone.js")]

    assert merged(path, top, *files, entry("blank.js", coverage=[None])) == {
        "web/a.js": "let a\n",
        "own.js": "its\n",
        "gone.js": None,
    }


@TEXTLESS
def test_merged_files_get_no_text_unless_it_is_asked_for(path: Path, tmp_path: Path) -> None:
    """``include_source`` is off."""
    (tmp_path / "a.js").write_text("let a\n")

    assert merged(path, None, entry("a.js")) == {"a.js": None}


@TEXTLESS
def test_no_text_is_taken_from_outside_the_checkout(path: Path, tmp_path: Path) -> None:
    """The other tool's file may come from a fork and name any file of this machine."""
    top = tmp_path / "top"
    top.mkdir()
    (tmp_path / "secret").write_text("s3cret\n")
    names = ["../secret", str(tmp_path / "secret"), "link"]
    (top / "link").symlink_to(tmp_path / "secret")

    assert set(merged(path, top, *map(entry, names)).values()) == {None}
