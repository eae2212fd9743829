"""What no source settles about the cards' cryptography: kept here, so that one file changes when a supplier says it.

What is known: EXTERNAL AUTHENTICATE enciphers the challenge; a key load enciphers header ‖ key, padded, under the key that
protects it, and its MAC is a CBC-MAC of the whole command with the challenge as initial value; padding is 80 00 … in both.
"""

from typing import Final

_FACTOR_BYTES: Final = 8


def diversification(card_identifier: bytes) -> bytes:
    """What a root key enciphers to become this card's key: D ‖ ~D, D the last eight bytes of the identifier.

    One block of SM4 or AES, two of DES (there it is PBOC's form).
    """
    factor = card_identifier[-_FACTOR_BYTES:]
    return factor + bytes(byte ^ 0xFF for byte in factor)


def padded(message: bytes, block_bytes: int) -> bytes:
    """80 00 … to whole blocks; always at least the 80."""
    return message + b"\x80" + bytes(-(len(message) + 1) % block_bytes)


def pin_block(pin: str) -> bytes:
    """Length in bytes, and two digits a byte; it is padded and enciphered."""
    digits = bytes.fromhex(pin)
    return bytes((len(digits),)) + digits
