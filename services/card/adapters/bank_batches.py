"""What went to a bank and what came back, in PostgreSQL."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date
from typing import Any, Final, NamedTuple

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from services.card.domain.actor import Actor
from services.card.domain.names import Carrier
from services.common.clock import instant, milliseconds
from services.common.database import driver_session

# A card that could not be made is made anew: its account is there, and is named to the bank like one accepted beforehand.
_CANDIDATES: Final = """
select a.id, a.holder, null::bigint, a.bank_product,
    (select r.account from card.bank_row r where r.application = a.id and r.answer = 1 order by r.batch desc limit 1)
from card.application a left join card.fee f on f.application = a.id
where a.state = 2 and a.mode = 1 and a.kind <> 4 and (f.state is null or f.state = 2 or (f.state = 1 and f.source = 1))
    and not exists (select from card.bank_row r where r.application = a.id and r.answer is null) and a.id > $1
union all
select c.application, c.holder, c.id, a.bank_product, c.bank_account
from card.card c join card.application a on a.id = c.application
where c.kind = 1 and c.financial = 1 and c.social in (0, 1, 3, 4) and c.production >= 60 and c.application > $1 and a.mode <> 1
    and not exists (
        select from card.bank_row r where r.application = c.application and (r.answer is null or r.answer = 1))
order by 1 limit $2"""
_INSTANT: Final = """
select a.id, a.holder, a.card, a.bank_product, null::bytea from card.application a
where a.id = $1 and a.mode <> 1 and a.kind <> 4 and a.card is not null
    and not exists (select from card.bank_row r where r.application = a.id and (r.answer is null or r.answer = 1))"""
_LOCK: Final = "select id from card.holder where id = any($1::bigint[]) order by id for no key update"
_NEXT: Final = "select nextval('card.bank_batch_number')"
_ADD: Final = "insert into card.bank_batch (number, bank, day, rows, create_time) values ($1, $2, $3, $4, $5)"
_UNWRITTEN: Final = "select number, bank, day, rows, create_time from card.bank_batch where write_time is null order by number"
_BATCH: Final = "select number, bank, day, rows, create_time from card.bank_batch where number = $1"
_WRITTEN: Final = "update card.bank_batch set write_time = now() where number = $1"
_ROWS: Final = """
select r.row, r.application, r.holder, r.card, a.bank_product,
    coalesce(c.bank_account, (
        select p.account from card.bank_row p
        where p.application = r.application and p.answer = 1 and p.batch < r.batch order by p.batch desc limit 1)),
    r.answer, r.account, r.cause
from card.bank_row r join card.application a on a.id = r.application left join card.card c on c.id = r.card
join card.holder h on h.id = r.holder and h.deletion_time is null
where r.batch = $1 order by r.row"""
_LOCK_ROWS: Final = """
select row from card.bank_row where batch = $1 and row = any($2::int[]) and answer is null order by row for update"""
_ANSWER: Final = """
update card.bank_row set answer = $3, account = $4, cause = $5, answer_time = $6 where batch = $1 and row = $2"""
_FAULT: Final = "insert into card.bank_fault (batch, row, fault) values ($1, $2, $3) on conflict do nothing"
_GIVE_ACCOUNT: Final = "update card.card set bank_account = $2 where id = $1 and bank_account is null"
_WAITING: Final = """
select count(*), extract(epoch from now() - min(b.create_time))
from card.bank_row r join card.bank_batch b on b.number = r.batch where r.answer is null"""
_AT_BANK: Final = """
select exists (
    select from card.application a join card.bank_row r on r.application = a.id where a.holder = $1 and r.answer is null)"""
_WORK: Final = """
select r.batch, r.row, r.application, a.holder, r.card, r.cause, coalesce(r.answer_time, f.at, b.create_time),
    coalesce(f.fault, 0)
from card.bank_row r
join card.bank_batch b on b.number = r.batch
join card.application a on a.id = r.application
left join card.card c on c.id = r.card
left join lateral (
    select fault, at from card.bank_fault x
    where x.batch = r.batch and x.row = r.row and x.cleared_time is null order by at desc limit 1) f on true
