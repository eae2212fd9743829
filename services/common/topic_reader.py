"""A topic, read from its beginning to its end."""

from collections.abc import Iterator
from typing import Final

from kafka import KafkaConsumer, TopicPartition

from services.common.kafka_security import PLAIN_TEXT, KafkaSecurity

_PATIENCE_MS: Final = 10_000
_MOST: Final = 5000


def read_topic(bootstrap: str, topic: str, security: KafkaSecurity = PLAIN_TEXT) -> Iterator[bytes]:
    """The values of all records that the broker still keeps. Raises KafkaError while it is away."""
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        request_timeout_ms=_PATIENCE_MS,
        metrics_enabled=False,
        **security.arguments(),
    )
    try:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        while any(consumer.position(partition) < ends[partition] for partition in partitions):
            for records in consumer.poll(1000, _MOST).values():
                yield from (record.value for record in records)
    finally:
        consumer.close()
