"""The README says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_coveralls_submit.settings.table import OPTIONS, Option

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")


def shown(default: object) -> str:
    """Return a default as the table shows it."""
    if default in (None, ()):
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)


def row(option: Option) -> str:
    """Return an option as a row of the table."""
    also = [f"`{variable}`" for variable in option.also]
    if "flag" not in option.accepted_from:
        also.append("no flag" if "ini" in option.accepted_from else "variable only")
    cells = (
        f"`{option.name}`",
        ", ".join(also),
        shown(option.default),
        option.kind.accepts,
        option.help,
    )
    return "| " + " | ".join(cells) + " |"


def test_the_table_of_settings_is_the_codes() -> None:
    """Every setting has its row, in the same order, with the same words."""
    table = README.partition("<!-- settings: ")[2].partition("<!-- end of settings -->")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]

    assert rows == [row(option) for option in OPTIONS.values()]


def test_the_flags_and_variables_that_the_readme_names_exist() -> None:
    """What a user copies from the README is accepted."""
    flags = {flag for option in OPTIONS.values() for flag, _ in option.arguments()}
    ours = README.partition("## Moving over")[0]

    assert set(re.findall(r"--(?:no-)?coveralls-[a-z-]+", ours)) <= flags
    assert {
        name for name in re.findall(r"\bCOVERALLS_[A-Z_]+\b", ours) if not name.endswith("_")
    } <= {variable for option in OPTIONS.values() for variable in option.variables}
