"""Hands records to the broker: it lingers to gather batches, bounds what is in flight, and never loses a record.

A record that could not be delivered is named again by `undelivered`, for the spool to keep it due.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Self

from kafka import KafkaProducer
from kafka.errors import KafkaError, TopicAuthorizationFailedError

from sdk.merchant.connect import connect
from sdk.merchant.kafka_security import PLAIN_TEXT, KafkaSecurity
from sdk.merchant.spool import Spooled

log = logging.getLogger("onecard.merchant")


class Emitter:
    """A producer that waits for all replicas; one for a process is enough, its methods may be called from several threads."""

    def __init__(
        self,
        bootstrap: str,
        topics: Iterable[str],
        *,
        linger_ms: int = 30,
        most_in_flight: int = 20_000,
        delivery_timeout_seconds: float = 20,
        connect_timeout_seconds: float = 5,
        security: KafkaSecurity = PLAIN_TEXT,
    ) -> None:
        """Connect, and learn the partitions of the topics. Raises KafkaError while the broker or a topic is away.

        What is for a topic that it may not write comes back undelivered, at once.

        30 ms of lingering suit Apache Kafka; Tansu, which answers a fetch with a batch or so a partition, likes 100.
        """
        self._producer = connect(
            KafkaProducer,
            bootstrap_servers=bootstrap,
            acks="all",
            # A repeat is harmless (an identity has one verdict), and a broker that lost its memory would reject an
            # idempotent producer's sequence numbers.
            enable_idempotence=False,
            linger_ms=linger_ms,
            batch_size=262_144,
            delivery_timeout_ms=int(delivery_timeout_seconds * 1000),
            request_timeout_ms=int(delivery_timeout_seconds * 500),
            max_block_ms=int(connect_timeout_seconds * 1000),
            bootstrap_timeout_ms=int(connect_timeout_seconds * 1000),
            reconnect_backoff_max_ms=2000,
            allow_auto_create_topics=False,
            metrics_enabled=False,
            **security.arguments(bootstrap),
        )
        self._most_in_flight = most_in_flight
        self._sending = threading.Lock()
        self._ending = threading.Lock()
        self._sent = 0
        self._ended = 0
        self._confirmed = 0
        self._moved = time.monotonic()
        self._undelivered: deque[int] = deque()
        self._error: KafkaError | None = None
        self._refused: dict[str, KafkaError] = {}
        """Topics that are not ours to write, by what the broker said."""
        try:
            for topic in topics:
                self._find(topic)
        except KafkaError:
            self._producer.close(timeout=0)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self, timeout_seconds: float = 5) -> None:
        """Send what is gathered, waiting at most so long; the spool keeps whatever was not delivered."""
        try:
            self._producer.close(timeout=timeout_seconds)
        except KafkaError as error:
            self._error = error

    def emit(self, records: Iterable[Spooled]) -> None:
        """Hand records over; returns at once. Ask `room` first: more than that would grow in memory."""
        with self._sending:
            waiting = iter(records)
            for record in waiting:
                if self._sent == self._ended:
                    self._moved = time.monotonic()
                if refused := self._refused.get(record.topic):
                    if self._error is not refused:
                        log.warning("the broker does not let us write %s: what is for it waits in the spool", record.topic)
                    self._error = refused
                    self._undelivered.append(record.id)
                    continue
                try:
                    future = self._producer.send(record.topic, record.record, record.key)
                except KafkaError as error:
                    # It has waited for the topic's partitions; the others would wait for them as long, one by one.
                    self._error = error
                    self._undelivered += [record.id, *(other.id for other in waiting)]
                else:
                    self._sent += 1
                    future.add_callback(self._delivered)
                    future.add_errback(self._failed, record.id)

    @property
    def in_flight(self) -> int:
        """How many records the broker has not confirmed yet."""
        return self._sent - self._ended

    @property
    def confirmed(self) -> int:
        """How many records the broker has confirmed so far."""
        return self._confirmed

    @property
    def room(self) -> int:
        """How many records may be emitted now."""
        return max(self._most_in_flight - self.in_flight, 0)

    @property
    def stalled_seconds(self) -> float:
        """For how long the broker has confirmed nothing although records are in flight."""
        return time.monotonic() - self._moved if self.in_flight else 0.0

    @property
    def last_error(self) -> KafkaError | None:
        """Why the latest record that failed was not delivered."""
        return self._error

    def undelivered(self) -> list[int]:
        """The numbers of the records that could not be delivered since the last call."""
        return [self._undelivered.popleft() for _ in range(len(self._undelivered))]

    def _find(self, topic: str) -> None:
        """A topic that is not ours waits for nobody: a merchant may write its scene's alone, and its spool knows three."""
        try:
            self._producer.partitions_for(topic)
        except TopicAuthorizationFailedError as refused:
            self._refused[topic] = refused

    def _delivered(self, _: object) -> None:
        with self._ending:
            self._ended += 1
            self._confirmed += 1
            self._moved = time.monotonic()

    def _failed(self, number: int, error: KafkaError) -> None:
        self._error = error
        self._undelivered.append(number)
        with self._ending:
            self._ended += 1
