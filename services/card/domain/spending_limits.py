"""监护人限额: what a guardian lets a child spend. It ends by itself when the child is of age (Civil Code Art. 17, 34)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final, NamedTuple

from services.card.domain.person import OF_AGE_YEARS
from services.card.domain.refusal import Refusal


@dataclass(frozen=True, slots=True)
class SpendingLimits:
    """In fen, or so many payments; None: there is no such limit, 0: nothing passes."""

    payment_fen: int | None = None
    day_fen: int | None = None
    day_payments: int | None = None
    bus_day_fen: int | None = None
    campus_day_fen: int | None = None
    scenic_day_fen: int | None = None


NO_LIMITS: Final = SpendingLimits()


class LimitPeriod(NamedTuple):
    """What was said, in force until something else is."""

    limits: SpendingLimits
    valid_from_ms: int


def may_limit(age: int, guardian: bool | None, *, verified: bool) -> Refusal | None:
    """Why somebody who stands there sets no limits for a holder; None: they do. The holder does not, at any age.

    `guardian`: whether who acts for the holder is one; None: nobody acts for the holder.
    """
    if not verified:
        return Refusal.IDENTITY_NOT_VERIFIED
    if age >= OF_AGE_YEARS:
        return Refusal.HOLDER_OF_AGE
    return None if guardian else Refusal.GUARDIAN_NEEDED


def of_age_on(birth_date: date) -> date:
    """The day on which a child is one no more; who is born on 29 February is of age on 1 March."""
    year = birth_date.year + OF_AGE_YEARS
    try:
        return birth_date.replace(year=year)
    except ValueError:
        return date(year, 3, 1)


def until_of_age(said: Iterable[LimitPeriod], of_age_ms: int) -> Iterator[LimitPeriod]:
    """The periods, oldest first, and their end on that day; no period where nothing was ever said."""
    limits = NO_LIMITS
    for period in said:
        if period.valid_from_ms < of_age_ms:
            limits = period.limits
            yield period
    if limits != NO_LIMITS:
        yield LimitPeriod(NO_LIMITS, of_age_ms)
