"""The numbers of a card: the one that is printed, and the identifier by which every machine knows it."""

import re
from collections.abc import Callable
from typing import Final

_WEIGHTS: Final = (3, 7, 9, 10, 5, 8, 4, 2)
_FIXED: Final = "D156000005"
"""Five bytes that every card identifier has."""
MAC_BYTES: Final = 4
_IDENTIFIER: Final = re.compile(rf"[0-9]{{6}}{_FIXED}[0-9A-F]{{16}}")


def card_number(serial: int) -> str:
    """The printed number: eight digits and a check character, which is 11 − Σ mod 11 with 10 → X and 11 → 0, as in GB 11714."""
    digits = f"{serial:08}"
    if len(digits) != 8:
        raise ValueError("the printed card numbers are used up")
    return digits + _check(digits)


def is_card_number(text: str) -> bool:
    """Whether it can be one."""
    return len(text) == 9 and text[:8].isdecimal() and text.isascii() and text[8] == _check(text[:8])


def _check(digits: str) -> str:
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, digits, strict=True))
    return "0123456789X0"[11 - total % 11]


def card_identifier(city_code: str, serial: int, mac: Callable[[bytes], bytes]) -> str:
    """卡识别码: city 3 bytes, D156000005, serial 4 bytes, MAC 4 bytes; 32 hexadecimal digits in capitals."""
    begin = bytes.fromhex(city_code + _FIXED) + serial.to_bytes(4)
    return (begin + mac(begin)[:MAC_BYTES]).hex().upper()


def is_card_identifier(text: str) -> bool:
    """Whether it can be one, of whatever city."""
    return _IDENTIFIER.fullmatch(text) is not None


def city_of(identifier: str) -> str:
    """The code of the city that a card identifier was made for."""
    return identifier[:6]
