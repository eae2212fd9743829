"""Settings in a TOML file, read into values. What is wrong is named with file and key."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")


class SettingsError(Exception):
    """The file cannot be used; the message names it and the key."""


def read_settings(path: Path, kind: type[T], ours: Callable[[str], bool]) -> T:
    """Our sections of a file: every setting of theirs must stand in it, and no other. Raises SettingsError."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
        read = {name: section for name, section in found.items() if ours(name)}
        settings = msgspec.convert(read, kind)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise SettingsError(f"{path}: {error}") from None
    if unknown := _unknown(read, msgspec.to_builtins(settings)):
        raise SettingsError(f"{path}: there is no setting {unknown}")
    return settings


def _unknown(found: object, known: object, at: str = "") -> str:
    """The first key that no setting has, with its section; a misspelt one would otherwise be taken for one that is missing."""
    if not (isinstance(found, dict) and isinstance(known, dict)):
        return ""
    for key, value in found.items():
        if key not in known:
            return f"{at}{key}"
        if deeper := _unknown(value, known[key], f"{at}{key}."):
            return deeper
    return ""
