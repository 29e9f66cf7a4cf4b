"""Jobs in files: what is read of them, and how two measurements of one file become one."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_coveralls_submit.errors import JobError
from pytest_coveralls_submit.job.other_tools import load, merge

DIGEST = "0123456789abcdef" * 2


def entry(name: str = "a.js", **fields: Any) -> dict[str, Any]:
    """A source file."""
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


def test_a_saved_job_reads_back(path: Path) -> None:
    """As it was written."""
    write(path, entry(), entry("b.js"), service_name="ci", parallel=True)

    expected = {"service_name": "ci", "parallel": True, "source_files": [entry(), entry("b.js")]}
    assert load(path) == expected


def test_the_official_reporters_format_is_a_job(path: Path) -> None:
    """``coveralls report --dry-run`` and others write source files alone, without digests."""
    path.write_text('{"source_files": [{"name": "a.go", "coverage": [null, 3, 0]}]}')

    assert load(path) == {"source_files": [{"name": "a.go", "coverage": [None, 3, 0]}]}


def test_a_token_in_a_file_is_dropped(path: Path) -> None:
    """The one to send with comes from the settings; another's is not kept in memory."""
    write(path, entry(), repo_token="s3cret", service_name="ci")

    assert load(path) == {"service_name": "ci", "source_files": [entry()]}


@pytest.mark.parametrize("text", ["-"])
def test_a_dash_is_standard_input(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a job can be piped."""
    content = json.dumps({"source_files": [entry()]}).encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))

    assert load(Path(text)) == {"source_files": [entry()]}


def test_a_byte_order_mark_is_no_damage(path: Path) -> None:
    """Tools on Windows write one."""
    path.write_bytes(b'\xef\xbb\xbf{"source_files": []}')

    assert load(path) == {"source_files": []}


def test_a_missing_file_is_named(path: Path) -> None:
    """With the system's reason."""
    assert refusal(path) == f"{path} cannot be read: No such file or directory"


def test_a_directory_is_named(tmp_path: Path) -> None:
    """With the system's reason."""
    assert refusal(tmp_path).startswith(f"{tmp_path} cannot be read: ")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"source_files": [', b"SF:a.js\nDA:1,1\n", b"\xff\xfe", b"[" * 100_000],
    ids=["empty", "brace", "cut off", "lcov", "bytes", "deep"],
)
def test_a_damaged_file_is_named(path: Path, content: bytes) -> None:
    """Whatever is in it."""
    path.write_bytes(content)

    assert refusal(path).startswith(f"{path} is no JSON file: ")


@pytest.mark.parametrize(
    "content", ["[]", "null", '"x"', "{}", '{"source_files": {}}', '{"source_files": null}']
)
def test_json_of_another_form_is_no_job(path: Path, content: str) -> None:
    """The list of source files is what makes one."""
    path.write_text(content)

    assert refusal(path) == f'{path} is no Coveralls job: it has no list "source_files"'


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"timestamp": 1}, 'the job has a field "timestamp" that Coveralls does not document'),
        ({"service_name": ""}, 'the job: "service_name" cannot be ""'),
    ],
)
def test_fields_that_are_not_documented_are_named_with_the_file(
    path: Path, fields: dict[str, Any], message: str
) -> None:
    """A file of another tool can be anything."""
    assert refusal(write(path, entry(), **fields)) == f"{path}: {message}"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_numbers_that_json_does_not_have_are_refused(path: Path, number: str) -> None:
    """They could not be sent either."""
    path.write_text(f'{{"source_files": [{{"name": "a.js", "coverage": [{number}]}}]}}')

    assert refusal(path).startswith(f"{path}")


# -- merging -----------------------------------------------------------------------------------


def test_files_of_another_tool_are_added_in_order(path: Path) -> None:
    """Sorted by name, with all that the tool said of them."""
    write(path, entry("z.js", source="x\ny\nz\n"), entry("b.js"), service_name="other-ci")

    merged = merge([entry("c.py"), entry("a.py")], path)

    assert [file["name"] for file in merged] == ["a.py", "b.js", "c.py", "z.js"]
    assert merged[3]["source"] == "x\ny\nz\n"


def test_a_file_in_both_gets_the_larger_hits(path: Path) -> None:
    """Line by line; a line that is relevant to either is relevant."""
    write(path, entry(coverage=[5, 0, None, None, 0]))

    (merged,) = merge([entry(coverage=[1, 1, 0, None, None])], path)

    assert merged == entry(coverage=[5, 1, 0, None, 0])


def test_branches_in_both_get_the_larger_hits(path: Path) -> None:
    """Each by line, block and number; those of one side alone are kept."""
    write(path, entry(branches=[1, 0, 0, 0, 1, 0, 1, 7, 3, 0, 0, 1]))

    (merged,) = merge([entry(branches=[1, 0, 0, 2, 1, 0, 1, 0, 2, 0, 0, 0])], path)

    assert merged["branches"] == [1, 0, 0, 2, 1, 0, 1, 7, 2, 0, 0, 0, 3, 0, 0, 1]


def test_branches_of_one_side_alone_are_kept(path: Path) -> None:
    """The other tool may measure lines only, or we may."""
    write(path, entry())

    (merged,) = merge([entry(branches=[1, 0, 0, 1])], path)
    (turned,) = merge([entry()], write(path, entry(branches=[1, 0, 0, 1])))

    assert merged["branches"] == turned["branches"] == [1, 0, 0, 1]


def test_our_own_digest_is_kept(path: Path) -> None:
    """It was made of the file that is there now."""
    write(path, entry(source_digest="f" * 32))

    (merged,) = merge([entry()], path)

    assert merged["source_digest"] == DIGEST


def test_files_of_different_lengths_are_an_error_that_names_both(path: Path) -> None:
    """File, name and both lengths."""
    write(path, entry(coverage=[1, 1]))

    with pytest.raises(JobError) as caught:
        merge([entry(coverage=[1, 1, 1])], path)

    assert str(caught.value) == (
        f"{path}: a.js has 2 lines there and 3 here: "
        "they were measured on different versions of the file"
    )


def test_merging_changes_neither_side(path: Path) -> None:
    """What was measured is still what it was."""
    mine = entry(branches=[1, 0, 0, 0])
    before = json.loads(json.dumps(mine))
    write(path, entry(coverage=[9, 9, 9], branches=[1, 0, 0, 9]))

    merge([mine], path)

    assert mine == before


HITS = st.lists(st.none() | st.integers(0, 9), min_size=3, max_size=3)
BRANCHES = st.dictionaries(
    st.tuples(st.integers(1, 3), st.integers(0, 1), st.integers(0, 2)), st.integers(0, 9)
).map(lambda found: [n for identity, hits in found.items() for n in (*identity, hits)])


@given(HITS, HITS, BRANCHES, BRANCHES)
def test_merging_twice_is_merging_once(
    tmp_path_factory: pytest.TempPathFactory,
    one: list[int | None],
    other: list[int | None],
    some: list[int],
    more: list[int],
) -> None:
    """A file that is named twice adds nothing the second time."""
    path = tmp_path_factory.getbasetemp() / "merged-twice.json"
    mine = {"name": "a.js", "coverage": one, **({"branches": some} if some else {})}
    write(path, {"name": "a.js", "coverage": other, **({"branches": more} if more else {})})

    once = merge([mine], path)

    assert merge(once, path) == once
