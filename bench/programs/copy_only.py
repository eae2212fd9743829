"""COPY alone: the transfers that the ledger part wrote, into the same table, as many a transaction, several side by side."""

import asyncio
import struct
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import uvloop
from sqlalchemy.ext.asyncio import AsyncEngine

from bench.plan import IN_FLIGHT, LEDGER_BATCH
from bench.programs.posting import config
from services.common.database import driver_transaction, make_engine
from services.common.garbage import collect_garbage_seldom
from services.payments.adapters.rows import copy_rows, rows_of_copy


class Copied(msgspec.Struct, frozen=True):
    """What was copied, and how long it took."""

    transfers: int
    seconds: float

    @property
    def per_second(self) -> float:
        """By the clock on the wall."""
        return self.transfers / self.seconds


async def _work(rows: bytes) -> Copied:
    engine = make_engine(config().database_url, "copy-only", sessions=IN_FLIGHT)
    size = row_size(rows)
    assert len(rows) % size == 0, "every row is as long as the first"
    batches = [rows[at : at + size * LEDGER_BATCH] for at in range(0, len(rows), size * LEDGER_BATCH)]
    # The first ones open the sessions.
    queue = iter(batches)
    await asyncio.gather(*(_copy(engine, islice(queue, 1)) for _ in range(IN_FLIGHT)))
    collect_garbage_seldom()
    began = time.perf_counter()
    await asyncio.gather(*(_copy(engine, queue) for _ in range(IN_FLIGHT)))
    copied = Copied(sum(map(len, batches[IN_FLIGHT:])) // size, time.perf_counter() - began)
    await engine.dispose()
    return copied


async def _copy(engine: AsyncEngine, batches: Iterator[bytes]) -> None:
    for batch in batches:
        async with driver_transaction(engine) as driver:
            await copy_rows(driver, transfers=batch)


def row_size(rows: bytes) -> int:
    """Bytes of the first row: the number of its fields, and each with its length before it."""
    (fields,) = struct.unpack_from("!h", rows)
    at = 2
    for _ in range(fields):
        (length,) = struct.unpack_from("!i", rows, at)
        at += 4 + max(0, length)
    return at


def main(
    rows: Annotated[Path, typer.Argument(help="binary COPY of transfers")], result: Annotated[Path, typer.Argument()]
) -> None:  # fmt: skip
    """Copy them and write the time to a file."""
    result.write_bytes(msgspec.json.encode(uvloop.run(_work(rows_of_copy(rows.read_bytes())))))


if __name__ == "__main__":
    typer.run(main)
