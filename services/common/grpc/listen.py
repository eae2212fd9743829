"""Where a process serves, and how it proves who it is."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.common.environment import is_loopback


class ListenError(Exception):
    """A process cannot serve as it was told to; the message names the setting or the file."""


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files. They may be replaced while the process runs: the next handshake takes the new ones."""

    certificate: Path
    key: Path
    authority: Path
    """Certificates of who may sign a caller's certificate."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a process serves. Without TLS only callers of this very machine are heard, and believed."""

    address: str
    """host:port; port 0 takes a free one."""
    tls: Tls | None
    """None: plain text."""
    health_address: str = ""
    """host:port of a second listener in plain text that answers health checks and nothing else; empty: none."""
    drain_seconds: float = 10.0
    """How long calls in flight may take when the process is asked to end."""

    def __post_init__(self) -> None:
        split(self.address)
        if self.tls is None and not self.on_loopback:
            raise ListenError(
                f"plain text is for loopback only, and {self.address} is open to others: "
                "set ONECARD_TLS_CERTIFICATE, ONECARD_TLS_KEY and ONECARD_TLS_AUTHORITY, or listen on 127.0.0.1"
            )
        if self.health_address:
            split(self.health_address)

    @property
    def on_loopback(self) -> bool:
        """Whether only callers of this very machine are heard."""
        return is_loopback(split(self.address)[0])

    @classmethod
    def from_environment(cls, env: Mapping[str, str] = os.environ) -> "Listen":
        """Read the ONECARD_* variables; raises ListenError."""
        return cls(
            address=_required(env, "ONECARD_GRPC_LISTEN", "host:port to serve on"),
            tls=_tls(env),
            health_address=env.get("ONECARD_HEALTH_LISTEN", ""),
            drain_seconds=_seconds(env, "ONECARD_GRPC_DRAIN_SECONDS", 10.0),
        )


def split(address: str) -> tuple[str, int]:
    """host:port in its parts, an IPv6 host without its brackets; raises ListenError."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise ListenError(f"{address!r} is no address to listen on; it must be host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _tls(env: Mapping[str, str]) -> Tls | None:
    names = ("ONECARD_TLS_CERTIFICATE", "ONECARD_TLS_KEY", "ONECARD_TLS_AUTHORITY")
    plain = env.get("ONECARD_GRPC_PLAINTEXT", "")
    if plain not in ("", "0", "1"):
        raise ListenError(f"ONECARD_GRPC_PLAINTEXT is {plain!r}; it must be 1 or not be set")
    if plain == "1":
        if given := [name for name in names if env.get(name)]:
            raise ListenError(f"ONECARD_GRPC_PLAINTEXT is set, and so is {given[0]}: take one of them away")
        return None
    return Tls(*(Path(_required(env, name, "a PEM file (or set ONECARD_GRPC_PLAINTEXT=1, on loopback)")) for name in names))


def _required(env: Mapping[str, str], name: str, what: str) -> str:
    if not (value := env.get(name)):
        raise ListenError(f"{name} is not set; it must hold {what}")
    return value


def _seconds(env: Mapping[str, str], name: str, default: float) -> float:
    value = env.get(name, "")
    if value and not value.isdecimal():
        raise ListenError(f"{name} is {value!r}; it must be a whole number")
    return float(value) if value else default
