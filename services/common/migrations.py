"""Brings a service's schema up to date, step by step, with Alembic, while old and new code live with it.

A migration's module says which `step` it is: it expands, fills (backfill) or contracts; one that says nothing expands. Beside
`upgrade` it may hold `concurrently`, statements that run each by itself before it, and `batches`, one statement that changes
some thousand rows and is run until it changes none. Each migration is a transaction of its own, which waits for no lock for
long: others would wait behind it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Literal, NamedTuple, TypeVar, get_args

import structlog
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, NullPool, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from services.common.database import DatabaseError, sqlstate_of
from services.common.schema import Schema

T = TypeVar("T")
log = structlog.get_logger()

Step = Literal["expand", "backfill", "contract"]
STEPS: Final[tuple[Step, ...]] = get_args(Step)
"""In the order in which a release takes them."""
_HELD: Final = frozenset({"55P03", "40P01"})
_IMPATIENT: Final = "set local lock_timeout = '2s'"
_QUICK: Final = "set local statement_timeout = '5s'"
_TELL_SECONDS: Final = 5.0
_SESSIONS: Final = text(
    "select application_name, count(*) from pg_stat_activity where datname = current_database()"
    " and application_name like :ours group by 1 order by 1"
)
_HALF_BUILT: Final = text(
    "select format('%I.%I', s.nspname, c.relname) from pg_index i join pg_class c on c.oid = i.indexrelid"
    " join pg_namespace s on s.oid = c.relnamespace where s.nspname = :schema and not i.indisvalid"
)


class MigrationError(Exception):
    """A migration cannot be made now; the message says why and what to do."""


class Migrated(NamedTuple):
    """How far a schema has come, and which migration comes next, of which step; empty where there is none."""

    at: str
    next: str = ""
    step: Step = "expand"


async def migrate(
    owner_url: str, schema: Schema, upto: Step = "expand", *, then: str = "select", patience_seconds: float = 300
) -> Migrated:
    """Run what is missing, as the schema's owner, but no later step than `upto`, and one statement after it.

    Two at once do it once. An empty schema is brought to its end, for nobody lives with it. `patience_seconds`: how long a
    migration tries to get its locks. Raises MigrationError.
    """
    engine = create_async_engine(owner_url, poolclass=NullPool)
    try:
        async with _alone(engine, schema.name):
            run = _Run(engine, schema, patience_seconds)
            migrated = await run.up(upto)
            async with engine.begin() as connection:
                seen = f"{schema.name}.contracted, {schema.name}.alembic_version"
                await connection.execute(text(f"grant select on {seen} to {schema.role}"))
                await connection.execute(text(then))
            return migrated
    finally:
        await engine.dispose()


@asynccontextmanager
async def _alone(engine: AsyncEngine, name: str) -> AsyncIterator[None]:
    """Whoever waits asks again and again: an index that is built beside would wait for one that sleeps in the database."""
    async with engine.connect() as opened:
        connection = await opened.execution_options(isolation_level="AUTOCOMMIT")
        lock = text("select pg_try_advisory_lock(hashtext(:name))")
        while not await connection.scalar(lock, {"name": f"{name}.migrate"}):
            await asyncio.sleep(0.2)
        yield


class _Run:
    def __init__(self, engine: AsyncEngine, schema: Schema, patience_seconds: float) -> None:
        self._engine = engine
        self._schema = schema
        self._patience_seconds = patience_seconds
        self._alembic = AlembicConfig()
        self._alembic.set_main_option("script_location", str(schema.folder))
        self._alembic.attributes["schema"] = schema.name

    async def up(self, upto: Step) -> Migrated:
        at = await self._at()
        lived_in = bool(at)
        for script, step, fills in _plan(ScriptDirectory.from_config(self._alembic)):
            if script.revision <= at:
                continue
            if lived_in and STEPS.index(step) > STEPS.index(upto):
                return Migrated(at, script.revision, step)
            if step != "expand":
                await self._refuse_beside_older_code(script.revision)
            for statement in getattr(script.module, "concurrently", ()):
                await self._beside(statement)
            for fill in fills:
                await self._fill(fill.revision, getattr(fill.module, "batches", ""))
            await self._take(script, step, lived_in=lived_in)
            at = script.revision
        return Migrated(at)

    async def _at(self) -> str:
        name = self._schema.name
        async with self._engine.begin() as connection:
            await connection.execute(text(f"create schema if not exists {name}"))
            await connection.execute(
                text(
                    f"create table if not exists {name}.contracted"
                    " (revision text primary key, create_time timestamptz not null default clock_timestamp())"
                )
            )
            if not await connection.scalar(text(f"select to_regclass('{name}.alembic_version')")):
                return ""
            return await connection.scalar(text(f"select max(version_num) from {name}.alembic_version")) or ""  # noqa: S608  # ours

    async def _take(self, script: Script, step: Step, *, lived_in: bool) -> None:
        async def apply(connection: AsyncConnection) -> None:
            # What holds a table for longer stops the city; what contracts may look at every row first, beside the others.
            if lived_in and step == "expand":
                await connection.execute(text(_QUICK))
            await connection.run_sync(self._upgrade, script.revision)
            if step == "contract":
                noted = text(f"insert into {self._schema.name}.contracted (revision) values (:revision)")  # noqa: S608  # ours
                await connection.execute(noted, {"revision": script.revision})

        await self._patiently(script.revision, apply)

    def _upgrade(self, connection: Connection, revision: str) -> None:
        self._alembic.attributes["connection"] = connection
        command.upgrade(self._alembic, revision)

    async def _patiently(self, revision: str, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """In a transaction that gives up soon where somebody holds what it locks, and is begun again."""
        end, told = time.monotonic() + self._patience_seconds, False
        while True:
            try:
                async with self._engine.begin() as connection:
                    await connection.execute(text(_IMPATIENT))
                    return await work(connection)
            except DatabaseError as error:
                if sqlstate_of(error) not in _HELD:
                    raise
                if time.monotonic() > end:
                    raise MigrationError(
                        f"{revision} of the {self._schema.name} schema did not get its locks in {self._patience_seconds:.0f} s;"
                        " nothing of it is done. `onecard doctor` names transactions that are open for long; then begin again"
                    ) from error
                if not told:
                    log.warning("migration_waits_for_lock", schema=self._schema.name, revision=revision)
                told = True
            # As long as it may have kept others waiting.
            await asyncio.sleep(2)

    async def _beside(self, statement: str) -> None:
        """Outside of a transaction. What a run that ended early has half built goes first: it would be taken for whole."""
        async with self._engine.connect() as opened:
            connection = await opened.execution_options(isolation_level="AUTOCOMMIT")
            for index in await connection.scalars(_HALF_BUILT, {"schema": self._schema.name}):
                await connection.execute(text(f"drop index concurrently {index}"))
            await connection.exec_driver_sql(statement)

    async def _fill(self, revision: str, batches: str) -> None:
        """Resumed where it was: each batch is committed, and finds what is still empty. It works half of the time."""

        async def batch(connection: AsyncConnection) -> int:
            return (await connection.exec_driver_sql(batches)).rowcount

        rows, told = 0, time.monotonic()
        while True:
            began = time.monotonic()
            changed = await self._patiently(revision, batch)
            rows += changed
            if not changed or time.monotonic() - told > _TELL_SECONDS:
                told = time.monotonic()
                log.info("backfilled", schema=self._schema.name, revision=revision, rows=rows, done=not changed)
            if not changed:
                return
            await asyncio.sleep(time.monotonic() - began)

    async def _refuse_beside_older_code(self, revision: str) -> None:
        async with self._engine.connect() as connection:
            sessions = (await connection.execute(_SESSIONS, {"ours": f"{self._schema.name}-%"})).all()
        old = [f"{name} ({number} sessions)" for name, number in sessions if _known_to(name) < revision]
        if old:
            raise MigrationError(
                f"{revision} of the {self._schema.name} schema cannot come before these have gone, which know nothing of it:"
                f" {', '.join(old)}. End them, or bring them to the new release"
            )


def _plan(scripts: ScriptDirectory) -> Iterator[tuple[Script, Step, Sequence[Script]]]:
    """All migrations in order, and what is filled with each.

    With a contract what was filled before it, once more: whoever went back to an older release has left new rows empty.
    """
    filled: list[Script] = []
    for script in reversed(list(scripts.walk_revisions())):
        match step_of(script.module):
            case "expand":
                yield script, "expand", ()
            case "backfill":
                filled.append(script)
                yield script, "backfill", (script,)
            case "contract":
                yield script, "contract", tuple(filled)
                filled.clear()


def step_of(module: Any) -> Step:
    """Which step a migration is."""
    step: Step = getattr(module, "step", "expand")
    assert step in STEPS, step
    return step


def _known_to(session: str) -> str:
    """The last migration that a session's code knows, as `Schema.session` wrote it; empty where it says nothing."""
    number = session.rpartition(" ")[2]
    return number if number.isdecimal() else ""


def run_script(connection: Connection, script: str) -> None:
    """Run several statements in the open transaction; a prepared statement holds only one."""
    adapted = connection.connection.dbapi_connection
    assert adapted is not None
    adapted.run_async(lambda driver: driver.execute(script))
