"""One Apache Kafka for all of these tests (the day comes first: the others fill its topics with nothing), with TLS, users, and the rights of three merchants."""

from collections.abc import Iterator

import pytest
from kafka import KafkaAdminClient

from cli.servers.secured_kafka import SecuredKafka
from services.common.kafka_security import KafkaSecurity
from services.common.topic_rights import users_of
from services.payments.adapters.kafka_rights import apply_rights
from services.payments.adapters.topics import connect_admin, create_topics
from tests.support.road import PARTITIONS
from tests.support.town import BUS, CAMPUS, SCENIC


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    server = SecuredKafka(tmp_path_factory.mktemp("secured"))
    server.start()
    settings = server.administrator()
    create_topics(settings["ONECARD_KAFKA"], "kafka", PARTITIONS, KafkaSecurity.from_environment(settings))
    yield server
    server.stop()


@pytest.fixture
def administrator(kafka: SecuredKafka) -> Iterator[KafkaAdminClient]:
    settings = kafka.administrator()
    admin = connect_admin(settings["ONECARD_KAFKA"], KafkaSecurity.from_environment(settings))
    yield admin
    admin.close()


@pytest.fixture
def merchants(administrator: KafkaAdminClient) -> dict[str, str]:
    """Those of the town, with their scenes; they have their rights."""
    scenes = {BUS: "bus", CAMPUS: "campus", SCENIC: "scenic"}
    apply_rights(administrator, users_of(scenes, simulation=True), of_merchants=True)
    return scenes
