"""What a broker has taken away is known: a way back to a moment before that names it."""

import os
import sys

import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

from cli.restore.finish import not_kept
from cli.servers.broker import Broker
from services.common import topic_reader
from services.common.clock import instant, now_ms
from services.common.topic_reader import kept_since
from services.common.topics import OUTCOMES, TRANSACTIONS_BUS
from services.payments.__main__ import main
from tests.support.terminal_keys import vault_settings
from tests.support.town import KEY, Database

# What lies in memory is kept until the broker ends: nothing can be taken away there, neither by age nor by request.
takes_away = pytest.mark.skipif(os.environ.get("BROKER", "tansu") == "tansu", reason="Tansu takes nothing away")


def _send(broker: Broker, topic: str, partition: int) -> int:
    """When the broker took it."""
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap)
    try:
        return int(producer.send(topic, b"one", partition=partition).get(10).timestamp)
    finally:
        producer.close()


def _take_away(broker: Broker, topic: str, partition: int, before: int) -> None:
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    try:
        admin.delete_records({TopicPartition(topic, partition): before})
    finally:
        admin.close()


def test_where_nothing_was_taken_away_nothing_is_named(broker: Broker) -> None:
    _send(broker, OUTCOMES, 1)
    assert kept_since(broker.bootstrap, OUTCOMES) is None
    settings = {"payments": {"ONECARD_KAFKA": broker.bootstrap}}
    assert list(not_kept(instant(now_ms()).isoformat(), settings, frozenset(settings))) == []


@takes_away
def test_a_topic_that_does_not_reach_back_to_the_moment_is_named(broker: Broker) -> None:
    before = now_ms()
    for _ in range(2):
        _send(broker, OUTCOMES, 0)
    second = _send(broker, OUTCOMES, 0)
    _take_away(broker, OUTCOMES, 0, 2)
    assert kept_since(broker.bootstrap, OUTCOMES) == second
    settings = {name: {"ONECARD_KAFKA": broker.bootstrap} for name in ("payments", "card", "issuance")}
    looks = list(not_kept(instant(before).isoformat(), settings, frozenset(settings)))
    assert [look.cause.split()[0] for look in looks] == [OUTCOMES]
    assert "ask merchants" in looks[0].what_to_do
    assert list(not_kept(instant(second).isoformat(), settings, frozenset(settings))) == []


@takes_away
def test_of_a_partition_that_was_emptied_nothing_is_kept_until_now(broker: Broker) -> None:
    _send(broker, TRANSACTIONS_BUS, 2)
    _take_away(broker, TRANSACTIONS_BUS, 2, 1)
    began = now_ms()
    since = kept_since(broker.bootstrap, TRANSACTIONS_BUS)
    assert since is not None
    assert began <= since <= now_ms()


def test_a_broker_that_is_away_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_reader, "_PATIENCE_MS", 1000)
    settings = {"issuance": {"ONECARD_KAFKA": "127.0.0.1:1"}}
    [look] = not_kept(instant(now_ms()).isoformat(), settings, frozenset(settings))
    assert "is not known" in look.cause
    assert "Kafka at 127.0.0.1:1 did not answer" in look.what_to_do


def test_a_ledger_is_not_proved_with_a_topic_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, database: Database) -> None:
    monkeypatch.setattr(topic_reader, "_PATIENCE_MS", 1000)
    monkeypatch.setattr(sys, "argv", ["payments", "verify", "--with-topic"])
    settings = {
        "ONECARD_DATABASE_URL": database.application_url,
        "ONECARD_KAFKA": "127.0.0.1:1",
        "ONECARD_BATCH_KEY": KEY.key.hex(),
    }
    for name, value in {**settings, **vault_settings()}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=r"onecard payments: Kafka at 127\.0\.0\.1:1 did not answer"):
        main()
