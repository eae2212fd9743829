"""Emptying a backlog: the topics are filled first, then somebody posts and answers all of it."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Final, NamedTuple

from bench.contenders import Contender
from bench.cpu import CpuMeter
from bench.database import BatchRow, LedgerCopy
from bench.errors import BenchError
from bench.offsets import begin_at
from bench.outcomes import OutcomeReader
from bench.stage import Stage
from bench.taps import Place
from cli.city.metrics import scrape
from cli.servers.child import Child
from cli.servers.ports import free_port

_PATIENCE_SECONDS: Final = 60.0
_ASK_SECONDS: Final = 0.1


class Span(NamedTuple):
    """What was done between two instants."""

    taps: int
    seconds: float
    cpu_seconds: Mapping[str, float]
    """By family: worker, postgresql, broker."""

    @property
    def taps_per_second(self) -> float:
        """By the clock on the wall."""
        return self.taps / self.seconds

    @property
    def taps_per_cpu_second(self) -> float:
        """For each second of CPU that the emptying processes used."""
        return self.taps / self.cpu_seconds["worker"]

    def cpu_us_per_tap(self, family: str) -> float:
        """What a tap cost one of the families."""
        return self.cpu_seconds[family] / self.taps * 1e6


class Written(NamedTuple):
    """What PostgreSQL wrote, in bytes."""

    tables: int
    """With their indexes."""
    log: int
    """The write-ahead log, whole pages after a checkpoint included."""


class Drain(NamedTuple):
    """How a backlog was emptied."""

    whole: Span
    """From the clock of the first batch until the last outcome was readable."""
    second_half: Span
    """The same, from the batch on that begins the second half: when several processes share the work, all are at it by then."""
    refused: int
    late: int
    """Taps that took the slow way, by the workers' own counter; 0 where nobody counts."""
    written: Written
    """By all of it."""


LATE_TAPS: Final = "onecard_late_taps_total"


async def drain(stage: Stage, contender: Contender, reader: OutcomeReader, begin: Mapping[Place, int]) -> Drain:
    """Let a contender post and answer what lies behind the offsets `begin`, on a fresh copy of the ledger; reconciled."""
    taps = sum(stage.ends.values()) - sum(begin.values())
    begin_at(stage.broker.bootstrap, contender.group, begin)
    async with stage.ledger() as ledger:
        before = Written(*await ledger.written())
        ports = [free_port() for _ in range(contender.processes)]
        with ExitStack() as stack:
            children = [
                stack.enter_context(
                    stage.process(
                        f"posting-{number}",
                        *contender.command,
                        env=stage.environment(ledger, number) | {"ONECARD_METRICS_PORT": str(port)},
                    )
                )
                for number, port in enumerate(ports, 1)
            ]
            meter = CpuMeter(
                {
                    "worker": [child.pid for child in children],
                    "postgresql": [stage.postgres.child.pid],
                    "broker": [stage.broker.child.pid],
                }
            )
            async with meter.watching():
                await posted(ledger, children, taps)
                appended = await reader.appended(taps)
            late = sum([await _late_taps(port) for port in ports]) if contender.counts else 0
        await reader.skip_rest()
        after = Written(*await ledger.written())
        journal = await ledger.journal()
        working = len({batch.key_version for batch in journal})
        if working < contender.processes:
            raise BenchError(f"{contender.name}: only {working} of {contender.processes} processes posted anything")
        refused = await ledger.reconcile(taps)
    end = max(appended.values())
    written = Written(after.tables - before.tables, after.log - before.log)
    return Drain(_span(journal, 0, end, meter), _span(journal, taps // 2, end, meter), refused, late, written)


async def _late_taps(port: int) -> int:
    reading = await asyncio.to_thread(scrape, port)
    if reading is None:
        raise BenchError("a worker that has posted everything does not show its metrics")
    return round(reading[LATE_TAPS, ()])


def _span(journal: Sequence[BatchRow], behind: int, end: float, meter: CpuMeter) -> Span:
    """From the first batch that begins behind so many taps until the end."""
    before = 0
    for batch in journal:
        if before >= behind:
            break
        before += batch.verdicts
    return Span(sum(b.verdicts for b in journal) - before, end - batch.now, meter.between(batch.now, end))


async def posted(ledger: LedgerCopy, children: list[Child], taps: int) -> None:
    """Wait until so many taps have a verdict; raises BenchError when nothing moves any more or a process ends."""
    decided, moved = -1, time.monotonic()
    while (now_decided := await ledger.decided()) < taps:
        if now_decided != decided:
            decided, moved = now_decided, time.monotonic()
        for child in children:
            if not child.alive:
                raise BenchError(f"{child.name} ended with status {child.exit_code}\n{child.last_lines()}")
        if time.monotonic() - moved > _PATIENCE_SECONDS:
            raise BenchError(f"{decided} of {taps} taps were posted, then nothing for {_PATIENCE_SECONDS:.0f} s")
        await asyncio.sleep(_ASK_SECONDS)
