"""The people of the simulated city. Everything about a rider follows from the number of the card."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum
from functools import lru_cache
from random import Random

from simulation.city import CAMPUSES, LINES

SEED = 20260101
LAST_YEAR = 2025
FIRST_ACCOUNT = 2**32
RESERVE = 1000
"""Accounts beyond the city's cards that are opened for cards issued later."""

YOUNGEST, OLDEST = 6, 95
# How many of a thousand riders are of an age group; the rest of the thousand is old.
AGES = ((6, 12, 90), (13, 17, 70), (18, 22, 130), (23, 59, 480), (60, 64, 80), (65, 79, 110), (80, OLDEST, 40))


class Standing(Enum):
    """How a card stands when the city comes to life."""

    NORMAL = "normal"
    SEALED = "sealed"
    LOCKED = "locked"


@dataclass(frozen=True, slots=True)
class Rider:
    """The holder of one card."""

    number: int
    birth_date: date
    category: str
    resident: bool
    standing: Standing
    opening_fen: int
    line: int
    """Which of the city's lines the rider takes most days."""
    campus: int
    """Where a student studies, and whoever works on a campus eats."""

    @property
    def account_id(self) -> int:
        """The account that all cards of the rider draw on."""
        return FIRST_ACCOUNT + self.number

    @property
    def age(self) -> int:
        """In whole years when the city was made, at the turn of the year."""
        return LAST_YEAR - self.birth_date.year


def card_identifier(number: int, generation: int = 0) -> str:
    """卡识别码: 32 characters; a card that takes another's place is of a later generation."""
    return f"440700D1{generation:08X}{number:016X}"


@lru_cache(maxsize=200_000)
def rider(number: int) -> Rider:
    """The rider with a number, the same in every process and every run."""
    # Only random() is used: its sequence is promised over Python's versions, that of choice() is not.
    chance = Random(SEED << 40 | number).random  # noqa: S311  # a city, not a secret
    youngest, oldest = _age_group(chance() * 1000)
    age = youngest + int(chance() * (oldest - youngest + 1))
    birth_date = date(LAST_YEAR - age, 1, 2) + timedelta(days=int(chance() * 364))
    poor = chance() < 0.02
    standing = chance()
    return Rider(
        number=number,
        birth_date=birth_date,
        category="student" if age <= 22 and chance() < 0.95 else "ordinary",
        resident=chance() < 0.92,
        standing=Standing.SEALED if standing < 0.0005 else Standing.LOCKED if standing < 0.001 else Standing.NORMAL,
        # Most have enough for days of life in fast motion; a few run out of money soon.
        opening_fen=1 + int(chance() * 1500) if poor else 50_000 + int(chance() * 25) * 10_000,
        line=int(chance() * len(LINES)),
        campus=int(chance() * len(CAMPUSES)),
    )


def _age_group(place: float) -> tuple[int, int]:
    for youngest, oldest, share in AGES:
        if place < share:
            return youngest, oldest
        place -= share
    return AGES[-1][:2]
