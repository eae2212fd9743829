"""Do what is asked once. What is asked here names nobody: a plain digest tells one request from another."""

from hashlib import sha256

from sqlalchemy.ext.asyncio import AsyncEngine

from services.common import once
from services.common.once import transact
from services.common.points import AtPoint, pass_by

__all__ = ["Once", "digests", "transact"]


def digests(method: str, request: bytes) -> list[bytes]:
    """By which a repeat is known."""
    return [sha256(method.encode() + b"\n" + request).digest()]


class Once(once.Once):
    """Requests of the issuance service that hold nothing personal."""

    def __init__(self, engine: AsyncEngine, at: AtPoint = pass_by) -> None:
        super().__init__(engine, "issuance", digests, at)
