"""After a restore: numbers that were drawn since the backup are not drawn again, and every card is announced anew.

The epoch is raised, so that what is announced from now on counts everywhere, whatever version was announced before.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from services.card.adapters import audit
from services.card.domain.actor import OPERATOR
from services.card.handlers.once import transact
from services.common.gone_back import pass_over

NUMBERS: Final = (
    "application_id",
    "bank_batch_number",
    "card_id",
    "card_number_serial",
    "card_serial",
    "hand_out_number",
    "holder_id",
    "visit_number",
)
"""Sequences whose numbers are known outside of the database."""
_AT_ONCE: Final = 10_000
_RAISE: Final = "update card.installation set epoch = epoch + 1 returning epoch"
_ANNOUNCE: Final = """
with chosen as (
    insert into card.event_outbox (card, version) select id, version from card.card where id > $1 order by id limit $2
    returning card)
select max(card), count(*) from chosen"""
_COUNT: Final = "select count(*) from card.card"


@dataclass(frozen=True, slots=True)
class Restored:
    """What the installation is from now on."""

    epoch: int
    cards: int
    """So many are announced anew."""


async def after_restore(engine: AsyncEngine, passed_over: int, progress: Callable[[int, int], None]) -> Restored:
    """As the owner, before anybody is served. It may be cut off and run again: another epoch follows then.

    `passed_over`: how many numbers of each kind; more than were drawn since the backup.
    """

    async def begin(driver: "asyncpg.Connection[Any]") -> tuple[int, int]:
        for name in NUMBERS:
            await pass_over(driver, f"card.{name}", passed_over)
        epoch, cards = await driver.fetchval(_RAISE), await driver.fetchval(_COUNT)
        await audit.record(driver, OPERATOR, "restore", detail={"epoch": epoch, "cards": cards, "passed_over": passed_over})
        return epoch, cards

    epoch, total = await transact(engine, begin)
    after, announced = 0, 0
    while announced < total:
        after, count = await transact(engine, partial(_announce, after))
        announced += count
        progress(announced, total)
    return Restored(epoch, announced)


async def _announce(after: int, driver: "asyncpg.Connection[Any]") -> tuple[int, int]:
    row = await driver.fetchrow(_ANNOUNCE, after, _AT_ONCE)
    assert row is not None, "an aggregate"
    return row[0], row[1]
