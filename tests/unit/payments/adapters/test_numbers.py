"""Numbers that are stored and numbers that are sent are the same."""

from onecard.card.v1.card_events_pb2 import CardStatus as WireStatus
from onecard.payments.v1.dead_letters_pb2 import Cause as WireCause
from onecard.payments.v1.outcomes_pb2 import Reason as WireReason
from sdk.merchant.transaction import Scene
from services.common import topics
from services.payments.adapters.wire import CHANNEL_OF_TOPIC
from services.payments.domain.card import CardStatus
from services.payments.domain.verdict import Cause, Reason


def test_reasons_agree() -> None:
    ours = {f"REASON_{r.name}": r.value for r in Reason if r}
    assert ours | {"REASON_UNSPECIFIED": 0} == dict(WireReason.items())


def test_causes_agree() -> None:
    assert {f"CAUSE_{c.name}": c.value for c in Cause} | {"CAUSE_UNSPECIFIED": 0} == dict(WireCause.items())


def test_card_statuses_agree() -> None:
    ours = {f"CARD_STATUS_{s.name}": s.value for s in CardStatus}
    assert ours | {"CARD_STATUS_UNSPECIFIED": 0} == dict(WireStatus.items())


def test_merchants_emit_to_the_topics_that_are_read() -> None:
    assert {scene.topic: scene.value for scene in Scene} == CHANNEL_OF_TOPIC
    assert set(CHANNEL_OF_TOPIC) < set(topics.ALL)
