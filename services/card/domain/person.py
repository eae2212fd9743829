"""A holder: what is known of a person, and under which names each part of it is sealed."""

from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum
from typing import Final

OF_AGE_YEARS: Final = 18
"""Whoever acts for somebody else is as old: Civil Code Art. 17, 18."""


class Field(IntEnum):
    """What is sealed, by the number that stands in the additional data of its ciphertext: never changed, never used again."""

    NAME = 1
    BIRTH_DATE = 2
    TRAITS = 3
    """Sex and nationality."""
    PHONE = 4
    ADDRESS = 5
    SOCIAL_SECURITY_NUMBER = 6
    PHOTO = 7
    CARD_NUMBER = 8
    BANK_ACCOUNT = 9
    PAPERS = 10
    """Who acted for the applicant, with what papers."""
    FORMER_IDENTITY = 11
    """Who somebody was before a correction."""
    DOCUMENT = 100
    """The first document; the n-th has 100 + n − 1."""


class LookupField(IntEnum):
    """What a holder is found by; it stands inside the digest, so that no two kinds of number ever meet."""

    DOCUMENT = 1
    SOCIAL_SECURITY_NUMBER = 2
    CARD_NUMBER = 3
    NAME_AND_BIRTH_DATE = 4


class Sex(IntEnum):
    """GB/T 2261.1."""

    UNKNOWN = 0
    MALE = 1
    FEMALE = 2
    NOT_STATED = 9


@dataclass(frozen=True, slots=True)
class Person:
    """Who somebody is, in the clear. It is never stored, logged or sent like this."""

    name: str = field(repr=False)
    birth_date: date = field(repr=False)
    sex: Sex = field(repr=False)
    nationality: str = field(repr=False, default="")
    """GB 3304 code of an ethnic group (01 to 56), or ISO 3166 alpha-3 of a foreigner."""
    phone: str = field(repr=False, default="")
    address: str = field(repr=False, default="")
    social_security_number: str = field(repr=False, default="")


def age_on(birth_date: date, day: date) -> int:
    """Full years; who is born on 29 February is a year older on 1 March of other years."""
    return day.year - birth_date.year - ((day.month, day.day) < (birth_date.month, birth_date.day))
