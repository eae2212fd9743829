"""Seal the committed batches: chain their digests, so that none can be changed, removed or added afterwards unseen."""

import time
from dataclasses import replace
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from services.common.clock import now_ms
from services.common.database import driver_of
from services.common.gone_back import next_seal
from services.payments import metrics
from services.payments.adapters.ledger import BatchKey
from services.payments.adapters.seals import CHAIN, committed_after, filled_holes, newest_seal, seal_head, store_seal
from services.payments.domain.seal import Seal, holes_between

MOST_BATCHES: Final = 200
"""Of one seal; what is behind is sealed by several, one after the other."""
_YOUNG_MS: Final = 60_000
_OLD_MS: Final = 24 * 3_600_000
"""Measured back from the newest seal: a hole that is older stays one, whatever appears in it."""
_OLD_EVERY_SECONDS: Final = 3600


class SealBatches:
    """Run by the elected process alone. If two believe they are, the primary key of the seals lets one of them go on."""

    def __init__(self, key: BatchKey) -> None:
        self._key = key
        self._looked_far_back_at = float("-inf")

    async def __call__(self, connection: AsyncConnection) -> Seal:
        """One round: seal all that is committed. Returns the newest seal; an idle ledger makes none."""
        far_back = time.monotonic() - self._looked_far_back_at > _OLD_EVERY_SECONDS
        newest = await newest_seal(connection)
        while True:
            seal = await self._seal(connection, newest, far_back)
            newest = seal or newest
            metrics.SEALED_BATCH.set(newest.last)
            metrics.SEALED_AT.set(newest.create_time_ms / 1000)
            if seal is None or seal.batches < MOST_BATCHES:
                break
        if far_back:
            self._looked_far_back_at = time.monotonic()
        return newest

    async def _seal(self, connection: AsyncConnection, newest: Seal, far_back: bool) -> Seal | None:
        """The next seal, if there is anything for it."""
        on_time = await committed_after(connection, newest.last, MOST_BATCHES)
        since_ms = min(newest.create_time_ms, now_ms()) - (_OLD_MS if far_back else _YOUNG_MS)
        late = await filled_holes(connection, max(0, since_ms), MOST_BATCHES)
        if not on_time and not late:
            return None
        numbers = [number for number, _ in on_time]
        first, last = newest.last + 1, max(numbers, default=newest.last)
        seal = Seal(
            await next_seal(await driver_of(connection), CHAIN, newest.number),
            first,
            last,
            tuple(holes_between(first, last, numbers)),
            tuple(number for number, _ in late),
            len(late) + len(on_time),
            b"",
            self._key.version,
            # Never before the seal before: which holes are young is told by these times, whoever's clock made them.
            max(now_ms(), newest.create_time_ms),
        )
        digests = [digest for _, digest in (*late, *on_time)]
        seal = replace(seal, head=seal_head(self._key.key, newest.head, seal, digests))
        await store_seal(connection, seal)
        return seal
