"""Take away rows of the audit whose time is over, as the owner of the database; their seals and digests stay."""

from collections.abc import Callable
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from services.card.adapters import audit
from services.card.domain.actor import OPERATOR
from services.common.audit.book import Due
from services.common.database import driver_session

SEALS_AT_ONCE: Final = 100
"""200,000 rows at most, in one transaction."""


async def retire_audit(owner: AsyncEngine, over_before_ms: int, progress: Callable[[int, int], object]) -> Due:
    """Answers what was taken away. It may be cut off: what is gone is noted with it, and the next run goes on from there.

    What is to go is written down, and committed, before the first row goes. `progress` hears how many rows, of how many.
    """
    async with driver_session(owner) as driver:
        after, gone = await audit.BOOK.retired_up_to(driver), 0
        due = await audit.BOOK.due(driver, after, over_before_ms)
        if due.seals:
            await audit.record(driver, OPERATOR, "audit.retire", detail={"up_to_seal": due.up_to_seal, "rows": due.rows})
        while after < due.up_to_seal:
            up_to = min(after + SEALS_AT_ONCE, due.up_to_seal)
            gone += await audit.BOOK.retire(driver, after, up_to)
            after = up_to
            progress(gone, due.rows)
    return due
