"""What the vault's process is told, from the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.common.environment import ConfigError, required
from services.issuance.adapters.products import PRODUCTS


@dataclass(frozen=True, slots=True)
class VaultConfig:
    """Settings of the vault's process."""

    socket: Path
    vault: Path | None
    """None: the token is in a hardware module."""
    pin: str = field(repr=False)
    database_url: str = field(repr=False)
    """postgresql+asyncpg://…, the role of the vault."""
    products: Path = PRODUCTS
    allowed: frozenset[int] = frozenset()
    """Users beside our own whose processes may speak to it."""
    metrics_port: int = 0

    @classmethod
    def from_environment(cls, env: Mapping[str, str] = os.environ) -> "VaultConfig":
        """Read ONECARD_* variables. Raises ConfigError."""
        vault = env.get("ONECARD_VAULT")
        if not vault and not env.get("ONECARD_PKCS11_MODULE"):
            required(env, "ONECARD_VAULT", "the file of the vault's token: `chip-vault create` makes one")
        allowed, port = env.get("ONECARD_VAULT_USERS", ""), env.get("ONECARD_METRICS_PORT") or "0"
        if not all(uid.isdecimal() for uid in allowed.split(",") if uid) or not port.isdecimal():
            raise ConfigError("ONECARD_VAULT_USERS must hold numbers of users, ONECARD_METRICS_PORT a number")
        return cls(
            Path(required(env, "ONECARD_VAULT_SOCKET", "where the Unix socket of the vault is to be")),
            Path(vault) if vault else None,
            required(env, "ONECARD_VAULT_PIN", "the PIN of the vault's token"),
            required(env, "ONECARD_VAULT_DATABASE_URL", "postgresql+asyncpg://onecard_issuance_vault:…"),
            Path(env.get("ONECARD_PRODUCTS") or PRODUCTS),
            frozenset(int(uid) for uid in allowed.split(",") if uid),
            int(port),
        )
