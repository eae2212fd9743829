"""What one process of all does: relay the outbox, roll up accruals, check the books, make partitions.

It is elected by an advisory lock of its session; when the process or its session ends, another one takes over.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.common.clock import milliseconds
from services.common.database import DatabaseError, Pause, Trouble, place_of, trouble
from services.payments import metrics
from services.payments.adapters.announce import Announcer
from services.payments.handlers.check_books import imbalance_fen
from services.payments.handlers.relay_outbox import relay_outbox
from services.payments.handlers.replay_dead_letters import ReplayDeadLetters
from services.payments.handlers.roll_up_accruals import roll_up_accruals

log = structlog.get_logger()

_ELECTION: Final = "select pg_try_advisory_lock(hashtext('payments.housekeeping'))"
_TICK_SECONDS: Final = 0.2
_ANOTHER_OUTAGE_SECONDS: Final = 30
_PARTITIONS_AHEAD_MONTHS: Final = 3


@dataclass(slots=True)
class Duty:
    """Something to be done every so many seconds."""

    every_seconds: float
    do: Callable[[AsyncConnection], Awaitable[object]]
    done_at: float = float("-inf")


class Housekeeping:
    """Runs the duties while it is elected."""

    def __init__(self, engine: AsyncEngine, announcer: Announcer, replay: ReplayDeadLetters) -> None:
        self._engine = engine
        self._duties = [
            Duty(0.2, lambda connection: relay_outbox(connection, announcer)),
            Duty(1, roll_up_accruals),
            Duty(1, _measure_projection_age),
            Duty(5, lambda _: replay.of_known_cards()),
            Duty(5, lambda _: replay.close_decided()),
            Duty(5, _measure_imbalance),
            Duty(3600, make_partitions),
        ]

    async def run(self) -> None:
        """Work for ever, whether elected or waiting to be."""
        pause = Pause(place_of(self._engine))
        while True:
            began = time.monotonic()
            try:
                async with self._engine.connect() as connection:
                    await connection.execution_options(isolation_level="AUTOCOMMIT")
                    try:
                        await self._serve(connection)
                    finally:
                        # The lock belongs to the session: it must not go back to the pool.
                        await connection.invalidate()
            except DatabaseError as error:
                if trouble(error) is Trouble.REJECTED:
                    raise
                if time.monotonic() - began > _ANOTHER_OUTAGE_SECONDS:
                    pause = Pause(place_of(self._engine))
                await pause.wait(error)

    async def _serve(self, connection: AsyncConnection) -> None:
        while not await connection.scalar(text(_ELECTION)):
            await asyncio.sleep(1)
        log.info("elected_for_housekeeping")
        while True:
            for duty in self._duties:
                if time.monotonic() - duty.done_at >= duty.every_seconds:
                    await duty.do(connection)
                    duty.done_at = time.monotonic()
            await asyncio.sleep(_TICK_SECONDS)


async def _measure_imbalance(connection: AsyncConnection) -> None:
    imbalance = await imbalance_fen(connection)
    for currency, fen in imbalance.items():
        metrics.IMBALANCE.labels(currency).set(fen)
    metrics.CHECKED.set_to_current_time()


async def _measure_projection_age(connection: AsyncConnection) -> None:
    oldest = await connection.scalar(text("select min(committed_up_to) from payments.card_projection"))
    if oldest is not None:
        metrics.PROJECTION_AGE.set(max(0.0, time.time() - milliseconds(oldest) / 1000))


async def make_partitions(connection: AsyncConnection) -> None:
    """Partitions of the transfers, months ahead of the calendar."""
    await connection.execute(text("select payments.make_transfer_partitions(:months)"), {"months": _PARTITIONS_AHEAD_MONTHS})
