"""A merchant's side of the road: what is submitted is on disk, is emitted, and stays until its outcome has come back."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

from kafka.errors import KafkaConfigurationError, KafkaError

from sdk.merchant.access import Access
from sdk.merchant.emitter import Emitter
from sdk.merchant.hearing import Hearing
from sdk.merchant.kafka_security import PLAIN_TEXT, KafkaSecurity
from sdk.merchant.keys import NoKeyError, TerminalKeys
from sdk.merchant.spool import Answer, Drawn, Kept, Source, Spool, Spooled, TapT
from sdk.merchant.transaction import Scene, SignedRecord

log = logging.getLogger("onecard.merchant")

TOPICS = tuple(scene.topic for scene in Scene)

# How long the broker may be silent before it counts as away, and how much is then offered to learn that it is back.
SILENCE_SECONDS = 3.0
PROBE_RECORDS = 500
LONGEST_PAUSE_SECONDS = 5.0
TICK_SECONDS = 0.05


class MerchantClient:
    """A spool, and the two loops that keep it going: one emits, one hears what became of it.

    Taps may be submitted at any time, also while broker and API are away: they wait in the spool. `with MerchantClient(…)`
    starts the loops and ends them; what has no outcome by then is the next run's: it hears what came meanwhile, and emits the
    rest again.
    """

    def __init__(
        self,
        bootstrap: str,
        spool: Spool,
        access: Access,
        *,
        linger_ms: int = 30,
        topics: Iterable[str] = TOPICS,
        on_answers: Callable[[Sequence[Answer]], None] | None = None,
        security: KafkaSecurity = PLAIN_TEXT,
    ) -> None:
        """`bootstrap` is the broker, which takes transactions; `access` the API, which says what became of them.

        The spool may be of several merchants: outcomes are heard of those that `access` has credentials of. `on_answers` is
        called in a thread of the client's with newly answered transactions; it must be quick. The keys of its terminals lie
        in a file beside the spool. `security` is for the broker; raises ValueError when it cannot be used.
        """
        security.arguments(bootstrap)  # now, when somebody looks
        self._bootstrap = bootstrap
        self._spool = spool
        self._linger_ms = linger_ms
        self._topics = tuple(topics)
        self._security = security
        self.keys = TerminalKeys(spool.path.with_name(spool.path.name + ".keys"), access)
        """What its terminals sign with."""
        self._hearing = Hearing(access, spool, on_answers, self.keys.renew)
        self._emitter: Emitter | None = None
        self._away_since: float | None = None
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._guarded, args=[loop], name=f"{name} {spool.path.name}", daemon=True)
            for name, loop in (("hearing of", self._hear), ("emitting from", self._emit))
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(
        self,
        taps: Sequence[TapT],
        sign: Callable[[TapT, int], SignedRecord] | None = None,
        *,
        hold_seconds: float = 0,
        source: Source | None = None,
    ) -> list[Kept]:
        """Sign taps, keep and emit them; when this returns they are on disk. A word for each tap comes back.

        A terminal that was never connected asks for its keys now, and needs no connection from then on: raises NoKeyError.
        `sign` is for who signs otherwise than with `keys`.

        One call costs one write to the disk, so submit in batches where taps are many. `hold_seconds` keeps them back for
        so long, as a validator does that is out of coverage.
        """
        self._check()
        emitter = self._emitter
        if hold_seconds:
            emit_ms: int | None = int((time.time() + hold_seconds) * 1000)
        elif emitter is None or not self._takes(emitter, taps):
            emit_ms = 0  # the loop takes them from the spool as soon as it may
        else:
            emit_ms = None
        taking = self._spool.take(taps, sign or self._signer_for(taps), emit_ms=emit_ms, source=source)
        if emitter is not None and emit_ms is None:
            emitter.emit(taking.new)
        return taking.kept

    def _signer_for(self, taps: Sequence[Drawn]) -> Callable[[Any, int], SignedRecord]:
        missing = self.keys.fetch((tap.merchant_id, tap.terminal_id) for tap in taps)
        for (merchant_id, terminal_id), (reason, _) in missing.items():
            raise NoKeyError(f"the terminal {terminal_id} of {merchant_id} has no key yet: {reason}")
        return self.keys.sign

    def wait_until_answered(self, timeout_seconds: float) -> bool:
        """Wait until nothing is pending; False when that did not come about in time."""
        end = time.monotonic() + timeout_seconds
        while self._spool.pending_count:
            self._check()
            if time.monotonic() >= end:
                return False
            time.sleep(0.02)
        return True

    @property
    def all_emitted(self) -> bool:
        """Whether the broker has taken everything that is to be emitted now."""
        self._check()
        emitter = self._emitter
        due_ms = self._spool.next_due_ms()
        now_ms = time.time_ns() // 1_000_000
        return emitter is not None and not emitter.in_flight and (due_ms is None or due_ms > now_ms)

    @property
    def pending_count(self) -> int:
        """How many transactions wait for their outcome."""
        return self._spool.pending_count

    @property
    def connected(self) -> bool:
        """Whether the broker takes records."""
        emitter = self._emitter
        return emitter is not None and self._away_since is None

    def close(self) -> None:
        """Send what is gathered and end the loops. The spool stays open: it belongs to the caller."""
        self._stopping.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        self._hearing.close()
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise RuntimeError("a loop of the merchant client has ended") from self._failure

    def _takes(self, emitter: Emitter, taps: Sequence[TapT]) -> bool:
        """Whether taps may be handed to the emitter at once."""
        return (
            emitter.stalled_seconds <= SILENCE_SECONDS
            and emitter.room >= len(taps)
            and not self._hearing.may_hear_soon({tap.merchant_id for tap in taps})
        )

    def _guarded(self, loop: Callable[[], None]) -> None:
        try:
            loop()
        except BaseException as failure:
            self._failure = failure
            raise

    def _hear(self) -> None:
        self._hearing.run(self._stopping)

    def _emit(self) -> None:
        pause = 0.2
        while not self._stopping.is_set():
            try:
                with Emitter(self._bootstrap, self._topics, linger_ms=self._linger_ms, security=self._security) as emitter:
                    self._say_back()
                    self._emitter = emitter
                    try:
                        self._pump(emitter)
                    finally:
                        self._emitter = None
            except KafkaConfigurationError:
                raise
            except KafkaError as error:
                self._say_away(error)
                self._stopping.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _pump(self, emitter: Emitter) -> None:
        confirmed = 0
        while not self._stopping.wait(TICK_SECONDS):
            if undelivered := emitter.undelivered():
                self._spool.not_delivered(undelivered)
            if emitter.stalled_seconds > SILENCE_SECONDS:
                self._say_away(emitter.last_error)
            elif emitter.confirmed > confirmed:
                self._say_back()
            confirmed = emitter.confirmed
            emitter.emit(self._due(emitter))

    def _due(self, emitter: Emitter) -> list[Spooled]:
        now_ms = time.time_ns() // 1_000_000
        due_ms = self._spool.next_due_ms()
        if due_ms is None or due_ms > now_ms or self._hearing.may_hear_soon(self._spool.merchants):
            return []
        limit = min(emitter.room, 5000)
        if self._away_since is not None:
            limit = 0 if emitter.in_flight else PROBE_RECORDS
        return self._spool.take_due(now_ms, limit) if limit else []

    def _say_away(self, error: KafkaError | None) -> None:
        if self._away_since is None:
            self._away_since = time.monotonic()
            log.warning(
                "awaiting the broker at %s (%s); %s transactions wait in %s",
                self._bootstrap,
                str(error or "it confirms nothing"),
                self.pending_count,
                self._spool.path,
            )

    def _say_back(self) -> None:
        if self._away_since is not None:
            log.warning("the broker at %s is back after %.0f s", self._bootstrap, time.monotonic() - self._away_since)
            self._away_since = None
