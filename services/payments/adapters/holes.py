"""Records that a broker passes over for a moment.

Tansu acknowledges a record before every reader can see it: where several producers write to one partition, a fetch may answer
with what lies behind a record and without the record itself. A consumer would go on behind it for good. So a reader stops
before the hole and reads once more from there. Only for topics whose offsets are without a gap, as everything on Tansu.
"""

import time
from collections.abc import Sequence
from typing import Any, Final, Generic, TypeVar

import structlog

log = structlog.get_logger()

PlaceT = TypeVar("PlaceT", bound=tuple[str, int])

PATIENCE_SECONDS: Final = 2.0
"""What has not come by then does not come: the hole is real."""


class Holes(Generic[PlaceT]):
    """The holes that a reader waits before, by (topic, partition)."""

    def __init__(self) -> None:
        self._waiting: dict[PlaceT, tuple[int, float]] = {}

    @property
    def awaited(self) -> bool:
        """Whether the reader stands before one that it will soon know more of; not for ever when the broker falls silent."""
        now = time.monotonic()
        return any(now - since < 2 * PATIENCE_SECONDS for _, since in self._waiting.values())

    def before(self, at: PlaceT, expected: int, records: Sequence[Any]) -> tuple[list[Any], int | None]:
        """The records up to the first hole, and its offset, from which to read again; None: there is none.

        `expected` is the offset that comes next; the records have an `offset` each, in order. What lies before it was read
        already and is left out.
        """
        records = [record for record in records if record.offset >= expected]
        hole = next((n for n, record in enumerate(records, expected) if record.offset != n), None)
        if hole is None:
            self._waiting.pop(at, None)
            return records, None
        taken, behind = records[: hole - expected], records[hole - expected :]
        if not self._is_real(at, hole):
            return taken, hole
        log.warning("records_missing", topic=at[0], partition=at[1], offset=hole)
        more, next_hole = self.before(at, behind[0].offset, behind)
        return taken + more, next_hole

    def _is_real(self, at: PlaceT, offset: int) -> bool:
        now = time.monotonic()
        known, since = self._waiting.get(at, (-1, now))
        if known == offset and now - since > PATIENCE_SECONDS:
            return True
        if known != offset:
            self._waiting[at] = (offset, now)
        return False
