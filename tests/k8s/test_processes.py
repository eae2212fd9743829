"""Each container is a process of ours with the settings that its code wants, and the ports that it opens."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from cli.authority import Authority
from services.card import __main__ as card
from services.card.config import Config as CardConfig
from services.common.grpc.listen import Listen
from services.issuance import __main__ as issuance
from services.issuance.config import Config as IssuanceConfig
from services.issuance.vault.config import VaultConfig
from services.payments import __main__ as payments
from services.payments.config import Config as PaymentsConfig
from tests.k8s.manifests import Container, Overlay, name_of, template_of

APPS = {"services.payments": payments.app, "services.card": card.app, "services.issuance": issuance.app}
CONFIGS: dict[str, tuple[Any, ...]] = {
    "services.payments streams": (PaymentsConfig,),
    "services.payments live": (PaymentsConfig,),
    "services.payments serve": (PaymentsConfig, Listen),
    "services.card serve": (CardConfig, Listen),
    "services.issuance serve": (IssuanceConfig, Listen),
    "services.issuance vault-serve": (VaultConfig,),
}
ONCE = {"migrate", "grant", "keep-up", "retire-audit"}
OF_DRIVERS = {"PGSSLROOTCERT"}
"""Read by the driver of PostgreSQL."""
_ROOT = Path(__file__).parents[2]


def processes(overlay: Overlay) -> list[Container]:
    """Those that run our code."""
    return [container for container in overlay.containers if container.process]


def settings_of_the_code() -> set[str]:
    """Every variable that some service reads."""
    files = (_ROOT / "services").rglob("*.py")
    return {name for file in files for name in re.findall(r'"(ONECARD_[A-Z0-9_]+)"', file.read_text())}


def filled(container: Container) -> dict[str, str]:
    """Its environment, with something in place of each secret."""
    return {**container.env, **dict.fromkeys(container.secrets, "00112233445566778899aabbccddeeff")} | {
        name: "1" if name.endswith("_VERSION") else "" for name in container.secrets if name.endswith(("_VERSION", "_OLD"))
    }


def commands_of(app: typer.Typer) -> set[str]:
    """As they are typed, those of groups by their own names."""
    own = {str(one.name or getattr(one.callback, "__name__", "").replace("_", "-")) for one in app.registered_commands}
    return own.union(*(commands_of(group.typer_instance) for group in app.registered_groups if group.typer_instance))


def test_every_process_is_there(overlay: Overlay) -> None:
    assert {one.process for one in processes(overlay) if one.process.split()[1] not in ONCE} == set(CONFIGS)


def test_every_command_exists(overlay: Overlay) -> None:
    for container in processes(overlay):
        module, command, *_ = container.process.split()
        assert command in commands_of(APPS[module]), container.process


def test_every_variable_is_a_setting(overlay: Overlay) -> None:
    known = settings_of_the_code() | OF_DRIVERS
    for container in overlay.containers:
        assert {*container.env, *container.secrets} <= known, container.name


def test_the_code_takes_the_settings(overlay: Overlay, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    ours = authority.issue("onecard://service/card")
    files = {"/kafka/ca.crt": authority.certificate, "/kafka/user.crt": ours.certificate, "/kafka/user.key": ours.key}
    for container in processes(overlay):
        env = {name: str(files.get(value, value)) for name, value in filled(container).items()}
        for config in CONFIGS.get(container.process, ()):
            config.from_environment(env)
        if container.process.split()[1] in ONCE:
            assert container.secrets["ONECARD_OWNER_DATABASE_URL"] == ("owner-database", "url")


def test_only_who_goes_before_and_who_keeps_up_is_the_owner(overlay: Overlay) -> None:
    owners = {one.workload for one in overlay.containers if "ONECARD_OWNER_DATABASE_URL" in one.secrets}
    assert owners == {"migrate", "upkeep"}


def test_ports_agree(overlay: Overlay) -> None:
    for container in processes(overlay):
        env, ports = container.env, container.ports
        opened = {
            "grpc": env.get("ONECARD_GRPC_LISTEN", "").rpartition(":")[2],
            "health": env.get("ONECARD_HEALTH_LISTEN", "").rpartition(":")[2],
            "metrics": env.get("ONECARD_METRICS_PORT", ""),
        }
        if "vault-metrics" in ports:
            opened["vault-metrics"] = opened.pop("metrics")
        assert ports == {name: int(port) for name, port in opened.items() if port}, container.name


def test_probes_ask_ports_that_are_open(overlay: Overlay) -> None:
    for container in overlay.containers:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked = container.what.get(probe, {})
            if "grpc" in asked:
                assert asked["grpc"]["port"] == container.ports["health"]
            for way in ("httpGet", "tcpSocket"):
                if way in asked:
                    assert asked[way]["port"] in container.ports
    lasting = [one for one in overlay.containers if one.what.get("ports")]
    assert all("livenessProbe" in one.what and "startupProbe" in one.what for one in lasting)


def test_addresses_lead_to_services(overlay: Overlay) -> None:
    services = overlay.named("Service")
    (platform,) = (one["data"] for one in overlay.of("ConfigMap") if name_of(one).startswith("platform-"))
    for setting in ("ONECARD_PAYMENTS", "ONECARD_CARD", "ONECARD_REDIS"):
        host, _, port = platform[setting].rpartition(":")
        service = services[host]["spec"]
        assert service["clusterIP"] == "None", "callers spread their calls by themselves"
        assert int(port) in {one["port"] for one in service["ports"]}


def test_services_lead_to_ports(overlay: Overlay) -> None:
    named = {(one.workload, port) for one in overlay.containers for port in one.ports}
    for service in overlay.of("Service"):
        target = service["spec"]["selector"]["app.kubernetes.io/name"]
        for port in service["spec"]["ports"]:
            assert (target, port["targetPort"]) in named, name_of(service)
        if service["spec"].get("type") == "LoadBalancer":
            assert service["spec"]["externalTrafficPolicy"] == "Local"
            assert service["spec"]["loadBalancerSourceRanges"]


def test_there_is_time_to_end(overlay: Overlay) -> None:
    """The pause, the drain, and a moment to close what is open; a worker ends within ten seconds."""
    for workload in overlay.of("Deployment"):
        pod = template_of(workload)["spec"]
        for container in overlay.containers:
            if container.workload == name_of(workload) and container.process:
                pause = container.what.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
                drain = float(container.env.get("ONECARD_GRPC_DRAIN_SECONDS", "10"))
                assert pause + drain + 10 < pod["terminationGracePeriodSeconds"], container.process


def test_everything_has_its_stage(overlay: Overlay) -> None:
    """`deploy/k8s/apply` takes one after the other; what has none would never be applied."""
    stages = {one["metadata"].get("labels", {}).get("onecard/stage") for one in overlay.manifests}
    assert stages == {"foundation", "migrations", "services"}


@pytest.mark.parametrize("alone", ["payments-live", "issuance"])
def test_what_must_be_alone_never_runs_twice(overlay: Overlay, alone: str) -> None:
    spec = overlay.one("Deployment", alone)["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"]["type"] == "Recreate"
