"""换乘优惠: a discount for who boards again within a while."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from services.payments.domain.rating.rounding import TO_THE_FEN, Rounding
from services.payments.domain.rating.rule import Rating, Rule


class CountedFrom(StrEnum):
    """From when the minutes of a transfer are counted."""

    FIRST_BOARDING = "first-boarding"
    LAST_BOARDING = "last-boarding"
    """With entry and exit: the entry tap."""
    LAST_EXIT = "last-exit"
    """With entry and exit: the exit tap; elsewhere the boarding."""


_FIRST, _BOARDED, _LEFT, _LINE, _MODE, _USED, _PENDING = range(7)
_FIRST_BOARDING, _LAST_BOARDING = CountedFrom.FIRST_BOARDING, CountedFrom.LAST_BOARDING
_NOWHERE: Final = (0, 0, 0, "", "", 0, 0)


@dataclass(frozen=True, slots=True)
class Transfer(Rule):
    """A ride that follows another one soon enough costs less. Remembers the last ride, and how many transfers were used."""

    most_ms: int = 0
    """How long after the other ride, this instant included unless `inclusive` is false."""
    least_ms: int = 0
    inclusive: bool = True
    counted_from: CountedFrom = CountedFrom.LAST_BOARDING
    transfers: int = 1
    """How many in a chain; then the next ride begins a new one."""
    same_line: bool = False
    """Whether the line may be the same."""
    modes: tuple[tuple[str, str], ...] = ()
    """From which mode to which; empty: any."""
    pays_percent: int = 0
    """Of the fare, within `most_off_fen`."""
    most_off_fen: int | None = None
    payer: int = 0
    rounding: Rounding = TO_THE_FEN

    def rate(self, rating: Rating, state: dict[str, Any]) -> None:
        last = state.get(self.name, _NOWHERE)
        if not rating.boards:
            # The exit of a ride: whether it is a transfer was seen at its entry.
            if last[_PENDING]:
                self._reduce(rating)
            state[self.name] = [last[_FIRST], last[_BOARDED], rating.time_ms, *last[_LINE:_PENDING], 0]
            return
        time_ms = rating.time_ms
        line, mode = rating.line, rating.mode
        if last[_BOARDED] and self._follows(last, time_ms, line, mode):
            first, used = last[_FIRST], last[_USED] + 1
            pending = 0 if rating.charges else 1
            if not pending:
                self._reduce(rating)
        else:
            first, used, pending = time_ms, 0, 0
        state[self.name] = [first, time_ms, time_ms, line, mode, used, pending]

    def _follows(self, last: Any, time_ms: int, line: str, mode: str) -> bool:
        counted = self.counted_from
        waited = time_ms - last[_BOARDED if counted is _LAST_BOARDING else _FIRST if counted is _FIRST_BOARDING else _LEFT]
        return (
            last[_USED] < self.transfers
            and self.least_ms <= waited
            and (waited <= self.most_ms if self.inclusive else waited < self.most_ms)
            and (self.same_line or line != last[_LINE])
            and (not self.modes or (last[_MODE], mode) in self.modes)
        )

    def _reduce(self, rating: Rating) -> None:
        due_fen = self.rounding.percent_of(rating.due_fen, self.pays_percent)
        if self.most_off_fen is not None:
            due_fen = max(due_fen, rating.due_fen - self.most_off_fen)
        rating.reduce_to(due_fen, self.payer)
