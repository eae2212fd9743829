"""Sessions that are looked at: one that broke while it rested is replaced, and a whole one costs at most a round trip."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common import database
from services.common.database import DatabaseError, driver_session, make_engine
from tests.support.town import Database


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(database.application_url, "looked-at", sessions=2, looked_at=True)
    yield engine
    await engine.dispose()


async def backend(engine: AsyncEngine) -> int:
    async with driver_session(engine) as driver:
        number: int = await driver.fetchval("select pg_backend_pid()")
        return number


async def kill(owner: "asyncpg.Connection[Any]") -> None:
    await owner.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'looked-at'")


async def test_a_session_that_broke_while_it_rested_is_replaced(
    engine: AsyncEngine, owner: "asyncpg.Connection[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "RESTED_SECONDS", 0.0)
    first = await backend(engine)
    await kill(owner)
    while await owner.fetchval("select count(*) from pg_stat_activity where application_name = 'looked-at'"):
        pass
    assert await backend(engine) != first
    assert await backend(engine) > 0


async def test_one_that_is_known_to_be_closed_is_replaced_without_asking(engine: AsyncEngine) -> None:
    first = await backend(engine)
    async with driver_session(engine) as driver:
        await driver.fetchval("select 1")
    driver.terminate()
    assert await backend(engine) != first


async def test_a_session_is_tried_only_when_it_rested(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await backend(engine)
    asked: list[str] = []
    true = asyncpg.Connection.fetchrow

    async def fetchrow(driver: Any, query: str, *args: Any, **more: Any) -> Any:
        asked.append(query)
        return await true(driver, query, *args, **more)

    monkeypatch.setattr(asyncpg.Connection, "fetchrow", fetchrow)
    assert await backend(engine) == first
    assert asked == []
    monkeypatch.setattr(database, "RESTED_SECONDS", 0.0)
    assert await backend(engine) == first
    assert asked == [";"]


async def test_who_is_not_looked_at_meets_the_broken_session(database: Database, owner: "asyncpg.Connection[Any]") -> None:
    engine = make_engine(database.application_url, "looked-at", sessions=1)
    await backend(engine)
    await kill(owner)
    with pytest.raises(DatabaseError):
        await backend(engine)
    await engine.dispose()
