"""What happened at a terminal, and the signed record that tells the platform about it.

A tap is a value; `sign` turns it, with the sequence number that its terminal's spool allocated and its terminal's key, into the
very bytes that are kept on disk and emitted, now and at every repetition.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Any, ClassVar, NamedTuple, TypeAlias

from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.cmac import CMAC
from google.protobuf.message import DecodeError

from onecard.payments.v1.transactions_pb2 import BusRide as BusRideBody
from onecard.payments.v1.transactions_pb2 import CampusEntry as CampusEntryBody
from onecard.payments.v1.transactions_pb2 import CampusLoan as CampusLoanBody
from onecard.payments.v1.transactions_pb2 import CampusPurchase as CampusPurchaseBody
from onecard.payments.v1.transactions_pb2 import CardForm as CardFormNumber
from onecard.payments.v1.transactions_pb2 import RideSide as RideSideNumber
from onecard.payments.v1.transactions_pb2 import ScenicEntry as ScenicEntryBody
from onecard.payments.v1.transactions_pb2 import SignedTransaction, TransactionBody

LONGEST_CARD_IDENTIFIER = 32
LONGEST_IDENTIFIER = 64
HIGHEST_SEQUENCE = 2**63 - 1
LATEST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999."""


class Scene(StrEnum):
    """Where a merchant takes payments; each scene has a topic of its own."""

    BUS = "bus"
    CAMPUS = "campus"
    SCENIC = "scenic"

    @property
    def topic(self) -> str:
        """The topic that takes this scene's transactions."""
        return f"transactions.{self.value}"


@dataclass(frozen=True, slots=True)
class TerminalKey:
    """What a terminal signs with in one epoch. It is secret, and no part of what it is shown as."""

    epoch: int
    key: bytes = field(repr=False)
    """SM4, 16 bytes."""
    valid_from_ms: int = 0
    """It signs with it from then on, UTC milliseconds since 1970."""

    def tac(self, body: bytes) -> bytes:
        """交易验证码: SM4-CMAC over the very bytes of a body."""
        context = _keyed(self.key).copy()
        context.update(body)
        return context.finalize()


@lru_cache(maxsize=4096)
def _keyed(key: bytes) -> CMAC:
    """A keyed context costs three times as much as its copy."""
    return CMAC(SM4(key))


class SignedRecord(NamedTuple):
    """A transaction as it is emitted: the same bytes at every repetition."""

    merchant_id: str
    terminal_id: str
    terminal_sequence: int
    digest: bytes
    """SHA-256 of the body: with the identity it tells one transaction from every other."""
    topic: str
    key: bytes
    record: bytes
    """The serialized SignedTransaction."""


class CardForm(StrEnum):
    """What was held to the terminal."""

    SECOND_GENERATION = "second-generation"
    THIRD_GENERATION = "third-generation"
    ELECTRONIC = "electronic"


class RideSide(StrEnum):
    """Which tap of a ride it is, where the fare depends on both."""

    ENTRY = "entry"
    EXIT = "exit"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tap:
    merchant_id: str
    terminal_id: str
    card_identifier: str
    event_time_ms: int
    """The terminal's clock at the tap, UTC milliseconds since 1970."""
    terminal_sequence: int | None = None
    """Given only when the terminal counts itself; otherwise the spool counts for it."""
    card_form: CardForm | None = None
    """None: a card of the third generation."""

    def __post_init__(self) -> None:
        _identifier("merchant_id", self.merchant_id, LONGEST_IDENTIFIER)
        _identifier("terminal_id", self.terminal_id, LONGEST_IDENTIFIER)
        _identifier("card_identifier", self.card_identifier, LONGEST_CARD_IDENTIFIER)
        if not 0 < self.event_time_ms <= LATEST_MS:
            raise ValueError("event_time_ms must lie between 1970 and 9999")
        if self.terminal_sequence is not None and not 1 <= self.terminal_sequence <= HIGHEST_SEQUENCE:
            raise ValueError(f"terminal_sequence must be between 1 and {HIGHEST_SEQUENCE}")


