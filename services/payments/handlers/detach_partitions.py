"""Take old months out of the journal; their tables stay, for the archive."""

import asyncio
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.clock import instant, now_ms
from services.common.database import sqlstate_of
from services.payments.handlers.fold_marks import DAYS_BEYOND_THE_HORIZON

_OLD: Final = text("""
select p.name, p.from_time, p.to_time,
       (select min(b.number) from payments.batch b
        where b.now >= p.from_time and b.now < p.to_time and not payments.is_sealed(b.number))
from payments.transfer_partition p where p.to_time <= cast(:before as timestamptz) order by p.from_time""")
_DETACH: Final = text("select payments.detach_transfer_partition(:name, :horizon_days)")
_LOCK_NOT_AVAILABLE: Final = "55P03"
_TRIES: Final = 30


class OldPartition(NamedTuple):
    """A month whose transfers are all older than the acceptance horizon and 30 days."""

    name: str
    from_time: datetime
    to_time: datetime
    unsealed_batch: int | None
    """It cannot be detached while it holds one."""

    @property
    def period(self) -> str:
        """For people."""
        return f"{self.name}, from {self.from_time:%Y-%m-%d} to {self.to_time:%Y-%m-%d}"


async def old_partitions(engine: AsyncEngine, horizon_days: int) -> list[OldPartition]:
    """Oldest first."""
    before = instant(now_ms()) - timedelta(days=horizon_days + DAYS_BEYOND_THE_HORIZON)
    async with engine.begin() as connection:
        await connection.execute(text("set local transaction_timeout = 0"))
        return [OldPartition(*row) for row in await connection.execute(_OLD, {"before": before})]


async def detach_partition(engine: AsyncEngine, name: str, horizon_days: int) -> int:
    """Returns how many transfers went with it. The lock of a moment on the journal is tried for, so that nobody waits long."""
    for _ in range(_TRIES - 1):
        try:
            return await _detach(engine, name, horizon_days)
        except DBAPIError as error:
            if sqlstate_of(error) != _LOCK_NOT_AVAILABLE:
                raise
            await asyncio.sleep(1)
    return await _detach(engine, name, horizon_days)


async def _detach(engine: AsyncEngine, name: str, horizon_days: int) -> int:
    async with engine.begin() as connection:
        await connection.execute(text("set local transaction_timeout = 0"))
        return int((await connection.execute(_DETACH, {"name": name, "horizon_days": horizon_days})).scalar_one())
