"""Follows a topic: every partition, no consumer group, nothing committed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, Self

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaTimeoutError

from sdk.merchant.connect import connect
from sdk.merchant.kafka_security import PLAIN_TEXT, KafkaSecurity


class Record(Protocol):
    """What is used of a consumed record."""

    key: bytes | None
    value: bytes | None


class Tail:
    """A reader of what is written to a topic from the moment it was made, or from the oldest record; for one thread."""

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        *,
        from_oldest: bool = False,
        connect_timeout_seconds: float = 5,
        security: KafkaSecurity = PLAIN_TEXT,
    ) -> None:
        """Connect and fix the position in every partition, so that nothing written after this returns is missed.

        Raises KafkaError while the broker or the topic is away.
        """
        timeout_ms = int(connect_timeout_seconds * 1000)
        self._consumer = connect(
            KafkaConsumer,
            bootstrap_servers=bootstrap,
            # Positions are set below. One that the broker no longer has means that it lost its memory or was cut off at
            # the front; from the oldest record on nothing is missed then, and repeats are ordinary.
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            allow_auto_create_topics=False,
            fetch_max_wait_ms=100,
            max_poll_records=5000,
            request_timeout_ms=max(timeout_ms, 5000),
            bootstrap_timeout_ms=timeout_ms,
            reconnect_backoff_max_ms=2000,
            metrics_enabled=False,
            **security.arguments(bootstrap),
        )
        try:
            partitions = self._partitions(topic)
            self._consumer.assign(partitions)
            look_up = self._consumer.beginning_offsets if from_oldest else self._consumer.end_offsets
            for partition, offset in look_up(partitions, timeout_ms=timeout_ms).items():
                self._consumer.seek(partition, offset)
        except BaseException:
            self._consumer.close(timeout_ms=0)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def poll(self, timeout_seconds: float) -> Iterator[Record]:
        """What has been written since the last call; waits at most so long for the first record."""
        for records in self._consumer.poll(timeout_ms=int(timeout_seconds * 1000)).values():
            yield from records

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close(timeout_ms=1000)

    def _partitions(self, topic: str) -> list[TopicPartition]:
        numbers = self._consumer.partitions_for_topic(topic)
        if not numbers:
            raise KafkaTimeoutError(f"there is no topic {topic}")
        return [TopicPartition(topic, number) for number in sorted(numbers)]
