"""Run a small project's tests with --coveralls for real, and show what arrived at a stand-in.

No account and no internet are needed: `tox -e demo`, or `python tests/demo.py` where the plugin,
pytest-xdist and pytest-httpserver are installed.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent / "support"))

import sample_project
from standin import COVERALLS_TOKEN, Job, StandIn, percentage, quadruples

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PYTEST = ("-m", "pytest", "-n", "2", "--cov", "--cov-branch", "--coveralls")
CI = {"CI_NAME": "demo-ci", "CI_BUILD_NUMBER": "9001", "CI_BRANCH": sample_project.BRANCH}
PASSED_ON = (  # all else could be a CI service's, or a setting of pytest, coverage or git
    *("PATH", "PATHEXT", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "SYSTEMROOT", "COMSPEC"),
    *("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP", "LANG", "LC_ALL", "TERM", "COLUMNS"),
)


def main() -> int:
    """Show one whole run; 0 when it passed and one right job arrived."""
    _show_any_character()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, StandIn() as server:
        project = sample_project.make(Path(folder) / "sample")
        _say("1. What you see: pytest --coveralls in a small project")
        status = _run_pytest(project, server.url, *sys.argv[1:])
    _say("2. What Coveralls gets, taken in by a stand-in server on this machine")
    print("\n\n".join(map(_describe, server.jobs)) or "No job arrived.")
    if server.jobs:
        _say("3. What is wrong with it, compared with the documented fields")
        print("\n".join(server.findings) or "Nothing.")
    return _close(passed=status == 0, right=len(server.jobs) == 1 and not server.findings)


def _show_any_character() -> None:
    """A console that cannot draw shows question marks instead of failing."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _say(title: str) -> None:
    print(f"\n{title}\n{'-' * len(title)}", flush=True)


def _run_pytest(project: Path, host: str, *more: str) -> int:
    print("$ python", *PYTEST, *more, flush=True)
    before = subprocess.check_output(["git", "rev-parse", "HEAD~1"], cwd=project, text=True)
    settings = {"COVERALLS_HOST": host, "COVERALLS_REPO_TOKEN": COVERALLS_TOKEN, **CI}
    settings["COVERALLS_COMPARE_SHA"] = before.strip()  # so that the last commit is the change
    return subprocess.run(
        [sys.executable, *PYTEST, *more],
        cwd=project,
        env={**_clean_environment(os.environ), **settings},
        check=False,
    ).returncode


def _clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: environment[name] for name in PASSED_ON if name in environment}


def _describe(job: Job) -> str:
    """Show a job: where it comes from, then each file with what is covered."""
    files = job["source_files"]
    width = max((len(_shown(file["name"])) for file in files), default=0)
    return "\n".join(
        [
            *_origin(job),
            f"files:   {len(files)}, {percentage(files):.2f}% of their lines and branches covered",
            *(f"  {_shown(file['name']):{width}}  {_measured(file)}" for file in files),
        ]
    )


def _origin(job: Job) -> Iterator[str]:
    git = job.get("git", {})
    head = git.get("head", {})
    message = head.get("message", "").partition("\n")[0]
    for label, value in (
        ("service", f"{job.get('service_name', '-')} #{job.get('service_number', '-')}"),
        ("commit", job.get("commit_sha", head.get("id", ""))[:10]),
        ("branch", job.get("service_branch", git.get("branch", ""))),
        ("author", head.get("author_name", "")),
        ("message", message),
        ("flag", job.get("flag_name", "")),
        ("remotes", ", ".join(remote["url"] for remote in git.get("remotes", ()))),
    ):
        if value:
            yield f"{label + ':':9}{_shown(value)}"


def _shown(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


def _measured(file: Job) -> str:
    hits = [branch[3] for branch in quadruples(file.get("branches"))]
    taken = f"  branches {sum(map(bool, hits))}/{len(hits)}" if hits else ""
    lines = [line for line in file["coverage"] if line is not None]
    return f"{percentage([file]):6.2f}%  lines {sum(map(bool, lines))}/{len(lines)}{taken}"


def _close(*, passed: bool, right: bool) -> int:
    if passed and right:
        _say("That is all. For your own project")
        print("copy the repository's token from coveralls.io, set COVERALLS_REPO_TOKEN to it, and")
        print("run: pytest --coveralls")
        return 0
    _say("That was not right")
    print("The tests passed." if passed else "The tests did not pass.", end=" ")
    print("The job is right." if right else "Exactly one job without findings should have come.")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
