"""What a running city tells other commands: `.city/state.json`, readable by its owner alone."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from cli import paths
from cli.servers.mark import Mark, mark_of, read_mark

ASKED = "ONECARD_DATABASE_URL"
VAULT = "ONECARD_VAULT"
SIMULATED_MERCHANTS = "simulation-taps"
"""Kafka's user that emits for every merchant of a city on one machine."""


class NoCityError(RuntimeError):
    """No city runs here and the environment names no other."""


class State(msgspec.Struct, frozen=True):
    """Where everything is. The file disappears when the city ends."""

    runner: Mark
    broker: str
    kafka: str
    redis: str
    database_url: str
    owner_database_url: str
    batch_key: str
    spools: str
    api: str
    """host:port of gRPC, with mutual TLS."""
    certificates: str
    """Folder of the merchants' certificates."""
    card_api: str
    """host:port of the card service."""
    clerks: str
    """File of the demo clerks, with everything that it takes to sign in."""
    card: dict[str, str]
    """The variables of the card service, beside the others."""
    issuance: dict[str, str]
    """The variables of issuance, beside the others."""
    payments: dict[str, str]
    """The variables of payments, beside the others."""
    metrics: dict[str, str]
    """Addresses of the Prometheus endpoints, by process."""
    issuance_api: str = ""
    """host:port of issuance; empty: the city has none."""
    checkpoints: str = ""
    """File of what was published of the ledger's seals."""
    kafka_users: dict[str, dict[str, str]] = {}
    """The variables of each user of Kafka, where Kafka asks who comes."""
    backup_database_url: str = ""
    """The database, as who takes backups."""
    prometheus: str = ""
    """Address of Prometheus, which reads all metrics; empty: it is not installed."""
    alertmanager: str = ""
    """Address of Alertmanager, which tells people of alerts; empty: it is not installed."""

    def environment(self) -> dict[str, str]:
        """The variables that all of the city's processes read."""
        return {
            "ONECARD_DATABASE_URL": self.database_url,
            "ONECARD_OWNER_DATABASE_URL": self.owner_database_url,
            "ONECARD_KAFKA": self.kafka,
            "ONECARD_BROKER": self.broker,
            "ONECARD_REDIS": self.redis,
            "ONECARD_API": self.api,
            "ONECARD_CARD_API": self.card_api,
            "ONECARD_ISSUANCE_API": self.issuance_api,
            "ONECARD_CERTIFICATES": self.certificates,
            "ONECARD_BATCH_KEY": self.batch_key,
            "ONECARD_CHECKPOINTS": self.checkpoints,
            "ONECARD_BACKUP_DATABASE_URL": self.backup_database_url,
        }

    def settings_of_services(self) -> dict[str, dict[str, str]]:
        """Those of each service that differ from the others'."""
        checkpoints = {"ONECARD_CHECKPOINTS": self.checkpoints}
        chips = {"ONECARD_VAULT": str(Path(self.issuance["ONECARD_VAULT"]).with_name("chips.token"))}
        payments = {**checkpoints, **self.payments}
        return {"payments": payments, "card": self.card, "issuance": self.issuance, "issuance-vault": chips}


def write_state(folder: Path, state: State) -> None:
    """Publish it whole: a reader never sees half of it."""
    partial = folder / "state.json.partial"
    partial.unlink(missing_ok=True)
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(state), indent=2))
    partial.rename(folder / "state.json")


def read_state(folder: Path = paths.CITY) -> State | None:
    """The city that runs in a folder; None when there is none, or only the file of one that crashed."""
    try:
        state = msgspec.json.decode((folder / "state.json").read_bytes(), type=State)
    except FileNotFoundError:
        return None
    return state if state.runner.process() else None


def card_environment(folder: Path = paths.CITY, env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Our environment with the variables of the running city's card service; one that names a vault is taken as it is."""
    if VAULT in env:
        return dict(env)
    state = read_state(folder)
    if state is None:
        raise NoCityError(f"no city runs in {folder}: start one with `onecard city run`, or set {VAULT} and its companions")
    return {**env, **state.environment(), **state.card}


def environment(folder: Path = paths.CITY, env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Our environment with the variables of the running city's payments; one that names a database is taken as it is."""
    if ASKED in env:
        return dict(env)
    state = read_state(folder)
    if state is None:
        raise NoCityError(f"no city runs in {folder}: start one with `onecard city run`, or set {ASKED} and its companions")
    return {**env, **state.environment(), **state.payments}


def mark_runner(folder: Path) -> Mark:
    """Leave our own mark, for `onecard city stop` and for the next run."""
    mark = mark_of(os.getpid())
    file = runner_file(folder)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.encode(mark))
    return mark


def read_runner(folder: Path) -> Mark | None:
    """The mark of the city that runs in a folder, from its first moment on."""
    mark = read_mark(runner_file(folder))
    return mark if mark and mark.process() else None


def runner_file(folder: Path) -> Path:
    """Where the mark of the city itself is."""
    return folder / "city.mark"
