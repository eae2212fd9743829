"""A command APDU, taken apart (ISO/IEC 7816-3, short form)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_HEADER: Final = 4


class MalformedError(ValueError):
    """Its lengths do not agree."""


@dataclass(frozen=True, slots=True)
class Command:
    """CLA INS P1 P2, and what follows."""

    header: bytes
    data: bytes
    expected: int
    """Le; 0: as much as there is."""

    @classmethod
    def of(cls, apdu: bytes) -> Command:
        """Of any of the four cases. Raises MalformedError."""
        header, body = apdu[:_HEADER], apdu[_HEADER:]
        if len(header) < _HEADER:
            raise MalformedError
        if len(body) < 2:
            return cls(header, b"", body[0] if body else 0)
        length = body[0]
        data, expected = body[1 : 1 + length], body[1 + length :]
        if not length or len(data) != length or len(expected) > 1:
            raise MalformedError
        return cls(header, data, expected[0] if expected else 0)
