"""Generated modules that run under coverage.py, and what the package measures of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import coverage

from pytest_coveralls_submit.job.names import Names
from pytest_coveralls_submit.job.source_files import read_source_files
from pytest_coveralls_submit.measurement.measure import Measurement, measure
from pytest_coveralls_submit.measurement.recorder import Recorder

# Modules with all that branches and exclusions can be; each has `run(flag)`.
MODULES: Mapping[str, str] = {
    "straight": """\
        def run(flag):
            return 2


        def never():
            return 3
        """,
    "choices": """\
        def run(flag):
            if flag:
                found = 1
            else:
                found = 2
            if flag and found:
                found += 1
            return found if flag else -found
        """,
    "excluded": """\
        def run(flag):
            if flag:
                a = 1
            else:  # pragma: no cover
                a = 2
            if not flag:
                a = 3  # pragma: no cover
            return a


        def never():  # pragma: no cover
            return 3


        if __name__ == "__main__":  # pragma: no cover
            run(True)
        """,
    "finally_": """\
        import contextlib


        def run(flag):
            try:
                if flag:
                    raise ValueError
                a = 1
            except ValueError:
                a = 2
            except OSError:
                a = 3
            else:
                a += 1
            finally:
                a += 1
            with contextlib.suppress(KeyError):
                if not flag:
                    raise KeyError
                return a
            for n in range(2):
                try:
                    if n:
                        continue
                finally:
                    a += 1
            return a
        """,
    "loops": """\
        def run(flag):
            for n in range(2):
                if n == 5:
                    break
            else:
                n = 6
            while n:
                n -= 1
                if flag:
                    break
                continue
            for n in ():
                n += 1
            while flag:
                flag = False
            return n
        """,
    "decorated": '''\
        """A docstring.

        With lines."""


        def keep(function): return function


        @keep
        @keep
        def run(
            flag,
            more=(1,
                  2),
        ):
            """And here."""
            assert flag or not flag
            if flag: return 1
            del more; return 2
        ''',
    "empty": "",
}
CALLED = [name for name in MODULES if "def run(" in MODULES[name]]


class Project:
    """Generated modules in a directory of their own, run under coverage.py."""

    def __init__(self, folder: Path, modules: Mapping[str, str]) -> None:
        self.folder = folder
        for name, text in modules.items():
            path = folder / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = text.splitlines(keepends=True)
            path.write_text("".join(line.removeprefix(" " * 8) for line in lines))

    def run(
        self,
        *flags: bool,
        names: list[str] | None = None,
        config: str = "",
        kind: type[coverage.Coverage] = coverage.Coverage,
        **options: Any,
    ) -> coverage.Coverage:
        """Run modules under a new Coverage object, in a call of ``run`` for each flag."""
        (self.folder / "coveragerc").write_text(config)
        if "source" not in config:
            options.setdefault("source", [str(self.folder)])
        options = {"data_file": None, "config_file": str(self.folder / "coveragerc"), **options}
        cov = kind(**options)
        cov.start()
        try:
            for name in CALLED if names is None else names:
                path = self.folder / f"{name}.py"
                space: dict[str, Any] = {"__name__": name, "__file__": str(path)}
                exec(compile(path.read_bytes(), str(path), "exec"), space)
                for flag in flags:
                    space["run"](flag)
        finally:
            cov.stop()
        return cov

    def measured(self, cov: coverage.Coverage) -> Measurement:
        """What the package makes of it through the private call."""
        measurement = measure(cov, start=self.folder)
        assert measurement.details == ()
        return measurement

    def measured_slowly(self, cov: coverage.Coverage) -> Measurement:
        """What the package makes of it through the JSON report alone."""
        recorder = Recorder(cov)
        recorder.trouble = "as if the private call were gone"
        return measure(cov, start=self.folder, recorder=recorder)

    def quadruples(self, found: Measurement, name: str) -> list[tuple[int, int, int, int]]:
        """The branches of a module as they are sent."""
        files = [file for file in found.files if file.path == str(self.folder / f"{name}.py")]
        (entry,) = read_source_files(files, Names(self.folder), include_source=False).files
        flat = entry.branches
        return list(zip(flat[::4], flat[1::4], flat[2::4], flat[3::4], strict=True))


def small(folder: Path, *names: str) -> Project:
    """A project of a few of the modules, or of names alone, for tests that change files."""
    texts = {name: MODULES.get(name.rpartition("/")[2], MODULES["choices"]) for name in names}
    return Project(folder.resolve(), texts)


def names_in(found: Measurement) -> list[str]:
    return [Path(file.path).name for file in found.files]
