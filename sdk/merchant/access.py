"""How a merchant's programs reach the platform's API, and how they prove whose they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple, TypeAlias
from urllib.parse import quote

import grpc

SUBJECT = "x-onecard-subject"
OPTIONS = (
    # Each connection by itself, so that one merchant's trouble is nobody else's.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """PEM files. They are read again for each connection, so they may be renewed while a program runs."""

    certificate: Path
    """Of the merchant, or of one of its terminals."""
    key: Path
    authority: Path
    """Who signs the platform's certificate."""


CredentialsOf: TypeAlias = Callable[[str], Credentials | None]
"""By merchant; None for one that has none (yet)."""


def credentials_in(folder: Path) -> CredentialsOf:
    """Credentials from a folder: `authority.crt`, and each merchant's `MERCHANT.crt` and `MERCHANT.key`.

    A merchant's id is percent-encoded in the names of its files.
    """

    def credentials_of(merchant_id: str) -> Credentials | None:
        return _found(folder, quote(merchant_id, safe=""))

    return credentials_of


def terminal_credentials(folder: Path, merchant_id: str, terminal_id: str) -> Credentials | None:
    """Of one terminal, from the same kind of folder: `TERMINAL@MERCHANT.crt` and `TERMINAL@MERCHANT.key`."""
    return _found(folder, f"{quote(terminal_id, safe='')}@{quote(merchant_id, safe='')}")


def service_credentials(folder: Path, name: str) -> Credentials | None:
    """Of a service, or of a person who acts as one: `service+NAME.crt` and `service+NAME.key`."""
    return _found(folder, f"service+{quote(name, safe='')}")


def _found(folder: Path, name: str) -> Credentials | None:
    found = Credentials(folder / f"{name}.crt", folder / f"{name}.key", folder / "authority.crt")
    return found if found.certificate.exists() else None


class Line(NamedTuple):
    """A connection that speaks for one merchant. Close the channel in the end."""

    channel: grpc.Channel
    metadata: tuple[tuple[str, str], ...]
    """For each call."""


class Access:
    """The API's address, and each merchant's credentials."""

    def __init__(self, address: str, credentials: CredentialsOf | None = None) -> None:
        """`address` is host:port. Without credentials: plain text, on loopback alone; raises ValueError."""
        if credentials is None and not is_loopback(address):
            raise ValueError(f"{address} is not on this machine: give the folder of the merchants' certificates")
        self.address = address
        self._credentials = credentials

    def has(self, merchant_id: str) -> bool:
        """Whether there is anything to prove that a merchant is itself."""
        return self._credentials is None or self._credentials(merchant_id) is not None

    def connect(self, merchant_id: str) -> Line:
        """A connection of a merchant that `has` credentials. Raises OSError when its files cannot be read."""
        credentials = self._credentials and self._credentials(merchant_id)
        if credentials is None and self._credentials is not None:
            raise FileNotFoundError(f"there is no certificate of {merchant_id}")
        return open_line(self.address, f"onecard://merchant/{quote(merchant_id, safe='')}", credentials)


def open_line(address: str, subject: str, credentials: Credentials | None) -> Line:
    """A connection that shows a certificate; without one it says its subject in plain text, which loopback alone allows.

    Raises OSError when the files cannot be read, ValueError for plain text to another machine.
    """
    if credentials is None:
        if not is_loopback(address):
            raise ValueError(f"{address} is not on this machine: a certificate is needed")
        return Line(grpc.insecure_channel(address, OPTIONS), ((SUBJECT, subject),))
    files = [file.read_bytes() for file in (credentials.authority, credentials.key, credentials.certificate)]
    return Line(grpc.secure_channel(address, grpc.ssl_channel_credentials(*files), OPTIONS), ())


def is_loopback(address: str) -> bool:
    """Whether host:port is on this machine."""
    host = address.rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
