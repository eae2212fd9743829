"""Terminals in PostgreSQL: requests, certificates, and the list of those that are refused."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import asyncpg

from services.card.adapters.issuer import Issued, SigningRequest
from services.card.domain.staff import Ending
from services.card.domain.terminal import TerminalKind, TerminalState
from services.common.clock import instant, milliseconds

_COLUMNS: Final = """
select id, subject, kind, outlet, state, request, certificate, serial, not_after, coalesce(requested_by, 0),
    coalesce(approved_by, 0)
from card.terminal"""
_BY_ID: Final = _COLUMNS + " where id = $1"
_BY_SERIAL: Final = _COLUMNS + " where serial = $1"
_BY_SUBJECT: Final = _COLUMNS + " where subject = $1 and state in (1, 2) order by id"
_BY_KEY: Final = _COLUMNS + " where key_digest = $1 and state <> 4 order by id desc limit 1"
_LIST: Final = _COLUMNS + " where id > $1 and ($2 = 0 or state = $2) and ($3 = '' or subject = $3) order by id limit $4"
_LOCK: Final = "select pg_advisory_xact_lock(hashtextextended($1, 0))"
_ADD: Final = """
insert into card.terminal (subject, kind, outlet, state, request, key_digest, certificate, serial, not_after, requested_by,
    approved_by)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, nullif($10::bigint, 0), nullif($11::bigint, 0)) returning id"""
_DECIDE: Final = """
update card.terminal set state = $2, certificate = $3, serial = $4, not_after = $5, approved_by = $6 where id = $1"""
_END: Final = "update card.terminal set state = $2 where id = $1"
_REVOKE: Final = "insert into card.revoked_certificate (serial, reason) values ($1, $2) on conflict do nothing"
_REVOKED: Final = "select exists (select from card.revoked_certificate where serial = $1)"
_END_SHIFTS: Final = "update card.shift set end_time = $2, ended_by = $3 where serial = any($1::text[]) and end_time is null"
_ANY: Final = "select exists (select from card.terminal where state = 2 and not_after > now())"
_NEAREST: Final = """
select kind, extract(epoch from min(until))::float8 from (
    select subject, kind, max(not_after) until from card.terminal where state = 2 group by subject, kind) t
where until > now() group by kind"""

_OF_SHIFTS: Final = """
select distinct serial from card.shift s where terminal = $1 and serial <> ''
    and not exists (select from card.revoked_certificate r where r.serial = s.serial) order by serial"""
_ALL_REVOKED: Final = "select serial from card.revoked_certificate"
_LOSE: Final = "insert into card.lost_terminal (subject, revoke_time) values ($1, $2)"
# One that was enrolled anew since is with us again.
_LOST: Final = """
select l.subject, max(l.revoke_time) from card.lost_terminal l
where not exists (select from card.terminal t where t.subject = l.subject and t.state = 2)
group by l.subject order by l.subject"""


class Terminal(NamedTuple):
    """A certificate, or the request for one."""

    id: int
    subject: str
    kind: TerminalKind
    outlet: str
    state: TerminalState
    request: str
    certificate: str
    serial: str
    expire_ms: int
    requested_by: int
    """0: the platform's own command."""
    approved_by: int


async def lock_subject(driver: "asyncpg.Connection[Any]", subject: str) -> None:
    """What concerns one terminal is done one after the other: none is renewed past its revocation."""
    await driver.execute(_LOCK, subject)


async def read_terminal(driver: "asyncpg.Connection[Any]", number: int) -> Terminal | None:
    """By its number."""
    row = await driver.fetchrow(_BY_ID, number)
    return _terminal(row) if row else None


async def find_serial(driver: "asyncpg.Connection[Any]", serial: str) -> Terminal | None:
    """By its certificate."""
    row = await driver.fetchrow(_BY_SERIAL, serial)
    return _terminal(row) if row else None


async def find_key(driver: "asyncpg.Connection[Any]", digest: bytes) -> Terminal | None:
    """By its key; one that was rejected is none."""
    row = await driver.fetchrow(_BY_KEY, digest)
    return _terminal(row) if row else None


