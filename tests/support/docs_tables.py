"""The rows of the docs' tables, from the code; run as a program it brings them up to date.

A row is known by the name in its first cell; which rows stand in which table is the docs' own.
"""

from __future__ import annotations

import re
from pathlib import Path

from pytest_coveralls_submit.ci.services import SERVICES, Cell, Service
from pytest_coveralls_submit.settings.table import OPTIONS, TOKEN, Option

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `([^`]+)` \|.*$", re.MULTILINE)


def shown(default: object) -> str:
    """Return a default as the table shows it."""
    if default in (None, ()):
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)


def setting_row(option: Option) -> str:
    """Return a setting as a row of its table."""
    also = [f"`{option.also}`"] if option.also else []
    if option.parser is TOKEN:
        also.append("no flag" if option.in_files else "variable only")
    cells = (
        f"`{option.name}`",
        ", ".join(also),
        shown(option.default),
        option.parser.accepts,
        option.help,
    )
    return "| " + " | ".join(cells) + " |"


def templates(cells: tuple[Cell, ...]) -> str:
    """Return what a column of a service may be filled from, the first that is there."""
    return ", else ".join(f"`{cell.template}`" for cell in cells)


def service_row(name: str, service: Service) -> str:
    """Return a CI service as a row of its table."""
    cells = (
        f"`{name}`",
        templates(service.cells("service_number")),
        templates(service.cells("service_job_id")),
        service.documented_at,
    )
    return "| " + " | ".join(cells) + " |"


TABLES = {
    "settings.md": {name: setting_row(option) for name, option in OPTIONS.items()},
    "services.md": {name: service_row(name, service) for name, service in SERVICES.items()},
}
"""Page in ``docs`` -> name -> row."""


def main() -> None:
    """Update each row of the docs."""
    for page, rows in TABLES.items():
        path = ROOT / "docs" / page
        text = path.read_text("utf-8")
        for row in ROW.finditer(text):
            text = text.replace(row[0], rows.get(row[1], row[0]))
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
