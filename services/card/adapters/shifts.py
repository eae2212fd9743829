"""Who is signed in: shifts by the token that a terminal holds, bound to that terminal's certificate."""

import hashlib
from typing import Any, Final, NamedTuple

import asyncpg

from services.card.domain.actor import Role
from services.common.clock import milliseconds

_FIND: Final = """
select s.id, s.staff, t.roles, s.terminal, s.serial, s.outlet, s.expire_time from card.shift s
join card.staff t on t.id = s.staff and t.state = 1
where s.token = $1 and s.end_time is null"""

_READ: Final = """
select s.id, s.staff, t.roles, s.terminal, s.serial, s.outlet, s.expire_time, s.end_time is not null or s.expire_time <= now(),
    coalesce(least(s.end_time, s.expire_time) < (select create_time from card.card where id = $2), false)
from card.shift s join card.staff t on t.id = s.staff where s.id = $1"""
_ENDED_EARLY: Final = "select id from card.shift where end_time is not null and expire_time > now()"


class Shift(NamedTuple):
    """A person who is signed in at a terminal."""

    id: int
    staff: int
    roles: frozenset[Role]
    terminal: str
    """The subject of the certificate that it is bound to."""
    serial: str
    outlet: str
    expire_time_ms: int
    ended: bool = False
    ended_before: bool = False
    """Before a card was begun."""


def token_digest(token: str) -> bytes:
    """How a token is stored: it is random, so a plain digest gives nothing away."""
    return hashlib.sha256(token.encode()).digest()


async def find_shift(driver: "asyncpg.Connection[Any]", token: str) -> Shift | None:
    """The open shift of a token; None when it has ended, or the person no longer works here."""
    row = await driver.fetchrow(_FIND, token_digest(token))
    if row is None:
        return None
    id_, staff, roles, terminal, serial, outlet, expires = row
    return Shift(id_, staff, frozenset(map(Role, roles)), terminal, serial, outlet, milliseconds(expires))


async def read_shift(driver: "asyncpg.Connection[Any]", number: int, card: int) -> Shift | None:
    """A shift by its number, whether or not it has ended, perhaps before a card was begun; the roles are those of now."""
    row = await driver.fetchrow(_READ, number, card)
    if row is None:
        return None
    id_, staff, roles, terminal, serial, outlet, expires, *ended = row
    return Shift(id_, staff, frozenset(map(Role, roles)), terminal, serial, outlet, milliseconds(expires), *ended)


async def list_ended_early(driver: "asyncpg.Connection[Any]") -> list[int]:
    """Shifts that would still be open, had nobody ended them."""
    return [row[0] for row in await driver.fetch(_ENDED_EARLY)]
