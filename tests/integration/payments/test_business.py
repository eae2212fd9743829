"""What today brought, what merchants are owed and since when, and what is held: read off the real books."""

from collections.abc import AsyncIterator
from datetime import date, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.clock import day_of, midnight_ms
from services.payments import metrics
from services.payments.handlers.follow_sequences import FollowSequences
from services.payments.handlers.measure_business import MeasureBusiness, measure_holds
from services.payments.handlers.sweep import Sweep
from tests.support.office import BANK, HOUR_MS
from tests.support.sealing import Books, autocommit, sealed_books
from tests.support.town import BUS, CAMPUS, Database, bus_ride, card_state, entry, now_ms, purchase, received

ELDERLY, FARE_FEN = 4, 200
FUND = "concession_fund"
TODAY = day_of(now_ms())
JOURNAL_READ = text(
    "select sum(seq_scan + coalesce(idx_scan, 0)) from pg_stat_user_tables where relname ~ '^(transfer|verdict|operation)'"
)


@pytest.fixture
async def books(engine: AsyncEngine, database: Database) -> AsyncIterator[Books]:
    async with sealed_books(engine, database.owner_url, turns=0) as made:
        await made.office.town.project(card_state(ELDERLY, birth_date=date(1940, 1, 1), version=2))
        yield made


async def look(books: Books, *, day: date = TODAY, measure: MeasureBusiness | None = None) -> None:
    await books.seal()
    async with autocommit(books.engine) as session:
        await FollowSequences()(session)
        await (measure or MeasureBusiness(lambda: day))(session)


def taps(channel: str, outcome: str = "posted") -> float:
    return float(metrics.TODAY_TAPS.labels(channel, outcome)._value.get())


def fares(channel: str, paid_by: str) -> float:
    return float(metrics.TODAY_FARES.labels(channel, paid_by)._value.get())


def fund() -> float:
    return float(metrics.TODAY_FUND_PAID.labels(FUND)._value.get())


def owed() -> dict[str, int]:
    return {name: fen for name, fen in metrics.UNSETTLED._figures.items() if fen}


def oldest() -> date | None:
    since = metrics.OLDEST_UNSETTLED._value.get()
    return day_of(int(since * 1000)) if since else None


async def pay_out(books: Books, merchant_id: str, fen: int) -> None:
    async with books.engine.connect() as connection:
        account = await connection.scalar(
            text("select payable_account from payments.merchant where merchant_id = :id"), {"id": merchant_id}
        )
    assert not await books.office.reason(books.office.post((account, -fen), (BANK, fen)))


async def test_today_is_counted_by_channel_and_by_who_paid(books: Books) -> None:
    await look(books)
    assert (taps("bus"), fares("bus", "holders"), fund(), owed()) == (0, 0, 0, {})
    yesterday = midnight_ms(TODAY) - HOUR_MS
    await books.office.town.post(
        received(
            [
                *(bus_ride(card) for card in (0, 1, ELDERLY)),
                bus_ride(2, at_ms=yesterday),
                bus_ride(2, at_ms=now_ms() + 9 * HOUR_MS),
                purchase(0, 500),
                purchase(1, 90_000),
                entry(3),
            ]
        )
    )
    await look(books)
    assert [taps(channel) for channel in ("bus", "campus", "scenic")] == [3, 1, 1]
    assert [taps(channel, "refused") for channel in ("bus", "campus", "scenic")] == [0, 1, 0]
    assert (fares("bus", "holders"), fares("bus", "funds")) == (2 * FARE_FEN, FARE_FEN)
    assert (fares("campus", "holders"), fares("campus", "funds")) == (500, 0)
    assert fund() == FARE_FEN
    await look(books, day=TODAY - timedelta(1))
    assert (taps("bus"), taps("campus")) == (1, 0)


async def test_what_is_looked_at_twice_or_posted_twice_is_counted_once(books: Books) -> None:
    ride = bus_ride(0)
    for _ in range(2):
        await books.office.town.post(received([ride]))
        await look(books)
        await look(books)
    assert (taps("bus"), fares("bus", "holders"), owed()) == (1, FARE_FEN, {BUS: FARE_FEN})


