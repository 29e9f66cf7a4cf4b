"""Where the value of a setting stands: for messages, and for what may be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple


class Origin(NamedTuple):
    """Where the value of a setting stands; as a text the way the user would look for it."""

    kind: Literal["flag", "addopts", "variable", "plugin", "ini", "yml", "token file"]
    """``plugin``: a variable that was not there before pytest's plugins; some set what a file says.
    """
    name: str
    """Flag, variable or key; of a token file the setting that names it."""
    file: Path | None = None
    """The file that it stands in."""

    def __str__(self) -> str:
        if self.file is None:
            return self.name
        between = " " if self.kind == "token file" else " in "
        return f"{self.name}{between}{self.file.name}"

    @property
    def is_typed(self) -> bool:
        """Whether who runs the tests has given it, not a file that a pull request can change."""
        return self.kind in {"flag", "variable"}
