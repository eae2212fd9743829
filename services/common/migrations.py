"""Brings a service's schema up to date, step by step, with Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine


async def migrate(owner_url: str, schema: str, folder: Path, then: str = "select") -> None:
    """Run what is missing, and one statement after it, in one transaction as the schema's owner; two at once do it once."""
    engine = create_async_engine(owner_url)
    async with engine.begin() as connection:
        await connection.execute(text("select pg_advisory_xact_lock(hashtext(:name))"), {"name": f"{schema}.migrate"})
        await connection.execute(text(f"create schema if not exists {schema}"))
        await connection.run_sync(_upgrade, folder, schema)
        await connection.execute(text(then))
    await engine.dispose()


def _upgrade(connection: Connection, folder: Path, schema: str) -> None:
    config = AlembicConfig()
    config.set_main_option("script_location", str(folder))
    config.attributes["connection"] = connection
    config.attributes["schema"] = schema
    command.upgrade(config, "head")


def run_script(connection: Connection, script: str) -> None:
    """Run several statements in the open transaction; a prepared statement holds only one."""
    adapted = connection.connection.dbapi_connection
    assert adapted is not None
    adapted.run_async(lambda driver: driver.execute(script))