where a.outlet = $1 and (
    (r.answer = 2 and (a.state = 9 or c.financial = 3)
        and not exists (select from card.bank_row n where n.application = r.application and n.batch > r.batch))
    or (r.answer is null and (f.fault is not null or b.create_time < $2))
    or (r.answer is not null and f.fault = 207))
    and (r.batch, r.row) > ($3, $4)
order by r.batch, r.row limit $5"""
_NOT_CARRIED: Final = """
select id, holder, create_time from card.application
where outlet = $1 and state = 2 and not_carried & $2 > 0 and id > $3 order by id limit $4"""
_CLEAR: Final = """
update card.bank_fault f set cleared_by = $3, cleared_time = $4
from card.bank_row r join card.application a on a.id = r.application
where f.batch = $1 and f.row = $2 and f.cleared_time is null and (r.batch, r.row, a.outlet) = (f.batch, f.row, $5)"""
_EXCLUSIVE: Final = "select pg_advisory_lock(hashtext('card.bank'))"
_RELEASE: Final = "select pg_advisory_unlock(hashtext('card.bank'))"


class Candidate(NamedTuple):
    """An application that the bank has not heard of."""

    application: int
    holder: int
    card: int | None
    """An instant one, that is there already."""
    product: int
    account: bytes | None
    """Accepted beforehand, sealed."""


class StoredBatch(NamedTuple):
    """A batch without its rows."""

    number: int
    bank: str
    day: date
    rows: int
    create_ms: int


class StoredRow(NamedTuple):
    """A row of a batch, with its answer if there is one."""

    row: int
    application: int
    holder: int
    card: int | None
    product: int
    sent_account: bytes | None
    """Accepted beforehand, sealed."""
    answer: int | None
    account: bytes | None
    cause: int

    @property
    def candidate(self) -> Candidate:
        """What was sent."""
        return Candidate(self.application, self.holder, self.card, self.product, self.sent_account)


class Work(NamedTuple):
    """Something that a clerk is to look at."""

    batch: int
    row: int
    application: int
    holder: int
    card: int | None
    cause: int
    """The bank's; 0: it has not said no."""
    since_ms: int
    fault: int
    """Of a row that had no effect; 0: none."""


@asynccontextmanager
async def exclusive(engine: AsyncEngine) -> AsyncIterator[None]:
    """One exchange of files at a time: what is held against a return does not change meanwhile."""
    async with driver_session(engine) as driver:
        await driver.execute(_EXCLUSIVE)
        try:
            yield
        finally:
            if not driver.is_closed():
                await driver.execute(_RELEASE)


async def candidates(driver: "asyncpg.Connection[Any]", after: int, limit: int) -> list[Candidate]:
    """Ordinary applications that wait, and instant cards without an account, in order; their holders are locked."""
    found = [Candidate(*row) for row in await driver.fetch(_CANDIDATES, after, limit)]
    await driver.execute(_LOCK, sorted({one.holder for one in found}))
    return found


async def instant_candidate(driver: "asyncpg.Connection[Any]", application: int) -> Candidate | None:
    """An application whose card is made at once; None: it is another one, or the bank has been asked."""
    row = await driver.fetchrow(_INSTANT, application)
    return Candidate(*row) if row else None


async def add_batch(
    driver: "asyncpg.Connection[Any]", bank: str, day: date, rows: Sequence[Candidate], now_ms: int
) -> StoredBatch:
    """A batch whose file is not written yet. UniqueViolationError: another run has sent one of them."""
    number: int = await driver.fetchval(_NEXT)
    await driver.execute(_ADD, number, bank, day, len(rows), instant(now_ms))
    await driver.copy_records_to_table(
        "bank_row",
        schema_name="card",
        columns=("batch", "row", "application", "holder", "card"),
        records=[(number, place, one.application, one.holder, one.card) for place, one in enumerate(rows, 1)],
    )
    return StoredBatch(number, bank, day, len(rows), now_ms)


