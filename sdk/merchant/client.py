"""A merchant's side of the road: what is submitted is on disk, is emitted, and stays until its outcome has come back."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Self

from kafka.errors import KafkaConfigurationError, KafkaError

from sdk.merchant.emitter import Emitter
from sdk.merchant.life import Life
from sdk.merchant.outcomes import OutcomeReader
from sdk.merchant.spool import Answer, Kept, Source, Spool, Spooled, TapT
from sdk.merchant.transaction import Scene, SignedRecord

log = logging.getLogger("onecard.merchant")

TOPICS = tuple(scene.topic for scene in Scene)

# How long the broker may be silent before it counts as away, and how much is then offered to learn that it is back.
SILENCE_SECONDS = 3.0
PROBE_RECORDS = 500
LONGEST_PAUSE_SECONDS = 5.0
# Tansu acknowledges records for topics that it does not have yet, and hides them when the topics are made: what was emitted
# in the first moments of its new life is emitted once more.
SETTLING_SECONDS = 5.0
NEVER = float("inf")


class MerchantClient:
    """Spool, emitter and outcome reader with the one loop that keeps them going.

    Taps may be submitted at any time, also while the broker is away: they wait in the spool. `with MerchantClient(…)` starts
    the loop and ends it; what has no outcome by then is emitted again by the next run.
    """

    def __init__(
        self,
        bootstrap: str,
        spool: Spool,
        *,
        linger_ms: int = 30,
        topics: Iterable[str] = TOPICS,
        on_answers: Callable[[Sequence[Answer]], None] | None = None,
    ) -> None:
        """`on_answers` is called in the loop's thread with newly answered transactions; it must be quick."""
        self._bootstrap = bootstrap
        self._spool = spool
        self._linger_ms = linger_ms
        self._topics = tuple(topics)
        self._on_answers = on_answers or (lambda _: None)
        self._emitter: Emitter | None = None
        self._life: str | None = None
        self._away_since: float | None = None
        self._again_at = NEVER
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"merchant {spool.path.name}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(
        self,
        taps: Sequence[TapT],
        sign: Callable[[TapT, int], SignedRecord],
        *,
        hold_seconds: float = 0,
        source: Source | None = None,
    ) -> list[Kept]:
        """Keep taps and emit them; when this returns they are on disk. A word for each tap comes back.

        One call costs one write to the disk, so submit in batches where taps are many. `hold_seconds` keeps them back for
        so long, as a validator does that is out of coverage.
        """
        self._check()
        emitter = self._emitter
        if hold_seconds:
            emit_ms: int | None = int((time.time() + hold_seconds) * 1000)
        elif emitter is None or emitter.stalled_seconds > SILENCE_SECONDS or emitter.room < len(taps):
            emit_ms = 0  # the loop takes them from the spool when there is room again
        else:
            emit_ms = None
        taking = self._spool.take(taps, sign, emit_ms=emit_ms, source=source)
        if emitter is not None and emit_ms is None:
            emitter.emit(taking.new)
        return taking.kept

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
        return emitter is not None and emitter.stalled_seconds <= SILENCE_SECONDS

    def close(self) -> None:
        """Send what is gathered and end the loop. The spool stays open: it belongs to the caller."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise RuntimeError("the merchant client's loop has ended") from self._failure

    def _run(self) -> None:
        pause = 0.2
        try:
            while not self._stopping.is_set():
                try:
                    self._serve()
                    pause = 0.2
                except KafkaConfigurationError:
                    raise
                except KafkaError as error:
                    self._say_away(error)
                    self._stopping.wait(pause)
                    pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        except BaseException as failure:
            self._failure = failure
            raise

    def _serve(self) -> None:
        """Connect and work until the client is closed or the broker has begun another life."""
        with Life(self._bootstrap) as broker:
            life = broker.cluster_id()
            another_life = self._life not in (None, life)
            with (
                OutcomeReader(self._bootstrap, self._spool.merchants, from_oldest=another_life) as reader,
                Emitter(self._bootstrap, self._topics, linger_ms=self._linger_ms) as emitter,
            ):
                if another_life:
                    log.warning(
                        "the broker at %s has lost its memory: emitting %s unanswered transactions again",
                        self._bootstrap,
                        self.pending_count,
                    )
                    self._spool.all_due()
                    self._again_at = time.monotonic() + SETTLING_SECONDS
                self._life = life
                self._say_back()
                self._emitter = emitter
                try:
                    self._pump(broker, reader, emitter)
                finally:
                    self._emitter = None

    def _pump(self, broker: Life, reader: OutcomeReader, emitter: Emitter) -> None:
        next_look = time.monotonic() + 1
        while not self._stopping.is_set():
            answers = self._spool.answer(reader.poll(0.05))
            if answers:
                self._on_answers(answers)
            if undelivered := emitter.undelivered():
                self._spool.not_delivered(undelivered)
            emitter.emit(self._due(emitter))
            if time.monotonic() >= self._again_at:
                self._again_at = NEVER
                self._spool.all_due()
            if time.monotonic() >= next_look:
                if self._has_another_life(broker, emitter):
                    return
                next_look = time.monotonic() + 1

    def _due(self, emitter: Emitter) -> list[Spooled]:
        now_ms = time.time_ns() // 1_000_000
        due_ms = self._spool.next_due_ms()
        if due_ms is None or due_ms > now_ms:
            return []
        limit = min(emitter.room, 5000)
        if self._away_since is not None:
            limit = 0 if emitter.in_flight else PROBE_RECORDS
        return self._spool.take_due(now_ms, limit) if limit else []

    def _has_another_life(self, broker: Life, emitter: Emitter) -> bool:
        try:
            life = broker.cluster_id()
        except KafkaError as error:
            self._say_away(error)
            return False
        if emitter.stalled_seconds > SILENCE_SECONDS:
            self._say_away(emitter.last_error)
        else:
            self._say_back()
        return life != self._life

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
