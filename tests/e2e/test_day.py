"""A day of a city on all three scenes: some validators are heard in the evening only, and every fare is right to the fen."""

import asyncio
import random
import sqlite3
from collections import Counter
from contextlib import closing

import pytest
from sqlalchemy import text

from sdk.merchant.transaction import SignedRecord
from tests.support.road import Road
from tests.support.town import bus_ride, card_state, entry, now_ms, purchase

pytestmark = pytest.mark.timeout(300)

MINUTE_MS = 60_000
DAY_MS = 8 * 60 * MINUTE_MS
"""Of those who are out, so that rides are near each other."""
RIDERS = 60
OFFLINE = (5, 6, 7)
"""Of the eight terminals of each merchant."""


def a_day(chance: random.Random, riders: int, end_ms: int) -> tuple[list[SignedRecord], list[SignedRecord]]:
    """What is told as it happens, and what is told in the evening; both in the order of their times."""
    happened = []
    for card in range(riders):
        for _ in range(chance.randint(6, 16)):
            happened.append((end_ms - chance.randrange(DAY_MS // MINUTE_MS) * MINUTE_MS, card))
    at_once: list[SignedRecord] = []
    in_the_evening: list[SignedRecord] = []
    for at_ms, card in sorted(happened):
        terminal = chance.randrange(8)
        match chance.choice(["ride", "ride", "ride", "meal", "meal", "entry"]):
            case "ride":
                record = bus_ride(card, line=chance.choice("ABC"), terminal=terminal, at_ms=at_ms)
            case "meal":
                record = purchase(card, chance.randint(100, 900), terminal=terminal, at_ms=at_ms)
            case _:
                record = entry(card, terminal=terminal, at_ms=at_ms)
        (in_the_evening if terminal in OFFLINE else at_once).append(record)
    return at_once, in_the_evening


async def test_a_day_with_late_validators_is_charged_as_if_all_had_been_heard_in_time(road: Road) -> None:
    chance = random.Random(7)
    now = now_ms()
    await road.town.project(*(card_state(n, version=2, category="student") for n in range(0, RIDERS, 3)))
    at_once, in_the_evening = a_day(chance, RIDERS, now - MINUTE_MS)
    workers = [road.worker(), road.worker()]
    road.terminals.tap(at_once)
    await road.terminals.answered()
    assert (await road.fares()).adjusted < len(at_once) // 20  # two topics, two lanes: a few overtake each other
    chance.shuffle(in_the_evening)
    for part in range(0, len(in_the_evening), 40):
        road.terminals.tap(in_the_evening[part : part + 40])
        road.terminals.again(chance.sample(at_once, 10))
        await asyncio.sleep(0.05)
    await road.terminals.answered()
    await road.acknowledged()
    report = await road.exactly()
    assert report.emitted == len(at_once) + len(in_the_evening)
    assert (await road.fares()).adjusted > 20
    late = sum(worker.metric("onecard_late_taps_total") for worker in workers)
    assert late > len(in_the_evening) / 3
    assert await takings_of_the_ledger(road) == takings_that_were_told(road)


def takings_that_were_told(road: Road) -> dict[str, int]:
    """What merchants heard that they earn, by the latest outcome of each tap."""
    takings: Counter[str] = Counter()
    for path in road.terminals.spools.glob("*.spool"):
        with closing(sqlite3.connect(path)) as spool:
            takings.update(
                dict(
                    spool.execute(
                        "select merchant_id, sum(fare_fen) from answered a join terminal t on t.id = a.terminal"
                        " where verdict = 1 group by 1"
                    )
                )
            )
    return dict(takings)


async def takings_of_the_ledger(road: Road) -> dict[str, int]:
    """What stands on the merchants' accounts."""
    query = text(
        "select m.merchant_id, (a.credits_posted_fen - a.debits_posted_fen"
        " + coalesce((select sum(credits_fen - debits_fen) from payments.accrual where account_id = a.id), 0))::bigint as fen"
        " from payments.merchant m join payments.account a on a.id = m.payable_account where m.scene in (1, 2, 3)"
    )
    async with road.engine.connect() as connection:
        rows = await connection.execute(query)
        return {row.merchant_id: row.fen for row in rows}
