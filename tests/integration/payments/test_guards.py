"""What the database itself refuses, whatever the application believes."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.payments.adapters.rows import SELECT_TRANSFERS, SELECT_VERDICTS, batch_digest, rows_of_copy
from services.payments.handlers.check_books import check_books
from tests.support.town import FIRST_ACCOUNT, KEY, Database, build_town, bus_ride, purchase, received


@pytest.fixture
async def application(database: Database) -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection = await asyncpg.connect(database.application_url.replace("+asyncpg", ""))
    yield connection
    await connection.close()


@pytest.mark.parametrize("table", ["verdict", "transfer", "batch"])
async def test_the_journal_is_append_only_for_the_application(
    engine: AsyncEngine, application: "asyncpg.Connection[Any]", table: str
) -> None:
    town = await build_town(engine, 1)
    await town.post(received([bus_ride(0)]))
    for statement in (f"update payments.{table} set batch = 1", f"delete from payments.{table}", f"truncate payments.{table}"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await application.execute(statement.replace("set batch", "set number") if table == "batch" else statement)


async def test_a_guarded_account_cannot_be_overdrawn_by_any_statement(
    engine: AsyncEngine, application: "asyncpg.Connection[Any]"
) -> None:
    await build_town(engine, 1, opening_fen=100)
    with pytest.raises(asyncpg.CheckViolationError, match="guarded_account_stays_covered"):
        await application.execute("update payments.account set debits_posted_fen = 101 where id = $1", FIRST_ACCOUNT)
    with pytest.raises(asyncpg.CheckViolationError, match="holders_are_guarded"):
        await application.execute("update payments.account set guarded = false where id = $1", FIRST_ACCOUNT)


async def test_a_transfer_has_two_sides_and_a_positive_amount(owner: "asyncpg.Connection[Any]") -> None:
    insert = (
        "insert into payments.transfer select payments.first_transfer_id(now()), 1, 0, 0::smallint, 1::smallint, $1, $2, $3,"
        " 156::smallint, 1, 1, 1, now(), current_date, current_date"
    )
    with pytest.raises(asyncpg.CheckViolationError, match="two_sides"):
        await owner.execute(insert, 5, 5, 100)
    with pytest.raises(asyncpg.CheckViolationError, match="amount"):
        await owner.execute(insert, 5, 6, 0)


async def test_a_batch_digest_can_be_made_again_from_the_rows_and_shows_what_was_altered(
    engine: AsyncEngine, owner: "asyncpg.Connection[Any]"
) -> None:
    town = await build_town(engine, 3)
    await town.post(received([bus_ride(0), purchase(1, 500), purchase(2, 90_000), bus_ride(2)]))
    row = await owner.fetchrow("select number, now, digest from payments.batch order by number desc limit 1")
    assert row is not None
    number, now, digest = row

    async def remade() -> bytes:
        rows = []
        for query in (SELECT_VERDICTS, SELECT_TRANSFERS):
            copied = bytearray()

            async def keep(data: bytes, into: bytearray = copied) -> None:
                into += data

            await owner.copy_from_query(query, number, output=keep, format="binary")
            rows.append(rows_of_copy(bytes(copied)))
        return batch_digest(KEY.key, number, round(now.timestamp() * 1000), *rows)

    assert await remade() == digest
    await owner.execute(
        "update payments.transfer set amount_fen = amount_fen + 1 where batch = $1 and amount_fen = 500", number
    )
    assert await remade() != digest


async def test_the_check_names_the_first_account_that_differs(engine: AsyncEngine, owner: "asyncpg.Connection[Any]") -> None:
    town = await build_town(engine, 3)
    await town.post(received([bus_ride(0), bus_ride(1), bus_ride(2)]))
    assert (await check_books(engine)).balance
    await owner.execute(
        "update payments.account set credits_posted_fen = credits_posted_fen + 7 where id >= $1", FIRST_ACCOUNT + 1
    )
    books = await check_books(engine)
    assert not books.balance
    assert books.imbalance_fen == {"CNY": -14, "places": 0}
    assert f"account {FIRST_ACCOUNT + 1}" in books.problem


async def test_the_check_names_a_batch_that_lost_a_verdict(engine: AsyncEngine, owner: "asyncpg.Connection[Any]") -> None:
    town = await build_town(engine, 1)
    await town.post(received([purchase(0, 90_000)]))
    await owner.execute("delete from payments.verdict where outcome = 2")
    books = await check_books(engine)
    assert "batch" in books.problem


async def test_transfers_find_their_partition_for_months_ahead(
    engine: AsyncEngine, application: "asyncpg.Connection[Any]"
) -> None:
    assert await application.fetchval("select payments.make_transfer_partitions(3)") == 0
    assert await application.fetchval("select payments.make_transfer_partitions(5)") == 2
    assert await application.fetchval("select count(*) from pg_inherits where inhparent = 'payments.transfer'::regclass") == 6


async def test_no_table_is_unlogged(owner: "asyncpg.Connection[Any]") -> None:
    """PostgreSQL 18 does not start again when it is killed soon after a truncate of one was rolled back ("File exists")."""
    assert await owner.fetch("select relname from pg_class where relpersistence = 'u'") == []
