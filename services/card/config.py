"""What an installation sets, from the environment; secrets come from nowhere else."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from services.common.environment import required, whole
from services.common.kafka_security import PLAIN_TEXT, KafkaSecurity

_SETTINGS: Final = Path(__file__).parents[2] / "settings" / "jiangmen.toml"


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of the card processes."""

    database_url: str = field(repr=False)
    """postgresql+asyncpg://…, the role of the card service."""
    kafka: str
    """Bootstrap servers, host:port[,host:port]."""
    vault: Path
    """The service's own token."""
    vault_pin: str = field(repr=False)
    redis: str = ""
    """host:port, for the electronic card's tokens; empty: there are none."""
    payments: str = ""
    """host:port of the payments API; empty: windows go without what it knows."""
    bank_folder: Path | None = None
    """Files to and from the bank; None: none are exchanged here."""
    bank_every_seconds: int = 1800
    """From one file of applications to the next."""
    bank_online: str = ""
    """host:port of a bank that opens accounts while the applicant waits; empty: none does."""
    sms: str = ""
    """host:port of the gateway of short messages; empty: they wait."""
    issuer_certificate: Path | None = None
    """Of the authority that signs for terminals; None: none is issued here."""
    issuer_key: Path | None = None
    issuer_password: str = field(default="", repr=False)
    kafka_security: KafkaSecurity = PLAIN_TEXT
    metrics_port: int = 0
    """Of the Prometheus endpoint; 0: none."""
    settings: Path = _SETTINGS
    """What differs from city to city."""

    @classmethod
    def from_environment(cls, env: Mapping[str, str] = os.environ) -> "Config":
        """Read ONECARD_* variables. Raises ConfigError."""
        return cls(
            database_url=required(env, "ONECARD_DATABASE_URL", "postgresql+asyncpg://role:password@host:port/onecard"),
            kafka=required(env, "ONECARD_KAFKA", "host:port of a Kafka broker"),
            kafka_security=KafkaSecurity.from_environment(env),
            vault=Path(required(env, "ONECARD_VAULT", "the file of the service's token: `vault create` makes one")),
            vault_pin=required(env, "ONECARD_VAULT_PIN", "the PIN of that token"),
            payments=env.get("ONECARD_PAYMENTS", ""),
            sms=env.get("ONECARD_SMS", ""),
            redis=env.get("ONECARD_REDIS", ""),
            bank_folder=Path(folder) if (folder := env.get("ONECARD_BANK_FOLDER")) else None,
            bank_every_seconds=whole(env, "ONECARD_BANK_EVERY_SECONDS", 1800),
            bank_online=env.get("ONECARD_BANK_ONLINE", ""),
            issuer_certificate=_file(env, "ONECARD_ISSUER_CERTIFICATE"),
            issuer_key=_file(env, "ONECARD_ISSUER_KEY"),
            issuer_password=env.get("ONECARD_ISSUER_PASSWORD", ""),
            metrics_port=whole(env, "ONECARD_METRICS_PORT", 0),
            settings=settings_file(env),
        )


def settings_file(env: Mapping[str, str]) -> Path:
    """What differs from city to city."""
    return Path(env.get("ONECARD_SETTINGS") or _SETTINGS)


def _file(env: Mapping[str, str], name: str) -> Path | None:
    return Path(file) if (file := env.get(name)) else None
