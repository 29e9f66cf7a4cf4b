"""The base in real clones, git's diff, and which of the changed lines are covered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from git_repository import Repository, needs_git, posix

from pytest_coveralls_submit.changed_lines import Base, count_changed_lines, find_base, read_changes
from pytest_coveralls_submit.ci.detect import Build
from pytest_coveralls_submit.git import Commit, read
from pytest_coveralls_submit.job.source_files import SourceFile
from pytest_coveralls_submit.outcome import ChangedFile, ChangedLines, Findings
from pytest_coveralls_submit.settings.table import Settings

pytestmark = needs_git

GITHUB = {"service_name": "github-actions", "service_pull_request": "7", "target_branch": "main"}
GITLAB = {"service_name": "gitlab-ci", "service_pull_request": "7", "target_branch": "main"}
BITBUCKET = {"service_name": "bitbucket", "service_pull_request": "7", "target_branch": "main"}
OTHER = {"service_name": "jenkins", "service_pull_request": "7"}
PUSH = {"service_name": "github-actions"}
ABSENT = "1234567890" * 4


def base_of(
    repository: Repository,
    build: dict[str, str] | None = None,
    commit: str | None = None,
    **settings: Any,
) -> Base | str:
    """Return what is compared with: on a CI service, or without ``build`` on a laptop."""
    git = read((repository.path,), repository.env)
    git = replace(git, head=Commit(id=commit) if commit else None)
    return find_base(Settings(settings), Build(**(build or {})), git)  # type: ignore[arg-type]


def found(*arguments: Any, **settings: Any) -> Base:
    base = base_of(*arguments, **settings)
    assert isinstance(base, Base), base
    return base


def commit_of(*arguments: Any, **settings: Any) -> str:
    return found(*arguments, **settings).commit


def problem_of(*arguments: Any, **settings: Any) -> str:
    base = base_of(*arguments, **settings)
    assert isinstance(base, str), base
    return base


@pytest.fixture
def origin(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "origin")


@pytest.mark.parametrize("depth", [0, 2])
def test_a_merge_into_the_target_is_compared_with_the_target(
    origin: Repository, tmp_path: Path, depth: int
) -> None:
    """GitHub's and GitLab's way: the first parent, at any depth from 2 on."""
    merge, topic, target = origin.merge_request()
    checkout = origin.checkout_merge(tmp_path / "checkout", depth)
    for build in (GITHUB, GITLAB, OTHER):
        for commit in (topic, topic[:12]):
            base = found(checkout, build, commit)
            assert (base.commit, base.head) == (target, merge)


def test_a_merge_of_the_target_is_compared_with_the_target(
    origin: Repository, tmp_path: Path
) -> None:
    """Jenkins' and Bitbucket's way: the second parent."""
    _, topic, target = origin.merge_request()
    clone = origin.clone(tmp_path / "clone", "--branch=topic")
    clone.git("merge", "--quiet", "--no-ff", "--message", "merged", "origin/main")
    clone.git("update-ref", "-d", "refs/remotes/origin/main")
    for commit in (topic, topic[:12]):
        assert commit_of(clone, OTHER, commit) == target


@pytest.mark.parametrize(
    ("build", "remedy"),
    [
        (GITHUB, "give actions/checkout `fetch-depth: 2`"),
        (GITLAB, 'set the variable `GIT_DEPTH: "0"`'),
        (BITBUCKET, '`git fetch origin "+refs/heads/main:refs/remotes/origin/main"`'),
        (OTHER, "let the CI service clone more commits"),
    ],
)
def test_a_merge_of_depth_1_has_a_remedy(
    origin: Repository, tmp_path: Path, build: dict[str, str], remedy: str
) -> None:
    """The commit names its parents, but they are not here."""
    _, topic, _ = origin.merge_request()
    checkout = origin.checkout_merge(tmp_path / "checkout", 1)
    problem = problem_of(checkout, build, topic)
    assert problem.startswith("this clone lacks the commit that the pull request is based on; ")
    assert remedy in problem


def test_the_head_of_a_request_is_compared_with_where_it_left_its_target(
    origin: Repository, tmp_path: Path
) -> None:
    """A head that ends in a merge of the target is not a merge of the CI service."""
    _, topic, target = origin.merge_request()
    first = origin.git("rev-parse", "topic^")
    clone = origin.clone(tmp_path / "clone", "--branch=topic")
    assert commit_of(clone, GITHUB, topic) == first
    clone.git("merge", "--quiet", "--message", "catch up", "origin/main")
    merged = clone.commit("more", "d.py")
    clone.git("reset", "--quiet", "--hard", "HEAD^")
    for commit in (clone.git("rev-parse", "HEAD"), merged, None):
        assert commit_of(clone, GITHUB, commit) == target
    # Where only a local branch has the target's name, it is used.
    clone.git("branch", "--quiet", "main", first)
    clone.git("remote", "remove", "origin")
    assert commit_of(clone, GITHUB, merged) == first
    shallow = origin.clone(tmp_path / "shallow", "--branch=topic", "--depth=1")
    assert "fetch-depth: 0" in problem_of(shallow, GITHUB, topic)
    assert "COVERALLS_COMPARE_REF" in problem_of(shallow, OTHER, topic)


def test_the_services_base_counts_only_if_it_is_here(origin: Repository, tmp_path: Path) -> None:
    """It may lie beyond GIT_DEPTH, or have moved on since HEAD left it."""
    _, topic, target = origin.merge_request()
    first = origin.git("rev-parse", "topic^")
    clone = origin.clone(tmp_path / "clone", "--branch=topic")
    clone.git("update-ref", "refs/remotes/origin/main", topic)
    assert commit_of(clone, {**GITLAB, "diff_base_sha": first}, topic) == first
    assert commit_of(clone, {**GITLAB, "diff_base_sha": ABSENT}, topic) == topic
    assert commit_of(clone, {**BITBUCKET, "diff_base_sha": target[:12]}, topic) == first


def test_settings_come_first_if_what_they_name_is_here(origin: Repository, tmp_path: Path) -> None:
    """compare_sha, then compare_ref, then what is found without them."""
    _, topic, target = origin.merge_request()
    first = origin.git("rev-parse", "topic^")
    origin.git("tag", "--annotate", "--message", "x", "v1", first)
    clone = origin.clone(tmp_path / "clone", "--branch=topic")
    assert commit_of(clone, compare_sha=target[:9], compare_ref="main") == target
    for name in ("main", "origin/main", "refs/remotes/origin/main", "v1"):
        assert commit_of(clone, compare_sha=ABSENT, compare_ref=name) == first
    assert commit_of(clone, compare_ref="topic") == topic
    for absent in ("gone", "--all", "*", ""):
        assert commit_of(clone, GITHUB, topic, compare_sha="main", compare_ref=absent) == first


@pytest.mark.parametrize("settings", [{"compare_ref": "mian"}, {"compare_sha": ABSENT}])
def test_a_base_that_was_named_but_is_not_here_is_named(
    origin: Repository, settings: dict[str, str]
) -> None:
    """Also where another base is found."""
    ((name, value),) = settings.items()
    notice = f"{name} {value} is not in this clone"
    origin.commit()
    assert problem_of(origin, **settings) == notice
    origin.git("update-ref", "refs/remotes/origin/main", "HEAD")
    assert found(origin, **settings).notice == notice
    assert found(origin, compare_ref="main", compare_sha=ABSENT).notice == ""


@pytest.mark.parametrize("default", ["HEAD", "main", "master"])
def test_on_a_laptop_it_is_where_head_left_the_default_branch(
    origin: Repository, tmp_path: Path, default: str
) -> None:
    """Also before the first own commit: then only what is uncommitted has changed."""
    first = origin.commit("first")
    clone = origin.clone(tmp_path / "clone")
    clone.git("symbolic-ref", "--delete", "refs/remotes/origin/HEAD")
    clone.git("update-ref", "-d", "refs/remotes/origin/main")
    clone.git("update-ref", f"refs/remotes/origin/{default}", first)
    for _ in range(2):
        base = found(clone)
        assert (base.commit, base.head) == (first, None)
        clone.commit("second")


def test_elsewhere_nothing_is_compared_and_nothing_said(origin: Repository, tmp_path: Path) -> None:
    """A push to a CI service, no remote, no commit, no repository, no git, not wanted."""
    assert base_of(origin) == ""
    _, topic, _ = origin.merge_request()
    assert base_of(origin) == ""
    clone = origin.clone(tmp_path / "clone", "--branch=topic")
    assert isinstance(base_of(clone), Base)
    assert base_of(clone, PUSH, topic) == ""
    assert base_of(clone, changed_lines=False) == ""
    for path, env in ((tmp_path, clone.env), (clone.path, {"PATH": ""})):
        assert find_base(Settings(), Build(**GITHUB), read((path,), env)) == ""  # type: ignore[arg-type]


def since(
    repository: Repository, base: str, env: Mapping[str, str] | None = None, *, on_ci: bool = True
) -> Base:
    """Compare a commit with HEAD on a CI service, or with a laptop's work tree."""
    build = Build(**(PUSH if on_ci else {}))  # type: ignore[arg-type]
    git = read((repository.path,), {**repository.env, **(env or {})})
    made = find_base(Settings({"compare_sha": base}), build, git)
    assert isinstance(made, Base)
    return made


