"""What a chip computes: block cipher, MAC, and the key that a root makes for it. What no source settles is in `card_key`."""

from __future__ import annotations

from functools import lru_cache

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES, SM4
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB

MAC_BYTES = 4


@lru_cache(maxsize=4096)
def _algorithm(name: str, key: bytes) -> SM4 | AES | TripleDES:
    if name == "DES":
        return TripleDES(key + key[:8])
    return SM4(key) if name == "SM4" else AES(key)


def encipher(name: str, key: bytes, blocks: bytes) -> bytes:
    """Each block by itself."""
    return Cipher(_algorithm(name, key), ECB()).encryptor().update(blocks)  # noqa: S305 - as chips do


def decipher(name: str, key: bytes, blocks: bytes) -> bytes:
    """Each block by itself."""
    return Cipher(_algorithm(name, key), ECB()).decryptor().update(blocks)  # noqa: S305 - as chips do


def padded(message: bytes, block_bytes: int) -> bytes:
    """80 00 … to whole blocks."""
    return message + b"\x80" + bytes(-(len(message) + 1) % block_bytes)


def mac4(name: str, key: bytes, start: bytes, message: bytes, *, folded: bool) -> bytes:
    """CBC-MAC with the challenge as its beginning, in four bytes."""
    last = Cipher(_algorithm(name, key), CBC(start)).encryptor().update(padded(message, len(start)))[-len(start) :]
    if not folded:
        return last[:MAC_BYTES]
    sums = bytearray(MAC_BYTES)
    for at, byte in enumerate(last):
        sums[at % MAC_BYTES] ^= byte
    return bytes(sums)


def card_key(name: str, root: bytes, identifier: bytes) -> bytes:
    """The root enciphers D ‖ ~D, D the last eight bytes of the card identifier. Assumed: no source says it for SM4."""
    factor = identifier[-8:]
    return encipher(name, root, factor + bytes(~byte & 0xFF for byte in factor))
