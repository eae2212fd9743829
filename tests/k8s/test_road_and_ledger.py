"""Topics, rights and sizes of the road, roles and sessions of the ledger: what the code has them be."""

from pathlib import Path

from services.common import topics
from services.common.topic_rights import MERCHANTS, SERVICES, STREAMS, Rights
from services.payments import housekeeping
from services.payments.adapters import topics as made
from tests.k8s.manifests import Manifest, Overlay, name_of

TAPS = {topics.TRANSACTIONS_BUS, topics.TRANSACTIONS_CAMPUS, topics.TRANSACTIONS_SCENIC}
KEDA = Rights()
"""It measures lag, and reads nothing."""
_SERVICES = Path(__file__).parents[2] / "services"
_SPARE_SESSIONS = 40
"""For people, backups, the operator, and the pods that an upgrade starts beside the old ones."""


def _rights(user: Manifest, operation: str, kind: str = "topic") -> set[str]:
    return {
        acl["resource"]["name"]
        for acl in user["spec"]["authorization"]["acls"]
        if acl["resource"]["type"] == kind and operation in acl["operations"]
    }


def _merchants(overlay: Overlay) -> list[Manifest]:
    return [user for user in overlay.of("KafkaUser") if name_of(user).startswith("merchant-")]


def test_topics_are_those_of_the_code(overlay: Overlay) -> None:
    partitions = 36 if overlay.name == "province" else made.PARTITIONS["kafka"]
    found = {name_of(one): (one["spec"]["partitions"], one["spec"]["config"]) for one in overlay.of("KafkaTopic")}
    assert found == {
        name: (1 if name in topics.ORDERED else partitions, made.settings_of(name, "kafka"))
        for name in (*topics.ALL, *topics.CHANGELOGS)
    }


def test_every_service_has_its_rights_and_no_others(overlay: Overlay) -> None:
    users = {name: user for name, user in overlay.named("KafkaUser").items() if not name.startswith("merchant-")}
    table = {name: rights for name, rights in SERVICES.items() if not rights.watches}  # Strimzi's exporter has a way of its own
    assert set(users) - {"keda"} == set(table)
    for name, user in users.items():
        rights = table.get(name, KEDA)
        assert user["spec"]["authentication"] == {"type": "tls"}
        assert _rights(user, "Read") == set(rights.reads), name
        assert _rights(user, "Write") == set(rights.writes), name
        assert _rights(user, "Read", "group") == set(rights.groups), name
        acls = user["spec"]["authorization"]["acls"]
        assert {one for acl in acls for one in acl["operations"]} <= {"Read", "Write", "Describe"}
        assert all(acl["resource"]["patternType"] == "literal" for acl in acls)


def test_a_merchant_writes_its_scene_and_reads_nothing(overlay: Overlay) -> None:
    assert _merchants(overlay)
    for user in _merchants(overlay):
        scene = user["metadata"]["labels"]["onecard/scene"]
        assert user["spec"]["authorization"]["acls"] == [
            {
                "resource": {"type": "topic", "name": f"transactions.{scene}", "patternType": "literal"},
                "operations": ["Write", "Describe"],
            }
        ]
        assert MERCHANTS[scene].writes == (f"transactions.{scene}",)
        assert user["spec"]["authentication"]["type"] == "scram-sha-512"
        assert user["spec"]["quotas"]["producerByteRate"]


def test_nobody_is_heard_without_a_name(overlay: Overlay) -> None:
    kafka = overlay.one("Kafka", "road")["spec"]["kafka"]
    assert kafka["authorization"] == {"type": "simple"}
    assert all(one["tls"] and one["authentication"]["type"] in ("tls", "scram-sha-512") for one in kafka["listeners"])
    assert kafka["config"]["auto.create.topics.enable"] is False


def test_a_copy_is_always_left(overlay: Overlay) -> None:
    config = overlay.one("Kafka", "road")["spec"]["kafka"]["config"]
    brokers = sum(pool["spec"]["replicas"] for pool in overlay.of("KafkaNodePool") if "broker" in pool["spec"]["roles"])
    controllers = sum(pool["spec"]["replicas"] for pool in overlay.of("KafkaNodePool") if "controller" in pool["spec"]["roles"])
    assert brokers >= config["default.replication.factor"]
    assert controllers % 2 == 1
    if overlay.name != "dev":
        assert config["default.replication.factor"] > config["min.insync.replicas"] > 1
        assert controllers >= 3
        ledger = overlay.one("Cluster", "ledger")["spec"]
        assert ledger["instances"] > ledger["postgresql"]["synchronous"]["number"] >= 1
        assert ledger["postgresql"]["synchronous"]["dataDurability"] == "required"


def test_topics_reach_further_back_than_backups(overlay: Overlay) -> None:
    hours = overlay.one("Kafka", "road")["spec"]["kafka"]["config"]["log.retention.hours"]
    for store in overlay.of("ObjectStore"):
        assert hours > 24 * int(store["spec"]["retentionPolicy"].removesuffix("d"))
    assert bool(overlay.of("ObjectStore")) == (overlay.name != "dev") == bool(overlay.of("ScheduledBackup"))


def test_workers_are_at_most_one_a_partition(overlay: Overlay) -> None:
    partitions = overlay.one("KafkaTopic", topics.TRANSACTIONS_BUS)["spec"]["partitions"]
    for scaled in overlay.of("ScaledObject"):
        spec = scaled["spec"]
        assert spec["minReplicaCount"] <= spec["fallback"]["replicas"] <= spec["maxReplicaCount"] == partitions
        asked = {trigger["metadata"]["topic"] for trigger in spec["triggers"]}
        assert asked == TAPS
        for trigger in spec["triggers"]:
            assert trigger["metadata"]["consumerGroup"] == STREAMS
            assert trigger["metadata"]["allowIdleConsumers"] == "false"
            host, _, port = trigger["metadata"]["bootstrapServers"].partition(":")
            assert (host, port) == ("road-kafka-bootstrap.onecard.svc", "9093")
    assert "replicas" not in overlay.one("Deployment", "payments-streams")["spec"] or overlay.name == "dev"


def test_the_ledger_has_sessions_for_all(overlay: Overlay) -> None:
    """The most that each process opens, by how many of it there may be."""
    deployments = overlay.named("Deployment")
    (workers,) = [one["spec"]["maxReplicaCount"] for one in overlay.of("ScaledObject")] or [1]
    most = workers * (4 + 3 + housekeeping.SESSIONS)
    most += deployments["payments-api"]["spec"]["replicas"] * 10
    most += deployments["card"]["spec"]["replicas"] * 20
    most += 30  # issuance, its vault, the live windows
    parameters = overlay.one("Cluster", "ledger")["spec"]["postgresql"]["parameters"]
    assert most + _SPARE_SESSIONS <= int(parameters["max_connections"])
    assert int(parameters["max_locks_per_transaction"]) >= 256


def test_roles_are_those_of_the_migrations(overlay: Overlay) -> None:
    text = "".join(file.read_text() for file in _SERVICES.rglob("migrations/versions/*.py"))
    roles = overlay.one("Cluster", "ledger")["spec"]["managed"]["roles"]
    secrets = overlay.named("ExternalSecret")
    for role in roles:
        assert f"create role {role['name']} nologin" in text
        template = secrets[role["passwordSecret"]["name"]]["spec"]["target"]["template"]["data"]
        assert template["username"] == role["name"]
        assert template["url"].endswith("@ledger-rw:5432/onecard?ssl=verify-full")
    assert text.count("create role ") == len(roles)
