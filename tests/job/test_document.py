"""The job: documented fields, checked, written as JSON, read from files."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from pytest_coveralls_submit.errors import JobError
from pytest_coveralls_submit.job import document
from pytest_coveralls_submit.job.document import check_job, load_job, merge_file, to_json
from pytest_coveralls_submit.job.source_files import SourceFile
from pytest_coveralls_submit.secret import Secret
from pytest_coveralls_submit.text import escaped

SHA, DIGEST = "a" * 40, "0123456789abcdef" * 2
GIT = {"head": {"id": SHA}, "branch": "b", "remotes": [{"name": "origin", "url": "u"}]}


def entry(name: str = "a.js", **fields: Any) -> dict[str, Any]:
    return {"name": name, "source_digest": DIGEST, "coverage": [1, None, 0], **fields}


def a_job(**fields: Any) -> dict[str, Any]:
    return {"service_name": "ci", "source_files": [entry()], **fields}


def refusal(job: object) -> str:
    with pytest.raises(JobError) as caught:
        check_job(job)
    return str(caught.value)


def test_a_job_with_every_documented_field_passes() -> None:
    texts = dict.fromkeys(document.TEXTS, "x")
    git = {**GIT, "head": dict.fromkeys(document._COMMIT, "x")}
    file = entry(branches=[1, 0, 0, 1, 1, 0, 1, 0], source="a\nb\nc\n")
    job = {**texts, "parallel": False, "git": git, "source_files": [file]}

    assert check_job(job) == job
    assert len(document.TEXTS) == 16


NO_TEXTS: tuple[Any, ...] = ("", " \n", None, 7, True, ["x"], "\udc80")
NO_HITS: tuple[Any, ...] = (None, "1,0", [1.0], [True], [[1]])
NO_BRANCHES: tuple[Any, ...] = ([], [1, 0, 0, None], [1, 0, 0, True])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        *(({"run_at": value}, 'the job: "run_at" cannot be ') for value in NO_TEXTS),
        ({"parallel": "true"}, "the job: \"parallel\" cannot be 'true'"),
        ({"colour": "red"}, 'the job has a field "colour" that Coveralls does not document'),
        ({"repo_token": "x"}, 'the job has a field "repo_token" that '),
        ({"git": None}, 'the job: "git" is not an object'),
        ({"git": {}}, 'the job: "git" cannot be {}'),
        ({"git": {"head": {"id": 7}}}, 'the job: "git": "head": "id" cannot be 7'),
        ({"git": {"head": a_job()}}, '"head" has a field "service_name" that '),
        ({"git": {"remotes": []}}, '"remotes" cannot be []'),
        ({"git": {"remotes": ["origin"]}}, "\"remotes\" cannot be ['origin']"),
        ({"git": {"remotes": [{"fetch": "u"}]}}, '"remotes" has a field "fetch" that '),
    ],
)
def test_a_field_of_the_job_has_its_documented_type(fields: dict[str, Any], said: str) -> None:
    assert said in refusal(a_job(**fields))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        *(({"name": name}, '"name" cannot be ') for name in NO_TEXTS),
        *(({"coverage": hits}, '"coverage" cannot be ') for hits in NO_HITS),
        *(({"branches": branches}, '"branches" cannot be ') for branches in NO_BRANCHES),
        *(({"source": source}, '"source" cannot be ') for source in (None, 7, "\udc80")),
        ({"colour": "red"}, 'has a field "colour" that Coveralls does not document'),
    ],
)
def test_a_field_of_a_source_file_has_its_type(fields: dict[str, Any], said: str) -> None:
    told = refusal(a_job(source_files=[entry("first.js"), entry(**fields)]))

    assert told.startswith("source file 2")
    assert said in told


def test_missing_and_repeated_parts_are_named() -> None:
    jobs: tuple[Any, ...] = ({}, [], None, {"source_files": None}, {"source_files": {}})
    for job in jobs:
        assert refusal(job) == 'the job has no "source_files" list'
    nameless, bare = {"coverage": [1]}, {"name": "b.py"}
    assert refusal(a_job(source_files=[nameless])) == 'source file 1 has no "name"'
    assert refusal(a_job(source_files=[entry(), bare])) == 'source file 2 (b.py) has no "coverage"'
    assert refusal(a_job(source_files=[entry(), "a.py"])) == "source file 2 is not an object"
    assert refusal(a_job(source_files=[entry("a\x1b"), entry("a\x1b")])) == (
        r"source file 2 (a\x1b): another file has the same name"
    )


def test_a_job_reads_back_as_it_was_built() -> None:
    files = [
        SourceFile("b.py", [1, None, 0], [1, 0, 0, 1, 1, 0, 1, 0], DIGEST, source="é\n"),
        SourceFile("a.go", []),
    ]
    job = a_job(git=GIT, source_files=[file.as_json() for file in files[::-1]])
    read = json.loads(to_json(job))

    assert read == check_job(job) == job
    sent = document.with_token(to_json(job), Secret('"é'))
    assert json.loads(sent) == {"repo_token": '"é', **read}
    assert [SourceFile(**file) for file in read["source_files"]] == files[::-1]


def test_totals_count_lines_and_branches() -> None:
    some = {"name": "a.py", "coverage": [None, 0, 3], "branches": [2, 0, 0, 0, 2, 0, 1, 5]}
    job = {"source_files": [some, {"name": "c.py", "coverage": [1, 1, 1, 1]}]}

    totals = [("a.py", 2, 4, 1, 2), ("c.py", 4, 4, 4, 4)]
    assert [tuple(total) for total in document.file_totals(job)] == totals
    assert document.total_percent(job) == 75.0
    assert document.total_percent({"source_files": []}) == 100.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "job.json"


def write(path: Path, *files: dict[str, Any], **fields: Any) -> Path:
    path.write_text(json.dumps({**fields, "source_files": files}))
    return path


def load_refusal(path: Path) -> str:
    with pytest.raises(JobError) as caught:
        load_job(path)
    return str(caught.value)


def test_a_saved_job_is_read_without_its_token(path: Path) -> None:
    write(path, entry(), entry("b.js"), service_name="ci", repo_token="s3cret")

    assert load_job(path) == a_job(source_files=[entry(), entry("b.js")])


def test_source_files_alone_are_a_job(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the official client writes with ``--dry-run``; on Windows with a byte order mark."""
    content = b'\xef\xbb\xbf{"source_files": [{"name": "a.go", "coverage": [null, 3, 0]}]}'
    path.write_bytes(content)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))

    job = load_job(path)

    entry = {"name": "a.go", "coverage": [None, 3, 0]}
    assert job == load_job(Path("-")) == {"source_files": [entry]}


