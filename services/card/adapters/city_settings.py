"""The city's settings, read from a file. What is wrong is named with file and key."""

import tomllib
from pathlib import Path

import msgspec

from services.card.domain.settings import CitySettings


class CitySettingsError(Exception):
    """The file cannot be used; the message names it and the key."""


def read_city_settings(path: Path) -> CitySettings:
    """Every setting must stand in the file, and nothing else may. Raises CitySettingsError."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
        settings = msgspec.convert(found, CitySettings)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise CitySettingsError(f"{path}: {error}") from None
    if unknown := _unknown(found, msgspec.to_builtins(settings)):
        raise CitySettingsError(f"{path}: there is no setting {unknown}")
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
