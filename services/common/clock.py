"""Time: UTC milliseconds since 1970 in messages and rules, aware datetimes where PostgreSQL wants them."""

import time
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final

SHANGHAI: Final = timezone(timedelta(hours=8))
"""The city's time, for people to read and for its days."""

LATEST_MS: Final = 253_402_300_799_999
"""The end of the year 9999: the last millisecond that a datetime can be."""


def now_ms() -> int:
    """This machine's clock."""
    return time.time_ns() // 1_000_000


def instant(time_ms: int) -> datetime:
    """An instant as an aware datetime."""
    return datetime.fromtimestamp(time_ms // 1000, UTC).replace(microsecond=time_ms % 1000 * 1000)


def milliseconds(at: datetime) -> int:
    """An aware datetime as UTC milliseconds."""
    return round(at.timestamp() * 1000)


def read_moment(text: str) -> int:
    """A moment as people write it, "2026-11-28T12:00:00+08:00"; without a zone it is the city's. Raises ValueError."""
    at = datetime.fromisoformat(text)
    return milliseconds(at if at.tzinfo else at.replace(tzinfo=SHANGHAI))


def midnight_ms(day: date) -> int:
    """When a day of the city begins, as UTC milliseconds."""
    return milliseconds(datetime(day.year, day.month, day.day, tzinfo=SHANGHAI))


def day_of(time_ms: int) -> date:
    """The day of the city in which an instant lies."""
    return instant(time_ms).astimezone(SHANGHAI).date()
