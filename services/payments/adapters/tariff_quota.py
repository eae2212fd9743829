"""The table of a tariff file that says how many visitors a site takes."""

from typing import Annotated, Final

import msgspec

from services.payments.adapters.tariff_schema import DAY_MS, MINUTE_MS, Name, Positive, TimeOfDay, WrongError, minutes_of
from services.payments.domain.places import Quota, Reservations, Window

_LONGEST_AHEAD_DAYS: Final = 90
Minutes = Annotated[int, msgspec.Meta(ge=0, le=24 * 60)]


class WindowTable(msgspec.Struct, forbid_unknown_fields=True):
    begins: TimeOfDay
    ends: TimeOfDay
    places: Positive


class QuotaTable(msgspec.Struct, forbid_unknown_fields=True):
    places: Positive | None = None
    window: list[WindowTable] = []
    reservations: Reservations = Reservations.NONE
    real_name: bool = False
    days_ahead: Annotated[int, msgspec.Meta(ge=0, le=_LONGEST_AHEAD_DAYS)] = 7
    grace_minutes: Minutes = 0
    kept_days: Positive = 7
    other_tickets: list[Name] = []

    def build(self, most_riders: int) -> Quota:
        if (self.places is None) == (not self.window):
            raise WrongError("places", "a quota has places for the whole day, or windows with places of their own")
        if self.real_name and most_riders > 1:
            raise WrongError("real_name", "means a card for everybody: most_riders is 1 then")
        return Quota(
            windows=(Window(0, 24 * 60, self.places),) if self.places is not None else self._windows(),
            reservations=self.reservations,
            real_name=self.real_name,
            days_ahead=self.days_ahead,
            grace_ms=self.grace_minutes * MINUTE_MS,
            kept_ms=self.kept_days * DAY_MS,
            other_tickets=frozenset(self.other_tickets),
        )

    def _windows(self) -> tuple[Window, ...]:
        windows = tuple(Window(minutes_of(one.begins), minutes_of(one.ends), one.places) for one in self.window)
        until = 0
        for at, window in enumerate(windows):
            if window.begins >= window.ends:
                raise WrongError(f"window[{at}].ends", "is not after begins")
            if window.begins < until:
                raise WrongError(f"window[{at}].begins", "is before the window above it ends")
            until = window.ends
        return windows
