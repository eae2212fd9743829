"""The ledger of blanks as it is read: what happened to one, how many there are, and whether all of it agrees."""

from typing import Any, Final, NamedTuple

import asyncpg

from services.common.clock import milliseconds
from services.issuance.domain.blank import BlankState, Verb

_OF: Final = """
select id, verb, from_state, to_state, to_place, coalesce(record, 0), epoch, coalesce(staff, 0), coalesce(second_staff, 0),
    reason, incident, at
from issuance.blank_entry where serial = $1 order by id"""
_STOCK: Final = """
select place, product, state, count(*) from issuance.blank
where ($1 = '' or place = $1) and state not in (8, 11) group by 1, 2, 3 order by 1, 2, 3"""
_WRONG: Final = """
select b.serial from issuance.blank b left join lateral (
    select * from issuance.blank_entry where serial = b.serial order by id desc limit 1) e on true
where e.id is null or (e.to_state, e.to_place) <> (b.state, b.place)
union
select serial from (
    select serial, from_state, from_place, lag(to_state, 1, 0::smallint) over blank as was,
        lag(to_place, 1, 'DEPOT') over blank as there
    from issuance.blank_entry window blank as (partition by serial order by id)) e
where (from_state, from_place) <> (was, there)
union
select '' from issuance.box x where count <> (select count(*) from issuance.blank where box = x.name)
limit 20"""


class Entry(NamedTuple):
    """What happened to a blank."""

    id: int
    verb: Verb
    from_state: BlankState
    to_state: BlankState
    to_place: str
    record: int
    epoch: int
    staff: int
    second: int
    reason: str
    incident: str
    time_ms: int


class Stock(NamedTuple):
    """So many."""

    place: str
    product: str
    state: BlankState
    number: int


async def entries_of(driver: "asyncpg.Connection[Any]", serial: str) -> list[Entry]:
    """All that happened to a blank, in order."""
    return [_entry(row) for row in await driver.fetch(_OF, serial)]


async def count_stock(driver: "asyncpg.Connection[Any]", place: str = "") -> list[Stock]:
    """Of one place, or of all; cards in their holders' hands and destroyed ones are no stock."""
    rows = await driver.fetch(_STOCK, place)
    return [Stock(where, product, BlankState(state), number) for where, product, state, number in rows]


async def unsound(driver: "asyncpg.Connection[Any]") -> list[str]:
    """Serials of blanks that are not where their last entry put them, or whose entries have a gap; an empty one: of a box."""
    return [row[0] for row in await driver.fetch(_WRONG)]


def _entry(row: Any) -> Entry:
    id_, verb, from_state, to_state, place, record, epoch, staff, second, reason, incident, at = row
    moved = (Verb(verb), BlankState(from_state), BlankState(to_state), place)
    return Entry(id_, *moved, record, epoch, staff, second, reason, incident, milliseconds(at))
