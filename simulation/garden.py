"""Visitors of the garden: most reserve, some of them cancel or never come, and a few just walk in."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from random import Random
from typing import Self

from sdk.merchant.access import Access
from sdk.merchant.transaction import ScenicEntry
from sdk.till.errors import NotAcceptedError, OutcomeUnknownError
from sdk.till.reservations import Reservations
from simulation.city import GARDEN
from simulation.riders import card_identifier

log = logging.getLogger("onecard.simulation.garden")

EVERY_SECONDS = 0.7
AGAIN_SECONDS = 2.0
WALK_IN, CANCEL, STAY_AWAY = 0.15, 0.1, 0.1
"""Which part of the visitors; the rest reserve and come."""
SOONEST_SECONDS, LATEST_SECONDS = 1.0, 6.0


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody who is on the way."""

    due: float
    """On the monotonic clock."""
    card_identifier: str


class Garden:
    """Reserves in a thread of its own, as the garden's desk; who comes is told by `advance`."""

    def __init__(self, access: Access, cards: int, chance: Random) -> None:
        self._access = access
        self._cards = cards
        self._chance = chance
        self._arrivals: SimpleQueue[Visit] = SimpleQueue()
        self._waiting: list[Visit] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="garden", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def advance(self, now_ms: int) -> list[ScenicEntry]:
        """Who is at a gate now."""
        while True:
            try:
                self._waiting.append(self._arrivals.get_nowait())
            except Empty:
                break
        now = time.monotonic()
        there = [visit for visit in self._waiting if visit.due <= now]
        self._waiting = [visit for visit in self._waiting if visit.due > now]
        return [self._entry(visit, now_ms) for visit in there]

    def _entry(self, visit: Visit, now_ms: int) -> ScenicEntry:
        gate = self._chance.choice(GARDEN.places)
        return ScenicEntry(
            merchant_id=gate.merchant_id,
            terminal_id=self._chance.choice(gate.terminals),
            card_identifier=visit.card_identifier,
            event_time_ms=now_ms,
            gate_id=gate.name,
        )

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                with Reservations(self._access.connect(GARDEN.merchant_id), patience_seconds=AGAIN_SECONDS) as desk:
                    while not self._ending.wait(self._chance.uniform(0, 2 * EVERY_SECONDS)):
                        self._visit(desk, card_identifier(1 + self._chance.randrange(self._cards)))
            except (NotAcceptedError, OutcomeUnknownError, OSError) as error:
                log.info("the garden's desk waits: %s", error)
                self._ending.wait(AGAIN_SECONDS)

    def _visit(self, desk: Reservations, card: str) -> None:
        doing = self._chance.random()
        if doing >= WALK_IN:
            now_ms = time.time_ns() // 1_000_000
            # At noon and midnight the list may be of the moment before.
            open_now = next((slot for slot in desk.slots() if slot.begin_time_ms <= now_ms < slot.end_time_ms), None)
            if open_now is None:
                return
            receipt = desk.reserve(card, open_now.begin_time_ms)
            if not receipt.approved:
                return
            if doing < WALK_IN + CANCEL:
                desk.cancel(receipt.payment_id)
                return
            if doing < WALK_IN + CANCEL + STAY_AWAY:
                return
        due = time.monotonic() + self._chance.uniform(SOONEST_SECONDS, LATEST_SECONDS)
        self._arrivals.put(Visit(due, card))
