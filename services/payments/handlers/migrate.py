"""Bring the payments schema up to date."""

from pathlib import Path
from typing import Final

from services.common import migrations
from services.payments.handlers.keep_up import MONTHS_AHEAD

_FOLDER: Final = Path(__file__).parents[1] / "migrations"
_PARTITIONS_AHEAD: Final = f"select payments.make_transfer_partitions({MONTHS_AHEAD})"


async def migrate(owner_url: str) -> None:
    """Run what is missing, as the owner of the schema, and make the partitions of the next months."""
    await migrations.migrate(owner_url, "payments", _FOLDER, then=_PARTITIONS_AHEAD)