async def unwritten_batches(driver: "asyncpg.Connection[Any]") -> list[StoredBatch]:
    """Batches whose file may be missing."""
    return [_batch(row) for row in await driver.fetch(_UNWRITTEN)]


async def read_batch(driver: "asyncpg.Connection[Any]", number: int) -> StoredBatch | None:
    """One of them."""
    row = await driver.fetchrow(_BATCH, number)
    return _batch(row) if row else None


async def mark_written(driver: "asyncpg.Connection[Any]", number: int) -> None:
    """Its file is whole."""
    await driver.execute(_WRITTEN, number)


async def read_rows(driver: "asyncpg.Connection[Any]", batch: int) -> list[StoredRow]:
    """Rows of a batch, in order; without people who were deleted: what a bank says of them has no effect."""
    return [StoredRow(*row) for row in await driver.fetch(_ROWS, batch)]


async def lock_unanswered(driver: "asyncpg.Connection[Any]", batch: int, rows: Iterable[int]) -> set[int]:
    """Those of the rows that still have no answer."""
    return {row[0] for row in await driver.fetch(_LOCK_ROWS, batch, sorted(rows))}


async def lock_holders(driver: "asyncpg.Connection[Any]", holders: Iterable[int]) -> None:
    """In order, so that nobody waits in a ring."""
    await driver.execute(_LOCK, sorted(set(holders)))


async def store_answer(
    driver: "asyncpg.Connection[Any]", batch: int, row: int, account: bytes | None, cause: int, now_ms: int
) -> None:
    """The bank's first valid answer to a row."""
    await driver.execute(_ANSWER, batch, row, 1 if account else 2, account, cause, instant(now_ms))


async def add_faults(driver: "asyncpg.Connection[Any]", batch: int, faults: Mapping[int, int]) -> None:
    """Rows that had no effect; one that says so again is noted once."""
    await driver.executemany(_FAULT, [(batch, row, fault) for row, fault in faults.items()])


async def give_account(driver: "asyncpg.Connection[Any]", card: int, sealed: bytes) -> None:
    """The account that the bank has opened for a card."""
    await driver.execute(_GIVE_ACCOUNT, card, sealed)


async def is_at_bank(driver: "asyncpg.Connection[Any]", holder: int) -> bool:
    """Whether a bank has somebody's name and number, and has not answered."""
    return bool(await driver.fetchval(_AT_BANK, holder))


async def count_waiting(driver: "asyncpg.Connection[Any]") -> tuple[int, float]:
    """Rows without an answer, and the age of the oldest in seconds."""
    row = await driver.fetchrow(_WAITING)
    assert row is not None, "it counts"
    return row[0], float(row[1] or 0)


async def list_work(
    driver: "asyncpg.Connection[Any]", outlet: str, late_before_ms: int, *, after: tuple[int, int], limit: int
) -> list[Work]:
    """What the bank refused, what came back wrong, and what is late, of an outlet, in order of batch and row."""
    rows = await driver.fetch(_WORK, outlet, instant(late_before_ms), *after, limit)
    return [Work(b, n, a, h, c, cause, milliseconds(since), fault) for b, n, a, h, c, cause, since, fault in rows]


async def list_not_carried(driver: "asyncpg.Connection[Any]", outlet: str, *, after: int, limit: int) -> list[Work]:
    """Applications that wait for the bank, with a name that its file cannot carry."""
    bit = 1 << Carrier.BANK_FILE
    rows = await driver.fetch(_NOT_CARRIED, outlet, bit, after, limit)
    return [Work(0, 0, application, holder, None, 0, milliseconds(since), 0) for application, holder, since in rows]


async def clear_faults(driver: "asyncpg.Connection[Any]", batch: int, row: int, actor: Actor, now_ms: int) -> int:
    """Somebody has looked at a row with the bank; answers how many faults that were open."""
    status: str = await driver.execute(_CLEAR, batch, row, actor.number, instant(now_ms), actor.outlet)
    return int(status.rpartition(" ")[2])


def _batch(row: Any) -> StoredBatch:
    number, bank, day, rows, created = row
    return StoredBatch(number, bank, day, rows, milliseconds(created))
