"""A broker of either kind starts, answers, restarts, and leaves nothing behind (BROKER=kafka takes Apache Kafka)."""

from pathlib import Path

import psutil
import pytest
from kafka import KafkaAdminClient
from kafka.admin import NewTopic

from cli.servers.broker import Broker, kind_of
from cli.servers.mark import end_leftovers
from cli.servers.ports import listening


def topics(broker: Broker, create: str = "") -> list[str]:
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    try:
        if create:
            admin.create_topics([NewTopic(create, num_partitions=4, replication_factor=1)])
        return list(admin.list_topics())
    finally:
        admin.close()


def test_it_serves_and_only_apache_kafka_remembers(broker: Broker) -> None:
    broker.start()
    assert "rides" in topics(broker, create="rides")
    address = broker.bootstrap
    broker.restart()
    assert broker.bootstrap == address
    assert ("rides" in topics(broker)) == (broker.kind == "kafka")


def test_a_kill_leaves_no_process_and_it_comes_back(broker: Broker) -> None:
    broker.start()
    process = psutil.Process(broker.child.pid)
    broker.kill()
    assert not process.is_running()
    assert not listening(int(broker.bootstrap.rpartition(":")[2]))
    broker.start()
    assert broker.child.alive


def test_a_later_run_finds_and_ends_it(broker: Broker, tmp_path: Path) -> None:
    broker.start()
    assert end_leftovers(tmp_path) == [broker.kind]
    assert not broker.child.alive
    assert end_leftovers(tmp_path) == []


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="tansu, kafka"):
        kind_of("rabbit")
