"""Bring the payments schema up to date."""

from pathlib import Path

from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

_FOLDER = Path(__file__).parents[1] / "migrations"
_PARTITIONS_AHEAD_MONTHS = 3


async def migrate(owner_url: str) -> None:
    """Run what is missing, in one transaction, as the owner of the schema; two processes at once do it once."""
    engine = create_async_engine(owner_url)
    async with engine.begin() as connection:
        await connection.execute(text("select pg_advisory_xact_lock(hashtext('payments.migrate'))"))
        await connection.run_sync(_upgrade)
        await connection.execute(
            text("select payments.make_transfer_partitions(:months)"), {"months": _PARTITIONS_AHEAD_MONTHS}
        )
    await engine.dispose()


def _upgrade(connection: Connection) -> None:
    config = AlembicConfig()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
