"""Change where a holder is reached, without that anything is applied for."""

from dataclasses import dataclass
from typing import Any

import asyncpg

from services.card.adapters.people import lock_holder
from services.card.adapters.sealing import Sealing
from services.card.domain.actor import Actor
from services.card.domain.application import GUARDIANS, Papers
from services.card.domain.particulars import Particulars, may_tell
from services.card.domain.person import age_on
from services.card.domain.refusal import Refusal
from services.card.domain.settings import ApplicationRules
from services.card.handlers.bring_up_to_date import bring_up_to_date
from services.common.clock import day_of


@dataclass(frozen=True, slots=True)
class NewContact:
    """What is said at a window, and by whom."""

    holder: int
    told: Particulars
    verified: bool
    """The document of whoever stands there was read and compared."""
    guardian: Papers | None = None


@dataclass(frozen=True, slots=True)
class Reached:
    """What became of it."""

    holder: int
    refusal: Refusal | None = None


async def change_contact(
    driver: "asyncpg.Connection[Any]", sealing: Sealing, rules: ApplicationRules, new: NewContact, actor: Actor, now_ms: int
) -> Reached:
    """Another phone or address, or why not. Raises DomainError when there is no such holder."""
    holder = await lock_holder(driver, sealing, new.holder)
    age = age_on(holder.person().birth_date, day_of(now_ms))
    guardian = new.guardian.relation in GUARDIANS if new.guardian else None
    if refusal := may_tell(age, rules.guardian_below_years, guardian, verified=new.verified):
        return Reached(holder.id, refusal)
    changed = await bring_up_to_date(driver, holder, new.told, actor, now_ms, by_guardian=guardian is True)
    return Reached(holder.id, None if changed else Refusal.NOTHING_TO_CORRECT)
