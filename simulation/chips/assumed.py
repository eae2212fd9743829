"""What no source settles about the chips' cryptography; when a supplier says it, this file changes and no other."""

from __future__ import annotations

from simulation.chips.cipher import encipher

_FACTOR_BYTES = 8


def card_key(algorithm: str, root: bytes, identifier: bytes) -> bytes:
    """The root enciphers D ‖ ~D, D the last eight bytes of the card identifier; with DES that is PBOC's form."""
    factor = identifier[-_FACTOR_BYTES:]
    return encipher(algorithm, root, factor + bytes(~byte & 0xFF for byte in factor))


def pin_of(block: bytes) -> bytes | None:
    """Two digits a byte, behind their length in bytes; None: it is no PIN."""
    digits = block[1:]
    if not digits or block[0] != len(digits) or not digits.hex().isdecimal():
        return None
    return digits
