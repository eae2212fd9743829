"""The audit: who did what to which blanks and records, written in the act's own transaction."""

from collections.abc import Mapping
from typing import Any, Final

import asyncpg
import msgspec

from services.common.audit.book import AuditBook
from services.issuance.domain.actor import Actor

_RECORD: Final = """
insert into issuance.audit (actor, shift, terminal, act, record, application, detail)
values ($1, $2, $3, $4, $5, $6, $7::jsonb)"""
_CHECK: Final = """
insert into issuance.audit (actor, shift, terminal, act, record)
select $1, $2, $3, 'card.check', $4::bigint
where (select count(*) from issuance.audit
    where act = 'card.check' and record = $4 and at > clock_timestamp() - interval '1 day') < $5
returning id"""
MOST_CHECKS: Final = 20
"""Of one card in a day: each may use its read key."""
TIMER: Final = "timer"
BOOK: Final = AuditBook("issuance", "a.actor, a.shift, a.terminal, a.act, a.record, a.application, a.detail::text")
"""As it is sealed."""

_encode = msgspec.json.Encoder().encode


async def record(
    driver: "asyncpg.Connection[Any]",
    actor: Actor | None,
    act: str,
    *,
    number: int | None = None,
    application: int | None = None,
    detail: Mapping[str, str | int] | None = None,
) -> None:
    """Add a row; nobody: the clock, or a rule. `number`: of an issuance record. `detail` holds nothing personal."""
    who = (actor.name, actor.shift, actor.terminal) if actor else (TIMER, None, "")
    await driver.execute(_RECORD, *who, act, number, application, _encode(detail or {}).decode())


async def record_check(driver: "asyncpg.Connection[Any]", actor: Actor, number: int) -> bool:
    """Add a row for a look at the card of a record; not where there were so many in a day. Two at once may be one more."""
    row = await driver.fetchrow(_CHECK, actor.name, actor.shift, actor.terminal, number, MOST_CHECKS)
    return row is not None
