"""Seals an application to the card service's public key: whoever sealed it cannot read it again. kits.proto has the bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_INFO: Final = b"onecard kit queue 1"
_KEY_BYTES: Final = 16
_NONCE: Final = bytes(12)
"""Each item has a key of its own, which seals once."""


@dataclass(frozen=True, slots=True)
class SealingKey:
    """The service's public key, and the kit that it was given to."""

    version: int
    point: bytes
    terminal: str


@dataclass(frozen=True, slots=True)
class SealedApplication:
    """An application as it lies in the kit: nobody here can open it."""

    id: str
    key_version: int
    ephemeral_key: bytes = field(repr=False)
    sealed: bytes = field(repr=False)
    seal_time_ms: int


def seal(key: SealingKey, id_: str, plain: bytes, seal_time_ms: int) -> SealedApplication:
    """Under a key that is forgotten at once. Raises ValueError for a point that lies on no curve."""
    theirs = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key.point)
    ours = ec.generate_private_key(ec.SECP256R1())
    point = ours.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    derived = HKDF(SHA256(), _KEY_BYTES, None, _INFO + point + key.point).derive(ours.exchange(ec.ECDH(), theirs))
    bound = b"".join(
        len(part).to_bytes(4) + part for part in (key.terminal.encode(), id_.encode(), str(key.version).encode())
    )  # fmt: skip
    return SealedApplication(id_, key.version, point, AESGCM(derived).encrypt(_NONCE, plain, bound), seal_time_ms)
