"""How a merchant's programs prove to Kafka who they are, and know that it is the platform's."""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sdk.merchant.access import is_loopback

log = logging.getLogger("onecard.merchant")


@dataclass(frozen=True)
class KafkaSecurity:
    """PEM files of an authority and perhaps of a certificate, or a user and a password. Nothing of it: plain text.

    The files are read again for a new connection when they have changed, so they may be renewed while a program runs. Raises
    ValueError for what does not hold together.
    """

    authority: Path | None = None
    """Who signs the brokers' certificates; with it connections are TLS."""
    certificate: Path | None = None
    """Ours; the merchant's, or of one of its terminals."""
    key: Path | None = None
    user: str = ""
    password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Half of a pair would end as a refusal that nobody understands."""
        if bool(self.certificate) != bool(self.key):
            raise ValueError("a certificate for Kafka and its key go together, and one of them is missing")
        if bool(self.user) != bool(self.password):
            raise ValueError("a user of Kafka and a password go together, and one of them is missing")
        if self.certificate and not self.authority:
            raise ValueError("a certificate for Kafka needs an authority beside it: who signs the brokers' own")

    @classmethod
    def from_environment(cls, env: Mapping[str, str] = os.environ) -> KafkaSecurity:
        """Of ONECARD_KAFKA_AUTHORITY, …_CERTIFICATE, …_KEY, …_USER and …_PASSWORD."""
        given = (env.get(f"ONECARD_KAFKA_{name}") for name in ("AUTHORITY", "CERTIFICATE", "KEY"))
        authority, certificate, key = (Path(file) if file else None for file in given)
        return cls(authority, certificate, key, env.get("ONECARD_KAFKA_USER", ""), env.get("ONECARD_KAFKA_PASSWORD", ""))

    def arguments(self, bootstrap: str) -> dict[str, Any]:
        """Of a client of the Kafka library; raises ValueError for a password in plain text elsewhere, and unusable files."""
        if self.user and self.authority is None and not all(map(is_loopback, bootstrap.split(","))):
            raise ValueError(
                f"{bootstrap} is not on this machine: a password goes there by TLS alone, which needs an authority"
            )
        transport = "PLAINTEXT" if self.authority is None else "SSL"
        given: dict[str, Any] = {"security_protocol": f"SASL_{transport}" if self.user else transport}
        if self.authority is not None:
            given["ssl_context"] = self._tls
        if self.user:
            user = {"sasl_plain_username": self.user, "sasl_plain_password": self.password}
            given |= {"sasl_mechanism": "SCRAM-SHA-512", **user}
        return given

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        assert self.authority is not None
        try:
            return _RenewedTls(self.authority, self.certificate, self.key)
        except OSError as unusable:
            files = ", ".join(str(file) for file in (self.authority, self.certificate, self.key) if file)
            raise ValueError(f"the files for Kafka ({files}) cannot be used: {unusable}") from None


PLAIN_TEXT = KafkaSecurity()


class _RenewedTls(ssl.SSLContext):
    """Wraps each connection with the files as they are; while half of them are new, with those before."""

    def __new__(cls, *_: Path | None) -> _RenewedTls:
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, authority: Path, certificate: Path | None, key: Path | None) -> None:
        self._authority, self._certificate, self._key = authority, certificate, key
        self._seen = self._look()
        self._now = self._made()

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        if (seen := self._look()) != self._seen:
            self._seen = seen
            try:
                self._now = self._made()
            except OSError as unusable:
                log.warning("a renewed certificate for Kafka cannot be used yet (%s)", unusable)
        return self._now.wrap_socket(*args, **kwargs)

    def _made(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(self._authority)
        if self._certificate is not None:
            context.load_cert_chain(self._certificate, self._key)
        return context

    def _look(self) -> list[tuple[int, int] | None]:
        found: list[tuple[int, int] | None] = []
        for file in filter(None, (self._authority, self._certificate, self._key)):
            try:
                status = file.stat()
            except OSError:
                found.append(None)
            else:
                found.append((status.st_ino, status.st_mtime_ns))
        return found
