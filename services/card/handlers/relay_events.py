"""Publish what changed about cards, on the hotlist and as events in order, and say each second how far that has come."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.card import metrics
from services.card.adapters.events import HEARTBEAT_KEY, event_of, heartbeat, mark_sent, read_states, read_unsent
from services.card.adapters.hotlist import newest_hotlist, publish_hotlist
from services.card.adapters.hotlist_relay import note_complete
from services.card.adapters.sealing import Sealing
from services.common.announce import Announcer
from services.common.database import DatabaseError, Pause, Trouble, driver_of, driver_session, place_of, trouble
from services.common.points import AtPoint, pass_by
from services.common.topics import CARD_EVENTS

_MOST: Final = 2000
_BEAT_SECONDS: Final = 1.0


class RelayEvents:
    """Run by the elected process alone. Two who believe they are elected send states twice, which changes nothing.

    A record is the card's state when it is sent, with its version: whatever was noted of a card by then is in it. So a row
    that is committed late, or sent again after a crash, is never older than what was sent before.

    What is being sent is marked even when its sender is not elected any more: where another one has sent a newer state
    meanwhile, that is noted, and sent again behind the older one. `clock` is for tests that do not want to wait an hour.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        sealing: Sealing,
        announcer: Announcer,
        at: AtPoint = pass_by,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._sealing = sealing
        self._announcer = announcer
        self._at = at
        self._clock = clock
        self._beat_at = float("-inf")
        self._sending: asyncio.Task[None] | None = None

    async def __call__(self, connection: AsyncConnection) -> bool:
        """One round; False while there is more to send."""
        await self._sent()  # what was under way when we were elected last
        driver = await driver_of(connection)
        # One snapshot: a state is never sent without the hotlist that names its card, for the same version is not sent anew.
        async with driver.transaction(isolation="repeatable_read"):
            unsent = await read_unsent(driver, _MOST)
            cards = {card for _, card in unsent.rows}
            if cards:
                await publish_hotlist(driver, cards)
            hotlist = await newest_hotlist(driver)
            states = await read_states(driver, self._sealing, cards) if cards else {}
        metrics.HOTLIST_ENTRIES.set(hotlist.entries)
        if unsent.rows:
            await self._at("relay read")
            # In the order of the rows; of a card that stands there twice the state that is sent first says it all.
            records = [event_of(states[card]) for card in dict.fromkeys(c for _, c in unsent.rows)]
            ids = [id_ for id_, _ in unsent.rows]
            self._sending = asyncio.create_task(self._send(records, ids))
            await self._sent()
            metrics.EVENTS_SENT.inc(len(unsent.rows))
        behind = len(unsent.rows) == _MOST
        if not behind:
            metrics.HOTLIST_PUBLISHED.set(unsent.seen_ms / 1000)
            await self._beat(driver, unsent.seen_ms)
        return not behind

    async def _sent(self) -> None:
        """Whoever is told to stop waiting here stops nothing that is on its way to the broker."""
        if sending := self._sending:
            try:
                await asyncio.shield(sending)
            finally:
                if sending.done():
                    self._sending = None

    async def _send(self, records: Sequence[tuple[bytes, bytes]], ids: Sequence[int]) -> None:
        await self._announcer.send(CARD_EVENTS, records)
        await self._at("relay sent")
        await self._mark(ids)
        await self._at("relay marked")

    async def _mark(self, ids: Sequence[int]) -> None:
        """On a session of its own: that of the elected one may have ended meanwhile, and with it the election."""
        pause = Pause(place_of(self._engine))
        while True:
            try:
                async with driver_session(self._engine) as driver:
                    return await mark_sent(driver, ids)
            except DatabaseError as error:
                if trouble(error) is Trouble.REJECTED:
                    raise
                await pause.wait(error)

    async def _beat(self, driver: "asyncpg.Connection[Any]", committed_up_to_ms: int) -> None:
        """All that was committed by then has left."""
        now = self._clock()
        if now - self._beat_at >= _BEAT_SECONDS:
            await self._announcer.send_everywhere(
                CARD_EVENTS, HEARTBEAT_KEY, lambda partitions: heartbeat(committed_up_to_ms, partitions)
            )
            self._beat_at = now
            await note_complete(driver, committed_up_to_ms)
            metrics.RELAYED_UP_TO.set(committed_up_to_ms / 1000)
