"""Consumers of `payments.outcomes` outside of any group."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from services.common.kafka_security import PLAIN_TEXT, KafkaSecurity
from services.common.topics import OUTCOMES
from services.payments.adapters.holes import Holes
from services.payments.config import TANSU_WAIT_MS, BrokerKind

log = structlog.get_logger()

OLDEST: Final = 0
"""An offset that stands for the oldest record that is still kept."""

REQUEST_TIMEOUT_MS: Final = 10_000
_RECORDS_AT_ONCE: Final = 500


class RoadError(Exception):
    """The broker is away, or the topic is not there."""


class Lost(NamedTuple):
    """A place is not there (any more), and was left for the oldest that the broker keeps."""

    partition: int


class OutcomeConsumer:
    """A connected consumer in no group, which reads nothing before it is placed."""

    def __init__(self, consumer: AIOKafkaConsumer, broker: BrokerKind) -> None:
        self._consumer = consumer
        self._holes = Holes[TopicPartition]() if broker == "tansu" else None

    async def ends(self, partitions: int) -> list[int]:
        """Behind the last record of each partition."""
        places = [_place(partition) for partition in range(partitions)]
        found = await self._consumer.end_offsets(places)
        return [found[at] for at in places]

    async def place(self, offsets: Mapping[int, int]) -> None:
        """Let it read some partitions from these offsets on."""
        places = {_place(partition): offset for partition, offset in offsets.items()}
        self._consumer.assign(list(places))
        for at, offset in places.items():
            self._consumer.seek(at, offset)
        if oldest := [at for at, offset in places.items() if offset == OLDEST]:
            await self._consumer.seek_to_beginning(*oldest)

    async def positions(self) -> dict[int, int]:
        """The next offset of every partition that it reads."""
        return {at.partition: await self._consumer.position(at) for at in self._consumer.assignment()}

    @property
    def awaits_hole(self) -> bool:
        """Whether it stands before a record that may still come. Who leaves it now has waited in vain."""
        return self._holes is not None and self._holes.awaited

    async def take(self, within_ms: int) -> dict[int, Sequence[Any]] | Lost:
        """What has come, by partition, waiting so long for it."""
        before = await self.positions() if self._holes else {}
        try:
            found = await self._consumer.getmany(timeout_ms=within_ms)
        except OffsetOutOfRangeError as error:
            [(at, offset)] = error.args[0].items()
            log.warning("outcomes_not_kept", partition=at.partition, offset=offset)
            await self._consumer.seek_to_beginning(at)
            return Lost(at.partition)
        return {at.partition: taken for at, records in found.items() if (taken := self._without_hole(at, before, records))}

    def _without_hole(self, at: TopicPartition, before: Mapping[int, int], records: Sequence[Any]) -> Sequence[Any]:
        if self._holes is None:
            return records
        taken, hole = self._holes.before(at, before[at.partition], records)
        if hole is not None:
            self._consumer.seek(at, hole)
        return taken


@asynccontextmanager
async def consuming(bootstrap: str, broker: BrokerKind, security: KafkaSecurity = PLAIN_TEXT) -> AsyncIterator[OutcomeConsumer]:
    """A connected consumer, until the end of the block."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="none",
        # Apache Kafka answers a fetch as soon as there is something, Tansu holds it for the whole wait.
        fetch_max_wait_ms=500 if broker == "kafka" else TANSU_WAIT_MS,
        max_poll_records=_RECORDS_AT_ONCE,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        metadata_max_age_ms=30_000,
        **security.arguments(),
    )
    try:
        await consumer.start()
        yield OutcomeConsumer(consumer, broker)
    finally:
        await consumer.stop()


def _place(partition: int) -> TopicPartition:
    return TopicPartition(OUTCOMES, partition)
