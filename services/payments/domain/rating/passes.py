"""年票: a pass is bought with a tap of its own, and its holder then enters without paying, so many times and so long."""

from dataclasses import dataclass
from typing import Any

from services.payments.domain.rating.rule import Rating, Rule, State
from services.payments.domain.tap import Tap
from services.payments.domain.verdict import Reason


@dataclass(frozen=True, slots=True)
class Pass(Rule):
    """A pass. Remembers when the last one was bought, and its visits."""

    ticket: str = ""
    """What a tap that buys it names."""
    price_fen: int = 0
    valid_ms: int = 0
    visits: int | None = None
    """None: as many as one likes."""
    required: bool = False
    """Whether nobody enters without one."""

    def rate(self, rating: Rating, state: dict[str, Any]) -> None:
        if rating.tap.facts.ticket == self.ticket:
            rating.set_price(self.price_fen)
            state[self.name] = [rating.time_ms, 0]
        elif self._valid(state, rating.time_ms):
            rating.set_price(0)
            bought_ms, visits = state[self.name]
            state[self.name] = [bought_ms, visits + 1]

    def refuse(self, tap: Tap, state: State, before: State, after: State) -> Reason | None:
        if tap.facts.ticket == self.ticket:
            return Reason.PASS_STILL_VALID if self._usable(state, tap.event_time_ms) else None
        if self._valid(state, tap.event_time_ms):
            return None if self._usable(state, tap.event_time_ms) else Reason.PASS_USED_UP
        return Reason.NO_PASS if self.required else None

    def counts_together(self, state: State, time_ms: int, later_ms: int) -> bool:
        return self._valid(state, time_ms) and self._valid(state, later_ms)

    def _valid(self, state: State, time_ms: int) -> bool:
        held = state.get(self.name)
        return held is not None and bool(held[0] <= time_ms < held[0] + self.valid_ms)

    def _usable(self, state: State, time_ms: int) -> bool:
        return self._valid(state, time_ms) and (self.visits is None or state[self.name][1] < self.visits)
