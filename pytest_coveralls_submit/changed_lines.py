"""Find a base, diff it, count the covered changed lines.

Nothing is fetched, and nothing is written into the repository.
"""

import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from io import BytesIO

from .ci.detect import Build
from .errors import ProcessError
from .git import Git, Repository, parents_of
from .job.source_files import SourceFile
from .outcome import ChangedFile, ChangedLines, Findings
from .settings.table import Settings
from .text import commit_id, percentage, shorten_list

# They overrule the user's configuration of git.
_DIFF_OPTIONS = (
    *("-r", "-p", "-U0", "-M", "-l400", "-D", "--no-ext-diff", "--no-textconv"),
    *("--text", "--no-color", "--src-prefix=a/", "--dst-prefix=b/", "--inter-hunk-context=0"),
    *("--diff-algorithm=myers", "--indent-heuristic", "--ignore-submodules=all"),
)
_DEFAULT_BRANCHES = [f"refs/remotes/origin/{name}" for name in ("HEAD", "main", "master", "trunk")]
# https://git-scm.com/docs/diff-format
_HUNK = re.compile(rb"@@ -[0-9]+(?:,([0-9]+))? \+([0-9]+)(?:,([0-9]+))? @@")


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """Hold a commit to compare with."""

    repository: Repository = field(repr=False)
    commit: str
    head: str | None  # the commit that is compared; None for the work tree
    notice: str = ""


def find_base(settings: Settings, build: Build, git: Git) -> Base | str:
    """Find the commit to compare with, or the problem.

    No text where nobody asked, and for pushes. The base in GitHub's event is older than the merge,
    so it is not used (https://github.com/shakacode/react_on_rails/pull/4819).
    """
    is_gated = settings.changed_fail_under is not None
    is_wanted = settings.changed_lines or settings.annotate or is_gated
    repository = git.repository
    if not is_wanted or repository is None or git.problem:  # it may take 10 seconds a call
        return ""
    is_pull_request = bool(settings.service_pull_request or build.service_pull_request)
    named = {"compare_sha": settings.compare_sha, "compare_ref": settings.compare_ref}
    notice, target = "", None
    try:
        base = repository.resolve(commit_id(settings.compare_sha))
        base = base or _fork_point(repository, settings.compare_ref)
        if base is None:
            notice = " and ".join(
                f"{name} {value} is not in this clone" for name, value in named.items() if value
            )
            target = _merged_with(repository, git, build) if is_pull_request else None
            base = _detected_base(repository, build, target)
    except ProcessError:
        return ""
    if base is not None:
        head = git.checked_out if build.service_name else None
        return Base(repository=repository, commit=base, head=head, notice=notice)
    if is_pull_request:
        return notice or _how_to_get_the_base(build, is_merge=target is not None)
    return notice


def _detected_base(repository: Repository, build: Build, target: str | None) -> str | None:
    if base := repository.resolve(target):
        return base
    if base := repository.resolve(build.diff_base_sha):
        return repository.output("merge-base", "HEAD", base) or base
    branches = [build.target_branch, *([] if build.service_name else _DEFAULT_BRANCHES)]
    return _fork_point(repository, *branches)


def _merged_with(repository: Repository, git: Git, build: Build) -> str | None:
    """Return the other parent of a pull request's merge.

    HEAD must be a merge of one of its heads; a topic branch may itself end in a merge. GitHub and
    GitLab merge the head into the target, Bitbucket and Jenkins the other way round. The variables
    that name the kind of pipeline are unreliable (gitlab-org/gitlab#358228).
    """
    parents = parents_of(repository, "HEAD")
    for head in filter(None, (git.head.id if git.head else None, build.commit_sha)):
        others = [parent for parent in parents if not parent.startswith(head)]
        if len(others) < len(parents):
            return others[0] if others else None
    return None


def _fork_point(repository: Repository, *branches: str | None) -> str | None:
    """Return where HEAD left the first existing branch."""
    places = ("refs/remotes/origin/", "refs/remotes/", "refs/heads/", "refs/tags/")
    for branch in filter(None, branches):
        for place in [""] if branch.startswith("refs/") else places:
            if commit := repository.output("merge-base", "HEAD", place + branch):
                return commit
    return None


def _how_to_get_the_base(build: Build, *, is_merge: bool) -> str:
    service, branch = build.service_name or "", build.target_branch
    if service.endswith("-actions"):
        how = f"give actions/checkout `fetch-depth: {2 if is_merge else 0}`"
    elif service.startswith("gitlab"):
        how = 'set the variable `GIT_DEPTH: "0"`'
    elif service == "bitbucket" and branch is not None:  # it clones one branch at any depth
        refs = f"+refs/heads/{branch}:refs/remotes/origin/{branch}"
        how = f'run `git fetch origin "{refs}"` before the tests'
    else:
        how = "let the CI service clone more commits"
        if branch is None:
            how += ", and set COVERALLS_COMPARE_REF to the branch that the pull request goes into"
    return f"this clone lacks the commit that the pull request is based on; {how}"


def needs_counting(base: Base | str, settings: Settings) -> bool:
    """Tell if `count_changed_lines` would print anything."""
    return bool(base) or settings.changed_fail_under is not None


