"""What an electronic card may be used for follows from it, its card and the bank's side; and its numbers are those on the wire."""

from collections.abc import Iterable
from enum import IntEnum
from typing import Any

import pytest

from onecard.card.v1.card_events_pb2 import ElectronicUse as WireUse
from onecard.card.v1.cards_pb2 import ElectronicLevel as WireLevel
from onecard.card.v1.electronic_tokens_pb2 import TokenPurpose as WirePurpose
from services.card.domain.card import ElectronicLevel, FinancialStatus, SocialStatus
from services.card.domain.electronic import ElectronicUse, TokenPurpose, unusable, use_of
from services.card.domain.refusal import Refusal
from tests.unit.card.domain.test_life_cycle import card

QUERY, PAYMENT = ElectronicLevel.QUERY, ElectronicLevel.PAYMENT
NORMAL, LOST = SocialStatus.NORMAL, SocialStatus.TEMPORARILY_LOST
ACTIVE, INACTIVE = FinancialStatus.ACTIVE, FinancialStatus.INACTIVE


@pytest.mark.parametrize(
    ("fields", "use", "to_pay"),
    [
        ({"electronic": QUERY}, ElectronicUse.IDENTIFY, Refusal.ELECTRONIC_LEVEL_TOO_LOW),
        ({"electronic": PAYMENT}, ElectronicUse.PAY, None),
        ({"electronic": PAYMENT, "financial": INACTIVE}, ElectronicUse.IDENTIFY, Refusal.ACCOUNT_NOT_ACTIVE),
        ({"electronic": PAYMENT, "electronic_locked": True}, ElectronicUse.NOTHING, Refusal.ELECTRONIC_LOCKED),
        ({"electronic": PAYMENT, "social": LOST}, ElectronicUse.NOTHING, Refusal.CARD_IS_LOST),
        ({"electronic": PAYMENT, "social": LOST, "electronic_outlives_loss": True}, ElectronicUse.PAY, None),
        ({"electronic": PAYMENT, "social": SocialStatus.FORMALLY_LOST}, ElectronicUse.NOTHING, Refusal.CARD_IS_LOST),
        ({"electronic": PAYMENT, "social": SocialStatus.LOCKED}, ElectronicUse.NOTHING, Refusal.LOCKED),
        ({"social": SocialStatus.CANCELLED}, ElectronicUse.NOTHING, Refusal.CANCELLED),
        ({}, ElectronicUse.NOTHING, Refusal.NO_ELECTRONIC_CARD),
    ],
)
def test_what_it_may_be_used_for(fields: dict[str, Any], use: ElectronicUse, to_pay: Refusal | None) -> None:
    found = card(**{"financial": ACTIVE, **fields})
    assert (use_of(found), unusable(found, TokenPurpose.PAY)) == (use, to_pay)
    assert (unusable(found, TokenPurpose.IDENTIFY) is None) is (use is not ElectronicUse.NOTHING)


@pytest.mark.parametrize(
    ("prefix", "ours", "theirs"),
    [
        ("ELECTRONIC_USE", ElectronicUse, WireUse),
        ("ELECTRONIC_LEVEL", [level for level in ElectronicLevel if level], WireLevel),
        ("TOKEN_PURPOSE", TokenPurpose, WirePurpose),
    ],
)
def test_numbers_agree(prefix: str, ours: Iterable[IntEnum], theirs: Any) -> None:
    named = {f"{prefix}_{one.name}": one.value for one in ours}
    assert named | {f"{prefix}_UNSPECIFIED": 0} == dict(theirs.items())
