"""The consumer group of the stream workers, moved while nobody is in it."""

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NamedTuple

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import CommitFailedError, KafkaTimeoutError, UnknownMemberIdError
from kafka.structs import OffsetAndMetadata

from services.common import topics
from services.common.kafka_security import PLAIN_TEXT, KafkaSecurity
from services.payments.adapters.topics import connect_admin
from services.payments.adapters.wire import SCENE_OF_TOPIC

READ: Final = (*SCENE_OF_TOPIC, topics.CARD_EVENTS)
_POLL_MS: Final = 500
_SILENT_POLLS: Final = 10
_MEMBERSHIP_SECONDS: Final = 90


class Place(NamedTuple):
    """One partition."""

    topic: str
    partition: int


class GroupOffsets:
    """Where a group's readers would go on. Raises KafkaError from its methods while the broker is away."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer

    def committed(self) -> dict[Place, int]:
        """Of every partition in which the group has committed something."""
        known = {}
        for topic in READ:
            for partition in sorted(self._consumer.partitions_for_topic(topic) or ()):
                offset = self._consumer.committed(TopicPartition(topic, partition))
                if offset:
                    known[Place(topic, partition)] = offset
        return known

    def beginning(self, place: Place) -> int:
        """The oldest that is kept."""
        tp = TopicPartition(*place)
        return int(self._consumer.beginning_offsets([tp])[tp])

    def at(self, place: Place, time_ms: int) -> int | None:
        """The first record that the broker took at that time or later; None: there is none."""
        tp = TopicPartition(*place)
        found = self._consumer.offsets_for_times({tp: time_ms})[tp]
        return None if found is None else int(found.offset)

    def read(self, place: Place, begin: int, end: int) -> list[tuple[int, bytes]]:
        """Offset and value of the records in [begin, end) that are kept."""
        tp = TopicPartition(*place)
        self._consumer.assign([tp])
        self._consumer.seek(tp, begin)
        found: list[tuple[int, bytes]] = []
        silent = 0
        while self._consumer.position(tp) < end and silent < _SILENT_POLLS:
            records = self._consumer.poll(_POLL_MS).get(tp, [])
            silent = 0 if records else silent + 1
            found += ((record.offset, record.value or b"") for record in records if record.offset < end)
        return found

    def move(self, offsets: Mapping[Place, int]) -> None:
        """Have the group go on there."""
        wanted = {TopicPartition(*place): OffsetAndMetadata(offset, "", -1) for place, offset in offsets.items()}
        self._consumer.unsubscribe()
        self._consumer.assign(list(wanted))
        try:
            self._consumer.commit(wanted)
        except (CommitFailedError, UnknownMemberIdError):  # Tansu: once a group had members, it takes commits from members only
            self._join(wanted.keys())
            self._consumer.commit(wanted)

    def _join(self, places: Collection[TopicPartition]) -> None:
        """Until all of it is ours. Raises KafkaTimeoutError."""
        self._consumer.unsubscribe()
        self._consumer.subscribe(sorted({place.topic for place in places}))
        deadline = time.monotonic() + _MEMBERSHIP_SECONDS
        while not self._consumer.assignment() >= set(places):
            self._consumer.poll(timeout_ms=100, max_records=1)
            if time.monotonic() > deadline:
                raise KafkaTimeoutError(f"somebody else is in the consumer group: it was not ours in {_MEMBERSHIP_SECONDS} s")


def await_nobody(bootstrap: str, group: str, security: KafkaSecurity = PLAIN_TEXT) -> bool:
    """Nobody reads in this group; waits for the membership of who was killed to lapse. Members commit over what is moved."""
    deadline = time.monotonic() + _MEMBERSHIP_SECONDS
    admin = connect_admin(bootstrap, security)
    try:
        while any(described.get("members") for described in admin.describe_groups([group]).values()):
            if time.monotonic() > deadline:
                return False
            time.sleep(1)
    finally:
        admin.close()
    return True


@contextmanager
def group_offsets(bootstrap: str, group: str, security: KafkaSecurity = PLAIN_TEXT) -> Iterator[GroupOffsets]:
    """For as long as this is entered."""
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        metrics_enabled=False,
        session_timeout_ms=6000,
        heartbeat_interval_ms=1000,
        **security.arguments(),
    )
    try:
        yield GroupOffsets(consumer)
    finally:
        consumer.close(autocommit=False)
