"""What an installation sets, from the environment; secrets come from nowhere else."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from services.common.environment import ConfigError, required, whole
from services.common.kafka_security import PLAIN_TEXT, KafkaSecurity, on_loopback

BrokerKind = Literal["kafka", "tansu"]

TANSU_WAIT_MS = 50
"""Of a fetch. Tansu walks over every batch that a partition holds, and gives nothing of what it does not reach in this time:
measured, 10 ms are over behind 14,000 batches in each of six partitions, a quarter of an hour of a city; 50 ms are not."""

_REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of the payments processes."""

    database_url: str
    """postgresql+asyncpg://…, the application's role."""
    kafka: str
    """Bootstrap servers, host:port[,host:port]."""
    broker: BrokerKind = "kafka"
    redis: str = ""
    """host:port of what processes share; empty: each limits its callers by itself, and nothing is paid by token."""
    vault: Path | None = None
    """The service's own token, with the root of terminals' keys; None: it is in a hardware module."""
    vault_pin: str = field(default="", repr=False)
    kafka_security: KafkaSecurity = PLAIN_TEXT
    metrics_port: int = 0
    """Of the Prometheus endpoint; 0: none."""
    tariffs: Path = field(default=_REPOSITORY / "tariffs" / "jiangmen")
    """The folder of the city's tariff files."""
    rules: Path = field(default=_REPOSITORY / "rules" / "jiangmen.toml")
    """Limits of online payments, and what bound purses pay for."""
    live: Path = field(default=_REPOSITORY / "rules" / "jiangmen-live.toml")
    """What the live windows take for unusual, and where merchants are."""
    batch_key: bytes = b""
    """Key of the batch digests (HMAC-SM3), 16 bytes or more."""
    batch_key_version: int = 1
    old_batch_keys: Mapping[int, bytes] = field(default_factory=dict)
    """Keys of before, by version: what was digested with them can still be proved."""
    checkpoints: Path | None = None
    """File that the elected worker appends the heads of the seals to; None: none."""
    acceptance_horizon_days: int = 180
    """City setting: older taps post nothing, for ever."""
    clock_tolerance_seconds: int = 600
    """City setting: how far ahead of ours a terminal's clock may be."""
    hotlist_grace_seconds: int = 0
    """City setting: how long after a hotlist's publication the city still pays for a lost card's taps."""
    hold_seconds: int = 7 * 24 * 3600
    """City setting: how long a hold lives when its caller does not say."""
    projection_limit_seconds: int = 30
    """Online payments are refused while the projection of the cards is older than this."""
    terminal_calls: tuple[int, int] = (200, 400)
    """City setting: how many calls a second a terminal may make, and how many at once after a rest."""
    merchant_calls: tuple[int, int] = (2000, 4000)
    """The same for merchants and services, which ask for many."""
    lanes: int = 4
    """Batches that one worker posts side by side."""
    batch_limit: int = 4000
    """Most events of one posting transaction."""

    @property
    def batch_keys(self) -> Mapping[int, bytes]:
        """All keys of batch digests, by version."""
        return {**self.old_batch_keys, self.batch_key_version: self.batch_key}

    @property
    def broker_on_loopback(self) -> bool:
        """Whether taps come from this very machine alone."""
        return on_loopback(self.kafka)

    @property
    def fetch_max_wait_ms(self) -> int:
        """How long the broker gathers records before it answers a fetch.

        Apache Kafka answers with everything that came; Tansu returns about one batch a partition, so it must be asked
        more often than producers linger.
        """
        return 40 if self.broker == "kafka" else TANSU_WAIT_MS

    @classmethod
    def from_environment(cls, env: Mapping[str, str] = os.environ) -> "Config":
        """Read ONECARD_* variables."""
        broker = env.get("ONECARD_BROKER", "kafka")
        if broker not in ("kafka", "tansu"):
            raise ConfigError(f"ONECARD_BROKER is {broker!r}; it must be kafka or tansu")
        return cls(
            database_url=required(env, "ONECARD_DATABASE_URL", "postgresql+asyncpg://role:password@host:port/onecard"),
            kafka=required(env, "ONECARD_KAFKA", "host:port of a Kafka broker"),
            kafka_security=KafkaSecurity.from_environment(env),
            broker="kafka" if broker == "kafka" else "tansu",
            redis=env.get("ONECARD_REDIS", ""),
            vault=Path(env["ONECARD_VAULT"]) if env.get("ONECARD_VAULT") else None,
            vault_pin=env.get("ONECARD_VAULT_PIN", ""),
            metrics_port=whole(env, "ONECARD_METRICS_PORT", 0),
            tariffs=Path(env.get("ONECARD_TARIFFS", _REPOSITORY / "tariffs" / "jiangmen")),
            rules=Path(env.get("ONECARD_RULES", _REPOSITORY / "rules" / "jiangmen.toml")),
            live=Path(env.get("ONECARD_LIVE", _REPOSITORY / "rules" / "jiangmen-live.toml")),
            batch_key=_key(env, "ONECARD_BATCH_KEY"),
            batch_key_version=whole(env, "ONECARD_BATCH_KEY_VERSION", 1),
            old_batch_keys=_old_keys(env, "ONECARD_BATCH_KEYS_OLD"),
            checkpoints=Path(env["ONECARD_CHECKPOINTS"]) if env.get("ONECARD_CHECKPOINTS") else None,
            acceptance_horizon_days=acceptance_horizon_days(env),
            clock_tolerance_seconds=whole(env, "ONECARD_CLOCK_TOLERANCE_SECONDS", 600),
            hotlist_grace_seconds=whole(env, "ONECARD_HOTLIST_GRACE_SECONDS", 0),
            hold_seconds=whole(env, "ONECARD_HOLD_SECONDS", 7 * 24 * 3600),
            projection_limit_seconds=whole(env, "ONECARD_PROJECTION_LIMIT_SECONDS", 30),
            terminal_calls=_calls(env, "ONECARD_TERMINAL_CALLS", (200, 400)),
            merchant_calls=_calls(env, "ONECARD_MERCHANT_CALLS", (2000, 4000)),
            lanes=whole(env, "ONECARD_LANES", 4),
            batch_limit=whole(env, "ONECARD_BATCH_LIMIT", 4000),
        )


