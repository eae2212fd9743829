"""The audit: who did what to whom, written in the act's own transaction."""

from collections.abc import Mapping
from typing import Any, Final

import asyncpg
import msgspec

from services.card.domain.actor import Actor
from services.common.audit.book import AuditBook

_RECORD: Final = """
insert into card.audit (actor, shift, terminal, act, holder, card, application, purpose, detail)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb)"""

BOOK: Final = AuditBook(
    "card", "a.actor, a.shift, a.terminal, a.act, a.holder, a.card, a.application, a.purpose, a.detail::text"
)
"""As it is sealed."""

_encode = msgspec.json.Encoder().encode


async def record(
    driver: "asyncpg.Connection[Any]",
    actor: Actor,
    act: str,
    *,
    holder: int | None = None,
    card: int | None = None,
    application: int | None = None,
    purpose: str = "",
    detail: Mapping[str, str | int] | None = None,
) -> None:
    """Add a row; `detail` holds numbers and words of the act, never anything personal."""
    text = _encode(detail or {}).decode()
    await driver.execute(
        _RECORD, actor.name, actor.shift, actor.terminal, act, holder, card, application, purpose, text
    )  # fmt: skip
