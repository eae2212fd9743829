"""The hotlist in PostgreSQL: which cards terminals refuse by themselves, version by version."""

from collections.abc import AsyncIterator, Iterable
from typing import Any, Final, NamedTuple

import asyncpg

from services.card.domain.card import BARRED
from services.common.clock import milliseconds

_BARRED: Final = ", ".join(str(status.value) for status in sorted(BARRED))
# A card that was released and barred again since the last version begins another stay.
_CHANGED: Final = f"""
with found as (
    select c.id, e.version as listed, case when c.social in ({_BARRED}) then (
        select min(t.version) from card.transition t
        where t.card = c.id and t.version > coalesce((
            select max(f.version) from card.transition f where f.card = c.id and f.social not in ({_BARRED})), 0)) end as barred
    from card.card c left join card.hotlist_entry e on e.card = c.id and e.left_in is null
    where c.id = any($1::bigint[]))
select id, listed, barred from found where listed is distinct from barred order by id"""  # noqa: S608  # numbers of ours
_NEWEST: Final = "select epoch, version, publish_time, entries from card.hotlist order by epoch desc, version desc limit 1"
_PUBLISH: Final = f"""
insert into card.hotlist (epoch, version, entries)
select i.epoch, coalesce(n.version, 0) + 1, coalesce(n.entries, 0) + $1
from card.installation i left join ({_NEWEST}) n on true
returning version, publish_time"""  # noqa: S608  # a statement of ours
_RESTORED: Final = f"""
select i.epoch > 1 and i.epoch > coalesce(n.epoch, 0) from card.installation i left join ({_NEWEST}) n on true"""  # noqa: S608
_LEAVE: Final = "update card.hotlist_entry set left_in = $2 where card = any($1::bigint[]) and left_in is null"
_COME: Final = """
insert into card.hotlist_entry (card, version, publish_time, came_in)
select card, version, $3, $4 from unnest($1::bigint[], $2::bigint[]) as n(card, version)"""
_STANDING: Final = """
select c.card_identifier from card.hotlist_entry e join card.card c on c.id = e.card where e.left_in is null order by 1"""


class Hotlist(NamedTuple):
    """A version of the list; the newest says what terminals refuse."""

    epoch: int
    version: int
    publish_ms: int
    entries: int


async def newest_hotlist(driver: "asyncpg.Connection[Any]") -> Hotlist:
    """The newest version; of an installation that never barred a card, an empty one."""
    row = await driver.fetchrow(_NEWEST)
    return Hotlist(row[0], row[1], milliseconds(row[2]), row[3]) if row else Hotlist(0, 0, 0, 0)


async def publish_hotlist(driver: "asyncpg.Connection[Any]", cards: Iterable[int]) -> None:
    """The next version, if one of these cards was barred or released since the newest, or the installation was restored.

    In a transaction of the caller's.
    """
    changed = await driver.fetch(_CHANGED, sorted(set(cards)))
    # Terminals may hold versions that a restored database does not know: only a version of the new epoch brings them back.
    if not changed and not await driver.fetchval(_RESTORED):
        return
    leaving = [card for card, listed, _ in changed if listed is not None]
    coming = [(card, barred) for card, _, barred in changed if barred is not None]
    ((version, at),) = await driver.fetch(_PUBLISH, len(coming) - len(leaving))
    await driver.execute(_LEAVE, leaving, version)
    await driver.execute(_COME, [card for card, _ in coming], [barred for _, barred in coming], at, version)


async def read_standing(driver: "asyncpg.Connection[Any]") -> AsyncIterator[str]:
    """The identifiers of all cards on the newest version, in order, however many; in a transaction of the caller's."""
    async for row in driver.cursor(_STANDING):
        yield row[0]
