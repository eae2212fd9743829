"""Working days of the mainland: weekends, public holidays, and the days that are worked in their place."""

from datetime import date, timedelta
from functools import lru_cache

import chinese_calendar


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
