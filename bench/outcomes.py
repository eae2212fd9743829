"""Reads `payments.outcomes` as a merchant's side would, apart from what is measured."""

import asyncio
import time
from typing import Any, Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.errors import BenchError
from cli.servers.broker import Kind
from onecard.payments.v1.outcomes_pb2 import Outcome
from services.common import topics
from services.payments.config import TANSU_WAIT_MS

PATIENCE_SECONDS: Final = 60.0
"""Nothing readable for so long: it will not come."""
_IDLE_MS: Final = 400
_ANSWER_WITHIN_MS: Final[dict[Kind, int]] = {"kafka": 500, "tansu": TANSU_WAIT_MS}
"""Apache Kafka answers a fetch as soon as there is something, Tansu holds it for the whole wait."""


class OutcomeReader:
    """One consumer that is in no group, and goes on where it stopped."""

    def __init__(self, bootstrap: str, kind: Kind, partitions: int) -> None:
        self._places = [TopicPartition(topics.OUTCOMES, partition) for partition in range(partitions)]
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=_ANSWER_WITHIN_MS[kind],
            check_crcs=False,
        )

    async def __aenter__(self) -> Self:
        self._consumer.assign(self._places)
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def appended(self, taps: int) -> dict[int, float]:
        """Read until so many different taps are answered.

        Returns when the broker appended the first outcome of each, Unix seconds by tap number: from then on it was readable,
        so that nobody needs to read, and use the CPU, while something else is measured.
        """
        first: dict[int, float] = {}
        while len(first) < taps:
            for record in await self._read():
                first.setdefault(_tap_number(record.value), record.timestamp / 1000)
        return first

    async def received(self, taps: int) -> dict[int, float]:
        """Read as outcomes come until so many different taps are answered; returns when each was in our hands."""
        came: list[tuple[float, list[Any]]] = []
        count = 0
        while count < taps:
            records = await self._read()
            came.append((time.time(), records))
            count += len(records)
        # Parsed afterwards, so that the reader itself is not what outcomes wait for.
        first: dict[int, float] = {}
        for at, records in came:
            for record in records:
                first.setdefault(_tap_number(record.value), at)
        if len(first) != taps:
            raise BenchError(f"{count} outcomes came for {taps} taps, but they answer {len(first)}: somebody was restarted")
        return first

    async def skip_rest(self) -> int:
        """Read what is left, once nobody writes any more; returns how much it was."""
        skipped = 0
        while found := await self._consumer.getmany(timeout_ms=_IDLE_MS):
            skipped += sum(map(len, found.values()))
        return skipped

    async def _read(self) -> list[Any]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            found = await self._consumer.getmany(timeout_ms=1000)
            if found:
                return [record for records in found.values() for record in records]
            if time.monotonic() > deadline:
                raise BenchError(f"no outcome came for {PATIENCE_SECONDS:.0f} s")
            await asyncio.sleep(0)


def _tap_number(value: bytes) -> int:
    return Outcome.FromString(value).identity.terminal_sequence
