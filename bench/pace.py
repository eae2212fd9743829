"""How long a tap waits for its outcome while taps come at a steady rate, whatever comes back (open loop)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from bench.backlog import posted
from bench.contenders import WORKER
from bench.database import LedgerCopy
from bench.generator import emit_steadily, fill
from bench.offsets import begin_at
from bench.outcomes import OutcomeReader
from bench.stage import Stage
from bench.statistics import percentile
from cli.servers.child import Child


class Waits(NamedTuple):
    """Milliseconds from the scheduled instants of taps to their outcomes in a reader's hands."""

    rate: int
    p50_ms: float
    p99_ms: float
    generator_late_ms: float
    """How late the load generator was at its worst: it is part of the waits, and says whether it kept up."""


class SteadyWorker:
    """One worker on a fresh ledger that goes on from the end of the topics."""

    def __init__(self, stage: Stage, ledger: LedgerCopy, child: Child, reader: OutcomeReader) -> None:
        self._stage = stage
        self._reader = reader
        self.ledger = ledger
        self.child = child
        self.posted = 0

    async def take(self, taps: int) -> None:
        """Fill the topics with so many taps, and wait until each has a verdict and an outcome."""
        await fill(self._stage, taps)
        await posted(self.ledger, [self.child], self.posted + taps)
        await self._reader.appended(taps)
        self.posted += taps

    async def hold(self, rate: int, seconds: int, warm_up_seconds: int) -> Waits:
        """Hold a rate; the waits of the warm-up do not count."""
        first, count = self._stage.emitted + 1, rate * (seconds + warm_up_seconds)
        sent, received = await asyncio.gather(emit_steadily(self._stage, rate, count), self._reader.received(count))
        self.posted += count
        skipped = rate * warm_up_seconds
        waits = [received[first + i] - (sent.start + i / rate) for i in range(skipped, count)]
        return Waits(rate, percentile(waits, 50) * 1000, percentile(waits, 99) * 1000, sent.latest_ms)


@asynccontextmanager
async def steady_worker(stage: Stage, reader: OutcomeReader) -> AsyncIterator[SteadyWorker]:
    """For the time of the block; everything it was given is reconciled at the end."""
    begin_at(stage.broker.bootstrap, WORKER.group, stage.ends)
    await reader.skip_rest()  # outcomes that an earlier part announced and nobody read
    async with stage.ledger() as ledger:
        with stage.process("posting-1", *WORKER.command, env=stage.environment(ledger)) as child:
            worker = SteadyWorker(stage, ledger, child, reader)
            yield worker
        await reader.skip_rest()
        await ledger.reconcile(worker.posted)
