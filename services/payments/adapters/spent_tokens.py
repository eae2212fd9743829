"""Tokens of electronic cards that were used: their numbers are unique here, and that is what makes a token single use."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.common.clock import instant
from services.payments.adapters.payments import columns
from services.payments.domain.operation import Token

_READ: Final = "select token from payments.spent_token where token = any($1::bytea[])"
# One that another batch has spent meanwhile fails here, and the batch begins again.
_WRITE: Final = """
insert into payments.spent_token (token, batch, expire_time)
select n.token, $3, n.expire_time from unnest($1::bytea[], $2::timestamptz[]) as n(token, expire_time) order by n.token"""
_FORGET: Final = text("select payments.forget_spent_tokens()")


async def read_spent(driver: "asyncpg.Connection[Any]", numbers: Sequence[bytes]) -> set[bytes]:
    """Those that were used before; read under the lock of their accounts."""
    return {row[0] for row in await driver.fetch(_READ, numbers)}


async def write_spent(driver: "asyncpg.Connection[Any]", spent: Iterable[Token], batch: int) -> None:
    """They are used, in the transaction of what was paid with them."""
    tokens, until = columns((token.number, instant(token.expire_time_ms)) for token in spent)
    await driver.execute(_WRITE, tokens, until, batch)


async def forget_spent_tokens(connection: AsyncConnection) -> None:
    """Those whose time was over a day ago: whoever showed one again would be refused for that."""
    await connection.execute(_FORGET)
