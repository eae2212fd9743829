"""The way from one version of the hotlist to another, in chunks that a record can carry.

What stood on a version never changes afterwards, so each chunk is read by itself, behind the last one: nobody's transaction
stays open while a slow terminal listens, and two who read the same way read the same chunks.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, NamedTuple, TypeAlias

import asyncpg

from onecard.card.v1.hotlist_pb2 import HotlistUpdate
from services.card.adapters.hotlist import Hotlist, newest_hotlist
from services.common.clock import milliseconds

CHUNK: Final = 6_000
"""Card identifiers, of 32 characters at most, which take two bytes more each: below 256 kB."""

_STOOD: Final = "e.came_in <= {version} and (e.left_in is null or e.left_in > {version})"
_WHOLE: Final = f"from card.hotlist_entry e where {_STOOD.format(version='$1')}"
_COUNT_WHOLE: Final = f"select count(*) {_WHOLE}"  # statements of ours
_READ_WHOLE: Final = f"""
select f.card, c.card_identifier, true
from (select e.card {_WHOLE} and e.card > $2 order by e.card limit {CHUNK}) f join card.card c on c.id = f.card
order by f.card"""  # noqa: S608
# Who came and left again in between is no change; who left and came again is none, either.
_CHANGED: Final = f"""
from (
    select t.card,
        exists (select from card.hotlist_entry e where e.card = t.card and {_STOOD.format(version="$2")}) as stood,
        exists (select from card.hotlist_entry e where e.card = t.card and {_STOOD.format(version="$1")}) as stands
    from (select card from card.hotlist_entry where came_in > $2 and came_in <= $1
          union select card from card.hotlist_entry where left_in > $2 and left_in <= $1) t) j
where j.stood <> j.stands"""  # noqa: S608
_COUNT_CHANGED: Final = f"select count(*) {_CHANGED}"
_READ_CHANGED: Final = f"""
select f.card, c.card_identifier, f.stands
from (select j.card, j.stands {_CHANGED} and j.card > $3 order by j.card limit {CHUNK}) f join card.card c on c.id = f.card
order by f.card"""  # noqa: S608
_KNOWN: Final = "select exists (select from card.hotlist where epoch = $1 and version = $2)"
_COMPLETE: Final = "select complete_time from card.hotlist_relay where isfinite(complete_time)"
_BETWEEN: Final = """
select epoch, version, publish_time, entries from card.hotlist
where epoch = $1 and version > $2 and version <= $3 order by version limit $4"""


Sessions: TypeAlias = Callable[[], AbstractAsyncContextManager["asyncpg.Connection[Any]"]]
"""Gives a session of the database for a moment."""


class Way(NamedTuple):
    """From a version to a newer one."""

    to: Hotlist
    from_version: int
    """0: the whole list."""
    identifiers: int
    complete_ms: int
    """All cards barred by then stand on that version; 0: nobody says so."""

    @property
    def chunks(self) -> int:
        """How many messages it takes."""
        return max(1, -(-self.identifiers // CHUNK))


async def way_for(driver: "asyncpg.Connection[Any]", epoch: int, version: int) -> Way:
    """The shorter way to the newest version for whoever has a version, or claims one that we do not know."""
    # Read before the list: what was complete then stands on what is read now.
    complete_ms = await complete_until(driver)
    newest = await newest_hotlist(driver)
    if (epoch, version) == newest[:2]:
        return Way(newest, version, 0, complete_ms)
    if newest.epoch == epoch and await driver.fetchval(_KNOWN, epoch, version):
        changed = await driver.fetchval(_COUNT_CHANGED, newest.version, version)
        if changed <= newest.entries:
            return Way(newest, version, changed, complete_ms)
    return await whole(driver, newest, complete_ms)


async def whole(driver: "asyncpg.Connection[Any]", to: Hotlist, complete_ms: int) -> Way:
    """The way for whoever has nothing."""
    return Way(to, 0, await driver.fetchval(_COUNT_WHOLE, to.version), complete_ms)


async def step(driver: "asyncpg.Connection[Any]", to: Hotlist, complete_ms: int) -> Way:
    """The way from the version before."""
    before = to.version - 1
    return Way(to, before, await driver.fetchval(_COUNT_CHANGED, to.version, before), complete_ms)


async def read_way(sessions: Sessions, way: Way) -> AsyncIterator[HotlistUpdate]:
    """Its chunks, each read when it is asked for."""
    after = -1
    for chunk in range(way.chunks):
        found = []
        if way.identifiers:
            async with sessions() as driver:
                found = await _read(driver, way, after)
            after = found[-1][0]
        yield HotlistUpdate(
            epoch=way.to.epoch,
            version=way.to.version,
            from_version=way.from_version,
            publish_time_ms=way.to.publish_ms,
            added=[identifier for _, identifier, stands in found if stands],
            removed=[identifier for _, identifier, stands in found if not stands],
            chunk=chunk,
            chunks=way.chunks,
            complete_time_ms=way.complete_ms,
        )


async def versions_after(driver: "asyncpg.Connection[Any]", after: int, newest: Hotlist, limit: int) -> list[Hotlist]:
    """Versions of the newest one's epoch behind a version, in order."""
    rows = await driver.fetch(_BETWEEN, newest.epoch, after, newest.version, limit)
    return [Hotlist(row[0], row[1], milliseconds(row[2]), row[3]) for row in rows]


async def complete_until(driver: "asyncpg.Connection[Any]") -> int:
    """All cards barred by then stand on the newest version; 0 before anybody has looked."""
    at = await driver.fetchval(_COMPLETE)
    return milliseconds(at) if at else 0


async def _read(driver: "asyncpg.Connection[Any]", way: Way, after: int) -> list[Any]:
    if way.from_version:
        return await driver.fetch(_READ_CHANGED, way.to.version, way.from_version, after)
    return await driver.fetch(_READ_WHOLE, way.to.version, after)
