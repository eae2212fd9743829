"""What we override in Faust is what we read when we wrote it; an upgrade that changes it must be looked at."""

import asyncio
import hashlib
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from faust.tables.base import Collection
from faust.tables.recovery import Recovery
from faust.tables.table import Table
from faust.transport.consumer import Consumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage, Message

from services.payments.adapters.fetches import Fetch, Gathering
from tests.support.bare_consumer import Bare

BUS_0, BUS_1 = TP("transactions.bus", 0), TP("transactions.bus", 1)


def fingerprint(function: Callable[..., Any]) -> str:
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("function", "known"),
    [
        (Consumer.getmany, "4b168d84882a70d6"),
        (Consumer.ack, "5fcf41cf45153475"),
        (Consumer._new_offset, "1d2c7ea89a7ad4f1"),
        (Consumer.perform_seek, "0e8c130ff4b0afd8"),
        (Consumer.on_partitions_revoked, "d04b7ae72c6fc206"),
        (Consumer._wait_next_records, "6218e1969a636b3f"),
        (Consumer._drain_messages, "44a2500309e83c63"),
        (Consumer._commit_tps, "a20e230b05ae8b15"),
        (Consumer._should_commit, "5ce941793947ad42"),
        (Message.ack, "4751b72c4ed84153"),
        (ConsumerMessage.on_final_ack, "45d670b6a8ac4bd0"),
        (driver.Consumer._to_message, "7c24f6511b2fcef7"),
        (Table.on_key_set, "a370e35ca55c2c7e"),
        (Table.on_key_del, "4f2900b2f9d24a08"),
        (Collection.partition_for_key, "3b2291811b8dd791"),
        (Recovery.on_recovery_completed, "6ef567acf072e46d"),
        (driver.Consumer._new_consumer_thread, "0870ec53dea75083"),
        (driver.AIOKafkaConsumerThread._create_worker_consumer, "c2701bfc3e6f6cad"),
        (driver.AIOKafkaConsumerThread._seek_wait, "9d221e816d940467"),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_faust_is_the_one_that_was_read(function: Callable[..., Any], known: str) -> None:
    assert fingerprint(function) == known, (
        f"{function.__qualname__} of Faust has changed: compare it with services/payments/adapters/fetches.py and live_tables.py, run the "
        f"crash tests on both brokers, then put {fingerprint(function)!r} here"
    )


def test_aiokafka_still_has_the_fetch_settings_that_faust_does_not_pass_on() -> None:
    source = inspect.getsource(AIOKafkaConsumer)
    assert "self._fetch_min_bytes" in source
    assert "self._fetch_max_wait_ms" in source


class Record:
    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.timestamp = 1_000 * offset
        self.timestamp_type = 0


def deliver(consumer: Bare, *runs: tuple[TP, range]) -> Fetch:
    _, message = consumer._deliver([(tp, [Record(n) for n in offsets]) for tp, offsets in runs], generation=1)
    return message


def test_an_acknowledged_fetch_commits_every_run_of_it() -> None:
    consumer = Bare()
    fetch = deliver(consumer, (BUS_0, range(10)), (BUS_1, range(5, 8)))
    assert (consumer._new_offset(BUS_0), consumer._new_offset(BUS_1)) == (None, None)
    assert consumer.ack(fetch)
    assert (consumer._new_offset(BUS_0), consumer._new_offset(BUS_1)) == (10, 8)
    assert not consumer.ack(fetch)


def test_a_hole_before_an_acknowledged_run_holds_the_commit_back() -> None:
    consumer = Bare()
    first, second = deliver(consumer, (BUS_0, range(10))), deliver(consumer, (BUS_0, range(10, 20)))
    consumer.ack(second)
    assert consumer._new_offset(BUS_0) is None
    consumer.ack(first)
    assert consumer._new_offset(BUS_0) == 20


async def test_what_was_in_flight_when_delivery_began_anew_commits_nothing() -> None:
    consumer = Bare()
    old = deliver(consumer, (BUS_0, range(10)))
    consumer._begin_anew()
    new = deliver(consumer, (BUS_0, range(4)))
    newer = deliver(consumer, (BUS_0, range(4, 10)))
    assert not consumer.ack(old)
    assert consumer._new_offset(BUS_0) is None
    consumer.ack(newer)
    assert consumer._new_offset(BUS_0) is None
    consumer.ack(new)
    assert consumer._new_offset(BUS_0) == 10


def test_records_before_the_last_read_one_are_left_out() -> None:
    consumer = Bare()
    consumer._read_offset[BUS_0] = 7
    assert [r.offset for r in consumer._unread(BUS_0, [Record(n) for n in range(5, 10)])] == [7, 8, 9]


def test_only_a_few_fetches_are_open_at_a_time() -> None:
    consumer = Bare()
    fetches = [deliver(consumer, (BUS_0, range(n, n + 1))) for n in range(4)]
    assert not consumer._has_room.is_set()
    consumer.ack(fetches[0])
    assert consumer._has_room.is_set()


class Seeking:
    """Notes to where the thread of a consumer is asked to go."""

    def __init__(self) -> None:
        self.sought: list[dict[TP, int]] = []

    async def seek_wait(self, places: dict[TP, int]) -> None:
        self.sought.append(places)


@pytest.mark.parametrize(
    ("found", "taken", "sought"), [([10, 11], [10, 11], []), ([10, 12], [10], [11]), ([11, 12], [], [10]), ([9, 10], [10], [])]
)
async def test_a_record_that_the_broker_passed_over_is_read_again(
    found: list[int], taken: list[int], sought: list[int]
) -> None:
    consumer = Bare()
    consumer.gathering = Gathering(1, 1, passes_over=True)
    consumer._thread = Seeking()
    deliver(consumer, (BUS_0, range(10)))
    run = await consumer._without_hole(BUS_0, [Record(n) for n in found])
    assert [record.offset for record in run] == taken
    assert consumer._thread.sought == [{BUS_0: offset} for offset in sought]


async def test_where_reading_begins_nothing_is_known_to_be_missing() -> None:
    consumer = Bare()
    consumer.gathering = Gathering(1, 1, passes_over=True)
    run = [Record(12), Record(13)]
    assert await consumer._without_hole(BUS_0, run) == run


async def test_a_gap_is_none_on_a_broker_that_passes_nothing_over() -> None:
    consumer = Bare()
    consumer.gathering = Gathering(1, 1, passes_over=False)
    deliver(consumer, (BUS_0, range(10)))
    run = [Record(12), Record(14)]
    assert await consumer._without_hole(BUS_0, run) == run


@pytest.mark.parametrize("ticks", range(4))
async def test_a_consumer_that_is_told_to_end_as_there_is_room_again_ends(ticks: int) -> None:
    consumer = Bare()
    consumer._has_room.clear()
    waiting = asyncio.create_task(consumer._room(5))
    await asyncio.sleep(0.01)
    consumer._has_room.set()
    for _ in range(ticks):
        await asyncio.sleep(0)
    told = waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled() is told
