"""Winding back: far enough that what a restored ledger lacks is read again, and no further than is proved to be needed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from sdk.merchant.transaction import SignedRecord
from services.common import topics
from services.payments.adapters.group_offsets import GroupOffsets, Place
from services.payments.adapters.wire import Received
from services.payments.handlers.wind_back import Wound, wind_back
from tests.support.town import Town, build_town, bus_ride, now_ms

BUS_0 = Place(topics.TRANSACTIONS_BUS, 0)
CARDS_0 = Place(topics.CARD_EVENTS, 0)
MINUTE_MS = 60_000


@dataclass
class Kept(GroupOffsets):
    """What a broker keeps of one partition, a record a minute up to now, and where the group is."""

    place: Place
    values: list[bytes]
    begins: int = 0
    moved: dict[Place, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._now_ms = now_ms()

    def committed(self) -> dict[Place, int]:
        return {self.place: len(self.values)}

    def beginning(self, place: Place) -> int:
        return self.begins

    def at(self, place: Place, time_ms: int) -> int | None:
        times = (self._now_ms - (len(self.values) - 1 - offset) * MINUTE_MS for offset in range(len(self.values)))
        return next((offset for offset, time in enumerate(times) if time >= time_ms and offset >= self.begins), None)

    def read(self, place: Place, begin: int, end: int) -> list[tuple[int, bytes]]:
        return list(enumerate(self.values))[begin:end]

    def move(self, offsets: Mapping[Place, int]) -> None:
        self.moved.update(offsets)

    def received(self, *offsets: int) -> list[Received]:
        """Some of them, as the workers have them."""
        return [Received(self.place.topic, 0, offset, now_ms(), self.values[offset]) for offset in offsets]


@pytest.fixture
async def town(engine: AsyncEngine) -> Town:
    return await build_town(engine, 4)


def kept(*records: SignedRecord | bytes) -> Kept:
    return Kept(BUS_0, [record if isinstance(record, bytes) else record.record for record in records])


async def test_where_all_is_in_the_ledger_the_margin_is_enough(engine: AsyncEngine, town: Town) -> None:
    road = kept(*(bus_ride(0) for _ in range(40)))
    await town.post(road.received(*range(40)))
    assert await wind_back(engine, road, 10 * MINUTE_MS, everything=False) == [Wound(BUS_0, 40, road.moved[BUS_0])]
    assert 28 <= road.moved[BUS_0] <= 30


async def test_a_tap_that_is_missing_before_the_margin_is_read_again(engine: AsyncEngine, town: Town) -> None:
    road = kept(*(bus_ride(0) for _ in range(100)))
    await town.post(road.received(*(offset for offset in range(100) if offset not in (70, 85))))
    await wind_back(engine, road, 10 * MINUTE_MS, everything=False)
    assert road.moved[BUS_0] <= 70


async def test_what_lies_aside_as_a_dead_letter_is_not_missing(engine: AsyncEngine, town: Town) -> None:
    road = kept(*(bus_ride(0) for _ in range(20)), b"noise", *(bus_ride(0) for _ in range(19)))
    await town.post(road.received(*range(40)))
    await wind_back(engine, road, 10 * MINUTE_MS, everything=False)
    assert road.moved[BUS_0] > 25


async def test_it_goes_no_further_than_the_oldest_that_is_kept(engine: AsyncEngine, town: Town) -> None:
    road = kept(*(bus_ride(0) for _ in range(40)))
    road.begins = 7
    await town.post(road.received(39))
    await wind_back(engine, road, MINUTE_MS, everything=False)
    assert road.moved[BUS_0] == 7


async def test_of_cards_the_newest_heartbeat_counts_that_was_projected(engine: AsyncEngine, town: Town) -> None:
    road = Kept(CARDS_0, [b""] * 100)
    async with engine.begin() as connection:
        await connection.exec_driver_sql(
            "insert into payments.card_projection values (0, now() - interval '50 minutes')"
            " on conflict (partition) do update set committed_up_to = excluded.committed_up_to"
        )
    await wind_back(engine, road, 10 * MINUTE_MS, everything=False)
    assert 38 <= road.moved[CARDS_0] <= 40


async def test_from_the_oldest_when_that_is_asked_for(engine: AsyncEngine, town: Town) -> None:
    road = kept(*(bus_ride(0) for _ in range(40)))
    await town.post(road.received(*range(40)))
    await wind_back(engine, road, MINUTE_MS, everything=True)
    assert road.moved[BUS_0] == 0
