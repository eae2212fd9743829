"""Blanks in PostgreSQL: read, and moved by adding to their ledger, in which a trigger holds every row against the table.

Nothing is locked by a reading: whoever decided on what has changed meanwhile gets a serialization failure, and begins again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from services.issuance.domain.blank import Blank, BlankState, Fence, Verb, decide, place_after
from services.issuance.domain.refusal import Refusal

_COLUMNS: Final = """
select serial, card_identifier, product, box, state, place, coalesce(destination, ''), coalesce(before, 0), coalesce(record, 0),
    epoch, coalesce(application, 0), barred, attempts
from issuance.blank"""
_BY_SERIAL: Final = _COLUMNS + " where serial = any($1::text[]) order by serial"
_BY_IDENTIFIER: Final = _COLUMNS + " where card_identifier = $1"
_BY_IDENTIFIERS: Final = _COLUMNS + " where card_identifier = any($1::text[])"
_BY_RECORD: Final = _COLUMNS + " where record = $1 and state between 4 and 7 order by serial"
_RANGE: Final = _COLUMNS + " where serial between $1 and $2 and length(serial) = length($1) order by serial limit $3"
_LIST: Final = (
    _COLUMNS + " where ($1 = '' or place = $1) and ($2 = 0 or state = $2) and serial > $3 order by serial limit $4"
)  # fmt: skip
_ENTER: Final = """
insert into issuance.blank_entry (serial, verb, from_state, to_state, from_place, to_place, destination, record, epoch,
    application, staff, second_staff, shift, terminal, reason, incident)
