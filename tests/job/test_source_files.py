"""From an analysis to source files: lines, digest, hits, branches, and what is left out."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from array import array
from collections.abc import Callable, Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

import coverage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_coveralls_submit.errors import JobError
from pytest_coveralls_submit.job.source_files import Reading, SourceFile, count_lines, merge, read
from pytest_coveralls_submit.measurement.recorder import FileCoverage


def measured(
    path: Path,
    executed: Iterable[int] = (),
    missing: Iterable[int] = (),
    branches: Iterable[int] | None = None,
) -> FileCoverage:
    """The analysis of a file."""
    return FileCoverage(
        str(path),
        array("i", executed),
        array("i", missing),
        None if branches is None else array("i", branches),
    )


def below(folder: Path) -> Callable[[str], str | None]:
    """Names relative to ``folder``; None outside."""

    def name_of(path: str) -> str | None:
        name = os.path.relpath(path, folder).replace(os.sep, "/")
        return None if name.startswith("..") else name

    return name_of


def reading(folder: Path, *files: FileCoverage, include_source: bool = False) -> Reading:
    """Read files that are named relative to ``folder``."""
    return read(files, below(folder), include_source=include_source)


def only(found: Reading) -> SourceFile:
    """The one file that was read."""
    (file,) = found.files
    return file


# -- lines -------------------------------------------------------------------------------------

TEXTS = {
    "plain": b"a = 1\nb = 2\n",
    "no final newline": b"a = 1\nb = 2",
    "empty": b"",
    "one newline": b"\n",
    "blank lines at the end": b"a = 1\n\n\n",
    "form feed": b"a = 1\n\x0c\nb = 2\n",
    "vertical tab in text": b'a = "x\x0by"\nb = 2\n',
    "U+2028 in text": 'a = "x\u2028y"\nb = 2\n'.encode(),
    "U+0085 in text": 'a = "x\u0085y"\nb = 2\n'.encode(),
    "file separator in text": b'a = "x\x1cy"\nb = 2\n',
    "CR alone": b"a = 1\rb = 2\r",
    "CR alone, no final end": b"a = 1\rb = 2",
    "CRLF": b"a = 1\r\nb = 2\r\n",
    "CRLF, no final end": b"a = 1\r\nb = 2",
    "all three": b"a = 1\r\nb = 2\rc = 3\n",
    "CR CR LF": b"a = 1\r\r\nb = 2\n",
    "BOM": b"\xef\xbb\xbfa = 1\nb = 2\n",
    "BOM and CRLF": b"\xef\xbb\xbfa = 1\r\nb = 2\r\n",
    "latin-1 by its cookie": b"# -*- coding: latin-1 -*-\na = '\xe9'\n\x0c\nb = '\x85'\n",
    "continued": b"a = (1,\n\x0c 2)\nb = \\\n 3\n",
    "100,000 lines": b"a = 1\n" + b"# and on\n" * 99_998 + b"b = 2\n",
}


@pytest.mark.parametrize("kind", [kind for kind in TEXTS if TEXTS[kind].strip()])
def test_each_line_has_what_coverages_json_says_of_it(kind: str, tmp_path: Path) -> None:
    """A whole run: module, coverage.py, its JSON report, and the entry made of it."""
    path = tmp_path / "module.py"
    path.write_bytes(TEXTS[kind])
    cov = coverage.Coverage(data_file=None, config_file=False, include=[str(path)])
    code = compile(path.read_bytes(), str(path), "exec")
    cov.start()
    try:
        exec(code, {})
    finally:
        cov.stop()
    cov.json_report(outfile=str(tmp_path / "report.json"))
    (said,) = json.loads((tmp_path / "report.json").read_text())["files"].values()

    found = reading(tmp_path, measured(path, said["executed_lines"], said["missing_lines"]))

    hits = only(found).coverage
    assert [at for at, hit in enumerate(hits, 1) if hit == 1] == said["executed_lines"]
    assert [at for at, hit in enumerate(hits, 1) if hit == 0] == said["missing_lines"]
    assert max(said["executed_lines"]) <= len(hits)
    assert found.unreadable == {}


@given(st.lists(st.sampled_from([b"x", b"\n", b"\r", b"\r\n", b"\x0c", b"\xe2\x80\xa8"])))
def test_lines_end_with_any_of_three_ends_and_nothing_else(parts: list[bytes]) -> None:
    """Counted against Python's own splitting of bytes, which knows the same three."""
    content = b"".join(parts)

    assert count_lines(content) == len(content.splitlines())


