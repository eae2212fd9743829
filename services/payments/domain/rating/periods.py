"""Periods over which tariffs count: calendar days, weeks, months and years of the city, and periods that roll."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

from services.payments.domain.calendar import service_day

_MINUTE_MS: Final = 60_000
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()


class PeriodKind(StrEnum):
    """How a period begins and ends."""

    DAY = "day"
    WEEK = "week"
    """From Monday."""
    MONTH = "month"
    YEAR = "year"
    ROLLING = "rolling"
    """From the first tap that is not in one, for a length."""


# Looking a member up in its enumeration costs as much as the arithmetic.
_ROLLING, _DAY, _WEEK, _MONTH = PeriodKind.ROLLING, PeriodKind.DAY, PeriodKind.WEEK, PeriodKind.MONTH


@dataclass(frozen=True, slots=True)
class Period:
    """A kind of period; `anchor` tells two of them apart."""

    kind: PeriodKind
    starts_minutes: int = 0
    """When the service day begins, in minutes after midnight: of calendar periods."""
    length_ms: int = 0
    """Of a rolling period."""

    def anchor(self, held: int | None, time_ms: int) -> int:
        """The period that a tap belongs to; `held` is the one that was counted last, which a rolling period needs to know."""
        kind = self.kind
        if kind is _ROLLING:
            return held if held is not None and held <= time_ms < held + self.length_ms else time_ms
        day = service_day(time_ms - self.starts_minutes * _MINUTE_MS)
        if kind is _DAY:
            return day
        if kind is _WEEK:
            return (day + 3) // 7  # 1970-01-01 was a Thursday
        return _month(day) if kind is _MONTH else _month(day) // 12

    def current(self, held: Sequence[Any] | None, time_ms: int) -> tuple[int, Sequence[Any] | None]:
        """The period that a tap belongs to, and what is held if it is of that one; what is held begins with its anchor."""
        anchor = self.anchor(held[0] if held else None, time_ms)
        return anchor, held if held and held[0] == anchor else None

    def together(self, held: int | None, time_ms: int, later_ms: int) -> bool:
        """Whether a later tap is in the period of an earlier one."""
        anchor = self.anchor(held, time_ms)
        return self.anchor(anchor, later_ms) == anchor


@lru_cache(maxsize=4096)
def _month(day: int) -> int:
    that = date.fromordinal(_EPOCH_ORDINAL + day)
    return that.year * 12 + that.month - 1
