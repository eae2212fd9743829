"""Publish what became of cards, in order; and measure what the card service was not told yet."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from services.common.announce import Announcer
from services.common.database import driver_of
from services.common.points import AtPoint, pass_by
from services.common.topics import ISSUANCE_EVENTS
from services.issuance import metrics
from services.issuance.adapters.outbox import count_owed, mark_sent, read_unsent
from services.issuance.domain.record import Debt

_MOST: Final = 500


class RelayEvents:
    """A duty. Of two who believe they are elected both send an event, which its number tells."""

    def __init__(self, announcer: Announcer, at: AtPoint = pass_by) -> None:
        self._announcer = announcer
        self._at = at
        self._started = False

    async def __call__(self, connection: AsyncConnection) -> bool:
        """One round; False while there is more to send."""
        driver = await driver_of(connection)
        events = await read_unsent(driver, _MOST)
        if events:
            if not self._started:  # no other duty waits for a broker
                await self._announcer.start()
                self._started = True
            records = [(event.card_identifier.encode(), event.SerializeToString()) for event in events]
            await self._announcer.send(ISSUANCE_EVENTS, records)
            await self._at("relay sent")
            await mark_sent(driver, [event.event_id for event in events])
            metrics.EVENTS_SENT.inc(len(events))
        return len(events) < _MOST


async def measure_owed(connection: AsyncConnection) -> None:
    """What the card service was not told yet."""
    owed = await count_owed(await driver_of(connection))
    for debt in Debt:
        metrics.OWED.labels(debt.name).set(owed.get(debt, 0))