def _calls(env: Mapping[str, str], name: str, default: tuple[int, int]) -> tuple[int, int]:
    if not (value := env.get(name)):
        return default
    rate, slash, burst = value.partition("/")
    if not (slash and rate.isdecimal() and burst.isdecimal() and 0 < int(rate) <= int(burst)):
        raise ConfigError(f"{name} is {value!r}; it must be calls a second and calls at once, the greater of the two: 200/400")
    return int(rate), int(burst)


def _key(env: Mapping[str, str], name: str) -> bytes:
    return _key_of(required(env, name, "a secret key of 16 bytes or more in hexadecimal digits"), name)


def _old_keys(env: Mapping[str, str], name: str) -> dict[int, bytes]:
    keys: dict[int, bytes] = {}
    for entry in filter(None, env.get(name, "").split(",")):
        version, colon, digits = entry.strip().partition(":")
        if not colon or not version.isdecimal():
            raise ConfigError(f"{name} must hold version:key,version:key with keys in hexadecimal digits")
        keys[int(version)] = _key_of(digits, name)
    return keys


def _key_of(digits: str, name: str) -> bytes:
    try:
        key = bytes.fromhex(digits)
    except ValueError:
        raise ConfigError(f"{name} does not hold hexadecimal digits") from None
    if len(key) < 16:
        raise ConfigError(f"{name} holds a key that is shorter than 16 bytes")
    return key


def acceptance_horizon_days(env: Mapping[str, str]) -> int:
    """That setting alone, for who is the owner of the database and nobody else. Raises ConfigError."""
    return whole(env, "ONECARD_ACCEPTANCE_HORIZON_DAYS", 180)
