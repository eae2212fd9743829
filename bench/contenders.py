"""Who empties the backlog: the worker as it runs in production, and what it is held against."""

from dataclasses import dataclass
from typing import Final

from services.payments.streams import GROUP


@dataclass(frozen=True, slots=True)
class Contender:
    """A way of doing the same work: every record decoded, posted in the ledger and answered."""

    name: str
    command: tuple[str, ...]
    group: str
    processes: int = 1
    counts: bool = False
    """Whether it counts what it does, as the worker does."""


WORKER: Final = Contender("worker", ("services.payments", "streams"), GROUP, counts=True)
TWO_WORKERS: Final = Contender("two workers", WORKER.command, GROUP, processes=2, counts=True)
PLAIN_CONSUMER: Final = Contender("plain aiokafka consumer", ("bench.programs.plain_consumer",), "bench-plain-consumer")
PER_RECORD_FAUST: Final = Contender("per-record Faust", ("bench.programs.per_record_faust",), "bench-per-record-faust")
ALL: Final = (WORKER, TWO_WORKERS, PLAIN_CONSUMER, PER_RECORD_FAUST)
