"""The city's settings of issuance, read from a file."""

from dataclasses import fields
from pathlib import Path

from services.common.settings import read_settings
from services.issuance.domain.settings import Settings


def read_city_settings(path: Path) -> Settings:
    """Raises SettingsError."""
    return read_settings(path, Settings, {field.name for field in fields(Settings)}.__contains__)
