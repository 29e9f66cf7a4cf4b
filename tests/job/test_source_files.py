"""Source files of a job: lines, digest, hits, branches, text, and what is left out."""

from __future__ import annotations

import hashlib
import json
from array import array
from pathlib import Path
from typing import Any

import coverage
import pytest

from pytest_coveralls_submit.job.names import Names
from pytest_coveralls_submit.job.source_files import (
    SourceFile,
    SourceFiles,
    merge,
    read_source_files,
)
from pytest_coveralls_submit.measurement.measure import FileCoverage


def measured(path: Path, hit: Any = (), missed: Any = (), branches: Any = None) -> FileCoverage:
    flat = None if branches is None else array("i", branches)
    return FileCoverage(str(path), array("i", hit), array("i", missed), flat)


def reading(folder: Path, *files: FileCoverage, include_source: bool = False) -> SourceFiles:
    """Read files that are named relative to ``folder``."""
    return read_source_files(files, Names(folder), include_source=include_source)


def a_file(folder: Path, content: bytes, *analysis: Any, name: str = "a.py") -> FileCoverage:
    path = folder / name
    path.write_bytes(content)
    return measured(path, *analysis)


def only(found: SourceFiles) -> SourceFile:
    (file,) = found.files
    return file


TEXTS = {
    "plain": b"a = 1\nb = 2\n",
    "form feed": b"a = 1\n\x0c\nb = 2\n",
    "U+2028 in text": 'a = "x\u2028y"\nb = 2\n'.encode(),
    "all three": b"a = 1\r\nb = 2\rc = 3\n",
    "CR CR LF": b"a = 1\r\r\nb = 2\n",
    "BOM and CRLF": b"\xef\xbb\xbfa = 1\r\nb = 2\r\n",
    "latin-1 by its cookie": b"# -*- coding: latin-1 -*-\na = '\xe9'\n\x0c\nb = '\x85'\n",
    "continued": b"a = (1,\n\x0c 2)\nb = \\\n 3\n",
}


@pytest.mark.parametrize("content", TEXTS.values(), ids=TEXTS)
def test_each_line_has_what_coverages_json_says_of_it(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(content)
    cov = coverage.Coverage(data_file=None, config_file=False, include=[str(path)])
    code = compile(content, str(path), "exec")
    cov.start()
    try:
        exec(code, {})
    finally:
        cov.stop()
    cov.json_report(outfile=str(tmp_path / "report.json"))
    (said,) = json.loads((tmp_path / "report.json").read_text())["files"].values()

    file = only(reading(tmp_path, measured(path, said["executed_lines"], said["missing_lines"])))

    assert [at for at, hit in enumerate(file.coverage, 1) if hit == 1] == said["executed_lines"]
    assert [at for at, hit in enumerate(file.coverage, 1) if hit == 0] == said["missing_lines"]
    assert file.source_digest == hashlib.md5(content).hexdigest()


def test_lines_that_the_file_no_longer_has_are_dropped_and_told(tmp_path: Path) -> None:
    file = a_file(tmp_path, b"a = 1\nb = 2\n", [1, 5], [2, 9], [2, 1, 9, 0])

    found = reading(tmp_path, file)

    assert only(found).coverage == [1, 0]
    assert only(found).branches == [2, 0, 0, 1]
    assert found.notices == ("a.py was changed after it was measured: it has no line 9 any more",)


def test_an_entry_has_nothing_empty_but_its_lines(tmp_path: Path) -> None:
    for branches in (None, ()):
        made: Any = only(reading(tmp_path, a_file(tmp_path, b"", [], [], branches))).as_json()
        digest = "d41d8cd98f00b204e9800998ecf8427e"
        assert made == {"name": "a.py", "source_digest": digest, "coverage": []}


def test_the_branches_of_each_line_are_counted_from_nought(tmp_path: Path) -> None:
    branches = [1, 1, 1, 0, 1, 1, 4, 0, 4, 1]

    made = only(reading(tmp_path, a_file(tmp_path, b"\n" * 9, [], [], branches))).branches

    quadruples = [made[at : at + 4] for at in range(0, len(made), 4)]
    assert quadruples == [[1, 0, 0, 1], [1, 0, 1, 0], [1, 0, 2, 1], [4, 0, 0, 0], [4, 0, 1, 1]]


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.py", "é = 1\n".encode(), "é = 1\n"),
        ("a.py", b"# coding: latin-1\na = '\xe9'\n", "# coding: latin-1\na = 'é'\n"),
        ("a.pyw", b"\xef\xbb\xbfa = 1\n", "a = 1\n"),
        ("a.py", b"a = 1\r\nb = 2\rc = 3\n", "a = 1\nb = 2\nc = 3\n"),
        ("page.html", b"\xe9\n", "\ufffd\n"),
    ],
)
def test_source_text_is_decoded_as_the_file_says(
    tmp_path: Path, name: str, content: bytes, text: str
) -> None:
    file = a_file(tmp_path, content, [1], name=name)

    assert only(reading(tmp_path, file, include_source=True)).as_json()["source"] == text
    assert only(reading(tmp_path, file)).source is None