def test_a_file_that_is_not_a_job_is_named(path: Path, tmp_path: Path) -> None:
    assert load_refusal(path) == f"{path} cannot be read: No such file or directory"
    assert load_refusal(tmp_path).startswith(f"{tmp_path} cannot be read: ")
    for content in (b"", b"SF:a.js\nDA:1,1\n", b"\xff\xfe", b"[" * 100_000):
        path.write_bytes(content)
        assert load_refusal(path).startswith(f"{path} is not a JSON file: ")
    for content in (b"[]", b"null", b'"x"', b"{}", b"NaN"):
        path.write_bytes(content)
        assert load_refusal(path) == f'{path}: the job has no "source_files" list'


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs an endless file")
def test_an_endless_file_ends_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "SIZE_LIMIT", 8 * 1024**2)

    assert load_refusal(Path("/dev/zero")) == "/dev/zero: a job has at most 8 MiB"


@pytest.mark.parametrize(
    "content",
    [
        '{"source_files":[{"name":["' + "##vso[x]" * 99 + '"],"coverage":[]}]}',
        '{"source_files":[{"name":"##vso[x]","coverage":"x"}]}',
        '{"\\u001b]0;x\\n::error::":1,"source_files":[]}',
        '{"source_files":[],"git":{"branch":' + "[" * 900 + "]" * 900 + "}}",
    ],
)
def test_a_hostile_file_is_refused_in_one_short_clean_line(path: Path, content: str) -> None:
    path.write_text(content)

    said = load_refusal(path)

    assert said == escaped(said)
    assert len(said) < len(str(path)) + 300


MINE = SourceFile("a.js", [1, None, 0])


def test_files_of_another_tool_are_added_in_order(path: Path) -> None:
    write(path, entry("z.js", source="x\ny\nz\n"), entry(coverage=[0, 5, 0]), service_name="x")

    added = merge_file([SourceFile("c.py", [1]), MINE], path)

    assert [file.name for file in added] == ["a.js", "c.py", "z.js"]
    assert added[0].coverage == [1, 5, 0]
    assert added[2].source == "x\ny\nz\n"


def test_files_of_different_lengths_are_an_error_that_names_the_file(path: Path) -> None:
    write(path, entry(coverage=[1, 1]))

    with pytest.raises(JobError, match=r"job\.json: a\.js has 2 lines there and 3 here: "):
        merge_file([MINE], path)


def merged(path: Path, checkout: Path, *files: dict[str, Any]) -> dict[str, str | None]:
    """Merge files of another tool; name -> source text."""
    return {file.name: file.source for file in merge_file([], write(path, *files), checkout)}


def test_merged_files_get_their_text_from_the_checkout(path: Path, tmp_path: Path) -> None:
    """If the other tool gave none; a blank file is left out."""
    checkout = tmp_path / "checkout"
    (checkout / "web").mkdir(parents=True)
    for name, text in (("web/a.js", "let a\n"), ("own.js", "here\n"), ("blank.js", "\n")):
        (checkout / name).write_text(text)
    files = [entry("web/a.js"), entry("own.js", source="its\n"), entry("gone.js")]
    blank = [entry("blank.js", coverage=[None]), entry("empty.js", source="")]

    assert merged(path, checkout, *files, *blank) == {
        "web/a.js": "let a\n",
        "own.js": "its\n",
        "gone.js": None,
    }


def test_no_text_is_taken_from_outside_the_checkout(path: Path, tmp_path: Path) -> None:
    """The other tool's file may come from a fork and name any file of this machine."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (tmp_path / "secret").write_text("s3cret\n")
    (checkout / "link").symlink_to(tmp_path / "secret")
    names = ["../secret", str(tmp_path / "secret"), "link"]

    assert set(merged(path, checkout, *map(entry, names)).values()) == {None}
