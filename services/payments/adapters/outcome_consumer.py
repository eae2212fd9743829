"""Consumers of `payments.outcomes` outside of any group."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from services.common.topics import OUTCOMES
from services.payments.config import BrokerKind

log = structlog.get_logger()

OLDEST: Final = 0
"""An offset that stands for the oldest record that is still kept."""

REQUEST_TIMEOUT_MS: Final = 10_000
_RECORDS_AT_ONCE: Final = 500


class RoadError(Exception):
    """The broker is away, or the topic is not there."""


@asynccontextmanager
async def consuming(bootstrap: str, broker: BrokerKind) -> AsyncIterator[AIOKafkaConsumer]:
    """A connected consumer in no group, which reads nothing before it is placed."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="none",
        # Apache Kafka answers a fetch as soon as there is something, Tansu holds it for the whole wait.
        fetch_max_wait_ms=500 if broker == "kafka" else 25,
        max_poll_records=_RECORDS_AT_ONCE,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        metadata_max_age_ms=30_000,
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


async def place(consumer: AIOKafkaConsumer, offsets: Mapping[int, int]) -> None:
    """Let it read some partitions from these offsets on."""
    places = {TopicPartition(OUTCOMES, partition): offset for partition, offset in offsets.items()}
    consumer.assign(list(places))
    for at, offset in places.items():
        consumer.seek(at, offset)
    if oldest := [at for at, offset in places.items() if offset == OLDEST]:
        await consumer.seek_to_beginning(*oldest)


@dataclass(frozen=True, slots=True)
class Lost:
    """A place is not there (any more), and was left for the oldest that the broker keeps."""

    partition: int


async def take(consumer: AIOKafkaConsumer, within_ms: int) -> dict[TopicPartition, list[Any]] | Lost:
    """What has come, waiting so long for it."""
    try:
        records: dict[TopicPartition, list[Any]] = await consumer.getmany(timeout_ms=within_ms)
    except OffsetOutOfRangeError as error:
        [(at, offset)] = error.args[0].items()
        log.warning("outcomes_not_kept", partition=at.partition, offset=offset)
        await consumer.seek_to_beginning(at)
        return Lost(at.partition)
    return records
