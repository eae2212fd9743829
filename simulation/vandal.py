"""Makes what no terminal of ours would: one kind of bad record for each way in which the platform refuses one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from random import Random
from typing import NamedTuple

from onecard.payments.v1.transactions_pb2 import BusRide as BusRideBody
from onecard.payments.v1.transactions_pb2 import CampusPurchase as CampusPurchaseBody
from onecard.payments.v1.transactions_pb2 import SignedTransaction, TransactionBody
from sdk.merchant.transaction import Scene, SignedRecord, TerminalKey, seal
from simulation.city import CAMPUSES, LINES, SPARE
from simulation.riders import card_identifier

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class Fault(StrEnum):
    """What can be wrong."""

    PRICE_ON_RIDE = "price-on-ride"
    PRICE_ZERO = "price-zero"
    PRICE_TOO_HIGH = "price-too-high"
    CLOCK_AHEAD = "clock-ahead"
    TOO_OLD = "too-old"
    IDENTITY_REUSED = "identity-reused"
    NUL_IN_TEXT = "nul-in-text"
    UNKNOWN_MERCHANT = "unknown-merchant"
    UNKNOWN_TERMINAL = "unknown-terminal"
    WRONG_SCENE = "wrong-scene"
    WRONG_TAC = "wrong-tac"
    UNKNOWN_EPOCH = "unknown-epoch"
    UNDECODABLE = "undecodable"
    SENT_TWICE = "sent-twice"


class Bad(NamedTuple):
    """A transaction with a fault, before its number is known. The spool counts it as any other tap."""

    fault: Fault
    merchant_id: str
    terminal_id: str
    terminal_sequence: int | None
    card_identifier: str
    event_time_ms: int


NOBODYS_KEY = TerminalKey(1, bytes(16))
"""What somebody signs with who has no key of a terminal."""
NO_EPOCH = 2**31 - 1


def sign_bad(bad: Bad, terminal_sequence: int, key: TerminalKey) -> SignedRecord:
    """The record of a transaction with a fault; `key` is its terminal's."""
    match bad.fault:
        case Fault.WRONG_TAC:
            key = replace(key, key=NOBODYS_KEY.key)
        case Fault.UNKNOWN_EPOCH:
            key = replace(key, epoch=NO_EPOCH)
    body = TransactionBody(
        merchant_id=bad.merchant_id,
        terminal_id=bad.terminal_id,
        terminal_sequence=terminal_sequence,
        card_identifier=bad.card_identifier,
        event_time_ms=bad.event_time_ms,
    )
    purchase = CampusPurchaseBody(outlet_id=CAMPUSES[0].places[0].name)
    match bad.fault:
        case Fault.PRICE_ON_RIDE:
            body.price_fen = 100
            body.bus_ride.CopyFrom(_RIDE)
        case Fault.PRICE_ZERO | Fault.PRICE_TOO_HIGH:
            body.price_fen = 0 if bad.fault is Fault.PRICE_ZERO else 1_000_000
            body.campus_purchase.CopyFrom(purchase)
            return seal(body, Scene.CAMPUS.topic, key)
        case Fault.WRONG_SCENE:
            body.campus_purchase.CopyFrom(purchase)
        case _:
            body.bus_ride.CopyFrom(_RIDE)
    return seal(body, Scene.BUS.topic, key)


_RIDE = BusRideBody(line_id=LINES[0].name, stop_id="STOP-01")


def make_bad(fault: Fault, number: int, now_ms: int, victim: SignedRecord) -> Bad:
    """A transaction with a fault, of the card with a number; `victim` is a genuine record whose identity may be taken."""
    place = CAMPUSES[0].places[0] if fault in (Fault.PRICE_ZERO, Fault.PRICE_TOO_HIGH) else LINES[0]
    bad = Bad(fault, place.merchant_id, SPARE, None, card_identifier(number), now_ms)
    change: Mapping[Fault, Callable[[], Bad]] = {
        Fault.CLOCK_AHEAD: lambda: bad._replace(event_time_ms=now_ms + HOUR_MS),
        Fault.TOO_OLD: lambda: bad._replace(event_time_ms=now_ms - 181 * DAY_MS),
        Fault.NUL_IN_TEXT: lambda: bad._replace(card_identifier=f"CARD\0{number}"),
        Fault.UNKNOWN_MERCHANT: lambda: bad._replace(merchant_id="NOBODY"),
        Fault.UNKNOWN_TERMINAL: lambda: bad._replace(terminal_id="STOLEN-1"),
        Fault.IDENTITY_REUSED: lambda: bad._replace(
            merchant_id=victim.merchant_id, terminal_id=victim.terminal_id, terminal_sequence=victim.terminal_sequence
        ),
    }
    return change[fault]() if fault in change else bad


def undecodable(chance: Random) -> bytes:
    """Bytes that are no transaction: no message at all, or a message without a body, or with a broken one."""
    noise = chance.randbytes(24)
    no_body = SignedTransaction(tac=noise)
    broken_body = SignedTransaction(body=b"\xff" + noise)
    return chance.choice((b"\xff\xff" + noise, no_body.SerializeToString(), broken_body.SerializeToString()))
