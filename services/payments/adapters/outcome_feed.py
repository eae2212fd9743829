"""Tails `payments.outcomes` once for all subscribers of a process, and hands each merchant's outcomes to whoever listens."""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import structlog
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from services.common.kafka_security import PLAIN_TEXT, KafkaSecurity
from services.common.topics import OUTCOMES
from services.payments.adapters.outcome_consumer import REQUEST_TIMEOUT_MS, Lost, OutcomeConsumer, RoadError, consuming
from services.payments.adapters.outcome_cursor import Life, home_of
from services.payments.config import BrokerKind

log = structlog.get_logger()

_MOST_WAITING: Final = 5000
_LOOK_SECONDS: Final = 1.0
_TAKE_MS: Final = 1000


class Coming(NamedTuple):
    """An outcome on its way to a subscriber."""

    partition: int
    offset: int
    value: bytes


class Listener:
    """What has come for a merchant since it began to listen, without a hole, until it is closed.

    It is closed when too much waits, and when another life of the road begins: who needs more then begins anew where this
    one ended.
    """

    def __init__(self, merchant_id: str, life: Life, since: Sequence[int]) -> None:
        self.merchant = merchant_id.encode()
        self.life = life
        self.home = home_of(merchant_id, life.partitions)
        self.since = since
        """The offset in each partition from which on everything comes here."""
        self.closed = False
        self._waiting: deque[Coming] = deque()
        self._some = asyncio.Event()

    def put(self, coming: Coming) -> None:
        """Give it an outcome; too much of it closes it."""
        if self.closed:
            return
        if len(self._waiting) >= _MOST_WAITING:
            self.close()
            return
        self._waiting.append(coming)
        self._some.set()

    def close(self) -> None:
        """Give it nothing more."""
        self.closed = True
        self._some.set()

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting.clear()

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    async def take(self, most: int) -> list[Coming]:
        """Wait for what comes; nothing comes when it is closed and empty."""
        await self._some.wait()
        taken = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        if not self._waiting and not self.closed:
            self._some.clear()
        return taken


class OutcomeFeed:
    """The one consumer. `run` it for as long as anybody may listen."""

    def __init__(self, bootstrap: str, broker: BrokerKind, security: KafkaSecurity = PLAIN_TEXT) -> None:
        self._bootstrap = bootstrap
        self._security = security
        self._broker: BrokerKind = broker
        self._life: Life | None = None
        self._offsets: list[int] = []
        self._listeners: dict[bytes, set[Listener]] = {}
        self._begun = asyncio.Event()
        self._warned = False

    async def begun(self) -> None:
        """Wait until the first life is known."""
        await self._begun.wait()

    @contextmanager
    def listening(self, merchant_id: str) -> Iterator[Listener]:
        """Listen from now on. Only after `begun`."""
        assert self._life is not None, "begun() comes first"
        listener = Listener(merchant_id, self._life, tuple(self._offsets))
        listeners = self._listeners.setdefault(listener.merchant, set())
        listeners.add(listener)
        try:
            yield listener
        finally:
            listeners.discard(listener)
            if not listeners and self._listeners.get(listener.merchant) is listeners:
                del self._listeners[listener.merchant]

    def reached(self, listener: Listener) -> int | None:
        """Up to where a listener has passed on everything of its merchant's partition; None when it cannot be told."""
        return None if listener.closed or not listener.empty else self._offsets[listener.home]

    async def run(self) -> None:
        """Work for ever; says once what is awaited while the broker is away."""
        while True:
            try:
                await self._live()
            except (KafkaError, OSError, RoadError) as error:
                self._warn(error)
                await asyncio.sleep(_LOOK_SECONDS)

    async def _live(self) -> None:
        """Until another life begins."""
        client = AIOKafkaClient(
            bootstrap_servers=self._bootstrap, request_timeout_ms=REQUEST_TIMEOUT_MS, **self._security.arguments()
        )
        try:
            await client.bootstrap()
            # First which life it is, then the offsets: if the broker changes in between, the next look tells.
            life = await _look(client)
            async with consuming(self._bootstrap, self._broker, self._security) as consumer:
                if life != self._life:
                    await self._begin(life, consumer)
                await consumer.place(dict(enumerate(self._offsets)))
                tailing = asyncio.create_task(self._tail(consumer))
                try:
                    await self._watch(client, life, tailing)
                finally:
                    tailing.cancel()
                    await asyncio.gather(tailing, return_exceptions=True)
        finally:
            await client.close()

    async def _begin(self, life: Life, consumer: OutcomeConsumer) -> None:
        ends = await consumer.ends(life.partitions)
        log.info("outcomes_tailed", cluster=life.cluster_id, partitions=life.partitions)
        self._life, self._offsets = life, ends
        self._begun.set()
        self._close_listeners()

    async def _tail(self, consumer: OutcomeConsumer) -> None:
        while True:
            taken = await consumer.take(_TAKE_MS)
            if isinstance(taken, Lost):
                self._offsets[taken.partition] = (await consumer.positions())[taken.partition]
                self._close_listeners()
                continue
            for partition, records in taken.items():
                self._hand_out(partition, records)
            await asyncio.sleep(0)  # what was fetched beforehand comes without a pause: others want to work, too

    def _hand_out(self, partition: int, records: Sequence[Any]) -> None:
        for record in records:
            for listener in self._listeners.get(record.key, ()):
                listener.put(Coming(partition, record.offset, record.value or b""))
        self._offsets[partition] = records[-1].offset + 1

    def _close_listeners(self) -> None:
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.close()

    async def _watch(self, client: AIOKafkaClient, life: Life, tailing: asyncio.Task[None]) -> None:
        """Ends when another life has begun; raises what ended the tail."""
        while not tailing.done():
            try:
                if await _look(client) != life:
                    return
                self._warned = False
            except (KafkaError, OSError, RoadError) as error:
                self._warn(error)
            await asyncio.wait({tailing}, timeout=_LOOK_SECONDS)
        await tailing

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            log.warning("waiting_for_broker", bootstrap=self._bootstrap, error=type(error).__name__, topic=OUTCOMES)
        self._warned = True


async def _look(client: AIOKafkaClient) -> Life:
    """Which life it is. Raises KafkaError and OSError while the broker is away, RoadError while it has no such topic."""
    # Without the last argument some brokers would make the topic, with as many partitions as they please.
    found = (await client.send(client.get_random_node(), MetadataRequest([OUTCOMES], False))).to_object()
    partitions = [
        len(topic["partitions"]) for topic in found["topics"] if topic["topic"] == OUTCOMES and not topic["error_code"]
    ]
    if not partitions or not partitions[0]:
        raise RoadError(f"there is no topic {OUTCOMES}")
    return Life(found["cluster_id"], partitions[0])
