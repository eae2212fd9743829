"""Where reading goes on after a rebalance, at a real broker."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.consumer.subscription_state import SubscriptionState
from faust.transport.drivers import aiokafka as driver

from cli.servers.broker import Broker
from services.common.topics import TRANSACTIONS_BUS
from services.payments.adapters.fetches import _GatheringThread
from tests.support.bare_consumer import Bare

AT = TopicPartition(TRANSACTIONS_BUS, 0)


class Reader(Bare):
    """With aiokafka's consumer in the place of the thread that Faust runs it in."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        super().__init__()
        self._thread: Any = SimpleNamespace(
            seek_to_committed=consumer.seek_to_committed, seek_to_beginning=consumer.seek_to_beginning
        )


async def offsets(consumer: AIOKafkaConsumer) -> list[int]:
    """Of all there is from here on."""
    found: list[int] = []
    while not found or found[-1] < 9:
        for records in (await consumer.getmany(timeout_ms=500)).values():
            found += [record.offset for record in records]
    return found


async def test_what_was_read_and_not_posted_is_read_again_whether_anything_was_committed_before_or_not(broker: Broker) -> None:
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
        for number in range(10):
            await producer.send_and_wait(AT.topic, b"%d" % number, partition=AT.partition)
    settings: Any = {"group_id": "readers", "enable_auto_commit": False, "auto_offset_reset": "earliest"}
    async with AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, **settings) as consumer:
        consumer.assign([AT])
        reader = Reader(consumer)
        assert await offsets(consumer) == list(range(10))
        await reader.perform_seek()
        assert await offsets(consumer) == list(range(10))
        await consumer.commit({AT: 4})
        await reader.perform_seek()
        assert await offsets(consumer) == list(range(4, 10))


async def test_a_partition_that_was_just_given_to_a_worker_does_not_end_it() -> None:
    """Faust looks each second whether partitions stand still; where such a one stands nobody knows yet."""
    subscriptions = SubscriptionState()
    subscriptions.subscribe({TRANSACTIONS_BUS})
    subscriptions.assign_from_subscribed([AT])
    subscriptions.subscription.assignment.state_value(AT).timestamp = 1
    thread = object.__new__(_GatheringThread)
    thread._consumer = SimpleNamespace(_fetcher=SimpleNamespace(_subscriptions=subscriptions))
    app = SimpleNamespace(monitor=SimpleNamespace(), topics=SimpleNamespace(acks_enabled_for=lambda _: True))
    thread.consumer = SimpleNamespace(app=app)
    thread.time_started, thread.tp_fetch_request_timeout_secs = 0.0, 3600.0
    with pytest.raises(AssertionError):
        driver.AIOKafkaConsumerThread.verify_event_path(thread, 1.0, AT)
    thread.verify_event_path(1.0, AT)
