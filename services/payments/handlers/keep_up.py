"""What must be done to a ledger once a day as its owner: months ahead, old verdicts folded, old months out of the journal."""

from collections.abc import Callable
from typing import Final, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.payments.handlers.detach_partitions import OldPartition, detach_partition, old_partitions
from services.payments.handlers.fold_marks import Folded, fold_marks

MONTHS_AHEAD: Final = 3
MAKE_PARTITIONS: Final = text("select payments.make_transfer_partitions(:months)")


class Detached(NamedTuple):
    """A month that left the journal."""

    month: OldPartition
    transfers: int


class KeptUp(NamedTuple):
    """What a run did."""

    months_made: int
    folded: Folded
    detached: list[Detached]
    waiting: list[OldPartition]
    """Old enough, and kept for a batch that is not sealed."""


async def keep_up(owner: AsyncEngine, horizon_days: int, progress: Callable[[int, int], None]) -> KeptUp:
    """May be cut off and run again. `progress(terminals, of terminals)` while it folds."""
    async with owner.begin() as connection:
        made = int(await connection.scalar(MAKE_PARTITIONS, {"months": MONTHS_AHEAD}) or 0)
    folded = await fold_marks(owner, horizon_days, progress)
    old = await old_partitions(owner, horizon_days)
    waiting = [month for month in old if month.unsealed_batch is not None]
    detached = [
        Detached(month, await detach_partition(owner, month.name, horizon_days)) for month in old if month not in waiting
    ]
    return KeptUp(made, folded, detached, waiting)
