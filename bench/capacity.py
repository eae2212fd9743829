"""`python -m bench.capacity`: measure what a tap and a payment cost, and write docs/capacity.md: what a city needs."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
import uvloop
from rich.console import Console

from bench import contenders, h2load
from bench.backlog import Drain, drain
from bench.capacity_page import IN_FLIGHT, page
from bench.errors import BenchError
from bench.generator import fill
from bench.machine import Machine, busy_percent, describe
from bench.needs import Cost, Payment
from bench.online import Paid, measure_payments
from bench.outcomes import OutcomeReader
from bench.stage import Stage
from bench.statistics import median
from cli import paths
from cli.city.signals import interruptible, undisturbed
from cli.city.steps import Steps
from cli.servers.child import ServerFailedError
from services.common.topics import OUTCOMES

_ROUNDS: Final = 3
_PAY_SECONDS: Final = 10.0
_DISK_GB: Final = 12


def main(taps: Annotated[int, typer.Option(help="in the backlog that a worker empties")] = 200_000) -> None:
    """Empty a backlog on Apache Kafka three times and pay online three times; say what a tap and a payment cost.

    Processor, tables, write-ahead log, topics. Needs h2load.
    """
    console = Console()
    busy = busy_percent()
    stage = Stage("kafka")
    try:
        h2load.require()
        stage.require_disk(_DISK_GB)
        with interruptible(), Steps(console) as show, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            machine, cost = runner.run(_measure(stage, taps, busy, show))
    except KeyboardInterrupt:
        sys.exit("stopped; nothing was written")
    except (BenchError, ServerFailedError) as error:
        sys.exit(f"onecard bench: {error}")
    finally:
        with undisturbed():
            stage.close()
    file = paths.ROOT / "docs" / "capacity.md"
    file.write_text(page(machine, cost, taps), encoding="utf-8")
    console.print(f"written: {file}", highlight=False, soft_wrap=True)


async def _measure(stage: Stage, taps: int, busy: float, show: Steps) -> tuple[Machine, Cost]:
    with show.step("start PostgreSQL and Apache Kafka, seed a city"):
        stage.start_servers()
        await stage.seed()
    empty = _topics_bytes(stage.folder, "transactions.")
    with show.step(f"fill the topics with {taps:,} taps"):
        await fill(stage, taps)
    filled = _topics_bytes(stage.folder, "transactions.")
    begin = dict.fromkeys(stage.ends, 0)
    drains: list[Drain] = []
    async with OutcomeReader(stage.broker.bootstrap, stage.kind, stage.partitions) as reader:
        with show.step("a first worker, not counted: servers that just started are slow"):
            await drain(stage, contenders.WORKER, reader, begin)
        told = _topics_bytes(stage.folder, OUTCOMES)
        for number in range(1, _ROUNDS + 1):
            with show.step(f"a worker empties it, round {number} of {_ROUNDS}"):
                drains.append(await drain(stage, contenders.WORKER, reader, begin))
    outcomes = _topics_bytes(stage.folder, OUTCOMES) - told
    paid: list[Paid] = []
    for number in range(1, _ROUNDS + 1):
        with show.step(f"tills pay, {IN_FLIGHT} calls in flight, round {number} of {_ROUNDS}"):
            paid.append(await measure_payments(stage, IN_FLIGHT, _PAY_SECONDS))
    worker, postgresql, broker = (
        median([one.whole.cpu_us_per_tap(family) for one in drains]) for family in ("worker", "postgresql", "broker")
    )
    return describe(stage, busy), Cost(
        payment=Payment(
            api_us=median([one.load.api_cpu_us for one in paid]),
            postgresql_us=median([one.load.postgresql_cpu_us for one in paid]),
            tables_bytes=median([one.written.tables / one.calls for one in paid]),
            log_bytes=median([one.written.log / one.calls for one in paid]),
        ),
        worker_us=worker,
        postgresql_us=postgresql,
        broker_us=broker,
        tables_bytes=median([one.written.tables for one in drains]) / taps,
        log_bytes=median([one.written.log for one in drains]) / taps,
        taps_topic_bytes=(filled - empty) / taps,
        outcomes_topic_bytes=outcomes / (_ROUNDS * taps),
    )


def _topics_bytes(folder: Path, topic: str) -> int:
    """What the logs of a topic take on the disk, of all its partitions; of several whose names begin alike, together."""
    return sum(log.stat().st_size for log in folder.rglob("*.log") if log.parent.name.startswith(topic))


if __name__ == "__main__":
    typer.run(main)
