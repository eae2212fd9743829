"""The tables of a run, as they stand on the screen and on the page."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from bench import contenders
from bench.card_figures import CardFigures
from bench.card_part import FEW_HOLDERS
from bench.contenders import Contender
from bench.figures import FAMILIES, Figures
from bench.issuance_figures import IssuanceFigures, server_cpu_us
from bench.issuance_figures import per_second as cards_per_second
from bench.issuance_part import FAMILIES as ISSUING
from bench.ledger_figures import LedgerFigures
from bench.losses import Refused
from bench.online import TLS_IN_FLIGHT, TWO_PROCESSES_IN_FLIGHT, State
from bench.online_figures import OnlineFigures, Value, api_cpu_us, p50_ms, p99_ms, per_second, postgresql_cpu_us
from bench.plan import CALLS_IN_FLIGHT, STREAMS_IN_FLIGHT, VIEWS_IN_FLIGHT
from bench.programs.steps import DIGEST
from bench.statistics import median, percentile
from bench.targets import targets

Rows = Sequence[Sequence[str]]
"""A header, then rows; all but the first column are numbers."""

BACKLOG: Final = "A backlog is emptied"
WAITS: Final = "How long a tap waits for its outcome"
CALLS: Final = "Calls that wait for an answer"
LEDGER: Final = "The ledger alone"
VIEWS: Final = "Everything of a holder"
BULK: Final = "Applications in bulk"
LOOK_UPS: Final = "Look-ups"
LOSSES: Final = "From a loss report to the refusal"
ISSUES: Final = "Cards made while their holders wait"
RATIOS: Final = "One against the other"
TARGETS: Final = "Targets"
STEPS: Final = "Where the worker's time goes"


def tables(figures: Figures) -> dict[str, Rows]:
    """By title."""
    return {
        TARGETS: _targets(figures),
        BACKLOG: _backlog(figures),
        WAITS: _waits(figures),
        RATIOS: _ratios(figures),
        **({CALLS: _calls(figures.online)} if figures.online else {}),
        LEDGER: _ledger(figures.ledger),
        VIEWS: _views(figures.card),
        BULK: _bulk(figures.card),
        LOOK_UPS: _look_ups(figures.card),
        LOSSES: _losses(figures.card.losses),
        ISSUES: _issues(figures.issuance),
        STEPS: _steps(figures),
    }


def _targets(figures: Figures) -> Rows:
    rows = [(target.name, target.wanted, target.found, target.verdict) for target in targets(figures)]
    return [("", "target", "reached", ""), *rows]


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
    late = [drain.whole for drain in figures.measured.late]
    rows.append(
        (
            f"worker, {figures.late_share:.0%} of the taps on the slow way".replace("%", " %"),
            f"{figures.late_taps_per_second:,.0f}",
            f"{median([span.taps_per_cpu_second for span in late]):,.0f}",
            *(f"{median([span.cpu_us_per_tap(family) for span in late]):.1f}" for family in FAMILIES),
        )
    )
    return [header, *rows]


def _waits(figures: Figures) -> Rows:
    rows = [(f"{wait.rate:,}", f"{wait.p50_ms:.0f}", f"{wait.p99_ms:.0f}") for wait in figures.measured.waits]
    return [("taps a second", "p50, ms", "p99, ms"), *rows]


def _ratios(figures: Figures) -> Rows:
    return [
        ("", "by the clock", "by CPU second"),
        ("two workers over one", f"{figures.two_workers_over_one:.2f} ×", ""),
        ("worker over a plain aiokafka consumer", *_both(figures, contenders.PLAIN_CONSUMER)),
        ("worker with late taps over all in order", f"{figures.late_over_in_order:.2f} ×", ""),
        ("worker over per-record Faust", *_both(figures, contenders.PER_RECORD_FAUST)),
    ]


def _both(figures: Figures, other: Contender) -> tuple[str, str]:
    return f"{figures.faster(other):.2f} ×", f"{figures.thriftier(other):.2f} ×"


def _calls(online: OnlineFigures) -> Rows:
    header = ("", "calls/s", "p50, ms", "p99, ms", "API, CPU µs a call", "postgresql, CPU µs a call")
    rows = [
        _call(f"{in_flight} in flight: {state.value}", partial(online.of, state, in_flight))
        for in_flight in CALLS_IN_FLIGHT
        for state in State
    ]
    rows += [
        _call(f"{TWO_PROCESSES_IN_FLIGHT} in flight: Authorize, two processes on one port", online.two_processes),
        _call(f"{TLS_IN_FLIGHT} in flight: Authorize, a client in Python", online.plain),
        _call(f"{TLS_IN_FLIGHT} in flight: Authorize, the same client with mutual TLS", online.tls),
    ]
    return [header, *rows]


def _call(name: str, figure: Callable[[Value], float]) -> Sequence[str]:
    return (
        name,
        f"{figure(per_second):,.0f}",
        f"{figure(p50_ms):.1f}",
        f"{figure(p99_ms):.1f}",
        f"{figure(api_cpu_us):.0f}",
        f"{figure(postgresql_cpu_us):.0f}",
    )


def _ledger(ledger: LedgerFigures) -> Rows:
    return [
        ("", "a second", "ledger part over it"),
        ("ledger part, taps", f"{ledger.taps_per_second:,.0f}", ""),
        ("pgbench TPC-B, transactions", f"{ledger.pgbench_tps:,.0f}", f"{ledger.over_pgbench:.1f} ×"),
        ("COPY of the same transfers, rows", f"{ledger.copied_per_second:,.0f}", f"{ledger.over_copy:.3f} ×"),
        (
            f"ledger part on {ledger.history:,} transfers, taps",
            f"{ledger.taps_per_second_with_past:,.0f}",
            f"{ledger.past_over_empty:.2f} × of the empty one",
        ),
    ]


def _views(card: CardFigures) -> Rows:
    header = ("", "calls/s", "p50, ms", "p99, ms", "API, CPU µs a call", "postgresql, CPU µs a call", "over one row")
    names = {
        "one_row_rpc": "an RPC that selects one row",
        "holder_view": "everything of a holder, payments away",
        "holder_view_with_payments": "everything of a holder, with payments",
    }
    rows = [
        (*_call(f"{VIEWS_IN_FLIGHT} in flight: {told}", partial(card.view, name)), f"{card.view_over_one_row(name):.2f} ×")
        for name, told in names.items()
    ]
    return [header, *rows]


def _bulk(card: CardFigures) -> Rows:
    header = ("", "applications/s", "CPU µs an application", "postgresql, CPU µs an application", "over COPY")
    names = {"bulk_applications": "over gRPC", "bulk_handler": "the handler alone", "bulk_copied": "COPY of the same rows"}
    rows = [
        (
            told,
            f"{card.bulk_per_second(name):,.0f}",
            f"{card.bulk(name, lambda bulk: bulk.taker_cpu_us):.0f}",
            f"{card.bulk(name, lambda bulk: bulk.postgresql_cpu_us):.0f}",
            f"{card.bulk_over_copy:.3f} ×" if name == "bulk_applications" else "",
        )
        for name, told in names.items()
    ]
    return [header, *rows]


def _look_ups(card: CardFigures) -> Rows:
    def row(holders: int, *, many: bool) -> Sequence[str]:
        half, most = (card.looked_up(value, many=many) for value in (lambda f: f.p50_us, lambda f: f.p99_us))
        return f"{holders:,} people", f"{card.looked_up(lambda f: f.per_second, many=many):,.0f}", f"{half:.0f}", f"{most:.0f}"

    return [
        ("among", "look-ups/s", "p50, µs", "p99, µs"),
        row(FEW_HOLDERS, many=False),
        row(card.many_holders, many=True),
        ("time of a look-up, the second over the first", f"{card.look_up_many_over_few:.3f} ×", "", ""),
    ]


def _losses(losses: Refused) -> Rows:
    def row(what: str, waits: Sequence[float]) -> Sequence[str]:
        return what, *(f"{percentile(waits, percent) * 1000:,.0f}" for percent in (50, 99, 100))

    return [("", "p50, ms", "p99, ms", "longest, ms"), row("online", losses.online), row("in the stream", losses.stream)]


def _issues(issuance: IssuanceFigures) -> Rows:
    def row(in_flight: int) -> Sequence[str]:
        return (
            f"{in_flight} in flight",
            f"{issuance.made(in_flight, cards_per_second):,.1f}",
            f"{issuance.over_empty(in_flight):.3f} ×",
            *(f"{issuance.cpu_us(in_flight, family) / 1000:.1f}" for family in ISSUING),
            f"{issuance.made(in_flight, lambda making: making.client_cpu_us) / 1000:.1f}",
        )

    def empty(in_flight: int) -> Sequence[str]:
        ours = issuance.empty(in_flight, server_cpu_us)
        client = issuance.empty(in_flight, lambda making: making.client_cpu_us)
        per_second = issuance.empty(in_flight, cards_per_second)
        name = f"empty streams, {in_flight} in flight"
        return name, f"{per_second:,.1f}", "", f"{ours / 1000:.1f}", "", "", "", f"{client / 1000:.1f}"

    header = (
        "",
        "cards/s",
        "over the empty stream",
        *(f"{family}, CPU ms a card" for family in (*ISSUING, "windows and chips")),
    )
    return [header, *map(row, STREAMS_IN_FLIGHT), *map(empty, STREAMS_IN_FLIGHT)]


def _steps(figures: Figures) -> Rows:
    steps = figures.measured.steps
    rows = [(step.name, f"{step.cpu_us:.1f}", f"{step.elapsed_us:.1f}") for step in steps]
    rows.append(("all steps", f"{figures.steps_us:.1f}", f"{sum(step.elapsed_us for step in steps):.1f}"))
    rows.append((f"{DIGEST}, of all steps", f"{figures.digest_share:.1%}".replace("%", " %"), ""))
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
