"""What mobile kits say of their queues, in PostgreSQL. Nothing in it is personal."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import asyncpg

from services.card.domain.actor import Actor
from services.common.clock import instant, milliseconds

_REPORT: Final = """
insert into card.kit_queue (terminal, outlet, staff, count, ids, report_time) values ($1, $2, $3, $4, $5, $6)
on conflict (terminal) where lost_time is null
do update set outlet = $2, staff = $3, count = $4, ids = $5, report_time = $6"""
_LOSE: Final = "update card.kit_queue set lost_time = $2 where terminal = $1 and lost_time is null and count > 0"
_LOST: Final = """
select id, terminal, count, ids, report_time, staff from card.kit_queue
where outlet = $1 and lost_time is not null and clear_time is null order by id limit 200"""
_CLEAR: Final = """
update card.kit_queue set clear_time = $3 where id = $1 and outlet = $2 and lost_time is not null and clear_time is null
returning count"""


class LostQueue(NamedTuple):
    """What a revoked kit had in its queue when it was heard of last."""

    id: int
    terminal: str
    waiting: int
    ids: list[str]
    report_ms: int
    staff: int


async def report_queue(
    driver: "asyncpg.Connection[Any]", actor: Actor, count: int, ids: Sequence[str], now_ms: int
) -> None:  # fmt: skip
    """A kit says what waits in it; the last word counts."""
    await driver.execute(_REPORT, actor.terminal, actor.outlet, actor.number, count, list(ids), instant(now_ms))


async def lose_queue(driver: "asyncpg.Connection[Any]", terminal: str, now_ms: int) -> None:
    """The kit is lost, and with it what it had said of its queue."""
    await driver.execute(_LOSE, terminal, instant(now_ms))


async def list_lost_queues(driver: "asyncpg.Connection[Any]", outlet: str) -> list[LostQueue]:
    """Those of an outlet whose applicants nobody has asked again yet."""
    return [
        LostQueue(id_, terminal, count, ids, milliseconds(at), staff)
        for id_, terminal, count, ids, at, staff in await driver.fetch(_LOST, outlet)
    ]


async def clear_queue(driver: "asyncpg.Connection[Any]", number: int, outlet: str, now_ms: int) -> int:
    """Its applicants were asked to apply again; how many they are. 0: there is no such queue here."""
    cleared: int | None = await driver.fetchval(_CLEAR, number, outlet, instant(now_ms))
    return cleared or 0
