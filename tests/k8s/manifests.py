"""A rendered overlay, and what one wants to know of it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

Manifest = dict[str, Any]
WORKLOADS = ("Deployment", "StatefulSet", "Job", "CronJob")


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a pod, with the environment that it will have."""

    workload: str
    name: str
    what: Manifest
    env: Mapping[str, str]
    secrets: Mapping[str, tuple[str, str]]
    """By variable: the Secret and the key that it comes from."""

    @property
    def process(self) -> str:
        """`services.payments streams`; empty: it is no process of ours."""
        command = self.what["command"]
        return " ".join(command[2:]) if command[:2] == ["python", "-m"] else ""

    @property
    def ports(self) -> Mapping[str, int]:
        """By name."""
        return {port["name"]: port["containerPort"] for port in self.what.get("ports", ())}


class Overlay:
    """Everything that one overlay would apply."""

    def __init__(self, file: Path) -> None:
        self.name = file.stem
        self.manifests: list[Manifest] = json.loads(file.read_text())

    def of(self, *kinds: str) -> list[Manifest]:
        """All of some kinds."""
        return [manifest for manifest in self.manifests if manifest["kind"] in kinds]

    def one(self, kind: str, name: str) -> Manifest:
        """The one with a name."""
        (found,) = (manifest for manifest in self.of(kind) if name_of(manifest) == name)
        return found

    def named(self, kind: str) -> dict[str, Manifest]:
        """All of a kind, by their names."""
        return {name_of(manifest): manifest for manifest in self.of(kind)}

    @cached_property
    def containers(self) -> list[Container]:
        """Of every pod, those that go before among them."""
        return list(self._containers())

    def _containers(self) -> Iterator[Container]:
        for workload in self.of(*WORKLOADS):
            pod = template_of(workload)["spec"]
            for what in (*pod.get("initContainers", ()), *pod["containers"]):
                env: dict[str, str] = {}
                secrets: dict[str, tuple[str, str]] = {}
                for source in what.get("envFrom", ()):
                    env |= self.one("ConfigMap", source["configMapRef"]["name"])["data"]
                for variable in what.get("env", ()):
                    if "value" in variable:
                        env[variable["name"]] = variable["value"]
                    else:
                        secret = variable["valueFrom"]["secretKeyRef"]
                        secrets[variable["name"]] = (secret["name"], secret["key"])
                yield Container(name_of(workload), what["name"], what, env, secrets)

    @cached_property
    def pods(self) -> dict[str, Mapping[str, str]]:
        """The labels of every pod that ours meet, by what starts it: workloads, and what the operators start."""
        ours = {name_of(one): template_of(one)["metadata"]["labels"] for one in self.of(*WORKLOADS)}
        kafka = {f"road-{name}": {"strimzi.io/name": f"road-{name}"} for name in ("kafka", "entity-operator", "kafka-exporter")}
        return {**ours, **kafka, "ledger": {"cnpg.io/cluster": "ledger"}}

    def secret_keys(self) -> dict[str, set[str]]:
        """Which keys each Secret will have, whoever makes it."""
        keys = {"road-cluster-ca-cert": {"ca.crt"}, "ledger-ca": {"ca.crt"}}
        for secret in self.of("ExternalSecret"):
            target, data = secret["spec"]["target"], {item["secretKey"] for item in secret["spec"]["data"]}
            keys[target["name"]] = set(target["template"]["data"]) if "template" in target else data
        for user in self.of("KafkaUser"):
            if user["spec"]["authentication"]["type"] == "tls":
                keys[name_of(user)] = {"user.crt", "user.key"}
        return keys


def name_of(manifest: Manifest) -> str:
    """Its name."""
    return str(manifest["metadata"]["name"])


def template_of(workload: Manifest) -> Manifest:
    """Of its pods."""
    spec: Manifest = workload["spec"]
    template: Manifest = spec.get("jobTemplate", {"spec": spec})["spec"]["template"]
    return template


def matches(selector: Manifest, labels: Mapping[str, str]) -> bool:
    """Whether a selector takes something with these labels."""
    exact = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return exact and all(labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", ()))