def snapshot(repository: Repository) -> dict[str, tuple[int, bytes]]:
    files = (path for path in (repository.path / ".git").rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_a_laptop_compares_the_work_tree_and_writes_nothing(origin: Repository) -> None:
    """Staged, unstaged and untracked; not what is ignored or was only touched."""
    base = origin.commit("1\n2\n")
    origin.commit("1\n2\n", "touched.py")
    origin.commit("ignored.py\n", ".gitignore")
    (origin.path / "a.py").write_text("1\nchanged\n")
    (origin.path / "staged.py").write_text("staged\n")
    origin.git("add", "staged.py")
    (origin.path / "staged.py").write_text("staged\nmore\n")
    for name in ("ü ñ.py", "ignored.py"):
        (origin.path / name).write_text("1\n")
    before = snapshot(origin)

    laptop = read_changes(since(origin, base, on_ci=False))

    assert snapshot(origin) == before
    assert laptop.pop("ü ñ.py")[0].start == 1
    (untracked,) = counted(since(origin, base, on_ci=False), a_file("ü ñ.py", [1, 0])).files
    assert (untracked.total, untracked.missed) == (2, ((2, 2),))
    committed = {".gitignore": [range(1, 2)], "touched.py": [range(1, 3)]}
    assert laptop == {**committed, "a.py": [range(2, 3)], "staged.py": [range(1, 3)]}
    assert read_changes(since(origin, base)) == committed
    (origin.path / "touched.py").touch()
    head = origin.git("rev-parse", "HEAD")
    assert "touched.py" not in read_changes(since(origin, head, on_ci=False))


def test_a_commit_is_compared_as_it_was_before_the_tests(origin: Repository) -> None:
    base = since(origin, origin.commit("1\n"))
    origin.commit("2\n")
    assert read_changes(base) == {}


def test_no_settings_change_the_diff(origin: Repository) -> None:
    """Of the user, of the repository's attributes, or in the environment."""
    odd = "ü ñ.py"
    text = "".join(f"line {number}\n" for number in range(40))
    for name in ("moved.py", odd):
        origin.commit(text + name, name)
    base = origin.git("rev-parse", "HEAD")
    origin.git("mv", "moved.py", "new name.py")
    (origin.path / odd).write_text(text.replace("line 3\n", "x\n").replace("line 6\n", "y\n\0"))
    origin.commit_all()
    expected = {odd: [range(4, 5), range(7, 9)]}
    plain = [read_changes(since(origin, base, on_ci=flag)) for flag in (False, True)]
    assert plain == [expected, expected]
    (origin.path / ".git" / "info").mkdir(exist_ok=True)
    (origin.path / ".git" / "info" / "attributes").write_text("* -diff\n*.py binary diff=odd\n")
    for setting, value in {
        **dict.fromkeys(("diff.noprefix", "diff.mnemonicPrefix", "diff.relative"), "true"),
        **dict.fromkeys(("diff.interHunkContext", "diff.context"), "9"),
        **dict.fromkeys(("color.ui", "color.diff", "diff.colorMoved"), "always"),
        **dict.fromkeys(("diff.external", "diff.odd.command", "diff.odd.textconv"), "false"),
        **dict.fromkeys(("diff.renames", "core.quotePath", "diff.indentHeuristic"), "false"),
        "diff.renameLimit": "1",
        "diff.algorithm": "patience",
        "diff.odd.binary": "true",
    }.items():
        origin.git("config", setting, value)
    variables = {"GIT_DIFF_OPTS": "-u5", "GIT_EXTERNAL_DIFF": "false", "GIT_PAGER": "false"}
    for flag in (False, True):
        assert read_changes(since(origin, base, variables, on_ci=flag)) == expected


@posix
def test_files_that_are_not_here_are_not_fetched(origin: Repository, tmp_path: Path) -> None:
    """In a partial clone git would fetch them; the comparison fails instead."""
    base = origin.commit("first")
    origin.commit("second")
    origin.git("config", "uploadpack.allowFilter", "true")
    clone = origin.clone(tmp_path / "clone", "--filter=blob:none", "--no-checkout")
    clone.git("config", "protocol.file.allow", "always")
    (notice,) = count_changed_lines(since(clone, base), [], Settings()).notices
    assert notice == (
        "changed lines: unknown: git could not compare the commits; a partial clone (`filter`) "
        "lacks their files"
    )
    assert clone.git("diff", "--stat", base, "HEAD")


# Lines of a file that look like a diff's own, or are no text.
ODD_LINES = (
    *(b"", b"\r", b"crlf\r", b"\0binary", b"\xff", b"+++ b/other.py", b"--- a/other.py"),
    *(b"@@ -1 +1 @@", b"\\ No newline at end of file", b"diff --git a/x b/x", b"last"),
)


@pytest.mark.parametrize("name", ["a.py", "b/b.py", "with space.py", "end ", "\u00fc.py"])
@pytest.mark.parametrize("on_ci", [False, True])
def test_the_content_of_a_file_is_not_taken_for_a_header(
    origin: Repository, name: str, *, on_ci: bool
) -> None:
    odd = b"\n".join(ODD_LINES)
    (origin.path / "b").mkdir()
    (origin.path / name).write_bytes(b"first\nsecond\n" + odd)
    base = origin.commit("1\n", "other.py")
    (origin.path / name).write_bytes(odd + b"\nsecond\n" + odd + b"\nmore")
    origin.commit("1\n2\n", "other.py")

    changed = read_changes(since(origin, base, on_ci=on_ci))

    assert changed.pop("other.py") == [range(2, 3)]
    numbers = [number for lines in changed.pop(name) for number in lines]
    length = len(ODD_LINES)
    assert numbers == [*range(1, length + 1), 2 * length + 1, 2 * length + 2]
    assert changed == {}


def test_deleted_moved_and_empty_files_have_no_changed_lines(origin: Repository) -> None:
    for name in ("deleted.py", "moved.py", "mode.py", "shorter.py"):
        (origin.path / name).write_text(f"1\n2\n3\n{name}\n")
    base = origin.commit_all()
    (origin.path / "deleted.py").unlink()
    (origin.path / "moved.py").rename(origin.path / "elsewhere.py")
    (origin.path / "mode.py").chmod(0o755)
    (origin.path / "shorter.py").write_text("1\n3\nshorter.py\n")
    (origin.path / "empty.py").touch()
    origin.commit_all()
    assert read_changes(since(origin, base)) == {}


def a_file(name: str, coverage: list[int | None], *branches: int, **also: Any) -> SourceFile:
    return SourceFile(name, coverage, list(branches), **also)


def counted(base: Base, *files: SourceFile, **settings: Any) -> ChangedLines:
    """Count in a comparison that has nothing to complain of."""
    result = count_changed_lines(base, files, Settings(settings))
    assert (result.notices, result.shortfall) == ((), "")
    assert result.changed is not None
    return result.changed


@pytest.mark.parametrize(
    ("numbers", "coverage", "missed"),
    [
        ([1, 2], [1, 0], ((2, 2),)),
        ([1, 3], [0, None, 0], ((1, 3),)),  # line 2 was there before and is not counted
        ([1, 3], [0, 1, 0], ((1, 1), (3, 3))),  # line 2 was there before
        ([1, 3], [0, 0, 0], ((1, 1), (3, 3))),  # likewise: it was missed before
        ([2, 3], [0, 0, None, None], ((2, 2),)),
        ([1, 3], [0, 1], ((1, 1),)),  # the file was cut after it was measured
        ([1, 2], [3, 1], ()),
    ],
)
def test_missed_lines_are_joined_over_what_is_not_counted(
    origin: Repository, numbers: list[int], coverage: list[int | None], missed: Any
) -> None:
    """A blank line or a comment does not end a range; any other line does."""
    base = origin.commit("a\nb\nc\nd\n")
    lines = [f"new {n}" if n in numbers else "abcd"[n - 1] for n in (1, 2, 3, 4)]
    (origin.path / "a.py").write_text("\n".join([*lines, ""]))

    (file,) = counted(since(origin, base, on_ci=False), a_file("a.py", coverage)).files

    hits = [coverage[number - 1] for number in numbers if number <= len(coverage)]
    total = len(hits) - hits.count(None)
    assert file == ChangedFile("a.py", total - hits.count(0), total, missed)


@pytest.fixture
def base(origin: Repository) -> Base:
    """A comparison on a CI service in which a.py, d.py and api/a.py have two new lines each."""
    first = origin.commit("1\n", "b.py")
    for name in ("a.py", "d.py", "api/a.py", "README.md"):
        origin.commit("1\n2\n", name)
    return since(origin, first)


def test_files_are_sorted_and_those_without_a_counted_change_left_out(base: Base) -> None:
    files = [a_file("d.py", [1, 0]), a_file("b.py", [1]), a_file("a.py", [1, 0])]
    changed = counted(base, *files, a_file("api/a.py", [None, None, 1]))
    assert [file.name for file in changed.files] == ["a.py", "d.py"]
    assert (changed.covered, changed.total, changed.percent) == (2, 4, 50.0)
    assert counted(base, changed_fail_under=100.0) == ChangedLines()


def test_a_file_is_found_by_its_name_in_the_repository(base: Base) -> None:
    """In the job it may have the name of another one."""
    changed = counted(base, a_file("a.py", [0], repository_name="api/a.py"))
    assert changed.files == (ChangedFile("a.py", 0, 1, ((1, 1),), repository_name="api/a.py"),)


def test_a_line_partly_taken_is_covered_and_told_of(base: Base) -> None:
    """Missed lines and those that were not changed are not."""
    branches = [1, 0, 0, 1, 1, 0, 1, 0, 2, 0, 0, 0, 2, 0, 1, 0, 3, 0, 0, 0, 3, 0, 1, 1]
    changed = counted(base, a_file("a.py", [1, 0, 1], *branches))
    assert changed.files == (ChangedFile("a.py", 1, 2, missed=((2, 2),), partial=(1,)),)


def test_a_file_that_was_edited_since_the_commit_is_left_out(
    base: Base, origin: Repository
) -> None:
    """Its lines are others by now; a checkout's line ends of Windows are no edit."""
    origin.git("config", "core.autocrlf", "true")
    (origin.path / "a.py").write_text("# stamped\n1\n2\n")
    (origin.path / "d.py").write_bytes(b"1\r\n2\r\n")
    files = [a_file("a.py", [1, 1, 0]), a_file("d.py", [1, 0])]
    before = snapshot(origin)

    result = count_changed_lines(base, files, Settings())

    assert snapshot(origin) == before
    assert result.changed == ChangedLines((ChangedFile("d.py", 1, 2, ((2, 2),)),))
    assert result.notices == ("changed lines: left out files edited since the commit: a.py",)


@pytest.mark.parametrize(
    ("gate", "shortfall"),
    [
        (50.0, ""),
        (50.1, "1 of 2 changed lines are covered, 50.00%; changed_fail_under asks for 50.1%"),
    ],
)
@pytest.mark.parametrize("shown", [True, False])
def test_too_few_covered_changed_lines_are_a_shortfall(
    base: Base, gate: float, shortfall: str, *, shown: bool
) -> None:
    """Also where they are not shown; what was not sent on purpose fails nothing."""
    settings = Settings({"changed_fail_under": gate, "changed_lines": shown})
    files = [a_file("a.py", [1, 0])]

    result = count_changed_lines(base, files, settings)
    skipped = count_changed_lines(base, files, settings, may_fail=False)

    lines = ChangedLines((ChangedFile("a.py", 1, 2, ((2, 2),)),)) if shown else None
    origin = f"changed lines are counted from {base.commit[:7]}"
    assert result == Findings(changed=lines, shortfall=shortfall, details=(origin,))
    notices = (f"changed_fail_under is ignored: {shortfall}",) if shortfall else ()
    assert (skipped.shortfall, skipped.notices) == ("", notices)


@pytest.mark.parametrize(
    ("problem", "gate", "notices"),
    [
        ("", None, ()),
        ("x", None, ("changed lines: unknown: x",)),
        ("x", 50.0, ("changed lines: unknown: x; changed_fail_under is ignored",)),
        ("", 50.0, ("changed lines: unknown; changed_fail_under is ignored",)),
    ],
)
def test_a_gate_without_a_base_is_never_passed_over(
    problem: str, gate: float | None, notices: tuple[str, ...]
) -> None:
    result = count_changed_lines(problem, [], Settings({"changed_fail_under": gate}))
    assert result == Findings(notices=notices)
