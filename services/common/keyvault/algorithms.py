"""The block ciphers of chips, and what is told of a key: its check value."""

from enum import StrEnum
from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES, SM4
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB

CHIP_KEY_BYTES: Final = 16
_CHECKED: Final = 3


class Algorithm(StrEnum):
    """Of a root, and of all keys that are derived from it."""

    SM4 = "SM4"
    DES = "DES"
    """With two keys, as triple DES."""
    AES = "AES"
    """With 128 bits."""

    @property
    def block_bytes(self) -> int:
        """Of the cipher."""
        return 8 if self is Algorithm.DES else 16


class SoftwareKey:
    """A key in this process's memory."""

    __slots__ = ("_cipher", "algorithm")

    def __init__(self, algorithm: Algorithm, secret: bytes) -> None:
        self.algorithm = algorithm
        self._cipher: SM4 | AES | TripleDES
        match algorithm:
            case Algorithm.SM4:
                self._cipher = SM4(secret)
            case Algorithm.AES:
                self._cipher = AES(secret)
            case Algorithm.DES:
                self._cipher = TripleDES(secret + secret[:8])

    def encipher(self, blocks: bytes) -> bytes:
        """Each block by itself."""
        return Cipher(self._cipher, ECB()).encryptor().update(blocks)  # noqa: S305 - challenges and keys, as chips want them

    def chain(self, start: bytes, blocks: bytes) -> bytes:
        """The last block of CBC."""
        return Cipher(self._cipher, CBC(start)).encryptor().update(blocks)[-self.algorithm.block_bytes :]


def chip_check_value(enciphered_zeros: bytes) -> str:
    """Three bytes of what a key makes of a block of zeros, in hexadecimal digits."""
    return enciphered_zeros[:_CHECKED].hex().upper()