@dataclass(frozen=True, slots=True, kw_only=True)
class BusRide(_Tap):
    """One boarding. It carries no price: the fare is the tariff's to say."""

    scene: ClassVar = Scene.BUS
    line_id: str
    stop_id: str
    shown_fen: int | None = None
    """What the validator showed the rider, for comparison only."""
    vehicle_id: str = ""
    side: RideSide | None = None
    """None: the only tap of the ride."""
    riders: int = 1
    """How many ride on this one card."""

    def __post_init__(self) -> None:
        _Tap.__post_init__(self)
        _name("line_id", self.line_id)
        _name("stop_id", self.stop_id)
        if self.vehicle_id:
            _name("vehicle_id", self.vehicle_id)
        if not 1 <= self.riders < 2**31:
            raise ValueError("riders must be at least 1")
        if self.shown_fen is not None and not 0 <= self.shown_fen < 2**63:
            raise ValueError("shown_fen must not be negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class CampusPurchase(_Tap):
    """One purchase in a canteen or shop, at a price that the merchant names."""

    scene: ClassVar = Scene.CAMPUS
    outlet_id: str
    price_fen: int

    def __post_init__(self) -> None:
        _Tap.__post_init__(self)
        _name("outlet_id", self.outlet_id)
        if not 1 <= self.price_fen < 2**63:
            raise ValueError("price_fen must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class CampusEntry(_Tap):
    """One entry into a building of a campus: a library, a dormitory. It costs what the tariff says, usually nothing."""

    scene: ClassVar = Scene.CAMPUS
    door_id: str

    def __post_init__(self) -> None:
        _Tap.__post_init__(self)
        _name("door_id", self.door_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class CampusLoan(_Tap):
    """A thing that a library lends, or takes back."""

    scene: ClassVar = Scene.CAMPUS
    outlet_id: str
    item_id: str
    returned: bool = False

    def __post_init__(self) -> None:
        _Tap.__post_init__(self)
        _name("outlet_id", self.outlet_id)
        _name("item_id", self.item_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenicEntry(_Tap):
    """One entry at a gate. It carries no price: the ticket is the tariff's to say."""

    scene: ClassVar = Scene.SCENIC
    gate_id: str
    ticket: str = ""
    """The kind of ticket, or the pass that is bought with this tap; empty: the ordinary ticket."""

    def __post_init__(self) -> None:
        _Tap.__post_init__(self)
        _name("gate_id", self.gate_id)
        if self.ticket:
            _name("ticket", self.ticket)


Tap: TypeAlias = BusRide | CampusPurchase | CampusEntry | CampusLoan | ScenicEntry
_FORM: dict[CardForm, Any] = {form: CardFormNumber.Value(f"CARD_FORM_{form.name}") for form in CardForm}
_SIDE: dict[RideSide, Any] = {side: RideSideNumber.Value(f"RIDE_SIDE_{side.name}") for side in RideSide}


def sign(tap: Tap, terminal_sequence: int, key: TerminalKey) -> SignedRecord:
    """The record of a tap under the sequence number that its terminal allocated, signed with its terminal's key."""
    body = TransactionBody(
        merchant_id=tap.merchant_id,
        terminal_id=tap.terminal_id,
        terminal_sequence=terminal_sequence,
        card_identifier=tap.card_identifier,
        event_time_ms=tap.event_time_ms,
    )
    if tap.card_form is not None:
        body.card_form = _FORM[tap.card_form]
    match tap:
        case BusRide():
            ride = BusRideBody(line_id=tap.line_id, stop_id=tap.stop_id, shown_fen=tap.shown_fen, vehicle_id=tap.vehicle_id)
            if tap.side is not None:
                ride.side = _SIDE[tap.side]
            if tap.riders > 1:
                ride.riders = tap.riders
            body.bus_ride.MergeFrom(ride)
        case CampusPurchase():
            body.price_fen = tap.price_fen
            body.campus_purchase.MergeFrom(CampusPurchaseBody(outlet_id=tap.outlet_id))
        case CampusEntry():
            body.campus_entry.MergeFrom(CampusEntryBody(door_id=tap.door_id))
        case CampusLoan():
            loan = CampusLoanBody(outlet_id=tap.outlet_id, item_id=tap.item_id, returned=tap.returned)
            body.campus_loan.MergeFrom(loan)
        case ScenicEntry():
            body.scenic_entry.MergeFrom(ScenicEntryBody(gate_id=tap.gate_id, ticket=tap.ticket))
    return seal(body, tap.scene.topic, key)


def seal(body: TransactionBody, topic: str, key: TerminalKey) -> SignedRecord:
    """Put the transaction code under a body, over the very bytes that are sent."""
    body_bytes = body.SerializeToString()
    tac = key.tac(body_bytes)
    record = SignedTransaction(body=body_bytes, terminal_id=body.terminal_id, epoch=key.epoch, tac=tac)
    return SignedRecord(
        body.merchant_id,
        body.terminal_id,
        body.terminal_sequence,
        sha256(body_bytes).digest(),
        topic,
        body.card_identifier.encode(),
        record.SerializeToString(),
    )


def identity_of(record: bytes) -> tuple[str, str, int, bytes] | None:
    """(merchant, terminal, sequence, body digest) as they stand in a record, or None where it carries no identity."""
    try:
        signed = SignedTransaction.FromString(record)
        body = TransactionBody.FromString(signed.body)
    except DecodeError:
        return None
    if not (body.merchant_id and body.terminal_id and body.terminal_sequence):
        return None
    return body.merchant_id, body.terminal_id, body.terminal_sequence, sha256(signed.body).digest()


def _identifier(field: str, value: str, longest: int) -> None:
    if not 1 <= len(value) <= longest or not (value.isascii() and value.isprintable()) or " " in value:
        raise ValueError(f"{field} must be 1 to {longest} visible ASCII characters")


def _name(field: str, value: str) -> None:
    if not 1 <= len(value) <= LONGEST_IDENTIFIER or not value.isprintable():
        raise ValueError(f"{field} must be 1 to {LONGEST_IDENTIFIER} printable characters")
