"""COPY alone: the rows of applications in bulk, into the same tables, as many a transaction, as many in flight."""

import asyncio
import os
import time
from collections.abc import Iterator
from io import BytesIO
from itertools import islice
from pathlib import Path

import msgspec
import typer
import uvloop
from sqlalchemy.ext.asyncio import AsyncEngine

from bench.plan import IN_FLIGHT
from bench.programs.batches import Brought
from services.common.database import driver_transaction, make_engine
from services.common.garbage import collect_garbage_seldom

Chunk = list[tuple[str, bytes]]
"""Tables in order, each with its rows as COPY takes them: of one transaction."""


class Chunks(msgspec.Struct, frozen=True):
    """What is to be copied."""

    applications: int
    """Of all chunks but the first ones, as many as there are in flight, which open the sessions."""
    chunks: list[Chunk]


async def _work(url: str, copied: Chunks) -> Brought:
    engine = make_engine(url, "copy-only", sessions=IN_FLIGHT)
    queue = iter(copied.chunks)
    await asyncio.gather(*(_copy(engine, islice(queue, 1)) for _ in range(IN_FLIGHT)))
    collect_garbage_seldom()
    start, used = time.time(), time.process_time()
    await asyncio.gather(*(_copy(engine, queue) for _ in range(IN_FLIGHT)))
    brought = Brought(copied.applications, start, time.time(), time.process_time() - used)
    await engine.dispose()
    return brought


async def _copy(engine: AsyncEngine, chunks: Iterator[Chunk]) -> None:
    for chunk in chunks:
        async with driver_transaction(engine) as driver:
            for table, rows in chunk:
                await driver.copy_to_table(table, schema_name="card", source=BytesIO(rows), format="binary")


def main(chunks: Path, result: Path) -> None:
    """Copy them and write the time to a file."""
    copied = msgspec.msgpack.decode(chunks.read_bytes(), type=Chunks)
    result.write_bytes(msgspec.json.encode(uvloop.run(_work(os.environ["ONECARD_DATABASE_URL"], copied))))


if __name__ == "__main__":
    typer.run(main)
