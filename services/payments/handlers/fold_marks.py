"""Fold old verdicts of terminals into marks: "every sequence up to this one is decided", so nothing posts there for ever.

Two runs, at least an hour apart: the first writes marks, which every worker knows within seconds; the next one deletes the rows
that are behind them. Openings and top-ups of the city's own desks are not numbered in time, so they are never folded.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.common.clock import instant, now_ms

DAYS_BEYOND_THE_HORIZON: Final = 30

_THROUGH: Final = text("""
select coalesce(max(number), 0) from payments.batch
where now < cast(:before as timestamptz)
      and number <= (select max(last_batch) from payments.seal where number <= (select seal from payments.progress))""")
_RIPE: Final = text("""
select terminal from payments.terminal_mark where create_time < now() - interval '1 hour' order by terminal""")
_RECORD: Final = text("""
insert into payments.folded as f (through_batch, before) values (:through, :before)
on conflict (through_batch) do update set before = greatest(f.before, excluded.before)""")
_DELETE: Final = text("""
delete from payments.verdict v using payments.terminal_mark k, payments.batch b
where k.terminal = :terminal and v.terminal = k.terminal and v.sequence <= k.sequence
      and v.batch <= :through and b.number = v.batch and b.now < cast(:before as timestamptz)""")
# What the mark swallows is counted in terminal_progress by then, and is not any more: gaps are looked for above it alone.
# The highest old sequence below the lowest that is not old. A mark never goes into numbers that may still be on their way: what
# a terminal sent before something old is itself too old to be accepted.
_MARK: Final = text("""
with open as (
    select v.terminal, v.sequence,
           b.number <= :through and b.now < cast(:before as timestamptz)
           and (v.outcome = 2 or v.event_time < cast(:before as timestamptz)) as old
    from payments.verdict v
    join payments.batch b on b.number = v.batch
    join payments.terminal t on t.id = v.terminal
    join payments.merchant m on m.id = t.merchant
    left join payments.terminal_mark k on k.terminal = v.terminal
    where m.scene <> 9 and v.sequence > coalesce(k.sequence, 0)
), kept as (
    select terminal, min(sequence) as sequence from open where not old group by terminal
), marks as (
    select o.terminal, max(o.sequence) as sequence
    from open o left join kept using (terminal)
    where o.old and o.sequence < coalesce(kept.sequence, 9223372036854775807)
    group by o.terminal
), marked as (
    insert into payments.terminal_mark as k (terminal, sequence) select terminal, sequence from marks
    on conflict (terminal) do update set sequence = excluded.sequence, create_time = now()
    returning terminal
), followed as (
    update payments.terminal_progress p set received = p.received - behind.numbers
    from (select m.terminal, count(*) as numbers
          from marks m join open o on o.terminal = m.terminal and o.sequence <= m.sequence
          group by m.terminal) behind
    where p.terminal = behind.terminal
)
select count(*) from marked""")


class Folded(NamedTuple):
    """What a run did."""

    marks: int
    verdicts: int
    before: datetime


async def fold_marks(engine: AsyncEngine, horizon_days: int, progress: Callable[[int, int], None]) -> Folded:
    """Delete what is behind marks that every worker knows, then set them anew. `progress(terminals, of terminals)`."""
    before = instant(now_ms()) - timedelta(days=horizon_days + DAYS_BEYOND_THE_HORIZON)
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("set transaction_timeout = 0"))
        try:
            old = {"before": before, "through": await connection.scalar(_THROUGH, {"before": before})}
            verdicts = await _delete(connection, old, progress)
            marks = await connection.scalar(_MARK, old)
        finally:
            await connection.invalidate()
    return Folded(marks, verdicts, before)


async def _delete(connection: AsyncConnection, old: dict[str, object], progress: Callable[[int, int], None]) -> int:
    """A terminal at a time. What may be gone is on record before anything is."""
    terminals = (await connection.scalars(_RIPE)).all()
    if terminals:
        await connection.execute(_RECORD, old)
    verdicts = 0
    for done, terminal in enumerate(terminals, 1):
        verdicts += (await connection.execute(_DELETE, {"terminal": terminal, **old})).rowcount
        progress(done, len(terminals))
    return verdicts
