"""What depends on how much a holder has ridden: tiers that make rides cheaper, and caps above which they are free."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from services.payments.domain.rating.periods import Period, PeriodKind
from services.payments.domain.rating.rounding import TO_THE_FEN, Rounding
from services.payments.domain.rating.rule import EVERYWHERE, Rating, Rule, Scope

_DAILY = Period(PeriodKind.DAY)


class Measure(StrEnum):
    """What is counted in a period."""

    PAID = "paid"
    """What the holder paid."""
    FARE = "fare"
    """What the rides would have cost without this rule."""
    RIDES = "rides"


_PAID, _RIDES = Measure.PAID, Measure.RIDES


@dataclass(frozen=True, slots=True)
class Tier:
    """From a total on, the share of the fare that is paid."""

    begins: int
    """In fen, or rides."""
    pays_percent: int


@dataclass(frozen=True, slots=True)
class Tiers(Rule):
    """The more was ridden in a period, the less is paid. Remembers the period and its total."""

    period: Period = _DAILY
    measure: Measure = Measure.PAID
    on_excess: bool = False
    """False: the total before the ride says which tier counts for all of it. True: each part of the fare is paid by its own."""
    tiers: tuple[Tier, ...] = ()
    """In order; the first one begins at 0."""
    scope: Scope = EVERYWHERE
    payer: int = 0
    rounding: Rounding = TO_THE_FEN

    def rate(self, rating: Rating, state: dict[str, Any]) -> None:
        if not rating.charges or not self.scope.covers(rating):
            return
        anchor, held = self.period.current(state.get(self.name), rating.time_ms)
        total = held[1] if held else 0
        before_fen = rating.due_fen
        if before_fen:
            due_fen = self._on_excess(total, before_fen) if self.on_excess else self._by_total(total, before_fen)
            rating.reduce_to(due_fen, self.payer)
        measure = self.measure
        total += rating.due_fen if measure is _PAID else 1 if measure is _RIDES else before_fen
        state[self.name] = [anchor, total]

    def _by_total(self, total: int, fen: int) -> int:
        percent = 100
        for tier in self.tiers:
            if total < tier.begins:
                break
            percent = tier.pays_percent
        return self.rounding.percent_of(fen, percent)

    def _on_excess(self, total: int, fen: int) -> int:
        """Each tier takes what of the fare fits below the next one; the parts are added exactly and rounded once."""
        hundredths, rest = 0, fen * 100
        """Of a fen, so that parts stay exact."""
        position = total * 100
        for tier, above in zip(self.tiers, (*self.tiers[1:], None), strict=True):
            if above is not None and position >= above.begins * 100:
                continue
            part = rest
            if above is not None:
                room = above.begins * 100 - position
                if self.measure is _PAID:
                    room = -(-room * 100 // tier.pays_percent) if tier.pays_percent else rest
                part = min(rest, room)
            paid = part * tier.pays_percent // 100
            hundredths += paid
            position += paid if self.measure is _PAID else part
            rest -= part
            if not rest:
                break
        # One hundredth part of a fen is the grain; the tariff's rounding makes units of it.
        return self.rounding.percent_of(hundredths, 1)


@dataclass(frozen=True, slots=True)
class Cap(Rule):
    """Above so much money, or so many rides, a period costs no more. Remembers the period, what was paid and the rides."""

    period: Period = _DAILY
    most_fen: int | None = None
    most_rides: int | None = None
    scope: Scope = EVERYWHERE
    payer: int = 0

    def rate(self, rating: Rating, state: dict[str, Any]) -> None:
        if not rating.charges or not self.scope.covers(rating):
            return
        anchor, held = self.period.current(state.get(self.name), rating.time_ms)
        paid, rides = (held[1], held[2]) if held else (0, 0)
        if self.most_rides is not None and rides >= self.most_rides:
            rating.reduce_to(0, self.payer)
        elif self.most_fen is not None:
            rating.reduce_to(min(rating.due_fen, max(0, self.most_fen - paid)), self.payer)
        state[self.name] = [anchor, paid + rating.due_fen, rides + 1]
