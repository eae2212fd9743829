"""A pod may do what it must, and reaches whom it must; secrets come from a store."""

from collections.abc import Iterator

from tests.k8s.manifests import WORKLOADS, Manifest, Overlay, matches, name_of, template_of

ROAD, LEDGER, SHARED = ("road-kafka", 9093), ("ledger", 5432), ("valkey", 6379)
PAYMENTS, CARD = ("payments-api", 7443), ("card", 7443)
ARROWS = {
    "payments-streams": {ROAD, LEDGER},
    "payments-live": {ROAD, LEDGER},
    "payments-api": {ROAD, LEDGER, SHARED},
    "card": {ROAD, LEDGER, SHARED, PAYMENTS},
    "issuance": {ROAD, LEDGER, PAYMENTS, CARD},
    "migrate": {LEDGER},
    "upkeep": {LEDGER},
    "valkey": set[tuple[str, int]](),
    "road-kafka": {("road-kafka", 9090), ("road-kafka", 9091)},
    "road-entity-operator": {("road-kafka", 9091)},
    "road-kafka-exporter": {("road-kafka", 9091)},
    "ledger": {LEDGER, ("ledger", 8000)},
}
"""Who opens connections to whom, of all that stands in the namespace."""


def _rules(overlay: Overlay, pod: str, way: str) -> Iterator[Manifest]:
    for policy in overlay.of("NetworkPolicy"):
        spec = policy["spec"]
        if way.capitalize() in spec["policyTypes"] and matches(spec["podSelector"], overlay.pods[pod]):
            yield from spec.get(way, ())


def _open(overlay: Overlay, pod: str, way: str, other: str) -> set[int]:
    """The ports on which a pod may speak to another one (egress), or be spoken to by it (ingress)."""
    end = {"egress": "to", "ingress": "from"}[way]
    return {
        port["port"]
        for rule in _rules(overlay, pod, way)
        for peer in rule[end]
        if "podSelector" in peer and "namespaceSelector" not in peer and matches(peer["podSelector"], overlay.pods[other])
        for port in rule["ports"]
    }


def test_nothing_is_open_by_default(overlay: Overlay) -> None:
    denied = overlay.one("NetworkPolicy", "nothing")["spec"]
    assert denied == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert all(rule["ports"] for pod in overlay.pods for way in ("ingress", "egress") for rule in _rules(overlay, pod, way))


def test_exactly_the_arrows_that_are_needed(overlay: Overlay) -> None:
    assert set(overlay.pods) == set(ARROWS)
    for pod in overlay.pods:
        found = {
            (other, port)
            for other in overlay.pods
            for port in _open(overlay, pod, "egress", other) & _open(overlay, other, "ingress", pod)
        }
        assert found == ARROWS[pod], pod


def test_no_half_of_an_arrow_is_left_over(overlay: Overlay) -> None:
    for pod in overlay.pods:
        for other in overlay.pods:
            allowed = {port for target, port in ARROWS[pod] if target == other}
            assert _open(overlay, pod, "egress", other) == allowed, (pod, other)


def test_what_a_process_is_told_of_it_can_reach(overlay: Overlay) -> None:
    wants = {"ONECARD_DATABASE_URL": LEDGER, "ONECARD_VAULT_DATABASE_URL": LEDGER, "ONECARD_OWNER_DATABASE_URL": LEDGER}
    for container in overlay.containers:
        for setting, arrow in wants.items():
            if setting in container.secrets:
                assert arrow in ARROWS[container.workload]
        if "ONECARD_KAFKA_CERTIFICATE" in container.env:
            assert ROAD in ARROWS[container.workload]


def test_who_shows_metrics_is_asked_by_the_monitoring_alone(overlay: Overlay) -> None:
    for container in overlay.containers:
        for name in {"metrics", "vault-metrics"} & set(container.ports):
            rules = [
                rule
                for rule in _rules(overlay, container.workload, "ingress")
                if container.ports[name] in {port["port"] for port in rule["ports"]}
            ]
            assert [list(rule["from"][0]) for rule in rules] == [["namespaceSelector"]], container.name


def test_probes_alone_reach_the_plain_listener(overlay: Overlay) -> None:
    for pod in overlay.pods:
        assert all(port["port"] != 7480 for rule in _rules(overlay, pod, "ingress") for port in rule["ports"])


def test_pods_are_restricted(overlay: Overlay) -> None:
    accounts = overlay.named("ServiceAccount")
    for workload in overlay.of(*WORKLOADS):
        pod = template_of(workload)["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert accounts[pod["serviceAccountName"]]["automountServiceAccountToken"] is False
        assert pod["serviceAccountName"] == name_of(workload), "each has an account of its own"
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in overlay.containers:
        assert container.what["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container.what["resources"]["requests"]["cpu"]
        assert container.what["resources"]["limits"]["memory"]


def test_there_are_no_rights_in_kubernetes(overlay: Overlay) -> None:
    assert not overlay.of("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")


def test_no_secret_is_in_a_manifest(overlay: Overlay) -> None:
    assert not overlay.of("Secret")


def test_every_secret_comes_from_somewhere(overlay: Overlay) -> None:
    made = overlay.secret_keys()
    for container in overlay.containers:
        for name, key in container.secrets.values():
            assert key in made[name], (container.name, name, key)
    for workload in overlay.of(*WORKLOADS):
        for volume in template_of(workload)["spec"]["volumes"]:
            sources = [volume, *volume.get("projected", {}).get("sources", ())]
            for secret in (source["secret"] for source in sources if "secret" in source):
                name = secret.get("secretName") or secret["name"]
                assert {item["key"] for item in secret.get("items", ())} <= made[name], (name_of(workload), name)


def test_no_secret_is_fetched_for_nobody(overlay: Overlay) -> None:
    text = "".join(str(one) for one in overlay.manifests if one["kind"] != "ExternalSecret")
    for secret in overlay.of("ExternalSecret"):
        assert f"'{name_of(secret)}'" in text, name_of(secret)


def test_keys_of_authorities_stay_where_they_are(overlay: Overlay) -> None:
    """The operators' Secrets hold what signs everybody's certificates; a pod is given the certificate alone."""
    for workload in overlay.of(*WORKLOADS):
        for volume in template_of(workload)["spec"]["volumes"]:
            if volume.get("secret", {}).get("secretName") == "ledger-ca":
                assert volume["secret"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}]


def test_everybody_may_be_moved(overlay: Overlay) -> None:
    budgets = [budget["spec"] for budget in overlay.of("PodDisruptionBudget")]
    for workload in overlay.of("Deployment", "StatefulSet"):
        labels = template_of(workload)["metadata"]["labels"]
        (budget,) = (one for one in budgets if matches(one["selector"], labels))
        assert budget["maxUnavailable"] == 1
