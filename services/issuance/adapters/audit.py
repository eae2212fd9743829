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
