"""What others seal to a public key: ECDH on P-256 with a key of one use, HKDF-SHA256, AES-128-GCM."""

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.common.keyvault.vault import Sealed, TamperedError

SECRET_BYTES: Final = 32
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_NONCE: Final = bytes(12)
"""Each key of one use makes another key, which seals once."""


def private_key(secret: bytes) -> ec.EllipticCurvePrivateKey:
    """The key of any 32 bytes."""
    return ec.derive_private_key(int.from_bytes(secret) % (_ORDER - 1) + 1, ec.SECP256R1())


def point_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Its public half: 04 ‖ x ‖ y."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def open_sealed(key: ec.EllipticCurvePrivateKey, sealed: Sealed, info: bytes, bound_to: bytes) -> bytes:
    """The plaintext. Raises TamperedError for another key, another place, or another byte."""
    try:
        theirs = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sealed.ephemeral_key)
        agreed = key.exchange(ec.ECDH(), theirs)
        derived = HKDF(SHA256(), 16, None, info + sealed.ephemeral_key + point_of(key)).derive(agreed)
        return AESGCM(derived).decrypt(_NONCE, sealed.ciphertext, bound_to)
    except (ValueError, InvalidTag):
        raise TamperedError("a ciphertext is not what was sealed there") from None
