"""Deliver one Faust event a fetch, instead of one a record.

Faust spends about 140 microseconds on each event it delivers. Here an event's value is a whole fetch: the runs of records of
all partitions in it. Faust keeps membership, rebalance, back-pressure and the commit of offsets; acknowledging the event
acknowledges every record in it. What is overridden below is held against the installed Faust by a test.

The topics read this way carry nothing else: an app uses this transport for all its topics or for none.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeAlias

import faust
from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from services.payments.adapters.holes import Holes

Run: TypeAlias = tuple[TP, list[Any]]
"""A contiguous run of aiokafka records of one partition, in order."""


class Gathering(NamedTuple):
    """How the broker gathers records before it answers a fetch, so that batches grow with the load."""

    min_bytes: int
    max_wait_ms: int
    passes_over: bool
    """Whether the broker may pass over a record for a moment (`Holes`)."""


MOST_OPEN_FETCHES: Final = 4
"""Fetches that are delivered and not yet acknowledged: bounds memory, and what a crash repeats."""


class Fetch(ConsumerMessage):  # type: ignore[misc]  # Faust is untyped
    """A message whose value is a list of runs."""

    __slots__ = ("delivery",)


class FetchSchema(faust.Schema):  # type: ignore[misc]  # Faust is untyped
    """Hands the runs on as they are: records are decoded by whom they concern, where a bad one can be named."""

    def compile(self, app: Any, **_: Any) -> Any:
        """What Faust calls for each message."""

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return app.create_event(None, message.value, None, message)

        return decode


class FetchConsumer(driver.Consumer):  # type: ignore[misc]  # Faust is untyped
    """A consumer that yields one message a fetch."""

    gathering: Gathering

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # The last offsets of the runs delivered from each partition, in order of delivery.
        self._ends: defaultdict[TP, deque[int]] = defaultdict(deque)
        self._delivery = 0  # raised whenever delivery begins anew from the committed offsets
        self._open = 0
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._next: dict[TP, int] = {}
        """The offset behind the last run delivered from each partition."""
        self._holes = Holes[TP]()
        super().__init__(*args, **kwargs)

    def _new_consumer_thread(self) -> Any:
        return _GatheringThread(self, loop=self.loop, beacon=self.beacon)

    async def perform_seek(self) -> None:
        """Back to the committed offsets: what was delivered and not committed will be delivered again."""
        self._begin_anew()
        await super().perform_seek()

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Of a partition where nothing was committed yet, back to its beginning: the driver leaves it where it stands."""
        committed: Mapping[TP, int] = await super().seek_to_committed()
        if new := [tp for tp, offset in committed.items() if not offset]:
            await self._thread.seek_to_beginning(*new)
        return committed

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Faust gives all partitions back at each rebalance and reads them again from the committed offsets."""
        self._begin_anew()
        await super().on_partitions_revoked(revoked)

    def _begin_anew(self) -> None:
        """What is in flight will be posted and answered, but commits nothing: its runs are cut differently next time."""
        self._delivery += 1
        self._ends.clear()
        self._next.clear()
        self._open = 0
        self._has_room.set()

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Fetch]]:
        """Fetch, and yield all of it as one message."""
        if not await self._room(timeout):
            return
        records, active = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        if records is None or self.should_stop:
            return
        if not self.flow_active:
            await self._seek_back()
            return
        runs: list[Run] = []
        for tp, found in records.items():
            if active is None or tp in active or tp in self._buffered_partitions:
                self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
                if run := await self._without_hole(tp, self._unread(tp, found)):
                    runs.append((tp, run))
        if runs and self.flow_active and self.app.consumer_generation_id == generation:
            yield self._deliver(runs, generation)

    async def _room(self, timeout: float) -> bool:
        # Not wait_for: in Python 3.11 it swallows a cancellation that comes as it is done, and the worker never ends.
        # Nor asyncio.timeout, which takes no turn of the loop where there is room: killed live windows lost counts with it.
        room = asyncio.ensure_future(self._has_room.wait())
        try:
            done, _ = await asyncio.wait([room], timeout=timeout)
        finally:
            room.cancel()
        return bool(done)

    async def _seek_back(self) -> None:
        try:
            await self.perform_seek()
        except (TimeoutError, KafkaError) as error:
            self.log.warning("could not seek back to the committed offsets: %r", error)

    def _unread(self, tp: TP, found: list[Any]) -> list[Any]:
        """The records behind the last one read: after a seek the fetcher may still hold older ones."""
        read = self._read_offset[tp]
        if read is not None and found and found[0].offset < read:
            return [record for record in found if record.offset >= read]
        return found

    async def _without_hole(self, tp: TP, run: list[Any]) -> list[Any]:
        """The run up to a record that the broker passed over; what is behind it is read again."""
        expected = self._next.get(tp)
        if not run or expected is None or not self.gathering.passes_over:
            return run
        taken, hole = self._holes.before(tp, expected, run)
        if hole is not None:
            try:
                await self._thread.seek_wait({tp: hole})
            except (TimeoutError, KafkaError) as error:
                self.log.warning("could not seek back to a record that was passed over: %r", error)
        return taken

    def _deliver(self, runs: list[Run], generation: int) -> tuple[TP, Fetch]:
        for tp, run in runs:
            # One less than the last, so that Faust sees no gap to keep books about.
            self._read_offset[tp] = max(run[-1].offset - 1, 0) or None
            self._ends[tp].append(run[-1].offset)
            self._next[tp] = run[-1].offset + 1
        tp, run = runs[0]
        last = run[-1]
        message = Fetch(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1000,
            last.timestamp_type,
            (),
            None,
            runs,
            None,
            0,
            0,
            tp,
            generation_id=generation,
        )
        message.delivery = self._delivery
        self._open += 1
        if self._open >= MOST_OPEN_FETCHES:
            self._has_room.clear()
        return tp, message

    def ack(self, message: Fetch) -> bool:
        """Acknowledge every run of a fetch; the next commit takes what is contiguous."""
        if message.acked:
            return False
        message.acked = True
        self._unacked_messages.discard(message)
        if message.delivery != self._delivery:
            return False
        self._open -= 1
        self._has_room.set()
        for tp, run in message.value:
            end = run[-1].offset
            self._acked_index[tp].add(end)
            self._acked[tp].append(end)
        return True

    def _should_commit(self, tp: TP, offset: int) -> bool:
        """Always: what Faust takes for committed may be a commit that failed, or one of a broker that lost its memory."""
        return True

    def _new_offset(self, tp: TP) -> int | None:
        """The offset to commit: behind the last run of those that are acknowledged without a hole before them."""
        ends, acked = self._ends[tp], self._acked_index[tp]
        offset = None
        while ends and ends[0] in acked:
            end = ends.popleft()
            acked.discard(end)
            offset = end + 1
        if offset is not None:
            self._acked[tp] = [end for end in self._acked[tp] if end >= offset]
        return offset


class _GatheringThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust is untyped
    """Sets what Faust does not pass on to aiokafka: how the broker gathers."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        gathering = self.consumer.gathering
        consumer._fetch_min_bytes = gathering.min_bytes
        consumer._fetch_max_wait_ms = gathering.max_wait_ms
        return consumer

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Say in the log when a partition stands still.

        Of one that has just been given to us nobody knows yet where it stands, and asking ends the worker by an assertion.
        """
        with suppress(AssertionError):
            super().verify_event_path(now, tp)


def deliver_fetches(app: faust.App, gathering: Gathering, consumer: type[FetchConsumer] = FetchConsumer) -> None:
    """Make an app read its topics a fetch at a time. Call it before the app starts."""

    class Consumer(consumer):  # type: ignore[misc,valid-type]  # a class of this app's own, for it carries the setting
        """The consumer of this app."""

    Consumer.gathering = gathering

    class Transport(driver.Transport):  # type: ignore[misc]  # Faust is untyped
        """The transport of this app."""

    Transport.Consumer = Consumer
    app.transport = Transport(app.conf.broker_consumer, app)


def records_in(runs: Iterable[Run]) -> int:
    """How many records a fetch holds."""
    return sum(len(run) for _, run in runs)
