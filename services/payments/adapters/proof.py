"""The rows of batches as they are stored, read many batches at a time, and the digests that they give."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, Self

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.clock import milliseconds
from services.common.database import driver_session
from services.payments.adapters.rows import OPERATION_COLUMNS, TRANSFER_COLUMNS, VERDICT_COLUMNS, batch_digest, rows_of_copy
from services.payments.adapters.unpack import Batch, Taken, operations_of, stored, transfers_of, verdicts_of
from services.payments.domain.evidence import what_was_done

EVERY_BATCH: Final = 2**63 - 1
_MOST_ROWS: Final = 200_000
_MOST_BATCHES: Final = 20_000

_BATCHES: Final = """
select number, now, verdicts, operations, transfers, digest, key_version
from payments.batch where number > $1 and number <= $2 order by number limit $3"""
# In the order of the digest. The summaries of the batch numbers lead to the pages: nothing else reads a part of a table.
_ROWS: Final = [
    f"select {', '.join(columns)} from payments.{table} where batch > $1 and batch <= $2 order by batch, {order}"  # noqa: S608  # constants
    for table, columns, order in (
        ("verdict", VERDICT_COLUMNS, "terminal, sequence"),
        ("transfer", TRANSFER_COLUMNS, "id"),
        ("operation", OPERATION_COLUMNS, "terminal, request_id"),
    )
]
_READ_IN_STRETCHES: Final = """
set local transaction_timeout = 0; set local enable_seqscan = off; set local max_parallel_workers_per_gather = 0;
set local work_mem = '128MB'"""


class Proved(NamedTuple):
    """What became of one number that has a batch, or rows, or both."""

    number: int
    digest: bytes | None
    """As it is stored; None: there are rows and no batch."""
    rows: int
    now_ms: int
    excused: bool
    """Its rows need not be there: they were folded or detached."""
    fault: str
    """What is wrong with its rows; empty: nothing."""


class Stretch(NamedTuple):
    """Everything of the batches up to a number, as COPY gives it: verdicts, transfers, operations."""

    upto: int
    batches: Sequence[Batch]
    rows: tuple[bytes, bytes, bytes]


class Prover:
    """Proves the journal in the order of batches. While one stretch is digested in a thread, the next is read."""

    def __init__(
        self, engine: AsyncEngine, keys: Mapping[int, bytes], excused: Callable[[Batch], bool], after: int = 0
    ) -> None:
        self._engine = engine
        self._keys = keys
        self._excused = excused
        self._proved_to = after
        self._proved: deque[Proved] = deque()
        self._ahead: asyncio.Task[Stretch] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._ahead is not None:
            self._ahead.cancel()
            with suppress(asyncio.CancelledError):
                await self._ahead

    async def through(self, number: int, limit: int) -> list[Proved]:
        """What comes next, up to a number. Nothing behind `limit` is read: it may still be at work."""
        while self._proved_to < number:
            ahead = self._ahead or asyncio.create_task(self._read(self._proved_to, limit))
            self._ahead = None
            stretch = await ahead
            if stretch.upto < limit:
                self._ahead = asyncio.create_task(self._read(stretch.upto, limit))
            self._proved.extend(await asyncio.to_thread(self._prove, stretch))
            self._proved_to = stretch.upto
        found = []
        while self._proved and self._proved[0].number <= number:
            found.append(self._proved.popleft())
        return found

    def skip(self, number: int) -> None:
        """Go on behind a number; everything that was read has been taken."""
        assert self._ahead is None
        assert not self._proved
        self._proved_to = max(self._proved_to, number)

    async def one(self, number: int) -> Proved | None:
        """A single number, wherever it is."""
        return next(iter(self._prove(await self._read(number - 1, number))), None)

    async def _read(self, after: int, limit: int) -> Stretch:
        async with driver_session(self._engine) as driver, driver.transaction(isolation="repeatable_read", readonly=True):
            await driver.execute(_READ_IN_STRETCHES)
            return await self._read_snapshot(driver, after, limit)

    async def _read_snapshot(self, driver: "asyncpg.Connection[Any]", after: int, limit: int) -> Stretch:
        rows = await driver.fetch(_BATCHES, after, limit, _MOST_BATCHES)
        found = [Batch(number, milliseconds(now), *rest) for number, now, *rest in rows]
        batches = found[: _enough(found)]
        upto = limit if len(batches) == len(found) < _MOST_BATCHES else batches[-1].number
        if batches and all(map(self._excused, batches)):
            return Stretch(upto, batches, (b"", b"", b""))
        verdicts, transfers, operations = [await _copy(driver, query, after, upto) for query in _ROWS]
        return Stretch(upto, batches, (verdicts, transfers, operations))

    def _prove(self, stretch: Stretch) -> list[Proved]:
        """An entry a batch, and one a number that has rows and no batch, in order."""
        verdicts, transfers, operations = (
            verdicts_of(stretch.rows[0]),
            transfers_of(stretch.rows[1]),
            operations_of(stretch.rows[2]),
        )
        proved = []
        for batch in stretch.batches:
            taken = verdicts.take(batch.number), transfers.take(batch.number), operations.take(batch.number)
            excused = self._excused(batch)
            fault = "" if excused else self._fault(batch, *taken)
            proved.append(Proved(batch.number, batch.digest, batch.rows, batch.now_ms, excused, fault))
        strays = verdicts.strays() | transfers.strays() | operations.strays()
        proved += (Proved(number, None, 0, 0, excused=False, fault="") for number in strays)
        proved.sort(key=lambda entry: entry.number)
        return proved

    def _fault(self, batch: Batch, verdicts: Taken, transfers: Taken, operations: Taken) -> str:
        key = self._keys.get(batch.key_version)
        if key is None:
            return f"it names version {batch.key_version} of the key, which is not at hand"
        digest = batch_digest(key, batch.number, batch.now_ms, verdicts.rows, transfers.rows, operations.rows)
        counts = len(verdicts.starts), len(operations.starts), len(transfers.starts)
        if digest != batch.digest:
            return what_was_done(stored(batch, verdicts, operations, transfers))
        if counts != (batch.verdicts, batch.operations, batch.transfers):
            return "its rows are as they were digested, and its counts were changed"
        return ""


def _enough(batches: Sequence[Batch]) -> int:
    """How many batches make a stretch."""
    rows = 0
    for taken, batch in enumerate(batches, 1):
        rows += batch.rows
        if rows >= _MOST_ROWS:
            return taken
    return len(batches)


async def _copy(driver: "asyncpg.Connection[Any]", query: str, after: int, upto: int) -> bytes:
    copied = bytearray()

    async def keep(data: bytes) -> None:
        copied.extend(data)

    await driver.copy_from_query(query, after, upto, output=keep, format="binary")
    return rows_of_copy(bytes(copied))
