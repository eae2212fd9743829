"""Sessions with PostgreSQL: how they are opened, and what an error of theirs means."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from typing import Any, Final

import asyncpg
import structlog
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from services.common.sessions import SESSIONS

log = structlog.get_logger()

DatabaseError = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, DBAPIError, OSError, TimeoutError)
"""What a statement may raise; statements on the driver's own connection bypass SQLAlchemy's wrapper."""

RESTED_SECONDS: Final = 1.0
"""After which a session is tried before it is used."""
_USED: Final = "used"
_IMPATIENT: Final = {"transaction_timeout": "5s"}
_PATIENT: Final = {"transaction_timeout": "0", "lock_timeout": "5s"}


def make_engine(
    url: str, application_name: str, *, sessions: int = 5, looked_at: bool = False, patient: bool = False
) -> AsyncEngine:
    """A pool for processes that hold row locks.

    A frozen process blocks its rows for seconds only: the server ends its transaction. `looked_at`: a session that rested is
    tried before it is used, at the price of a round trip, for those who do not begin again when the server was restarted.
    `patient`: a statement may take hours, for an operator's commands; it waits for nobody's lock for long, for others would
    wait behind it.
    """
    engine = create_async_engine(
        url,
        pool_size=sessions,
        max_overflow=0,
        pool_timeout=60,
        connect_args={
            "timeout": 5,
            "server_settings": {
                "application_name": application_name,
                "plan_cache_mode": "force_generic_plan",
                **(_PATIENT if patient else _IMPATIENT),
                "idle_in_transaction_session_timeout": "2s",
            },
        },
    )
    SESSIONS.watch(engine)
    if looked_at:
        event.listen(engine.sync_engine, "checkin", _note_use)
        event.listen(engine.sync_engine, "checkout", _look_at)
    return engine


def _note_use(_: Any, record: ConnectionPoolEntry) -> None:
    record.info[_USED] = time.monotonic()


def _look_at(adapted: Any, record: ConnectionPoolEntry, _: object) -> None:
    """One round trip, where SQLAlchemy's own ping makes three; none for a session that was used a moment ago.

    What a server closed as it went is known without asking.
    """
    now = time.monotonic()
    rested = now - record.info.get(_USED, now)
    try:
        if adapted.driver_connection.is_closed():
            raise InvalidatePoolError
        if rested > RESTED_SECONDS:
            adapted.run_async(lambda driver: driver.fetchrow(";"))
    except DatabaseError as error:
        raise InvalidatePoolError from error


@asynccontextmanager
async def driver_session(engine: AsyncEngine) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """The driver's own connection, for COPY and for statements that are too hot for SQLAlchemy; each is its own transaction.

    A session that was left in the middle of something does not go back to the pool.
    """
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        driver = await driver_of(connection)
        try:
            yield driver
        except asyncpg.PostgresError:
            # The server said no and has rolled back; most often the session is as good as new.
            if driver.is_closed():
                await connection.invalidate()
            raise
        except BaseException:
            await connection.invalidate()
            raise


@asynccontextmanager
async def driver_transaction(engine: AsyncEngine) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """A transaction on the driver's own connection."""
    async with driver_session(engine) as driver, driver.transaction():
        yield driver


async def driver_of(connection: AsyncConnection) -> "asyncpg.Connection[Any]":
    """The driver's own connection behind one of SQLAlchemy's, which must be in AUTOCOMMIT."""
    driver: asyncpg.Connection[Any] | None = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    return driver


class Trouble(Enum):
    """What to do about a database error."""

    AGAIN = "the same once more: it lost a race"
    WAIT = "wait: the server is away, full or busy"
    REJECTED = "the values cannot be stored"


_RACES = frozenset({"40001", "40P01", "23505"})
_TIMEOUTS = frozenset({"25P03", "25P04"})
_AWAY = ("08", "53", "57")


def sqlstate_of(error: BaseException) -> str:
    """The SQLSTATE of an error, empty when there is none (a connection that broke)."""
    return getattr(error, "sqlstate", None) or getattr(getattr(error, "orig", None), "sqlstate", None) or ""


def trouble(error: BaseException) -> Trouble:
    """Classify an error of `DatabaseError`."""
    state = sqlstate_of(error)
    if state in _RACES:
        return Trouble.AGAIN
    if state in _TIMEOUTS or state.startswith(_AWAY) or _connection_broke(error, state):
        return Trouble.WAIT
    return Trouble.REJECTED


def _connection_broke(error: BaseException, state: str) -> bool:
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, asyncpg.DataError):
        return False
    return isinstance(cause, OSError | TimeoutError | asyncpg.InterfaceError) or not state


def place_of(engine: AsyncEngine) -> str:
    """Where a database is, for people: host:port/name."""
    return f"{engine.url.host}:{engine.url.port}/{engine.url.database}"


class Pause:
    """Waits for a database that is away, longer each time, and says once what is awaited and where."""

    FIRST_SECONDS: Final = 0.1
    LONGEST_SECONDS: Final = 5.0

    def __init__(self, place: str) -> None:
        self._place = place
        self._seconds = self.FIRST_SECONDS
        self._told = ("", "")

    async def wait(self, error: BaseException) -> None:
        """Sleep before the next try."""
        if self._seconds == self.FIRST_SECONDS:
            log.warning("waiting_for_database", database=self._place, error=type(error).__name__, sqlstate=sqlstate_of(error))
        await self._sleep()

    async def wait_for_schema(self, schema: str, at: str, needs: str) -> None:
        """Sleep before the next look at a schema that is not far enough."""
        if (at, needs) != self._told:
            self._told = at, needs
            log.warning("waiting_for_schema", database=self._place, schema=schema, at=at, needs=needs)
        await self._sleep()

    async def _sleep(self) -> None:
        await asyncio.sleep(self._seconds)
        self._seconds = min(self._seconds * 2, self.LONGEST_SECONDS)
