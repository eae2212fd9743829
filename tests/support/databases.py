"""Databases of the one PostgreSQL that serves the whole run: fresh and migrated, copied from a template."""

from itertools import count

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from cli.servers.postgres import Postgres
from tests.support.town import Database

_numbers = count(1)


async def make_database(server: Postgres) -> Database:
    """A fresh, migrated database."""
    return await _copy(server, "onecard")


async def empty_database(server: Postgres) -> Database:
    """A database without a schema."""
    return await _copy(server, "template0")


async def copy_database(database: Database) -> Database:
    """A backup, byte by byte; nobody may be connected."""
    return await _copy(database.server, database.owner_url.rsplit("/", 1)[1])


async def _copy(server: Postgres, template: str) -> Database:
    name = f"town_{next(_numbers)}"
    # Through the write-ahead log, as is the default, it would be written twice.
    await _execute(server, f'create database "{name}" template "{template}" strategy file_copy')
    urls = (server.application_url, server.owner_url, server.url_of("card"), server.url_of("issuance"))
    return Database(server, *(url.rsplit("/", 1)[0] + f"/{name}" for url in urls))


def unlimited_engine(url: str) -> AsyncEngine:
    """For transactions that a test holds open for as long as it likes."""
    return create_async_engine(url, pool_size=10, max_overflow=0)


async def drop_database(database: Database) -> None:
    name = database.owner_url.rsplit("/", 1)[1]
    await _execute(database.server, f'drop database "{name}" with (force)')


async def _execute(server: Postgres, statement: str) -> None:
    """On a session of its own: a test may have restarted the server."""
    owner = await asyncpg.connect(server.owner_url.replace("+asyncpg", "").rsplit("/", 1)[0] + "/postgres")
    try:
        await owner.execute(statement)
    finally:
        await owner.close()
