"""Set what a guardian lets a child spend: all limits anew, and every card of the child tells it."""

from dataclasses import asdict, dataclass
from typing import Any

import asyncpg

from services.card.adapters import audit
from services.card.adapters.cards import restate_cards
from services.card.adapters.people import lock_holder
from services.card.adapters.sealing import Sealing, encode_papers
from services.card.adapters.spending_limits import add_limits, read_limits
from services.card.domain.actor import Actor
from services.card.domain.application import GUARDIANS, Papers
from services.card.domain.person import Field, age_on
from services.card.domain.refusal import Refusal
from services.card.domain.spending_limits import SpendingLimits, may_limit
from services.common.clock import day_of


@dataclass(frozen=True, slots=True)
class GuardiansWord:
    """What is said at a window, and by whom."""

    holder: int
    limits: SpendingLimits
    verified: bool
    """The document of whoever stands there was read and compared."""
    guardian: Papers | None = None


@dataclass(frozen=True, slots=True)
class Limited:
    """What became of it."""

    holder: int
    refusal: Refusal | None = None


async def set_spending_limits(
    driver: "asyncpg.Connection[Any]", sealing: Sealing, word: GuardiansWord, actor: Actor, now_ms: int
) -> Limited:
    """Other limits, or why not. Raises DomainError when there is no such holder."""
    holder = await lock_holder(driver, sealing, word.holder)
    age = age_on(holder.person().birth_date, day_of(now_ms))
    guardian = word.guardian.relation in GUARDIANS if word.guardian else None
    if refusal := may_limit(age, guardian, verified=word.verified):
        return Limited(holder.id, refusal)
    if word.limits == await read_limits(driver, holder.id):
        return Limited(holder.id, Refusal.NOTHING_TO_CORRECT)
    papers = holder.cipher.seal(Field.PAPERS, encode_papers((0, word.guardian)))
    await add_limits(driver, holder.id, word.limits, papers, actor, now_ms)
    await restate_cards(driver, holder.id, actor, now_ms)
    detail = {name: value for name, value in asdict(word.limits).items() if value is not None}
    await audit.record(driver, actor, "spending_limits.set", holder=holder.id, detail=detail)
    return Limited(holder.id)
