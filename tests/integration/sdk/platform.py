"""A broker with the platform's topics, and a platform that posts whatever it reads: the merchants' side needs no more."""

import threading
import time
from collections import Counter
from collections.abc import Callable

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import KafkaError

from cli.servers.broker import Broker
from onecard.payments.v1.outcomes_pb2 import (
    REASON_IDENTITY_CONFLICT,
    VERDICT_POSTED,
    VERDICT_REFUSED,
    Outcome,
    TransactionIdentity,
)
from sdk.merchant.client import TOPICS
from sdk.merchant.transaction import identity_of
from services.common.topics import OUTCOMES

PARTITIONS = 4


def create_topics(broker: Broker) -> None:
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    try:
        there = set(admin.list_topics())
        missing = [name for name in (*TOPICS, OUTCOMES) if name not in there]
        if missing:
            admin.create_topics([NewTopic(name=name, num_partitions=PARTITIONS, replication_factor=1) for name in missing])
    finally:
        admin.close()


class Responder:
    """Answers every transaction: the first body of an identity is posted for 2 yuan, another one is a conflict.

    Lives as long as one life of the broker; `known` survives it, as a ledger does.
    """

    def __init__(self, broker: Broker, known: dict[tuple[str, str, int], bytes]) -> None:
        self._broker = broker
        self._known = known
        self._stopping = threading.Event()
        self.received: Counter[bytes] = Counter()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Responder":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._serve()
        except KafkaError:
            if not self._stopping.is_set():
                raise

    def _serve(self) -> None:
        consumer = KafkaConsumer(
            bootstrap_servers=self._broker.bootstrap,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=20,
        )
        producer = KafkaProducer(bootstrap_servers=self._broker.bootstrap, enable_idempotence=False, linger_ms=5)
        consumer.assign([TopicPartition(topic, number) for topic in TOPICS for number in range(PARTITIONS)])
        while not self._stopping.is_set():
            for records in consumer.poll(timeout_ms=50).values():
                for record in records:
                    self.received[record.value] += 1
                    self._answer(producer, record.value)
        consumer.close()
        producer.close(timeout=1)

    def _answer(self, producer: KafkaProducer, record: bytes) -> None:
        found = identity_of(record)
        assert found is not None
        merchant_id, terminal_id, sequence, digest = found
        same = self._known.setdefault((merchant_id, terminal_id, sequence), digest) == digest
        outcome = Outcome(
            identity=TransactionIdentity(merchant_id=merchant_id, terminal_id=terminal_id, terminal_sequence=sequence),
            body_digest=digest,
            verdict=VERDICT_POSTED if same else VERDICT_REFUSED,
            batch_number=1 if same else 0,
            batch_row=1 if same else 0,
        )
        if not same:
            outcome.reason = REASON_IDENTITY_CONFLICT
        outcome.fare.amount_fen = outcome.charged.amount_fen = 200 if same else 0
        producer.send(OUTCOMES, outcome.SerializeToString(), merchant_id.encode())


def eventually(is_so: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
