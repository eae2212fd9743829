"""Meal windows of a canteen: when it serves, how often one eats in each, and what a fund adds to a meal."""

from dataclasses import dataclass
from typing import Any

from services.payments.domain.calendar import minute_of_day, service_day
from services.payments.domain.rating.rule import Rating, Rule, State
from services.payments.domain.tap import Tap
from services.payments.domain.verdict import Reason


@dataclass(frozen=True, slots=True)
class Meal:
    """A window of the day; it begins with its first minute and ends before `ends_minutes`."""

    name: str
    begins_minutes: int
    ends_minutes: int
    most_taps: int | None = None
    subsidy_fen: int = 0
    """What the payer adds to the first purchases of the window, once each day."""


@dataclass(frozen=True, slots=True)
class Meals(Rule):
    """Remembers the day, and for each meal the taps and what was added."""

    meals: tuple[Meal, ...] = ()
    closed_between: bool = False
    """Whether purchases outside of the windows are refused."""
    category: str = ""
    """Who is given the subsidy; empty: everybody."""
    payer: int = 0

    def rate(self, rating: Rating, state: dict[str, Any]) -> None:
        meal = self._meal(rating.time_ms)
        if meal is None:
            return
        day, eaten = self._eaten(state, rating.time_ms)
        taps, added_fen = eaten.get(meal.name, (0, 0))
        if not self.category or rating.card.category_at(rating.time_ms).category == self.category:
            adds_fen = min(rating.due_fen, meal.subsidy_fen - added_fen)
            rating.reduce_to(rating.due_fen - adds_fen, self.payer)
            added_fen += adds_fen
        state[self.name] = [day, {**eaten, meal.name: [taps + 1, added_fen]}]

    def refuse(self, tap: Tap, state: State, before: State, after: State) -> Reason | None:
        meal = self._meal(tap.event_time_ms)
        if meal is None:
            return Reason.OUTSIDE_HOURS if self.closed_between else None
        _, eaten = self._eaten(state, tap.event_time_ms)
        taps, _ = eaten.get(meal.name, (0, 0))
        return Reason.OVER_PERIOD_COUNT if meal.most_taps is not None and taps >= meal.most_taps else None

    def counts_together(self, state: State, time_ms: int, later_ms: int) -> bool:
        return service_day(time_ms) == service_day(later_ms)

    def _meal(self, time_ms: int) -> Meal | None:
        minute = minute_of_day(time_ms)
        for meal in self.meals:
            if meal.begins_minutes <= minute < meal.ends_minutes:
                return meal
        return None

    def _eaten(self, state: State, time_ms: int) -> tuple[int, dict[str, Any]]:
        day = service_day(time_ms)
        held = state.get(self.name)
        return (day, held[1]) if held and held[0] == day else (day, {})
