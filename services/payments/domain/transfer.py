"""Double entry: a transfer takes an amount from one account and gives it to another."""

from enum import IntEnum
from typing import NamedTuple

from services.payments.domain.tap import Tap

CNY = 156
"""ISO 4217 numeric code of the one currency that cards hold."""


class Code(IntEnum):
    """Why money moved; the numbers are stored."""

    CHARGE = 1
    """The holder pays the merchant."""
    CONCESSION = 2
    """A fund pays the merchant what the holder does not."""
    HOTLIST_LOSS = 3
    """The city pays for a tap of a card that was reported lost and not yet on a published hotlist."""
    TOP_UP = 4
    """The bank brings money to a purse."""


class Leg(NamedTuple):
    """One transfer of an event; the legs of an event post together or not at all."""

    tap: Tap
    row: int
    """The event's row in its batch."""
    leg: int
    code: Code
    debit_account: int
    credit_account: int
    amount_fen: int
    account_id: int
    """The holder's account whose event this is."""
