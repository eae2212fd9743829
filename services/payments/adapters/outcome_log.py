"""Reads `payments.outcomes` from any place in the past, a piece at a time, for everybody who is about there at once."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from aiokafka.errors import KafkaError

from services.common.kafka_security import PLAIN_TEXT, KafkaSecurity
from services.payments.adapters.outcome_consumer import OLDEST, Lost, OutcomeConsumer, RoadError, consuming
from services.payments.config import BrokerKind

_PIECE_OUTCOMES: Final = 1000
_PIECE_SECONDS: Final = 1.0
"""A piece takes longer only before a hole: a record that never comes is known by a reader that waited for it long enough."""
_TAKE_MS: Final = 300
_READERS: Final = 2
_ABOUT: Final = 20_000
"""Places so many records apart are read together: to read them takes less than to begin once more."""


@dataclass(frozen=True, slots=True)
class Past:
    """What a piece of the past holds for one merchant."""

    values: list[bytes]
    """Serialized outcomes."""
    offsets: dict[int, int]
    """Where the next piece begins, by partition."""


@dataclass(frozen=True, slots=True, eq=False)
class _Wanted:
    merchant: bytes
    begin: dict[int, int]
    end: Mapping[int, int]
    found: asyncio.Future[Past]
    values: list[bytes] = field(default_factory=list)

    def is_about(self, other: "_Wanted") -> bool:
        """Whether both are read in one go."""
        if self.is_ahead or other.is_ahead:
            return self is other
        return self.begin.keys() == other.begin.keys() and all(
            abs(offset - other.begin[partition]) <= _ABOUT for partition, offset in self.begin.items()
        )

    @property
    def is_ahead(self) -> bool:
        """Whether it begins where nothing is known to be."""
        return any(offset > self.end[partition] for partition, offset in self.begin.items())

    def take(self, partition: int, offset: int, value: bytes) -> None:
        """Keep it if it was asked for."""
        if self.begin[partition] <= offset < self.end[partition]:
            self.values.append(value)

    def past(self, positions: Mapping[int, int]) -> Past:
        """What was found, when the reader has come to these positions."""
        # A reader goes on to the last end, and began with the first beginning; one that was ahead of its end stays there.
        return Past(self.values, {at: max(begin, min(positions[at], self.end[at])) for at, begin in self.begin.items()})


class OutcomeLog:
    """A few short-lived consumers. When a hundred subscribers come back at once, each record is read once for all of them."""

    def __init__(self, bootstrap: str, broker: BrokerKind, security: KafkaSecurity = PLAIN_TEXT) -> None:
        self._bootstrap = bootstrap
        self._security = security
        self._broker: BrokerKind = broker
        self._waiting: list[_Wanted] = []
        self._idle = _READERS
        self._readers: set[asyncio.Task[None]] = set()

    async def read(self, merchant: bytes, begin: Mapping[int, int], end: Mapping[int, int]) -> Past:
        """A merchant's outcomes in [begin, end) of some partitions, or the first of them: what is found in a second.

        Asks the broker at least once, so a place that does not exist is noticed; reading goes on with the oldest then.
        Raises RoadError.
        """
        wanted = _Wanted(merchant, dict(begin), end, asyncio.get_running_loop().create_future())
        self._waiting.append(wanted)
        if self._idle:
            self._idle -= 1
            reader = asyncio.create_task(self._serve())
            self._readers.add(reader)
            reader.add_done_callback(self._readers.discard)
        return await wanted.found

    async def _serve(self) -> None:
        """Read for those who wait, until nobody does."""
        try:
            while waiting := [wanted for wanted in self._waiting if not wanted.found.cancelled()]:
                first = waiting[0]
                self._waiting = [wanted for wanted in waiting if not wanted.is_about(first)]
                await self._read_together([wanted for wanted in waiting if wanted.is_about(first)])
        finally:
            self._idle += 1

    async def _read_together(self, group: Sequence[_Wanted]) -> None:
        failure = "the reader was ended"
        try:
            async with consuming(self._bootstrap, self._broker, self._security) as consumer:
                await _read(consumer, group)
        except (KafkaError, OSError) as error:
            failure = type(error).__name__
        finally:
            for wanted in group:
                if not wanted.found.done():
                    wanted.found.set_exception(RoadError(failure))


async def _read(consumer: OutcomeConsumer, group: Sequence[_Wanted]) -> None:
    """One piece for all of them."""
    partitions = list(group[0].begin)
    ends = {partition: max(wanted.end[partition] for wanted in group) for partition in partitions}
    await consumer.place({partition: min(wanted.begin[partition] for wanted in group) for partition in partitions})
    by_merchant: dict[bytes, list[_Wanted]] = {}
    for wanted in group:
        by_merchant.setdefault(wanted.merchant, []).append(wanted)
    deadline = time.monotonic() + _PIECE_SECONDS
    while True:
        taken = await consumer.take(_TAKE_MS)
        if isinstance(taken, Lost):
            for wanted in group:
                wanted.begin[taken.partition] = OLDEST
            continue
        for partition, records in taken.items():
            for record in records:
                for wanted in by_merchant.get(record.key, ()):
                    wanted.take(partition, record.offset, record.value or b"")
        positions = await consumer.positions()
        reached = all(position >= ends[partition] for partition, position in positions.items())
        full = any(len(wanted.values) >= _PIECE_OUTCOMES for wanted in group)
        late = time.monotonic() >= deadline and not consumer.awaits_hole
        if reached or full or late:
            break
        await asyncio.sleep(0)  # what was fetched beforehand comes without a pause: others want to work, too
    for wanted in group:
        if not wanted.found.done():
            wanted.found.set_result(wanted.past(positions))
