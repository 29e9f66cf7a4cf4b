"""Diffs read as git writes them, and what of the changed lines is covered."""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import BytesIO

import pytest
from git_repository import Repository, needs_git, posix
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_coveralls_submit.identity.diff import start_diff
from pytest_coveralls_submit.measurement.changed import Change, Counted, changed_lines, parse
from pytest_coveralls_submit.outcome import ChangedFile, ChangedLines

TWO = [range(1, 3)]

# --- what git prints -------------------------------------------------------------------------


def a_diff(*hunks: str, name: str = "b/a.py", old: str = "a/a.py") -> bytes:
    """The diff of one file."""
    lines = [f"diff --git {old} {name}", "index 1234567..89abcde 100644", f"--- {old}"]
    return "\n".join([*lines, f"+++ {name}", *hunks, ""]).encode()


@pytest.mark.parametrize(
    ("hunks", "changed"),
    [
        (["@@ -1 +1 @@", "-a", "+b"], [range(1, 2)]),
        (["@@ -3,0 +4,2 @@ def f():", "+a", "+b"], [range(4, 6)]),
        (["@@ -0,0 +1,2 @@", "+a", "+b"], TWO),
        (["@@ -1 +1,2 @@", "-a", "+b", "+c", "@@ -9 +10 @@", "-x", "+y"], [*TWO, range(10, 11)]),
        (["@@ -1 +1 @@", "-a", r"\ No newline at end of file", "+b"], [range(1, 2)]),
        (["@@ -1 +1 @@", "-a", "+b", r"\ No newline at end of file"], [range(1, 2)]),
        (["@@ -1 +1 @@", "-a\r", "+b\r"], [range(1, 2)]),
        (["@@ -1 +1,2 @@", "--- a", "+++ b", "+", "@@ -3 +4 @@", "-", "+"], [*TWO, range(4, 5)]),
        (["@@ -1 +1,2 @@", "-diff --git a/b b/b", "+@@ -7 +7 @@", "+\\ No newline"], TWO),
    ],
)  # fmt: skip
def test_the_new_side_of_a_hunk_counts(hunks: list[str], changed: list[range]) -> None:
    """Content is skipped by its count, so that it may look like a header."""
    assert parse(a_diff(*hunks)) == {"a.py": Change(changed, "89abcde")}


@pytest.mark.parametrize(
    "diff",
    [
        b"",
        b"diff --git a/a.py b/a.py\n",  # what diff-index says of a file that was only touched
        b"diff --git a/a.py b/a.py\nold mode 100644\nnew mode 100755\n",
        b"diff --git a/a.py b/b.py\nsimilarity index 100%\nrename from a.py\nrename to b.py\n",
        b"diff --git a/e.py b/e.py\nnew file mode 100644\nindex 0000000..e69de29\n",
        b"diff --git a/a b/a\nBinary files a/a and b/a differ\n",
        a_diff("@@ -1,2 +0,0 @@", "-a", "-b", name="/dev/null"),
        a_diff("@@ -3,2 +2,0 @@", "-a", "-b"),
        a_diff("@@ -1 +1 @@", "-a", "+b", name="elsewhere"),
    ],
)
def test_what_adds_no_line_changes_none(diff: bytes) -> None:
    """Deleted, moved, of another mode, empty: no line is new."""
    assert parse(diff) == {}


@pytest.mark.parametrize("length", range(0, 130, 3))
def test_a_diff_that_ends_early_is_read_as_far_as_it_goes(length: int) -> None:
    """Nothing is raised, whatever is cut off."""
    whole = a_diff("@@ -1 +1,2 @@", "-a", "+b", "+c", "@@ -9 +10 @@", "-x", "+y")
    assert set(parse(whole[:length])) <= {"a.py", "a.p", "a.", "a", ""}


@pytest.mark.parametrize(
    ("printed", "name"),
    [
        ("b/a b.py\t", "a b.py"),
        (r'"b/quo\"te \\ \t\n\r\a\b\v\f.py"', 'quo"te \\ \t\n\r\a\b\v\f.py'),
        (r'"b/\303\274.py"', "ü.py"),
        ("b/ü.py", "ü.py"),
        (r'"b/latin-\351.py"', os.fsdecode(b"latin-\xe9.py") if os.name != "nt" else None),
        ("b/b/b.py", "b/b.py"),
        ('b/it"s.py', 'it"s.py'),
    ],
)
def test_names_are_unquoted(printed: str, name: str | None) -> None:
    """As git ls-files -z and the file system spell them."""
    diff = a_diff("@@ -1 +1 @@", "-a", "+b", name=printed)
    assert name is None or parse(diff) == {name: Change([range(1, 2)], "89abcde")}


# --- held against git itself -----------------------------------------------------------------

