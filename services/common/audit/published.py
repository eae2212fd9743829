"""What was published of the audit's seals, read from the topic."""

from collections.abc import Iterator

from google.protobuf.message import DecodeError

from onecard.card.v1.audit_seals_pb2 import AuditSeal
from services.common.kafka_security import PLAIN_TEXT, KafkaSecurity
from services.common.topic_reader import read_topic
from services.common.topics import AUDIT_SEALS


def read_published(bootstrap: str, service: str, security: KafkaSecurity = PLAIN_TEXT) -> Iterator[tuple[int, bytes]]:
    """(number, head) of every seal of a service that the broker still keeps. Raises BrokerAwayError while it is away."""
    for value in read_topic(bootstrap, AUDIT_SEALS, security):
        try:
            seal = AuditSeal.FromString(value)
        except DecodeError:
            continue
        if seal.service == service:
            yield seal.seal_number, seal.head
