"""Run a small project's tests with --coveralls for real, and show what arrived at a stand-in.

No account and no internet are needed: `tox -e demo`, or `python tests/demo.py` where the plugin,
pytest-xdist and pytest-httpserver are installed.
"""

from __future__ import annotations

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
    from collections.abc import Iterator

PYTEST = ("-m", "pytest", "-n", "2", "--cov", "--cov-branch", "--coveralls")
CI = {"CI_NAME": "demo-ci", "CI_BUILD_NUMBER": "9001", "CI_BRANCH": sample_project.BRANCH}
PASSED_ON = (  # all else could be a CI service's, or a setting of pytest, coverage or git
    *("PATH", "PATHEXT", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "SYSTEMROOT", "COMSPEC"),
    *("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP", "LANG", "LC_ALL", "TERM", "COLUMNS"),
)


def main() -> int:
    """Show one whole run; 0 when it passed and one right job arrived."""
    # A console that cannot draw a name shows question marks instead of failing.
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, StandIn() as server:
        project = sample_project.make(Path(folder) / "sample")
        say("1. What you see: pytest --coveralls in a small project")
        status = run_pytest(project, server.url, *sys.argv[1:])
    say("2. What Coveralls gets, taken in by a stand-in server on this machine")
    print("\n\n".join("\n".join(lines_about(job)) for job in server.jobs) or "No job arrived.")
    say("3. What is wrong with it, compared with the documented fields")
    print("\n".join(server.findings) or "Nothing.")
    if status or server.findings or len(server.jobs) != 1:
        say("That was not right")
        print("The tests should have passed, and one job without findings should have come.")
        return 1
    say("That is all. For your own project")
    print("copy the repository's token from coveralls.io, set COVERALLS_REPO_TOKEN to it, and")
    print("run: pytest --coveralls")
    return 0


def say(title: str) -> None:
    """Print a title."""
    print(f"\n{title}\n{'-' * len(title)}", flush=True)


def run_pytest(project: Path, host: str, *more: str) -> int:
    """Run the project's tests; its last commit is the change."""
    print("$ python", *PYTEST, *more, flush=True)
    before = subprocess.check_output(["git", "rev-parse", "HEAD~1"], cwd=project, text=True)
    env = {
        **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
        **CI,
        "COVERALLS_HOST": host,
        "COVERALLS_REPO_TOKEN": COVERALLS_TOKEN,
        "COVERALLS_COMPARE_SHA": before.strip(),
    }
    return subprocess.call([sys.executable, *PYTEST, *more], cwd=project, env=env)


def lines_about(job: Job) -> Iterator[str]:
    """Describe a job: where it comes from, then each file with what is covered."""
    git, files = job["git"], job["source_files"]
    yield f"service: {job['service_name']} #{job['service_number']}"
    yield f"commit:  {git['head']['id'][:10]}"
    yield f"branch:  {git['branch']}"
    yield f"author:  {git['head']['author_name']}"
    yield f"message: {git['head']['message'].splitlines()[0]}"
    yield f"remotes: {', '.join(remote['url'] for remote in git['remotes'])}"
    yield f"files:   {len(files)}, {percentage(files):.2f}% of their lines and branches covered"
    width = max(len(file["name"]) for file in files)
    for file in files:
        lines = [line for line in file["coverage"] if line is not None]
        hits = [branch[3] for branch in quadruples(file.get("branches"))]
        taken = f"  branches {sum(map(bool, hits))}/{len(hits)}" if hits else ""
        counted = f"{percentage([file]):6.2f}%  lines {sum(map(bool, lines))}/{len(lines)}{taken}"
        yield f"  {file['name']:{width}}  {counted}"


if __name__ == "__main__":
    raise SystemExit(main())
