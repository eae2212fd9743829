"""Where a consumer group begins: set from outside while the group has no member."""

from collections.abc import Mapping

from kafka import KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata

from bench.taps import Place


def begin_at(bootstrap: str, group: str, offsets: Mapping[Place, int]) -> None:
    """Commit these offsets for the group."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    try:
        places = {TopicPartition(*place): OffsetAndMetadata(offset, "", -1) for place, offset in offsets.items()}
        consumer.assign(list(places))
        consumer.commit(places)
    finally:
        consumer.close(autocommit=False)


def last_share(ends: Mapping[Place, int], wanted: int) -> dict[Place, int]:
    """Offsets behind which about `wanted` records remain, the same share of each partition."""
    held = sum(ends.values())
    return {place: end - end * min(wanted, held) // held for place, end in ends.items()}
