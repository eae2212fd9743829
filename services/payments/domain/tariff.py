"""Fares: what a tap costs, who pays it. A tariff is data over a few primitives; a new city is a new file."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from services.payments.domain.account import Usage
from services.payments.domain.calendar import age_on, service_date
from services.payments.domain.card import Card
from services.payments.domain.tap import Scene, Tap


class Rounding(StrEnum):
    """What happens to a part of a fen when a percentage is taken; a rule of each tariff."""

    DOWN = "down"
    HALF_UP = "half_up"
    UP = "up"

    def percent_of(self, amount_fen: int, percent: int) -> int:
        """`percent` % of an amount, in whole fen."""
        part = amount_fen * percent
        match self:
            case Rounding.DOWN:
                return part // 100
            case Rounding.HALF_UP:
                return (part + 50) // 100
            case Rounding.UP:
                return -(-part // 100)


@dataclass(frozen=True, slots=True)
class FlatFare:
    """Every tap costs the same; zero is a free entry."""

    amount_fen: int

    def fare_fen(self, tap: Tap) -> int:
        """The fare before concessions."""
        return self.amount_fen


@dataclass(frozen=True, slots=True)
class NamedPrice:
    """The merchant names the price in the body (canteen, shop)."""

    limit_fen: int
    """The largest price that the city accepts for one purchase."""

    def fare_fen(self, tap: Tap) -> int:
        """The price that was named; acceptance has checked it."""
        assert tap.price_fen is not None
        return tap.price_fen


@dataclass(frozen=True, slots=True)
class Concession:
    """A reduced share for some riders; a fund of the city pays the rest. Limits are inclusive."""

    name: str
    pays_percent: int
    fund_account: int
    from_age: int = 0
    to_age: int = 200
    category: str = ""
    """Empty: every category."""
    residents_only: bool = False

    def applies(self, card: Card, age: int, time_ms: int) -> bool:
        """Whether the rider has it: by age on the ride's date, by category and residence at its instant."""
        if not self.from_age <= age <= self.to_age:
            return False
        if not self.category and not self.residents_only:
            return True
        period = card.category_at(time_ms)
        return (not self.category or period.category == self.category) and (period.resident or not self.residents_only)


class Fare(NamedTuple):
    """What a tap costs. The merchant earns `fare_fen`; `fund_account` pays what the holder does not."""

    fare_fen: int
    charged_fen: int
    fund_account: int


@dataclass(frozen=True, slots=True)
class Tariff:
    """The fares of one scene for as long as they are valid."""

    scene: Scene
    valid_from_ms: int
    price: FlatFare | NamedPrice
    concessions: tuple[Concession, ...] = ()
    rounding: Rounding = Rounding.DOWN

    def rate(self, tap: Tap, card: Card, usage: Usage) -> tuple[Fare, Usage]:
        """The fare of a tap and the usage after it; the first concession that applies counts.

        Pure: called under the account's lock with the usage read under it, and nowhere else.
        """
        fare_fen = self.price.fare_fen(tap)
        if self.concessions and card.birth_date is not None:
            age = age_on(card.birth_date, service_date(tap.event_time_ms))
            for concession in self.concessions:
                if concession.applies(card, age, tap.event_time_ms):
                    charged_fen = self.rounding.percent_of(fare_fen, concession.pays_percent)
                    return Fare(fare_fen, charged_fen, concession.fund_account), usage
        return Fare(fare_fen, fare_fen, 0), usage


class Tariffs:
    """All tariffs of a city, found by scene and the time of the tap."""

    def __init__(self, tariffs: Iterable[Tariff]) -> None:
        by_scene: dict[Scene, list[Tariff]] = {}
        for tariff in sorted(tariffs, key=lambda t: t.valid_from_ms, reverse=True):
            by_scene.setdefault(tariff.scene, []).append(tariff)
        self._newest_first: Mapping[Scene, list[Tariff]] = by_scene

    def in_force(self, scene: Scene, time_ms: int) -> Tariff | None:
        """The tariff at the time of the tap: price changes take effect by event time."""
        for tariff in self._newest_first.get(scene, ()):
            if tariff.valid_from_ms <= time_ms:
                return tariff
        return None
