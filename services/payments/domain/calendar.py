"""Days as the city counts them: UTC milliseconds inside, Asia/Shanghai at the edges."""

from datetime import date
from functools import lru_cache

# Asia/Shanghai has been UTC+8 without summer time since 1991, longer than any card or event is old.
_SHANGHAI_MS = 8 * 3600 * 1000
_DAY_MS = 24 * 3600 * 1000
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


def service_day(time_ms: int) -> int:
    """The city's calendar day of an instant (日切 at midnight), as a count of days since 1970-01-01."""
    return (time_ms + _SHANGHAI_MS) // _DAY_MS


def begin_of_day_ms(day: int) -> int:
    """The instant at which a service day begins."""
    return day * _DAY_MS - _SHANGHAI_MS


def service_date(time_ms: int) -> date:
    """The city's calendar day of an instant."""
    return _date((time_ms + _SHANGHAI_MS) // _DAY_MS)


@lru_cache(maxsize=1024)
def _date(day: int) -> date:
    return date.fromordinal(_EPOCH_ORDINAL + day)


def age_on(birth_date: date, day: date) -> int:
    """Completed years on a day. Who was born on 29 February has the birthday on 1 March in other years."""
    return day.year - birth_date.year - ((day.month, day.day) < (birth_date.month, birth_date.day))


def minute_of_day(time_ms: int) -> int:
    """Minutes since midnight in the city."""
    return (time_ms + _SHANGHAI_MS) % _DAY_MS // 60_000
