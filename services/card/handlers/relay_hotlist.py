"""Publish the hotlist: each version as what changed, in order, and now and then the whole of it."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from services.card import metrics
from services.card.adapters.hotlist import Hotlist, newest_hotlist
from services.card.adapters.hotlist_relay import Sent, note_sent, read_sent
from services.card.adapters.hotlist_updates import Way, complete_until, read_way, step, versions_after, whole
from services.card.domain.settings import HotlistRules
from services.common.announce import Announcer
from services.common.database import driver_of
from services.common.points import AtPoint, pass_by
from services.common.topics import CARD_HOTLIST

KEY: Final = b"hotlist"
"""Always the same: one partition takes all of it, in order."""
_AT_ONCE: Final = 200
_BEAT_SECONDS: Final = 30.0


class RelayHotlist:
    """Run by the elected process alone, after a version is committed; a version is noted when the broker has it.

    So each is sent at least once. Two who believe they are elected both send it, in order; a reader passes over what it has.
    """

    def __init__(
        self,
        announcer: Announcer,
        rules: HotlistRules,
        at: AtPoint = pass_by,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._announcer = announcer
        self._rules = rules
        self._at = at
        self._clock = clock
        self._beat_at = float("-inf")

    async def __call__(self, connection: AsyncConnection) -> bool:
        """One round; False while there is more to send."""
        driver = await driver_of(connection)
        sent = await read_sent(driver, self._rules.snapshot_hours)
        complete_ms = await complete_until(driver)
        newest = await newest_hotlist(driver)
        if newest[:2] <= sent[:2]:
            await self._beat(driver, newest, complete_ms)
            return True
        if newest.epoch != sent.epoch or newest.version - sent.version > self._rules.snapshot_versions:
            # From another epoch, or from far behind, nobody follows step by step.
            await self._send(driver, await whole(driver, newest, complete_ms))
            return True
        coming = await versions_after(driver, sent.version, newest, _AT_ONCE)
        for version in coming:
            await self._send(driver, await step(driver, version, complete_ms if version == newest else 0))
        if self._whole_is_due(sent, coming[-1]):
            await self._send(driver, await whole(driver, coming[-1], complete_ms if coming[-1] == newest else 0))
        return coming[-1].version == newest.version

    def _whole_is_due(self, sent: Sent, version: Hotlist) -> bool:
        return sent.whole_is_old or version.version - sent.whole_version >= self._rules.snapshot_versions

    async def _send(self, driver: "asyncpg.Connection[Any]", way: Way) -> None:
        await self._announce(driver, way)
        await self._at("hotlist sent")
        await note_sent(driver, way.to.epoch, way.to.version, whole=not way.from_version)
        metrics.HOTLIST_SENT.labels("delta" if way.from_version else "snapshot").inc()

    async def _announce(self, driver: "asyncpg.Connection[Any]", way: Way) -> None:
        @asynccontextmanager
        async def ours() -> AsyncIterator["asyncpg.Connection[Any]"]:
            yield driver

        # One after the other, so that memory holds one chunk however long the list is.
        async for update in read_way(ours, way):
            await self._announcer.send(CARD_HOTLIST, [(KEY, update.SerializeToString())])

    async def _beat(self, driver: "asyncpg.Connection[Any]", newest: Hotlist, complete_ms: int) -> None:
        """Nothing has changed: whoever reads knows how old the list is all the same."""
        now = self._clock()
        if newest.version and now - self._beat_at >= _BEAT_SECONDS:
            await self._announce(driver, Way(newest, newest.version, 0, complete_ms))
            self._beat_at = now
