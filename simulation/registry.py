"""A registry of the riders' own cards beside the card service's: all states, what happens to them, a heartbeat each second."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator

from kafka import KafkaProducer
from kafka.errors import KafkaError
from kafka.producer.future import FutureRecordMetadata

from onecard.card.v1.card_events_pb2 import (
    CARD_STATUS_CANCELLED,
    CARD_STATUS_FORMALLY_LOST,
    CARD_STATUS_LOCKED,
    CARD_STATUS_NORMAL,
    CARD_STATUS_SEALED,
    CardEvent,
    CardState,
    CardStatus,
    CategoryPeriod,
    Heartbeat,
    StatusPeriod,
)
from sdk.merchant.connect import connect
from sdk.merchant.kafka_security import PLAIN_TEXT, KafkaSecurity
from simulation.happenings import LOOK_BACK_MS, LOSS_EVERY_MS, NEWCOMER_EVERY_MS, Loss, losses, newcomers
from simulation.riders import Standing, card_identifier, rider

log = logging.getLogger("onecard.simulation.registry")

TOPIC = "card.events"
EPOCH = 1
MADE_MS = 1_577_836_800_000  # 2020-01-01: when the first cards were made
STATUS = {
    Standing.NORMAL: CARD_STATUS_NORMAL,
    Standing.SEALED: CARD_STATUS_SEALED,
    Standing.LOCKED: CARD_STATUS_LOCKED,
}


def state(number: int, generation: int, version: int, periods: Iterable[StatusPeriod], successor: str = "") -> CardState:
    """The whole state of a rider's card."""
    person = rider(number)
    return CardState(
        card_identifier=card_identifier(number, generation),
        account_id=person.account_id,
        birth_date=person.birth_date.isoformat(),
        status_periods=periods,
        category_periods=[CategoryPeriod(category=person.category, resident=person.resident, valid_from_ms=MADE_MS)],
        successor_card_identifier=successor,
        epoch=EPOCH,
        version=version,
    )


def first_state(number: int) -> CardState:
    """A card as the city finds it."""
    return state(number, 0, 1, [_period(STATUS[rider(number).standing], MADE_MS)])


def states_of_loss(loss: Loss) -> Iterator[tuple[int, CardState]]:
    """What a loss changes, each state with its instant: reported, on the hotlist, and another card in its place.

    The instants are the versions, so they rise over restarts, too.
    """
    since = _period(CARD_STATUS_NORMAL, MADE_MS)
    reported = _period(CARD_STATUS_FORMALLY_LOST, loss.report_ms)
    listed = _period(CARD_STATUS_FORMALLY_LOST, loss.report_ms, loss.hotlist_ms)
    cancelled = _period(CARD_STATUS_CANCELLED, loss.reissue_ms)
    successor = card_identifier(loss.number, loss.generation)
    yield loss.report_ms, state(loss.number, 0, loss.report_ms, [since, reported])
    yield loss.hotlist_ms, state(loss.number, 0, loss.hotlist_ms, [since, listed])
    yield loss.reissue_ms, state(loss.number, 0, loss.reissue_ms, [since, listed, cancelled], successor)
    yield loss.reissue_ms, state(loss.number, loss.generation, loss.reissue_ms, [_period(CARD_STATUS_NORMAL, loss.reissue_ms)])


def changes(cards: int, after_ms: int, until_ms: int) -> Iterator[CardState]:
    """The states that became known in (after, until]."""
    for newcomer in newcomers(cards, after_ms - NEWCOMER_EVERY_MS, until_ms):
        if after_ms < newcomer.publish_ms <= until_ms:
            yield first_state(newcomer.number)
    for loss in losses(cards, after_ms - LOSS_EVERY_MS, until_ms):
        for instant_ms, changed in states_of_loss(loss):
            if after_ms < instant_ms <= until_ms:
                yield changed


class Registry:
    """The publisher."""

    def __init__(self, bootstrap: str, cards: int, security: KafkaSecurity = PLAIN_TEXT) -> None:
        self._bootstrap = bootstrap
        self._security = security
        self._cards = cards
        self._away = False

    def run(self, stopping: threading.Event) -> None:
        """Publish until told to stop; while the broker is away, wait for it and begin again."""
        pause = 0.2
        while not stopping.is_set():
            try:
                with self._connect() as producer:
                    pause = 0.2
                    self._publish(producer, stopping)
            except KafkaError as error:
                self._say_away(error)
                stopping.wait(pause)
                pause = min(pause * 2, 5)

    def _connect(self) -> KafkaProducer:
        producer = connect(
            KafkaProducer,
            bootstrap_servers=self._bootstrap,
            acks="all",
            enable_idempotence=False,
            linger_ms=50,
            batch_size=262_144,
            delivery_timeout_ms=10_000,
            request_timeout_ms=5_000,
            max_block_ms=5_000,
            bootstrap_timeout_ms=5_000,
            reconnect_backoff_max_ms=2_000,
            allow_auto_create_topics=False,
            metrics_enabled=False,
            **self._security.arguments(self._bootstrap),
        )
        producer.partitions_for(TOPIC)
        return producer

    def _publish(self, producer: KafkaProducer, stopping: threading.Event) -> None:
        """All states, then what changes, and after all of it is acknowledged a heartbeat to every partition."""
        until_ms = time.time_ns() // 1_000_000
        after_ms = until_ms - LOOK_BACK_MS
        sending = [self._send(producer, first_state(number)) for number in range(1, self._cards + 1)]
        while True:
            sending += [self._send(producer, changed) for changed in changes(self._cards, after_ms, until_ms)]
            for future in sending:
                future.get(timeout=15)
            if len(sending) >= self._cards:
                log.info("published the states of %s cards to %s", len(sending), TOPIC)
            self._beat(producer, until_ms)
            if stopping.wait(1):
                return
            after_ms, until_ms = until_ms, time.time_ns() // 1_000_000
            sending = []

    def _beat(self, producer: KafkaProducer, until_ms: int) -> None:
        partitions = producer.partitions_for(TOPIC)
        beat = Heartbeat(committed_up_to_ms=until_ms, partitions=len(partitions))
        heartbeat = CardEvent(heartbeat=beat).SerializeToString()
        for future in [producer.send(TOPIC, heartbeat, b"heartbeat", partition=number) for number in sorted(partitions)]:
            future.get(timeout=15)
        if self._away:
            self._away = False
            log.warning("the broker at %s is back", self._bootstrap)

    @staticmethod
    def _send(producer: KafkaProducer, changed: CardState) -> FutureRecordMetadata:
        return producer.send(TOPIC, CardEvent(state=changed).SerializeToString(), changed.card_identifier.encode())

    def _say_away(self, error: KafkaError) -> None:
        if not self._away:
            self._away = True
            log.warning("awaiting the broker at %s and its topic %s (%s)", self._bootstrap, TOPIC, str(error))


def _period(status: CardStatus, valid_from_ms: int, hotlist_published_ms: int = 0) -> StatusPeriod:
    return StatusPeriod(status=status, valid_from_ms=valid_from_ms, hotlist_published_ms=hotlist_published_ms)
