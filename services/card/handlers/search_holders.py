"""Look for people by name and birth date: counted for each person of the staff, and written down before it is answered."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from services.card.adapters import audit
from services.card.adapters.cards import read_cards_of
from services.card.adapters.people import Holder, StoredDocument, page_namesakes, read_documents, read_holders
from services.card.adapters.sealing import Sealing
from services.card.adapters.staff import lock_staff
from services.card.adapters.views import count_acts
from services.card.domain.actor import Actor
from services.card.domain.card import LIVE
from services.card.domain.person import Person
from services.card.domain.settings import StaffRules
from services.card.handlers.once import transact
from services.card.handlers.submit import namesake_digests
from services.common.errors import Code, DomainError

ACT: Final = "holder.search"
_HOUR: Final = 60


class Found(NamedTuple):
    """Somebody of that name and birth date; what is personal is still sealed."""

    holder: Holder
    documents: Sequence[StoredDocument]
    has_live_card: bool


async def search_holders(
    engine: AsyncEngine, sealing: Sealing, rules: StaffRules, person: Person, actor: Actor, *, after: int, limit: int
) -> list[Found]:
    """In order of their numbers, behind one. Raises DomainError for who has searched too often in the last hour."""

    async def look(driver: "asyncpg.Connection[Any]") -> list[Found]:
        await lock_staff(driver, [actor.number])  # so that searches at once are counted one after the other
        if await count_acts(driver, actor, ACT, _HOUR) >= rules.name_searches_per_hour:
            raise DomainError(Code.RESOURCE_EXHAUSTED, "TOO_MANY_SEARCHES", "本小时按姓名查询次数已达上限，请稍后再试")
        ids = await page_namesakes(driver, namesake_digests(sealing, person), after, limit)
        holders, documents = await read_holders(driver, sealing, ids), await read_documents(driver, ids)
        cards = await read_cards_of(driver, ids)
        await audit.record(driver, actor, ACT, detail={"found": len(holders), "after": after})
        for id_ in holders:
            await audit.record(driver, actor, "holder.found", holder=id_)
        return [
            Found(holder, documents.get(id_, ()), any(card.social in LIVE for card in cards.get(id_, ())))
            for id_, holder in holders.items()
        ]

    return await transact(engine, look)
