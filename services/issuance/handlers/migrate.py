"""Bring the issuance schema up to date."""

from pathlib import Path
from typing import Final

from services.common import migrations

_FOLDER: Final = Path(__file__).parents[1] / "migrations"


async def migrate(owner_url: str) -> None:
    """Run what is missing, as the owner of the schema."""
    await migrations.migrate(owner_url, "issuance", _FOLDER)
