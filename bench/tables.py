"""The tables of a run, as they stand on the screen and on the page."""

from collections.abc import Sequence
from typing import Final

from bench import contenders
from bench.contenders import Contender
from bench.figures import FAMILIES, Figures

Rows = Sequence[Sequence[str]]
"""A header, then rows; all but the first column are numbers."""

BACKLOG: Final = "A backlog is emptied"
WAITS: Final = "How long a tap waits for its outcome"
RATIOS: Final = "One against the other"
STEPS: Final = "Where the worker's time goes"


def tables(figures: Figures) -> dict[str, Rows]:
    """By title."""
    return {BACKLOG: _backlog(figures), WAITS: _waits(figures), RATIOS: _ratios(figures), STEPS: _steps(figures)}


def _backlog(figures: Figures) -> Rows:
    header = ("", "taps/s", "taps per CPU second of its own", *(f"{family}, CPU µs a tap" for family in FAMILIES))
    rows = [
        (
            contender.name,
            f"{figures.speed(contender):,.0f}",
            f"{figures.thrift(contender):,.0f}",
            *(f"{figures.cpu_us(contender, family):.1f}" for family in FAMILIES),
        )
        for contender in contenders.ALL
    ]
    return [header, *rows]


def _waits(figures: Figures) -> Rows:
    rows = [(f"{wait.rate:,}", f"{wait.p50_ms:.0f}", f"{wait.p99_ms:.0f}") for wait in figures.measured.waits]
    return [("taps a second", "p50, ms", "p99, ms"), *rows]


def _ratios(figures: Figures) -> Rows:
    return [
        ("", "by the clock", "by CPU second"),
        ("two workers over one", f"{figures.two_workers_over_one:.2f} ×", ""),
        ("worker over a plain aiokafka consumer", *_both(figures, contenders.PLAIN_CONSUMER)),
        ("worker over per-record Faust", *_both(figures, contenders.PER_RECORD_FAUST)),
        (
            f"ledger part ({figures.ledger_speed:,.0f} taps/s) over pgbench TPC-B ({figures.pgbench_tps:,.0f} tps)",
            f"{figures.ledger_over_pgbench:.1f} ×",
            "",
        ),
    ]


def _both(figures: Figures, other: Contender) -> tuple[str, str]:
    return f"{figures.faster(other):.2f} ×", f"{figures.thriftier(other):.2f} ×"


def _steps(figures: Figures) -> Rows:
    steps = figures.measured.steps
    rows = [(step.name, f"{step.cpu_us:.1f}", f"{step.elapsed_us:.1f}") for step in steps]
    rows.append(("all steps", f"{figures.steps_us:.1f}", f"{sum(step.elapsed_us for step in steps):.1f}"))
    rows.append(("the whole worker, from the backlog above", f"{figures.cpu_us(contenders.WORKER, 'worker'):.1f}", ""))
    return [("step", "worker CPU µs a tap", "elapsed µs a tap, one batch at a time"), *rows]


def machine(figures: Figures) -> str:
    """On what it ran, in a sentence."""
    machine = figures.measured.machine
    return (
        f"{machine.cores} cores ({machine.processor}), {machine.memory_gb:.0f} GB, with everything on them: "
        f"{machine.broker_name}, PostgreSQL {machine.postgresql}, the processes that post, and the load generator; "
        f"{machine.busy_before_percent:.0f} % busy with other work before the run"
    )
