"""A guardian's limits in PostgreSQL: added, never changed; the newest word counts. And how they are told."""

from collections.abc import Iterable
from dataclasses import asdict, fields
from typing import Any, Final

import asyncpg

from onecard.card.v1 import card_events_pb2 as messages
from services.card.domain.actor import Actor
from services.card.domain.spending_limits import NO_LIMITS, LimitPeriod, SpendingLimits
from services.common.clock import instant, milliseconds

LIMIT_COLUMNS: Final = ", ".join(field.name for field in fields(SpendingLimits))
_NEWEST: Final = f"""
select {LIMIT_COLUMNS} from card.spending_limit where holder = $1 order by valid_from desc limit 1"""  # noqa: S608 - our own
# Words on one holder run forward, also where a clock goes back.
_ADD: Final = f"""
insert into card.spending_limit (holder, valid_from, papers, actor, outlet, {LIMIT_COLUMNS})
select $1, greatest($2, max(valid_from) + interval '1 millisecond'), $3, $4, $5, $6, $7, $8, $9, $10, $11
from card.spending_limit where holder = $1"""  # noqa: S608 - our own


async def read_limits(driver: "asyncpg.Connection[Any]", holder: int) -> SpendingLimits:
    """What was said last."""
    row = await driver.fetchrow(_NEWEST, holder)
    return SpendingLimits(*row) if row else NO_LIMITS


async def add_limits(
    driver: "asyncpg.Connection[Any]", holder: int, limits: SpendingLimits, papers: bytes, actor: Actor, now_ms: int
) -> None:
    """Write down what a guardian of a locked holder says; `papers`: who it is, sealed."""
    values = asdict(limits).values()
    await driver.execute(_ADD, holder, instant(now_ms), papers, actor.name, actor.outlet, *values)


def periods_of(rows: Iterable[Any]) -> list[LimitPeriod]:
    """Rows of valid_from and LIMIT_COLUMNS."""
    return [LimitPeriod(SpendingLimits(*limits), milliseconds(since)) for since, *limits in rows]


def told(limits: SpendingLimits) -> messages.SpendingLimits | None:
    """As others hear of it; None: nobody limits anything."""
    if limits == NO_LIMITS:
        return None
    return messages.SpendingLimits(**{name: value for name, value in asdict(limits).items() if value is not None})
