"""Bring the issuance schema up to date."""

from services.common import migrations
from services.common.migrations import Migrated, Step
from services.issuance.migrations import SCHEMA


async def migrate(owner_url: str, upto: Step = "expand") -> Migrated:
    """Run what is missing up to a step, as the owner of the schema. Raises MigrationError."""
    return await migrations.migrate(owner_url, SCHEMA, upto)
