"""What is left on an account when its card is cancelled, and what becomes of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, IntEnum

from services.card.domain.card import LIVE, Card, CardKind


class PayTo(IntEnum):
    """Where it goes. The numbers are stored and travel: never changed, never used again."""

    CASH = 1
    """Out of the till of the window where it is handed out; to the heir, where the holder has died."""
    BANK = 2


@dataclass(frozen=True, slots=True)
class Remainder:
    """What is to be paid out, as far as it has come."""

    card: int
    holder: int
    pay_to: PayTo
    attempt: int
    amount_fen: int | None
    """Of this attempt, decided before it is posted; None: not decided yet."""
    paid_fen: int
    """Taken from the purse: to the bank, or to be handed out."""
    done: bool
    """When it was looked at last, nothing was left, and nothing held."""


class Standing(Enum):
    """What may be done with a holder's money because a card of theirs was cancelled."""

    TO_PAY = "it is paid out"
    WAITS = "a temporary card still uses it"
    OVER = "the holder has a card again: the money stays theirs"


def standing(cards: Iterable[Card]) -> Standing:
    """By all the cards that the holder has now."""
    live = {card.kind for card in cards if card.social in LIVE}
    if CardKind.ORDINARY in live:
        return Standing.OVER
    return Standing.WAITS if live else Standing.TO_PAY
