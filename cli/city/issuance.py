"""Issuance in the city: the vault of chips' keys in a process of its own, beside the service that asks it."""

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cli.city.certificates import Certificates
from cli.city.processes import Processes
from cli.city.secrets import keep_secret
from cli.servers.ports import HOST, listening
from cli.servers.postgres import Postgres

ISSUANCE = "services.issuance"
ISSUANCE_API = "issuance-api"
ISSUANCE_VAULT = "issuance-vault"
READY_SECONDS = 60.0
LONGEST_SOCKET = 100
"""Bytes that every system lets the name of a Unix socket have."""


class IssuanceHouse:
    """What it needs, and how it is started."""

    def __init__(
        self,
        folder: Path,
        processes: Processes,
        certificates: Certificates,
        ports: Mapping[str, int],
        settings: Mapping[str, str],
    ) -> None:
        """`ports`: of the metrics. `settings`: see `issuance_settings`."""
        self._folder = folder
        self._processes = processes
        self._certificates = certificates
        self._ports = ports
        self._settings = settings

    def start(self) -> None:
        """The schema, two tokens, the vault, the service. Payments and the card service may come later."""
        run, settings = self._processes.run, self._settings
        so_pin = {"ONECARD_VAULT_SO_PIN": keep_secret(self._folder / "issuance.so-pin")}
        if not Path(settings["ONECARD_VAULT"]).exists():
            create = ("create", "--development")
            run("issuance-token", ISSUANCE, "vault", *create, env={**settings, **so_pin})
        run("issuance-migrate", ISSUANCE, "migrate", env=settings)
        self._start_vault(so_pin)
        self._start_service()

    def _start_vault(self, so_pin: Mapping[str, str]) -> None:
        token, keys = self._folder / "chips.token", factory_keys(self._folder)
        env = {
            **self._settings,
            "ONECARD_VAULT": str(token),
            "ONECARD_VAULT_PIN": keep_secret(self._folder / "chips.pin"),
            "ONECARD_METRICS_PORT": str(self._ports[ISSUANCE_VAULT]),
        }
        if not token.exists():
            self._processes.run("factory-keys", "simulation", "factory-keys", "--out", str(keys))
            create = ("chip-vault", "create", "--development", "--keys-from", str(keys))
            self._processes.run("chip-vault", ISSUANCE, *create, env={**env, **so_pin})
        child = self._processes.keep(ISSUANCE_VAULT, ISSUANCE, "vault-serve", env=env)
        socket = Path(self._settings["ONECARD_VAULT_SOCKET"])
        child.wait_ready(socket.is_socket, f"its socket {socket} is there", READY_SECONDS)

    def _start_service(self) -> None:
        address = self._settings["ONECARD_GRPC_LISTEN"]
        env = {
            **self._settings,
            **self._certificates.of_the_service("issuance"),
            "ONECARD_METRICS_PORT": str(self._ports[ISSUANCE_API]),
        }
        child = self._processes.keep(ISSUANCE_API, ISSUANCE, "serve", env=env)
        port = int(address.rpartition(":")[2])
        child.wait_ready(lambda: listening(port), f"it serves on {address}", READY_SECONDS)


def issuance_settings(folder: Path, postgres: Postgres, port: int, payments: str, card: str) -> dict[str, str]:
    """What the commands of the issuance service need beside what all need."""
    return {
        "ONECARD_DATABASE_URL": postgres.url_of("issuance"),
        "ONECARD_VAULT": str(folder / "issuance.token"),
        "ONECARD_VAULT_PIN": keep_secret(folder / "issuance.pin"),
        "ONECARD_VAULT_SOCKET": str(_socket(folder)),
        "ONECARD_VAULT_DATABASE_URL": postgres.url_of("issuance-vault"),
        "ONECARD_CARD": card,
        "ONECARD_PAYMENTS": payments,
        "ONECARD_GRPC_LISTEN": f"{HOST}:{port}",
    }


def factory_keys(folder: Path) -> Path:
    """What the city shares with the factory of its blanks; it stays as long as the vault's token does."""
    return folder / "factory.json"


def _socket(folder: Path) -> Path:
    socket = folder.absolute() / "chips.sock"
    if len(str(socket).encode()) <= LONGEST_SOCKET:
        return socket
    home = Path(tempfile.gettempdir()) / f"onecard-{hashlib.sha256(str(socket).encode()).hexdigest()[:16]}"
    home.mkdir(mode=0o700, exist_ok=True)
    return home / "chips.sock"
