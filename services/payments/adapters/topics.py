"""Create the platform's topics; what exists already stays as it is."""

import time
from typing import Final

import structlog
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from services.common import topics
from services.common.kafka_security import PLAIN_TEXT, KafkaSecurity
from services.payments.config import BrokerKind

log = structlog.get_logger()

PARTITIONS: Final[dict[BrokerKind, int]] = {"kafka": 12, "tansu": 4}
_REPLICAS: Final[dict[BrokerKind, int]] = {"kafka": -1, "tansu": 1}
"""-1: as many as the broker makes by default."""
_OFTEN_COMPACTED: Final = {"segment.ms": "600000", "min.cleanable.dirty.ratio": "0.1", "delete.retention.ms": "600000"}
"""A table changes all its rows within the hour, and whoever starts reads all that was not compacted."""
_PATIENCE_SECONDS: Final = 60


def create_topics(bootstrap: str, broker: BrokerKind, partitions: int, security: KafkaSecurity = PLAIN_TEXT) -> list[str]:
    """Returns the names of the topics that are new. Waits for a broker that is late."""
    admin = connect_admin(bootstrap, security)
    try:
        present = set(admin.list_topics())
        wanted = topics.ALL if broker == "tansu" else (*topics.ALL, *topics.CHANGELOGS)
        missing = [name for name in wanted if name not in present]
        for name in missing:
            try:
                number = 1 if name in topics.ORDERED else partitions
                admin.create_topics([NewTopic(name, number, _REPLICAS[broker], topic_configs=settings_of(name, broker))])
            except TopicAlreadyExistsError:
                continue
        return missing
    finally:
        admin.close()


def settings_of(name: str, broker: BrokerKind) -> dict[str, str]:
    """What a topic has that differs from the broker's defaults."""
    if broker == "tansu":
        return {}
    settings = {"message.timestamp.type": "LogAppendTime"}
    if name in topics.ORDERED:
        settings["retention.ms"] = str(topics.WEEK_MS)
    if name in topics.CHANGELOGS:
        settings |= _OFTEN_COMPACTED
    if name in topics.COMPACTED or name in topics.CHANGELOGS:
        settings["cleanup.policy"] = "compact"
    return settings


def connect_admin(bootstrap: str, security: KafkaSecurity) -> KafkaAdminClient:
    """Waits for a broker that is late. Raises KafkaError."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return KafkaAdminClient(bootstrap_servers=bootstrap, **security.arguments())
        except KafkaError:
            if time.monotonic() > deadline:
                raise
            log.warning("waiting_for_broker", bootstrap=bootstrap)
            time.sleep(1)
