"""Administrative divisions by code (GB/T 2260), with those that are no more: a number keeps the code of its first issue."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from stdnum import numdb

_TABLE: Final = numdb.get("cn/loc")
_LIFE: Final = re.compile(r"\[(\d{4})?-(\d{4})?\](.*)")

PERMITS: Final = {"810000": "香港特别行政区", "820000": "澳门特别行政区", "830000": "台湾地区"}
"""The codes of residence permits of Hong Kong, Macau and Taiwan residents."""


@dataclass(frozen=True, slots=True)
class Region:
    """A county, or what has the rank of one."""

    code: str
    name: str
    """As it was called; the province before it."""
    first_year: int = 0
    """0: since before the codes."""
    last_year: int = 9999


@lru_cache(4096)
def find_region(code: str) -> Region | None:
    """The region of a six-digit code, also one that was abolished; None: the table does not have it, which may be too old."""
    if code in PERMITS:
        return Region(code, PERMITS[code])
    parts = _TABLE.info(code)
    if len(parts) != 2 or not parts[1][1]:
        return None
    province, told = parts[0][1]["province"], parts[1][1]["county"]
    lives = [_life(part) for part in told.split(",")]
    first, last = min(life[0] for life in lives), max(life[1] for life in lives)
    return Region(code, province + lives[-1][2], first, last)


def known_province(code: str) -> bool:
    """Whether a code begins as one does."""
    return code[:2] in {"81", "82", "83"} or _in_table(code[:2])


@lru_cache(128)  # the library goes through its table each time
def _in_table(province: str) -> bool:
    return bool(_TABLE.info(province)[0][1])


def _life(told: str) -> tuple[int, int, str]:
    match = _LIFE.match(told)
    if match is None:
        return 0, 9999, told
    return int(match[1] or 0), int(match[2] or 9999), match[3]
