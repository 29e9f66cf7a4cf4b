"""The job: which documented fields it may have, and how it is written and read back."""

from __future__ import annotations

import json
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_coveralls_submit.errors import JobError
from pytest_coveralls_submit.job import document
from pytest_coveralls_submit.job.document import Document
from pytest_coveralls_submit.job.fields import FIELDS, FILE_FIELDS, HeadJson, Job
from pytest_coveralls_submit.job.source_files import SourceFile, SourceFileJson
from pytest_coveralls_submit.secret import Secret

SHA, DIGEST = "a" * 40, "0123456789abcdef" * 2
TEXTS = tuple(name for name, kind in get_type_hints(Job).items() if kind is str)
NO_GIT: tuple[Any, ...] = (None, {}, [], {"head": {}}, {"tags": ["v1"]})
GIT = {"head": {"id": SHA}, "branch": "b", "remotes": [{"name": "origin", "url": "u"}]}


def a_file(**changes: Any) -> dict[str, Any]:
    """A source file as documented, with changes; None takes a field away."""
    file = {"name": "a.py", "source_digest": DIGEST, "coverage": [1, None, 0], **changes}
    return {name: value for name, value in file.items() if value is not None}


def a_job(**changes: Any) -> dict[str, Any]:
    """A job as documented, with changes."""
    return {"service_name": "ci", "source_files": [a_file()], **changes}


def refusal(job: dict[str, Any]) -> str:
    """What is said about a job that is not as documented."""
    with pytest.raises(JobError) as caught:
        document.from_job(job)
    return str(caught.value)


# -- checking ----------------------------------------------------------------------------------


def test_a_job_with_every_documented_field_passes() -> None:
    """All of them at once."""
    texts = dict.fromkeys(TEXTS, "x")
    file = a_file(branches=[1, 0, 0, 1, 1, 0, 1, 0], source="a\nb\nc\n")
    git = {**GIT, "head": dict.fromkeys(get_type_hints(HeadJson), "x")}
    job = {**texts, "parallel": False, "git": git, "source_files": [file]}

    assert document.from_job(job).as_job() == job
    assert len(TEXTS) == 16


@pytest.mark.parametrize("name", TEXTS)
def test_each_text_field_takes_text_that_is_not_blank(name: str) -> None:
    """No number, no null, nothing empty, nothing that is no Unicode."""
    values: tuple[Any, ...] = ("", " \n", None, 7, True, ["x"], "\udc80")
    for value in values:
        shown = json.dumps(value)
        assert refusal(a_job(**{name: value})) == f'the job: "{name}" cannot be {shown}'


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("parallel", value) for value in (1, "true", None)),
        *(("git", odd) for odd in NO_GIT),
        *(("git", {"head": value}) for value in ({"id": ""}, {"id": SHA, "author_name": None})),
        ("git", {"head": {"id": SHA, "date": "today"}}),
        *(("git", {"branch": value}) for value in ("", "HEAD")),
        *(("git", {"remotes": value}) for value in ([], ["origin"], [{"name": "o", "url": ""}])),
        ("git", {"remotes": [{"name": "origin", "fetch": "u"}]}),
    ],
)
def test_every_other_field_of_a_job_has_its_form(name: str, value: object) -> None:
    """True or false, a list, and git's head, branch and remotes with nothing empty in them."""
    assert refusal(a_job(**{name: value})).startswith(f'the job: "{name}" cannot be ')


@pytest.mark.parametrize("name", ["repo_token", "environment", "Source_files", ""])
def test_an_unknown_field_is_refused(name: str) -> None:
    """The token least of all: a job that is checked has none yet."""
    expected = f'has a field "{name}" that Coveralls does not document'

    assert refusal({**a_job(), name: "x"}) == f"the job {expected}"
    assert refusal(a_job(source_files=[a_file(**{name: "x"})])) == (
        f"source file 1 (a.py) {expected}"
    )


def test_what_has_to_be_there_is_missed_by_name() -> None:
    """Source files, though there may be none; of each a name and its hits."""
    nones: tuple[Any, ...] = ({}, {"source_files": None}, {"source_files": {}})
    for none in nones:
        assert refusal(none) == 'the job has no "source_files" list'
    assert refusal(a_job(source_files=[a_file(name=None)])) == 'source file 1 (null) has no "name"'
    assert refusal(a_job(source_files=[a_file(), a_file(name="b.py", coverage=None)])) == (
        'source file 2 (b.py) has no "coverage"'
    )
    odds: tuple[Any, ...] = (None, "a.py", 3, [])
    for odd in odds:
        assert refusal(a_job(source_files=[a_file(), odd])) == "source file 2 is no object"
    assert document.from_job({"source_files": []}) == Document({}, ())


NO_VALUES: dict[str, tuple[object, ...]] = {
    "name": (
        *("", " ", 7, "/etc/passwd", "C:\\a.py", "c:a.py", "..", ".", "../a.py", "./a.py", "a/"),
        *("a/../b.py", "a/..", "a/./b.py", "a//b.py", "a\\b.py", "a\udc80.py", "a\0.py"),
        "x" * 5000,
    ),
    "source_digest": ("", "0" * 31, "G" * 32, "A" * 32, 7, "0" * 33, "0" * 32 + "\n"),
    "coverage": (
        *({}, "1,0", [1.0], [True], ["1"], [-1], [float("nan")], [float("inf")], [[1]], 3),
        *([2**63], [1, True]),
    ),
    "branches": (
        *([], [1, 0, 0], [1, 0, 0, -1], [1, 0, 0, 1.0], [1, 0, 0, True], [1, 0, 0, None]),
        *([1, 0, 0, 1, 1, 0, 0, 0], {}, "x", [1, 0, 0, 2**63]),
    ),
    "source": (7, ["x"], "\udc80"),
}


