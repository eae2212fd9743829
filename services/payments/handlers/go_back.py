"""A ledger that went back to a moment: the seals behind it are given up, and no number that left it is drawn again."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.database import driver_transaction
from services.common.gone_back import PASSED_OVER, GoneBack, note_gone_back, pass_over
from services.payments.adapters.checkpoints import Checkpoint
from services.payments.adapters.ledger import BatchKey
from services.payments.adapters.seals import CHAIN, gone_back_mac

_NEWEST: Final = "select coalesce(max(number), 0) from payments.seal"
_NUMBERS: Final = ("batch_number", "back_office_account_id", "purse_id")


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
        await note_gone_back(driver, CHAIN, time._replace(mac=gone_back_mac(key.key, time)))
        for name in _NUMBERS:
            await pass_over(driver, f"{CHAIN}.{name}", PASSED_OVER, behind=batch if name == "batch_number" else 0)
    return GivenUp(newest, max(newest, seal))
