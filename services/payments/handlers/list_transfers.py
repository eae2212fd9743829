"""The journal in its order, a page at a time, on a snapshot that does not move under the reader."""

import re
from datetime import date
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.clock import LATEST_MS, instant, milliseconds, now_ms
from services.payments.domain import transfer

_HOUR_MS: Final = 3_600_000
_BATCHES_AT_ONCE: Final = 200
_SNAPSHOT_FORM: Final = re.compile(r"([0-9]{1,19}):([0-9]{1,19}):([0-9]{1,19}(?:,[0-9]{1,19})*)?")

_SNAPSHOT: Final = text("select pg_current_snapshot()::text")
# No transaction lives for an hour, so what is older is in every snapshot; younger rows say by whom they were written. A
# transaction number on a row has 32 bits: it is completed from the snapshot's, which is less than an hour away.
_BATCHES: Final = text("""
select number, now from payments.batch b
where number >= :batch and transfers > 0
      and (b.now < :certain
           or pg_visible_in_snapshot(
               ((pg_snapshot_xmax(cast(cast(:snapshot as text) as pg_snapshot))::text::bigint
                 - mod(mod(pg_snapshot_xmax(cast(cast(:snapshot as text) as pg_snapshot))::text::bigint, 4294967296)
                       - b.xmin::text::bigint + 6442450944, 4294967296) + 2147483648)::text)::xid8,
               cast(cast(:snapshot as text) as pg_snapshot)))
order by number limit :limit""")
_TRANSFERS: Final = text("""
select t.id, t.batch, t.row, t.leg, t.code, t.debit_account, t.credit_account, t.amount_fen, t.currency, t.event_time,
       t.service_date, t.posting_date, b.now, m.merchant_id, l.terminal_id, t.sequence, coalesce(o.request_id, '') as request_id
from unnest(cast(:first as uuid[]), cast(:last as uuid[]), cast(:numbers as bigint[])) as range(first, last, number)
join payments.transfer t on t.id between range.first and range.last
join payments.batch b on b.number = range.number
join payments.terminal l on l.id = t.terminal
join payments.merchant m on m.id = l.merchant
left join payments.operation o on t.sequence = 0 and o.batch = t.batch and o.row = t.row
where (t.batch, t.row, t.leg) > (:batch, :row, :leg)
      and (cast(:account as bigint) is null or :account in (t.debit_account, t.credit_account))
order by t.batch, t.row, t.leg limit :limit""")


class Page(NamedTuple):
    """Behind which leg the next page begins; the first one begins before everything, on the snapshot of now."""

    snapshot: str
    began_ms: int
    batch: int
    row: int
    """-1 is before the batch's first row."""
    leg: int

    @property
    def possible(self) -> bool:
        """Whether a database can have said so."""
        numbers = 0 <= self.batch < 2**63 and -1 <= self.row < 2**31 and 0 <= self.leg < 2**31
        return numbers and 0 <= self.began_ms <= LATEST_MS and _is_snapshot(self.snapshot)


def _is_snapshot(text: str) -> bool:
    """`xmin:xmax:running,…`, as PostgreSQL writes it: nothing runs that began before xmin or is not begun at xmax."""
    if not (match := _SNAPSHOT_FORM.fullmatch(text)):
        return False
    least, end = int(match[1]), int(match[2])
    running = [int(number) for number in match[3].split(",")] if match[3] else []
    return 0 < least <= end < 2**63 and running == sorted(set(running)) and all(least <= number < end for number in running)


class Listed(NamedTuple):
    """One transfer of the journal."""

    id: UUID
    batch: int
    row: int
    leg: int
    code: int
    debit_account: int
    credit_account: int
    amount_fen: int
    currency: int
    event_time_ms: int
    service_date: date
    posting_date: date
    post_time_ms: int
    merchant_id: str
    terminal_id: str
    sequence: int
    request_id: str


async def list_transfers(
    engine: AsyncEngine, page: Page | None, limit: int, account_id: int | None
) -> tuple[list[Listed], Page | None]:
    """Transfers from a place on, and where the next page begins; None when there is none.

    A page may be shorter than asked, or empty, and still have a next one: an account is looked for batch by batch.
    """
    async with engine.connect() as connection:
        if page is None:
            snapshot = await connection.scalar(_SNAPSHOT)
            page = Page(str(snapshot), now_ms(), 0, -1, 0)
        asked: dict[str, object] = {"batch": page.batch, "snapshot": page.snapshot, "limit": _BATCHES_AT_ONCE}
        asked["certain"] = instant(page.began_ms - _HOUR_MS)
        batches = (await connection.execute(_BATCHES, asked)).all()
        if not batches:
            return [], None
        bounds = [_bounds(milliseconds(now), number) for number, now in batches]
        rows = await connection.execute(
            _TRANSFERS,
            {
                "first": [first for first, _ in bounds],
                "last": [last for _, last in bounds],
                "numbers": [number for number, _ in batches],
                "batch": page.batch,
                "row": page.row,
                "leg": page.leg,
                "account": account_id,
                "limit": limit,
            },
        )
        found = [
            Listed(
                row.id, row.batch, row.row, row.leg, row.code, row.debit_account, row.credit_account, row.amount_fen,
                row.currency, milliseconds(row.event_time), row.service_date, row.posting_date, milliseconds(row.now),
                row.merchant_id, row.terminal_id, row.sequence, row.request_id,
            )
            for row in rows
        ]  # fmt: skip
    if len(found) == limit:
        return found, page._replace(batch=found[-1].batch, row=found[-1].row, leg=found[-1].leg)
    if len(batches) == _BATCHES_AT_ONCE:
        return found, page._replace(batch=batches[-1].number + 1, row=-1, leg=0)
    return found, None


def _bounds(time_ms: int, batch: int) -> tuple[UUID, UUID]:
    """The first and the last id that transfers of a batch may have."""
    first = transfer.transfer_id(time_ms, batch, 0, 0)
    last = transfer.transfer_id(time_ms, batch, 2**14 - 1, 255)
    return UUID(bytes=first), UUID(bytes=last)