def test_lines_that_the_file_no_longer_has_are_dropped_and_told(tmp_path: Path) -> None:
    """A file that was changed by a test is sent as it is, and that is said."""
    path = tmp_path / "a.py"
    path.write_text("a = 1\nb = 2\n")

    found = reading(tmp_path, measured(path, [1, 5], [2, 9], [2, 1, 9, 0]))

    assert only(found).coverage == [1, 0]
    assert only(found).branches == [2, 0, 0, 1]
    assert found.notices == ("a.py was changed after it was measured: it has no line 9 any more",)


def test_a_lone_cr_is_told(tmp_path: Path) -> None:
    """Git and Coveralls count such lines differently."""
    path = tmp_path / "a.py"
    path.write_bytes(b"a = 1\rb = 2\r\n")

    found = reading(tmp_path, measured(path, [1, 2]))

    assert only(found).coverage == [1, 1]
    assert found.notices == ("a.py has line ends that git and Coveralls do not count (a lone CR)",)


def test_an_empty_file_is_an_entry_without_lines(tmp_path: Path) -> None:
    """As coverage.py reports it."""
    path = tmp_path / "__init__.py"
    path.touch()

    made = only(reading(tmp_path, measured(path)))

    assert made == SourceFile("__init__.py", "d41d8cd98f00b204e9800998ecf8427e", [], [])


# -- the entry ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "CRLF", "BOM", "latin-1 by its cookie"])
def test_the_digest_is_over_the_bytes_as_they_are(kind: str, tmp_path: Path) -> None:
    """Neither line ends nor encoding are changed before."""
    path = tmp_path / "a.py"
    path.write_bytes(TEXTS[kind])

    assert only(reading(tmp_path, measured(path, [1]))).digest == (
        hashlib.md5(TEXTS[kind]).hexdigest()
    )


def test_an_entry_has_what_was_measured_and_nothing_empty(tmp_path: Path) -> None:
    """Branches and source only where there are some."""
    path = tmp_path / "a.py"
    path.write_text("if a:\n    b\nc\n")

    without = only(reading(tmp_path, measured(path, [1, 3], [2])))
    with_branches = only(reading(tmp_path, measured(path, [1, 3], [2], [1, 0, 1, 1])))
    with_none = only(reading(tmp_path, measured(path, [1, 3], [2], [])))

    digest = hashlib.md5(path.read_bytes()).hexdigest()
    expected: Any = {"name": "a.py", "source_digest": digest, "coverage": [1, 0, 1]}
    assert without.as_json() == with_none.as_json() == expected
    assert with_branches.as_json() == {**expected, "branches": [1, 0, 0, 0, 1, 0, 1, 1]}


def test_the_branches_of_each_line_are_counted_from_nought(tmp_path: Path) -> None:
    """Line, block 0, number within the line, hits."""
    path = tmp_path / "a.py"
    path.write_text("\n" * 9)

    made = only(reading(tmp_path, measured(path, branches=[1, 1, 1, 0, 1, 1, 4, 0, 4, 1])))

    quadruples = [made.branches[at : at + 4] for at in range(0, len(made.branches), 4)]
    assert quadruples == [[1, 0, 0, 1], [1, 0, 1, 0], [1, 0, 2, 1], [4, 0, 0, 0], [4, 0, 1, 1]]


def test_files_are_sorted_by_name(tmp_path: Path) -> None:
    """The same job for the same run, whatever the order of measuring."""
    for name in ("b.py", "a.py", "c.py"):
        (tmp_path / name).write_text("x = 1\n")

    found = reading(
        tmp_path, *(measured(tmp_path / name, [1]) for name in ("b.py", "c.py", "a.py"))
    )

    assert [file.name for file in found.files] == ["a.py", "b.py", "c.py"]


