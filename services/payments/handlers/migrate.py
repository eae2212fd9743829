"""Bring the payments schema up to date."""

from typing import Final

from services.common import migrations
from services.common.migrations import Migrated, Step
from services.payments.handlers.keep_up import MONTHS_AHEAD
from services.payments.migrations import SCHEMA

_PARTITIONS_AHEAD: Final = f"select payments.make_transfer_partitions({MONTHS_AHEAD})"


async def migrate(owner_url: str, upto: Step = "expand") -> Migrated:
    """Run what is missing up to a step, as the owner of the schema, and make the partitions of the next months.

    Raises MigrationError.
    """
    return await migrations.migrate(owner_url, SCHEMA, upto, then=_PARTITIONS_AHEAD)
