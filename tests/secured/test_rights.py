"""Each user may do what the table of rights says and nothing else; who cannot show who he is does not get in."""

import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    KafkaTimeoutError,
    TopicAuthorizationFailedError,
)

from cli.authority import Authority
from cli.servers.secured_kafka import OF_ONE_MACHINE, SecuredKafka
from services.common import topics
from services.common.kafka_security import KafkaSecurity
from services.common.topic_rights import MERCHANTS, SERVICES, Rights, users_of
from services.payments.adapters.kafka_rights import admit, apply_rights, refuse, set_passwords
from tests.support.town import BUS

pytestmark = [pytest.mark.secured, pytest.mark.timeout(300)]

EVERY_TOPIC = (*topics.ALL, *topics.CHANGELOGS)
SOME_TOPICS = frozenset(
    {
        topics.OUTCOMES,
        topics.TRANSACTIONS_BUS,
        topics.TRANSACTIONS_CAMPUS,
        topics.CARD_EVENTS,
        topics.DEAD_LETTERS,
        *topics.CHANGELOGS[:1],
    }
)
"""Of which it is tried whether somebody may: each refusal takes the library a moment."""
REFUSED = (TopicAuthorizationFailedError, ClusterAuthorizationFailedError, GroupAuthorizationFailedError)
PATIENCE_MS = 20_000
NOT_LET_IN_MS = 3_000


@contextmanager
def producing(settings: Mapping[str, str], patience_ms: int = PATIENCE_MS) -> Iterator[KafkaProducer]:
    producer = KafkaProducer(
        bootstrap_servers=settings["ONECARD_KAFKA"],
        acks="all",
        enable_idempotence=False,
        max_block_ms=patience_ms,
        bootstrap_timeout_ms=patience_ms,
        **KafkaSecurity.from_environment(settings).arguments(),
    )
    try:
        yield producer
    finally:
        producer.close(timeout=5)


def write(settings: Mapping[str, str], topic: str, patience_ms: int = PATIENCE_MS) -> None:
    with producing(settings, patience_ms) as producer:
        producer.send(topic, b"", b"key").get(timeout=20)


def written(settings: Mapping[str, str], tried: Iterable[str]) -> set[str]:
    """Which of these topics it may write."""
    may = set()
    with producing(settings) as producer:
        for topic in tried:
            try:
                producer.send(topic, b"", b"key").get(timeout=20)
                may.add(topic)
            except TopicAuthorizationFailedError:
                continue
    return may


def read(settings: Mapping[str, str], names: Iterable[str]) -> set[str]:
    """Of which topics it is given records: each holds some."""
    may = set()
    for topic in names:
        consumer = KafkaConsumer(
            bootstrap_servers=settings["ONECARD_KAFKA"],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            **KafkaSecurity.from_environment(settings).arguments(),
        )
        try:
            partitions = consumer.partitions_for_topic(topic)
            if not partitions:
                continue  # it may not even know of it
            consumer.assign([TopicPartition(topic, number) for number in partitions])
            while not consumer.poll(1000):
                pass
            may.add(topic)
        except TopicAuthorizationFailedError:
            continue
        finally:
            consumer.close()
    return may


@pytest.fixture(scope="module")
def filled(kafka: SecuredKafka) -> None:
    """Every topic holds something."""
    assert written(kafka.administrator(), EVERY_TOPIC) == set(EVERY_TOPIC)


@pytest.mark.usefixtures("merchants", "filled")
@pytest.mark.parametrize("user", OF_ONE_MACHINE)
def test_a_user_writes_and_reads_what_the_table_says(kafka: SecuredKafka, user: str) -> None:
    rights, settings = OF_ONE_MACHINE[user], kafka.user(user)
    assert written(settings, SOME_TOPICS | set(rights.writes)) == set(rights.writes)
    foreign = [topic for topic in (topics.OUTCOMES, topics.TRANSACTIONS_BUS, topics.CARD_EVENTS) if topic not in rights.reads]
    some = [*rights.reads[:2], *foreign]
    assert read(settings, some) == set(rights.reads[:2])


@pytest.mark.usefixtures("merchants", "filled")
@pytest.mark.parametrize("subject", [f"onecard://merchant/{BUS}", f"onecard://merchant/{BUS}/terminal/{BUS}-T0"])
def test_a_merchant_writes_its_scenes_topic_and_reads_none(kafka: SecuredKafka, subject: str) -> None:
    settings = kafka.showing(subject)
    assert written(settings, EVERY_TOPIC) == set(MERCHANTS["bus"].writes)
    assert not read(settings, [topics.OUTCOMES, topics.TRANSACTIONS_BUS, topics.TRANSACTIONS_CAMPUS, topics.DEAD_LETTERS])


@pytest.mark.usefixtures("merchants")
def test_nobody_but_the_administrator_makes_or_deletes_a_topic(kafka: SecuredKafka) -> None:
    for settings in (kafka.showing(f"onecard://merchant/{BUS}"), kafka.user("payments-streams"), kafka.user("card")):
        security = KafkaSecurity.from_environment(settings)
        admin = KafkaAdminClient(bootstrap_servers=settings["ONECARD_KAFKA"], **security.arguments())
        try:
            with pytest.raises(REFUSED):
                admin.create_topics([NewTopic("mine", 1, 1)])
            with pytest.raises(REFUSED):
                admin.delete_topics([topics.TRANSACTIONS_BUS])
        finally:
            admin.close()