NAMES = [
    *(b"a.py", b"dir/deep.py", b"b/b.py", b"with space.py", b"end ", b'quo"te.py', b"back\\slash"),
    *(b"tab\t.py", b"new\nline.py", b"\r", b"+++ b", b"-dash", b"\xc3\xbc.py", b"\xe9.py"),
]
LINES = [
    *(b"", b"same", b"other", b"\r", b"crlf\r", b"\0binary", b"\xff", b"+++ b/a.py", b"--- a/a.py"),
    *(b"@@ -1 +1 @@", b"\\ No newline at end of file", b"diff --git a/a.py b/a.py"),
]
MODES = [b"100644", b"100644", b"100644", b"100755", b"120000", b"160000"]

Content = tuple[bytes, tuple[bytes, ...], bool]
"""Mode, lines, and whether the last one ends."""
contents: st.SearchStrategy[Content] = st.tuples(
    st.sampled_from(MODES), st.lists(st.sampled_from(LINES), max_size=12).map(tuple), st.booleans()
)
trees = st.dictionaries(st.sampled_from(NAMES), contents, max_size=4)


@st.composite
def changes(draw: st.DrawFn) -> tuple[dict[bytes, Content], dict[bytes, Content]]:
    """Two states of a work tree; files of the first are in the second, edited or moved."""
    before = draw(trees)
    after = draw(trees)
    for mode, lines, ends in before.values():
        name, place = draw(st.sampled_from(NAMES)), draw(st.integers(0, 12))
        inserted = draw(st.lists(st.sampled_from(LINES), max_size=2))
        edited = (*lines[:place], *inserted, *lines[place + draw(st.integers(0, 2)) :])
        after[name] = (mode, edited, ends)
    return before, after


def text_of(content: Content) -> bytes:
    """A file's bytes."""
    mode, lines, ends = content
    if mode == b"160000":
        return b"Subproject commit\n"  # in place of a file
    text = b"\n".join(lines) + (b"\n" if ends and lines else b"")
    return text.replace(b"\0", b"") if mode == b"120000" else text  # no link leads there


def lines_of(content: Content) -> list[bytes]:
    """A file's lines, as git counts them."""
    return BytesIO(text_of(content)).readlines()


def imported(branch: str, tree: dict[bytes, Content]) -> Iterator[bytes]:
    """Yield what makes git fast-import a commit of this tree."""
    yield f"commit refs/heads/{branch}\ncommitter A <a@b> 0 +0000\ndata 0\ndeleteall\n".encode()
    for name, content in tree.items():
        quoted = b'"' + b"".join(b"\\%03o" % byte for byte in name) + b'"'
        if content[0] == b"160000":
            number = (len(content[1]) + 1).to_bytes(20, "big").hex().encode()
            yield b"M 160000 %s %s\n" % (number, quoted)
        else:
            text = text_of(content)
            yield b"M %s inline %s\ndata %d\n%s\n" % (content[0], quoted, len(text), text)


def added_by_git(repository: Repository) -> dict[str, int | None]:
    """How many lines git says were added, by the name after the change; None: it is binary."""
    options = ("-r", "-z", "-M", "--diff-algorithm=myers", "--ignore-submodules=all")
    said = repository.git_bytes("diff-tree", "--numstat", *options, "old", "new")
    entries = iter(said.split(b"\0"))
    counts: dict[str, int | None] = {}
    for entry in filter(None, entries):
        added, _, path = entry.split(b"\t", 2)
        name = path or (next(entries), next(entries))[1]  # of a moved file both names follow
        counts[os.fsdecode(name)] = None if added == b"-" else int(added)
    return counts


