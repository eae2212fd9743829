"""How far the numbers of terminals have come, counted seal by seal: `payments.terminal_progress`.

What each day brought is counted with them (`payments.day_figure`): each verdict is read once.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.payments.domain.gap import Gap
from services.payments.domain.seal import Span

# Of the city's own desks nothing is numbered without gaps. A tap whose clock is off or that came too late is of no day.
_ADD: Final = """
with taps as materialized (
    select v.terminal, v.sequence, v.outcome, v.reason, v.fare_fen, v.charged_fen, m.scene,
           (v.event_time at time zone 'Asia/Shanghai')::date as day
    from payments.verdict v
    join payments.terminal t on t.id = v.terminal
    join payments.merchant m on m.id = t.merchant
    where m.scene <> 9 and v.batch between $1 and $2
), days as (
    insert into payments.day_figure as d (day, scene, posted, refused, fare_fen, charged_fen)
    select day, scene, count(*) filter (where outcome = 1), count(*) filter (where outcome = 2),
           coalesce(sum(fare_fen) filter (where outcome = 1), 0), coalesce(sum(charged_fen) filter (where outcome = 1), 0)
    from taps where reason not in (8, 9)
    group by day, scene
    on conflict (day, scene) do update
    set posted = d.posted + excluded.posted, refused = d.refused + excluded.refused,
        fare_fen = d.fare_fen + excluded.fare_fen, charged_fen = d.charged_fen + excluded.charged_fen
)
insert into payments.terminal_progress as p (terminal, highest, received)
select v.terminal, max(v.sequence), count(*) filter (where v.sequence > coalesce(k.sequence, 0))
from taps v left join payments.terminal_mark k on k.terminal = v.terminal
group by v.terminal
on conflict (terminal) do update
set highest = greatest(p.highest, excluded.highest), received = p.received + excluded.received"""
_GAPS: Final = """
select p.terminal, p.highest, p.highest - coalesce(k.sequence, 0) - p.received as missing
from payments.terminal_progress p left join payments.terminal_mark k using (terminal)
where p.highest - coalesce(k.sequence, 0) > p.received"""
_TOTAL: Final = f"select count(*), coalesce(sum(missing), 0)::bigint from ({_GAPS}) gaps"  # noqa: S608  # constants
_LIST: Final = text(f"""
select m.merchant_id, t.terminal_id, g.missing, g.highest
from ({_GAPS}) g join payments.terminal t on t.id = g.terminal join payments.merchant m on m.id = t.merchant
order by g.missing desc, m.merchant_id, t.terminal_id limit :most""")  # noqa: S608  # constants


class Missing(NamedTuple):
    """Of all terminals."""

    terminals: int
    sequences: int


async def counted_to(driver: "asyncpg.Connection[Any]") -> int:
    """The seal up to which verdicts are counted; nobody else counts until this transaction ends."""
    return int(await driver.fetchval("select seal from payments.progress for update"))


async def count_verdicts(driver: "asyncpg.Connection[Any]", spans: Iterable[Span], to_seal: int) -> None:
    """Count those of batches that lie in these spans, each of which is counted once."""
    # The index over batches is one of ranges: a list of numbers would have the whole table read.
    for first, last in spans:
        await driver.execute(_ADD, first, last)
    await driver.execute("update payments.progress set seal = $1", to_seal)


async def count_missing(driver: "asyncpg.Connection[Any]") -> Missing:
    """How many there are."""
    row = await driver.fetchrow(_TOTAL)
    assert row is not None, "an aggregate always has a row"
    return Missing(*row)


async def list_gaps(connection: AsyncConnection, most: int) -> list[Gap]:
    """Terminals with gaps, the most of them first."""
    return [Gap(*row) for row in await connection.execute(_LIST, {"most": most})]
