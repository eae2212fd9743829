"""What a card carries on its chip and its plastic, and to whom it is told."""

import re
from dataclasses import dataclass, field
from typing import Final

from services.card.domain.application import ApplicationState
from services.card.domain.card import Card
from services.card.domain.person import Person

BEING_MADE: Final = frozenset({ApplicationState.IN_PRODUCTION, ApplicationState.AT_OUTLET, ApplicationState.COLLECTED})
"""In these issuance has something to do for an application, and is told what stands on its card."""
_OTHER_NATIONALITY: Final = "97"
"""GB/T 3304: none of the 56; of foreigners, and where a form did not say."""
_CITIZEN: Final = re.compile(r"[1-8][0-9]{16}[0-9X]")


@dataclass(frozen=True, slots=True)
class CardData:
    """A card with whose it is. It is never stored like this."""

    card: Card
    application: int
    """0: none is open for this card any more."""
    person: Person | None = field(repr=False, default=None)
    """None: only how the card stands was asked for."""
    card_number: str = field(repr=False, default="")
    photo: bytes = field(repr=False, default=b"")
    """JPEG; empty where it is not told, or none is kept any more."""


def nationality_on_chip(person: Person) -> str:
    """Two digits."""
    return person.nationality if person.nationality.isdecimal() else _OTHER_NATIONALITY


def birthplace_on_chip(person: Person) -> str:
    """The region that a citizen's number, or a residence permit's, begins with; empty for others."""
    number = person.social_security_number
    return number[:6] if _CITIZEN.fullmatch(number) else ""
