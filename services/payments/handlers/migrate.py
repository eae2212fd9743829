"""Bring the payments schema up to date."""

from pathlib import Path
from typing import Final

from services.common import migrations

_FOLDER: Final = Path(__file__).parents[1] / "migrations"
_PARTITIONS_AHEAD: Final = "select payments.make_transfer_partitions(3)"
"""Of so many months."""


async def migrate(owner_url: str) -> None:
    """Run what is missing, as the owner of the schema, and make the partitions of the next months."""
    await migrations.migrate(owner_url, "payments", _FOLDER, then=_PARTITIONS_AHEAD)
