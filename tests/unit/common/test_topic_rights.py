from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.common import topics
from services.common.certificates import sign_authority, sign_caller
from services.common.peer import Subject
from services.common.topic_rights import EVERY, MERCHANT, MERCHANTS, SERVICES, SIMULATION, TRANSACTIONS, users_of
from services.payments.adapters.wire import SCENE_OF_TOPIC
from services.payments.streams import GROUP

LIFE = timedelta(days=1)
ALL = {*topics.ALL, *topics.CHANGELOGS}


def test_the_table_names_topics_that_exist_and_leaves_none_without_a_writer() -> None:
    users = [*SERVICES.values(), *MERCHANTS.values(), *SIMULATION.values()]
    named = {right.name for rights in users for right in rights if right.resource == "topic"} - {EVERY}
    assert named <= ALL
    assert {name for rights in [*SERVICES.values(), *MERCHANTS.values()] for name in rights.writes} == ALL


def test_a_merchant_writes_its_scenes_topic_and_may_nothing_else() -> None:
    for scene, rights in MERCHANTS.items():
        assert [(right.operation, SCENE_OF_TOPIC[right.name].name.lower()) for right in rights] == [("write", scene)]


def test_outcomes_are_read_by_the_api_alone() -> None:
    assert [user for user, rights in users_of({"B": "bus"}, simulation=True).items() if topics.OUTCOMES in rights.reads] == [
        "payments-api"
    ]


def test_no_service_writes_taps() -> None:
    assert not [user for user, rights in SERVICES.items() if set(rights.writes) & set(TRANSACTIONS)]


def test_the_workers_group_is_theirs() -> None:
    assert SERVICES[GROUP].groups == (GROUP,)


def test_no_merchant_can_be_taken_for_a_service_or_another_merchant() -> None:
    merchants = ["payments-api", "merchant.B", "B", "b", "B/terminal/1", "A,UID=payments-api", "B%2F"]
    users = users_of(dict.fromkeys(merchants, "bus"))
    assert len(users) == len(SERVICES) + len(merchants)
    assert all(user.startswith(MERCHANT) for user in users.keys() - SERVICES.keys())
    assert not [user for user in SERVICES if user.startswith(MERCHANT)]
    assert not [user for user in users if set(user) & set(',+"\\<>;= /')], (
        "what a distinguished name or a rule would take apart"
    )


def test_a_certificate_names_the_user_that_kafka_takes_it_for() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    authority = sign_authority("of a test", key, LIFE)
    for subject, user in (
        (Subject(merchant_id="B/1"), "merchant.B%2F1"),
        (Subject(merchant_id="B/1", terminal_id="T"), "merchant.B%2F1"),
        (Subject(service="payments-api"), "payments-api"),
    ):
        certificate = sign_caller(subject.uri, subject.kafka_user, key.public_key(), authority, key, LIFE)
        assert [one.value for one in certificate.subject.get_attributes_for_oid(NameOID.USER_ID)] == [user]
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.UniformResourceIdentifier) == [subject.uri]
