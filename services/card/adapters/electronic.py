"""Passwords of electronic cards in PostgreSQL and the tries at them, and the tokens that were used at windows."""

from typing import Any, Final, NamedTuple

import asyncpg

from services.card.adapters.holder_sessions import end_sessions_of_card
from services.card.adapters.passwords import StoredPassword
from services.common.clock import instant

_TRY: Final = """
update card.electronic_password p set failures = failures + 1
from card.card c where p.card = $1 and c.id = p.card and failures < $2 returning c.holder, p.password, p.key_version"""
_FAILURES: Final = "select failures from card.electronic_password where card = $1"
_READ: Final = "select password, key_version from card.electronic_password where card = $1"
_FORGET_FAILURES: Final = "update card.electronic_password set failures = 0 where card = $1"
_SET: Final = """
insert into card.electronic_password (card, password, key_version, set_time) values ($1, $2, $3, $4)
on conflict (card) do update
set password = excluded.password, key_version = excluded.key_version, set_time = excluded.set_time, failures = 0"""
_HAND_ON: Final = "update card.electronic_password set card = $2 where card = $1"
_FORGET: Final = "delete from card.electronic_password where card = $1"
_SPEND: Final = "insert into card.spent_token (token, expire_time) values ($1, $2) on conflict do nothing"
_FORGET_SPENT: Final = "delete from card.spent_token where expire_time < $1"


class Try(NamedTuple):
    """A try that was counted as a failure, before anything was looked at."""

    holder: int
    stored: StoredPassword


async def take_try(driver: "asyncpg.Connection[Any]", card: int, most: int) -> Try | None:
    """Count a try; None: there is no electronic card, or no try is left."""
    row = await driver.fetchrow(_TRY, card, most)
    return Try(row[0], StoredPassword(row[1], row[2])) if row else None


async def count_failures(driver: "asyncpg.Connection[Any]", card: int) -> int:
    """How many failed in a row."""
    return await driver.fetchval(_FAILURES, card) or 0


async def read_password(driver: "asyncpg.Connection[Any]", card: int) -> StoredPassword | None:
    """What is kept of it now."""
    row = await driver.fetchrow(_READ, card)
    return StoredPassword(*row) if row else None


async def forget_failures(driver: "asyncpg.Connection[Any]", card: int) -> None:
    """The password was right."""
    await driver.execute(_FORGET_FAILURES, card)


async def set_password(driver: "asyncpg.Connection[Any]", card: int, password: StoredPassword, now_ms: int) -> None:
    """Another password: all tries are given back, and what was opened with the former one ends."""
    await driver.execute(_SET, card, *password, instant(now_ms))
    await end_sessions_of_card(driver, card, now_ms)


async def hand_on(driver: "asyncpg.Connection[Any]", predecessor: int, successor: int) -> None:
    """The electronic card goes with the new card from now on; its password and its failures stay."""
    await driver.execute(_HAND_ON, predecessor, successor)


async def forget_password(driver: "asyncpg.Connection[Any]", card: int, now_ms: int) -> None:
    """The electronic card has ended."""
    await driver.execute(_FORGET, card)
    await end_sessions_of_card(driver, card, now_ms)


async def spend_token(driver: "asyncpg.Connection[Any]", number: bytes, expire_time_ms: int) -> bool:
    """Use a token; False: somebody has used it before. It is unique here, whatever Redis remembers."""
    return bool(await driver.execute(_SPEND, number, instant(expire_time_ms)) == "INSERT 0 1")


async def forget_spent_tokens(driver: "asyncpg.Connection[Any]", before_ms: int) -> None:
    """Those whose time was over by then: they are refused for that."""
    await driver.execute(_FORGET_SPENT, instant(before_ms))
