"""Numbers of terminals that are missing: seen while they are, gone when they have come, and not looked for below a mark."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from random import Random

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from cli import paths
from sdk.merchant.transaction import SignedRecord
from services.payments.adapters.ledger import Ledger
from services.payments.adapters.progress import list_gaps
from services.payments.domain.gap import Gap
from services.payments.domain.seal import Seal
from services.payments.handlers.follow_sequences import FollowSequences, _joined, _spans
from services.payments.handlers.post_taps import PostTaps
from services.payments.metrics import MISSING_SEQUENCES, TERMINALS_WITH_GAPS
from tests.support.sealing import Books, autocommit, sealed_books
from tests.support.town import BUS, CAMPUS, KEY, Database, bus_ride, purchase, received


@pytest.fixture
async def books(engine: AsyncEngine, database: Database) -> AsyncIterator[Books]:
    async with sealed_books(engine, database.owner_url, turns=0) as made:
        yield made


async def post(books: Books, *records: SignedRecord) -> None:
    await books.office.town.post(received(records))
    await books.seal()


async def follow(books: Books, most_seals: int = 100) -> bool:
    async with autocommit(books.engine) as session:
        return await FollowSequences(most_seals=most_seals)(session)


async def gaps(books: Books) -> list[Gap]:
    async with books.engine.connect() as connection:
        return await list_gaps(connection, 50)


async def shown(books: Books) -> tuple[float, float]:
    await follow(books)
    return TERMINALS_WITH_GAPS._value.get(), MISSING_SEQUENCES._value.get()


async def test_a_gap_is_seen_and_closes_when_what_was_late_has_come(books: Books) -> None:
    await post(
        books, *(bus_ride(0, terminal=1, sequence=number) for number in (1, 2, 5, 9)), bus_ride(0, terminal=2, sequence=1)
    )
    assert await shown(books) == (1, 5)
    assert await gaps(books) == [Gap(BUS, f"{BUS}-T1", 5, 9)]
    await post(books, *(bus_ride(0, terminal=1, sequence=number) for number in (3, 4, 6)))
    assert await shown(books) == (1, 2)
    await post(books, *(bus_ride(0, terminal=1, sequence=number) for number in (7, 8)))
    assert (await shown(books), await gaps(books)) == ((0, 0), [])


async def test_a_refusal_fills_its_place_and_a_repeat_or_a_dead_letter_fills_none(books: Books) -> None:
    first, dear = bus_ride(0, terminal=3, sequence=1), purchase(0, 90_000, terminal=3, sequence=1)
    forged = bus_ride(0, terminal=3, sequence=2)._replace(record=b"\xff")
    await post(books, first, dear, purchase(0, 100, terminal=3, sequence=2), bus_ride(0, terminal=3, sequence=3), forged)
    await post(books, first, first, dear)
    await follow(books)
    assert await gaps(books) == [Gap(BUS, f"{BUS}-T3", 1, 3)]


async def test_what_is_counted_is_counted_once_however_often_it_is_looked_at(books: Books) -> None:
    chance = Random(7)
    numbers = chance.sample(range(1, 60), 40)
    for at in range(0, 40, 5):
        await post(books, *(purchase(1, 100, terminal=4, sequence=number) for number in numbers[at : at + 5]))
        if chance.random() < 0.5:
            await asyncio.gather(*(follow(books, most_seals=1) for _ in range(3)))
    while not await follow(books, most_seals=2):
        pass
    assert await gaps(books) == [Gap(CAMPUS, f"{CAMPUS}-T4", max(numbers) - 40, max(numbers))]


async def test_a_batch_that_is_committed_behind_its_seal_is_counted_too(books: Books) -> None:
    town, reached, goes_on = books.office.town, asyncio.Event(), asyncio.Event()

    async def at(point: str) -> None:
        if point == "written":
            reached.set()
            await goes_on.wait()

    slow = PostTaps(Ledger(books.engine, town.ledger.rules, KEY, at), town.registry, town.verifier)
    late = asyncio.create_task(slow(received([bus_ride(0, terminal=5, sequence=1)])))
    await reached.wait()
    await post(books, bus_ride(1, terminal=5, sequence=2))
    await follow(books)
    assert await gaps(books) == [Gap(BUS, f"{BUS}-T5", 1, 2)]
    goes_on.set()
    await late
    await books.seal()
    await follow(books)
    assert await gaps(books) == []


async def test_nothing_is_looked_for_below_a_mark(books: Books) -> None:
    await post(books, *(bus_ride(0, terminal=6, sequence=number) for number in (1, 4, 8)))
    await follow(books)
    terminal = await books.owner.fetchval("select id from payments.terminal where terminal_id = $1", f"{BUS}-T6")
    async with books.owner.transaction():
        await books.owner.execute("insert into payments.terminal_mark (terminal, sequence) values ($1, 4)", terminal)
        await books.owner.execute("update payments.terminal_progress set received = received - 2 where terminal = $1", terminal)
    await follow(books)
    assert await gaps(books) == [Gap(BUS, f"{BUS}-T6", 3, 8)]


def seal(number: int, first: int, last: int, holes: tuple[tuple[int, int], ...] = (), late: tuple[int, ...] = ()) -> Seal:
    return Seal(number, first, last, holes, late, 0, b"", 1, 0)


def test_the_spans_of_seals_hold_every_batch_once() -> None:
    seals = [seal(1, 1, 10), seal(2, 11, 20, ((11, 11), (15, 17))), seal(3, 21, 21, (), (11, 16)), seal(4, 22, 23, ((22, 23),))]
    assert _joined(_spans(seals)) == [(1, 10), (12, 14), (18, 21), (11, 11), (16, 16)]


async def test_the_command_lists_them(books: Books, database: Database) -> None:
    def say() -> str:
        environment = {
            "PATH": "/usr/bin:/bin",
            "ONECARD_DATABASE_URL": database.application_url,
            "ONECARD_KAFKA": "127.0.0.1:1",
            "ONECARD_BATCH_KEY": KEY.key.hex(),
            "COLUMNS": "120",
        }
        command = [sys.executable, "-m", "services.payments", "gaps"]
        return subprocess.run(command, env=environment, cwd=paths.ROOT, capture_output=True, text=True, check=True).stdout

    assert "no terminal has a gap" in await asyncio.to_thread(say)
    await post(books, bus_ride(0, terminal=7, sequence=1001))
    await follow(books)
    assert f"{BUS}-T7" in (told := await asyncio.to_thread(say))
    assert "1,000" in told
