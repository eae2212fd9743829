"""What one process of all does: duties of a service, each every so many seconds, in the process that is elected.

It is elected by an advisory lock of its session; when the process or its session ends, another one takes over. A duty that
fails is said and counted, and tried again after a while: nobody's calls, and no other duty, end with it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import structlog
from prometheus_client import Counter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.common.database import DatabaseError, Pause, Trouble, place_of, sqlstate_of, trouble
from services.common.logs import fault_of

log = structlog.get_logger()

DUTY_FAILURES = Counter("onecard_duty_failures_total", "Duties of housekeeping that failed", ["duty"])

_ELECTION: Final = text("select pg_try_advisory_lock(hashtext(:name))")
_STILL_THERE: Final = "select 1"
_LOOK_SECONDS: Final = 1.0
_TICK_SECONDS: Final = 0.1
_ANOTHER_OUTAGE_SECONDS: Final = 30
_AFTER_FAILURE_SECONDS: Final = 10.0


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

    @property
    def name(self) -> str:
        """For people."""
        return getattr(self.do, "__name__", type(self.do).__name__).strip("_")

    async def do_if_due(self, connection: AsyncConnection) -> None:
        """Do it when its time has come. Raises DatabaseError when the database is away; whatever else fails is tried again."""
        began = time.monotonic()
        if began < self.due_at:
            return
        try:
            behind = await self.do(connection) is False
        except Exception as error:  # whatever a duty may raise: the others, and everybody's calls, go on
            if isinstance(error, DatabaseError) and trouble(error) is not Trouble.REJECTED:
                raise
            self._fail(error)
            return
        ended = time.monotonic()
        rest = (ended - began) * (1 / (self.share_behind if behind else self.share) - 1)
        self.due_at = ended + rest if behind else max(began + self.every_seconds, ended + rest)

    def _fail(self, error: Exception) -> None:
        log.error("duty_failed", duty=self.name, sqlstate=sqlstate_of(error), **fault_of(error))
        DUTY_FAILURES.labels(self.name).inc()
        self.due_at = time.monotonic() + max(self.every_seconds, _AFTER_FAILURE_SECONDS)


Group = Sequence[Duty]
"""Duties that are done one after the other. Groups run side by side, so that none waits for another one's."""


class Housekeeping:
    """Runs the duties while it is elected."""

    def __init__(self, engine: AsyncEngine, name: str, groups: Sequence[Group]) -> None:
        """`name` of the election; the engine needs a session a group, and one more."""
        self._engine = engine
        self._name = name
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
                if time.monotonic() - began > _ANOTHER_OUTAGE_SECONDS:
                    pause = Pause(place_of(self._engine))
                await pause.wait(error)

    async def _serve(self, elected: AsyncConnection) -> None:
        while not await elected.scalar(_ELECTION, {"name": self._name}):
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
            await asyncio.sleep(min(_TICK_SECONDS, *(duty.every_seconds for duty in group)))


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
