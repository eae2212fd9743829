"""Lets the city tap: riders by their habits, validators out of coverage, finders of lost cards, and a vandal."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from onecard.payments.v1.outcomes_pb2 import VERDICT_POSTED
from sdk.merchant.access import Access
from sdk.merchant.client import MerchantClient
from sdk.merchant.kafka_security import PLAIN_TEXT, KafkaSecurity
from sdk.merchant.spool import Answer, Spool
from sdk.merchant.transaction import BusRide, SignedRecord, Tap
from simulation import metrics
from simulation.city import LINES, MERCHANTS
from simulation.garden import Garden
from simulation.habits import Life
from simulation.happenings import LOOK_BACK_MS, LOSS_EVERY_MS, NEWCOMER_EVERY_MS, losses, newcomers
from simulation.mischief import Mischief
from simulation.pockets import PocketReader, Residents
from simulation.riders import card_identifier, rider
from simulation.troubles import TroubleFile
from simulation.validators import Validators
from simulation.vandal import Fault

log = logging.getLogger("onecard.simulation.taps")

TICK_SECONDS = 0.04
PATIENCE_SECONDS = 50.0
KEYS_AGAIN_SECONDS = 2.0
REPLACED_AFTER_MS = 3_000
NEVER_AGAIN_SECONDS = 3600.0
"""What is sent on purpose is sent once: when it has ended, it has ended."""
SCENE_OF = {merchant.merchant_id: merchant.scene for merchant in MERCHANTS}


@dataclass(frozen=True, slots=True)
class Plan:
    """How the city taps."""

    cards: int
    rate: float
    faults: float = 0.002
    """Which part of the taps is bad on purpose."""
    offline_every_seconds: float = 60.0
    """How often a validator loses coverage."""
    linger_ms: int = 30
    pockets: Path | None = None
    """Where the windows note whose card is where."""
    troubles: Path | None = None
    """Where it stands what goes wrong on purpose; then nothing else does."""
    seed: int | None = None


class Coverage:
    """Which validators are out of coverage, and until when: they send their taps in one bundle afterwards."""

    SHORTEST_SECONDS, LONGEST_SECONDS = 10.0, 45.0

    def __init__(self, chance: Random, every_seconds: float) -> None:
        self._chance = chance
        self._every_seconds = every_seconds
        self._next = time.monotonic() + every_seconds / 2
        self._back: dict[tuple[str, str], float] = {}

    def advance(self, now: float) -> None:
        """Let time pass."""
        self._back = {validator: back for validator, back in self._back.items() if back > now}
        if now >= self._next:
            line = self._chance.choice(LINES)
            seconds = self._chance.uniform(self.SHORTEST_SECONDS, self.LONGEST_SECONDS)
            self._back[line.merchant_id, self._chance.choice(line.terminals)] = now + seconds
            self._next = now + self._every_seconds

    def hold_seconds(self, tap: Tap, now: float) -> float:
        """How long a tap stays in its validator."""
        return max(self._back.get((tap.merchant_id, tap.terminal_id), now) - now, 0.0)


class News:
    """What happens to cards, as far as it lets people tap."""

    def __init__(self, cards: int, life: Life, now_ms: int) -> None:
        self._cards = cards
        self._life = life
        self._until_ms = now_ms - LOOK_BACK_MS
        self.advance(now_ms)

    def advance(self, now_ms: int) -> list[Tap]:
        """Taps of cards that nobody knows yet, and of cards that were found, since the last call."""
        after_ms, self._until_ms = self._until_ms, now_ms
        taps: list[Tap] = [
            self._life.ride(card_identifier(newcomer.number), rider(newcomer.number), now_ms)
            for newcomer in newcomers(self._cards, after_ms - NEWCOMER_EVERY_MS, now_ms)
            if after_ms < newcomer.tap_ms <= now_ms
        ]
        for loss in losses(self._cards, after_ms - LOSS_EVERY_MS, now_ms):
            if after_ms < loss.report_ms <= now_ms:
                self._life.lose(loss.number)
            taps += [
                self._life.ride(card_identifier(loss.number), rider(loss.number), find_ms)
                for find_ms in loss.finds_ms
                if after_ms < find_ms <= now_ms
            ]
            if after_ms < loss.reissue_ms + REPLACED_AFTER_MS <= now_ms:
                self._life.replace(loss.number, card_identifier(loss.number, loss.generation))
        return taps


class Pace:
    """How many of something are due, at so many a second; what is no whole one yet is due later."""

    LONGEST_SECONDS = 1.0

    def __init__(self, now: float) -> None:
        self._at = now
        self._due: dict[Fault, float] = {}

    def due(self, a_second: Mapping[Fault, float], now: float) -> list[Fault]:
        """As often as each is due since the last call."""
        seconds, self._at = min(now - self._at, self.LONGEST_SECONDS), now
        self._due = {fault: self._due.get(fault, 0.0) + rate * seconds for fault, rate in a_second.items()}
        due = [fault for fault, count in self._due.items() for _ in range(int(count))]
        self._due = {fault: count % 1 for fault, count in self._due.items()}
        return due


class Street:
    """The city's terminals, all in one process with one spool."""

    def __init__(
        self,
        bootstrap: str,
        access: Access,
        spools: Path,
        plan: Plan,
        card_access: Access | None = None,
        security: KafkaSecurity = PLAIN_TEXT,
    ) -> None:
        """`card_access` is where the hotlist comes from; without it no validator has one."""
        self._plan = plan
        self._chance = Random(plan.seed)  # noqa: S311  # a city, not a secret
        self._life = Life(plan.cards, self._chance)
        self._residents = Residents(PocketReader(plan.pockets), self._life, self._chance) if plan.pockets else None
        self._coverage = Coverage(self._chance, plan.offline_every_seconds)
        self._boardings: deque[SignedRecord] = deque(maxlen=200)
        self._spool = Spool(spools / "fleet.spool")
        self._client = MerchantClient(
            bootstrap, self._spool, access, linger_ms=plan.linger_ms, on_answers=_count_answers, security=security
        )
        self._validators = Validators(spools / "fleet.hotlist", card_access)
        # With chances of its own: its thread must not change what the street does with a seed.
        self._garden = Garden(access, plan.cards, Random(plan.seed))  # noqa: S311  # a city, not a secret
        keys = self._client.keys
        self._mischief = Mischief(
            bootstrap,
            access,
            keys,
            spools,
            self._chance,
            cards=plan.cards,
            linger_ms=plan.linger_ms,
            security=security,
            again_seconds=NEVER_AGAIN_SECONDS if plan.troubles else 30,
        )

    def run(self, stopping: threading.Event, leaving: threading.Event, seconds: float | None) -> bool:
        """Tap until told to stop or for some seconds; then wait for the outcomes, until told to leave.

        True when every tap has its outcome and all mischief was refused or put aside.
        """
        with self._spool, self._client, self._validators, self._mischief:
            self._await_keys(stopping)
            with self._garden:
                self._tap(stopping, seconds)
            self._spool.release()
            settled = self._await_outcomes(leaving)
            log.info("done: %s", "everything has its outcome" if settled else f"{self._unsettled_count} without an outcome")
        return settled

    def _await_keys(self, stopping: threading.Event) -> None:
        """Terminals that were never connected have nothing to sign with; the others need nobody."""
        places = [(merchant.merchant_id, terminal) for merchant in MERCHANTS for terminal in merchant.terminals]
        while missing := self._client.keys.fetch(places):
            place, why = next(iter(missing.items()))
            log.info("awaiting the keys of %s terminals (%s: %s)", len(missing), place[1], why.reason)
            if stopping.wait(KEYS_AGAIN_SECONDS):
                return

    def _tap(self, stopping: threading.Event, seconds: float | None) -> None:
        log.info("tapping %.0f times a second", self._plan.rate)
        news = News(self._plan.cards, self._life, _now_ms())
        began = time.monotonic()
        tapped = 0.0
        bad = 0.0
        troubles, pace = TroubleFile(self._plan.troubles) if self._plan.troubles else None, Pace(began)
        while not stopping.wait(TICK_SECONDS):
            now = time.monotonic()
            if seconds is not None and now - began >= seconds:
                return
            wanted = (now - began) * self._plan.rate
            # After a pause of the whole machine the city does not run to catch up.
            count = min(int(wanted - tapped), int(self._plan.rate) + 1)
            tapped = wanted - (wanted - tapped) % 1
            now_ms = _now_ms()
            self._coverage.advance(now)
            taps = [self._life.next_tap(now_ms) for _ in range(count)] + news.advance(now_ms)
            taps += self._garden.advance(now_ms)
            if self._residents:
                taps += self._residents.advance(now_ms)
            taps = [tap for tap in taps if self._validators.accept(tap, now_ms)]
            self._submit(taps, now)
            if troubles is None:
                bad += len(taps) * self._plan.faults
                self._mischief.do(int(bad), now_ms, self._boardings)
                bad %= 1
            elif self._boardings:
                for fault in pace.due(troubles.read().bad_records, now):
                    self._mischief.commit(fault, now_ms, self._boardings)
            metrics.PENDING.set(self._client.pending_count)

    def _submit(self, taps: Sequence[Tap], now: float) -> None:
        held: dict[float, list[Tap]] = {}
        for tap in taps:
            held.setdefault(self._coverage.hold_seconds(tap, now), []).append(tap)
            metrics.EMITTED.labels(tap.scene.value).inc()
        for hold_seconds, some in held.items():
            self._client.submit(some, self._sign, hold_seconds=hold_seconds)

    def _sign(self, tap: Tap, terminal_sequence: int) -> SignedRecord:
        record = self._client.keys.sign(tap, terminal_sequence)
        if isinstance(tap, BusRide):
            self._boardings.append(record)
        return record

    def _await_outcomes(self, leaving: threading.Event) -> bool:
        end = time.monotonic() + PATIENCE_SECONDS
        log.info("no more taps; awaiting %s outcomes", self._unsettled_count)
        while unsettled := self._unsettled_count:
            metrics.PENDING.set(unsettled)
            if time.monotonic() >= end or leaving.wait(0.1):
                return False
        metrics.PENDING.set(0)
        return True

    @property
    def _unsettled_count(self) -> int:
        return self._spool.pending_count + self._mischief.unsettled_count


def _count_answers(answers: Sequence[Answer]) -> None:
    now_ms = _now_ms()
    for answer in answers:
        channel = SCENE_OF[answer.outcome.merchant_id].value
        outcome = "posted" if answer.outcome.verdict == VERDICT_POSTED else "refused"
        metrics.ANSWERED.labels(channel, outcome).inc()
        metrics.TAP_TO_OUTCOME.labels(channel).observe((now_ms - answer.keep_ms) / 1000)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
