"""A card's PIN: six digits that cannot be guessed from what is known of its holder."""

import re
from collections.abc import Iterable
from datetime import date
from itertools import pairwise
from typing import Final

LENGTH: Final = 6
_DATES: Final = ("%Y%m%d", "%d%m%Y", "%m%d%Y", "%d%m%y", "%m%d%y")


def good_pin(pin: str, birth_date: date, numbers: Iterable[str]) -> bool:
    """Neither a row of digits nor a pattern, nor part of the birth date or of a number of the holder's."""
    if not (len(pin) == LENGTH and pin.isascii() and pin.isdecimal()) or _patterned(pin):
        return False
    known = [f"{birth_date:{way}}" for way in _DATES] + [re.sub(r"\D", "", number) for number in numbers]
    return not any(pin in text for text in known)


def _patterned(pin: str) -> bool:
    """000000, 121212, 123456, 135791, 123123."""
    steps = {(int(after) - int(before)) % 10 for before, after in pairwise(pin)}
    return len(steps) == 1 or len(set(pin)) <= 2 or pin[: LENGTH // 2] == pin[LENGTH // 2 :]
