"""A topic, read from its beginning to its end, or what was appended to some of its partitions in a span of time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from kafka.partitioner import murmur2

from services.common.clock import now_ms
from services.common.errors import BrokerAwayError
from services.common.kafka_security import PLAIN_TEXT, KafkaSecurity

_PATIENCE_MS: Final = 10_000
_MOST: Final = 5000


@contextmanager
def _consumer(bootstrap: str, security: KafkaSecurity) -> Iterator[Any]:
    """Whatever the client raises here says the same: nothing can be read."""
    try:
        consumer = KafkaConsumer(
            bootstrap_servers=bootstrap,
            enable_auto_commit=False,
            request_timeout_ms=_PATIENCE_MS,
            bootstrap_timeout_ms=_PATIENCE_MS,
            metrics_enabled=False,
            **security.arguments(),
        )
        try:
            yield consumer
        finally:
            consumer.close()
    except (KafkaError, OSError) as error:
        message = f"Kafka at {bootstrap} did not answer ({type(error).__name__}): is it up, and may this certificate ask it?"
        raise BrokerAwayError(message) from error


def read_topic(bootstrap: str, topic: str, security: KafkaSecurity = PLAIN_TEXT) -> Iterator[bytes]:
    """The values of all records that the broker still keeps. Raises BrokerAwayError while it is away."""
    with _consumer(bootstrap, security) as consumer:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        while any(consumer.position(partition) < ends[partition] for partition in partitions):
            for records in consumer.poll(1000, _MOST).values():
                yield from (record.value for record in records)


def kept_since(bootstrap: str, topic: str, security: KafkaSecurity = PLAIN_TEXT) -> int | None:
    """From which moment on (Unix milliseconds) every partition still has all of its records; None: nothing was ever taken away.

    Where a partition has nothing left, that is now. Raises BrokerAwayError while the broker is away.
    """
    with _consumer(bootstrap, security) as consumer:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        cut = [at for at, oldest in consumer.beginning_offsets(partitions).items() if oldest] if partitions else []
        oldest = consumer.offsets_for_times(dict.fromkeys(cut, 0)) if cut else {}
        return max((found.timestamp if (found := oldest.get(at)) else now_ms() for at in cut), default=None)


class Placed(NamedTuple):
    """A record, and where it lies."""

    topic: str
    partition: int
    offset: int
    append_time_ms: int
    value: bytes


def read_between(
    bootstrap: str,
    topic: str,
    keys: Sequence[str] | None,
    from_ms: int,
    to_ms: int,
    *,
    most: int,
    security: KafkaSecurity = PLAIN_TEXT,
) -> Iterator[Placed]:
    """What was appended in that time to the partitions of these keys, or to all; ends after so many records.

    Raises BrokerAwayError while the broker is away.
    """
    with _consumer(bootstrap, security) as consumer:
        numbers = consumer.partitions_for_topic(topic) or ()
        wanted = numbers if keys is None else {partition_of(key, len(numbers)) for key in keys if numbers}
        partitions = sorted(TopicPartition(topic, number) for number in wanted)
        if not partitions:
            return
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        found = consumer.offsets_for_times(dict.fromkeys(partitions, from_ms))
        for at in partitions:
            consumer.seek(at, found[at].offset if found.get(at) else ends[at])
        waiting = {at for at in partitions if consumer.position(at) < ends[at]}
        while waiting and most > 0:
            for at, records in consumer.poll(1000, min(most, _MOST)).items():
                most -= len(records)
                yield from (
                    Placed(at.topic, at.partition, one.offset, one.timestamp, one.value)
                    for one in records
                    if from_ms <= one.timestamp <= to_ms  # Tansu knows no end of time: it begins with the oldest then
                )
                if records[-1].timestamp > to_ms:
                    waiting.discard(at)
            waiting = {at for at in waiting if consumer.position(at) < ends[at]}


def partition_of(key: str, count: int) -> int:
    """As every Kafka client places a key."""
    return int((murmur2(key.encode()) & 0x7FFFFFFF) % count)
