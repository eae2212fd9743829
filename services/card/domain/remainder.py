"""What is left on an account when its card is cancelled, and what becomes of it."""

from dataclasses import dataclass
from enum import IntEnum


class PayTo(IntEnum):
    """Where it goes. The numbers are stored and travel: never changed, never used again."""

    CASH = 1
    """Out of the window's till; to the heir, where the holder has died."""
    BANK = 2


@dataclass(frozen=True, slots=True)
class Remainder:
    """What is to be paid out, as far as it has come."""

    card: int
    holder: int
    pay_to: PayTo
    terminal: str
    attempt: int
    amount_fen: int | None
    """Of this attempt, decided before it is posted; None: not decided yet."""
    paid_fen: int
    done: bool
