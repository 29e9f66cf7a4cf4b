"""A generated project of a given size: modules with branches, one test that imports them all."""

from __future__ import annotations

from pathlib import Path

from git_repository import Repository

HEAD = '"""Module {number} of a generated project."""\n'
FUNCTION = '''

def function_{index}(value, other=None):
    """Take one way or the other."""
    total = 0
    for step in range(value):
        if step % {divisor}:
            total += step
        elif other is not None and step > other:
            total -= step
        else:
            total *= 2
    while total > {limit}:
        total //= 2
    try:
        return {divisor} / total
    except ZeroDivisionError:
        return None
'''
TEST = '''"""Imports every module and takes some of the ways."""

import importlib

import pytest


@pytest.mark.parametrize("part", range(4))
def test_part(part):
    for number in range(part, {files}, 4):
        module = importlib.import_module(f"generated.part_{{number % 20}}.module_{{number}}")
        assert module.function_0(number % 7) != "never"
'''


def make(folder: Path, files: int, lines: int) -> Path:
    """Write modules of roughly so many lines, commit them, and return the folder."""
    package = folder / "generated"
    for part in (package, *(package / f"part_{number}" for number in range(20))):
        part.mkdir(parents=True)
        (part / "__init__.py").touch()
    for number in range(files):
        functions = [
            FUNCTION.format(index=index, divisor=index % 5 + 2, limit=100 + number)
            for index in range(max(1, lines // FUNCTION.count("\n")))
        ]
        path = package / f"part_{number % 20}" / f"module_{number}.py"
        path.write_text(HEAD.format(number=number) + "".join(functions))
    (folder / "test_all.py").write_text(TEST.format(files=files))
    (folder / "pytest.ini").write_text("[pytest]\n")
    Repository(folder).commit_all()
    return folder
