"""What a chip computes: block cipher, padding, MAC."""

from __future__ import annotations

from functools import lru_cache

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES, SM4
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB

KEY_BYTES = 16
MAC_BYTES = 4


@lru_cache(maxsize=4096)
def _algorithm(name: str, key: bytes) -> SM4 | AES | TripleDES:
    match name:
        case "SM4":
            return SM4(key)
        case "AES":
            return AES(key)
        case "DES":
            return TripleDES(key + key[:8])
    raise ValueError(f"no chip computes {name}")


def encipher(name: str, key: bytes, blocks: bytes) -> bytes:
    """Each block by itself."""
    return Cipher(_algorithm(name, key), ECB()).encryptor().update(blocks)  # noqa: S305 - as chips do


def decipher(name: str, key: bytes, blocks: bytes) -> bytes:
    """Each block by itself."""
    return Cipher(_algorithm(name, key), ECB()).decryptor().update(blocks)  # noqa: S305 - as chips do


def padded(message: bytes, block_bytes: int) -> bytes:
    """80 00 … to whole blocks; always at least the 80."""
    return message + b"\x80" + bytes(-(len(message) + 1) % block_bytes)


def unpadded(message: bytes, block_bytes: int) -> bytes | None:
    """None: it is padded otherwise."""
    plain = message.rstrip(b"\x00")[:-1]
    return plain if padded(plain, block_bytes) == message else None


def mac4(name: str, key: bytes, start: bytes, message: bytes, *, folded: bool) -> bytes:
    """CBC-MAC that begins with `start`: four words of the last block XORed, or its first four bytes."""
    last = Cipher(_algorithm(name, key), CBC(start)).encryptor().update(padded(message, len(start)))[-len(start) :]
    if not folded:
        return last[:MAC_BYTES]
    sums = bytearray(MAC_BYTES)
    for at, byte in enumerate(last):
        sums[at % MAC_BYTES] ^= byte
    return bytes(sums)
