"""Countersignatures in PostgreSQL: found by the digest of the exact request, decided and used under their row's lock."""

from collections.abc import Mapping
from typing import Any, Final

import asyncpg
import msgspec

from services.common.clock import instant, milliseconds
from services.issuance.domain.actor import Actor
from services.issuance.domain.countersignature import Countersignature, SignatureState

_SELECT: Final = """
select id, act, detail::text, requested_by, requested_shift, terminal, outlet, state, coalesce(decided_by, 0), expire_time,
    create_time
from issuance.countersignature"""
_BY_REQUEST: Final = (
    _SELECT + " where digest = any($1::bytea[]) and requested_by = $2 order by id desc limit 1 for no key update"
)  # fmt: skip
_LOCK: Final = _SELECT + " where id = $1 for no key update"
_WAITING: Final = _SELECT + " where state = 1 and outlet = $1 and expire_time > $2 order by id limit $3"
_END: Final = "update issuance.countersignature set state = 5 where requested_by = $1 and digest = $2 and state in (1, 2)"
_ADD: Final = """
insert into issuance.countersignature (act, digest, detail, requested_by, requested_shift, terminal, outlet, expire_time,
    create_time)
values ($1, $2, $3::jsonb, $4, $5, $6, $7, $8, $9) returning id"""
_DECIDE: Final = """
update issuance.countersignature set state = $2, decided_by = $3, decided_shift = $4, reason = $5,
    expire_time = least(expire_time, $6) where id = $1"""
_USE: Final = "update issuance.countersignature set state = 4 where id = $1"

_encode = msgspec.json.Encoder().encode


async def lock_of_request(
    driver: "asyncpg.Connection[Any]", digests: list[bytes], staff: int
) -> Countersignature | None:  # fmt: skip
    """The newest one of a request, by its digest under any version of a key."""
    row = await driver.fetchrow(_BY_REQUEST, digests, staff)
    return _signature(row) if row else None


async def lock_countersignature(driver: "asyncpg.Connection[Any]", number: int) -> Countersignature | None:
    """One of them."""
    row = await driver.fetchrow(_LOCK, number)
    return _signature(row) if row else None


async def list_waiting(
    driver: "asyncpg.Connection[Any]", outlet: str, now_ms: int, limit: int
) -> list[Countersignature]:  # fmt: skip
    """What waits at an outlet, oldest first."""
    return [_signature(row) for row in await driver.fetch(_WAITING, outlet, instant(now_ms), limit)]


async def add_countersignature(
    driver: "asyncpg.Connection[Any]", digest: bytes, act: str, detail: Mapping[str, str], actor: Actor, now_ms: int
) -> int:
    """Ask for one; an older one of the same request is over."""
    await driver.execute(_END, actor.staff, digest)
    number: int = await driver.fetchval(
        _ADD,
        act,
        digest,
        _encode(detail).decode(),
        actor.staff,
        actor.shift,
        actor.terminal,
        actor.outlet,
        instant(actor.expire_ms),
        instant(now_ms),
    )
    return number


async def decide(
    driver: "asyncpg.Connection[Any]", number: int, to: SignatureState, actor: Actor, reason: str
) -> None:  # fmt: skip
    """The second person's word; it lasts no longer than that person's shift."""
    await driver.execute(_DECIDE, number, to, actor.staff, actor.shift, reason, instant(actor.expire_ms))


async def use(driver: "asyncpg.Connection[Any]", number: int) -> None:
    """It is used up."""
    await driver.execute(_USE, number)


def _signature(row: Any) -> Countersignature:
    id_, act, detail, asked_by, shift, terminal, outlet, state, decided_by, expires, created = row
    return Countersignature(
        id_,
        act,
        msgspec.json.decode(detail),
        asked_by,
        shift,
        terminal,
        outlet,
        SignatureState(state),
        decided_by,
        milliseconds(expires),
        milliseconds(created),
    )
