"""The entries of a holder: every transfer on the main purse and on bound purses, with the balance after each."""

from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.clock import LATEST_MS, instant, milliseconds
from services.payments.domain.transfer import Code

# A transfer between two of the holder's own purses is two entries. Other people's rows are found by the partial index. The
# balance before the first entry is what went with detached partitions.
_ENTRIES: Final = text("""
with own as (
    select a.id, coalesce(a.purpose, '') as purpose, coalesce(c.credits_fen - c.debits_fen, 0) as before_fen
    from payments.account a left join payments.carried c on c.account_id = a.id where a.id = :holder or a.owner = :holder
), moved as (
    select * from payments.transfer where account_id = :holder
    union all
    select * from payments.transfer
    where credit_account = any(array(select id from own)) and credit_account >= 4294967296 and credit_account <> account_id
          and account_id <> :holder
), sides as (
    select m.*, o.id as own_account, o.purpose, o.before_fen, m.amount_fen as change_fen, 1 as side
    from moved m join own o on o.id = m.credit_account
    union all
    select m.*, o.id, o.purpose, o.before_fen, -m.amount_fen, 0 from moved m join own o on o.id = m.debit_account
    union all
    select m.*, o.id, '', o.before_fen, 0, 2 from moved m join own o on o.id = :holder
    where not exists (select from own o where o.id in (m.debit_account, m.credit_account))
), balanced as (
    select s.*, s.before_fen
           + sum(change_fen) over (partition by own_account order by batch, row, leg, side)::bigint as balance_fen
    from sides s
)
select b.id, b.batch, b.row, b.leg, b.side, b.code, b.amount_fen, b.change_fen, b.balance_fen, b.purpose, b.event_time, p.now,
       m.merchant_id, l.terminal_id, b.sequence, coalesce(o.request_id, '') as request_id
from balanced b
join payments.batch p on p.number = b.batch
join payments.terminal l on l.id = b.terminal
join payments.merchant m on m.id = l.merchant
left join payments.operation o on b.sequence = 0 and o.batch = b.batch and o.row = b.row
where (b.batch, b.row, b.leg, b.side) < (:batch, :row, :leg, :side) and p.now >= :from and p.now < :to
order by b.batch desc, b.row desc, b.leg desc, b.side desc limit :limit""")


class Place(NamedTuple):
    """Where an entry stands in the journal."""

    batch: int
    row: int
    leg: int
    side: int

    @property
    def possible(self) -> bool:
        """Whether the journal can have it."""
        return 0 <= self.batch <= END.batch and all(0 <= number < 2**31 for number in self[1:])


END: Final = Place(2**62, 0, 0, 0)
"""Behind everything."""


class Entry(NamedTuple):
    """One side of a transfer; `change_fen` is 0 where a fund of the city paid."""

    place: Place
    transfer: UUID
    code: Code
    amount_fen: int
    change_fen: int
    balance_fen: int
    """Of the purse, after it."""
    purpose: str
    """Of the purse; empty: the main one."""
    event_time_ms: int
    post_time_ms: int
    merchant_id: str
    terminal_id: str
    sequence: int
    request_id: str


async def read_entries(
    engine: AsyncEngine, holder: int, *, limit: int, before: Place = END, from_ms: int = 0, to_ms: int = 0
) -> list[Entry]:
    """Newest first, in the order of the journal, that is of their effects; posted from one instant until before another."""
    asked = {**before._asdict(), "holder": holder, "from": instant(from_ms), "to": instant(to_ms or LATEST_MS), "limit": limit}
    async with engine.connect() as connection:
        rows = (await connection.execute(_ENTRIES, asked)).all()
    return [
        Entry(
            Place(row.batch, row.row, row.leg, row.side), row.id, Code(row.code), row.amount_fen, row.change_fen,
            row.balance_fen, row.purpose, milliseconds(row.event_time), milliseconds(row.now), row.merchant_id, row.terminal_id,
            row.sequence, row.request_id,
        )
        for row in rows
    ]  # fmt: skip
