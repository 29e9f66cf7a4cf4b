"""A small project with tests and a history, the same bytes and commits every time.

It has what a coverage report can show: branches taken one way and both ways, an excluded line, a
function nobody calls, a module nobody imports, and a remote whose address holds a password.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from git_repository import PLAIN, Repository

BRANCH = "topic/y"
REMOTE = "https://user:secret@github.com/octo/sample.git"

FILES = {
    ".gitignore": "__pycache__/\n.pytest_cache/\n.coverage*\n",
    "pyproject.toml": """\
[tool.pytest.ini_options]
pythonpath = ["."]
testpaths = ["tests"]

[tool.coverage.run]
source = ["sample"]
""",
    "sample/__init__.py": '''\
"""Measure a garden."""
''',
    "sample/beds.py": '''\
"""The beds of a garden."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # pragma: no cover
    from collections.abc import Iterable


@dataclass
class Bed:
    """A rectangle of soil, in metres."""

    width: float
    length: float
    plant: str = ""

    @property
    def area(self) -> float:
        return self.width * self.length


def total_area(beds: Iterable[Bed]) -> float:
    area = 0.0
    for bed in beds:
        if bed.plant:
            area += bed.area
    return area


def largest(beds: Iterable[Bed]) -> Bed:
    return max(beds, key=lambda bed: bed.area)
''',
    "sample/water.py": '''\
"""How much water a bed needs, in litres a day."""

from sample.beds import Bed

THIRST = {"tomato": 6.0, "bean": 4.0, "thyme": 1.0}


def need(bed: Bed, temperature: float) -> float:
    litres = THIRST.get(bed.plant, 2.0) * bed.area
    if temperature > 30:
        litres *= 1.5
    elif temperature < 5:
        litres = 0
    return litres


def refill(level: float, capacity: float) -> float:
    if level < 0:
        raise ValueError("a level is not negative")
    if level >= capacity:
        return 0
    return capacity - level
''',
    "sample/seasons.py": '''\
"""When to sow."""


def may_sow(plant: str, month: int) -> bool:
    match plant:
        case "bean":
            return month in (5, 6)
        case "tomato":
            return month in (3, 4)
        case _:
            return 3 <= month <= 9
''',
    "sample/report.py": '''\
"""A report that no test imports."""

from sample.beds import Bed


def lines(beds: list[Bed]) -> list[str]:
    if not beds:
        return ["no beds"]
    return [f"{bed.plant or 'fallow'}: {bed.area:.1f} m2" for bed in beds]
''',
    "tests/test_beds.py": """\
from sample.beds import Bed, total_area


def test_only_planted_beds_count():
    assert total_area([Bed(2, 3, "bean"), Bed(1, 1)]) == 6


def test_an_empty_garden_has_no_area():
    assert total_area([]) == 0
""",
    "tests/test_seasons.py": """\
from sample.seasons import may_sow


def test_beans_are_sown_in_may():
    assert may_sow("bean", 5)


def test_thyme_is_not_sown_in_winter():
    assert not may_sow("thyme", 12)
""",
    "tests/test_water.py": """\
from sample.beds import Bed
from sample.water import need, refill


def test_heat_makes_thirsty():
    assert need(Bed(1, 1, "bean"), 35) == 6


def test_mild_days_do_not():
    assert need(Bed(1, 1, "thyme"), 20) == 1


def test_a_tank_is_filled_to_its_capacity():
    assert refill(20, 50) == 30
""",
}

ADA = ("Ada Gardener", "ada@example.org", "2024-03-01T09:00:00+00:00")
BERT = ("Bert Söderberg", "bert@example.org", "2024-03-02T10:30:00+01:00")


def make(folder: Path) -> Path:
    """Write the project into a folder, which is made if it is not there; returns the folder."""
    repository = Repository(folder)
    repository.git("symbolic-ref", "HEAD", f"refs/heads/{BRANCH}")
    repository.git("remote", "add", "origin", REMOTE)
    _write(folder, [name for name in FILES if "water" not in name])
    repository.env = PLAIN | _identity(*ADA)
    repository.commit_all("Measure the beds of a garden")
    _write(folder, FILES)
    repository.env = PLAIN | _identity(*BERT)
    repository.commit_all("Water the garden\n\nLitres a day, by plant and temperature.\n")
    return folder


def _identity(name: str, email: str, date: str) -> dict[str, str]:
    values = {"NAME": name, "EMAIL": email, "DATE": date}
    roles = ("AUTHOR", "COMMITTER")
    return {f"GIT_{role}_{part}": value for role in roles for part, value in values.items()}


def _write(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(FILES[name].encode())  # the same line ends on every system
