"""Approvals in PostgreSQL: found by the digest of the exact request, decided and used under their row's lock."""

from collections.abc import Sequence
from typing import Any, Final

import asyncpg
import msgspec

from services.card.domain.actor import Actor
from services.card.domain.approval import Approval, ApprovalState, Case
from services.card.domain.staff import Right
from services.common.clock import instant, milliseconds

_SELECT: Final = """
select a.id, a.verb, a.detail::text, a.holder, a.card, a.application, a.handled_by, a.requested_by, a.requested_shift,
    a.terminal, a.outlet, a.state, a.decided_by, a.reason, a.expire_time, a.create_time,
    not exists (select from card.shift s where s.id in (a.requested_shift, a.decided_shift) and s.end_time is not null)
from card.approval a"""
_BY_REQUEST: Final = (
    _SELECT + " where a.digest = any($1::bytea[]) and a.requested_by = $2 order by a.id desc limit 1 for no key update of a"
)
_BY_ID: Final = _SELECT + " where a.id = $1"
_LOCK: Final = _BY_ID + " for no key update of a"
_PENDING: Final = _SELECT + " where a.state = 1 and a.outlet = $1 and a.expire_time > $2 and a.id > $3 order by a.id limit $4"
_HANDLED: Final = """
select substr(t.actor, 7)::bigint from card.transition t join card.card c on c.id = t.card
where c.holder = $1 and t.actor like 'staff:%' and t.at > $2
union select substr(s.actor, 7)::bigint from card.step s join card.application a on a.id = s.application
where a.holder = $1 and s.actor like 'staff:%' and s.at > $2
union select substr(f.actor, 7)::bigint from card.former_identity f
where f.holder = $1 and f.actor like 'staff:%' and f.at > $2"""
_END: Final = "update card.approval set state = 5 where digest = $1 and state in (1, 2)"
_ADD: Final = """
insert into card.approval
    (verb, digest, detail, holder, card, application, handled_by, requested_by, requested_shift, terminal, outlet, expire_time,
     create_time)
select $1, $2, $3::jsonb, $4, $5, $6, $7, $8, s.id, $9, $10, s.expire_time, $12 from card.shift s where s.id = $11
returning id"""
_DECIDE: Final = """
update card.approval a set state = $2, decided_by = $3, decided_shift = $4, reason = $5,
    expire_time = least(a.expire_time, s.expire_time)
from card.shift s where a.id = $1 and s.id = $4"""
_USE: Final = "update card.approval set state = 4 where id = $1"
_CASE_MS: Final = 30 * 24 * 3600 * 1000
"""How long somebody who did something about a holder has a part in the holder's case."""

_encode = msgspec.json.Encoder().encode


async def lock_approval_of(driver: "asyncpg.Connection[Any]", digests: Sequence[bytes], staff: int) -> Approval | None:
    """The newest one of a request, by its digest under any version of the key."""
    row = await driver.fetchrow(_BY_REQUEST, list(digests), staff)
    return _approval(row) if row else None


async def lock_approval(driver: "asyncpg.Connection[Any]", number: int) -> Approval | None:
    """One of them."""
    row = await driver.fetchrow(_LOCK, number)
    return _approval(row) if row else None


async def read_approval(driver: "asyncpg.Connection[Any]", number: int) -> Approval | None:
    """One of them, as it is now."""
    row = await driver.fetchrow(_BY_ID, number)
    return _approval(row) if row else None


async def list_pending(
    driver: "asyncpg.Connection[Any]", outlet: str, now_ms: int, *, after: int, limit: int
) -> list[Approval]:
    """What waits at an outlet, oldest first, behind a number."""
    return [_approval(row) for row in await driver.fetch(_PENDING, outlet, instant(now_ms), after, limit)]


async def who_handled(driver: "asyncpg.Connection[Any]", holder: int | None, now_ms: int) -> frozenset[int]:
    """Staff accounts that lately did anything about a holder, their applications and cards; None: nobody knows them yet."""
    return frozenset(row[0] for row in await driver.fetch(_HANDLED, holder, instant(now_ms - _CASE_MS)))


async def add_approval(driver: "asyncpg.Connection[Any]", digest: bytes, case: Case, actor: Actor, now_ms: int) -> int:
    """Ask for one; an older one of the same request is over."""
    handled = await who_handled(driver, case.holder, now_ms)
    await driver.execute(_END, digest)
    number: int = await driver.fetchval(
        _ADD,
        case.right,
        digest,
        _encode(case.detail).decode(),
        case.holder,
        case.card,
        case.application,
        sorted(handled | {actor.number}),
        actor.number,
        actor.terminal,
        actor.outlet,
        actor.shift,
        instant(now_ms),
    )
    return number


async def decide_approval(driver: "asyncpg.Connection[Any]", number: int, to: ApprovalState, actor: Actor, reason: str) -> None:
    """The second person's word; it lasts no longer than that person's shift."""
    await driver.execute(_DECIDE, number, to, actor.number, actor.shift, reason)


async def use_approval(driver: "asyncpg.Connection[Any]", number: int) -> None:
    """It is used up."""
    await driver.execute(_USE, number)


def _approval(row: Any) -> Approval:
    id_, right, detail, holder, card, application, handled_by, asked_by, shift, terminal, outlet, state, *rest = row
    decided_by, reason, expires, created, at_work = rest
    return Approval(
        id=id_,
        case=Case(Right(right), msgspec.json.decode(detail), holder, card, application),
        handled_by=frozenset(handled_by),
        requested_by=asked_by,
        requested_shift=shift,
        terminal=terminal,
        outlet=outlet,
        state=ApprovalState(state),
        decided_by=decided_by,
        reason=reason,
        expire_ms=milliseconds(expires),
        create_ms=milliseconds(created),
        both_at_work=at_work,
    )
