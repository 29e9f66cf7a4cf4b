"""Where settings come from: flags, variables, pytest's ini file and ``.coveralls.yml``."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ..errors import SettingsError
from ..secret import Secret
from .kinds import read_boolean
from .origin import Origin
from .resolve import Text, resolve, texts_of_variables, token_in, unknown_variables
from .table import BOOLEAN, OPTIONS, Settings

FLAGS: Mapping[str, tuple[str, str | None]] = {
    flag: (option.ini, keywords.get("const"))
    for option in OPTIONS.values()
    for flag, keywords in option.arguments()
}
"""Flag -> ini key, and the text that it stands for where it takes none."""

FOREIGN = ("GITHUB_TOKEN", "CI_JOB_TOKEN")
"""Variables of CI services that hold a token."""
TOKENS = pytest.StashKey[dict[Path, Secret | None]]()
"""The tokens of the files that were read."""


def is_on(config: pytest.Config) -> bool:
    """Tell whether the ini key ``coveralls`` asks for a submission.

    Raises:
        SettingsError: it is no boolean.
    """
    text = _ini_text(config, "coveralls")
    try:
        return bool(text) and read_boolean(text)
    except ValueError:
        origin = Origin("ini", "coveralls", config.inipath)
        raise SettingsError(f'{origin} is "{text}": it takes {BOOLEAN.accepts}') from None


def gather(
    config: pytest.Config,
    options: Any,
    env: Mapping[str, str],
    words: Sequence[str] | None = None,
    before: Mapping[str, str] | None = None,
) -> tuple[Settings, list[str]]:
    """Return the settings, and what is worth telling of their origins.

    Args:
        config: for the ini file and the directories.
        options: a namespace with the flags' values.
        env: the environment of session start.
        words: the command line as it was typed; pytest's own, if not given.
        before: our variables before other plugins could set them; those of ``env``, if not given.

    Raises:
        SettingsError: a value cannot be used.
    """
    from . import coveralls_yml as yml

    if words is None:
        words = [*shlex.split(env.get("PYTEST_ADDOPTS", "")), *config.invocation_params.args]
    start = config.invocation_params.dir
    in_yml, notices = yml.texts(config.rootpath)
    settings = resolve(
        _texts_of_flags(config, options, words),
        texts_of_variables(env, start, before),
        _texts_of_ini(config, options, words),
        in_yml,
        hidden=[Secret(env[name]) for name in FOREIGN if env.get(name)],
        token_in=_reader(config),
    )
    return settings, [*notices, *unknown_variables(env)]


def _reader(config: pytest.Config) -> Callable[[Path], Secret | None]:
    """Return what reads a token file once: settings are read twice a session, a pipe cannot be."""
    tokens = config.stash.setdefault(TOKENS, {})

    def read(path: Path) -> Secret | None:
        if path not in tokens:
            tokens[path] = token_in(path)
        return tokens[path]

    return read


def _texts_of_flags(config: pytest.Config, options: Any, words: Sequence[str]) -> dict[str, Text]:
    return {
        name: Text(
            text,
            _origin_of_flag(config, words, option.ini, option.flag, text),
            config.invocation_params.dir,
        )
        for name, option in OPTIONS.items()
        if (text := getattr(options, option.ini, None)) is not None
    }


def _texts_of_ini(config: pytest.Config, options: Any, words: Sequence[str]) -> dict[str, Text]:
    overrides = _given(f"-o{word}" for word in getattr(options, "override_ini", None) or ())
    texts = {}
    for name, option in OPTIONS.items():
        text = _ini_text(config, option.ini) if "ini" in option.accepted_from else ""
        origin = Origin("ini", option.ini, config.inipath)
        key = f"-o {option.ini}"
        if key in overrides:
            origin = _origin_of_flag(config, words, key, key, overrides[key])
        if text:
            texts[name] = Text(text, origin, config.rootpath)
    return texts


def _origin_of_flag(
    config: pytest.Config, words: Sequence[str], key: str, name: str, text: str
) -> Origin:
    """Tell a flag that was typed from one that pytest has read in a file, of which it says none.

    Files are ``addopts`` of the ini file, and ``@arguments.txt`` on the command line.
    """
    if _given(words).get(key) == text:
        return Origin("flag", name)
    is_in_ini = _given(config.getini("addopts")).get(key) == text
    return Origin("addopts", name, config.inipath if is_in_ini else None)


def _given(words: Iterable[str]) -> dict[str, str]:
    """Return what a command line sets, the last of each: ini key or ``-o key`` -> text."""
    given = {}
    rest = iter(words)
    for word in rest:
        flag, is_joined, text = word.partition("=")
        if word == "--":
            break
        if flag in FLAGS:
            key, constant = FLAGS[flag]
            given[key] = constant or (text if is_joined else next(rest, ""))
        elif flag.startswith("-o") or flag == "--override-ini":
            if flag in {"-o", "--override-ini"}:
                override = text if is_joined else next(rest, "")
            else:
                override = word.removeprefix("-o")
            key, _, given_text = override.partition("=")
            given[f"-o {key}"] = given_text
    return given


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
