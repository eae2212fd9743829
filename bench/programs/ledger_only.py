"""The ledger part alone: batches posted through `Ledger.post`, several side by side, without Kafka. Tells the time it took."""

import asyncio
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import uvloop

from bench.plan import IN_FLIGHT, LEDGER_BATCH
from bench.programs.posting import config, make_ledger, make_verifier
from bench.signing import keys_from_environment
from bench.taps import taps
from services.common.clock import now_ms
from services.common.database import make_engine
from services.common.garbage import collect_garbage_seldom
from services.payments.adapters.dead_letters import Entry
from services.payments.adapters.ledger import Ledger
from services.payments.adapters.registry import Registry
from services.payments.adapters.tac import Verifier
from services.payments.adapters.wire import Received, decode


class Posted(msgspec.Struct, frozen=True):
    """What was posted, and how long it took."""

    taps: int
    seconds: float
    cpu_seconds: float

    @property
    def per_second(self) -> float:
        """By the clock on the wall."""
        return self.taps / self.seconds


async def _work(batches: int, first: int) -> Posted:
    settings = config()
    engine = make_engine(settings.database_url, "ledger-only", sessions=IN_FLIGHT)
    registry, verifier = Registry(engine), make_verifier(engine)
    await registry.refresh_if_due()
    await verifier.refresh_if_due()
    ledger = await make_ledger(settings, engine)
    # The first batches open the sessions and prepare the statements. A terminal's taps come in order, as from a partition:
    # out of order each would have to be looked up.
    entries = _entries(registry, verifier, first, (batches + IN_FLIGHT) * LEDGER_BATCH)
    waiting = [list(islice(entries, LEDGER_BATCH)) for _ in range(batches + IN_FLIGHT)]
    queue = iter(waiting)
    await asyncio.gather(*(_post(ledger, islice(queue, 1)) for _ in range(IN_FLIGHT)))
    collect_garbage_seldom()
    began, cpu_began = time.perf_counter(), time.process_time()
    await asyncio.gather(*(_post(ledger, queue) for _ in range(IN_FLIGHT)))
    posted = Posted(batches * LEDGER_BATCH, time.perf_counter() - began, time.process_time() - cpu_began)
    await engine.dispose()
    return posted


async def _post(ledger: Ledger, batches: Iterator[list[Entry]]) -> None:
    for batch in batches:
        await ledger.post(batch, now_ms())


def _entries(registry: Registry, verifier: Verifier, first: int, count: int) -> Iterator[Entry]:
    for load in taps(first, count, 1, keys_from_environment()):
        record = Received(load.place.topic, 0, 0, now_ms(), load.value)
        yield record, decode(record, registry, verifier)


def main(
    batches: Annotated[int, typer.Argument()],
    result: Annotated[Path, typer.Argument()],
    first: Annotated[int, typer.Option(help="number of the first tap")] = 1,
) -> None:
    """Post so many batches and write the times to a file."""
    result.write_bytes(msgspec.json.encode(uvloop.run(_work(batches, first))))


if __name__ == "__main__":
    typer.run(main)
