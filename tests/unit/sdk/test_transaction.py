from dataclasses import replace
from hashlib import sha256

import pytest

from onecard.payments.v1.transactions_pb2 import (
    CARD_FORM_SECOND_GENERATION,
    RIDE_SIDE_ENTRY,
    SignedTransaction,
    TransactionBody,
)
from sdk.merchant.transaction import BusRide, CampusLoan, CampusPurchase, CardForm, RideSide, ScenicEntry, identity_of
from tests.support.terminal_keys import sign
from tests.unit.sdk.taps import NOON_MS, ride

COMMON = {"merchant_id": "M", "terminal_id": "T", "card_identifier": "CARD1", "event_time_ms": NOON_MS}


def test_a_ride_carries_no_price() -> None:
    record = sign(ride(1), 5)
    signed = SignedTransaction.FromString(record.record)
    body = TransactionBody.FromString(signed.body)
    assert (body.merchant_id, body.terminal_id, body.terminal_sequence, body.card_identifier) == ("BUS", "V-1", 5, "CARD1")
    assert body.bus_ride.line_id == "L1"
    assert not body.HasField("price_fen")
    assert not body.bus_ride.HasField("shown_fen")
    assert signed.terminal_id == "V-1"
    assert record.digest == sha256(signed.body).digest()
    assert (record.topic, record.key) == ("transactions.bus", b"CARD1")


def test_a_purchase_carries_its_price_and_an_entry_none() -> None:
    purchase = sign(CampusPurchase(**COMMON, outlet_id="O", price_fen=1250), 1)  # type: ignore[arg-type]
    entry = sign(ScenicEntry(**COMMON, gate_id="G"), 1)  # type: ignore[arg-type]
    assert TransactionBody.FromString(SignedTransaction.FromString(purchase.record).body).price_fen == 1250
    assert not TransactionBody.FromString(SignedTransaction.FromString(entry.record).body).HasField("price_fen")
    assert (purchase.topic, entry.topic) == ("transactions.campus", "transactions.scenic")


def test_what_a_tariff_asks_for_is_carried() -> None:
    enter = replace(ride(1), vehicle_id="V", side=RideSide.ENTRY, riders=2, card_form=CardForm.SECOND_GENERATION)
    body = TransactionBody.FromString(SignedTransaction.FromString(sign(enter, 1).record).body)
    assert (body.bus_ride.vehicle_id, body.bus_ride.side, body.bus_ride.riders) == ("V", RIDE_SIDE_ENTRY, 2)
    assert body.card_form == CARD_FORM_SECOND_GENERATION
    loan = CampusLoan(**COMMON, outlet_id="O", item_id="B")  # type: ignore[arg-type]
    body = TransactionBody.FromString(SignedTransaction.FromString(sign(loan, 1).record).body)
    assert (body.campus_loan.item_id, body.campus_loan.returned) == ("B", False)


def test_the_same_tap_gives_the_same_bytes() -> None:
    assert sign(ride(1), 5) == sign(ride(1), 5)
    assert sign(ride(1), 5).digest != sign(ride(1), 6).digest


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"card_identifier": ""}, "card_identifier"),
        ({"card_identifier": "C" * 33}, "card_identifier"),
        ({"card_identifier": "A B"}, "card_identifier"),
        ({"card_identifier": "卡1"}, "card_identifier"),
        ({"merchant_id": ""}, "merchant_id"),
        ({"terminal_id": "T\0"}, "terminal_id"),
        ({"line_id": "L" * 65}, "line_id"),
        ({"event_time_ms": -1}, "event_time_ms"),
        ({"terminal_sequence": 0}, "terminal_sequence"),
        ({"terminal_sequence": 2**63}, "terminal_sequence"),
        ({"shown_fen": -1}, "shown_fen"),
    ],
)
def test_what_the_platform_could_not_take_is_refused_by_its_name(changes: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        BusRide(**({**COMMON, "line_id": "L", "stop_id": "S"} | changes))  # type: ignore[arg-type]


def test_a_purchase_for_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="price_fen"):
        CampusPurchase(**COMMON, outlet_id="O", price_fen=0)  # type: ignore[arg-type]


def test_a_record_without_an_identity_has_none() -> None:
    assert identity_of(b"\xff\xff") is None
    assert identity_of(b"") is None
    assert identity_of(SignedTransaction(body=b"\xff").SerializeToString()) is None
    record = sign(ride(1), 9)
    assert identity_of(record.record) == ("BUS", "V-1", 9, record.digest)