async def open_of_subject(driver: "asyncpg.Connection[Any]", subject: str) -> list[Terminal]:
    """What a terminal waits for, and holds."""
    return [_terminal(row) for row in await driver.fetch(_BY_SUBJECT, subject)]


async def list_terminals(
    driver: "asyncpg.Connection[Any]", state: int, subject: str, *, after: int, limit: int
) -> list[Terminal]:
    """Behind a number; state 0 and subject '' are all."""
    return [_terminal(row) for row in await driver.fetch(_LIST, after, state, subject, limit)]


async def add_terminal(
    driver: "asyncpg.Connection[Any]",
    request: SigningRequest,
    kind: TerminalKind,
    outlet: str,
    issued: Issued | None = None,
    *,
    requested_by: int = 0,
    approved_by: int = 0,
) -> int:
    """A request, or at once with its certificate."""
    state = TerminalState.ENROLLED if issued else TerminalState.PENDING
    number: int = await driver.fetchval(
        _ADD,
        request.subject,
        kind,
        outlet,
        state,
        request.pem,
        request.key_digest,
        *(issued or (None, None, None)),
        requested_by,
        approved_by,
    )
    return number


async def store_decision(driver: "asyncpg.Connection[Any]", number: int, issued: Issued | None, staff: int) -> None:
    """The second person's word; without a certificate it was a no."""
    state = TerminalState.ENROLLED if issued else TerminalState.REJECTED
    await driver.execute(_DECIDE, number, state, *(issued or (None, None, None)), staff)


async def end_terminal(driver: "asyncpg.Connection[Any]", number: int, state: TerminalState) -> None:
    """Revoked, or rejected before it was issued."""
    await driver.execute(_END, number, state)


async def add_revoked(driver: "asyncpg.Connection[Any]", serials: Sequence[str], reason: str, now_ms: int) -> None:
    """Refuse certificates, and end the shifts that are bound to them."""
    await driver.executemany(_REVOKE, [(serial, reason) for serial in serials])
    await driver.execute(_END_SHIFTS, list(serials), instant(now_ms), Ending.REVOKED)


async def is_revoked(driver: "asyncpg.Connection[Any]", serial: str) -> bool:
    """Whether it is on the list."""
    return bool(await driver.fetchval(_REVOKED, serial))


async def serials_of_shifts(driver: "asyncpg.Connection[Any]", subject: str) -> list[str]:
    """Certificates with which somebody ever signed in at a terminal, as far as they are not refused yet."""
    return [row[0] for row in await driver.fetch(_OF_SHIFTS, subject)]


async def list_revoked(driver: "asyncpg.Connection[Any]") -> list[str]:
    """The serial numbers of all certificates that are refused."""
    return [row[0] for row in await driver.fetch(_ALL_REVOKED)]


async def add_lost(driver: "asyncpg.Connection[Any]", subject: str, now_ms: int) -> None:
    """A terminal is lost as a whole."""
    await driver.execute(_LOSE, subject, instant(now_ms))


async def list_lost(driver: "asyncpg.Connection[Any]") -> list[tuple[str, int]]:
    """Terminals that are lost as a whole, each with the moment since when, UTC milliseconds."""
    return [(subject, milliseconds(at)) for subject, at in await driver.fetch(_LOST)]


async def any_good(driver: "asyncpg.Connection[Any]") -> bool:
    """Whether there is a terminal with a certificate that is still good."""
    return bool(await driver.fetchval(_ANY))


async def nearest_ends(driver: "asyncpg.Connection[Any]") -> dict[TerminalKind, float]:
    """When the first terminal of each kind will be without a certificate, Unix seconds."""
    return {TerminalKind(kind): seconds for kind, seconds in await driver.fetch(_NEAREST)}


def _terminal(row: Any) -> Terminal:
    id_, subject, kind, outlet, state, request, certificate, serial, not_after, requested_by, approved_by = row
    expire_ms = milliseconds(not_after) if not_after else 0
    return Terminal(
        id_,
        subject,
        TerminalKind(kind),
        outlet,
        TerminalState(state),
        request,
        certificate or "",
        serial or "",
        expire_ms,
        requested_by,
        approved_by,
    )