@pytest.mark.parametrize("field", NO_VALUES)
def test_each_field_of_a_source_file_takes_its_documented_values(field: str) -> None:
    """Everything else is refused with place and field, null too; names are relative and plain."""
    values: tuple[Any, ...] = (*NO_VALUES[field], None)
    for value in values:
        told = refusal(a_job(source_files=[{**a_file(), field: value}]))
        assert told.startswith("source file 1 ("), value
        assert f'): "{field}" cannot be ' in told


def test_a_name_may_have_what_git_allows() -> None:
    """Control characters too; the message that names such a file has them escaped."""
    file = a_file(name="a\n\x1b[2J.py")

    assert document.from_job(a_job(source_files=[file])).files[0].name == "a\n\x1b[2J.py"
    assert refusal(a_job(source_files=[file, file])) == (
        r'source file 2: the name "a\n\x1b[2J.py" stands twice'
    )


@pytest.mark.parametrize(
    "value", [["x" * 5000], [[]] * 100_000, " " * 5000, {"a": {"b": object()}}, {(1, 2): 3}, {1, 2}]
)
def test_a_wrong_value_is_shown_in_one_short_line(value: object) -> None:
    """It may be a whole file, or an object that a hook has left."""
    assert len(refusal(a_job(service_name=value))) < 200


def test_a_value_that_holds_itself_or_has_no_end_is_refused() -> None:
    """A hook can make both."""
    loop: list[Any] = []
    loop.append(loop)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]

    for value in (loop, deep):
        assert '"git" cannot be [[[[' in refusal(a_job(git=value))


def test_our_own_values_are_checked_like_anothers() -> None:
    """A number of hits that is none is refused before it is sent."""
    good = SourceFile("a.py", DIGEST, [1, None], [])
    odd = SourceFile("b.py", DIGEST, [-1], [])

    document.check(Document({"service_name": "ci"}, (good,)))
    with pytest.raises(JobError, match=r'source file 2 \(b\.py\): "coverage" cannot be \[-1\]'):
        document.check(Document({}, (good, odd)))
    with pytest.raises(JobError, match='the job: "flag_name" cannot be ""'):
        document.check(Document({"flag_name": ""}, ()))


# -- values, dictionaries, JSON ----------------------------------------------------------------


def test_a_dictionary_may_be_changed_and_the_job_stays() -> None:
    """Hooks get one: of what they damage, nothing is sent, nor of what they change later."""
    original = a_job(git=GIT, source_files=[a_file(branches=[1, 0, 0, 1])])
    before = json.loads(json.dumps(original))
    made = document.from_job(original)

    for changed in (original, made.as_job()):
        job: Any = changed
        job["service_name"] = "other"
        job["git"]["head"]["id"] = "b" * 40
        job["git"]["remotes"].append({})
        job["source_files"][0]["coverage"][0] = 0
        job["source_files"][0]["branches"].clear()
        job["source_files"].clear()

    assert made.as_job() == before


def test_totals_count_lines_and_branches() -> None:
    """As Coveralls does by default; a file with nothing to cover is covered."""
    files = (
        SourceFile("a.py", DIGEST, [None, 0, 3], [2, 0, 0, 0, 2, 0, 1, 5]),
        SourceFile("b.py", DIGEST, [None], []),
        SourceFile("c.py", DIGEST, [1, 1, 1, 1], []),
    )
    made = Document({}, files)

    assert [tuple(total) for total in made.totals] == [
        ("a.py", 2, 4, 1, 2),
        ("b.py", 0, 0, 0, 0),
        ("c.py", 4, 4, 4, 4),
    ]
    assert (made.percent, Document({}, ()).percent) == (75.0, 100.0)


TEXT = st.text(st.characters(codec="utf-8"), min_size=1)
HITS = st.lists(st.none() | st.integers(0, 2**63 - 1))
FILES = st.builds(
    SourceFile,
    name=TEXT,
    digest=st.none() | st.just(DIGEST),
    coverage=HITS,
    branches=st.lists(st.integers(0, 9), max_size=8),
    source=st.none() | TEXT,
)
IDENTITIES = st.dictionaries(TEXT, TEXT | st.booleans() | st.just(GIT), max_size=4)


@given(IDENTITIES, st.lists(FILES, max_size=4), TEXT)
def test_a_job_reads_back_as_it_was_written(
    identity: dict[str, Any], files: list[SourceFile], token: str
) -> None:
    """A piece for each source file; the token is put in front and nothing else changes."""
    identity.pop("source_files", None)
    identity.pop("repo_token", None)
    made = Document(identity, tuple(files))

    pieces = document.pieces(made)

    assert json.loads(b"".join(pieces)) == made.as_job()
    assert len(pieces) == len(files) + 2
    sent = json.loads(b"".join(document.with_token(pieces, Secret(token))))
    assert sent == {"repo_token": token, **made.as_job()}


def test_the_public_types_name_what_is_checked() -> None:
    """Who writes a hook sees the same fields."""
    assert {*FIELDS, "source_files"} == set(get_type_hints(Job))
    assert set(FILE_FIELDS) == set(get_type_hints(SourceFileJson))


def test_what_json_does_not_have_is_not_written() -> None:
    """``NaN`` would make the whole job unreadable."""
    with pytest.raises(ValueError, match="JSON compliant"):
        document.pieces(Document({"service_number": float("nan")}, ()))
