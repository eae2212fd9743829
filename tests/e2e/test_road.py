"""A tap from a terminal to the ledger and back, through a real broker, a real worker and a real database."""

from itertools import cycle

import asyncpg
import pytest

from sdk.merchant.transaction import SignedRecord
from services.common import topics
from services.payments.domain.verdict import Cause
from tests.support.road import PARTITIONS, Road, taps
from tests.support.terminals import Placed
from tests.support.town import bus_ride, card_state, now_ms, purchase
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(300)


async def test_taps_come_back_as_what_the_ledger_decided(road: Road) -> None:
    road.worker()
    road.terminals.tap(taps(3000, cards=200))
    await road.terminals.answered()
    report = await road.exactly()
    assert (report.emitted, report.answered) == (3000, 3000)
    await road.acknowledged()


async def test_an_event_that_is_delivered_twice_has_one_verdict(road: Road) -> None:
    twice = taps(2000, cards=200)
    road.terminals.tap(twice)
    road.terminals.again(twice)
    worker = road.worker()
    await road.terminals.answered()
    road.terminals.again(twice)
    await road.acknowledged()
    report = await road.exactly()
    assert report.posted + sum(report.refused.values()) == 2000
    assert worker.metric("onecard_taps_total", outcome="repeated") == 4000


async def test_nothing_waits_behind_a_record_that_cannot_be_posted(road: Road) -> None:
    await _forbid_price(road, 4242)
    good = [purchase(n, 100) for n in range(40)]
    nul, rejected = purchase(50, 100, card_identifier="C\0"), purchase(51, 4242)
    records: list[SignedRecord | bytes] = [
        *good[:10],
        b"\xff no message",
        *good[10:20],
        nul,
        *good[20:30],
        rejected,
        b"",
        *good[30:],
    ]
    in_one_partition = [
        Placed(topics.TRANSACTIONS_CAMPUS, record if isinstance(record, bytes) else record.record, b"", 2) for record in records
    ]
    road.terminals.place(records, in_one_partition.__getitem__)
    road.worker()
    await road.terminals.answered(but=2)
    await road.acknowledged()
    report = await road.exactly()
    assert report.posted == len(good)
    assert report.aside == {"undecodable": 2, "bad text": 1, "database rejected": 1}


async def test_a_card_on_two_lanes_at_once_never_spends_what_it_has_not(road: Road) -> None:
    purse_fen, meal_fen, cards, meals = 10_000, 330, 5, 600
    records = [purchase(card, meal_fen) for card, _ in zip(cycle(range(cards)), range(meals), strict=False)]
    road.terminals.place(records, lambda n: Placed.of(records[n], partition=n // cards % PARTITIONS))
    road.worker()
    road.worker()
    await road.terminals.answered()
    await road.acknowledged()
    report = await road.exactly()
    assert report.posted == cards * (purse_fen // meal_fen)
    assert report.refused == {"insufficient funds": meals - report.posted}
    assert [await road.town.balance(card) for card in range(cards)] == [purse_fen % meal_fen] * cards


async def test_a_tap_of_an_unknown_card_is_decided_as_soon_as_the_card_is_known(road: Road) -> None:
    road.worker()
    strangers = range(1000, 1020)
    road.terminals.tap([bus_ride(card) for card in strangers for _ in range(5)] + taps(100, cards=200))
    await road.terminals.answered(but=100)
    assert await road.count(f"dead_letter where cause = {Cause.UNKNOWN_CARD.value}") == 100
    road.publish(*map(card_state, strangers))
    await road.terminals.answered()
    report = await road.exactly()
    # Their accounts are new and empty.
    assert report.refused == {"insufficient funds": 100}
    assert report.aside == {}
    await road.acknowledged()


async def test_the_age_of_the_projection_grows_when_heartbeats_stop(road: Road) -> None:
    worker = road.worker()
    beaten = now_ms()
    road.beat(beaten - 5000)
    await until("the age is measured", lambda: worker.metric("onecard_card_projection_age_seconds") > 0)
    road.beat(beaten := now_ms())
    await until("the age falls", lambda: 0 < worker.metric("onecard_card_projection_age_seconds") < 5)
    await until("it grows", lambda: worker.metric("onecard_card_projection_age_seconds") > 3)
    assert worker.metric("onecard_card_projection_age_seconds") <= (now_ms() - beaten) / 1000


async def _forbid_price(road: Road, price_fen: int) -> None:
    """A value that only the database rejects."""
    owner = await asyncpg.connect(road.database.owner_url.replace("+asyncpg", ""))
    await owner.execute(f"alter table payments.transfer add constraint test_only check (amount_fen <> {price_fen})")
    await owner.close()
