"""Which card somebody shows, by what is on it."""

from typing import Any, Final

import asyncpg

from services.card.adapters.cards import find_card, read_sealed_numbers
from services.card.adapters.people import find_holders, read_holders
from services.card.adapters.sealing import Sealing
from services.card.domain.person import Field, LookupField
from services.card.handlers.view_holder import CardIdentifier, CardNumber

NO_CARD: Final = 0


async def find_shown(driver: "asyncpg.Connection[Any]", sealing: Sealing, by: CardIdentifier | CardNumber) -> int:
    """Its number; NO_CARD: there is none."""
    if isinstance(by, CardIdentifier):
        return await find_card(driver, by.text) or NO_CARD
    holders = set((await find_holders(driver, sealing.digests(LookupField.CARD_NUMBER, by.text))).values())
    for number, holder in (await read_holders(driver, sealing, holders)).items():
        for card, sealed in (await read_sealed_numbers(driver, number)).items():
            if holder.cipher.open(Field.CARD_NUMBER, sealed) == by.text.encode():
                return card
    return NO_CARD
