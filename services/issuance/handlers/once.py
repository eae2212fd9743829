"""Do what is asked once. Where a request names nobody, a plain digest tells it from another; where it may, one with a key."""

from hashlib import sha256

from sqlalchemy.ext.asyncio import AsyncEngine

from services.common import once
from services.common.keyvault.vault import KeyVault
from services.common.once import Digests, transact
from services.common.points import AtPoint, pass_by
from services.issuance.adapters.journal_entries import JOURNAL_KEY

__all__ = ["Digests", "Once", "digests", "keyed_digests", "transact"]


def digests(method: str, request: bytes) -> list[bytes]:
    """By which a repeat is known."""
    return [sha256(method.encode() + b"\n" + request).digest()]


def keyed_digests(vault: KeyVault) -> Digests:
    """Of requests in which somebody's document stands, which could be found out by trying; of each version, the newest last."""

    def keyed(method: str, request: bytes) -> list[bytes]:
        message = b"request\n" + method.encode() + b"\n" + request
        return [vault.mac(JOURNAL_KEY, version, message) for version in vault.versions(JOURNAL_KEY)]

    return keyed


class Once(once.Once):
    """Requests of the issuance service."""

    def __init__(self, engine: AsyncEngine, known_by: Digests = digests, at: AtPoint = pass_by) -> None:
        super().__init__(engine, "issuance", known_by, at)
