"""Whoever began a stream must still be signed in at each of its messages."""

from dataclasses import replace
from typing import Any

import pytest

from services.common.clock import now_ms
from services.common.errors import DomainError
from services.issuance.adapters.card_service import Away, Revoked
from services.issuance.api.actors import Actors
from services.issuance.domain.actor import Actor, Role
from services.issuance.serve import revocations

CLERK = Actor(3, frozenset({Role.CLERK}), 30, "onecard://merchant/CITY-HALL/terminal/W1", "HALL", 2**60)


class CardService:
    """What it says of those whom nobody believes any more."""

    def __init__(self) -> None:
        self.said: Revoked | None = Revoked(frozenset(), {})

    async def revoked(self) -> Revoked:
        if self.said is None:
            raise Away
        return self.said


async def test_a_shift_is_over_when_the_card_service_says_so_or_its_time_is() -> None:
    card: Any = CardService()
    actors = Actors(card)
    listed = revocations(card, actors)
    await listed.read()
    actors.check(CLERK)
    with pytest.raises(DomainError, match="SHIFT_ENDED"):
        actors.check(replace(CLERK, expire_ms=now_ms()))
    card.said = Revoked(frozenset({"1f"}), {}, frozenset({30, 31}))
    await listed.read()
    with pytest.raises(DomainError, match="SHIFT_ENDED"):
        actors.check(CLERK)
    with pytest.raises(DomainError, match="CERTIFICATE_REVOKED"):
        listed.check("1f")
    card.said = None
    await listed.read()
    with pytest.raises(DomainError, match="SHIFT_ENDED"):  # what was heard counts on
        actors.check(CLERK)
    actors.check(replace(CLERK, shift=32))
