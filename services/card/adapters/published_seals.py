"""What was published of the audit's seals, read from the topic from its beginning to its end."""

from collections.abc import Iterator
from typing import Final

from google.protobuf.message import DecodeError
from kafka import KafkaConsumer, TopicPartition

from onecard.card.v1.audit_seals_pb2 import AuditSeal
from services.card.adapters.audit_seals import SERVICE
from services.common.topics import AUDIT_SEALS

_PATIENCE_MS: Final = 10_000
_MOST: Final = 5000


def read_published(bootstrap: str) -> list[tuple[int, bytes]]:
    """(number, head) of every seal that the broker still keeps. Raises KafkaError while it is away."""
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        request_timeout_ms=_PATIENCE_MS,
        metrics_enabled=False,
    )
    try:
        partitions = [TopicPartition(AUDIT_SEALS, number) for number in consumer.partitions_for_topic(AUDIT_SEALS) or ()]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        found: list[tuple[int, bytes]] = []
        while any(consumer.position(partition) < ends[partition] for partition in partitions):
            for records in consumer.poll(1000, _MOST).values():
                found += _ours(record.value for record in records)
        return found
    finally:
        consumer.close()


def _ours(values: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    for value in values:
        try:
            seal = AuditSeal.FromString(value)
        except DecodeError:
            continue
        if seal.service == SERVICE:
            yield seal.seal_number, seal.head
