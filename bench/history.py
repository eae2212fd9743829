"""A ledger with a past: millions of transfers, written by the server itself, and books that balance with them."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg

from bench.database import LedgerCopy
from bench.errors import BenchError

_BATCH: Final = 2_000
_FARE_FEN: Final = 100
_MONTHS: Final = 6
"""The past begins so many months before this one. Half of it is in this month: its partition is the one that is written to."""
_AT_ONCE: Final = 250_000
_LEFT_FEN: Final = 10_000
"""Everybody keeps that much for the taps that are measured afterwards."""

_PARTITIONS: Final = f"""
do $$ declare start timestamp := date_trunc('month', now() at time zone 'UTC');
begin
    for i in 1..{_MONTHS} loop
        execute format('create table payments.%I partition of payments.transfer for values from (%L) to (%L)',
            'transfer_' || to_char(start - make_interval(months => i), 'YYYY_MM'),
            payments.first_transfer_id((start - make_interval(months => i)) at time zone 'UTC'),
            payments.first_transfer_id((start - make_interval(months => i - 1)) at time zone 'UTC'));
    end loop;
end $$"""
_PAYERS: Final = """
select id from payments.account where kind = 1 and credits_posted_fen - debits_posted_fen >= $1::bigint order by id"""
_TERMINALS: Final = """
select t.id, m.payable_account from payments.terminal t join payments.merchant m on m.id = t.merchant
where m.scene <> 9 order by t.id"""  # no desk
_BATCHES: Final = f"""
insert into payments.batch (number, now, verdicts, operations, transfers, digest, key_version)
select $1::bigint + n - 1, now, {_BATCH}, 0, {_BATCH}, sha256(int8send(n)), 0
from unnest($2::timestamptz[]) with ordinality as t(now, n)"""
# Event g is row g % 2,000 of a batch. Terminals take turns, and so do the payers, far apart from one event to the next.
_EVENTS: Final = f"""
from (select $3::bigint + g / {_BATCH} as batch, (g % {_BATCH})::int as row, ($7::timestamptz[])[1 + g / {_BATCH}] as now,
             ($4::int[])[1 + g % $8::int] as terminal, ($5::bigint[])[1 + g % $8::int] as payable, 1 + g / $8::int as sequence,
             ($6::bigint[])[1 + g * 7919 % $9::int] as payer, g
      from generate_series($1::bigint, $2::bigint) g) e"""
_VERDICTS: Final = f"""
insert into payments.verdict (terminal, sequence, batch, row, outcome, reason, fare_fen, charged_fen, account_id, event_time,
                              body_digest)
select terminal, sequence, batch, row, 1, 0, {_FARE_FEN}, {_FARE_FEN}, payer, now, sha256(int8send(g))
{_EVENTS}"""
_TRANSFERS: Final = f"""
insert into payments.transfer (id, batch, row, leg, code, debit_account, credit_account, amount_fen, currency, account_id,
                               terminal, sequence, event_time, service_date, posting_date)
select (lpad(to_hex((extract(epoch from now) * 1000)::bigint), 12, '0') || '7000'
        || to_hex((1::bigint << 63) | (batch << 22) | (row << 8)))::uuid,
       batch, row, 0, 1, payer, payable, {_FARE_FEN}, 156, payer, terminal, sequence, now,
       (now at time zone 'Asia/Shanghai')::date, (now at time zone 'Asia/Shanghai')::date
{_EVENTS}"""
_BALANCES: Final = """
with moved as (
    select id, sum(debits)::bigint as debits, sum(credits)::bigint as credits
    from (select debit_account as id, amount_fen as debits, 0 as credits from payments.transfer where batch >= $1
          union all select credit_account, 0, amount_fen from payments.transfer where batch >= $1) sides
    group by id
)
update payments.account a
set debits_posted_fen = debits_posted_fen + m.debits, credits_posted_fen = credits_posted_fen + m.credits, version = version + 1
from moved m where m.id = a.id"""


async def write_history(ledger: LedgerCopy, transfers: int) -> LedgerCopy:
    """Write so many transfers, one a verdict, two thousand a batch; returns the ledger as one that begins behind them.

    It is written as the owner, around the ledger's own code, which would take minutes for what takes the server one.
    """
    if transfers % _BATCH:
        raise BenchError(f"a past has whole batches of {_BATCH}")
    owner = ledger.connection
    await owner.execute(_PARTITIONS)
    cast = await _cast(ledger, transfers)
    await owner.execute(_BATCHES, cast[0], cast[4])
    work = ((rows, at) for at in range(0, transfers, _AT_ONCE) for rows in (_TRANSFERS, _VERDICTS))
    other = await asyncpg.connect(ledger.owner_url)
    try:
        await asyncio.gather(*(_write(connection, work, cast, transfers) for connection in (owner, other)))
    finally:
        await other.close()
    await owner.execute(_BALANCES, cast[0])
    last = ledger.last_seeded_batch + transfers // _BATCH
    await owner.execute("select setval('payments.batch_number', $1)", last)
    await owner.execute("vacuum (analyze) payments.transfer, payments.verdict, payments.batch, payments.account")
    await owner.execute("checkpoint")
    return replace(ledger, last_seeded_batch=last)


Cast = tuple[int, list[int], list[int], list[int], list[datetime]]
"""First batch, terminals, whom they pay, payers, the clocks of the batches."""


async def _cast(ledger: LedgerCopy, transfers: int) -> Cast:
    terminals = await ledger.connection.fetch(_TERMINALS)
    least_fen = _LEFT_FEN
    while True:
        payers = [row[0] for row in await ledger.connection.fetch(_PAYERS, least_fen)]
        if not payers:
            raise BenchError(f"nobody in this city can bear their share of {transfers} transfers")
        if least_fen >= (needed := _LEFT_FEN + _FARE_FEN * -(-transfers // len(payers))):
            break
        least_fen = needed
    clocks = _clocks(datetime.now(UTC), transfers // _BATCH)
    return ledger.last_seeded_batch + 1, [row[0] for row in terminals], [row[1] for row in terminals], payers, clocks


async def _write(
    connection: "asyncpg.Connection[Any]", work: Iterator[tuple[str, int]], cast: Cast, transfers: int
) -> None:  # fmt: skip
    first, terminals, payables, payers, clocks = cast
    for rows, at in work:
        to = min(at + _AT_ONCE, transfers) - 1
        await connection.execute(rows, at, to, first, terminals, payables, payers, clocks, len(terminals), len(payers))


def _clocks(now: datetime, batches: int) -> list[datetime]:
    """Evenly: the first half over the months before this one, the second over this month until now."""
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    start = month
    for _ in range(_MONTHS):
        start = (start - timedelta(days=1)).replace(day=1)
    early = batches // 2
    past = [start + (month - start) * n / early for n in range(early)]
    return past + [month + (now - month) * n / (batches - early) for n in range(batches - early)]
