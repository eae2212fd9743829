"""The doctor before a real database: a healthy ledger, and dead letters that it names."""

from sqlalchemy.ext.asyncio import AsyncEngine

from cli.doctor.database import judge_database, read_database
from cli.doctor.finding import Health
from cli.doctor.looking import newest_migrations
from services.common import topics
from services.payments.domain.verdict import Cause
from tests.support.town import Database, build_town, received


async def wrong(database: Database) -> dict[str, str]:
    seen = await read_database(database.owner_url, 5)
    heads = {"payments": newest_migrations()["payments"]}
    found = judge_database(seen, heads, {cause.value: cause.name for cause in Cause})
    return {one.thing: one.said for one in found if one.health is not Health.WELL}


async def test_dead_letters_are_named(engine: AsyncEngine, database: Database) -> None:
    town = await build_town(engine, 1)
    before = await wrong(database)
    assert {"dead letters", "migrations of payments", "partitions of transfers"}.isdisjoint(before), before
    await town.post(received([(topics.TRANSACTIONS_BUS, b"\xff")]))
    assert "UNDECODABLE" in (await wrong(database))["dead letters"]
