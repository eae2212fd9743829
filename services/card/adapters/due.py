"""What is due by now."""

from datetime import date
from typing import Any, Final

import asyncpg

from services.common.clock import instant

_LOSSES: Final = "select id from card.card where social = 4 and loss_until <= $1 order by loss_until limit $2"
_CARDS: Final = """
select id from card.card where kind = 2 and social <> 9 and valid_until < $1 order by valid_until limit $2"""
_REFUSED: Final = "select id from card.application where state = 9 and update_time <= $1 order by update_time limit $2"
_OVERDUE: Final = "select count(*) from card.application where state between 1 and 4 and due_time < $1"


async def ending_losses(driver: "asyncpg.Connection[Any]", now_ms: int, limit: int) -> list[int]:
    """Cards whose temporary loss is over."""
    return [row[0] for row in await driver.fetch(_LOSSES, instant(now_ms), limit)]


async def ending_cards(driver: "asyncpg.Connection[Any]", today: date, limit: int) -> list[int]:
    """Temporary cards whose last day was before today."""
    return [row[0] for row in await driver.fetch(_CARDS, today, limit)]


async def refused_before(driver: "asyncpg.Connection[Any]", before_ms: int, limit: int) -> list[int]:
    """Applications that have been refused since then, and were not handed in again."""
    return [row[0] for row in await driver.fetch(_REFUSED, instant(before_ms), limit)]


async def count_overdue(driver: "asyncpg.Connection[Any]", now_ms: int) -> int:
    """Applications that should have led to a card at its outlet by now."""
    count: int = await driver.fetchval(_OVERDUE, instant(now_ms))
    return count
