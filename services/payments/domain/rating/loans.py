"""Books of a library: how many one may have, and for how long. A loan costs nothing."""

from dataclasses import dataclass
from typing import Any

from services.payments.domain.rating.rule import Rating, Rule, State
from services.payments.domain.tap import Tap
from services.payments.domain.verdict import Reason


@dataclass(frozen=True, slots=True)
class Loans(Rule):
    """Remembers what is on loan, and since when. While something is overdue nothing more is lent."""

    most_items: int = 0
    for_ms: int = 0

    def rate(self, rating: Rating, state: dict[str, Any]) -> None:
        facts = rating.tap.facts
        if not facts.item:
            return
        lent = {item: since_ms for item, since_ms in state.get(self.name, {}).items() if item != facts.item}
        if not facts.returned:
            lent[facts.item] = rating.time_ms
        state[self.name] = lent

    def refuse(self, tap: Tap, state: State, before: State, after: State) -> Reason | None:
        lent: dict[str, int] = state.get(self.name, {})
        if not tap.facts.item or tap.facts.returned or tap.facts.item in lent:
            return None
        if any(tap.event_time_ms > since_ms + self.for_ms for since_ms in lent.values()):
            return Reason.LOAN_OVERDUE
        return Reason.TOO_MANY_LOANS if len(lent) >= self.most_items else None

    def counts_together(self, state: State, time_ms: int, later_ms: int) -> bool:
        return True