# -- source text -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.py", "é = 1\n".encode(), "é = 1\n"),
        ("a.py", b"# coding: latin-1\na = '\xe9'\n", "# coding: latin-1\na = 'é'\n"),
        ("a.pyw", b"\xef\xbb\xbfa = 1\n", "a = 1\n"),
        ("a.py", b"a = 1\r\nb = 2\rc = 3\n", "a = 1\nb = 2\nc = 3\n"),
        ("page.html", "é\n".encode(), "é\n"),
        ("page.html", b"\xe9\n", "\ufffd\n"),
    ],
)
def test_source_text_is_decoded_as_the_file_says(
    tmp_path: Path, name: str, content: bytes, text: str
) -> None:
    """PEP 263's cookie for Python, UTF-8 for all else; lines end as the server knows them."""
    path = tmp_path / name
    path.write_bytes(content)

    made = only(reading(tmp_path, measured(path, [1]), include_source=True))

    assert made.source == text
    assert made.as_json()["source"] == text


@pytest.mark.parametrize("content", [b"a = '\xe9'\n", b"# coding: klingon\na = 1\n"])
def test_a_python_file_that_cannot_be_decoded_is_left_out_and_named(
    tmp_path: Path, content: bytes
) -> None:
    """It stops no other file."""
    bad, good = tmp_path / "bad.py", tmp_path / "good.py"
    bad.write_bytes(content)
    good.write_text("x = 1\n")

    found = reading(tmp_path, measured(bad, [1]), measured(good, [1]), include_source=True)

    assert [file.name for file in found.files] == ["good.py"]
    assert list(found.unreadable) == [str(bad)]


def test_without_source_text_a_file_need_not_decode(tmp_path: Path) -> None:
    """Its digest is over bytes."""
    path = tmp_path / "a.py"
    path.write_bytes(b"a = '\xe9'\n")

    assert only(reading(tmp_path, measured(path, [1]))).source is None


BLANK = [b"", b"\n\n", b" \t\r\n\x0c", b"\xef\xbb\xbf", "\u3000\n".encode()]


@pytest.mark.parametrize("content", BLANK)
def test_a_blank_file_is_left_out_with_source_text(tmp_path: Path, content: bytes) -> None:
    """OpenCov refuses the whole job for one empty ``__init__.py``."""
    blank, other = tmp_path / "__init__.py", tmp_path / "a.py"
    blank.write_bytes(content)
    other.write_text("x = 1\n")

    found = reading(tmp_path, measured(blank), measured(other, [1]), include_source=True)

    assert only(found).name == "a.py"
    assert (found.unreadable, found.notices) == ({}, ())


@pytest.mark.parametrize("content", BLANK)
def test_a_blank_file_is_sent_without_source_text(tmp_path: Path, content: bytes) -> None:
    """Coveralls takes it, and coverage.py reports it."""
    blank = tmp_path / "__init__.py"
    blank.write_bytes(content)

    assert only(reading(tmp_path, measured(blank))).name == "__init__.py"


# -- what is left out --------------------------------------------------------------------------


def gone(path: Path) -> None:
    """Nothing is there."""


def pipe(path: Path) -> None:
    """A pipe that nobody writes to."""
    os.mkfifo(path)


def endless(path: Path) -> None:
    """A link to a device without an end."""
    path.symlink_to("/dev/zero")


def forbidden(path: Path) -> None:
    """A file that may not be read."""
    path.touch(mode=0)


UNREADABLE: list[Any] = [gone, Path.mkdir]
if sys.platform != "win32":
    UNREADABLE += [pipe, endless]
    if os.geteuid() != 0:
        UNREADABLE.append(forbidden)


