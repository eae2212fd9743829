"""Numbers that are stored and numbers that are sent are the same, and every one of them can be said."""

from collections.abc import Iterable
from enum import IntEnum
from typing import Any, get_args

import pytest

from onecard.card.v1.card_events_pb2 import CardStatus as WireStatus
from onecard.card.v1.card_events_pb2 import ElectronicUse as WireUse
from onecard.payments.v1.alerts_pb2 import AlertKind as WireAlertKind
from onecard.payments.v1.dead_letter_service_pb2 import ActKind as WireActKind
from onecard.payments.v1.dead_letter_service_pb2 import ReplayOutcome as WireReplayOutcome
from onecard.payments.v1.dead_letter_service_pb2 import Standing as WireStanding
from onecard.payments.v1.dead_letters_pb2 import Cause as WireCause
from onecard.payments.v1.ledger_pb2 import AccountStatus as WireAccountStatus
from onecard.payments.v1.outcomes_pb2 import Operation as WireOperation
from onecard.payments.v1.outcomes_pb2 import Reason as WireReason
from onecard.payments.v1.payments_pb2 import PAYMENT_STATUS_DECLINED
from onecard.payments.v1.payments_pb2 import PaymentStatus as WirePaymentStatus
from onecard.payments.v1.payments_pb2 import TransferCode as WireTransferCode
from onecard.payments.v1.transactions_pb2 import CardForm as WireForm
from onecard.payments.v1.transactions_pb2 import RideSide as WireSide
from sdk.merchant.transaction import Scene
from services.common import topics
from services.payments.adapters.wire import CHANNEL_OF_TOPIC
from services.payments.api.receipts import MESSAGES
from services.payments.domain.account import AccountStatus
from services.payments.domain.alert import AlertKind
from services.payments.domain.card import CardStatus, ElectronicUse
from services.payments.domain.letter import ActKind, ReplayOutcome, Standing
from services.payments.domain.operation import KIND, Kind, Operation
from services.payments.domain.payment import PaymentStatus
from services.payments.domain.tap import CardForm, Side
from services.payments.domain.transfer import Code
from services.payments.domain.verdict import Cause, Reason


@pytest.mark.parametrize(
    ("prefix", "ours", "theirs"),
    [
        ("REASON", [reason for reason in Reason if reason], WireReason),
        ("CAUSE", Cause, WireCause),
        ("CARD_STATUS", CardStatus, WireStatus),
        ("ELECTRONIC_USE", ElectronicUse, WireUse),
        ("OPERATION", Kind, WireOperation),
        ("TRANSFER_CODE", Code, WireTransferCode),
        ("ACCOUNT_STATUS", AccountStatus, WireAccountStatus),
        ("CARD_FORM", [form for form in CardForm if form], WireForm),
        ("ACT_KIND", ActKind, WireActKind),
        ("REPLAY_OUTCOME", ReplayOutcome, WireReplayOutcome),
        ("STANDING", Standing, WireStanding),
        ("ALERT_KIND", AlertKind, WireAlertKind),
        ("RIDE_SIDE", [side for side in Side if side], WireSide),
    ],
)
def test_numbers_agree(prefix: str, ours: Iterable[IntEnum], theirs: Any) -> None:
    named = {f"{prefix}_{one.name}": one.value for one in ours}
    assert named | {f"{prefix}_UNSPECIFIED": 0} == dict(theirs.items())


def test_payment_statuses_agree_and_a_declined_payment_is_none_of_the_ledgers() -> None:
    ours = {f"PAYMENT_STATUS_{status.name}": status.value for status in PaymentStatus}
    more = {"PAYMENT_STATUS_UNSPECIFIED": 0, "PAYMENT_STATUS_DECLINED": PAYMENT_STATUS_DECLINED}
    assert ours | more == dict(WirePaymentStatus.items())
    assert PAYMENT_STATUS_DECLINED not in ours.values()


def test_a_clerk_has_words_for_every_reason_and_each_its_own() -> None:
    assert set(MESSAGES) == set(Reason)
    assert MESSAGES[Reason.NONE] == ""
    said = [message for reason, message in MESSAGES.items() if reason]
    assert all(said)
    assert len(set(said)) == len(said)


def test_every_operation_has_its_kind() -> None:
    assert set(KIND.values()) == set(Kind)
    assert set(KIND) == set(get_args(Operation))


def test_merchants_emit_to_the_topics_that_are_read() -> None:
    assert {scene.topic: scene.value for scene in Scene} == CHANNEL_OF_TOPIC
    assert set(CHANNEL_OF_TOPIC) < set(topics.ALL)
