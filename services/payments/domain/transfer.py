"""Double entry: a transfer takes an amount from one account and gives it to another."""

from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

CNY = 156
"""ISO 4217 numeric code of the currency that cards hold."""
PLACES = 999
"""ISO 4217 numeric code of no currency: what accounts of places count."""


class Code(IntEnum):
    """Why money moved; the numbers are stored and are those of onecard.payments.v1.TransferCode."""

    CHARGE = 1
    """The holder pays the merchant."""
    CONCESSION = 2
    """A fund pays the merchant what the holder does not."""
    HOTLIST_LOSS = 3
    """The city pays for a tap of a card that was reported lost and not yet on a published hotlist."""
    TOP_UP = 4
    """Money comes to a purse."""
    PAYMENT = 5
    """An online payment, at once or by capture."""
    REFUND = 6
    """A payment given back, in whole or in part."""
    REVERSAL = 7
    """冲正: a one-step payment taken back."""
    BACK_OFFICE = 8
    """Posted by the back office."""
    PURSE_VOID = 9
    """What was left in a purse goes back to its fund."""
    ADJUSTMENT = 10
    """A fare that another tap has changed: what it is now, less what was posted."""
    ADMISSION = 11
    """Somebody entered a site with a quota: places, no money."""


class Leg(NamedTuple):
    """One transfer of an event; the legs of an event post together or not at all."""

    terminal: int
    """With the sequence: the event's identity. 0 as sequence: an online operation, found by (batch, row)."""
    sequence: int
    event_time_ms: int
    row: int
    """The event's row in its batch."""
    leg: int
    code: Code
    debit_account: int
    credit_account: int
    amount_fen: int
    account_id: int
    """The holder's account whose event this is; for the back office the first account that was named."""
    currency: int = CNY


MOST_LEGS: Final = 200
"""Of one event."""
ROWS: Final = 2**14
LEGS: Final = 2**8
"""How many rows of a batch, and legs of a row, an id tells apart."""
_PAYMENT_LEG: Final = LEGS - 1
_LARGEST: Final = 2**52 - 1
_ID: Final = Struct("!QQ")


def transfer_id(now_ms: int, batch: int, row: int, leg: int) -> bytes:
    """A time-ordered UUID (version 7): milliseconds, then batch, row and leg, so it is unique without chance.

    Batch numbers may use 52 bits, rows 14, legs 8.
    """
    place = batch << 22 | row << 8 | leg
    return _ID.pack(now_ms << 16 | 0x7000 | place >> 62, 0x8000_0000_0000_0000 | place & 0x3FFF_FFFF_FFFF_FFFF)


def payment_id(now_ms: int, batch: int, row: int) -> bytes:
    """The id of the payment that the event at this place of the journal makes."""
    return transfer_id(now_ms, batch, row, _PAYMENT_LEG)


def place_of_payment(payment: bytes) -> tuple[int, int]:
    """(batch, row) of the event that made a payment. Any sixteen bytes have an answer, so look whether it stands there."""
    head, tail = _ID.unpack(payment)
    place = (head & 0xFFF) << 62 | tail & 0x3FFF_FFFF_FFFF_FFFF
    return place >> 22 & _LARGEST, place >> 8 & 0x3FFF


def transfers_of_payment(payment: bytes) -> tuple[bytes, bytes]:
    """The first and the last id that the transfers of the event that made a payment may have."""
    return payment[:-1] + b"\0", payment[:-1] + bytes([MOST_LEGS])
