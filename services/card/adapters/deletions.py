"""Deleting a holder in PostgreSQL: the key is destroyed, whatever finds the person is gone, numbers stay without a person."""

from collections.abc import Iterable
from typing import Any, Final

import asyncpg

from onecard.card.v1.holder_deletions_pb2 import HolderDeletion
from services.card.domain.application import ENDED, ApplicationState
from services.common.clock import instant, milliseconds

_FORGET: Final = (
    """
update card.holder set data_key = null, name = null, birth_date = null, traits = null, phone = null, address = null,
    social_security_number = null, deletion_time = $2, version = version + 1 where id = $1""",
    "insert into card.deletion (holder, at) values ($1, $2) on conflict (holder) do update set sent_time = null",
)
_EMPTY: Final = (
    "delete from card.lookup where holder = $1",
    "delete from card.namesake where holder = $1",
    "delete from card.photo where holder = $1",
    "delete from card.former_identity where holder = $1",
    "delete from card.holder_session where holder = $1",
    "delete from card.electronic_password where card in (select id from card.card where holder = $1)",
    "delete from card.pin where card in (select id from card.card where holder = $1)",
    "update card.document set sealed = null, valid_until = null where holder = $1",
    "update card.card set sealed_number = null, bank_account = null where holder = $1",
    "update card.application set papers = null, remark = '' where holder = $1",
    "update card.bank_row set account = null where application in (select id from card.application where holder = $1)",
)
"""What a destroyed key leaves is noise already; what can go, goes."""
_UNENDED: Final = "select id from card.application where holder = $1 and state <> all($2::smallint[]) order by id"
_MONEY_UNDERWAY: Final = """
select exists (
    select from card.remainder where holder = $1 and (not done or (pay_to = 1 and handed_fen < paid_fen))) or exists (
    select from card.fee f join card.application a on a.id = f.application where a.holder = $1 and f.state in (1, 2))"""
_UNSENT: Final = "select holder, at from card.deletion where sent_time is null order by holder limit $1"
_MARK: Final = "update card.deletion set sent_time = now() where holder = any($1::bigint[])"


async def forget_holder(driver: "asyncpg.Connection[Any]", holder: int, now_ms: int) -> None:
    """Destroy a locked holder's key, and take everything personal away."""
    for statement in _EMPTY:
        await driver.execute(statement, holder)
    for statement in _FORGET:
        await driver.execute(statement, holder, instant(now_ms))


async def unended_applications(driver: "asyncpg.Connection[Any]", holder: int) -> list[int]:
    """Those that are open, or that may be handed in again."""
    return [row[0] for row in await driver.fetch(_UNENDED, holder, list[ApplicationState](ENDED))]


async def money_underway(driver: "asyncpg.Connection[Any]", holder: int) -> bool:
    """Whether a fee or a remainder has not come to its end."""
    return bool(await driver.fetchval(_MONEY_UNDERWAY, holder))


async def unsent_deletions(driver: "asyncpg.Connection[Any]", limit: int) -> list[tuple[int, bytes]]:
    """Holders whose deletion is not on the list outside yet, with what is written there."""
    return [
        (holder, HolderDeletion(holder_id=holder, delete_time_ms=milliseconds(at)).SerializeToString())
        for holder, at in await driver.fetch(_UNSENT, limit)
    ]


async def mark_listed(driver: "asyncpg.Connection[Any]", holders: Iterable[int]) -> None:
    """The broker has them."""
    await driver.execute(_MARK, list(holders))