values ($1, $2, $3, $4, $5, $6, nullif($7, ''), nullif($8::bigint, 0), $9, nullif($10::bigint, 0), nullif($11::bigint, 0),
    nullif($12::bigint, 0), nullif($13::bigint, 0), $14, $15, $16)"""
_FORGET: Final = "delete from issuance.blank_account where serial = any($1::text[])"
_KNOWN: Final = "insert into issuance.place (name) values ($1) on conflict do nothing"
_PLACE: Final = """
insert into issuance.place (name, outlet) values ($1, $2)
on conflict (name) do update set outlet = excluded.outlet where excluded.outlet not in ('', place.outlet)"""
_SPOILED_BY: Final = """
select distinct on (serial) coalesce(staff, 0), coalesce(second_staff, 0) from issuance.blank_entry
where serial = any($1::text[]) and verb = 10 order by serial, id desc"""


@dataclass(frozen=True, slots=True)
class Signed:
    """Who answers for a move; nobody: a rule, or the clock."""

    staff: int = 0
    shift: int = 0
    terminal: str = ""
    second: int = 0
    """The second person; 0: none."""


BY_ITSELF: Final = Signed()


async def find_blank(driver: "asyncpg.Connection[Any]", serial: str) -> Blank | None:
    """By what is printed on the plastic."""
    row = await driver.fetchrow(_BY_SERIAL, [serial])
    return _blank(row) if row else None


async def find_identifier(driver: "asyncpg.Connection[Any]", card_identifier: str) -> Blank | None:
    """By what is on the chip, 32 hexadecimal digits in capitals."""
    row = await driver.fetchrow(_BY_IDENTIFIER, card_identifier)
    return _blank(row) if row else None


async def find_identifiers(driver: "asyncpg.Connection[Any]", identifiers: Sequence[str]) -> dict[str, Blank]:
    """By what is on their chips; who is not known is left out."""
    return {row[1]: _blank(row) for row in await driver.fetch(_BY_IDENTIFIERS, identifiers)}


async def find_held(driver: "asyncpg.Connection[Any]", record: int) -> Blank | None:
    """Which one a record holds: reserved, being made, or printed and not handed over."""
    row = await driver.fetchrow(_BY_RECORD, record)
    return _blank(row) if row else None


async def find_blanks(driver: "asyncpg.Connection[Any]", serials: Sequence[str]) -> list[Blank]:
    """In order of their serials; who is not known is left out."""
    return [_blank(row) for row in await driver.fetch(_BY_SERIAL, serials)]


async def find_range(driver: "asyncpg.Connection[Any]", first: str, last: str, most: int) -> list[Blank]:
    """From the one to the other, both included, of equally long serials."""
    return [_blank(row) for row in await driver.fetch(_RANGE, first, last, most)]


async def list_blanks(
    driver: "asyncpg.Connection[Any]", place: str, state: int, *, after: str, limit: int
) -> list[Blank]:  # fmt: skip
    """Behind a serial; place '' and state 0 are all."""
    return [_blank(row) for row in await driver.fetch(_LIST, place, state, after, limit)]


async def who_spoiled(driver: "asyncpg.Connection[Any]", serials: Sequence[str]) -> list[tuple[int, int]]:
    """Of each spoiled one who said so, and the second person; 0: none."""
    return [(row[0], row[1]) for row in await driver.fetch(_SPOILED_BY, serials)]


async def forget_account(driver: "asyncpg.Connection[Any]", serials: Sequence[str]) -> None:
    """The bank accounts of blanks that came to their end."""
    await driver.execute(_FORGET, serials)


async def add_place(driver: "asyncpg.Connection[Any]", name: str, outlet: str = "") -> None:
    """A terminal that may have blanks, and where it stands; empty: that is not known here."""
    if outlet:
        await driver.execute(_PLACE, name, outlet)
    else:  # nobody who moves something waits for one who only names a place
        await driver.execute(_KNOWN, name)


async def move(
    driver: "asyncpg.Connection[Any]",
    serial: str,
    verb: Verb,
    signed: Signed,
    fence: Fence | None = None,
    *,
    application: int = 0,
    to: str = "",
    reason: str = "",
    incident: str = "",
) -> Blank | Refusal:
    """Move one blank within the caller's transaction: the blank as it was, or why not.

    `fence`: the record and epoch of whoever makes the card. `application`: of a reservation. `to`: the place to which it is
    assigned, or where it goes in transfer. A serialization failure says that somebody else was quicker: begin again.
    """
    blank = await find_blank(driver, serial)
    if blank is None:
        return Refusal.UNKNOWN_BLANK
    return await move_blank(
        driver, blank, verb, signed, fence, application=application, to=to, reason=reason, incident=incident
    )  # fmt: skip


async def move_blank(
    driver: "asyncpg.Connection[Any]",
    blank: Blank,
    verb: Verb,
    signed: Signed,
    fence: Fence | None = None,
    *,
    application: int = 0,
    to: str = "",
    reason: str = "",
    incident: str = "",
) -> Blank | Refusal:
    """The same with a blank that was read in this transaction."""
    state = decide(blank, verb, fence, at=signed.terminal)
    if isinstance(state, Refusal):
        return state
    await enter(
        driver, [(blank, state)], verb, signed, fence, application=application, to=to, reason=reason, incident=incident
    )  # fmt: skip
    if verb in (Verb.HAND_OVER, Verb.DESTROY):
        await forget_account(driver, [blank.serial])
    return blank


async def enter(
    driver: "asyncpg.Connection[Any]",
    moved: Sequence[tuple[Blank, BlankState]],
    verb: Verb,
    signed: Signed,
    fence: Fence | None = None,
    *,
    application: int = 0,
    to: str = "",
    reason: str = "",
    incident: str = "",
) -> None:
    """Add rows to the ledger, in order of their serials, which is the order in which the blanks are locked."""
    if to:
        await add_place(driver, to)
    rows = [
        (
            blank.serial,
            verb,
            blank.state,
            state,
            blank.place,
            place_after(blank, verb, to),
            to if verb is Verb.TRANSFER else "",
            fence.record if fence else blank.record,
            fence.epoch if fence else blank.epoch,
            application,
            signed.staff,
            signed.second,
            signed.shift,
            signed.terminal,
            reason,
            incident,
        )
        for blank, state in moved
    ]
    await driver.executemany(_ENTER, rows)


async def resume(
    driver: "asyncpg.Connection[Any]", blank: Blank, place: str, signed: Signed, fence: Fence
) -> Refusal | None:  # fmt: skip
    """Another stream has taken the record, here or elsewhere: then its blank was carried there, and both ends are noted."""
    if blank.place != place and blank.state is not BlankState.IN_TRANSFER:
        left = await move_blank(driver, blank, Verb.TRANSFER, signed, fence, to=place)
        if isinstance(left, Refusal):
            return left
        await move(driver, blank.serial, Verb.ARRIVE, signed, fence)
    taken = await move(driver, blank.serial, Verb.RESUME, signed, fence)
    return taken if isinstance(taken, Refusal) else None


def _blank(row: Any) -> Blank:
    serial, identifier, product, box, state, place, destination, before, *rest = row
    return Blank(
        serial, identifier, product, box, BlankState(state), place, destination, BlankState(before), *rest
    )  # fmt: skip
