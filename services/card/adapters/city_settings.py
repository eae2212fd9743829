"""The city's settings, read from a file. What is wrong is named with file and key."""

from pathlib import Path
from typing import Final

from services.card.domain.settings import CitySettings
from services.common.settings import SettingsError, read_settings

CitySettingsError = SettingsError
_OF_OTHERS: Final = frozenset({"issuance"})


def read_city_settings(path: Path) -> CitySettings:
    """Every setting must stand in the file, and nothing else may but another service's section. Raises CitySettingsError."""
    return read_settings(path, CitySettings, lambda section: section not in _OF_OTHERS)
