"""Limits: how often, and for how much, a card is accepted in a period; and how soon at the same place again."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from services.payments.domain.rating.periods import Period, PeriodKind
from services.payments.domain.rating.rule import Rating, Rule, State
from services.payments.domain.tap import Tap
from services.payments.domain.verdict import Reason

_DAILY = Period(PeriodKind.DAY)


class Each(StrEnum):
    """What is counted by itself."""

    ALL = "all"
    """Everything in the scene."""
    MERCHANT = "merchant"
    """Each merchant: a scenic site, a canteen operator."""
    PLACE = "place"
    """Each outlet, gate or vehicle of a merchant."""


def place_of(tap: Tap, each: Each) -> str:
    """Under which name a tap is counted."""
    if each is Each.ALL:
        return ""
    merchant = tap.terminal.merchant_id
    return merchant if each is Each.MERCHANT else f"{merchant} {tap.facts.outlet or tap.facts.gate or tap.facts.vehicle}"


@dataclass(frozen=True, slots=True)
class Limit(Rule):
    """What is above it is refused. Remembers the period, and taps and money by place."""

    period: Period = _DAILY
    most_taps: int | None = None
    most_fen: int | None = None
    each: Each = Each.ALL

    def rate(self, rating: Rating, state: dict[str, Any]) -> None:
        anchor, places = self._counted(state, rating.time_ms)
        place = place_of(rating.tap, self.each)
        taps, fen = places.get(place, (0, 0))
        state[self.name] = [anchor, {**places, place: [taps + rating.boards, fen + rating.due_fen]}]

    def refuse(self, tap: Tap, state: State, before: State, after: State) -> Reason | None:
        _, places = self._counted(state, tap.event_time_ms)
        taps, fen = places.get(place_of(tap, self.each), (0, 0))
        if self.most_taps is not None and taps >= self.most_taps:
            return Reason.OVER_PERIOD_COUNT
        if self.most_fen is not None and fen + self._fen(after, tap) - self._fen(before, tap) > self.most_fen:
            return Reason.OVER_PERIOD_LIMIT
        return None

    def _fen(self, state: State, tap: Tap) -> int:
        """What is counted of money in the tap's period, at its place."""
        _, places = self._counted(state, tap.event_time_ms)
        fen: int = places.get(place_of(tap, self.each), (0, 0))[1]
        return fen

    def counts_together(self, state: State, time_ms: int, later_ms: int) -> bool:
        held = state.get(self.name)
        return self.period.together(held[0] if held else None, time_ms, later_ms)

    def _counted(self, state: State, time_ms: int) -> tuple[int, dict[str, Any]]:
        anchor, held = self.period.current(state.get(self.name), time_ms)
        return anchor, held[1] if held else {}


@dataclass(frozen=True, slots=True)
class Block(Rule):
    """Who was just accepted at a place is not accepted there again for a while. Remembers the last place and time."""

    for_ms: int = 0
    each: Each = Each.PLACE

    def rate(self, rating: Rating, state: dict[str, Any]) -> None:
        state[self.name] = [place_of(rating.tap, self.each), rating.time_ms]

    def refuse(self, tap: Tap, state: State, before: State, after: State) -> Reason | None:
        held = state.get(self.name)
        if held and held[0] == place_of(tap, self.each) and tap.event_time_ms - held[1] < self.for_ms:
            return Reason.SAME_PLACE_TOO_SOON
        return None
