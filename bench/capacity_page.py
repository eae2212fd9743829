"""docs/capacity.md: what a tap and a payment cost, and what cities of several sizes need."""

from collections.abc import Callable, Sequence
from typing import Final

from bench.machine import Machine
from bench.needs import (
    BUSIEST_HOUR,
    KEPT_DAYS,
    PAYMENTS_A_TAP,
    PEAK_OVER_HOUR,
    REPLICAS,
    TOPIC_DAYS,
    USED,
    City,
    Cost,
    Needs,
    needs,
)
from bench.page import markdown

CITIES: Final = (
    City("a district", 500_000, 0.4),
    City("a city", 4_600_000, 0.4),
    City("a city that taps twice a day", 4_600_000, 2.0),
    City("a province", 40_000_000, 0.4),
)

IN_FLIGHT: Final = 16
"""Calls of tills that wait at once: with fewer a payment costs more, for fewer share a transaction."""

_PAGE: Final = """\
# Capacity

Written by `python -m bench.capacity`. What a tap and a payment cost is measured; what a city needs follows by the arithmetic of
`bench/needs.py`, with assumptions that are named below. Change them there for a city of your own.

## What a tap and a payment cost

Measured on {cores} cores ({processor}) with everything on them, {broker}, PostgreSQL {postgresql}, {busy:.0f} % busy with other
work before: one worker empties a backlog of {taps:,} taps, with codes verified and full rating, three times; then tills pay for
ten seconds with {in_flight} calls in flight, three times; medians.

{cost}

{payment}

## What a city needs

{needs}

A day's busiest hour has {hour:.0f} % of its taps, and its busiest minute {peak:g} times the mean of that hour. No core is
planned busier than {used:.0f} % at that minute. Verdicts and transfers are kept {kept} days (the horizon of 180 days,
thirty more, and the month that runs), topics {topic_days} days on {replicas} replicas. Cores are those of the machine
above. For each tap there are {payments_a_tap:g} online payments (tills, electronic cards, withholding), at the same hours.
A worker or an API process uses one core; two is the least of each, for one may die. Two of the card service and two of
issuance come to that, whatever the size: a million cards a year are one every half minute, and what a window's calls cost
stands in [performance.md](performance.md).

## What gives out first

1. **PostgreSQL's one machine**, by its cores and by the disk of its write-ahead log: give the log a disk of its own. Beyond it
   the ledger would be distributed by account, which nothing does yet.
2. **Workers**: as many as partitions. Their number is chosen when topics are made, for a key keeps its partition.
3. **The archive.** Months that were detached are tables without use for the running ledger: dump and drop them, or move them to
   a slower tablespace. `python -m services.payments keep-up` once a day keeps the rest as large as the horizon
   ([operations.md](operations.md#history)).
"""


def page(machine: Machine, cost: Cost, taps: int) -> str:
    """As Markdown."""
    return _PAGE.format(
        cores=machine.cores,
        processor=machine.processor,
        broker=machine.broker_name,
        postgresql=machine.postgresql,
        busy=machine.busy_before_percent,
        taps=taps,
        in_flight=IN_FLIGHT,
        cost=markdown(_costs(cost)),
        payment=markdown(_payment(cost)),
        payments_a_tap=PAYMENTS_A_TAP,
        needs=markdown(_cities(cost)),
        hour=BUSIEST_HOUR * 100,
        peak=PEAK_OVER_HOUR,
        used=USED * 100,
        kept=KEPT_DAYS,
        topic_days=TOPIC_DAYS,
        replicas=REPLICAS,
    )


def _costs(cost: Cost) -> Sequence[Sequence[str]]:
    return [
        ("of one tap", ""),
        ("worker, CPU µs", f"{cost.worker_us:.0f}"),
        ("PostgreSQL, CPU µs", f"{cost.postgresql_us:.0f}"),
        ("broker, CPU µs", f"{cost.broker_us:.0f}"),
        ("tables and indexes, bytes", f"{cost.tables_bytes:,.0f}"),
        ("write-ahead log, bytes", f"{cost.log_bytes:,.0f}"),
        ("topics of taps, bytes, one replica", f"{cost.taps_topic_bytes:,.0f}"),
        ("topic of outcomes, bytes, one replica", f"{cost.outcomes_topic_bytes:,.0f}"),
    ]


def _payment(cost: Cost) -> Sequence[Sequence[str]]:
    return [
        ("of one payment", ""),
        ("API process, CPU µs", f"{cost.payment.api_us:.0f}"),
        ("PostgreSQL, CPU µs", f"{cost.payment.postgresql_us:.0f}"),
        ("tables and indexes, bytes", f"{cost.payment.tables_bytes:,.0f}"),
        ("write-ahead log, bytes", f"{cost.payment.log_bytes:,.0f}"),
    ]


def _cities(cost: Cost) -> Sequence[Sequence[str]]:
    found = [needs(city, cost) for city in CITIES]

    def row(name: str, figure: Callable[[Needs], str]) -> Sequence[str]:
        return name, *map(figure, found)

    return [
        ("", *(city.name for city in CITIES)),
        ("people", *(f"{city.people:,}" for city in CITIES)),
        ("taps a working day", *(f"{city.taps_a_day:,.0f}" for city in CITIES)),
        row("taps a second, busiest minute", lambda need: f"{need.peak:,.0f}"),
        row("workers", lambda need: f"{need.workers}"),
        row("cores for workers", lambda need: f"{need.worker_cores:.2f}"),
        row("API processes of payments", lambda need: f"{need.apis}"),
        row("cores for them", lambda need: f"{need.api_cores:.2f}"),
        row("cores for PostgreSQL", lambda need: f"{need.postgresql_cores:.2f}"),
        row("cores for the brokers", lambda need: f"{need.broker_cores:.2f}"),
        row("ledger on the disk, GB", lambda need: f"{need.journal_gb:,.0f}"),
        row("archive, GB a year", lambda need: f"{need.archive_gb_a_year:,.0f}"),
        row("write-ahead log, GB a day", lambda need: f"{need.log_gb_a_day:,.0f}"),
        row("write-ahead log, MB a second, busiest minute", lambda need: f"{need.log_mb_a_second:,.1f}"),
        row("topics on the disk, GB", lambda need: f"{need.topics_gb:,.0f}"),
    ]
