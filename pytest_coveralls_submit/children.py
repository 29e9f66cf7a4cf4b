"""Starts a Python that imports this package and its dependencies, and nothing else of anybody's.

The child runs with ``-I -S``: no variable, no current directory, no site-packages, no ``.pth``
file. What it may import beside the standard library is found before the tests, by name, where
pip put it. What the child does is left to others.
"""

from __future__ import annotations

import json
import os
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path
from typing import IO, TYPE_CHECKING

from . import SYS_PATH, process
from .secret import Secret, redact
from .text import escaped

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
OPTIONAL = ("chardet", "socks")
"""What requests would take, and what is not installed as a rule."""
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
import sys
if sys.path[:1] == [""]:  # without -I the current directory comes first
    del sys.path[0]
import json
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

    A folder counts that holds the module and the metadata that pip writes beside it: those of
    the tested project last, for anybody can write such metadata. Where no folder has both, the
    metadata may be an editable installation's, whose module lies anywhere; where no folder has
    metadata, the module alone is enough in a folder of that use. So a ``requests.py`` of the
    tested project is not taken for the library, wherever ``sys.path`` has it.

    Args:
        entries: ``sys.path`` as it was when this package was imported.
        package: the folder that holds this package; it comes first.
        start: the current directory then, which `python -m` puts there; no place to import from.
    """
    home = os.path.realpath(start) if start else ""
    taken = {home, os.path.realpath(package)}
    folders = [os.path.join(start, entry) for entry in entries if entry]  # noqa: PTH118
    others = [folder for folder in folders if os.path.realpath(folder) not in taken]
    sites = [folder for folder in others if Path(folder).name in SITES]
    others.sort(key=lambda folder: folder not in sites and _is_below(folder, home))
    installed = {folder: _distributions(folder) for folder in (package, *others)}
    places = {PACKAGE: package}
    for module, distribution in DISTRIBUTIONS.items():
        known = [folder for folder, names in installed.items() if distribution in names]
        candidates = [*known, *(others if known else sites), package]
        if module in OPTIONAL:  # that of the project would be the only one
            trusted = {*sites, package, places.get("requests")}
            candidates = [folder for folder in candidates if folder in trusted]
        for folder in candidates:
            spec = PathFinder.find_spec(module, [folder])
            if spec is not None and spec.origin is not None:  # no mere directory of that name
                places[module] = folder
                break
    return places


def _is_below(folder: str, home: str) -> bool:
    return bool(home) and Path(home) in Path(os.path.realpath(folder)).parents


def _distributions(folder: str) -> set[str]:
    """Return what pip and its like have installed in a folder, or in a zip file."""
    with suppress(OSError, zipfile.BadZipFile):
        if os.path.isdir(folder):  # noqa: PTH112  no Path of each of some hundred names
            listed = os.listdir(folder)  # noqa: PTH208
        else:
            with zipfile.ZipFile(folder) as archive:
                listed = [name.partition("/")[0] for name in archive.namelist()]
        return {
            name.partition("-")[0].lower()
            for name in listed
            if name.endswith((".dist-info", ".egg-info"))
        }
    return set()


PLACES = json.dumps(locate(SYS_PATH, package=str(Path(__file__).parent.parent), start=START))
"""What :func:`locate` finds, as JSON; tests that change the import system come later."""
PYTHON = sys.executable or "python"


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
    command = [PYTHON, *_flags(env), "-c", BOOT, PLACES, code]
    return process.start(command, env=env, cwd=cwd, stdin=process.PIPE, stderr=stderr)


def _flags(env: Mapping[str, str]) -> Iterator[str]:
    """Yield what keeps Python from importing anybody's code, and how this one writes and spells."""
    yield from ("-s" if "PYTHONHOME" in env else "-I", "-S")
    yield from ("-X", f"utf8={sys.flags.utf8_mode}")
    if sys.dont_write_bytecode:
        yield "-B"
    if sys.pycache_prefix:
        yield from ("-X", f"pycache_prefix={sys.pycache_prefix}")


def environment(env: Mapping[str, str], secrets: Sequence[Secret] = ()) -> dict[str, str]:
    """Return what a child needs of ``env``: nothing that steers Python, no variable with a secret.

    Other processes of the user can read a process's environment. Without the place of its library,
    where that is needed, Python does not start.
    """
    hidden = [secret.reveal() for secret in secrets]
    kept = () if sys.flags.ignore_environment else ("PYTHONHOME",)
    return {
        name: value
        for name, value in env.items()
        if (name in kept or not name.startswith(SCRUBBED))
        and not any(secret in value for secret in hidden)
    }


def last_words(stderr: IO[bytes], secrets: Iterable[Secret]) -> str:
    """Return the last line that a child has written there, fit to be shown; empty for none.

    Of what ended Python itself it is the line that says so, of code that is no Python its place.
    """
    size = stderr.seek(0, os.SEEK_END)
    stderr.seek(max(0, size - STDERR_LIMIT))
    printed = stderr.read(STDERR_LIMIT).decode("utf-8", "replace").split("\n")
    lines = [line.strip() for line in printed if line.strip()]
    said = next((line for line in lines if line.startswith("Fatal Python error")), lines[-1:])
    said = said if isinstance(said, str) else "".join(said)
    if said.startswith("SyntaxError"):
        places = [line for line in lines if line.startswith("File ")]
        said = " in ".join([said, *places[-1:]])
    return escaped(redact(said, tuple(secrets)))[:300]
