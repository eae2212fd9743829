"""Hand out what waits in cash for a holder. It is noted at the window where the clerk stands, and posted out of that till."""

from dataclasses import dataclass
from typing import Any

import asyncpg

from services.card.adapters import audit, money
from services.card.adapters.people import lock_holder
from services.card.adapters.sealing import Sealing
from services.card.domain.actor import Actor
from services.card.domain.life_cycle import Party
from services.card.domain.refusal import Refusal


@dataclass(frozen=True, slots=True)
class HandedOut:
    """What goes over the counter now. Nothing in it is personal."""

    fees_fen: int = 0
    remainder_fen: int = 0
    refusal: Refusal | None = None


async def hand_out(driver: "asyncpg.Connection[Any]", sealing: Sealing, number: int, party: Party, actor: Actor) -> HandedOut:
    """All of it to `party`, or why nothing. Raises DomainError when there is no such holder."""
    holder = await lock_holder(driver, sealing, number)
    fees_fen = await money.hand_out_fees(driver, holder.id, actor.terminal)
    remainder_fen = await money.hand_out_remainders(driver, holder.id, actor.terminal)
    if not fees_fen + remainder_fen:
        return HandedOut(refusal=Refusal.NOTHING_TO_HAND_OUT)
    detail: dict[str, str | int] = {"party": party.name, "fees_fen": fees_fen, "remainder_fen": remainder_fen}
    await audit.record(driver, actor, "money.hand_out", holder=holder.id, detail=detail)
    return HandedOut(fees_fen, remainder_fen)
