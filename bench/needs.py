"""What a city needs, from what a tap and a payment were measured to cost: arithmetic that anybody may do for their own."""

from math import ceil
from typing import Final, NamedTuple

from services.payments.adapters.topics import PARTITIONS
from services.payments.handlers.fold_marks import DAYS_BEYOND_THE_HORIZON

BUSIEST_HOUR: Final = 0.15
"""Of a day's taps; a morning of commuters."""
PEAK_OVER_HOUR: Final = 2.0
"""The busiest minute over the mean of that hour."""
USED: Final = 0.5
"""No core is planned to be busier at the peak: the other half is for what comes late, a dead worker, and the next year."""
KEPT_DAYS: Final = 180 + DAYS_BEYOND_THE_HORIZON + 31
"""Of verdicts and transfers: the default horizon, thirty days, and the month that runs."""
TOPIC_DAYS: Final = 7
REPLICAS: Final = 3
MOST_WORKERS: Final = 3 * PARTITIONS["kafka"]
"""Three topics of taps."""


PAYMENTS_A_TAP: Final = 0.5
"""Online payments of tills, electronic cards and withholding for each tap; their hours are the same."""


class Payment(NamedTuple):
    """What an online payment costs, measured."""

    api_us: float
    """CPU."""
    postgresql_us: float
    tables_bytes: float
    log_bytes: float


class Cost(NamedTuple):
    """Of one tap, measured; and of one payment."""

    payment: Payment
    worker_us: float
    """CPU."""
    postgresql_us: float
    broker_us: float
    tables_bytes: float
    log_bytes: float
    taps_topic_bytes: float
    outcomes_topic_bytes: float


class City(NamedTuple):
    """Who lives there."""

    name: str
    people: int
    taps_a_person_a_day: float

    @property
    def taps_a_day(self) -> float:
        """On a working day."""
        return self.people * self.taps_a_person_a_day

    @property
    def peak(self) -> float:
        """Taps a second in the busiest minute."""
        return self.taps_a_day * BUSIEST_HOUR / 3600 * PEAK_OVER_HOUR


class Needs(NamedTuple):
    """What it takes; cores are those of the machine that was measured."""

    peak: float
    worker_cores: float
    workers: int
    api_cores: float
    apis: int
    postgresql_cores: float
    broker_cores: float
    journal_gb: float
    """Verdicts, operations and transfers that are kept."""
    archive_gb_a_year: float
    """Months that were detached, before they are compressed or taken away."""
    log_gb_a_day: float
    """Of the write-ahead log, which a backup receives."""
    log_mb_a_second: float
    """At the peak."""
    topics_gb: float
    """All replicas, for as long as topics are kept."""


GB: Final = 1e9


def needs(city: City, cost: Cost) -> Needs:
    """Raises ValueError where a city needs more workers than its topics have partitions."""
    paid = cost.payment
    postgresql_us = cost.postgresql_us + PAYMENTS_A_TAP * paid.postgresql_us
    api, worker, postgresql, broker = (
        city.peak * us / 1e6 / USED for us in (PAYMENTS_A_TAP * paid.api_us, cost.worker_us, postgresql_us, cost.broker_us)
    )
    workers = max(2, ceil(worker))  # a worker uses one core; of two, one may die
    if workers > MOST_WORKERS:
        raise ValueError(f"{city.name} needs {workers} workers, and three topics have {MOST_WORKERS} partitions")
    tables_a_day = city.taps_a_day * (cost.tables_bytes + PAYMENTS_A_TAP * paid.tables_bytes) / GB
    log_bytes = cost.log_bytes + PAYMENTS_A_TAP * paid.log_bytes
    topics_a_day = city.taps_a_day * (cost.taps_topic_bytes + cost.outcomes_topic_bytes) / GB
    return Needs(
        peak=city.peak,
        worker_cores=worker,
        workers=workers,
        api_cores=api,
        apis=max(2, ceil(api)),
        postgresql_cores=postgresql,
        broker_cores=broker,
        journal_gb=tables_a_day * KEPT_DAYS,
        archive_gb_a_year=tables_a_day * 365,
        log_gb_a_day=city.taps_a_day * log_bytes / GB,
        log_mb_a_second=city.peak * log_bytes / 1e6,
        topics_gb=topics_a_day * TOPIC_DAYS * REPLICAS,
    )
