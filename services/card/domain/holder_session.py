"""A holder who acts by themselves, at a kiosk or online: how they showed who they are, and what that is worth."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from services.card.domain.card import Card, Production, SocialStatus
from services.card.domain.life_cycle import Need
from services.card.domain.refusal import Refusal


class Way(IntEnum):
    """How somebody showed who they are. The numbers are stored: never changed, never used again."""

    CARD_AND_PIN = 1
    IDENTITY_READER = 2
    """At a kiosk, which is enrolled as one."""
    ELECTRONIC_CARD = 3


class SessionEnding(IntEnum):
    """How a session ended before its time."""

    BY_HOLDER = 1
    CARD_BARRED = 2
    """The card that opened it was lost, locked, cancelled, or got another PIN."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Who somebody has shown to be, and how."""

    holder: int
    """0: somebody who is not registered yet, and may apply."""
    way: Way
    card: int | None = None
    """With which it was shown: what bars that card ends the session."""
    reading: bytes | None = None
    """Of somebody who is not registered yet: the digest of the document that was read."""


SHOWN: Final = frozenset({Need.IDENTITY_VERIFIED})
"""What a session stands for when the holder asks for something."""


def bars(card: Card) -> Refusal | None:
    """Why a card lets nobody in, whatever PIN is given; None: it may."""
    match card.social:
        case SocialStatus.SEALED:
            return None if card.production is Production.ISSUED else Refusal.NOT_COLLECTED
        case SocialStatus.NORMAL:
            return None
        case SocialStatus.LOCKED:
            return Refusal.LOCKED
        case SocialStatus.CANCELLED:
            return Refusal.CANCELLED
    return Refusal.CARD_IS_LOST
