"""How a service's schema and its code agree: what code needs of a schema, and whether a schema still bears it.

A release adds to the schema first (expand), fills what it added (backfill), and takes away (contract) only when no older code
runs. So a schema may be newer than the code, until a contract that the code does not know.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.database import DatabaseError, Pause, Trouble, place_of, sqlstate_of, trouble

T = TypeVar("T")

UNMIGRATED: Final = frozenset({"3F000", "42P01", "42883"})
"""The schema is not there yet, or something in it."""


class SchemaError(Exception):
    """A newer release has taken away what this program uses; the message says what to do."""


class Standing(NamedTuple):
    """Where a schema stands: its last migration, and the last that took something away, each empty where there was none."""

    at: str
    contracted: str


@dataclass(frozen=True, slots=True)
class Schema:
    """A service's schema as this release knows it. Migrations are numbered, and their files begin with the number."""

    name: str
    folder: Path
    needs: str
    """The lowest migration that this code lives with: what stands behind it may come while the code runs."""
    role: str
    """As whom the service looks where the schema stands."""

    @property
    def head(self) -> str:
        """The last migration that this release knows."""
        return max(file.name[:4] for file in (self.folder / "versions").glob("[0-9]*.py"))

    def session(self, process: str) -> str:
        """How a process calls itself in the database: a contract looks there for whoever does not know it."""
        return f"{process} {self.head}"

    def bears(self, standing: Standing) -> bool:
        """Whether it is far enough for this code. Raises SchemaError where it has gone too far."""
        if standing.contracted > self.head:
            raise SchemaError(
                f"the {self.name} schema was contracted by {standing.contracted}, and this release knows nothing behind"
                f" {self.head}: start the newer release; there is no way back behind a contract"
            )
        return standing.at >= self.needs


async def nothing_more() -> None:
    """For whoever asks the schema alone."""


async def when_borne(engine: AsyncEngine, schema: Schema, read: Callable[[], Awaitable[T]]) -> T:
    """Wait until the database is there and its schema bears this code, saying what is awaited and where; then answer `read`.

    Raises SchemaError.
    """
    pause = Pause(place_of(engine))
    while True:
        try:
            standing = await _standing(engine, schema.name)
            if schema.bears(standing):
                return await read()
        except DatabaseError as error:
            if trouble(error) is Trouble.REJECTED and sqlstate_of(error) not in UNMIGRATED:
                raise
            await pause.wait(error)
        else:
            await pause.wait_for_schema(schema.name, standing.at, schema.needs)


async def _standing(engine: AsyncEngine, name: str) -> Standing:
    async with engine.connect() as connection:
        at = await connection.scalar(text(f"select max(version_num) from {name}.alembic_version"))  # noqa: S608  # ours
        contracted = await connection.scalar(text(f"select max(revision) from {name}.contracted"))  # noqa: S608  # ours
        return Standing(at or "", contracted or "")
