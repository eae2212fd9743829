"""Publish what changed about cards, in the order in which it was noted, and say each second how far that has come."""

import time
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from services.card import metrics
from services.card.adapters.events import HEARTBEAT_KEY, event_of, heartbeat, mark_sent, read_states, read_unsent
from services.card.adapters.sealing import Sealing
from services.common.announce import Announcer
from services.common.database import driver_of
from services.common.topics import CARD_EVENTS

_MOST: Final = 2000
_BEAT_SECONDS: Final = 1.0


class RelayEvents:
    """Run by the elected process alone. Two who believe they are elected send states twice, which changes nothing.

    A record is the card's state when it is sent, with its version: whatever was noted of a card by then is in it. So a row
    that is committed late, or sent again after a crash, is never older than what was sent before.
    """

    def __init__(self, sealing: Sealing, announcer: Announcer) -> None:
        self._sealing = sealing
        self._announcer = announcer
        self._beat_at = float("-inf")

    async def __call__(self, connection: AsyncConnection) -> bool:
        """One round; False while there is more to send."""
        driver = await driver_of(connection)
        unsent = await read_unsent(driver, _MOST)
        if unsent.rows:
            states = await read_states(driver, self._sealing, {card for _, card in unsent.rows})
            # In the order of the rows; of a card that stands there twice the state that is sent first says it all.
            await self._announcer.send(
                CARD_EVENTS, [event_of(states[card]) for card in dict.fromkeys(c for _, c in unsent.rows)]
            )
            await mark_sent(driver, [id_ for id_, _ in unsent.rows])
            metrics.EVENTS_SENT.inc(len(unsent.rows))
        behind = len(unsent.rows) == _MOST
        if not behind:
            await self._beat(unsent.seen_ms)
        return not behind

    async def _beat(self, committed_up_to_ms: int) -> None:
        """All that was committed by then has left."""
        now = time.monotonic()
        if now - self._beat_at >= _BEAT_SECONDS:
            await self._announcer.send_everywhere(
                CARD_EVENTS, HEARTBEAT_KEY, lambda partitions: heartbeat(committed_up_to_ms, partitions)
            )
            self._beat_at = now
            metrics.RELAYED_UP_TO.set(committed_up_to_ms / 1000)
