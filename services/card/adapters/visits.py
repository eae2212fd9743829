"""Visits in PostgreSQL: what was settled at a window under one number, and the receipt that can be printed again."""

from typing import Any, Final

import asyncpg
import msgspec

from services.card.domain.actor import Actor
from services.common.clock import instant

_NEXT: Final = "select nextval('card.visit_number')"
_ADD: Final = """
insert into card.visit (number, terminal, visit_id, holder, staff, outlet, receipt, at)
values ($1, $2, $3, $4, $5, $6, $7, $8)"""
_BY_NUMBER: Final = "select receipt from card.visit where number = $1 and outlet = $2"
_BY_ID: Final = "select receipt from card.visit where terminal = $1 and visit_id = $2"


async def next_number(driver: "asyncpg.Connection[Any]") -> int:
    """Of a new visit; one that is drawn in vain is lost."""
    number: int = await driver.fetchval(_NEXT)
    return number


async def add_visit(
    driver: "asyncpg.Connection[Any]", number: int, visit_id: str, holder: int, actor: Actor, receipt: object, now_ms: int
) -> None:
    """Keep a receipt; nothing in it is personal."""
    encoded = msgspec.msgpack.encode(receipt)
    await driver.execute(
        _ADD, number, actor.terminal, visit_id, holder or None, actor.number, actor.outlet, encoded, instant(now_ms)
    )


async def find_receipt(driver: "asyncpg.Connection[Any]", actor: Actor, number: int, visit_id: str) -> bytes | None:
    """By the number, at the same outlet; or by the id, at the same terminal."""
    found: bytes | None = await (
        driver.fetchval(_BY_NUMBER, number, actor.outlet) if number else driver.fetchval(_BY_ID, actor.terminal, visit_id)
    )
    return found
