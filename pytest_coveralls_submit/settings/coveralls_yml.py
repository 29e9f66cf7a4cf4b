"""Reads ``.coveralls.yml``, where the extra ``yaml`` is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import SettingsError
from .resolve import Origin, Text
from .table import OPTIONS, YML_ALIASES

NAME = ".coveralls.yml"


def texts(root: Path) -> tuple[dict[str, Text], list[str]]:
    """Return the settings in ``root``'s ``.coveralls.yml`` and what is worth telling of it.

    Raises:
        SettingsError: it is no YAML file of keys and values.
    """
    path = root / NAME
    if not path.is_file():
        return {}, []
    try:
        import yaml
    except ImportError:
        return {}, [f"{NAME} is not read: pip install pytest-coveralls-submit[yaml]"]
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        # Its own words quote the line, where the token may stand.
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "it is no YAML"
        raise SettingsError(f"{path} cannot be read: {problem}{where}") from None
    if not isinstance(content, dict | None):
        raise SettingsError(f"{path} does not hold keys and values")
    return _known(content or {}, root)


def _known(content: dict[Any, Any], root: Path) -> tuple[dict[str, Text], list[str]]:
    found: dict[str, Text] = {}
    notices = []
    for key, value in content.items():
        name = YML_ALIASES.get(str(key), str(key))
        if name not in OPTIONS or "yml" not in OPTIONS[name].accepted_from:
            notices.append(f"{key} in {NAME} is no setting")
        elif value is not None:
            parts = value if isinstance(value, list) else [value]
            found[name] = Text(
                ",".join(map(str, parts)), Origin("yml", str(key), root / NAME), root
            )
    return found, notices
