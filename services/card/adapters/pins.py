"""PINs of cards in PostgreSQL, and the tries at them."""

from typing import Any, Final, NamedTuple

import asyncpg

from services.card.adapters.holder_sessions import end_sessions_of_card
from services.card.adapters.passwords import StoredPassword
from services.common.clock import instant

_TRY: Final = """
with tried as (
    update card.card set wrong_pins = wrong_pins + 1
    where id = $1 and (social = 1 or social = 0 and production = 70) and wrong_pins < $2 returning id)
select p.pin, p.key_version from tried t left join card.pin p on p.card = t.id"""
_TRIES: Final = "select wrong_pins from card.card where id = $1"
_PIN: Final = "select pin, key_version from card.pin where card = $1"
_FORGET: Final = "update card.card set wrong_pins = 0 where id = $1"
_SET: Final = """
insert into card.pin (card, pin, key_version, set_time) values ($1, $2, $3, $4)
on conflict (card) do update set pin = excluded.pin, key_version = excluded.key_version, set_time = excluded.set_time"""


class Try(NamedTuple):
    """A try that was counted as a failure, before anything was looked at."""

    stored: StoredPassword | None
    """None: the card has no PIN, and whatever is given is wrong."""


async def take_try(driver: "asyncpg.Connection[Any]", card: int, most: int) -> Try | None:
    """Count a try; None: no such card, it lets nobody in, or no try is left."""
    row = await driver.fetchrow(_TRY, card, most)
    if row is None:
        return None
    return Try(StoredPassword(*row) if row[0] is not None else None)


async def count_tries(driver: "asyncpg.Connection[Any]", card: int) -> int:
    """How many failed in a row."""
    count: int = await driver.fetchval(_TRIES, card)
    return count


async def read_pin(driver: "asyncpg.Connection[Any]", card: int) -> StoredPassword | None:
    """What is kept of it now."""
    row = await driver.fetchrow(_PIN, card)
    return StoredPassword(*row) if row else None


async def forget_tries(driver: "asyncpg.Connection[Any]", card: int) -> None:
    """The PIN was right, or the holder stands at a window."""
    await driver.execute(_FORGET, card)


async def set_pin(driver: "asyncpg.Connection[Any]", card: int, pin: StoredPassword, now_ms: int) -> None:
    """Another PIN: all tries are given back, and what was opened with the former one ends."""
    await driver.execute(_SET, card, *pin, instant(now_ms))
    await forget_tries(driver, card)
    await end_sessions_of_card(driver, card, now_ms)
