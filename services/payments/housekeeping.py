"""What one process of all does: seal batches, relay the outbox, roll up accruals, audit the books, make partitions.

It is elected by an advisory lock of its session; when the process or its session ends, another one takes over.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.common.clock import milliseconds
from services.common.database import DatabaseError, Pause, Trouble, place_of, trouble
from services.payments import metrics
from services.payments.adapters.announce import Announcer
from services.payments.adapters.ledger import BatchKey
from services.payments.handlers.audit_books import AuditBooks
from services.payments.handlers.check_books import read_imbalances
from services.payments.handlers.publish_checkpoints import PublishCheckpoints
from services.payments.handlers.relay_outbox import relay_outbox
from services.payments.handlers.replay_dead_letters import ReplayDeadLetters
from services.payments.handlers.roll_up_accruals import roll_up_accruals
from services.payments.handlers.seal_batches import SealBatches
from services.payments.handlers.sweep import Sweep

log = structlog.get_logger()

_ELECTION: Final = "select pg_try_advisory_lock(hashtext('payments.housekeeping'))"
_STILL_THERE: Final = "select 1"
_OLDEST_UNSEALED: Final = """
select now from payments.batch where number > coalesce((select max(last_batch) from payments.seal), 0)
order by number limit 1"""
_LOOK_SECONDS: Final = 1.0
_TICK_SECONDS: Final = 0.1
_ANOTHER_OUTAGE_SECONDS: Final = 30
_PARTITIONS_AHEAD_MONTHS: Final = 3
_A_FIFTIETH: Final = 0.02
_A_TENTH: Final = 0.1


@dataclass(slots=True)
class Duty:
    """Something to be done every so many seconds, and less often when it would take more than its share of the time."""

    every_seconds: float
    do: Callable[[AsyncConnection], Awaitable[object]]
    """False: it is far behind."""
    share: float = 1.0
    share_behind: float = 1.0
    """While it is far behind."""
    due_at: float = float("-inf")

    async def do_if_due(self, connection: AsyncConnection) -> None:
        """Do it when its time has come."""
        began = time.monotonic()
        if began < self.due_at:
            return
        behind = await self.do(connection) is False
        ended = time.monotonic()
        rest = (ended - began) * (1 / (self.share_behind if behind else self.share) - 1)
        self.due_at = ended + rest if behind else max(began + self.every_seconds, ended + rest)


Group = Sequence[Duty]
"""Duties that are done one after the other. Groups run side by side, so that none waits for another one's."""


def duties(
    announcer: Announcer, replay: ReplayDeadLetters, sweep: Sweep, key: BatchKey, checkpoints: Path | None
) -> list[Group]:
    """What there is to do; each group has a session of its own."""
    return [
        [Duty(0.4, SealBatches(key))],
        [
            Duty(0.2, lambda connection: relay_outbox(connection, announcer)),
            Duty(2, PublishCheckpoints(announcer, checkpoints)),
        ],
        [
            Duty(1, roll_up_accruals),
            Duty(1, _measure_projection_age),
            Duty(1, _measure_unsealed_age),
            Duty(3600, make_partitions),
        ],
        [Duty(1, AuditBooks(), _A_FIFTIETH, share_behind=_A_TENTH), Duty(5, _measure_imbalance, _A_FIFTIETH)],
        [Duty(5, lambda _: replay.of_known_cards()), Duty(5, lambda _: replay.close_decided())],
        [Duty(1, sweep.holds), Duty(5, sweep.purses)],
    ]


SESSIONS: Final = 7
"""One a group, and the one that is elected."""


class Housekeeping:
    """Runs the duties while it is elected."""

    def __init__(self, engine: AsyncEngine, groups: Sequence[Group]) -> None:
        self._engine = engine
        self._groups = groups

    async def run(self) -> None:
        """Work for ever, whether elected or waiting to be."""
        pause = Pause(place_of(self._engine))
        while True:
            began = time.monotonic()
            try:
                async with _session(self._engine) as elected:
                    await self._serve(elected)
            except DatabaseError as error:
                if trouble(error) is Trouble.REJECTED:
                    raise
                if time.monotonic() - began > _ANOTHER_OUTAGE_SECONDS:
                    pause = Pause(place_of(self._engine))
                await pause.wait(error)

    async def _serve(self, elected: AsyncConnection) -> None:
        while not await elected.scalar(text(_ELECTION)):
            await asyncio.sleep(_LOOK_SECONDS)
        log.info("elected_for_housekeeping")
        await _side_by_side(_watch(elected), *(_work(self._engine, group) for group in self._groups))


@asynccontextmanager
async def _session(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A session that does not go back to the pool: it may hold the lock, or have been left in the middle of something."""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        try:
            yield connection
        finally:
            await connection.invalidate()


async def _watch(elected: AsyncConnection) -> None:
    """Fails when the session that holds the lock has ended: somebody else may be elected then."""
    while True:
        await elected.scalar(text(_STILL_THERE))
        await asyncio.sleep(_LOOK_SECONDS)


async def _work(engine: AsyncEngine, group: Group) -> None:
    async with _session(engine) as connection:
        while True:
            for duty in group:
                await duty.do_if_due(connection)
            await asyncio.sleep(_TICK_SECONDS)


async def _side_by_side(*works: Coroutine[Any, Any, None]) -> None:
    """Do all of it until one fails; then end the others and raise what it raised."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        if task in done:
            task.result()


async def _measure_imbalance(connection: AsyncConnection) -> None:
    for imbalance in await read_imbalances(connection):
        metrics.IMBALANCE.labels(imbalance.currency).set(imbalance.posted_fen)
        metrics.PENDING_IMBALANCE.labels(imbalance.currency).set(imbalance.pending_fen)
    metrics.CHECKED.set_to_current_time()


async def _measure_projection_age(connection: AsyncConnection) -> None:
    oldest = await connection.scalar(text("select min(committed_up_to) from payments.card_projection"))
    if oldest is not None:
        metrics.PROJECTION_AGE.set(max(0.0, time.time() - milliseconds(oldest) / 1000))


async def _measure_unsealed_age(connection: AsyncConnection) -> None:
    """Asked by another session than the sealer's, so that it tells when the sealer does nothing."""
    oldest = await connection.scalar(text(_OLDEST_UNSEALED))
    metrics.UNSEALED_AGE.set(0.0 if oldest is None else max(0.0, time.time() - milliseconds(oldest) / 1000))


async def make_partitions(connection: AsyncConnection) -> None:
    """Partitions of the transfers, months ahead of the calendar."""
    await connection.execute(text("select payments.make_transfer_partitions(:months)"), {"months": _PARTITIONS_AHEAD_MONTHS})