@pytest.mark.parametrize("content", [b"", b" \t\r\n\x0c", b"\xef\xbb\xbf", "\u3000\n".encode()])
def test_a_blank_file_is_left_out_with_source_text_only(tmp_path: Path, content: bytes) -> None:
    """OpenCov refuses the whole job for one empty ``__init__.py``."""
    blank = a_file(tmp_path, content, name="__init__.py")
    other = a_file(tmp_path, b"x = 1\n", [1])

    found = reading(tmp_path, blank, other, include_source=True)

    assert only(found).name == "a.py"
    assert (found.unreadable, found.notices) == ({}, ())
    assert len(reading(tmp_path, blank, other).files) == 2


@pytest.mark.parametrize("include_source", [True, False])
def test_what_cannot_be_read_is_left_out_and_named(tmp_path: Path, include_source: bool) -> None:
    """With source text also Python files that cannot be decoded."""
    good = a_file(tmp_path, b"x = 1\n", [1])
    gone = measured(tmp_path / "gone.py", [1])
    undecodable = [
        a_file(tmp_path, b"a = '\xe9'\n", [1], name="utf.py"),
        a_file(tmp_path, b"# coding: klingon\na = 1\n", [1], name="klingon.py"),
    ]

    found = reading(tmp_path, gone, *undecodable, good, include_source=include_source)

    left_out = [gone, *undecodable] if include_source else [gone]
    assert list(found.unreadable) == [file.path for file in left_out]
    assert all(found.unreadable.values())
    assert len(found.files) == 4 - len(left_out)


def test_a_file_that_was_measured_twice_gets_the_larger_hits(tmp_path: Path) -> None:
    """In place and as an installed copy."""
    text = b"if a:\n    b\nc\n"
    (tmp_path / "site-packages").mkdir()
    files = [
        a_file(tmp_path, text, [1, 3], [2], [1, 0, 1, 1]),
        a_file(tmp_path, text, [1, 2], [3], [1, 1, 1, 0], name="site-packages/a.py"),
    ]

    found = reading(tmp_path, *files)

    assert only(found).coverage == [1, 1, 1]
    assert only(found).branches == [1, 0, 0, 1, 1, 0, 1, 1]
    assert found.notices == ()


def test_of_two_files_with_different_lengths_the_first_is_sent(tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    one = a_file(tmp_path, b"a\nb\n", [1], [2])
    other = a_file(tmp_path, b"a\n", [1], name="build/a.py")
    names = Names(tmp_path, base_dir="build")

    found = read_source_files([one, other], names, include_source=False)

    assert only(found).coverage == [1, 0]
    assert found.notices == ("a.py was measured twice with different contents; one is sent",)


def entry(**changes: Any) -> SourceFile:
    return SourceFile(**{"name": "a.js", "coverage": [1, None, 0], **changes})


@pytest.mark.parametrize(
    ("one", "other", "merged"),
    [
        ({"coverage": [None, None, 0]}, {"coverage": [None, 0, 1]}, {"coverage": [None, 0, 1]}),
        ({"coverage": [3, 0, 0]}, {"coverage": [2, None, 7]}, {"coverage": [3, 0, 7]}),
        ({"source_digest": "0"}, {"source_digest": "1"}, {"source_digest": "0"}),
        ({}, {"source_digest": "1", "source": "a\n"}, {"source_digest": "1", "source": "a\n"}),
        ({"branches": [1, 0, 0, 1]}, {}, {"branches": [1, 0, 0, 1]}),
        (
            {"branches": [1, 0, 0, 2, 1, 0, 1, 0, 2, 0, 0, 0]},
            {"branches": [3, 0, 0, 1, 1, 0, 0, 0, 1, 0, 1, 7]},
            {"branches": [1, 0, 0, 2, 1, 0, 1, 7, 2, 0, 0, 0, 3, 0, 0, 1]},
        ),
    ],
)
def test_two_measurements_become_one(
    one: dict[str, Any], other: dict[str, Any], merged: dict[str, Any]
) -> None:
    before = entry(**one)

    assert merge(before, entry(**other)) == entry(**merged)
    assert before == entry(**one)
