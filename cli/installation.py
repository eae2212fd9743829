"""`python -m cli.installation FOLDER`: what an installation in containers keeps secret, drawn once, and its certificates.

Run again, it changes nothing but certificates whose time is nearly over. docs/compose.md says what each file is for.
"""

import os
import secrets
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from cli.authority import Authority
from cli.city.certificates import Certificates, Registered
from cli.servers.secured_kafka import ADMINISTRATOR, BROKER, OF_ONE_MACHINE
from simulation.city import MERCHANTS

DRAWN: Final = {
    "postgres": 24,
    "payments": 24,
    "card": 24,
    "issuance": 24,
    "issuance-vault": 24,
    "batch-key": 32,
    "payments-pin": 24,
    "card-pin": 24,
    "issuance-pin": 24,
    "chips-pin": 24,
    "payments-administrator": 24,
    "card-administrator": 24,
    "issuance-administrator": 24,
    "chips-administrator": 24,
    "grafana": 12,
}
"""Bytes of each secret."""
READ_FROM_FILES: Final = ("postgres", "grafana")
"""Whose containers read their password from a file: it is not among what an engine tells of a container."""
APIS: Final = ("payments", "card", "issuance")
HOSTS: Final = {**{service: f"{service}-api" for service in APIS}, BROKER: "kafka"}
"""What the containers call those that others ask."""
OF_KAFKA: Final = (BROKER, ADMINISTRATOR, *OF_ONE_MACHINE)
"""Who has a certificate for Kafka."""
OPERATORS: Final = ("operator-1", "operator-2")
"""People who look after it: what one asks, the other approves."""


def prepare(folder: Path) -> None:
    """Fill the folder, which none but its owner may enter: what lies in it for containers may be read by any user there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    drawn = _keep(folder / "secrets.json")
    for name, variables in settings(drawn).items():
        text = "".join(f"{variable}={value}\n" for variable, value in variables.items())
        _write(folder / f"{name}.env", text.encode())
    for reader in READ_FROM_FILES:
        (folder / reader).mkdir(exist_ok=True)
        _write(folder / reader / "password", drawn[reader].encode())
    authority = Authority(folder / "authority")
    for service in APIS:
        _show(folder / "tls" / service, authority, service)
    for user in OF_KAFKA:
        _show(folder / "kafka" / user, authority, user)
    broker = folder / "kafka" / BROKER
    # In one file, as Kafka wants it.
    _write(broker / "keystore.pem", (broker / "tls.key").read_bytes() + (broker / "tls.crt").read_bytes())
    for operator in OPERATORS:
        _show(folder / "operators", authority, operator, f"service+{operator}")
    terminals = Certificates(folder)
    terminals.hand_out(Registered(merchant.merchant_id, merchant.scene.value, merchant.terminals) for merchant in MERCHANTS)
    for shared in (*READ_FROM_FILES, "tls", "kafka", "operators", terminals.folder.name):
        _let_read(folder / shared)


def settings(drawn: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The variables of each container or job, by the name of its file."""

    def url(role: str, secret: str) -> str:
        return f"postgresql+asyncpg://{role}:{drawn[secret]}@postgres:5432/onecard"

    return {
        "roles": {
            "PGPASSWORD": drawn["postgres"],
            **{
                f"{name.upper().replace('-', '_')}_PASSWORD": drawn[name]
                for name in ("payments", "card", "issuance", "issuance-vault")
            },
        },
        "owner": {"ONECARD_OWNER_DATABASE_URL": url("onecard", "postgres")},
        "payments": {
            "ONECARD_DATABASE_URL": url("onecard_payments", "payments"),
            "ONECARD_BATCH_KEY": drawn["batch-key"],
            "ONECARD_VAULT_PIN": drawn["payments-pin"],
        },
        "card": {"ONECARD_DATABASE_URL": url("onecard_card", "card"), "ONECARD_VAULT_PIN": drawn["card-pin"]},
        "issuance": {
            "ONECARD_DATABASE_URL": url("onecard_issuance", "issuance"),
            "ONECARD_VAULT_PIN": drawn["issuance-pin"],
        },
        "issuance-vault": {
            "ONECARD_VAULT_DATABASE_URL": url("onecard_issuance_vault", "issuance-vault"),
            "ONECARD_VAULT_PIN": drawn["chips-pin"],
        },
        **{
            f"{vault}-administrator": {"ONECARD_VAULT_SO_PIN": drawn[f"{vault}-administrator"]}
            for vault in ("payments", "card", "issuance", "chips")
        },
    }


def _show(folder: Path, authority: Authority, service: str, name: str = "tls") -> None:
    """Key first: whoever reads meanwhile finds no pair, and goes on with the one before."""
    hosts = (HOSTS[service], "localhost", "127.0.0.1") if service in HOSTS else ()
    issued = authority.issue(f"onecard://service/{service}", hosts=hosts)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(issued.key, folder / f"{name}.key")
    shutil.copyfile(issued.certificate, folder / f"{name}.crt")
    shutil.copyfile(authority.certificate, folder / "authority.crt")


def _keep(file: Path) -> dict[str, str]:
    kept = msgspec.json.decode(file.read_bytes(), type=dict[str, str]) if file.exists() else {}
    drawn = {name: kept.get(name) or secrets.token_hex(size) for name, size in DRAWN.items()}
    if drawn != kept:
        _write(file, msgspec.json.format(msgspec.json.encode(drawn)))
    return drawn


def _write(file: Path, content: bytes) -> None:
    """Whole or not at all, readable by its owner alone."""
    partial = file.with_name(f"{file.name}.partial")
    partial.unlink(missing_ok=True)
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as written:
        written.write(content)
    partial.rename(file)


def _let_read(folder: Path) -> None:
    """A container's user is another one than the owner of the folder around this one, which keeps all others out."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    prepare(Path(sys.argv[1]))
