"""Employers' batches in PostgreSQL: what was brought under which name, and the verdict of each row."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import asyncpg

_BEGIN: Final = """
insert into card.batch (caller, name, rows, digest) values ($1, $2, $3, $4) on conflict do nothing"""
_FIND: Final = "select id, rows, digest, end_time is not null from card.batch where caller = $1 and name = $2"
_VERDICTS: Final = """
select r.row, r.digest, r.application, r.refusal, r.detail, case r.refusal when 0 then a.not_carried else 0 end
from card.batch_row r left join card.application a on a.id = r.application where r.batch = $1"""
_ROWS: Final = _VERDICTS + " and r.row between $2 and $3"
_PAGE: Final = _VERDICTS + " and r.row > $2 order by r.row limit $3"
_COUNT: Final = "select count(*) from card.batch_row where batch = $1"
_END: Final = "update card.batch set end_time = now() where id = $1 and end_time is null"


class Batch(NamedTuple):
    """A batch that was begun."""

    id: int
    rows: int
    digest: bytes
    ended: bool


class BatchRow(NamedTuple):
    """A row with its verdict, which it keeps for ever."""

    row: int
    digest: bytes
    application: int | None
    refusal: int
    """By services.card.domain.refusal; 0: accepted."""
    detail: str
    """Which field was at fault, and what a clerk can say of it; never its value."""
    not_carried: int = 0
    """Carriers that cannot carry the applicant's name, as bits; it stands with the application."""


async def begin_batch(driver: "asyncpg.Connection[Any]", caller: str, name: str, rows: int, digest: bytes) -> Batch:
    """A batch under its name: a new one, or the one that is there."""
    await driver.execute(_BEGIN, caller, name, rows, digest)
    found = await find_batch(driver, caller, name)
    assert found is not None, "it was there, or we have just added it"
    return found


async def find_batch(driver: "asyncpg.Connection[Any]", caller: str, name: str) -> Batch | None:
    """A batch of a caller, by its name."""
    row = await driver.fetchrow(_FIND, caller, name)
    return Batch(*row) if row else None


async def read_rows(driver: "asyncpg.Connection[Any]", batch: int, first: int, last: int) -> dict[int, BatchRow]:
    """The rows of a span that have a verdict."""
    return {row[0]: BatchRow(*row) for row in await driver.fetch(_ROWS, batch, first, last)}


async def page_rows(driver: "asyncpg.Connection[Any]", batch: int, after: int, limit: int) -> list[BatchRow]:
    """Rows with their verdicts, in order."""
    return [BatchRow(*row) for row in await driver.fetch(_PAGE, batch, after, limit)]


async def count_rows(driver: "asyncpg.Connection[Any]", batch: int) -> int:
    """How many have a verdict."""
    count: int = await driver.fetchval(_COUNT, batch)
    return count


async def add_rows(driver: "asyncpg.Connection[Any]", batch: int, rows: Sequence[BatchRow]) -> None:
    """Store verdicts. UniqueViolationError when somebody else brings the same batch at the same time."""
    await driver.copy_records_to_table(
        "batch_row", schema_name="card", columns=("batch", *BatchRow._fields[:-1]), records=[(batch, *row[:-1]) for row in rows]
    )


async def end_batch(driver: "asyncpg.Connection[Any]", batch: int) -> None:
    """Every row has its verdict."""
    await driver.execute(_END, batch)