async def test_a_merchant_is_owed_since_the_oldest_day_that_is_not_wholly_paid_out(books: Books) -> None:
    first, second, third = (TODAY + timedelta(days) for days in range(3))
    measure_on = {day: MeasureBusiness(lambda day=day: day) for day in (first, second, third)}  # type: ignore[misc]
    await look(books, measure=measure_on[first])
    assert oldest() is None
    await books.office.town.post(received([bus_ride(0), bus_ride(1), purchase(1, 500)]))
    await look(books, measure=measure_on[first])
    assert (owed(), oldest()) == ({BUS: 400, CAMPUS: 500}, first)
    await look(books, measure=measure_on[second])
    await books.office.town.post(received([bus_ride(2)]))
    await look(books, measure=measure_on[second])
    assert (owed(), oldest()) == ({BUS: 600, CAMPUS: 500}, first)
    await pay_out(books, CAMPUS, 500)
    await pay_out(books, BUS, 399)
    await look(books, measure=measure_on[second])
    assert (owed(), oldest()) == ({BUS: 201}, first), "a fen of the first day is still owed"
    await pay_out(books, BUS, 1)
    await look(books, measure=measure_on[second])
    assert (owed(), oldest()) == ({BUS: 200}, second)
    await look(books, measure=measure_on[third])
    assert oldest() == second
    await pay_out(books, BUS, 200)
    await look(books, measure=measure_on[third])
    assert (owed(), oldest()) == ({}, None)


async def test_openings_that_nobody_needs_are_dropped_and_change_nothing(books: Books) -> None:
    await books.office.town.post(received([bus_ride(0)]))
    for number in range(4):
        await look(books, day=TODAY + timedelta(number))
    assert (await openings(books, f"merchant:{BUS}"), await openings(books, f"merchant:{CAMPUS}")) == (4, 1)
    assert await openings(books, FUND) == 1
    assert oldest() == TODAY
    await pay_out(books, BUS, FARE_FEN)
    await look(books, day=TODAY + timedelta(4))
    assert (await openings(books, f"merchant:{BUS}"), oldest()) == (1, None)


async def openings(books: Books, name: str) -> int:
    count = await books.owner.fetchval(
        "select count(*) from payments.day_opening o join payments.account a on a.id = o.account_id where a.name = $1", name
    )
    return int(count)


async def test_what_was_owed_before_anybody_looked_counts_to_the_first_day(books: Books) -> None:
    await books.office.town.post(received([bus_ride(0)]))
    await look(books)
    assert (owed(), oldest(), fund()) == ({BUS: FARE_FEN}, TODAY, 0)


async def test_holds_are_shown_while_they_live(books: Books) -> None:
    office = books.office

    async def shown() -> tuple[float, float, float]:
        async with autocommit(books.engine) as session:
            await measure_holds(session)
        return metrics.HOLDS.labels("payment")._value.get(), metrics.HELD._value.get(), metrics.HOLDS_OVERDUE._value.get()

    assert await shown() == (0, 0, 0)
    held = await office.rule(office.hold(0, 700))
    await office.ask(office.hold(1, 300), office.pay(2, 100))
    assert await shown() == (2, 1000, 0)
    await office.ask(office.capture(held, 400, more=True))
    assert await shown() == (2, 600, 0)
    await office.ask(office.capture(held, 300))
    assert await shown() == (1, 300, 0)
    await books.owner.execute("update payments.payment set expire_time = now() - interval '5 minutes' where status = 1")
    assert await shown() == (1, 300, 1)
    async with autocommit(books.engine) as session:
        await Sweep(books.engine, office.operate).holds(session)
    assert await shown() == (0, 0, 0)


async def test_no_figure_reads_the_journal(books: Books) -> None:
    await books.work(0)
    async with autocommit(books.engine) as session:

        async def reads_of_the_journal() -> int:
            await session.execute(text("select pg_stat_force_next_flush()"))
            return int(await session.scalar(JOURNAL_READ) or 0)

        before = await reads_of_the_journal()
        for _ in range(3):
            await MeasureBusiness()(session)
            await measure_holds(session)
        assert await reads_of_the_journal() == before
        await session.execute(text("select count(*) from payments.verdict"))
        assert await reads_of_the_journal() > before, "a reading of the journal would be seen"
