"""The load generator: `fill` puts a backlog into the topics, `pace` sends at a steady rate whatever comes back.

Everything is signed and serialized before the first tap is due, and a batch a partition is built at once, so that the
generator takes as little as possible of the cores that it shares with what is measured.
"""

import asyncio
import gc
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import uvloop
from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder

from bench.signing import keys_from_environment
from bench.taps import Load, Place, taps

app = typer.Typer(add_completion=False)

BATCH_BYTES = 262_144  # as the SDK's emitter
_UNCONFIRMED = 128  # batches


class Sent(msgspec.Struct, frozen=True):
    """What was sent, for the measuring process."""

    counts: list[tuple[str, int, int]]
    """(topic, partition, records)."""
    start: float = 0.0
    """The scheduled instant of the first tap, Unix seconds; tap i is due i / rate later."""
    latest_ms: float = 0.0
    """How late the generator was with its latest batch: an overloaded generator says so."""


def read_sent(file: Path) -> Sent:
    """What a generator left when it ended."""
    return msgspec.json.decode(file.read_bytes(), type=Sent)


class Batches:
    """A batch for each partition, in the making."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._open: dict[Place, BatchBuilder] = {}
        self._sent: list[asyncio.Future[object]] = []
        self.counts: Counter[Place] = Counter()

    async def add(self, load: Load) -> None:
        """Append a record; a batch that is full is sent."""
        place = load.place
        batch = self._open.get(place)
        if batch is None or batch.append(timestamp=None, key=load.key, value=load.value) is None:
            if batch is not None:
                await self._send(place, batch)
            batch = self._open[place] = self._producer.create_batch()
            assert batch.append(timestamp=None, key=load.key, value=load.value) is not None, "a tap is smaller than a batch"
        self.counts[place] += 1

    async def flush(self) -> None:
        """Send what is gathered, without waiting for the broker."""
        for place, batch in self._open.items():
            await self._send(place, batch)
        self._open.clear()

    async def confirmed(self) -> None:
        """Wait until the broker has everything; raises what it refused."""
        await asyncio.gather(*self._sent)
        self._sent.clear()

    async def _send(self, place: Place, batch: BatchBuilder) -> None:
        self._sent.append(await self._producer.send_batch(batch, place.topic, partition=place.partition))
        if len(self._sent) > _UNCONFIRMED:
            self._sent = [future for future in self._sent if not (future.done() and future.exception() is None)]


async def _fill(producer: AIOKafkaProducer, first: int, count: int, partitions: int, late_percent: int) -> Sent:
    batches = Batches(producer)
    for load in taps(first, count, partitions, keys_from_environment(), late_percent):
        await batches.add(load)
    await batches.flush()
    await batches.confirmed()
    return _told(batches)


async def _pace(
    producer: AIOKafkaProducer, first: int, count: int, partitions: int, rate: float, linger_seconds: float
) -> Sent:
    """Open loop: when the oldest tap that waits has lingered, everything that is due by then is sent."""
    ready = list(taps(first, count, partitions, keys_from_environment()))
    gc.freeze()
    gc.disable()
    batches = Batches(producer)
    latest = 0.0
    done = 0
    start = time.time() + 0.5
    while done < count:
        flush_at = start + done / rate + linger_seconds
        await asyncio.sleep(max(0.0, flush_at - time.time()))
        now = time.time()
        latest = max(latest, now - flush_at)
        due = min(count, int((now - start) * rate) + 1)
        for load in ready[done:due]:
            await batches.add(load)
        await batches.flush()
        done = due
    await batches.confirmed()
    return _told(batches, start, latest * 1000)


def _told(batches: Batches, start: float = 0.0, latest_ms: float = 0.0) -> Sent:
    return Sent([(place.topic, place.partition, count) for place, count in batches.counts.items()], start, latest_ms)


_Bootstrap = Annotated[str, typer.Option()]
_Number = Annotated[int, typer.Option()]


@app.command()
def fill(
    bootstrap: _Bootstrap,
    partitions: _Number,
    first: _Number,
    count: _Number,
    result: Path,
    late_percent: Annotated[int, typer.Option(help="how many of a hundred happened long ago")] = 0,
) -> None:
    """Put a backlog into the topics, as fast as the broker takes it."""
    _send(bootstrap, result, lambda producer: _fill(producer, first, count, partitions, late_percent))


@app.command()
def pace(
    bootstrap: _Bootstrap,
    partitions: _Number,
    first: _Number,
    count: _Number,
    rate: Annotated[float, typer.Option(help="taps a second")],
    linger_ms: _Number,
    result: Path,
) -> None:
    """Send at a steady rate, whatever comes back."""
    linger_seconds = linger_ms / 1000
    _send(bootstrap, result, lambda producer: _pace(producer, first, count, partitions, rate, linger_seconds))


def _send(bootstrap: str, result: Path, send: Callable[[AIOKafkaProducer], Awaitable[Sent]]) -> None:
    async def with_producer() -> Sent:
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_batch_size=BATCH_BYTES)
        await producer.start()
        try:
            return await send(producer)
        finally:
            await producer.stop()

    result.write_bytes(msgspec.json.encode(uvloop.run(with_producer())))


if __name__ == "__main__":
    app()