@pytest.mark.usefixtures("merchants")
def test_a_group_is_joined_by_whose_it_is(kafka: SecuredKafka) -> None:
    settings = kafka.user("payments-live")
    consumer = KafkaConsumer(
        topics.TRANSACTIONS_BUS,
        bootstrap_servers=settings["ONECARD_KAFKA"],
        group_id="payments-streams",
        **KafkaSecurity.from_environment(settings).arguments(),
    )
    try:
        with pytest.raises(GroupAuthorizationFailedError):
            consumer.poll(PATIENCE_MS)
    finally:
        consumer.close()


@pytest.mark.usefixtures("merchants")
def test_who_has_another_users_name_and_a_wrong_password_is_refused(kafka: SecuredKafka) -> None:
    settings = kafka.user("payments-streams")
    write(settings, topics.OUTCOMES)
    for wrong in ({"ONECARD_KAFKA_PASSWORD": "guessed"}, {"ONECARD_KAFKA_USER": "nobody"}):
        with pytest.raises(KafkaTimeoutError):
            write({**settings, **wrong}, topics.OUTCOMES, NOT_LET_IN_MS)


def test_a_password_that_was_drawn_anew_takes_the_place_of_the_old_one(
    kafka: SecuredKafka, administrator: KafkaAdminClient
) -> None:
    settings = kafka.user("issuance")
    set_passwords(administrator, {"issuance": "another one"})
    try:
        with pytest.raises(KafkaTimeoutError):
            write(settings, topics.ISSUANCE_EVENTS, NOT_LET_IN_MS)
        write({**settings, "ONECARD_KAFKA_PASSWORD": "another one"}, topics.ISSUANCE_EVENTS)
    finally:
        set_passwords(administrator, {"issuance": settings["ONECARD_KAFKA_PASSWORD"]})


def alert(address: str, context: ssl.SSLContext | None) -> str:
    """What the broker says before it hangs up; empty: it hangs up in silence. It may also wait for more."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=15) as plain:
        if context is None:
            plain.sendall(b"\0\0\0\x0e\0\x12\0\0\0\0\0\1\0\4none")  # which versions of what do you speak?
            return "answers" if plain.recv(1)[:1] == b"\0" else ""
        try:
            with context.wrap_socket(plain, server_hostname=host) as connected:
                connected.recv(1)
        except ssl.SSLError as error:
            return str(error.reason)
    return ""


def test_plain_text_and_who_shows_no_certificate_or_a_foreign_one_are_refused(kafka: SecuredKafka, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger").issue(f"onecard://merchant/{BUS}")
    trusting = ssl.create_default_context(cafile=str(kafka.authority.certificate))
    assert "CERTIFICATE_REQUIRED" in alert(kafka.by_certificate, trusting)
    trusting.load_cert_chain(stranger.certificate, stranger.key)
    assert "CERTIFICATE_UNKNOWN" in alert(kafka.by_certificate, trusting)
    for address in (kafka.bootstrap, kafka.by_certificate):
        assert alert(address, None) != "answers"


def test_a_client_does_not_speak_to_a_broker_of_another_authority(kafka: SecuredKafka, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger")
    settings = {**kafka.user("card"), "ONECARD_KAFKA_AUTHORITY": str(stranger.certificate)}
    with pytest.raises(KafkaTimeoutError):
        write(settings, topics.CARD_EVENTS, NOT_LET_IN_MS)


def _first_error(producer: KafkaProducer) -> KafkaError:
    """A refusal reaches the broker's own copy of the rights within a moment."""
    while True:
        try:
            producer.send(topics.TRANSACTIONS_BUS, b"", b"key").get(timeout=20)
        except KafkaError as error:
            return error


@pytest.mark.usefixtures("merchants")
def test_who_is_refused_is_refused_on_a_connection_that_stands(kafka: SecuredKafka, administrator: KafkaAdminClient) -> None:
    with producing(kafka.showing(f"onecard://merchant/{BUS}")) as producer:
        producer.send(topics.TRANSACTIONS_BUS, b"", b"key").get(timeout=20)
        refuse(administrator, f"merchant.{BUS}")
        try:
            assert isinstance(_first_error(producer), TopicAuthorizationFailedError)
        finally:
            assert admit(administrator, f"merchant.{BUS}")
    assert not admit(administrator, f"merchant.{BUS}")


def test_rights_that_are_too_much_are_taken_and_others_users_left_alone(
    kafka: SecuredKafka, administrator: KafkaAdminClient, merchants: dict[str, str]
) -> None:
    users = users_of(merchants, simulation=True)
    assert apply_rights(administrator, users, of_merchants=True) == (0, 0)
    foreign = {"somebody-elses": Rights(reads=("theirs",)), "merchant.GONE": MERCHANTS["campus"]}
    apply_rights(administrator, foreign, of_merchants=False)
    apply_rights(administrator, {"card": Rights(writes=(topics.OUTCOMES,))}, of_merchants=False)
    given_back = apply_rights(administrator, users, of_merchants=True)
    assert given_back == (len(list(SERVICES["card"])), 2)
    assert apply_rights(administrator, {"somebody-elses": Rights()}, of_merchants=False) == (0, 1)
