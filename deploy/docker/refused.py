"""In the container of issuance: does Kafka refuse who shows no certificate, and issuance what is not its own?"""

import os
import sys

from kafka import KafkaAdminClient, KafkaProducer
from kafka.errors import KafkaError, TopicAuthorizationFailedError

from services.common import topics
from services.common.kafka_security import PLAIN_TEXT, KafkaSecurity

KAFKA = os.environ["ONECARD_KAFKA"]
ISSUANCE = KafkaSecurity.from_environment(os.environ)
NOBODY = KafkaSecurity.from_environment({"ONECARD_KAFKA_AUTHORITY": os.environ["ONECARD_KAFKA_AUTHORITY"]})


def main() -> None:
    """Ends with 1, and says why, where it does not."""
    for stranger in (PLAIN_TEXT, NOBODY):
        try:
            KafkaAdminClient(bootstrap_servers=KAFKA, bootstrap_timeout_ms=5000, **stranger.arguments()).list_topics()
        except (KafkaError, OSError):
            continue
        sys.exit(f"a stranger came in by {stranger.protocol}")
    issuance = KafkaProducer(bootstrap_servers=KAFKA, max_block_ms=20_000, **ISSUANCE.arguments())
    try:
        issuance.send(topics.TRANSACTIONS_BUS, b"a ride").get(20)
    except TopicAuthorizationFailedError:
        return
    sys.exit("issuance wrote into the topic of buses")


if __name__ == "__main__":
    main()
