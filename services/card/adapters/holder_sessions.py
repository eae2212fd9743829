"""Sessions of holders in PostgreSQL: by the token that a terminal holds, bound to that terminal's certificate."""

from typing import Any, Final, NamedTuple

import asyncpg

from services.card.adapters.shifts import token_digest
from services.card.domain.holder_session import Proof, SessionEnding
from services.card.domain.terminal import TerminalKind, TerminalState
from services.common.clock import instant, milliseconds
from services.common.peer import Peer

_FIND: Final = """
select id, coalesce(holder, 0), reading, terminal, serial, outlet, expire_time
from card.holder_session where token = $1 and end_time is null"""
_BEGIN: Final = """
insert into card.holder_session (token, holder, reading, way, card, terminal, serial, outlet, begin_time, expire_time)
values ($1, nullif($2::bigint, 0), $3, $4, $5, $6, $7,
    coalesce((select outlet from card.terminal where serial = $7), ''), $8, $9) returning id"""
_FORGET: Final = "delete from card.holder_session where (holder = $1 or holder is null) and expire_time < $2"
_IS_KIOSK: Final = "select exists (select from card.terminal where serial = $1 and kind = $2 and state = $3)"
_END: Final = "update card.holder_session set end_time = $2, ended_by = $3 where id = $1 and end_time is null"
_END_OF_CARD: Final = "update card.holder_session set end_time = $2, ended_by = $3 where card = $1 and end_time is null"


class HolderSession(NamedTuple):
    """A holder who is known at a terminal."""

    id: int
    holder: int
    """0: somebody who is not registered yet."""
    reading: bytes
    """The digest of such a newcomer's document."""
    terminal: str
    """The subject of the certificate that it is bound to."""
    serial: str
    outlet: str
    expire_time_ms: int


async def find_session(driver: "asyncpg.Connection[Any]", token: str) -> HolderSession | None:
    """The session of a token; None when it was ended."""
    row = await driver.fetchrow(_FIND, token_digest(token))
    if row is None:
        return None
    id_, holder, reading, terminal, serial, outlet, expires = row
    return HolderSession(id_, holder, reading or b"", terminal, serial, outlet, milliseconds(expires))


async def begin_session(
    driver: "asyncpg.Connection[Any]", token: str, proof: Proof, peer: Peer, now_ms: int, until_ms: int
) -> int:
    """A session, bound to a terminal's certificate; the holder's expired ones are forgotten."""
    now = instant(now_ms)
    await driver.execute(_FORGET, proof.holder, now)
    number: int = await driver.fetchval(
        _BEGIN,
        token_digest(token),
        proof.holder,
        proof.reading,
        proof.way,
        proof.card,
        peer.subject.uri,
        peer.serial,
        now,
        instant(until_ms),
    )
    return number


async def is_kiosk(driver: "asyncpg.Connection[Any]", serial: str) -> bool:
    """Whether a certificate was enrolled as a kiosk's, and still is."""
    found: bool = await driver.fetchval(_IS_KIOSK, serial, TerminalKind.KIOSK, TerminalState.ENROLLED)
    return found


async def end_session(driver: "asyncpg.Connection[Any]", number: int, now_ms: int) -> None:
    """The holder goes."""
    await driver.execute(_END, number, instant(now_ms), SessionEnding.BY_HOLDER)


async def end_sessions_of_card(driver: "asyncpg.Connection[Any]", card: int, now_ms: int) -> None:
    """What was opened with a card ends with it."""
    await driver.execute(_END_OF_CARD, card, instant(now_ms), SessionEnding.CARD_BARRED)
