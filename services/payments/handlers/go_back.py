"""A ledger that went back to a moment: the seals behind it are given up, and no number that left it is drawn again."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.database import driver_transaction
from services.common.gone_back import GoneBack, note_gone_back
from services.payments.adapters.checkpoints import Checkpoint
from services.payments.adapters.ledger import BatchKey
from services.payments.adapters.seals import SCHEMA, gone_back_mac

PASSED_OVER: Final = 1_000_000
"""Numbers of each kind: more than were drawn between the newest checkpoint and the end of what is given up."""
_NEWEST: Final = "select coalesce(max(number), 0) from payments.seal"
_NUMBERS: Final = ("batch_number", "back_office_account_id", "purse_id")
_SKIP: Final = "select setval($1::text::regclass, greatest(nextval($1::text::regclass), $2) + $3)"


class GivenUp(NamedTuple):
    """What of the chain is left, and what is not."""

    after_seal: int
    up_to_seal: int


async def go_back(owner: AsyncEngine, key: BatchKey, published: Iterable[Checkpoint], to_ms: int) -> GivenUp:
    """As the owner, before anybody is served; it may be run again. `published`: every checkpoint that left the database."""
    checkpoints = list(published)
    seal = max((one.seal for one in checkpoints), default=0)
    batch = max((one.last_batch for one in checkpoints), default=0)
    async with driver_transaction(owner) as driver:
        newest: int = await driver.fetchval(_NEWEST)
        time = GoneBack(newest, seal, to_ms, key.version)
        await note_gone_back(driver, SCHEMA, time._replace(mac=gone_back_mac(key.key, time)))
        for name in _NUMBERS:
            await driver.execute(_SKIP, f"{SCHEMA}.{name}", batch if name == "batch_number" else 0, PASSED_OVER)
    return GivenUp(newest, max(newest, seal))
