"""What an installation sets, from the environment; secrets come from nowhere else."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from services.common.environment import required, whole
from services.common.kafka_security import PLAIN_TEXT, KafkaSecurity

_PRODUCTS: Final = Path(__file__).parents[2] / "products"
_SETTINGS: Final = Path(__file__).parents[2] / "settings" / "jiangmen.toml"
_AUTHORITY: Final = "江门市人力资源和社会保障局"


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of an issuance process."""

    database_url: str = field(repr=False)
    """postgresql+asyncpg://…, the role of the issuance service."""
    kafka: str
    """Bootstrap servers, host:port[,host:port]."""
    card: str
    """host:port of the card service."""
    vault: Path
    """The service's own token."""
    vault_pin: str = field(repr=False)
    vault_socket: Path
    """Of the other vault's process, which has the keys of chips."""
    payments: str = ""
    """host:port of the payments API; empty: no shift is closed."""
    kafka_security: KafkaSecurity = PLAIN_TEXT
    metrics_port: int = 0
    """Of the Prometheus endpoint; 0: none."""
    products: Path = _PRODUCTS
    """What is on each kind of card."""
    settings: Path = _SETTINGS
    """What differs from city to city."""
    authority: str = _AUTHORITY
    """Who issues the cards, as it stands on the plastic."""

    @classmethod
    def from_environment(cls, env: Mapping[str, str] = os.environ) -> "Config":
        """Read ONECARD_* variables. Raises ConfigError."""
        return cls(
            database_url=required(env, "ONECARD_DATABASE_URL", "postgresql+asyncpg://role:password@host:port/onecard"),
            kafka=required(env, "ONECARD_KAFKA", "host:port of a Kafka broker"),
            kafka_security=KafkaSecurity.from_environment(env),
            card=required(env, "ONECARD_CARD", "host:port of the card service"),
            vault=Path(required(env, "ONECARD_VAULT", "the file of the service's token: `vault create` makes one")),
            vault_pin=required(env, "ONECARD_VAULT_PIN", "the PIN of that token"),
            vault_socket=Path(required(env, "ONECARD_VAULT_SOCKET", "the Unix socket of the vault's process")),
            payments=env.get("ONECARD_PAYMENTS", ""),
            metrics_port=whole(env, "ONECARD_METRICS_PORT", 0),
            products=Path(env.get("ONECARD_PRODUCTS") or _PRODUCTS),
            settings=Path(env.get("ONECARD_SETTINGS") or _SETTINGS),
            authority=env.get("ONECARD_AUTHORITY") or _AUTHORITY,
        )