def count_changed_lines(
    base: Base | str, files: Iterable[SourceFile], settings: Settings, *, may_fail: bool = True
) -> Findings:
    """Run git's diff and count the covered lines.

    Args:
        may_fail: whether ``changed_fail_under`` applies.
    """
    if isinstance(base, str):
        return _unknown(base, settings)
    try:
        changed = read_changes(base)
    except ProcessError as error:
        return _unknown(str(error), settings)
    measured = {file.repository_name or file.name: file for file in files}
    names = measured.keys() & changed.keys()
    edited = names & _edited_files(base)
    counts = [_count_file(measured[name], changed[name]) for name in names - edited]
    counted = ChangedLines(tuple(sorted(file for file in counts if file.total)))
    gate, shortfall = settings.changed_fail_under, ""
    if gate is not None and counted.total and counted.percent < gate:
        shortfall = (
            f"{counted.covered} of {counted.total} changed lines are covered, "
            f"{percentage(counted.percent)}%; changed_fail_under asks for {gate:.10g}%"
        )
    notices = [base.notice] if base.notice else []
    if edited:
        notices.append(
            f"changed lines: left out files edited since the commit: {shorten_list(sorted(edited))}"
        )
    if shortfall and not may_fail:
        notices.append(f"changed_fail_under is ignored: {shortfall}")
    return Findings(
        changed=counted if settings.changed_lines or settings.annotate else None,
        shortfall=shortfall if may_fail else "",
        notices=tuple(notices),
        details=(f"changed lines are counted from {base.commit[:7]}",),
    )


def _unknown(problem: str, settings: Settings) -> Findings:
    is_gated = settings.changed_fail_under is not None
    if not problem and not is_gated:
        return Findings()
    why = f": {problem}" if problem else ""
    consequence = "; changed_fail_under is ignored" if is_gated else ""
    return Findings(notices=(f"changed lines: unknown{why}{consequence}",))


def read_changes(base: Base) -> dict[str, list[range]]:
    """Return the changed lines of each file.

    Raises:
        ProcessError: git failed, took too long or printed too much.
    """
    command = ["diff-index", *_DIFF_OPTIONS, base.commit]
    if base.head is not None:
        command = ["diff-tree", *_DIFF_OPTIONS, base.commit, base.head]
    done = base.repository.run(*command, "--")
    if done.status != 0:
        raise ProcessError(
            "git could not compare the commits; a partial clone (`filter`) lacks their files"
        )
    changed = _parse_diff(done.stdout)
    if base.head is None:
        untracked = base.repository.names("ls-files", "--others", "--exclude-standard")
        changed |= {name: [range(1, sys.maxsize)] for name in untracked or ()}
    return changed


def _edited_files(base: Base) -> set[str]:
    """Return the files that a CI job has edited."""
    # It may stamp a version into a file, and so move its lines.
    if base.head is None:
        return set()
    options = ("--numstat", "--no-renames", "--ignore-submodules=all")
    listed = base.repository.names("diff-index", *options, base.head) or ()
    # git before 2.29 lists files that were only touched, too.
    return {entry.split("\t", 2)[2] for entry in listed if not entry.startswith("0\t0\t")}


def _parse_diff(diff: bytes) -> dict[str, list[range]]:
    """Return added and modified lines by new name."""
    changed: dict[str, list[range]] = {}
    name = None
    lines = BytesIO(diff)
    for line in lines:
        if line.startswith(b"+++ "):
            # A tab ends a name with spaces in it. A deleted file has no name with "b/", nor has one
            # that is quoted, for a control character, a quotation mark or a backslash in it.
            printed = line.removeprefix(b"+++ b/").rstrip(b"\n").removesuffix(b"\t")
            name = os.fsdecode(printed) if line.startswith(b"+++ b/") else None
        elif line.startswith(b"@@ ") and (hunk := _HUNK.match(line)):
            old, start, new = (int(number or 1) for number in hunk.group(1, 2, 3))
            if name is not None and new:
                changed.setdefault(name, []).append(range(start, start + new))
            # The content may look like a header; "\ No newline at end of file" may come between.
            count = old + new
            while count:
                count -= not next(lines, b"-").startswith(b"\\")
    return changed


def _count_file(file: SourceFile, changed: Iterable[range]) -> ChangedFile:
    coverage = file.coverage
    counted = [
        line
        for lines in changed
        for line in range(lines.start, min(lines.stop, len(coverage) + 1))
        if coverage[line - 1] is not None
    ]
    missed = [line for line in counted if not coverage[line - 1]]
    branches = zip(file.branches[0::4], file.branches[3::4], strict=True)
    untaken = {line for line, hits in branches if not hits}
    return ChangedFile(
        name=file.name,
        repository_name=file.repository_name,
        covered=len(counted) - len(missed),
        total=len(counted),
        missed=tuple(_joined(missed, coverage)),
        partial=tuple(sorted(untaken.intersection(counted).difference(missed))),
    )


def _joined(missed: Sequence[int], coverage: Sequence[int | None]) -> list[tuple[int, int]]:
    """Return ranges of missed lines, joined over uncounted lines."""
    ranges: list[tuple[int, int]] = []
    for line in missed:
        if ranges and all(hits is None for hits in coverage[ranges[-1][1] : line - 1]):
            ranges[-1] = (ranges[-1][0], line)
        else:
            ranges.append((line, line))
    return ranges
