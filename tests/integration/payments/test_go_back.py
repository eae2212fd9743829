"""A ledger that went back to a moment: what was given up is said, and nothing else passes for it."""

from collections.abc import AsyncIterator
from itertools import chain

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.clock import now_ms
from services.common.database import make_engine
from services.common.gone_back import PASSED_OVER
from services.payments.handlers.go_back import GivenUp, go_back
from tests.support.sealing import Books, sealed_books
from tests.support.town import KEY, Database

KEPT = 3
"""Of five seals, at the moment that is gone back to."""


@pytest.fixture
async def books(engine: AsyncEngine, database: Database) -> AsyncIterator[Books]:
    """As a restore leaves them: three seals, and five that were published."""
    async with sealed_books(engine, database.owner_url) as made:
        last = (await made.seals())[KEPT - 1].last
        for table, column in (("verdict", "batch"), ("operation", "batch"), ("transfer", "batch"), ("batch", "number")):
            await made.owner.execute(f"delete from payments.{table} where {column} > $1", last)
        await made.owner.execute("delete from payments.seal where number > $1", KEPT)
        yield made


async def went_back(books: Books, database: Database) -> GivenUp:
    owned = make_engine(database.owner_url, "tests", sessions=1)
    try:
        return await go_back(owned, KEY, chain.from_iterable(books.checkpoints.values()), now_ms())
    finally:
        await owned.dispose()


async def test_what_is_given_up_is_counted_and_the_chain_goes_on_behind_its_numbers(books: Books, database: Database) -> None:
    assert "the tail was cut" in (await books.verify()).problem
    published = max(one.last_batch for some in books.checkpoints.values() for one in some)
    assert await went_back(books, database) == await went_back(books, database) == GivenUp(KEPT, 5)
    found = await books.verify()
    assert (found.problem, found.given_up, found.checkpoints) == ("", 2, KEPT)
    for card in (0, 1):
        await books.work(card)
    numbers = [seal.number for seal in await books.seals()]
    assert numbers == [1, 2, 3, 6, 7]
    first = await books.owner.fetchval("select min(number) from payments.batch where number > $1", published)
    assert first > published + PASSED_OVER
    found = await books.verify()
    assert (found.problem, found.seals, found.given_up, found.checkpoints) == ("", 5, 2, 5)


async def test_a_note_alone_hides_no_tail_that_is_cut_afterwards(books: Books, database: Database) -> None:
    await went_back(books, database)
    for card in (0, 1):
        await books.work(card)
    await books.owner.execute("delete from payments.seal where number = 7")
    assert "the tail was cut" in (await books.verify()).problem
    await books.owner.execute(
        "insert into payments.gone_back (after_seal, up_to_seal, to_time, key_version, mac) values (6, 7, now(), $1, $2)",
        KEY.version,
        bytes(32),
    )
    assert "is not by the key" in (await books.verify()).problem


async def test_a_seal_that_was_removed_from_the_middle_is_no_moment_that_was_gone_back_to(
    books: Books, database: Database
) -> None:
    await went_back(books, database)
    await books.work(0)
    await books.owner.execute("update payments.seal set number = 7 where number = 6")
    assert "seal 6 was removed or altered" in (await books.verify()).problem
