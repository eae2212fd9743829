"""Where a consumer group begins: set from outside while the group has no member."""

import time
from collections.abc import Mapping
from typing import Final

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import CommitFailedError
from kafka.structs import OffsetAndMetadata

from bench.errors import BenchError
from bench.taps import Place

_PATIENCE_SECONDS: Final = 60


def begin_at(bootstrap: str, group: str, offsets: Mapping[Place, int]) -> None:
    """Commit these offsets for the group."""
    places = {TopicPartition(*place): OffsetAndMetadata(offset, "", -1) for place, offset in offsets.items()}
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        session_timeout_ms=6000,
        heartbeat_interval_ms=1000,
    )
    try:
        consumer.assign(list(places))
        try:
            consumer.commit(places)
        except CommitFailedError:  # Tansu: once a group had members, it takes commits from members only
            consumer.unsubscribe()
            _join(consumer, places)
            consumer.commit(places)
    finally:
        consumer.close(autocommit=False)


def _join(consumer: KafkaConsumer, places: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
    consumer.subscribe(sorted({place.topic for place in places}))
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while len(consumer.assignment()) < len(places):
        consumer.poll(timeout_ms=100, max_records=1)
        if time.monotonic() > deadline:
            raise BenchError(f"nobody but us should be in the consumer group, and still it took {_PATIENCE_SECONDS} s to join")


def last_share(ends: Mapping[Place, int], wanted: int) -> dict[Place, int]:
    """Offsets behind which about `wanted` records remain, the same share of each partition."""
    held = sum(ends.values())
    return {place: end - end * min(wanted, held) // held for place, end in ends.items()}
