"""Working days of the mainland: weekends, public holidays, and the days that are worked in their place."""

from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Final

import chinese_calendar

from services.card.domain.application import Mode
from services.card.domain.settings import ApplicationRules
from services.common.clock import SHANGHAI, day_of, milliseconds

_MINUTE_MS: Final = 60_000


@lru_cache(4096)  # the library looks through all its years each time
def is_working_day(day: date) -> bool:
    """By the State Council's yearly arrangement (放假安排); a year that is not published yet has its weekends only."""
    try:
        return bool(chinese_calendar.is_workday(day))
    except NotImplementedError:
        return day.weekday() < 5


def after_working_days(day: date, count: int) -> date:
    """The last of so many working days behind a day, which itself does not count."""
    while count:
        day += timedelta(1)
        count -= is_working_day(day)
    return day


def due_ms(rules: ApplicationRules, mode: Mode, now_ms: int) -> int:
    """Until when a card is to be there: minutes at a window, the end of a working day from the maker."""
    if mode is not Mode.ORDINARY:
        return now_ms + rules.instant_minutes * _MINUTE_MS
    last = after_working_days(day_of(now_ms), rules.working_days)
    return milliseconds(datetime.combine(last + timedelta(1), time(), SHANGHAI))
