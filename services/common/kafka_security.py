"""How a process proves to Kafka who it is, and knows that it is Kafka: what the settings become for a client."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from services.common.environment import ConfigError, is_loopback
from services.common.renewed_tls import RenewedTls

MECHANISM: Final = "SCRAM-SHA-512"


@dataclass(frozen=True, slots=True)
class KafkaSecurity:
    """Plain text, TLS, TLS with a client's certificate, or TLS with user and password."""

    tls: ssl.SSLContext | None = None
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> "KafkaSecurity":
        """Read ONECARD_KAFKA_…; raises ConfigError for settings that do not hold together, and files that cannot be used."""
        user, password = _both(env, "ONECARD_KAFKA_USER", "ONECARD_KAFKA_PASSWORD")
        certificate, key = _both(env, "ONECARD_KAFKA_CERTIFICATE", "ONECARD_KAFKA_KEY")
        authority = env.get("ONECARD_KAFKA_AUTHORITY", "")
        if certificate and not authority:
            raise ConfigError("ONECARD_KAFKA_CERTIFICATE is set; ONECARD_KAFKA_AUTHORITY must name who signs the brokers' own")
        if user and not authority and not on_loopback(env.get("ONECARD_KAFKA", "")):
            raise ConfigError(
                "ONECARD_KAFKA_USER is set and the brokers are not on this machine: set ONECARD_KAFKA_AUTHORITY, for TLS"
            )
        return cls(_tls(authority, certificate, key) if authority else None, user, password)

    @property
    def protocol(self) -> str:
        """As Kafka calls it."""
        transport = "PLAINTEXT" if self.tls is None else "SSL"
        return f"SASL_{transport}" if self.user else transport

    def arguments(self) -> dict[str, Any]:
        """Of a client of kafka-python or aiokafka: both have the same names for it."""
        given: dict[str, Any] = {"security_protocol": self.protocol, "ssl_context": self.tls}
        if self.user:
            given |= {"sasl_mechanism": MECHANISM, "sasl_plain_username": self.user, "sasl_plain_password": self.password}
        return given


PLAIN_TEXT: Final = KafkaSecurity()


def on_loopback(bootstrap: str) -> bool:
    """Whether all of these brokers are on this very machine."""
    return all(is_loopback(address.rpartition(":")[0].strip("[]")) for address in bootstrap.split(","))


def _both(env: Mapping[str, str], first: str, second: str) -> tuple[str, str]:
    """Two variables of which one is worth nothing without the other."""
    values = env.get(first, ""), env.get(second, "")
    if bool(values[0]) != bool(values[1]):
        set_one, missing = (first, second) if values[0] else (second, first)
        raise ConfigError(f"{set_one} is set and {missing} is not: they go together")
    return values


def _tls(authority: str, certificate: str, key: str) -> ssl.SSLContext:
    try:
        return RenewedTls(Path(authority), Path(certificate) if certificate else None, Path(key) if key else None)
    except OSError as unusable:
        files = ", ".join(filter(None, (authority, certificate, key)))
        raise ConfigError(f"ONECARD_KAFKA_AUTHORITY and its companions ({files}) cannot be used: {unusable}") from None
