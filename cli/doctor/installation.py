"""Which installation is looked at: the city that runs here, or one that the environment and options name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from socket import AF_INET, SOCK_STREAM, getaddrinfo
from urllib.parse import urlsplit

from cli import paths
from cli.city.state import State


@dataclass(frozen=True, slots=True)
class Installation:
    """Where everything is; what is empty is not looked at."""

    env: Mapping[str, str]
    database_url: str = ""
    kafka: str = ""
    broker: str = "kafka"
    redis: str = ""
    apis: Mapping[str, str] = field(default_factory=dict)
    """host:port of gRPC, by service."""
    metrics: Mapping[str, str] = field(default_factory=dict)
    """Addresses, by process."""
    certificates: tuple[Path, ...] = ()
    vaults: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """File and PIN, by service."""
    folder: Path = paths.ROOT
    """Whose disk is looked at."""


def of_city(state: State, folder: Path, env: Mapping[str, str]) -> Installation:
    """The city that runs in a folder."""
    vaults = {
        service: (settings["ONECARD_VAULT"], settings["ONECARD_VAULT_PIN"])
        for service, settings in (("payments", state.payments), ("card", state.card), ("issuance", state.issuance))
        if "ONECARD_VAULT" in settings
    }
    apis = {"payments": state.api, "card": state.card_api, "issuance": state.issuance_api}
    return Installation(
        env={**env, **state.environment()},
        database_url=state.owner_database_url,
        kafka=state.kafka,
        broker=state.broker,
        redis=state.redis,
        apis={name: address for name, address in apis.items() if address},
        metrics=state.metrics,
        certificates=tuple(Path(state.certificates).glob("*.crt")),
        vaults=vaults,
        folder=folder,
    )


def of_environment(env: Mapping[str, str], metrics: Mapping[str, str]) -> Installation:
    """What the variables of a service, and options, name."""
    apis = {"payments": "ONECARD_API", "card": "ONECARD_CARD_API", "issuance": "ONECARD_ISSUANCE_API"}
    named = [Path(env[name]) for name in ("ONECARD_TLS_CERTIFICATE", "ONECARD_TLS_AUTHORITY") if env.get(name)]
    folder = [*Path(env["ONECARD_CERTIFICATES"]).glob("*.crt")] if env.get("ONECARD_CERTIFICATES") else []
    vault = {"payments": (env["ONECARD_VAULT"], env.get("ONECARD_VAULT_PIN", ""))} if env.get("ONECARD_VAULT") else {}
    return Installation(
        env=env,
        database_url=env.get("ONECARD_OWNER_DATABASE_URL") or env.get("ONECARD_DATABASE_URL", ""),
        kafka=env.get("ONECARD_KAFKA", ""),
        broker=env.get("ONECARD_BROKER", "kafka"),
        redis=env.get("ONECARD_REDIS", ""),
        apis={name: env[variable] for name, variable in apis.items() if env.get(variable)},
        metrics=metrics,
        certificates=(*named, *folder),
        vaults=vault,
    )


def every_instance(named: Mapping[str, str]) -> dict[str, str]:
    """Addresses by process: a name that leads to several machines is that many processes, each with figures of its own."""
    found = {}
    for name, url in named.items():
        machines = _machines(url)
        if len(machines) < 2:
            found[name] = url
            continue
        host = urlsplit(url).hostname or ""
        found |= {f"{name}-{number}": url.replace(host, machine, 1) for number, machine in enumerate(machines, 1)}
    return found


def _machines(url: str) -> list[str]:
    """None where the name is unknown, and where a certificate is for the name."""
    asked = urlsplit(url)
    if asked.scheme != "http" or not asked.hostname:
        return []
    try:
        return sorted({str(at[4][0]) for at in getaddrinfo(asked.hostname, asked.port, AF_INET, SOCK_STREAM)})
    except OSError:
        return []
