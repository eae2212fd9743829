"""Post what terminals sent: decode, decide and write in one transaction, and say what is owed for it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from services.common.clock import now_ms
from services.common.database import DatabaseError, Pause, Trouble, trouble
from services.common.tracing import span
from services.payments import metrics
from services.payments.adapters.dead_letters import Entry, outcomes_of
from services.payments.adapters.ledger import Ledger
from services.payments.adapters.registry import Registry
from services.payments.adapters.tac import Verifier
from services.payments.adapters.wire import CHANNEL_OF_TOPIC, Received, Undecided, decode, encode_dead_letter
from services.payments.domain.tap import Tap
from services.payments.domain.verdict import Answer, Cause
from services.payments.handlers.open_places import OpenPlaces
from services.payments.handlers.settle import settle

log = structlog.get_logger()

Settled = tuple[Entry, Answer]
"""A record as it was settled in the end, and what it was answered."""


@dataclass(slots=True)
class Owed:
    """What must be announced for posted records; made from stored verdicts, so a repeat owes the same again."""

    outcomes: list[tuple[str, bytes]] = field(default_factory=list)
    """(merchant id, Outcome)"""
    dead_letters: list[bytes] = field(default_factory=list)


class PostTaps:
    """Handles records of the transactions topics, whatever is in them."""

    def __init__(self, ledger: Ledger, registry: Registry, verifier: Verifier) -> None:
        self._ledger = ledger
        self._registry = registry
        self._verifier = verifier
        self._open_places = OpenPlaces(ledger)

    async def __call__(self, records: Sequence[Received]) -> Owed:
        """Give every record a verdict or a dead letter. Returns once that is committed, however long the database is away."""
        await self._refresh()
        with span("decode"):
            entries = [(record, decode(record, self._registry, self._verifier)) for record in records]
        decided = await self.settle(entries)
        _count(decided)
        return self._owed(decided)

    async def _refresh(self) -> None:
        """What terminals there are, and what they sign with."""
        pause = Pause(self._ledger.place)
        while True:
            try:
                await self._registry.refresh_if_due()
                return await self._verifier.refresh_if_due()
            except DatabaseError as error:
                if trouble(error) is Trouble.REJECTED:
                    raise
                await pause.wait(error)

    async def settle(self, entries: Sequence[Entry], *, replay: bool = False) -> list[Settled]:
        """Post the batch as a whole; what the database will not store becomes a dead letter with its SQLSTATE."""

        async def post(some: Sequence[Entry], read_all: bool) -> list[Settled]:
            now = now_ms()
            await self._open_places(self._ledger.rules.slots((read for _, read in some if isinstance(read, Tap)), now))
            answers = await self._ledger.post(some, now, read_all=read_all, replay=replay)
            return list(zip(some, answers, strict=True))

        async def reject(entry: Entry, error: BaseException, state: str) -> list[Settled]:
            return await self.settle([_reject(entry, error, state)], replay=replay)

        return await settle(entries, self._ledger.place, post, reject)

    def _owed(self, decided: Sequence[Settled]) -> Owed:
        owed = Owed(outcomes_of(decided))
        for (record, read), answer in decided:
            if answer.cause is not None:
                sqlstate = read.sqlstate if isinstance(read, Undecided) else ""
                owed.dead_letters.append(encode_dead_letter(record, answer.cause, sqlstate, now_ms()))
        return owed


def _reject(entry: Entry, error: BaseException, state: str) -> Entry:
    """What the database will not store becomes a dead letter with its SQLSTATE."""
    record, read = entry
    if not isinstance(read, Tap):
        # Its dead letter itself cannot be stored: nothing is left to try.
        raise error
    terminal = read.terminal
    log.warning(
        "value_rejected",
        sqlstate=state,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        merchant=terminal.merchant_id,
        terminal=terminal.terminal_id,
        sequence=read.sequence,
    )
    return record, Undecided(
        Cause.DATABASE_REJECTED, terminal.merchant_id, terminal.terminal_id, read.sequence, read.digest, sqlstate=state
    )


def _count(decided: Sequence[Settled]) -> None:
    """Count a batch with a few increments, not with one for each tap."""
    taps: Counter[tuple[str, str, str]] = Counter()
    latencies: dict[str, list[float]] = {}
    now = now_ms()
    adjusted = late = 0
    for (record, read), (verdict, cause, repeated, revised, came_late) in decided:
        adjusted += len(revised)
        late += came_late
        channel = CHANNEL_OF_TOPIC[record.topic]
        if cause is not None:
            metrics.DEAD_LETTERS.labels(record.topic, cause.name).inc()
        elif verdict is not None and isinstance(read, Tap):
            if repeated:
                taps[channel, "repeated", ""] += 1
                continue
            reason = verdict.reason
            taps[channel, "refused" if reason else "posted", reason.name if reason else ""] += 1
            latencies.setdefault(channel, []).append((now - read.event_time_ms) / 1000)
    metrics.ADJUSTMENTS.inc(adjusted)
    metrics.LATE_TAPS.inc(late)
    for labels, n in taps.items():
        metrics.TAPS.labels(*labels).inc(n)
    for channel, seconds in latencies.items():
        metrics.TAP_TO_LEDGER.observe_batch(channel, seconds)