@pytest.mark.parametrize("make", UNREADABLE)
def test_what_cannot_be_read_is_left_out_and_named(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    """Tests make modules, remove them, put other things in their place; the rest is read."""
    path, good = tmp_path / "a.py", tmp_path / "good.py"
    make(path)
    good.write_text("x = 1\n")

    found = reading(tmp_path, measured(path, [1]), measured(good, [1]))

    assert only(found).name == "good.py"
    assert list(found.unreadable) == [str(path)]
    assert found.unreadable[str(path)]


def test_a_path_that_is_none_is_left_out_and_named() -> None:
    """Generated code may be called anything."""
    found = read([measured(Path("a\0b.py"), [1])], lambda path: path, include_source=False)

    assert list(found.unreadable) == ["a\0b.py"]


def test_a_file_outside_is_counted_and_not_read(tmp_path: Path) -> None:
    """Not even looked for."""
    (tmp_path / "top").mkdir()
    outside = tmp_path / "elsewhere.py"

    found = reading(tmp_path / "top", measured(outside, [1]))

    assert (found.files, found.outside, found.unreadable) == ((), (str(outside),), {})


# -- twice under one name ----------------------------------------------------------------------


def test_a_file_that_was_measured_twice_gets_the_larger_hits(tmp_path: Path) -> None:
    """Once in place and once as installed copy: what either ran counts."""
    paths = [tmp_path / "src.py", tmp_path / "installed.py"]
    for path in paths:
        path.write_text("if a:\n    b\nc\n")
    files = [
        measured(paths[0], [1, 3], [2], [1, 0, 1, 1]),
        measured(paths[1], [1, 2], [3], [1, 1, 1, 0]),
    ]

    found = read(files, lambda _: "pkg/a.py", include_source=False)

    assert only(found).coverage == [1, 1, 1]
    assert only(found).branches == [1, 0, 0, 1, 1, 0, 1, 1]
    assert found.notices == ()


def test_two_files_of_different_lengths_under_one_name_are_not_mixed(tmp_path: Path) -> None:
    """The first is kept, and that is said."""
    paths = [tmp_path / "src.py", tmp_path / "installed.py"]
    for path, text in zip(paths, ("a\nb\n", "a\n"), strict=True):
        path.write_text(text)
    files = [measured(paths[0], [1], [2]), measured(paths[1], [1])]

    found = read(files, lambda _: "pkg/a.py", include_source=False)

    assert only(found).coverage == [1, 0]
    assert found.notices == ("pkg/a.py was measured twice with different contents; one is sent",)


def entry(**changes: Any) -> SourceFile:
    """The entry of a file of three lines."""
    fields = {"name": "a.js", "digest": None, "coverage": [1, None, 0], "branches": [], **changes}
    return SourceFile(**fields)


@pytest.mark.parametrize(
    ("one", "other", "merged"),
    [
        ({"coverage": [None, None, 0]}, {"coverage": [None, 0, 1]}, {"coverage": [None, 0, 1]}),
        ({"coverage": [3, 0, 0]}, {"coverage": [2, None, 7]}, {"coverage": [3, 0, 7]}),
        ({"digest": "0" * 32}, {"digest": "1" * 32}, {"digest": "0" * 32}),
        ({}, {"digest": "1" * 32, "source": "a\n"}, {"digest": "1" * 32, "source": "a\n"}),
        ({"source": ""}, {"source": "a\n"}, {"source": ""}),
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
    """The larger hits of each line and branch; relevant beats not; the first's text and digest."""
    assert merge(entry(**one), entry(**other)) == entry(**merged)


def test_measurements_of_different_lengths_are_an_error_that_names_both() -> None:
    """The file and both lengths."""
    with pytest.raises(JobError) as caught:
        merge(entry(coverage=[1]), entry())

    assert str(caught.value) == (
        "a.js has 3 lines there and 1 here: they were measured on different versions of the file"
    )


HITS = st.lists(st.none() | st.integers(0, 9), min_size=3, max_size=3)
BRANCHES = st.dictionaries(
    st.tuples(st.integers(1, 3), st.integers(0, 1), st.integers(0, 2)), st.integers(0, 9)
).map(lambda found: [n for identity, hits in sorted(found.items()) for n in (*identity, hits)])
ENTRIES = st.builds(entry, coverage=HITS, branches=BRANCHES)


@given(ENTRIES, ENTRIES)
def test_merging_knows_no_order_and_once_is_enough(one: SourceFile, other: SourceFile) -> None:
    """Whichever was measured first, and however often it is named; neither is changed."""
    before = deepcopy((one, other))

    merged = merge(one, other)

    assert merged == merge(other, one) == merge(merged, other)
    assert (one, other) == before
