"""What the auditor keeps and asks in PostgreSQL. All of a round is called inside of one snapshot."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg

from services.common.clock import milliseconds
from services.payments.adapters.seals import SEAL_COLUMNS, seal_of
from services.payments.domain.seal import Seal, is_hole
from services.payments.domain.transfer import LEGS, ROWS, transfer_id

_SEALS: Final = f"select {SEAL_COLUMNS} from payments.seal where number > $1 and number <= $2 order by number limit $3"  # noqa: S608  # constants
_LAST_BATCH: Final = "select last_batch from payments.seal where number = $1"
_BATCHES: Final = """
select number, now, transfers from payments.batch where (number between $1 and $2) or number = any($3::bigint[])
order by number"""
# Committed and not in the sums: behind the last sealed number that is in them, or one of the youngest holes before it.
_BEYOND: Final = """
with young as (
    select holes, late from payments.seal
    where number <= $1 and create_time > (select create_time from payments.seal where number = $1) - interval '10 minutes'
)
select b.number, b.now, b.transfers
from young cross join lateral unnest(young.holes) as hole
join payments.batch b on b.number >= lower(hole) and b.number < upper(hole)
where b.number not in (select unnest(late) from young)
union all
(select b.number, b.now, b.transfers from payments.batch b where b.number > $2 order by b.number limit $3)"""

# The id of a transfer begins with the clock of its batch and the batch's number: each part is one run of the primary key.
_ADD: Final = """
insert into payments.{table} as a (account_id, debits_fen, credits_fen)
select side.account_id, sum(side.debits_fen)::bigint, sum(side.credits_fen)::bigint
from unnest($1::uuid[], $2::uuid[]) as part(low, high)
join payments.transfer t on t.id between part.low and part.high
cross join lateral (values (t.debit_account, t.amount_fen, 0), (t.credit_account, 0, t.amount_fen))
    as side(account_id, debits_fen, credits_fen)
