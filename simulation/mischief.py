"""The vandal at work: bad transactions through a spool of its own, noise and repeats straight to the topics."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Self

from kafka.errors import KafkaError

from onecard.payments.v1.dead_letters_pb2 import DeadLetter
from sdk.merchant.access import Access
from sdk.merchant.client import MerchantClient
from sdk.merchant.emitter import Emitter
from sdk.merchant.hearing import SETTLING_SECONDS
from sdk.merchant.kafka_security import PLAIN_TEXT, KafkaSecurity
from sdk.merchant.keys import NoKeyError, TerminalKeys
from sdk.merchant.spool import Spool, Spooled
from sdk.merchant.transaction import Scene, SignedRecord, identity_of
from simulation.life import Life
from simulation.metrics import FAULTS
from simulation.raw import RawRecords
from simulation.riders import card_identifier
from simulation.tail import Tail
from simulation.vandal import NOBODYS_KEY, Bad, Fault, make_bad, sign_bad, undecodable

log = logging.getLogger("onecard.simulation.vandal")

DEAD_LETTERS = "payments.dead-letters"
KINDS = tuple(Fault)
NEVER = float("inf")


class Mischief:
    """Everything bad is kept on disk before it is sent, so that a reconciliation knows what to expect."""

    def __init__(
        self,
        bootstrap: str,
        access: Access,
        keys: TerminalKeys,
        spools: Path,
        chance: Random,
        *,
        cards: int,
        linger_ms: int,
        security: KafkaSecurity = PLAIN_TEXT,
        again_seconds: float = 30,
    ) -> None:
        """`keys` are the terminals' own: only some of what is bad is signed badly.

        `again_seconds`: how long the vandal waits for an outcome before the same comes again, for the first time.
        """
        self._bootstrap = bootstrap
        self._security = security
        self._keys = keys
        self._chance = chance
        self._cards = cards
        self._linger_ms = linger_ms
        self._spool = Spool(spools / "vandal.spool", first_pause_seconds=again_seconds)
        self._raw = RawRecords(spools / "vandal.raw")
        self._client = MerchantClient(bootstrap, self._spool, access, linger_ms=linger_ms, security=security)
        self._again_at = NEVER
        self._repeats: list[Spooled] = []
        self._aside: set[tuple[str, str, int, bytes]] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vandal", daemon=True)

    def __enter__(self) -> Self:
        self._client.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._client.close()
        self._spool.close()
        self._raw.close()

    def do(self, times: int, now_ms: int, victims: Sequence[SignedRecord]) -> None:
        """So many bad things, of a kind each; `victims` are genuine boardings of late."""
        for _ in range(times if victims else 0):
            self.commit(self._chance.choice(KINDS), now_ms, victims)

    def commit(self, fault: Fault, now_ms: int, victims: Sequence[SignedRecord]) -> None:
        """One bad thing of this kind; there must be victims."""
        victim = self._chance.choice(victims)
        number = 1 + self._chance.randrange(self._cards)
        if fault is Fault.UNDECODABLE:
            topic = self._chance.choice(list(Scene)).topic
            self._raw.keep(topic, card_identifier(number).encode(), undecodable(self._chance), now_ms)
        elif fault is Fault.SENT_TWICE:
            self._repeats.append(Spooled(0, victim.topic, victim.key, victim.record))
        else:
            self._client.submit([make_bad(fault, number, now_ms, victim)], self._sign)
        FAULTS.labels(fault.value).inc()

    def _sign(self, bad: Bad, terminal_sequence: int) -> SignedRecord:
        try:
            key = self._keys.key_of(bad.merchant_id, bad.terminal_id)
        except NoKeyError:
            key = NOBODYS_KEY
        return sign_bad(bad, terminal_sequence, key)

    @property
    def unsettled_count(self) -> int:
        """How much of it has neither an outcome nor come back as a dead letter."""
        unanswered = sum(pending not in self._aside for pending in self._spool.pending())
        return unanswered + self._raw.unseen_count

    def _run(self) -> None:
        """Send what is no transaction, and watch the dead letters; begin again when the broker was away."""
        pause = 0.5
        while not self._stopping.is_set():
            try:
                topics = [scene.topic for scene in Scene]
                with Life(self._bootstrap, self._security) as broker:
                    life = broker.cluster_id()
                    with (
                        Tail(self._bootstrap, DEAD_LETTERS, from_oldest=True, security=self._security) as dead_letters,
                        Emitter(self._bootstrap, topics, linger_ms=self._linger_ms, security=self._security) as emitter,
                    ):
                        pause = 0.5
                        self._send_and_watch(broker, life, dead_letters, emitter)
            except KafkaError as error:
                log.debug("away: %s", error)  # the merchants' clients say it aloud
                self._stopping.wait(pause)
                pause = min(pause * 2, 5)

    def _send_and_watch(self, broker: Life, life: str, dead_letters: Tail, emitter: Emitter) -> None:
        next_look = time.monotonic() + 1
        while not self._stopping.is_set():
            if time.monotonic() >= next_look:
                if broker.cluster_id() != life:
                    self._raw.all_due()
                    self._again_at = time.monotonic() + SETTLING_SECONDS
                    return
                next_look = time.monotonic() + 1
            if time.monotonic() >= self._again_at:
                self._again_at = NEVER
                self._raw.all_due()
            repeats, self._repeats = self._repeats, []
            emitter.emit(repeats)
            emitter.emit(self._raw.take_due(time.time_ns() // 1_000_000))
            self._raw.not_delivered(emitter.undelivered())
            for record in dead_letters.poll(0.2):
                if record.value is not None:
                    self._note(DeadLetter.FromString(record.value).record)

    def _note(self, record: bytes) -> None:
        identity = identity_of(record)
        if identity is None:
            self._raw.see(record)
        else:
            self._aside.add(identity)
