"""What is due by now."""

from datetime import date
from typing import Any, Final

import asyncpg

from services.card.domain.application import ApplicationKind, Mode
from services.card.domain.notification import NotificationKind
from services.common.clock import instant

_LOSSES: Final = "select id from card.card where social = 4 and loss_until <= $1 order by loss_until limit $2"
_CARDS: Final = """
select id from card.card where kind = 2 and social <> 9 and production >= 60 and valid_until < $1
order by valid_until limit $2"""
_REFUSED: Final = "select id from card.application where state = 9 and update_time <= $1 order by update_time limit $2"
_OVERDUE: Final = """
select kind, mode, count(*) from card.application where state between 1 and 4 and due_time < $1 group by kind, mode"""
# Whoever has applied for another one needs no word. A card that somebody is busy with is noted in a later round.
_RENEW: Final = """
with due as (
    select id from card.card c where kind = 1 and social in (1, 3, 4) and renewal_time is null and valid_until <= $1
        and not exists (select from card.application a where a.holder = c.holder and a.state between 1 and 6)
    order by valid_until limit $4 for no key update skip locked),
noted as (update card.card c set renewal_time = $3 from due where c.id = due.id returning c.id, c.holder)
insert into card.notification (holder, kind, subject, due_time, create_time) select holder, $2, id, $3, $3 from noted"""


async def ending_losses(driver: "asyncpg.Connection[Any]", now_ms: int, limit: int) -> list[int]:
    """Cards whose temporary loss is over."""
    return [row[0] for row in await driver.fetch(_LOSSES, instant(now_ms), limit)]


async def ending_cards(driver: "asyncpg.Connection[Any]", today: date, limit: int) -> list[int]:
    """Temporary cards whose last day was before today. One that is still being made ends once it is made."""
    return [row[0] for row in await driver.fetch(_CARDS, today, limit)]


async def refused_before(driver: "asyncpg.Connection[Any]", before_ms: int, limit: int) -> list[int]:
    """Applications that have been refused since then, and were not handed in again."""
    return [row[0] for row in await driver.fetch(_REFUSED, instant(before_ms), limit)]


async def note_renewals(driver: "asyncpg.Connection[Any]", last_day: date, now_ms: int, limit: int) -> int:
    """Put cards that end by that day on the work list, and note a message for each; answers how many there were."""
    status: str = await driver.execute(_RENEW, last_day, NotificationKind.EXPIRING, instant(now_ms), limit)
    return int(status.rpartition(" ")[2])


async def count_overdue(driver: "asyncpg.Connection[Any]", now_ms: int) -> dict[tuple[ApplicationKind, Mode], int]:
    """Applications that should have led to a card at its outlet by now."""
    rows = await driver.fetch(_OVERDUE, instant(now_ms))
    return {(ApplicationKind(kind), Mode(mode)): count for kind, mode, count in rows}