group by side.account_id
on conflict (account_id) do update
set debits_fen = a.debits_fen + excluded.debits_fen, credits_fen = a.credits_fen + excluded.credits_fen
returning account_id"""

_REPLACE: Final = """
with again as (
    select account_id, sum(debits_fen)::bigint as debits_fen, sum(credits_fen)::bigint as credits_fen
    from (select account_id, debits_fen, credits_fen from payments.audited_again
          union all select account_id, debits_fen, credits_fen from payments.carried) sums
    group by account_id
)
insert into payments.audited as a (account_id, debits_fen, credits_fen)
select account_id, coalesce(n.debits_fen, 0), coalesce(n.credits_fen, 0)
from payments.audited o full join again n using (account_id)
where (coalesce(o.debits_fen, 0), coalesce(o.credits_fen, 0)) <> (coalesce(n.debits_fen, 0), coalesce(n.credits_fen, 0))
on conflict (account_id) do update set debits_fen = excluded.debits_fen, credits_fen = excluded.credits_fen
returning account_id"""

_ACCOUNTS: Final = """
(select id from payments.account where id > $1 order by id limit $2)
union (select account_id from payments.audited where account_id > $1 order by account_id limit $2)
order by id limit $2"""

# Planned each time, with the sizes of the arrays before its eyes: otherwise it takes them for short and goes through them over
# and over.
_COMPARE: Final = """
with asked as (select id from unnest($1::bigint[]) as id),
beyond as (
    select side.account_id, sum(side.debits_fen)::bigint as debits_fen, sum(side.credits_fen)::bigint as credits_fen
    from unnest($2::uuid[], $3::uuid[]) as part(low, high)
    join payments.transfer t on t.id between part.low and part.high
    cross join lateral (values (t.debit_account, t.amount_fen, 0), (t.credit_account, 0, t.amount_fen))
        as side(account_id, debits_fen, credits_fen)
    where side.account_id in (select id from asked)
    group by side.account_id
),
accrued as (
    select account_id, sum(debits_fen)::bigint as debits_fen, sum(credits_fen)::bigint as credits_fen,
           sum(credits_pending_fen)::bigint as pending_fen
    from payments.accrual group by account_id
),
live as (
    select p.payee, part.account_id, part.held_fen - part.captured_fen as fen
    from payments.payment p
    cross join lateral unnest(p.part_accounts, p.held_fen, p.captured_fen) as part(account_id, held_fen, captured_fen)
    where p.status = 1
),
held as (
    select account_id, sum(debits_fen)::bigint as debits_fen, sum(credits_fen)::bigint as credits_fen
    from (select account_id, fen as debits_fen, 0 as credits_fen from live union all select payee, 0, fen from live) sides
    group by account_id
),
books as (
    select asked.id,
           coalesce(a.debits_posted_fen, 0) + coalesce(c.debits_fen, 0) as debits_fen,
           coalesce(s.debits_fen, 0) + coalesce(b.debits_fen, 0) as moved_debits_fen,
           coalesce(a.credits_posted_fen, 0) + coalesce(c.credits_fen, 0) as credits_fen,
           coalesce(s.credits_fen, 0) + coalesce(b.credits_fen, 0) as moved_credits_fen,
           coalesce(a.debits_pending_fen, 0) as pending_debits_fen, coalesce(h.debits_fen, 0) as held_debits_fen,
           coalesce(a.credits_pending_fen, 0) + coalesce(c.pending_fen, 0) as pending_credits_fen,
           coalesce(h.credits_fen, 0) as held_credits_fen
    from asked
    left join payments.account a on a.id = asked.id
    left join payments.audited s on s.account_id = asked.id
    left join beyond b on b.account_id = asked.id
    left join accrued c on c.account_id = asked.id
    left join held h on h.account_id = asked.id
)
select * from books
where (debits_fen, credits_fen, pending_debits_fen, pending_credits_fen)
      <> (moved_debits_fen, moved_credits_fen, held_debits_fen, held_credits_fen)"""


class Mark(NamedTuple):
    """How far sums have come."""

    seal: int
    """The last one that is in them as a whole."""
    batches: int
    """How many batches of the next one are: late ones first, all in order of number."""


class Part(NamedTuple):
    """The transfers of one batch."""

    batch: int
    low: UUID
    high: UUID
    transfers: int
    """How many there should be."""


class Difference(NamedTuple):
    """An account as its row and accruals have it, and as transfers and live holds make it."""

    debits_fen: int
    moved_debits_fen: int
    credits_fen: int
    moved_credits_fen: int
    pending_debits_fen: int
    held_debits_fen: int
    pending_credits_fen: int
    held_credits_fen: int


async def mark(driver: "asyncpg.Connection[Any]") -> Mark:
    """How far the sums have come."""
    row = await driver.fetchrow("select seal, batches from payments.audit")
    assert row is not None, "the migration made it"
    return Mark(*row)


async def seals_between(driver: "asyncpg.Connection[Any]", after: int, upto: int, most: int) -> list[Seal]:
    """The next seals, in order."""
    return [seal_of(row) for row in await driver.fetch(_SEALS, after, upto, most)]


async def last_batch(driver: "asyncpg.Connection[Any]", seal: int) -> int:
    """The last batch of a seal; 0 before the first."""
    return int(await driver.fetchval(_LAST_BATCH, seal) or 0)


async def parts_of(driver: "asyncpg.Connection[Any]", seals: Sequence[Seal]) -> list[list[Part]]:
    """The batches of each seal."""
    if not seals:
        return []
    late = [number for seal in seals for number in seal.late]
    rows = await driver.fetch(_BATCHES, seals[0].first, seals[-1].last, late)
    found = {number: _part(number, now, transfers) for number, now, transfers in rows}
    numbers = list(found)
    return [[found[number] for number in _members(seal, numbers) if number in found] for seal in seals]


def _members(seal: Seal, numbers: Sequence[int]) -> Iterable[int]:
    yield from seal.late
    for number in numbers[bisect_left(numbers, seal.first) : bisect_right(numbers, seal.last)]:
        if not is_hole(seal.holes, number):
            yield number


async def beyond(driver: "asyncpg.Connection[Any]", seal: int, last: int, most: int) -> list[Part] | None:
    """Committed batches that are not in the sums of that seal, unless there are more than that."""
    rows = await driver.fetch(_BEYOND, seal, last, most + 1)
    return [_part(*row) for row in rows] if len(rows) <= most else None


async def add(driver: "asyncpg.Connection[Any]", to: Mark, parts: Sequence[Part]) -> Collection[int]:
    """Add transfers to the sums, which stand there then; answers whose sums have changed."""
    rows = await driver.fetch(_ADD.format(table="audited"), *_bounds(parts)) if parts else []
    await driver.execute("update payments.audit set seal = $1, batches = $2 where (seal, batches) <> ($1, $2)", *to)
    return [row[0] for row in rows]


async def mark_again(driver: "asyncpg.Connection[Any]") -> Mark:
    """How far the sums have come that are made once more; they begin anew when transfers were detached."""
    detached = await driver.fetchval("select count(*) from payments.detached")
    row = await driver.fetchrow("select seal, batches from payments.audit_again where detached = $1", detached)
    if row is not None:
        return Mark(*row)
    await driver.execute("truncate payments.audit_again, payments.audited_again")
    await driver.execute("insert into payments.audit_again (detached) values ($1)", detached)
    return Mark(0, 0)


async def add_again(driver: "asyncpg.Connection[Any]", to: Mark, parts: Sequence[Part]) -> None:
    """Add transfers to the sums that are made once more."""
    if parts:
        await driver.execute(_ADD.format(table="audited_again"), *_bounds(parts))
    await driver.execute("update payments.audit_again set seal = $1, batches = $2", *to)


async def replace_sums(driver: "asyncpg.Connection[Any]") -> Collection[int]:
    """Both sums stand at the same seal: take the newer ones. Answers where they differ: the journal was changed there."""
    rows = await driver.fetch(_REPLACE)
    await driver.execute("truncate payments.audit_again, payments.audited_again")
    return [row[0] for row in rows]


async def accounts_after(driver: "asyncpg.Connection[Any]", account_id: int, most: int) -> list[int]:
    """The next accounts, in order, those included that have lost their row."""
    return [row[0] for row in await driver.fetch(_ACCOUNTS, account_id, most)]


async def differences(
    driver: "asyncpg.Connection[Any]", accounts: Sequence[int], not_in_the_sums: Sequence[Part]
) -> Mapping[int, Difference]:
    """Those of the accounts that differ from the sums, the transfers that are not in them yet, and the live holds."""
    rows = await driver.fetch(_COMPARE, list(accounts), *_bounds(not_in_the_sums))
    return {row[0]: Difference(*row[1:]) for row in map(tuple, rows)}


def _part(number: int, now: datetime, transfers: int) -> Part:
    now_ms = milliseconds(now)
    low, high = transfer_id(now_ms, number, 0, 0), transfer_id(now_ms, number, ROWS - 1, LEGS - 1)
    return Part(number, UUID(bytes=low), UUID(bytes=high), transfers)


def _bounds(parts: Sequence[Part]) -> tuple[list[UUID], list[UUID]]:
    return [part.low for part in parts], [part.high for part in parts]
