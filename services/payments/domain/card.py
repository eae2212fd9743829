"""A card as payments knows it: the projected state of `card.events`, with validity."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from operator import attrgetter
from typing import TypeVar

from services.payments.domain.limits import Limits


class CardStatus(IntEnum):
    """Status of the social application; the numbers are those of onecard.card.v1.CardStatus."""

    SEALED = 1
    NORMAL = 2
    FORMALLY_LOST = 3
    LOCKED = 4
    TEMPORARILY_LOST = 5
    CANCELLED = 10


LOST = frozenset({CardStatus.FORMALLY_LOST, CardStatus.TEMPORARILY_LOST})
_ENABLED = LOST | {CardStatus.NORMAL, CardStatus.LOCKED}


class ElectronicUse(IntEnum):
    """What the electronic card may be used for; the numbers are those of onecard.card.v1.ElectronicUse."""

    NOTHING = 1
    IDENTIFY = 2
    PAY = 3


@dataclass(frozen=True, slots=True)
class StatusPeriod:
    """A status, in force from `valid_from_ms` until the next period begins."""

    status: CardStatus
    valid_from_ms: int
    hotlist_published_ms: int = 0
    """For a lost card: when the hotlist that names it was published; 0 while it is not."""


@dataclass(frozen=True, slots=True)
class CategoryPeriod:
    """Category and residence, in force from `valid_from_ms` until the next period begins."""

    category: str
    resident: bool
    valid_from_ms: int


@dataclass(frozen=True, slots=True)
class ElectronicPeriod:
    """A use of the electronic card, in force from `valid_from_ms` until the next period begins."""

    use: ElectronicUse
    valid_from_ms: int


@dataclass(frozen=True, slots=True)
class SpendingLimitPeriod:
    """What a guardian lets a child spend, from `valid_from_ms` until the next period begins; None: as the child likes."""

    limits: Limits | None
    valid_from_ms: int


_SEALED_SINCE_EVER = StatusPeriod(CardStatus.SEALED, 0)
_ORDINARY_SINCE_EVER = CategoryPeriod("ordinary", resident=False, valid_from_ms=0)
_valid_from_ms = attrgetter("valid_from_ms")
P = TypeVar("P", StatusPeriod, CategoryPeriod, ElectronicPeriod, SpendingLimitPeriod)


@dataclass(frozen=True, slots=True)
class Card:
    """The whole state of a card; a newer (epoch, version) replaces it."""

    card_identifier: str
    birth_date: date | None
    """None: the holder's data were deleted."""
    status_periods: tuple[StatusPeriod, ...]
    category_periods: tuple[CategoryPeriod, ...]
    epoch: int
    version: int
    successor_card_identifier: str = ""
    predecessor_card_identifier: str = ""
    """The card whose place this one takes, or took at the switch."""
    electronic_periods: tuple[ElectronicPeriod, ...] = ()
    spending_limit_periods: tuple[SpendingLimitPeriod, ...] = ()
    """Of a child; the last one ends them on the day the child is of age."""

    def status_at(self, time_ms: int) -> StatusPeriod:
        """The status period in force at an instant; before the first one the card was still sealed."""
        return _in_force(self.status_periods, time_ms) or _SEALED_SINCE_EVER

    def category_at(self, time_ms: int) -> CategoryPeriod:
        """The category period in force at an instant; before the first one the holder was an ordinary visitor."""
        return _in_force(self.category_periods, time_ms) or _ORDINARY_SINCE_EVER

    @property
    def status(self) -> CardStatus:
        """The last one we heard of, though it may begin a moment later by our clock."""
        return self.status_periods[-1].status if self.status_periods else CardStatus.SEALED

    def electronic_use_at(self, time_ms: int) -> ElectronicUse:
        """What the electronic card may be used for at an instant; before the first period there was none."""
        period = _in_force(self.electronic_periods, time_ms)
        return period.use if period else ElectronicUse.NOTHING

    def spending_limits_at(self, time_ms: int) -> Limits | None:
        """What a guardian lets the holder spend at an instant; None: nobody limits them."""
        period = _in_force(self.spending_limit_periods, time_ms)
        return period.limits if period else None

    def newer_than(self, other: "Card") -> bool:
        """Whether this state follows the other one."""
        return (self.epoch, self.version) > (other.epoch, other.version)


def switch_in_progress(card: Card, cards: Sequence[Card]) -> bool:
    """Whether a card takes another's place, and one of the two has not told us yet: then neither can say which one pays.

    `cards` are all that draw on the account. The two states of a switch leave together, and may come one after the other.
    """
    return len(cards) > 1 and any(_half_told(card, other) or _half_told(other, card) for other in cards if other is not card)


def _half_told(old: Card, new: Card) -> bool:
    if old.successor_card_identifier == new.card_identifier:
        return new.status is CardStatus.SEALED
    took_over = new.predecessor_card_identifier == old.card_identifier and new.status in _ENABLED
    return took_over and old.status is not CardStatus.CANCELLED


def _in_force(periods: tuple[P, ...], time_ms: int) -> P | None:
    if periods and periods[-1].valid_from_ms <= time_ms:
        return periods[-1]
    index = bisect_right(periods, time_ms, key=_valid_from_ms)
    return periods[index - 1] if index else None