def is_subsequence(few: list[bytes], many: list[bytes]) -> bool:
    """Whether the one list is the other with elements left out."""
    rest = iter(many)
    return all(line in rest for line in few)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository whose commits are made anew for each example."""
    repository = Repository(tmp_path_factory.mktemp("scratch") / "work")
    repository.git("symbolic-ref", "HEAD", "refs/heads/new")
    return repository


@needs_git
@posix
@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(states=changes())
def test_the_parser_agrees_with_git(
    scratch: Repository, states: tuple[dict[bytes, Content], dict[bytes, Content]]
) -> None:
    """As many lines a file as git counts, and the others are all lines from before."""
    before, after = states
    stream = b"".join((*imported("old", before), *imported("new", after)))
    scratch.git("fast-import", "--quiet", "--force", text=stream)

    found = parse(start_diff(scratch.path, scratch.env, "old", includes_uncommitted=False).read())
    changed = {name: change.lines for name, change in found.items()}

    counts = added_by_git(scratch)
    for file, content in after.items():  # a file that was a link is new, which it does not count
        if content[0] != b"160000" and file in before and before[file][0][:3] != content[0][:3]:
            counts[os.fsdecode(file)] = len(lines_of(content))
    binary = {name for name, added in counts.items() if added is None}  # git counts nothing there
    counts = {name: added for name, added in counts.items() if added}
    numbers_of = {name: sum(map(len, ranges)) for name, ranges in changed.items()}
    assert {name: numbers_of[name] for name in numbers_of if name not in binary} == counts
    for name, ranges in changed.items():
        numbers = {number for numbers in ranges for number in numbers}
        lines = lines_of(after[os.fsencode(name)])
        kept = [line for number, line in enumerate(lines, start=1) if number not in numbers]
        assert len(kept) == len(lines) - len(numbers)
        assert not kept or any(is_subsequence(kept, lines_of(old)) for old in before.values())


# --- what is covered -------------------------------------------------------------------------


def lines_changed(*numbers: int) -> bytes:
    """A diff in which these lines of a.py are new."""
    return a_diff(*(part for number in numbers for part in (f"@@ -0,0 +{number} @@", "+x")))


@pytest.mark.parametrize(
    ("numbers", "coverage", "missed"),
    [
        ([1, 2], [1, 0], ((2, 2),)),
        ([1, 2, 3], [0, 0, 0], ((1, 3),)),
        ([1, 3], [0, None, 0], ((1, 3),)),  # line 2 was there before and is not counted
        ([1, 2, 3], [0, None, 0], ((1, 3),)),
        ([1, 2, 3], [0, 1, 0], ((1, 1), (3, 3))),
        ([1, 3], [0, 1, 0], ((1, 1), (3, 3))),  # line 2 was there before
        ([1, 3], [0, 0, 0], ((1, 1), (3, 3))),  # likewise: it was missed before
        ([2, 3], [0, 0, None, None], ((2, 2),)),
        ([1, 9], [0, 1], ((1, 1),)),  # the file was changed after it was measured
        ([1, 2], [3, 1], ()),
    ],
)
def test_missed_lines_are_joined_over_what_is_not_counted(
    numbers: list[int], coverage: list[int | None], missed: tuple[tuple[int, int], ...]
) -> None:
    """A blank line or a comment does not end a range; any other line does."""
    (file,) = changed_lines(
        parse(lines_changed(*numbers)), [Counted("a.py", "a.py", coverage, [])]
    ).files
    assert file.missed == missed
    counted = [number for number in numbers if (coverage + [None] * 9)[number - 1] is not None]
    assert (file.total, file.covered) == (
        len(counted),
        sum(bool(coverage[number - 1]) for number in counted),
    )


def test_a_file_is_found_by_its_name_in_the_repository() -> None:
    """In the job it may have the name of another one."""
    files = [Counted("a.py", "api/a.py", [0], []), Counted("b.py", "b.py", [0], [])]
    parts = [a_diff("@@ -0,0 +1 @@", "+x", name=f"b/{name}") for name in ("api/a.py", "a.py")]

    changed = changed_lines(parse(b"".join(parts)), files)

    assert changed.files == (
        ChangedFile("a.py", covered=0, total=1, missed=((1, 1),), repository_name="api/a.py"),
    )


def test_what_lies_in_the_work_tree_alone_has_no_id() -> None:
    """``diff-index`` prints zeros for it."""
    diff = a_diff("@@ -1 +1 @@", "-a", "+b").replace(b"89abcde", b"0" * 40)

    assert parse(diff) == {"a.py": Change([range(1, 2)], None)}


def test_a_line_partly_taken_is_covered_and_told_of() -> None:
    """Missed lines and those that were not changed are not."""
    branches = [1, 0, 0, 1, 1, 0, 1, 0, 2, 0, 0, 1, 2, 0, 1, 1, 3, 0, 0, 0, 4, 0, 0, 0, 4, 0, 1, 1]
    changed = changed_lines(
        parse(lines_changed(1, 2, 3)), [Counted("a.py", "a.py", [1, 1, 0, 1], branches)]
    )
    assert changed.files == (
        ChangedFile(name="a.py", covered=2, total=3, missed=((3, 3),), partial=(1,)),
    )


def test_files_are_sorted_and_those_without_a_counted_change_left_out() -> None:
    """What is not measured, not changed, or only a comment, is not there."""
    parts = [a_diff("@@ -0,0 +1,2 @@", "+x", "+y", name=f"b/{name}.py") for name in "dabx"]
    hits: dict[str, list[int | None]] = {"b": [None, None, 1], **{name: [1, 0] for name in "dac"}}
    files = [Counted(f"{name}.py", f"{name}.py", hits[name], []) for name in hits]
    changed = changed_lines(parse(b"".join(parts)), files)
    assert [file.name for file in changed.files] == ["a.py", "d.py"]
    assert (changed.covered, changed.total, changed.percent) == (2, 4, 50.0)
    assert changed_lines({}, files) == ChangedLines()
