"""How much is measured: the full run for figures that count, the quick one to see whether something moved."""

from dataclasses import dataclass, replace
from typing import Final

from cli.servers.broker import Kind

CARDS: Final = 50_000
RATES: Final = (500, 2_000, 5_000, 10_000)
"""Taps a second of the open-loop runs."""
BATCH: Final = 4_000
"""Taps of one posting where no broker gathers them: what a worker takes at most."""
LEDGER_BATCH: Final = 2_000
"""Taps of one posting where the ledger is held against pgbench and COPY."""
IN_FLIGHT: Final = 4
"""Postings side by side, as many as a worker has lanes."""
CALLS_IN_FLIGHT: Final = (1, 16, 64, 256)
"""Calls that wait for an answer at once."""
CALLS_A_CONNECTION: Final = 8
ONE_BY_ONE_LANES: Final = 16
"""Transactions side by side where each call has one of its own."""
VIEWS_IN_FLIGHT: Final = 64
"""Questions for everything of a holder, at once."""
STREAMS_IN_FLIGHT: Final = (1, 16, 200)
"""Cards in the making at once."""
CITY: Final = 4_600_000
"""Holders of a whole city."""
LATE_PERCENT: Final = 30
"""Of the taps of the late backlog; not all of them find rides of their holder behind them."""
PGBENCH_SCALE: Final = 20
PGBENCH_CLIENTS: Final = 16


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes of one run."""

    pairs: int
    """Every state is measured so many times, in turn; a ratio is the median over the rounds."""
    backlog: int
    """Taps in the topics before a worker starts."""
    per_record_backlog: int
    """The share of them that per-record Faust gets, so that it takes about as long."""
    pace_seconds: int
    """How long each rate is held, after the warm-up."""
    warm_up_seconds: int
    call_seconds: float
    """How long each number of calls in flight is held, after the warm-up."""
    ledger_batches: int
    pgbench_seconds: int
    history: int
    """Transfers of the ledger with a past."""
    step_batches: int
    memory_taps: int
    """Taps that one worker posts while its memory is watched."""
    memory_round: int
    viewed: int
    """Holders who are looked at."""
    bulk_batches: int
    bulk_rows: int
    """Of each batch."""
    many_holders: int
    """Of the registry with many people."""
    losses: int
    """Cards that are lost while taps flow."""
    issued: int
    """Cards that are made where most are in the making at once; elsewhere fewer."""
    disk_gb: int
    """What topics, ledgers and their logs may need."""
    minutes: int
    """About how long it takes where two cores are quiet."""

    def on(self, broker: Kind) -> "Plan":
        """Tansu keeps everything in memory, so there the memory run is shorter."""
        return replace(self, memory_taps=min(self.memory_taps, 1_000_000)) if broker == "tansu" else self

    def for_city(self) -> "Plan":
        """Look-ups among all holders of a city, which takes its time to be loaded."""
        return replace(self, many_holders=CITY, disk_gb=self.disk_gb + 10, minutes=self.minutes + 8)


FULL: Final = Plan(
    pairs=5,
    backlog=300_000,
    per_record_backlog=60_000,
    pace_seconds=20,
    warm_up_seconds=3,
    call_seconds=3,
    ledger_batches=100,
    pgbench_seconds=10,
    history=10_000_000,
    step_batches=24,
    memory_taps=5_000_000,
    memory_round=500_000,
    viewed=1_000,
    bulk_batches=8,
    bulk_rows=2_000,
    many_holders=500_000,
    losses=240,
    issued=1_000,
    disk_gb=20,
    minutes=41,
)
QUICK: Final = Plan(
    pairs=1,
    backlog=100_000,
    per_record_backlog=20_000,
    pace_seconds=4,
    warm_up_seconds=1,
    call_seconds=1,
    ledger_batches=24,
    pgbench_seconds=4,
    history=500_000,
    step_batches=12,
    memory_taps=100_000,
    memory_round=50_000,
    viewed=200,
    bulk_batches=4,
    bulk_rows=2_000,
    many_holders=200_000,
    losses=60,
    issued=600,
    disk_gb=4,
    minutes=7,
)
