"""Personal data at rest: SM4-GCM (GB/T 32907) under a key of the holder's own, bound to holder, field and version."""

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.ciphers.modes import GCM

from services.common.keyvault.vault import TamperedError

KEY_BYTES: Final = 16
_NONCE: Final = 12
_TAG: Final = 16


def seal(cipher: SM4, plaintext: bytes, bound_to: bytes) -> bytes:
    """nonce ‖ ciphertext ‖ tag."""
    nonce = os.urandom(_NONCE)
    encryptor = Cipher(cipher, GCM(nonce)).encryptor()
    encryptor.authenticate_additional_data(bound_to)
    return nonce + encryptor.update(plaintext) + encryptor.finalize() + encryptor.tag


def unseal(cipher: SM4, sealed: bytes, bound_to: bytes) -> bytes:
    """The plaintext. Raises TamperedError for another key, another place, or another byte."""
    if len(sealed) < _NONCE + _TAG:
        raise TamperedError("a ciphertext is cut off")
    decryptor = Cipher(cipher, GCM(sealed[:_NONCE], sealed[-_TAG:])).decryptor()
    decryptor.authenticate_additional_data(bound_to)
    try:
        return decryptor.update(sealed[_NONCE:-_TAG]) + decryptor.finalize()
    except InvalidTag:
        raise TamperedError("a ciphertext is not what was sealed there") from None


class FieldCipher:
    """Seals the fields of one holder."""

    __slots__ = ("_cipher",)

    def __init__(self, data_key: bytes) -> None:
        self._cipher = SM4(data_key)

    def seal(self, holder: int, field: int, version: int, plaintext: bytes) -> bytes:
        """A field's ciphertext, which can be opened in no other place."""
        return seal(self._cipher, plaintext, _place(holder, field, version))

    def open(self, holder: int, field: int, version: int, sealed: bytes) -> bytes:
        """The field again; raises TamperedError."""
        return unseal(self._cipher, sealed, _place(holder, field, version))


def _place(holder: int, field: int, version: int) -> bytes:
    return holder.to_bytes(8) + field.to_bytes(2) + version.to_bytes(2)
