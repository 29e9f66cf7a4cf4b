"""Starts a Python that imports this package and its dependencies, and nothing else of anybody's.

The child runs with ``-I -S``: no variable, no current directory, no site-packages, no ``.pth``
file. What it may import beside the standard library is found before the tests, by name, where
pip put it. What the child does is left to others.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import IO, TYPE_CHECKING

from . import SYS_PATH, process
from .secret import Secret, redact
from .values import escaped

if TYPE_CHECKING:
    import subprocess

PACKAGE = __name__.partition(".")[0]
DISTRIBUTIONS = {
    "requests": "requests",
    "urllib3": "urllib3",
    "certifi": "certifi",
    "idna": "idna",
    "charset_normalizer": "charset_normalizer",
    "chardet": "chardet",
    "socks": "pysocks",
    "coverage": "coverage",
}
"""Modules that a child may import, and the distribution that each belongs to."""
START = ""
"""The directory of session start; empty where it was deleted."""
with suppress(OSError):
    START = str(Path.cwd())
SITES = ("site-packages", "dist-packages")
SCRUBBED = ("COV", "PYTEST", "PYTHON")
"""Starts of the variables that steer coverage, this plugin, pytest and Python."""
STDERR_LIMIT = 4096
"""Bytes of a child's last words that are read."""
BOOT = """
import json, sys
from importlib.machinery import PathFinder

places = json.loads(sys.argv[1])

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        # mypyc puts what a compiled package shares beside it.
        known = "charset_normalizer" if name.endswith("__mypyc") else name
        return PathFinder.find_spec(name, [places[known]]) if known in places else None

sys.meta_path.append(Finder)
exec(sys.argv[2])
"""


def locate(entries: Iterable[str], *, package: str, start: str) -> dict[str, str]:
    """Find the folder that each module of ours and of our dependencies is imported from.

    A folder counts that holds the module and the metadata that pip writes beside it; where no
    folder has both, the module alone is enough. So a ``requests.py`` of the tested project is
    not taken for the library, wherever ``sys.path`` has it.

    Args:
        entries: ``sys.path`` as it was when this package was imported.
        package: the folder that holds this package; it comes first.
        start: the current directory then, which `python -m` puts there; no place to import from.
    """
    others = [entry for entry in entries if entry and entry not in {start, package}]
    others.sort(key=lambda entry: Path(entry).name not in SITES)
    installed = {folder: _distributions(folder) for folder in (package, *others)}
    places = {PACKAGE: package}
    for module, distribution in DISTRIBUTIONS.items():
        known = [folder for folder, names in installed.items() if distribution in names]
        for folder in (*known, *others, package):
            if PathFinder.find_spec(module, [folder]) is not None:
                places[module] = folder
                break
    return places


def _distributions(folder: str) -> set[str]:
    """Return what pip and its like have installed in a folder."""
    with suppress(OSError):
        return {
            name.partition("-")[0].lower()
            for name in os.listdir(folder)  # noqa: PTH208  no Path of each of some hundred names
            if name.endswith((".dist-info", ".egg-info"))
        }
    return set()


@cache
def _places() -> str:
    """Return what :func:`locate` finds, as JSON; looked for when the first child starts."""
    return json.dumps(locate(SYS_PATH, package=str(Path(__file__).parent.parent), start=START))


def start(
    code: str,
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stderr: int | IO[bytes] = process.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start a Python that runs ``code`` with pipes as its standard input and output.

    Args:
        code: a program; it may import this package and what it depends on.
        env: the whole environment, see :func:`environment`.
        cwd: its working directory; ours by default.
        stderr: where its last words go.

    Raises:
        ProcessError: it could not be started.
    """
    command = [sys.executable or "python", "-I", "-S", "-c", BOOT, _places(), code]
    return process.start(command, env=env, cwd=cwd, stdin=process.PIPE, stderr=stderr)


def environment(env: Mapping[str, str], secrets: Sequence[Secret] = ()) -> dict[str, str]:
    """Return what a child needs of ``env``: nothing that steers Python, no variable with a secret.

    Other processes of the user can read a process's environment.
    """
    hidden = [secret.reveal() for secret in secrets]
    return {
        name: value
        for name, value in env.items()
        if not name.startswith(SCRUBBED) and not any(secret in value for secret in hidden)
    }


def last_words(stderr: IO[bytes], secrets: Iterable[Secret]) -> str:
    """Return the last line that a child has written there, fit to be shown; empty for none."""
    size = stderr.seek(0, os.SEEK_END)
    stderr.seek(max(0, size - STDERR_LIMIT))
    lines = stderr.read(STDERR_LIMIT).decode("utf-8", "replace").split("\n")
    return next(_shown(reversed(lines), tuple(secrets)), "")


def _shown(lines: Iterable[str], secrets: Sequence[Secret]) -> Iterator[str]:
    return (escaped(redact(line.strip(), secrets))[:300] for line in lines if line.strip())
