"""Where settings come from: flags, variables, pytest's ini file and ``.coveralls.yml``."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import pytest

from ..errors import SettingsError
from .resolve import Text, resolve, texts_of_variables, unknown_variables
from .table import BOOLEAN, OPTIONS, Settings, read_boolean


def is_on(config: pytest.Config, options: Any) -> bool:
    """Tell whether ``--coveralls`` or the ini key ``coveralls`` asks for a submission.

    Args:
        config: for the ini file.
        options: a namespace with the flags' values.

    Raises:
        SettingsError: the ini key is no boolean.
    """
    if options.coveralls is not None:
        return bool(options.coveralls)
    text = _ini_text(config, "coveralls")
    try:
        return bool(text) and read_boolean(text)
    except ValueError:
        raise SettingsError(
            f'coveralls in {_ini_name(config)} is "{text}": it takes {BOOLEAN.accepts}'
        ) from None


def gather(
    config: pytest.Config, options: Any, env: Mapping[str, str]
) -> tuple[Settings, list[str]]:
    """Return the settings, and what is worth telling of their sources.

    Args:
        config: for the ini file and the directories.
        options: a namespace with the flags' values.
        env: the environment of session start.

    Raises:
        SettingsError: a value cannot be used.
    """
    from . import coveralls_yml as yml

    start = config.invocation_params.dir
    flags = {
        name: Text(value, option.flag, start)
        for name, option in OPTIONS.items()
        if (value := getattr(options, option.ini, None)) is not None
    }
    ini = {
        name: Text(text, f"{option.ini} in {_ini_name(config)}", config.rootpath)
        for name, option in OPTIONS.items()
        if "ini" in option.sources and (text := _ini_text(config, option.ini))
    }
    in_yml, notices = yml.texts(config.rootpath)
    settings = resolve(flags, texts_of_variables(env, start), ini, in_yml)
    return settings, [*notices, *unknown_variables(env)]


def _ini_text(config: pytest.Config, key: str) -> str:
    """Return an ini value as text; pytest 9's native TOML also has numbers and booleans."""
    try:
        value = config.getini(key)
    except (TypeError, ValueError, pytest.UsageError):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pytest 9 has another name for it
            value = config.inicfg.get(key)
        value = getattr(value, "value", value)
    if isinstance(value, list):
        value = "\n".join(map(str, value))
    return "" if value is None else str(value)


def _ini_name(config: pytest.Config) -> str:
    return config.inipath.name if config.inipath else "the command line"
