"""Where a payment lies on the road: its tap's records, and its outcomes. Reads the topics, in no group."""

from collections.abc import Iterator
from typing import Final

from google.protobuf.message import DecodeError

from onecard.payments.v1.outcomes_pb2 import Outcome
from onecard.payments.v1.transactions_pb2 import SignedTransaction, TransactionBody
from services.common.kafka_security import KafkaSecurity
from services.common.topic_reader import Placed, read_between
from services.common.topics import OUTCOMES
from services.payments.adapters.wire import SCENE_OF_TOPIC
from services.payments.domain.tap import Scene
from services.payments.domain.trail import Identity, Trail

MINUTE_MS: Final = 60_000
SPANS_MS: Final = (2 * MINUTE_MS, 6 * 60 * MINUTE_MS)
"""How long before its verdict a record is looked for: at first where nearly all are, then where those of a long queue are."""
MOST_RECORDS: Final = 300_000
"""That are read of a topic; what lies further away is not found."""
_TOPIC: Final = {scene: topic for topic, scene in SCENE_OF_TOPIC.items()}


def find_taps(bootstrap: str, security: KafkaSecurity, trail: Trail) -> list[tuple[Placed, TransactionBody]]:
    """Every record of the tap around its verdict: what was sent again is there again. Raises BrokerAwayError."""
    topic = _TOPIC.get(Scene(trail.scene))
    if topic is None:
        return []
    for span_ms in SPANS_MS:
        begin, end = trail.decide_time_ms - span_ms, trail.decide_time_ms + MINUTE_MS
        records = read_between(bootstrap, topic, trail.card_identifiers, begin, end, most=MOST_RECORDS, security=security)
        found = [(record, body) for record in records if (body := _body(record, trail.identity)) is not None]
        if found:
            return found
    return []


def find_outcomes(
    bootstrap: str, security: KafkaSecurity, trail: Trail, times_ms: list[int]
) -> Iterator[tuple[Placed, Outcome]]:
    """What was told of it, around the moments in which something was decided. Raises BrokerAwayError."""
    seen: set[tuple[int, int]] = set()
    merchant = [trail.identity.merchant_id]
    for time_ms in times_ms:
        begin, end = time_ms - 1000, time_ms + MINUTE_MS
        records = read_between(bootstrap, OUTCOMES, merchant, begin, end, most=MOST_RECORDS, security=security)
        for record in records:
            outcome = _outcome(record, trail)
            if outcome is not None and (record.partition, record.offset) not in seen:
                seen.add((record.partition, record.offset))
                yield record, outcome


def _body(record: Placed, identity: Identity) -> TransactionBody | None:
    try:
        body = TransactionBody.FromString(SignedTransaction.FromString(record.value).body)
    except DecodeError:
        return None
    same = (body.merchant_id, body.terminal_id, body.terminal_sequence) == identity[:3]
    return body if same else None


def _outcome(record: Placed, trail: Trail) -> Outcome | None:
    try:
        outcome = Outcome.FromString(record.value)
    except DecodeError:
        return None
    identity = outcome.identity
    if trail.identity.sequence:
        same = (identity.merchant_id, identity.terminal_id, identity.terminal_sequence) == trail.identity[:3]
    else:
        same = bool(identity.request_id) and identity.request_id in trail.request_ids
    return outcome if same else None
